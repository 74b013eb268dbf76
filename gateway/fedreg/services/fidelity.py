"""What a version loses or changes on its way into another registry.

Three things can happen to a field: `renamed` (another spelling natively, the same name in fedreg),
`held_by_gateway` (the registry can't hold it, the gateway does), `dropped`. Only `dropped` needs acceptance.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from fedreg.domain.capabilities import Capabilities, Limits, Operation, check_tags
from fedreg.domain.errors import InvalidRequest, LossNotAccepted
from fedreg.domain.models import Model, ModelDraft, Provenance, Version, VersionDraft
from fedreg.domain.port import AdapterManifest
from fedreg.domain.reports import Loss, LossKind
from fedreg.domain.stages import Approval

# Tags that say what a model card says, by its names for them (the Hub's metadata, and what a result in it needs).
CARD_FACTS = frozenset(
    {
        "license",
        "license_name",
        "license_link",
        "base_model",
        "base_model_relation",
        "datasets",
        "language",
        "library_name",
        "pipeline_tag",
        "task",
        "dataset",
        "dataset_type",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A draft that the target can hold, what the gateway holds beside it, and the report."""

    draft: VersionDraft
    held: Mapping[str, Any] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()


def fit_version(version: Version, target_model: str, capabilities: Capabilities, *, target: str) -> Fitted:
    """Fit a version's own fields into a registry. Stage and aliases are not part of a copy."""
    losses: list[Loss] = []
    held: dict[str, Any] = {}
    tags, tags_held = _fit_tags(version.tags, capabilities, target)
    metrics = {name: value for name, value in version.metrics.items() if math.isfinite(value)}
    losses += [
        Loss(field=f"metrics.{name}", kind=LossKind.DROPPED, why="not a finite number")
        for name in sorted(set(version.metrics) - set(metrics))
    ]
    draft = VersionDraft(model=target_model, tags=tags, approval=arrival(capabilities))
    if tags_held:
        held["tags"] = tags_held
        losses += [_held(f"tags.{key}", target) for key in sorted(tags_held)]
    if version.description is not None:
        if _holds_description(version.description, capabilities):
            draft = replace(draft, description=version.description)
        else:
            held["description"] = version.description
            losses.append(_held("description", target))
    numbers: Mapping[str, Mapping[str, Any]] = {"metrics": metrics, "params": version.params}
    for name, value in numbers.items():
        if value and name not in capabilities.fields:
            held[name] = dict(value)
            losses.append(_held(name, target))
    draft = replace(
        draft,
        metrics={} if "metrics" in held else metrics,
        params={} if "params" in held else dict(version.params),
    )
    provenance = _provenance(version, capabilities)
    if "provenance" in capabilities.fields:
        draft = replace(draft, provenance=provenance)
    else:
        held["provenance"] = msgspec.to_builtins(provenance)
        losses.append(_held("provenance", target))
    return Fitted(draft=draft, held=held, losses=tuple(losses))


def fit_model(
    model: Model, name: str, capabilities: Capabilities, *, target: str
) -> tuple[ModelDraft, dict[str, Any], tuple[Loss, ...]]:
    """The model to create at a target, what the gateway holds of it, and the report (`model.` fields)."""
    held: dict[str, Any] = {}
    limit, fields = capabilities.limits.description, model_fields(capabilities)
    description = model.description or None
    if description and ("description" not in fields or len(description) > (limit or len(description))):
        held["description"], description = description, None
    tags = dict(model.tags)
    if "tags" in fields:
        tags = {
            key: text for key, text in sorted(tags.items()) if _tag_fits(key, text, capabilities.limits, target, False)
        }
        tags = dict(list(tags.items())[: capabilities.limits.tags_per_model])
    else:
        tags = {}
    if len(tags) < len(model.tags):
        held["tags"] = {key: text for key, text in model.tags.items() if key not in tags}
    names = [f"model.{name}" for name in held if name != "tags"] + [f"model.tags.{key}" for key in held.get("tags", ())]
    return ModelDraft(name=name, description=description, tags=tags), held, tuple(_held(f, target) for f in names)


def model_fields(capabilities: Capabilities) -> frozenset[str]:
    """What of a model a registry holds: at its create, or where its first version makes it, after that."""
    if capabilities.models != "implicit":
        return capabilities.model_fields
    described = capabilities.supports(Operation.UPDATE_MODEL) and "model.description" in capabilities.editable
    tagged = capabilities.supports(Operation.SET_MODEL_TAGS)
    later = {"description"} if described else set()
    return capabilities.model_fields | later | ({"tags"} if tagged else set())


def list_spellings(
    manifest: AdapterManifest,
    *,
    target: str,
    model: str | None = None,
    files: Iterable[str] = (),
    aliases: Iterable[str] = (),
) -> tuple[Loss, ...]:
    """The names that a registry spells its own way; everybody who asks fedreg gets them as they were."""
    found: list[tuple[str, str, str]] = []
    if manifest.names is not None and model is not None:
        found.append(("model", model, manifest.names.encode(model)))
    if manifest.files is not None:
        found += [(f"files.{path}", path, manifest.files(path)) for path in files]
    if manifest.aliases is not None:
        found += [(f"aliases.{alias}", alias, manifest.aliases.encode(alias)) for alias in aliases]
    return tuple(
        Loss(field=field, kind=LossKind.RENAMED, why=f"registry {target!r} spells it {native!r}")
        for field, ours, native in found
        if native != ours
    )


def accept_losses(losses: Iterable[Loss], accepted: Iterable[str] | None) -> None:
    """LossNotAccepted naming each dropped field that is not accepted. `accepted`: names, or `*` for all."""
    allowed = set(accepted or ())
    refused = [
        loss for loss in losses if loss.kind is LossKind.DROPPED and "*" not in allowed and loss.field not in allowed
    ]
    if refused:
        names = ", ".join(loss.field for loss in refused)
        raise LossNotAccepted(
            f"the target can't hold: {names}",
            cure=f"accept it with --allow-lossy={','.join(loss.field for loss in refused)}",
            details={"losses": msgspec.to_builtins(refused)},
        )


def _provenance(version: Version, capabilities: Capabilities) -> Provenance:
    """Where the copy comes from. A registry without tags gets those that a model card is made of as provenance."""
    own = version.provenance
    if not capabilities.supports(Operation.SET_VERSION_TAGS):
        said = {name: text for name, text in version.tags.items() if name in CARD_FACTS and text}
        own = replace(own, extra={**said, **own.extra})
    return replace(
        own,
        source_uri=own.source_uri or version.artifact_uri,
        created_at=own.created_at or version.created_at,
        extra={**own.extra, "copied_from": f"{version.registry}:{version.model}@version:{version.version}"},
    )


def arrival(capabilities: Capabilities) -> Approval:
    """What a new version arrives with: in many companies an approved one starts deployments."""
    return Approval.PENDING if Approval.PENDING in capabilities.approvals else Approval.NONE


def _holds_description(text: str, capabilities: Capabilities) -> bool:
    limit = capabilities.limits.description
    return "description" in capabilities.fields and (limit is None or len(text) <= limit)


def _fit_tags(
    tags: Mapping[str, str], capabilities: Capabilities, target: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Tags the target holds and tags it does not, each judged alone, then by count."""
    if not capabilities.supports(Operation.SET_VERSION_TAGS):
        return {}, dict(tags)
    fits = {key: value for key, value in sorted(tags.items()) if _tag_fits(key, value, capabilities.limits, target)}
    count = capabilities.limits.tags_per_version
    kept = dict(list(fits.items())[:count])
    return kept, {key: value for key, value in tags.items() if key not in kept}


def _tag_fits(key: str, value: str, limits: Limits, target: str, of_version: bool = True) -> bool:
    pattern = limits.tag_key_pattern
    if pattern is not None and not re.fullmatch(pattern, key):
        return False
    try:
        check_tags({key: value}, limits, registry=target, of_version=of_version)
    except InvalidRequest:
        return False
    return True


def _held(name: str, target: str) -> Loss:
    return Loss(field=name, kind=LossKind.HELD_BY_GATEWAY, why=f"registry {target!r} can't hold it")
