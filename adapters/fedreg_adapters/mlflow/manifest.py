"""What is known of the kind `mlflow` before its adapter is imported."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fedreg.domain.capabilities import Capabilities, Change, Limits, Operation, UploadSupport
from fedreg.domain.errors import ConfigError
from fedreg.domain.names import NameCodec
from fedreg.domain.port import AdapterManifest
from fedreg.domain.stages import (
    ARCHIVED,
    PRODUCTION,
    STAGING,
    Approval,
    Condition,
    Holder,
    StageOptions,
    StageSupport,
    parse_stage,
)
from fedreg_adapters.mlflow.paths import to_stored

ACCESS = ("auto", "proxy", "direct")


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowOptions:
    """A registry's configuration keys.

    - `url`: the tracking server, with its path prefix if any.
    - `token`, or `username` and `password`, or a client certificate (PEM paths).
    - `experiment`: where the runs of uploads go; made if it does not exist.
    - `artifact_access`: `proxy` (through the server), `direct` (the object store itself), `auto` (what the URI says).
    - `artifact_root`: the store behind the proxy, for `direct`; local directories are read only under it.
    - `store_*`: credentials and address of the object store for direct access; else the environment's.
    - `webhook_secret`: checks pushed events; without it none are taken.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_cert: str | None = None
    client_key: str | None = None
    ca_bundle: str | None = None
    verify: bool = True
    stages: StageOptions = field(default_factory=StageOptions)
    experiment: str = "fedreg"
    artifact_access: str = "auto"
    artifact_root: str | None = None
    store_endpoint_url: str | None = None
    store_region: str | None = None
    store_access_key_id: str | None = None
    store_secret_access_key: str | None = field(default=None, repr=False)
    store_session_token: str | None = field(default=None, repr=False)
    store_account_key: str | None = field(default=None, repr=False)
    store_sas_token: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.artifact_access not in ACCESS:
            raise ConfigError(
                f"artifact_access {self.artifact_access!r} is unknown", cure=f"use one of {', '.join(ACCESS)}"
            )
        if self.token and self.username:
            raise ConfigError("both token and username are set", cure="keep one of them")


# mlflow.utils.validation._validate_tag_name: nothing that a path would normalise; and neither ours nor a prompt's mark.
TAG_KEY = r"(?!fedreg\.|mlflow\.prompt\.is_prompt\Z|/|\.\.|\.(/|\Z))(?!.*/(/|\.{0,2}\Z|\.{1,2}/))[/\w.\- :]+"
# Limits: mlflow.utils.validation and the columns of mlflow.store.model_registry.dbmodels.models.
LIMITS = Limits(
    description=5000,
    model_tag_key=250,
    model_tag_value=100_000,
    version_tag_key=250,
    version_tag_value=100_000,
    tag_key_pattern=TAG_KEY,
    alias=255,
    alias_pattern=r"(?!(?i:latest)\Z)(?![vV]\d+\Z)[\w\-]+",
)

_POINTER = StageSupport(Holder.ALIAS, exclusive=True, condition=Condition.CHECKED)
_TAG = StageSupport(Holder.TAG, exclusive=False, condition=Condition.CHECKED)
_NATIVE = StageSupport(Holder.NATIVE, exclusive=False, condition=Condition.CHECKED)

# Tags and aliases do not touch last_updated_timestamp, a deleted version disappears from every search.
_SEEN = frozenset({Change.CREATED, Change.UPDATED})

_ALIAS_HELD = Capabilities(
    operations=frozenset(Operation) - {Operation.DEPLOYMENTS},
    stages={PRODUCTION: _POINTER, STAGING: _POINTER, ARCHIVED: _TAG},
    custom_stages=_POINTER,
    approvals=frozenset(Approval),
    upload=UploadSupport(parallel=4, readback=True),
    incremental=_SEEN,
    fields=frozenset({"description", "metrics", "params", "provenance", "approval"}),
    model_fields=frozenset({"description", "tags"}),
    editable=frozenset({"model.description", "version.description"}),
    limits=LIMITS,
    concurrency=6,
)


def capabilities_of(stages: StageOptions) -> Capabilities:
    """The ceiling for a way of holding stages. Raises ConfigError for a holder that MLflow lacks."""
    holder = stages.held_by or Holder.ALIAS
    if holder is Holder.ALIAS:
        mapped = {parse_stage(stage): _POINTER for stage in stages.map if stage != ARCHIVED}
        return replace(_ALIAS_HELD, stages={**_ALIAS_HELD.stages, **mapped})
    if holder is Holder.TAG:
        return replace(_ALIAS_HELD, stages=dict.fromkeys((PRODUCTION, STAGING, ARCHIVED), _TAG), custom_stages=_TAG)
    if holder is Holder.NATIVE:
        native = dict.fromkeys((PRODUCTION, STAGING, ARCHIVED), _NATIVE)
        return replace(_ALIAS_HELD, stages=native, custom_stages=None, incremental=_SEEN | {Change.STAGE})
    raise ConfigError(f"stages.held_by {holder.value!r} is nothing MLflow has", cure="use alias, tag or native")


# mlflow.utils.validation._validate_model_name: no '/' or ':', and nothing that a path would normalise, which '.', '..'
# and whatever starts with '..' is. Databases trim spaces at the end. 256 is the column's length.
CODEC = NameCodec(max_length=256, mark="x~", forbidden=frozenset("/:"), inner_only=frozenset(". "))

MANIFEST = AdapterManifest(
    kind="mlflow",
    title="MLflow",
    options=MlflowOptions,
    capabilities=_ALIAS_HELD,
    names=CODEC,
    files=to_stored,
    adapter="fedreg_adapters.mlflow.adapter:MlflowAdapter",
    notes=(
        "A custom stage without an entry in stages.map is the alias stage-NAME.",
        "Metrics and parameters are those of a version's run: shown for one version, left out of lists.",
        "Files whose names the artifact proxy would change are stored under an escaped name and shown under their own.",
    ),
)
