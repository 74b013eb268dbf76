"""What a registry declares, as lists of test parameters. A parameter's name is what a test asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedreg.domain.capabilities import Capabilities, Change, Limits, Operation
from fedreg.domain.stages import NONE, Approval, Condition

CUSTOM_STAGE = "shadow-test"
EDGES = tuple(name for name in Limits.__slots__ if name not in ("file_size",) and not name.endswith("pattern"))


def declared_stages(capabilities: Capabilities) -> list[str]:
    """Every stage named, and a custom one where custom ones are held."""
    custom = [CUSTOM_STAGE] if capabilities.custom_stages is not None else []
    return [stage for stage in sorted(capabilities.stages) if stage != NONE] + custom


def undeclared_stages(capabilities: Capabilities) -> list[str]:
    candidates = ["staging", "production", "archived", CUSTOM_STAGE]
    return [stage for stage in candidates if capabilities.stage_support(stage) is None]


def exclusive_stages(capabilities: Capabilities) -> list[str]:
    return [stage for stage in declared_stages(capabilities) if _support(capabilities, stage).exclusive]


def shared_stages(capabilities: Capabilities) -> list[str]:
    return [stage for stage in declared_stages(capabilities) if not _support(capabilities, stage).exclusive]


def conditional_stages(capabilities: Capabilities) -> list[str]:
    return [s for s in declared_stages(capabilities) if _support(capabilities, s).condition is not Condition.NONE]


def atomic_stages(capabilities: Capabilities) -> list[str]:
    return [s for s in declared_stages(capabilities) if _support(capabilities, s).condition is Condition.ATOMIC]


def declared_approvals(capabilities: Capabilities) -> list[Approval]:
    return [approval for approval in Approval if approval in capabilities.approvals]


def undeclared_approvals(capabilities: Capabilities) -> list[Approval]:
    return [approval for approval in Approval if approval not in capabilities.approvals]


def declared_packagings(capabilities: Capabilities) -> list[str]:
    return list(capabilities.upload.packaging) if capabilities.upload is not None else []


def declared_changes(capabilities: Capabilities) -> list[Change]:
    return [change for change in Change if change in capabilities.incremental]


def declared_limits(capabilities: Capabilities) -> list[str]:
    """Names of the limits that are set."""
    return [name for name in EDGES if getattr(capabilities.limits, name) is not None]


def undeclared_operations(capabilities: Capabilities) -> list[Operation]:
    return [operation for operation in Operation if operation not in capabilities.operations]


def declared_fields(capabilities: Capabilities) -> list[str]:
    return sorted(capabilities.fields)


def undeclared_fields(capabilities: Capabilities) -> list[str]:
    return [
        name
        for name in ("description", "metrics", "params", "provenance", "approval")
        if name not in capabilities.fields
    ]


def undeclared_model_fields(capabilities: Capabilities) -> list[str]:
    return [name for name in ("description", "tags") if name not in capabilities.model_fields]


def _support(capabilities: Capabilities, stage: str) -> Any:
    return capabilities.stage_support(stage)


PARAMETERS: Mapping[str, Callable[[Capabilities], list[Any]]] = {
    "declared_stage": declared_stages,
    "undeclared_stage": undeclared_stages,
    "exclusive_stage": exclusive_stages,
    "shared_stage": shared_stages,
    "conditional_stage": conditional_stages,
    "atomic_stage": atomic_stages,
    "declared_approval": declared_approvals,
    "undeclared_approval": undeclared_approvals,
    "declared_packaging": declared_packagings,
    "declared_change": declared_changes,
    "declared_limit": declared_limits,
    "undeclared_operation": undeclared_operations,
    "declared_field": declared_fields,
    "undeclared_field": undeclared_fields,
    "undeclared_model_field": undeclared_model_fields,
}
