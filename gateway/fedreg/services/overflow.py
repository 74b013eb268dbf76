"""What a registry can't hold, held by the gateway and merged into what is read.

Values hang on identity; those of a model, which has none, on its name. Native beats overflow: a field the registry
shows is never covered by ours.
Fields: `stage`, `approval`, `approval_comment`, `description`, `tags`, `metrics`, `params`, `provenance`, `aliases`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from fedreg.domain.manifest import Digest
from fedreg.domain.models import Model, Provenance, Version
from fedreg.domain.stages import NONE, Approval
from fedreg.services.gateway import Gateway
from fedreg.store import digests, overflow


async def merge_overflow(gateway: Gateway, versions: Sequence[Version]) -> list[Version]:
    """The versions of one registry with what the gateway holds of them, and the digests it has read."""
    if not versions:
        return []
    if len(versions) == 1 and gateway.store.keyed is not None:
        values, digest = gateway.store.keyed.get_held(versions[0].registry, versions[0].identity)
        return [merge_held(versions[0], values, digest)]
    registry = versions[0].registry
    identities = [version.identity for version in versions]
    held, known = await gateway.store.read(
        lambda conn: (
            overflow.get_values(conn, registry, identities),
            digests.get_digests(conn, registry, identities),
        )
    )
    return [merge_held(v, held.get(v.identity, {}), known.get(v.identity)) for v in versions]


async def list_held(gateway: Gateway, registry: str, identity: str) -> Mapping[str, Any]:
    """What the gateway holds of one version: values by field."""
    if gateway.store.keyed is not None:
        return gateway.store.keyed.get_held(registry, identity)[0]
    found = await gateway.store.read(lambda conn: overflow.get_values(conn, registry, [identity]))
    return found.get(identity, {})


async def merge_model_overflow(gateway: Gateway, models: Sequence[Model]) -> list[Model]:
    """The models of one registry with what the gateway holds of them."""
    if not models:
        return []
    registry, identities = models[0].registry, [overflow.model_identity(model.name) for model in models]
    held = await gateway.store.read(lambda conn: overflow.get_values(conn, registry, identities))
    return [merge_model_values(model, held.get(overflow.model_identity(model.name), {})) for model in models]


def merge_model_values(model: Model, values: Mapping[str, Any]) -> Model:
    """One model with its overflow values; `held_by_gateway` names the fields that came from there."""
    changes: dict[str, Any] = {}
    held: list[str] = []
    if model.description is None and values.get("description") is not None:
        changes["description"] = values["description"]
        held.append("description")
    extra = _absent(values.get("tags", {}), model.tags)
    if extra:
        changes["tags"] = {**model.tags, **extra}
        held += [f"tags.{key}" for key in extra]
    return replace(model, **changes, held_by_gateway=tuple(held)) if held else model


def merge_held(version: Version, values: Mapping[str, Any], digest: Digest | None) -> Version:
    """A version with its overflow values, and with the digest that the gateway knows."""
    merged = merge_values(version, values) if values else version
    return merged if digest is None else replace(merged, digest=digest)


def merge_values(version: Version, values: Mapping[str, Any]) -> Version:
    """One version with its overflow values; `held_by_gateway` names the fields that came from there."""
    changes: dict[str, Any] = {}
    held: list[str] = []
    for name in ("description", "approval_comment"):
        if getattr(version, name) is None and values.get(name) is not None:
            changes[name] = values[name]
            held.append(name)
    if version.stage == NONE and values.get("stage", NONE) != NONE:
        changes |= {"stage": values["stage"], "stages": (values["stage"],)}
        held.append("stage")
    if version.approval is Approval.NONE and "approval" in values:
        changes["approval"] = Approval(values["approval"])
        held.append("approval")
    for name in ("tags", "metrics", "params"):
        extra = _absent(values.get(name, {}), getattr(version, name))
        if extra:
            changes[name] = {**getattr(version, name), **extra}
            held += [f"{name}.{key}" for key in extra]
    if "provenance" in values:
        changes["provenance"] = _fill(version.provenance, msgspec.convert(values["provenance"], Provenance))
        held.append("provenance")
    return replace(version, **changes, held_by_gateway=tuple(held)) if held else version


def _absent(ours: Mapping[str, Any], native: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in ours.items() if key not in set(native)}


def _fill(native: Provenance, ours: Provenance) -> Provenance:
    names = ("run_id", "source_uri", "git_commit", "git_repository", "created_by", "created_at")
    filled = {name: getattr(native, name) or getattr(ours, name) for name in names}
    return Provenance(**filled, extra={**ours.extra, **native.extra})
