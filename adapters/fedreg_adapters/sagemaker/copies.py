"""Native copies: which fields of a package a copy in another group takes over."""

from __future__ import annotations

from typing import Any

from fedreg_adapters.sagemaker.client import JSON
from fedreg_adapters.sagemaker.mapping import KEY

_TAKEN = (
    "ModelPackageDescription",
    "ModelPackageRegistrationType",
    "SourceAlgorithmSpecification",
    "MetadataProperties",
    "ModelMetrics",
    "DriftCheckBaselines",
    "AdditionalInferenceSpecifications",
    "Domain",
    "Task",
    "SamplePayloadUrl",
    "SkipModelValidation",
    "SecurityConfig",
    "ModelCard",
)
_ANSWERED = frozenset({"ModelDataETag", "ETag", "ManifestEtag", "IsCheckpoint"})  # SageMaker adds them itself


def copied_fields(package: JSON, key: str) -> JSON:
    """Fields of CreateModelPackage for a copy: same bytes and metadata, a key of its own, approval pending."""
    fields = {name: _without_answered(package[name]) for name in _TAKEN if package.get(name)}
    if "InferenceSpecification" in package:
        fields["InferenceSpecification"] = _without_answered(package["InferenceSpecification"])
    fields["CustomerMetadataProperties"] = {**package.get("CustomerMetadataProperties", {}), KEY: key}
    fields["ModelApprovalStatus"] = "PendingManualApproval"
    return fields


def _without_answered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_answered(member) for name, member in value.items() if name not in _ANSWERED}
    return [_without_answered(member) for member in value] if isinstance(value, list) else value
