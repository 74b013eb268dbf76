"""What is known of kind `vertex` before its adapter is imported. Imports no SDK."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from string import ascii_lowercase, ascii_uppercase, digits

from fedreg.domain.capabilities import Capabilities, Limits, Operation, Resume, UploadSupport
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
    StageMap,
    StageOptions,
    StageSupport,
)

# Labels hold lowercase letters of any script, digits, `_` and `-` (the Model proto).
LABEL = r"(?:[^\WA-ZÀ-ÖØ-Þ]|-)*"
MODEL_TAG = "fed-m-"  # opens the label of a model's tag, see mapping.py


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexOptions:
    """Configuration of a `vertex` registry.

    - `project`, `location`: where the models are.
    - `artifact_root`: `gs://bucket/prefix` under which uploads go; without it bytes can't be uploaded.
    - `credentials_file`: the key of a service account, or a workload identity's configuration; or `credentials_json`,
      its content. Else the application default credentials.
    - `impersonate`: a service account to act as, with these credentials.
    - `endpoint`: `host:port` of another API address (Private Service Connect). `gcs_endpoint`: another address of GCS.
    - `insecure`: no TLS and no credentials, for emulators on loopback only.
    - `image`: the container that serves new versions; without it they can't be deployed.
    - `metrics_schema`: `metrics_schema_uri` of the evaluations that hold metrics.
    - `event_audience`, `event_email`: audience and service account of the push subscription that delivers entries of
      the audit log; without them no events are taken. `certs_endpoint`: where Google's certificates of ID tokens are.
    - `stages`: `map` gives other words to stages; they are always held in the version's label `fed-stage`.
    - `timeout`: of one request; `operation_timeout`: of a long-running operation; both in seconds.
    """

    project: str
    location: str
    artifact_root: str | None = None
    credentials_file: str | None = None
    credentials_json: str | None = field(default=None, repr=False)
    impersonate: str | None = None
    endpoint: str | None = None
    gcs_endpoint: str | None = None
    insecure: bool = False
    image: str | None = None
    metrics_schema: str | None = None
    event_audience: str | None = None
    event_email: str | None = None
    certs_endpoint: str = "https://www.googleapis.com"
    stages: StageOptions = field(default_factory=StageOptions)
    timeout: float = 20.0
    operation_timeout: float = 600.0


# A version has one label fed-stage; several versions may have the same. Labels are changed with the etag read.
STAGE_LABEL = StageSupport(Holder.TAG, exclusive=False, condition=Condition.ATOMIC)

CAPABILITIES = Capabilities(
    # Models are implicit: one begins with its first version and ends with its last.
    operations=frozenset(Operation) - {Operation.CREATE_MODEL, Operation.SCAN_INCREMENTAL},
    stages={STAGING: STAGE_LABEL, PRODUCTION: STAGE_LABEL, ARCHIVED: STAGE_LABEL},
    custom_stages=STAGE_LABEL,
    approvals=frozenset(Approval),
    models="implicit",
    upload=UploadSupport(resume=Resume.FILE, readback=True),
    fields=frozenset({"description", "metrics", "params", "provenance", "approval"}),
    editable=frozenset({"model.description", "version.description"}),
    # 64 labels on a resource, less what fedreg keeps there.
    limits=Limits(
        model_name=128,
        tags_per_model=30,
        tags_per_version=30,
        model_tag_key=64 - len(MODEL_TAG),
        model_tag_value=64,
        version_tag_key=64,
        version_tag_value=64,
        model_tag_pattern=LABEL,
        version_tag_pattern=LABEL,
        tag_key_pattern=r"(?!fed-)[^\W\d_].*",  # a label begins with a letter
        alias=128,
        file_size=5 << 40,
    ),
)


def narrow(options: VertexOptions) -> Capabilities:
    """The ceiling, less what this configuration lacks. Raises ConfigError."""
    for name, value in StageMap(options.stages.map).to_native_words.items():
        if len(value) > 63 or not re.fullmatch(r"[a-z][a-z0-9_-]*", value):
            raise ConfigError(
                f"stages.map.{name}: {value!r} is no label's value", cure="use a-z, 0-9, '-' and '_', a letter first"
            )
    if options.stages.held_by not in (None, Holder.TAG):
        raise ConfigError(
            f"stages.held_by: {options.stages.held_by.value!r} is none of this kind",
            cure="leave it out: labels hold them",
        )
    if options.credentials_file and options.credentials_json:
        raise ConfigError("credentials_file and credentials_json are both set", cure="keep one of them")
    if options.insecure and not options.endpoint:
        raise ConfigError("insecure is set without endpoint", cure="insecure is for emulators: name theirs in endpoint")
    if bool(options.event_audience) != bool(options.event_email):
        raise ConfigError(
            "event_audience and event_email belong together", cure="set both as the push subscription has them"
        )
    left = CAPABILITIES if options.event_audience else CAPABILITIES.without(Operation.PARSE_EVENT)
    if options.artifact_root is None:
        return left.without(Operation.UPLOAD)
    if not re.fullmatch(r"gs://[^/]{3,222}(/.*)?", options.artifact_root):
        raise ConfigError(f"artifact_root: {options.artifact_root!r} is not in GCS", cure="write gs://bucket/prefix")
    return left


CODEC = NameCodec(
    max_length=63,
    mark="x--",
    allowed=frozenset(ascii_lowercase + digits + "_-"),
    not_first=frozenset(digits + "-"),
)
ALIASES = NameCodec(
    max_length=128,
    mark="x--",
    allowed=frozenset(ascii_lowercase + ascii_uppercase + digits + "-"),
    inner_only=frozenset(ascii_uppercase + "-"),
    not_first=frozenset(digits),
    reserved=frozenset(ascii_lowercase),  # two characters at least
)

MANIFEST = AdapterManifest(
    kind="vertex",
    title="Google Vertex AI Model Registry",
    options=VertexOptions,
    capabilities=CAPABILITIES,
    narrow=narrow,
    names=CODEC,
    aliases=ALIASES,
    adapter="fedreg_adapters.vertex.adapter:VertexAdapter",
    standin="fedreg_adapters.vertex.standin:create_app",
    extra="vertex",
    modules=("google.cloud.aiplatform_v1", "google.auth", "grpc"),
    notes=(
        "A model begins with its first version. Deleting its only version deletes the model: Vertex has no empty one.",
        "Vertex merges the labels of model and version when it answers: a model's tags are labels fed-m-KEY, so that "
        "they are never taken for a version's. Other labels of a model show as tags of each of its versions.",
        "The alias default is Vertex's own: it can be moved, not removed. Provenance says which version has it.",
        "Parameters, provenance and comments of approvals are in an artifact of the Metadata service.",
        "A model whose id is a number (Vertex made it) is named by that number.",
        "Deleting a version leaves its bytes in GCS, as Vertex does.",
    ),
)
