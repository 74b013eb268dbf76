"""What is known of kind `sagemaker` before its adapter is imported. Imports no SDK."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fedreg.domain.capabilities import Capabilities, Change, Limits, Operation, Resume, UploadSupport
from fedreg.domain.errors import ConfigError
from fedreg.domain.names import NameCodec
from fedreg.domain.port import AdapterManifest
from fedreg.domain.stages import ARCHIVED, PRODUCTION, STAGING, Approval, Condition, Holder, StageOptions, StageSupport

# Unicode's separators (category Z): botocore's patterns allow them in tags, Python's \s is something else.
SEPARATORS = r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
TAG_CHARACTERS = rf"[\w{SEPARATORS}.:/=+\-@]"
DEFAULT_STAGES = {STAGING: "PreProduction", PRODUCTION: "Production", ARCHIVED: "Archived"}
PACKAGINGS = ("files", "tar.gz")
TOPIC = r"arn:(?P<partition>aws[a-z-]*):sns:(?P<region>[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?"


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceOptions:
    """What goes into the InferenceSpecification of a new package, beside its bytes.

    A package can be deployed only with the `image` of a container that serves it.
    """

    image: str | None = None
    content_types: tuple[str, ...] = ("application/json",)
    response_types: tuple[str, ...] = ("application/json",)
    instance_types: tuple[str, ...] = ()
    transform_instance_types: tuple[str, ...] = ()
    framework: str | None = None
    framework_version: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SageMakerOptions:
    """Configuration of a `sagemaker` registry.

    - `artifact_root`: `s3://bucket/prefix` under which uploads go; without it bytes can't be uploaded.
    - `endpoint_url`, `s3_endpoint_url`, `sts_endpoint_url`, `sns_endpoint_url`: other addresses than AWS's own.
    - `profile`, or `access_key_id` + `secret_access_key` (+ `session_token`); else what the AWS tools find.
    - `role_arn`, `external_id`: a role to assume with these credentials.
    - `kms_key`: encrypts what is written to S3.
    - `packaging`: the default form of an upload, `files` or `tar.gz`.
    - `stages`: `map` overrides the words for stages; they are always held natively.
    - `stage_status`: the StageStatus written with every stage.
    - `event_secret`: what pushed events must bring in the header `x-fedreg-event-secret`. `event_topic`: the ARN of an
      SNS topic whose signed messages are taken. Without either no events are taken.
    - `max_pool`: SDK threads and connections (1 to 8). `timeout`: of one request, in seconds.
    """

    region: str | None = None
    artifact_root: str | None = None
    endpoint_url: str | None = None
    s3_endpoint_url: str | None = None
    sts_endpoint_url: str | None = None
    sns_endpoint_url: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    kms_key: str | None = None
    packaging: str = "files"
    inference: InferenceOptions = field(default_factory=InferenceOptions)
    stages: StageOptions = field(default_factory=StageOptions)
    stage_status: str = "Approved"
    event_secret: str | None = field(default=None, repr=False)
    event_topic: str | None = None
    max_pool: int = 8
    timeout: float = 20.0


# Several packages may have one stage; ModelLifeCycle has no conditional write.
LIFE_CYCLE = StageSupport(Holder.NATIVE, exclusive=False, condition=Condition.CHECKED)

CAPABILITIES = Capabilities(
    operations=frozenset(Operation),
    stages={STAGING: LIFE_CYCLE, PRODUCTION: LIFE_CYCLE, ARCHIVED: LIFE_CYCLE},
    custom_stages=LIFE_CYCLE,
    approvals=frozenset({Approval.PENDING, Approval.APPROVED, Approval.REJECTED}),
    upload=UploadSupport(packaging=PACKAGINGS, resume=Resume.FILE, readback=True),
    # Search tells packages by their LastModifiedTime. A group has none: changed aliases and model tags are
    # seen by a full scan only, and so are deletions.
    incremental=frozenset({Change.CREATED, Change.STAGE, Change.APPROVAL}),
    fields=frozenset({"description", "metrics", "params", "provenance", "approval"}),
    model_fields=frozenset({"description", "tags"}),
    editable=frozenset({"model.description", "version.description"}),
    # 50 tags of a group and 50 properties of a package, less what fedreg keeps there (see mapping.py).
    limits=Limits(
        model_name=256,
        description=1024,
        tags_per_model=40,
        tags_per_version=30,
        model_tag_key=128,
        model_tag_value=256,
        version_tag_key=128,
        version_tag_value=256,
        model_tag_pattern=rf"{TAG_CHARACTERS}*",
        version_tag_pattern=rf"{TAG_CHARACTERS}+",
        tag_key_pattern=r"(?!(?i:fed:|aws:)).+",
        alias=118,
        alias_pattern=rf"{TAG_CHARACTERS}+",
        file_size=5 << 40,
    ),
)


def narrow(options: SageMakerOptions) -> Capabilities:
    """The ceiling, less what this configuration lacks; its packaging comes first. Raises ConfigError."""
    if options.packaging not in PACKAGINGS:
        raise ConfigError(f"packaging: {options.packaging!r} is none", cure=f"use one of {', '.join(PACKAGINGS)}")
    if options.event_topic is not None and not re.fullmatch(TOPIC, options.event_topic):
        raise ConfigError(
            f"event_topic: {options.event_topic!r} is no topic of SNS", cure="write arn:aws:sns:REGION:ACCOUNT:NAME"
        )
    deaf = () if options.event_secret or options.event_topic else (Operation.PARSE_EVENT,)
    if options.artifact_root is None:
        return replace(CAPABILITIES.without(Operation.UPLOAD, *deaf), upload=None)
    if not re.fullmatch(r"s3://[^/]{3,63}(/.*)?", options.artifact_root):
        raise ConfigError(f"artifact_root: {options.artifact_root!r} is not in S3", cure="write s3://bucket/prefix")
    first = (options.packaging, *(form for form in PACKAGINGS if form != options.packaging))
    support: UploadSupport = CAPABILITIES.upload or UploadSupport()
    return replace(CAPABILITIES.without(*deaf), upload=replace(support, packaging=first))


_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
CODEC = NameCodec(max_length=63, mark="x--", allowed=_ALPHANUMERIC | {"-"}, inner_only=frozenset("-"))

MANIFEST = AdapterManifest(
    kind="sagemaker",
    title="Amazon SageMaker Model Registry",
    options=SageMakerOptions,
    capabilities=CAPABILITIES,
    narrow=narrow,
    names=CODEC,
    adapter="fedreg_adapters.sagemaker.adapter:SageMakerAdapter",
    standin="fedreg_adapters.sagemaker.standin:create_app",
    extra="sagemaker",
    modules=("boto3", "botocore", "cryptography"),
    notes=(
        "Descriptions are immutable at SageMaker: an edited one is kept in tags or properties fed:desc.",
        "A life cycle can't be removed: taking a stage away writes the literal stage None.",
        "An approval can't be set back to none.",
        "Deleting a version leaves its bytes in S3, as SageMaker does.",
    ),
)
