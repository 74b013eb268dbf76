"""Model packages: versions of a group, and the older unversioned kind."""

from typing import Any

from .standin_errors import ServiceError, conflict, invalid
from .standin_groups import find_group
from .standin_rules import check_card_content, check_inference_specification, check_metadata_size
from .standin_search import drop_record, reindex_package
from .standin_state import Group, Package, State, digest, emit_package_event, group_key, list_documents, name_of
from .standin_tags import read_tags
from .standin_validation import JSON, project

TOKEN_LIFE_SECONDS = 8 * 3600.0
MAX_ADDED_SPECIFICATIONS = 15
REPLACED = (
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
    "ApprovalDescription",
    "InferenceSpecification",
    "ModelLifeCycle",
    "SourceUri",
)


def find_package(state: State, name_or_arn: str) -> Package:
    """Return the package by ARN, by `GROUP/NUMBER`, or by the name of an unversioned one."""
    name = name_of(state, "model-package", name_or_arn)
    package = state.packages.get(state.arn("model-package", name)) if name else None
    if package is None:
        arn = name_or_arn if name_or_arn.startswith("arn:") else state.arn("model-package", name_or_arn)
        raise invalid(f"ModelPackage {arn} does not exist.")
    return package


def create_package(state: State, request: JSON) -> JSON:
    replayed = _replay(state, request)
    if replayed:
        return {"ModelPackageArn": replayed}
    if "ModelPackageName" in request and "ModelPackageGroupName" in request:
        raise invalid(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input."
            " Cannot determine which one to use."
        )
    if "ModelPackageName" not in request and "ModelPackageGroupName" not in request:
        raise invalid("Missing ARN.")
    _check_create(request)
    arn = _add_version(state, request) if "ModelPackageGroupName" in request else _add_unversioned(state, request)
    _remember(state, request, arn)
    reindex_package(state, arn)
    emit_package_event(state, state.packages[arn].document, [])
    return {"ModelPackageArn": arn}


def _check_create(request: JSON) -> None:
    specification = request.get("InferenceSpecification")
    if specification:
        check_inference_specification(specification)
    check_card_content(request.get("ModelCard", {}).get("ModelCardContent"))
    if "ModelPackageGroupName" in request:
        if request.get("Tags"):
            raise invalid("Tags are not supported for versioned model packages: they use the tags of their group.")
        if request.get("CertifyForMarketplace"):
            raise invalid("CertifyForMarketplace does not apply to versioned model packages.")
    elif not specification and "SourceAlgorithmSpecification" not in request:
        raise invalid("InferenceSpecification or SourceAlgorithmSpecification is required for this model package.")
    elif "ModelApprovalStatus" in request:
        raise invalid("ModelApprovalStatus does not apply to unversioned model packages.")
    elif any("Environment" in container for container in (specification or {}).get("Containers", [])):
        raise invalid(
            "1 validation errors detected:Environment variable map cannot be specified"
            " when using non-versioned ModelPackages"
        )


def _add_version(state: State, request: JSON) -> str:
    group = find_group(state, request["ModelPackageGroupName"])
    group.last_version += 1
    name = group.document["ModelPackageGroupName"]
    arn = state.arn("model-package", f"{name}/{group.last_version}")
    given = {"ModelApprovalStatus": "PendingManualApproval"} | request
    managed = group.document.get("ManagedConfiguration", {})
    document = given | {"ModelPackageGroupName": name, "ModelPackageVersion": group.last_version} | managed
    state.packages[arn] = _make_package(state, document, arn)
    group.versions[group.last_version] = arn
    return arn


def _add_unversioned(state: State, request: JSON) -> str:
    arn = state.arn("model-package", request["ModelPackageName"])
    if arn in state.packages:
        raise invalid(f"Model Package already exists: {arn}")
    state.tags[arn] = read_tags(request.get("Tags", []))
    state.packages[arn] = _make_package(state, request, arn)
    return arn


def _make_package(state: State, given: JSON, arn: str) -> Package:
    pending = state.options.pending_describes
    document = project("DescribeModelPackageOutput", given) | {
        "ModelPackageArn": arn,
        "CreationTime": state.now(),
        "CreatedBy": state.user_context(),
        "ModelPackageStatus": "Pending" if pending else "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
    }
    return Package(document, pending)


def describe_package(state: State, request: JSON) -> JSON:
    package = find_package(state, request["ModelPackageName"])
    shown = project("DescribeModelPackageOutput", package.document)
    _advance(state, package)
    if request.get("IncludedData") == "MetadataOnly" and "ModelCard" in shown:
        shown["ModelCard"] = shown["ModelCard"] | {"ModelCardContent": ""}
    return shown


def _advance(state: State, package: Package) -> None:
    if package.document["ModelPackageStatus"] not in {"Pending", "InProgress"}:
        return
    package.pending -= 1
    set_status(state, package, "InProgress" if package.pending > 0 else "Completed")


def set_status(state: State, package: Package, status: str, reason: str = "") -> None:
    """Move a package to a status; a change is indexed and emitted as an event."""
    if package.document["ModelPackageStatus"] == status:
        return
    details: JSON = {"ValidationStatuses": [], "ImageScanStatuses": []}
    if status == "Failed":
        details["ValidationStatuses"] = [{"Name": "validation", "Status": status, "FailureReason": reason}]
    package.document |= {"ModelPackageStatus": status, "ModelPackageStatusDetails": details}
    reindex_package(state, package.document["ModelPackageArn"])
    emit_package_event(state, package.document, [])


def batch_describe(state: State, request: JSON) -> JSON:
    found: dict[str, JSON] = {}
    errors: dict[str, JSON] = {}
    for arn in request["ModelPackageArnList"]:
        try:
            found[arn] = project("BatchDescribeModelPackageSummary", find_package(state, arn).document)
        except ServiceError as error:
            errors[arn] = {"ErrorCode": error.code, "ErrorResponse": error.message}
    return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": errors}


def list_packages(state: State, request: JSON) -> JSON:
    group = find_group(state, request["ModelPackageGroupName"]) if "ModelPackageGroupName" in request else None
    wanted = request.get("ModelPackageType", "Versioned" if group else "Unversioned")
    approval = request.get("ModelApprovalStatus")
    documents = [state.packages[arn].document for arn in (group.versions.values() if group else state.packages)]
    entries = [
        (_id_of(d), d.get("ModelPackageGroupName") or d["ModelPackageName"], d)
        for d in documents
        if wanted in {"Both", "Versioned" if "ModelPackageVersion" in d else "Unversioned"}
        and approval in {None, d.get("ModelApprovalStatus")}
    ]
    page, token = list_documents(state, "ListModelPackages", request, entries)
    return {"ModelPackageSummaryList": [project("ModelPackageSummary", d) for d in page]} | token


def _id_of(document: JSON) -> str:
    """Sorts versions created in the same millisecond by number, not by text."""
    prefix, _, _ = document["ModelPackageArn"].rpartition("/")
    return f"{prefix}/{document.get('ModelPackageVersion', 0):09d}/{document['ModelPackageArn']}"


def update_package(state: State, request: JSON) -> JSON:
    """Patch: an absent member is left alone; properties merge; a life cycle can be replaced but not unset."""
    package = find_package(state, request["ModelPackageArn"])
    arn = package.document["ModelPackageArn"]
    if _replay(state, request):
        return {"ModelPackageArn": arn}
    if "ModelPackageVersion" not in package.document:
        raise invalid(f"ModelPackage {arn} is not versioned: only versioned model packages can be updated.")
    changes: JSON = {name: request[name] for name in REPLACED if name in request}
    changes |= _patched_card(package.document, request)
    changes |= _patched_properties(
        package.document, request, replace=state.options.replace_properties
    ) | _added_specifications(package.document, request)
    if "InferenceSpecification" in changes:
        check_inference_specification(changes["InferenceSpecification"])
    package.document |= changes | {"LastModifiedTime": state.now(), "LastModifiedBy": state.user_context()}
    if changes.get("CustomerMetadataProperties") == {}:
        del package.document["CustomerMetadataProperties"]
    _remember(state, request, arn)
    reindex_package(state, arn)
    updated = ["sourceUri" if name == "SourceUri" else name for name in changes]
    if updated:
        emit_package_event(state, package.document, updated)
    return {"ModelPackageArn": arn}


def _patched_card(document: JSON, request: JSON) -> JSON:
    if "ModelCard" not in request:
        return {}
    check_card_content(request["ModelCard"].get("ModelCardContent"))
    return {"ModelCard": document.get("ModelCard", {}) | request["ModelCard"]}


def _patched_properties(document: JSON, request: JSON, *, replace: bool) -> JSON:
    added = request.get("CustomerMetadataProperties", {})
    removed = request.get("CustomerMetadataPropertiesToRemove", [])
    if both := sorted(set(added) & set(removed)):
        raise invalid(f"CustomerMetadataProperties {both} can not be both added and removed in one request.")
    if not added and not removed:
        return {}
    held = {} if replace and added else document.get("CustomerMetadataProperties", {})
    kept = {k: v for k, v in held.items() if k not in removed}
    check_metadata_size(kept | added)
    return {"CustomerMetadataProperties": kept | added}


def _added_specifications(document: JSON, request: JSON) -> JSON:
    added = request.get("AdditionalInferenceSpecificationsToAdd", [])
    if not added:
        return {}
    merged = document.get("AdditionalInferenceSpecifications", []) + added
    names = [specification["Name"] for specification in merged]
    if len(set(names)) < len(names):
        raise invalid("Names of AdditionalInferenceSpecifications must be unique within a model package.")
    if len(merged) > MAX_ADDED_SPECIFICATIONS:
        raise invalid(f"Total number of additional Inference Specifications can not exceed {MAX_ADDED_SPECIFICATIONS}.")
    return {"AdditionalInferenceSpecifications": merged}


def delete_package(state: State, request: JSON) -> None:
    package = find_package(state, request["ModelPackageName"])
    arn = package.document["ModelPackageArn"]
    del state.packages[arn]
    state.tags.pop(arn, None)
    if "ModelPackageVersion" in package.document:
        _group_of(state, package).versions.pop(package.document["ModelPackageVersion"])
    drop_record(state, "ModelPackage", arn)


def _group_of(state: State, package: Package) -> Group:
    return state.groups[group_key(state, package.document["ModelPackageGroupName"])]


def _replay(state: State, request: JSON) -> str | None:
    """The ARN an earlier request with this ClientToken made; refuses a token that came with other parameters."""
    fingerprint, arn, until = state.package_tokens.get(request.get("ClientToken", ""), ("", "", 0.0))
    if not arn or until <= state.now():
        return None
    if fingerprint != digest(request):
        raise conflict("The ClientToken was already used with different parameters.")
    return arn


def _remember(state: State, request: JSON, arn: str) -> None:
    if token := request.get("ClientToken"):
        state.package_tokens[token] = (digest(request), arn, state.now() + TOKEN_LIFE_SECONDS)


OPERATIONS: dict[str, Any] = {
    "CreateModelPackage": create_package,
    "DescribeModelPackage": describe_package,
    "BatchDescribeModelPackage": batch_describe,
    "ListModelPackages": list_packages,
    "UpdateModelPackage": update_package,
    "DeleteModelPackage": delete_package,
}
