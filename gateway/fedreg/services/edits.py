"""Single changes, one intent with one effect each: tags, aliases, approval, texts, create, delete."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from fedreg.domain.capabilities import (
    Operation,
    VersionIds,
    check_alias,
    check_length,
    check_model_draft,
    check_tags,
    check_version_draft,
    require_version_fields,
)
from fedreg.domain.errors import AlreadyExists, InvalidRequest, NotFound, Unsupported
from fedreg.domain.models import ModelDraft, Version, VersionDraft
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import Actor, Intent, IntentKind, RequestKey
from fedreg.domain.refs import Ref
from fedreg.domain.stages import Approval
from fedreg.services import intents as promises
from fedreg.services.changes import apply_change, plan_effect
from fedreg.services.effects import CREATED, held_by_gateway, version_field
from fedreg.services.fidelity import arrival
from fedreg.services.gateway import Gateway
from fedreg.services.promotion import move_alias
from fedreg.services.promotion_decisions import start_approved
from fedreg.services.selectors import resolve


async def create_model(
    gateway: Gateway, ref: Ref, draft: ModelDraft, *, actor: Actor, reason: str | None, key: RequestKey | None = None
) -> Intent:
    """Raises AlreadyExists, InvalidRequest for a field past a limit, Unsupported for one that can't be held.

    A `key` that has started a change already gives that one.
    """
    requested = await promises.find_requested(gateway, key)
    if requested is not None:
        return await promises.wait(gateway, requested.id)
    adapter = await _adapter(gateway, ref, Operation.CREATE_MODEL)
    capabilities = adapter.capabilities
    check_model_draft(draft, capabilities.limits, registry=ref.registry)
    given = {"description": draft.description, "tags": dict(draft.tags)}
    fields = {name: value for name, value in given.items() if value}
    for name in fields.keys() - capabilities.model_fields:
        raise Unsupported(f"{name}: registry {ref.registry!r} can't hold it on a model", cure=f"leave {name} out")
    if await _model_exists(adapter, ref.model):
        raise AlreadyExists(f"model '{ref}' exists", registry=ref.registry, cure="choose another name")
    effect = plan_effect(ref.registry, ref.model, "model.exists", False, fields or True)
    return await apply_change(gateway, [effect], actor=actor, reason=reason, key=key)


async def create_version(
    gateway: Gateway, ref: Ref, draft: VersionDraft, *, actor: Actor, reason: str | None, key: RequestKey | None = None
) -> Intent:
    """Register bytes that are where the registry can read them (`draft.source_uri`); it arrives unapproved.

    Raises NotFound for an unknown model, InvalidRequest for a field past a limit or a place the registry can't read,
    Unsupported where it registers no bytes in place or can't hold a field. A `key` that has started a change already
    gives that one.
    """
    requested = await promises.find_requested(gateway, key)
    if requested is not None:
        return await promises.wait(gateway, requested.id)
    adapter = await _adapter(gateway, ref, Operation.CREATE_VERSION)
    capabilities, draft = adapter.capabilities, replace(draft, approval=arrival(adapter.capabilities))
    if not draft.source_uri:
        raise InvalidRequest("artifact_uri '' is empty", registry=ref.registry, cure="say where the bytes are")
    if draft.version is not None and capabilities.version_ids is not VersionIds.CALLER:
        raise Unsupported(
            f"version {draft.version!r}: registry {ref.registry!r} numbers versions itself",
            registry=ref.registry,
            operation=Operation.CREATE_VERSION.value,
            cure="leave version out",
        )
    _check_metrics(draft.metrics)
    require_version_fields(draft, capabilities, registry=ref.registry)
    check_version_draft(draft, capabilities.limits, registry=ref.registry)
    if capabilities.models == "explicit":
        await adapter.get_model(ref.model)
    effect = plan_effect(ref.registry, ref.model, CREATED, None, msgspec.to_builtins(draft))
    return await apply_change(gateway, [effect], actor=actor, reason=reason, key=key)


def made_version(intent: Intent) -> Ref:
    """The version that a `create_version` has made."""
    [made] = (intent.result or {})["effects"]
    return Ref(made["registry"], made["model"]).at_version(made["version"])


async def delete_model(gateway: Gateway, ref: Ref, *, actor: Actor, reason: str | None) -> Intent:
    """Raises NotFound; Conflict where the registry keeps a model that has versions."""
    adapter = await _adapter(gateway, ref, Operation.DELETE_MODEL)
    await adapter.get_model(ref.model)
    effect = plan_effect(ref.registry, ref.model, "model.exists", True, False)
    return await apply_change(gateway, [effect], actor=actor, reason=reason)


async def delete_version(gateway: Gateway, ref: Ref, *, actor: Actor, reason: str | None) -> Intent:
    """Raises NotFound."""
    await _adapter(gateway, ref, Operation.DELETE_VERSION)
    version = await resolve(gateway, ref, for_write=True)
    effect = plan_effect(ref.registry, ref.model, "version.exists", True, False, version)
    return await apply_change(gateway, [effect], actor=actor, reason=reason)


async def set_alias(gateway: Gateway, ref: Ref, alias: str, *, actor: Actor, reason: str | None) -> Intent:
    """Point `alias` at the version of `ref`, moving it where it is set."""
    adapter = await _adapter(gateway, ref, Operation.SET_ALIAS)
    check_alias(alias, adapter.capabilities.limits, registry=ref.registry)
    version = await resolve(gateway, ref, for_write=True)
    flowing = await move_alias(gateway, version, alias, True, actor=actor, reason=reason)
    if flowing is not None:
        return flowing
    before = (await adapter.get_model(ref.model)).aliases.get(alias)
    effect = plan_effect(ref.registry, ref.model, f"alias:{alias}", before, version.version)
    return await apply_change(gateway, [effect], actor=actor, reason=reason)


async def delete_alias(gateway: Gateway, ref: Ref, alias: str, *, actor: Actor, reason: str | None) -> Intent:
    """Raises NotFound where the model has no such alias."""
    adapter = await _adapter(gateway, ref, Operation.DELETE_ALIAS)
    before = (await adapter.get_model(ref.model)).aliases.get(alias)
    if before is None:
        model = Ref(ref.registry, ref.model)
        raise NotFound(
            f"alias {alias!r} of '{model}' does not exist",
            registry=ref.registry,
            cure=f"`fedreg show '{model}'` lists its aliases",
        )
    holder = await resolve(gateway, Ref(ref.registry, ref.model).at_version(before))
    flowing = await move_alias(gateway, holder, alias, None, actor=actor, reason=reason)
    if flowing is not None:
        return flowing
    effect = plan_effect(ref.registry, ref.model, f"alias:{alias}", before, None)
    return await apply_change(gateway, [effect], actor=actor, reason=reason)


async def set_tags(
    gateway: Gateway,
    ref: Ref,
    tags: Mapping[str, str],
    remove: Collection[str] = (),
    *,
    actor: Actor,
    reason: str | None,
) -> Intent:
    """Set and remove tags of a version, or of a model where `ref` has no selector. Others stay."""
    of_version = ref.selector is not None
    operation = Operation.SET_VERSION_TAGS if of_version else Operation.SET_MODEL_TAGS
    adapter = await _adapter(gateway, ref, operation)
    version = await resolve(gateway, ref, for_write=True) if of_version else None
    before = dict(version.tags if version else (await adapter.get_model(ref.model)).tags)
    after = {key: value for key, value in (before | dict(tags)).items() if key not in set(remove)}
    check_tags(after, adapter.capabilities.limits, registry=ref.registry, of_version=of_version)
    field = "tags" if of_version else "model.tags"
    effect = plan_effect(ref.registry, ref.model, field, before, after, version)
    return await apply_change(gateway, [effect], actor=actor, reason=reason)


async def set_approval(
    gateway: Gateway, ref: Ref, decision: Approval, comment: str | None = None, *, actor: Actor, reason: str | None
) -> Intent:
    """Record a decision on a version, natively or, where the registry has no such axis, at the gateway."""
    adapter = await gateway.registries.get(ref.registry)
    version = await resolve(gateway, ref, for_write=True)
    after: dict[str, Any] = {"decision": decision.value, "comment": comment}
    if comment and held_by_gateway(adapter.capabilities, "approval", after):
        raise InvalidRequest("comment: the gateway holds decisions without one", cure="give the text as --reason")
    effect = plan_effect(ref.registry, ref.model, "approval", version_field(version, "approval"), after, version)
    made = await apply_change(gateway, [effect], actor=actor, reason=reason, kind=IntentKind.CHANGE)
    await start_approved(gateway, version)  # a gate may have waited for this word
    return made


async def set_description(gateway: Gateway, ref: Ref, text: str, *, actor: Actor, reason: str | None) -> Intent:
    """Describe a version, or a model where `ref` has no selector."""
    of_version = ref.selector is not None
    operation = Operation.UPDATE_VERSION if of_version else Operation.UPDATE_MODEL
    adapter = await _adapter(gateway, ref, operation)
    check_length("description", text, adapter.capabilities.limits.description, ref.registry)
    version: Version | None = await resolve(gateway, ref, for_write=True) if of_version else None
    before = version.description if version else (await adapter.get_model(ref.model)).description
    field = "description" if of_version else "model.description"
    effect = plan_effect(ref.registry, ref.model, field, before, text, version)
    return await apply_change(gateway, [effect], actor=actor, reason=reason)


def _check_metrics(metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise InvalidRequest(f"metrics.{name} is {value}, which is no number", cure="leave it out")


async def _adapter(gateway: Gateway, ref: Ref, operation: Operation) -> RegistryAdapter:
    adapter = await gateway.registries.get(ref.registry)
    adapter.capabilities.require(operation, registry=ref.registry)
    return adapter


async def _model_exists(adapter: RegistryAdapter, name: str) -> bool:
    try:
        await adapter.get_model(name)
    except NotFound:
        return False
    return True
