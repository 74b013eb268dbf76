"""What is known of kind `azureml` before its adapter is imported. Imports no SDK."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fedreg.domain.capabilities import (
    Capabilities,
    Limits,
    Operation,
    Resume,
    UploadSupport,
    VersionIds,
)
from fedreg.domain.errors import ConfigError
from fedreg.domain.names import NameCodec
from fedreg.domain.port import AdapterManifest
from fedreg.domain.stages import ARCHIVED, PRODUCTION, STAGING, Approval, Condition, Holder, StageOptions, StageSupport

DEFAULT_STAGES = {STAGING: "Staging", PRODUCTION: "Production", ARCHIVED: "Archived"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureMLOptions:
    """Configuration of an `azureml` registry: a workspace, or a registry where `registry` is given.

    - `subscription`, `resource_group`, `workspace`: a workspace. `registry`: a registry instead; found by its name.
    - `datastore`, `upload_prefix`: where uploads to a workspace go; the datastore must be of type AzureBlob.
    - `tenant_id`, `client_id`, `client_secret`: a service principal; or `token`: an access token, as
      `az account get-access-token` prints it; else what azure-identity's DefaultAzureCredential finds.
    - `endpoint`: Azure Resource Manager's address. `authority`: Microsoft Entra's. `discovery_endpoint`: where
      registries are looked up, with a token for `discovery_scope`. They differ in sovereign clouds.
    - `blob_endpoint`: address of the blob service, `{account}` stands for the account; by default what the
      datastore says.
    - `ca_bundle`: PEM file of the certificate authority behind `endpoint`, where it is not a public one.
    - `stages`: `map` overrides the workspace's words for stages; a stage that is in it is held natively.
    - `event_secret`: what pushed events must bring, in the query (`?secret=…`) or the header `x-fedreg-event-secret`;
      without it none are taken.
    - `max_pool`: SDK threads (1 to 8). `timeout`: of one request, in seconds.
    """

    subscription: str | None = None
    resource_group: str | None = None
    workspace: str | None = None
    registry: str | None = None
    datastore: str = "workspaceblobstore"
    upload_prefix: str = "fedreg"
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    endpoint: str = "https://management.azure.com"
    authority: str | None = None
    discovery_endpoint: str = "https://eastus.api.azureml.ms"
    discovery_scope: str = "https://ml.azure.com/.default"
    blob_endpoint: str | None = None
    ca_bundle: str | None = None
    stages: StageOptions = field(default_factory=StageOptions)
    event_secret: str | None = field(default=None, repr=False)
    max_pool: int = 4
    timeout: float = 20.0


# Several versions may have one stage; there is no ETag, so a condition is a read before the write.
NATIVE = StageSupport(Holder.NATIVE, exclusive=False, condition=Condition.CHECKED)
TAG = StageSupport(Holder.TAG, exclusive=False, condition=Condition.CHECKED)

CAPABILITIES = Capabilities(
    # Lists can't be asked for changes: every scan is a full one.
    operations=frozenset(Operation) - {Operation.SCAN_INCREMENTAL},
    stages={STAGING: NATIVE, PRODUCTION: NATIVE, ARCHIVED: NATIVE},
    custom_stages=TAG,
    approvals=frozenset(Approval),
    upload=UploadSupport(resume=Resume.FILE, readback=True),
    fields=frozenset({"description", "metrics", "params", "provenance", "approval"}),
    model_fields=frozenset({"description", "tags"}),
    editable=frozenset({"model.description", "version.description"}),
    limits=Limits(tag_key_pattern=r"(?s:(?!fed\.).+)"),
    version_ids=VersionIds.CALLER,
)
# A registry has no DELETE in its data plane, deploys nothing and pushes no events. Bytes get into it through its
# own storage, or from a workspace by publishing. Its versions have no stage.
_REGISTRY_LACKS = (
    Operation.CREATE_VERSION,
    Operation.DELETE_MODEL,
    Operation.DELETE_VERSION,
    Operation.DEPLOYMENTS,
    Operation.PARSE_EVENT,
)


def narrow(options: AzureMLOptions) -> Capabilities:
    """The ceiling, less what this variant lacks. Raises ConfigError for options that name no place."""
    workspace = (options.subscription, options.resource_group, options.workspace)
    deaf = () if options.event_secret else (Operation.PARSE_EVENT,)
    if options.registry is not None:
        if options.workspace is not None:
            raise ConfigError("workspace and registry are both set", cure="keep one of them")
        return replace(CAPABILITIES.without(*_REGISTRY_LACKS), stages={STAGING: TAG, PRODUCTION: TAG, ARCHIVED: NATIVE})
    if not all(workspace):
        missing = ("subscription", "resource_group", "workspace")[[bool(part) for part in workspace].index(False)]
        raise ConfigError(f"{missing} is missing", cure="set subscription, resource_group and workspace, or registry")
    return CAPABILITIES.without(*deaf)


_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
CODEC = NameCodec(max_length=255, mark="x--", allowed=_ALPHANUMERIC | set("-_"), inner_only=frozenset("-_"))

MANIFEST = AdapterManifest(
    kind="azureml",
    title="Azure Machine Learning",
    options=AzureMLOptions,
    capabilities=CAPABILITIES,
    narrow=narrow,
    names=CODEC,
    adapter="fedreg_adapters.azureml.adapter:AzureMLAdapter",
    standin="fedreg_adapters.azureml.standin:create_app",
    extra="azureml",
    modules=("azure.ai.ml", "azure.identity"),
    notes=(
        "A PUT over a version is an update and there is no ETag: of two writers to one version the later wins. "
        "fedreg tells them apart when a version is created, not when it is edited.",
        "Stages are written twice, natively and to the tag fed.stage. Where they disagree the native one counts and "
        "`native stages` shows both; that is so after somebody archived and restored a version by Microsoft's SDK.",
        "Stage staging is kept in the tag alone where the service refuses the word Staging.",
        "A custom stage is kept in the tag fed.stage, beside the native Development.",
        "Aliases are tags of the model's container, fed.alias.NAME; Microsoft's label `latest` is none.",
        "Metrics and parameters are properties, which can be added but not changed.",
        "Deleting a version leaves its bytes in the datastore, as the service does.",
        "In a registry stages are tags, and nothing can be deleted; a version that was made twice is archived "
        "and shown as failed.",
    ),
)
