"""What a registry can't hold, held by the gateway and merged into what is read.

Values hang on identity. Native beats overflow: a field the registry shows is never covered by ours.
Fields: `stage`, `approval`, `approval_comment`, `description`, `tags`, `metrics`, `params`, `provenance`, `aliases`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from fedreg.domain.models import Provenance, Version
from fedreg.domain.stages import NONE, Approval
from fedreg.services.gateway import Gateway
from fedreg.store import digests, overflow


async def merge_overflow(gateway: Gateway, versions: Sequence[Version]) -> list[Version]:
    """The versions of one registry with what the gateway holds of them, and the digests it has read."""
    if not versions:
        return []
    registry = versions[0].registry
    identities = [version.identity for version in versions]
    values, known = await gateway.store.read(
        lambda conn: (
            overflow.get_values(conn, registry, identities),
            digests.get_digests(conn, registry, identities),
        )
    )
    merged = [merge_values(version, values.get(version.identity, {})) for version in versions]
    return [replace(v, digest=known.get(v.identity, v.digest)) if known else v for v in merged]


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
