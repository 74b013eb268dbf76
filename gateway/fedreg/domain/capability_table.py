"""Capabilities as people read them: the same texts in `fedreg capabilities` and in docs/adapters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fedreg.domain.capabilities import Capabilities, Operation
from fedreg.domain.stages import StageSupport

NOTHING = "-"


def capability_rows(
    by_registry: Mapping[str, Capabilities], access: Mapping[str, Iterable[str]] = MappingProxyType({})
) -> list[dict[str, str]]:
    """The matrix as rows: `capability` and a text for each registry. `access`: more lines of a registry, each a yes."""
    described = {
        registry: {**describe_capabilities(found), **dict.fromkeys(access.get(registry, ()), "yes")}
        for registry, found in by_registry.items()
    }
    names = list(dict.fromkeys(name for fields in described.values() for name in fields))
    return [
        {"capability": name, **{registry: fields.get(name, NOTHING) for registry, fields in described.items()}}
        for name in names
    ]


def describe_capabilities(capabilities: Capabilities) -> dict[str, str]:
    """Every capability as a short text, in a fixed order; `-` (NOTHING) for what is not there."""
    texts = {f"{operation.value}": "yes" if capabilities.supports(operation) else NOTHING for operation in Operation}
    for stage in ("production", "staging", "archived"):
        texts[f"stage {stage}"] = _stage(capabilities.stage_support(stage))
    texts["stage (custom)"] = _stage(capabilities.custom_stages)
    texts["approval"] = _join(approval.value for approval in capabilities.approvals)
    upload = capabilities.upload
    texts["upload packaging"] = _join(upload.packaging) if upload else NOTHING
    texts["upload resume"] = upload.resume.value if upload else NOTHING
    texts["read back before finish"] = "yes" if upload and upload.readback else NOTHING
    texts["incremental scan sees"] = _join(change.value for change in capabilities.incremental)
    texts["version fields"] = _join(capabilities.fields)
    texts["model fields"] = _join(capabilities.model_fields)
    texts["editable"] = _join(capabilities.editable)
    texts["version ids"] = capabilities.version_ids.value
    texts["create requires"] = _join(capabilities.create_requires)
    limits = capabilities.limits
    for name in sorted(type(limits).__dataclass_fields__):
        value = getattr(limits, name)
        texts[f"limit {name}"] = NOTHING if value is None else str(value)
    return texts


def _stage(support: StageSupport | None) -> str:
    if support is None:
        return NOTHING
    exclusive = "one version" if support.exclusive else "many versions"
    return f"{support.holder.value}, {exclusive}, {support.condition.value}"


def _join(values: Iterable[str]) -> str:
    return ", ".join(sorted(values)) or NOTHING
