"""What is known of kind `memory` before its adapter is imported."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedreg.domain.capabilities import Capabilities, Change, Limits, Operation, Resume, UploadSupport
from fedreg.domain.names import NameCodec
from fedreg.domain.port import AdapterManifest
from fedreg.domain.stages import ARCHIVED, PRODUCTION, STAGING, Approval, Condition, Holder, StageOptions, StageSupport


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """Configuration of a `memory` registry.

    - `space`: registries of one process that name the same space see the same models.
    - `stages`: `held_by: native` keeps production as a phase too; by default (`alias`) an alias holds it.
      `map` gives other words to stages.
    - `event_secret`: signs pushed messages; without it none are accepted.
    """

    space: str = "default"
    stages: StageOptions = field(default_factory=StageOptions)
    event_secret: str = field(default="", repr=False)


PHASE = StageSupport(Holder.NATIVE, exclusive=False, condition=Condition.ATOMIC)
POINTER = StageSupport(Holder.ALIAS, exclusive=True, condition=Condition.CHECKED)

CAPABILITIES = Capabilities(
    operations=frozenset(Operation),
    stages={STAGING: PHASE, PRODUCTION: POINTER, ARCHIVED: PHASE},
    custom_stages=PHASE,
    approvals=frozenset(Approval),
    upload=UploadSupport(resume=Resume.FILE, readback=True),
    incremental=frozenset(Change) - {Change.DELETED},  # the feed tells of deletions, a batch has no word for them
    fields=frozenset({"description", "metrics", "params", "provenance", "approval"}),
    model_fields=frozenset({"description", "tags"}),
    editable=frozenset({"model.description", "version.description"}),
    limits=Limits(
        description=500,
        tags_per_model=20,
        tags_per_version=20,
        model_tag_key=64,
        model_tag_value=200,
        version_tag_key=64,
        version_tag_value=200,
        alias=63,
        alias_pattern=r"[a-z0-9][a-z0-9._-]*",
    ),
)

NAMES = NameCodec(
    max_length=48,
    mark="x_",
    allowed=frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"),
)

MANIFEST = AdapterManifest(
    kind="memory",
    title="In-process memory",
    options=MemoryOptions,
    capabilities=CAPABILITIES,
    names=NAMES,
    adapter="fedreg_adapters.memory.adapter:MemoryAdapter",
    notes=("Everything is gone when the process ends.",),
)
