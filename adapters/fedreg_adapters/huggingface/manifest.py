"""What is known of kind `huggingface` before its adapter is imported. Imports no SDK."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fedreg.domain.capabilities import Capabilities, Limits, Operation, Resume, UploadSupport
from fedreg.domain.errors import ConfigError
from fedreg.domain.port import AdapterManifest
from fedreg.domain.stages import ARCHIVED, NONE, PRODUCTION, STAGING, Condition, Holder, StageOptions, StageSupport
from fedreg_adapters.huggingface.spelling import CODEC

HUB = "https://huggingface.co"
ATTRIBUTES = ".gitattributes"  # the Hub writes it by itself, to say which files it stores by LFS
OWN = "fedreg-"  # branches that hold uploads under way
ALIAS_LENGTH = 100
# A branch name that Git and the Hub take, and that can't be taken for a commit or for one of ours.
ALIAS = r"(?!main$|fedreg-|[0-9a-f]{40}$)(?!.*([.]{2}|[.]lock$|[.]$))[A-Za-z0-9][A-Za-z0-9._-]*"


@dataclass(frozen=True, slots=True, kw_only=True)
class HuggingFaceOptions:
    """Configuration of a `huggingface` registry: the model repositories of one namespace of the Hub.

    - `namespace`: the user or organisation whose repositories these are.
    - `token`: an access token (`hf_…`). Without one public repositories can be read. No token of the environment
      or of `hf auth login` is used.
    - `endpoint`: another address than huggingface.co's, of an enterprise Hub or a mirror.
    - `private`: whether repositories made here are private.
    - `card`: whether an upload without a README.md gets a model card, made from what its source knows.
    - `stages`: `map` gives other names to the branches that hold staging and production.
    - `refuse_unsafe`: a version with a file that the Hub's scan calls unsafe counts as failed, and is not promoted.
    - `webhook_secret`: the secret of the Hub's webhook; without it no events are accepted.
    - `max_threads`: SDK threads (1 to 8). `timeout`: of one request, in seconds; shorter than `calls.deadline`.
    """

    namespace: str
    token: str | None = field(default=None, repr=False)
    endpoint: str = HUB
    private: bool = True
    card: bool = True
    stages: StageOptions = field(default_factory=StageOptions)
    refuse_unsafe: bool = False
    webhook_secret: str | None = field(default=None, repr=False)
    max_threads: int = 8
    timeout: float = 20.0


# The Hub moves a branch whatever it points to: `expected` is a look before.
BRANCH = StageSupport(Holder.BRANCH, exclusive=True, condition=Condition.CHECKED)

CAPABILITIES = Capabilities(
    operations=frozenset(
        {
            Operation.CREATE_MODEL,
            Operation.DELETE_MODEL,
            Operation.FIND_VERSION,
            Operation.UPLOAD,
            Operation.DELETE_VERSION,
            Operation.SET_STAGE,
            Operation.SET_ALIAS,
            Operation.DELETE_ALIAS,
            Operation.LIST_FILES,
            Operation.OPEN_FILE,
            Operation.LINEAGE,
            Operation.PARSE_EVENT,
        }
    ),
    stages={STAGING: BRANCH, PRODUCTION: BRANCH},
    upload=UploadSupport(needs_sha256=True, parallel=8, resume=Resume.FILE, readback=True),
    fields=frozenset({"description", "metrics", "params", "provenance"}),
    # A repository's name has 96 characters; the rest is room for escapes.
    limits=Limits(model_name=80, alias=ALIAS_LENGTH, alias_pattern=ALIAS),
    registry_files=(ATTRIBUTES,),
)


def narrow(options: HuggingFaceOptions) -> Capabilities:
    """The ceiling, less what this configuration lacks. Raises ConfigError for options that can't be meant."""
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?", options.namespace):
        raise ConfigError(
            f"namespace: {options.namespace!r} is no user or organisation of the Hub",
            cure="give the part of the repositories' names before the slash",
        )
    _check_stages(options.stages)
    if options.webhook_secret:
        return CAPABILITIES
    return CAPABILITIES.without(Operation.PARSE_EVENT)


def _check_stages(stages: StageOptions) -> None:
    if stages.held_by not in (None, Holder.BRANCH):
        raise ConfigError(
            f"stages.held_by: {stages.held_by.value!r} is not how the Hub holds stages",
            cure="leave it out: branches hold them",
        )
    for stage, branch in stages.map.items():
        if stage not in (STAGING, PRODUCTION):
            words = "the gateway holds it" if stage not in (NONE, ARCHIVED) else "no branch holds it"
            raise ConfigError(f"stages.map: {stage!r}: {words}", cure="map staging and production only")
        if not re.fullmatch(ALIAS, branch):
            raise ConfigError(f"stages.map: {branch!r} is no branch name for a stage", cure=f"it must match {ALIAS}")


MANIFEST = AdapterManifest(
    kind="huggingface",
    title="Hugging Face Hub",
    options=HuggingFaceOptions,
    capabilities=CAPABILITIES,
    narrow=narrow,
    names=CODEC,
    adapter="fedreg_adapters.huggingface.adapter:HuggingFaceAdapter",
    standin="fedreg_adapters.huggingface.standin:create_app",
    extra="huggingface",
    modules=("huggingface_hub",),
    notes=(
        "A version is a Git tag, its identity the tagged commit; a full commit id is accepted as a version.",
        "Stages and aliases are branches. `main` is where uploads are committed, and never a version or an alias.",
        "A stage's branch at a commit without a tag is shown as a version of its own, with a message: it has drifted.",
        "An upload is gathered on a branch `fedreg-upload-…`, and committed to `main` when it is finished.",
        "Deleting a version removes its tag and the branches that point to it; the commit stays in the history.",
    ),
)
