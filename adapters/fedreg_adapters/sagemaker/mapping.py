"""SageMaker's shapes and the domain's, both ways. Pure functions.

What fedreg keeps at SageMaker beside the vendor's own fields, hidden from the tags it shows:

    group tags           fed:name  fed:desc[:n]  fed:alias:ALIAS = version
    package properties   fed:key  fed:desc[:n]  fed:metric:NAME = value (the first ten, for people to see)
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from fedreg.domain.errors import InvalidRequest, Unsupported
from fedreg.domain.models import Model, Provenance, Version, VersionDraft, VersionStatus
from fedreg.domain.stages import Approval, StageMap, highest_stage
from fedreg_adapters.sagemaker.manifest import CODEC, DEFAULT_STAGES, SageMakerOptions
from fedreg_adapters.sagemaker.records import Record
from fedreg_adapters.sagemaker.spelling import is_plain, keys_of, read_text, write_text

JSON = dict[str, Any]
OWN = "fed:"
NAME, DESCRIPTION, KEY = "fed:name", "fed:desc", "fed:key"
ALIAS, METRIC = "fed:alias:", "fed:metric:"
MAX_TAGS = MAX_PROPERTIES = 50
SHOWN_METRICS = 10
_EMPTY = " "  # a property can't be empty
NO_STAGE = "None"  # a life cycle can't be unset: this word means that there is none


STATUSES = {
    "Pending": VersionStatus.REGISTERING,
    "InProgress": VersionStatus.REGISTERING,
    "Completed": VersionStatus.READY,
    "Failed": VersionStatus.FAILED,
    "Deleting": VersionStatus.DELETING,
}
APPROVALS = {
    Approval.PENDING: "PendingManualApproval",
    Approval.APPROVED: "Approved",
    Approval.REJECTED: "Rejected",
}
_FROM_APPROVAL = {native: approval for approval, native in APPROVALS.items()}


def stage_map(options: SageMakerOptions) -> StageMap:
    """The words for stages: AWS's own, overridden by the configuration."""
    return StageMap({**DEFAULT_STAGES, **options.stages.map})


# -- models ------------------------------------------------------------------------------------------------


def read_tags(listed: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """A `Tags` list as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in listed}


def show_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """A mapping as a `Tags` list."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def model_of(group: JSON, tags: Mapping[str, str], registry: str) -> Model:
    """A model from a group's description or summary and the group's tags."""
    native = group["ModelPackageGroupName"]
    return Model(
        registry=registry,
        name=CODEC.decode(native, read_text(NAME, tags)),
        native_name=native,
        description=description_of(tags, group.get("ModelPackageGroupDescription")),
        tags=without_own(tags),
        aliases=aliases_of(tags),
        created_at=group.get("CreationTime"),
    )


def aliases_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Alias -> version of a group's tags."""
    return {key.removeprefix(ALIAS): value for key, value in tags.items() if key.startswith(ALIAS)}


def without_own(held: Mapping[str, str]) -> dict[str, str]:
    """Tags or properties that are the user's."""
    return {key: value for key, value in held.items() if not key.startswith(OWN)}


def refuse_own(keys: Iterable[str], registry: str) -> None:
    """InvalidRequest for a tag key that fedreg or AWS keeps for itself."""
    for key in keys:
        if key.lower().startswith((OWN, "aws:")):
            raise InvalidRequest(
                f"tag key {key!r} is reserved at registry {registry!r}",
                registry=registry,
                cure="use a key that does not begin with fed: or aws:",
            )


def name_tags(name: str, native: str, registry: str) -> dict[str, str]:
    """The tag that keeps a name whose spelling differs."""
    if name == native:
        return {}
    pieces = write_text(NAME, name)
    if pieces is None:
        raise InvalidRequest(f"name {name[:40]!r}… is too long to be kept", registry=registry, cure="shorten it")
    return pieces


def description_pieces(text: str, registry: str) -> dict[str, str]:
    """The tags or properties that keep a description. Unsupported, naming the loss, where they can't."""
    pieces = write_text(DESCRIPTION, text)
    if pieces is None:
        raise lost("description", "it needs more than 8 values of 256 characters", registry)
    return pieces


def is_native_description(text: str) -> bool:
    """Whether a description field holds the text: its pattern has no control, format or unassigned characters."""
    return all(unicodedata.category(char)[0] != "C" for char in text)


def lost(field: str, why: str, registry: str) -> Unsupported:
    """The refusal of a field that SageMaker can't hold."""
    return Unsupported(
        f"{field}: registry {registry!r} can't hold it: {why}",
        registry=registry,
        cure="shorten it, or accept the loss (--allow-lossy)",
        details={"losses": [field]},
    )


def description_of(held: Mapping[str, str], native: str | None) -> str | None:
    """The description that tags or properties hold, else the vendor's own."""
    edited = read_text(DESCRIPTION, held)
    return (native if edited is None else "" if edited == _EMPTY else edited) or None


def edit_description(
    held: Mapping[str, str], native: str | None, text: str, registry: str
) -> tuple[dict[str, str], list[str]]:
    """What to set and what to remove so that the description reads `text`, where the vendor's field is fixed."""
    pieces = {} if text == (native or "") else description_pieces(text or _EMPTY, registry)
    return pieces, [key for key in keys_of(DESCRIPTION, held) if key not in pieces]


# -- versions ----------------------------------------------------------------------------------------------


def identity_of(package: JSON) -> str:
    """ARN and creation time in milliseconds: no other version ever has both."""
    created = package["CreationTime"]
    return f"{package['ModelPackageArn']}@{round(created.timestamp() * 1000)}"


def version_of(
    package: JSON, model: str, aliases: Mapping[str, str], stages: StageMap, registry: str, record: Record
) -> Version:
    """A version from DescribeModelPackage, the group's aliases and the record of metrics and parameters."""
    number = str(package["ModelPackageVersion"])
    properties = package.get("CustomerMetadataProperties", {})
    native_stages = native_stages_of(package)
    held = tuple(stage for word in native_stages if (stage := stages.to_stage(word)) is not None)
    return Version(
        registry=registry,
        model=model,
        version=number,
        identity=identity_of(package),
        status=STATUSES.get(package["ModelPackageStatus"], VersionStatus.FAILED),
        status_message=status_message_of(package),
        stage=highest_stage(held),
        stages=held,
        native_stages=native_stages,
        approval=_FROM_APPROVAL.get(package.get("ModelApprovalStatus", ""), Approval.NONE),
        approval_comment=package.get("ApprovalDescription") or None,
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == number)),
        tags=without_own(properties),
        description=description_of(properties, package.get("ModelPackageDescription")),
        artifact_uri=artifact_uri_of(package),
        metrics=record.metrics or shown_metrics(properties),
        params=record.params,
        provenance=provenance_of(package, record.provenance),
        created_at=package.get("CreationTime"),
        updated_at=package.get("LastModifiedTime") or package.get("CreationTime"),
    )


def native_stages_of(package: JSON) -> tuple[str, ...]:
    """The stage as SageMaker has it; nothing where it is absent or our word for none."""
    word = package.get("ModelLifeCycle", {}).get("Stage")
    return () if word in (None, NO_STAGE) else (word,)


def stage_of(package: JSON, stages: StageMap) -> str:
    """The unified stage of a package."""
    return highest_stage(stage for word in native_stages_of(package) if (stage := stages.to_stage(word)))


def status_message_of(package: JSON) -> str | None:
    """Why a package failed, as SageMaker puts it."""
    details = package.get("ModelPackageStatusDetails", {})
    found = [*details.get("ValidationStatuses", ()), *details.get("ImageScanStatuses", ())]
    return "; ".join(reason for status in found if (reason := status.get("FailureReason"))) or None


def artifact_uri_of(package: JSON) -> str | None:
    """Where the bytes of the first container that has any are."""
    for container in package.get("InferenceSpecification", {}).get("Containers", ()):
        source = container.get("ModelDataSource", {}).get("S3DataSource", {})
        if uri := source.get("S3Uri") or container.get("ModelDataUrl"):
            return str(uri)
    return None


def shown_metrics(properties: Mapping[str, str]) -> dict[str, float]:
    """The metrics among the properties."""
    found = {}
    for key, value in properties.items():
        if key.startswith(METRIC):
            try:
                found[key.removeprefix(METRIC)] = float(value)
            except ValueError:
                continue
    return found


def provenance_of(package: JSON, recorded: Provenance | None) -> Provenance:
    """What the record says; else the vendor's own fields."""
    if recorded is not None:
        return recorded
    known = package.get("MetadataProperties", {})
    user = package.get("CreatedBy", {})
    extra = {"project_id": known.get("ProjectId"), "source_uri": package.get("SourceUri")}
    return Provenance(
        run_id=known.get("GeneratedBy"),
        git_commit=known.get("CommitId"),
        git_repository=known.get("Repository"),
        created_by=user.get("UserProfileName") or user.get("IamIdentity", {}).get("Arn"),
        extra={key: value for key, value in extra.items() if value},
    )


# -- drafts ------------------------------------------------------------------------------------------------


def properties_of(draft: VersionDraft, key: str, registry: str) -> dict[str, str]:
    """CustomerMetadataProperties of a new package: the user's tags, the key, some metrics, an odd description."""
    own = {KEY: key}
    if draft.description and not is_native_description(draft.description):
        own |= description_pieces(draft.description, registry)
    for name in sorted(draft.metrics)[:SHOWN_METRICS]:
        if is_plain(name, 128 - len(METRIC)):
            own[METRIC + name] = repr(float(draft.metrics[name]))
    return {**draft.tags, **own}


def metadata_properties_of(provenance: Provenance) -> dict[str, str]:
    """MetadataProperties as far as they hold the provenance: 1024 characters on one line."""
    known = {
        "GeneratedBy": provenance.run_id,
        "CommitId": provenance.git_commit,
        "Repository": provenance.git_repository,
    }
    return {key: value for key, value in known.items() if value and len(value) <= 1024 and "\n" not in value}
