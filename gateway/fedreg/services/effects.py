"""Fields of models and versions as effects see them: read one live, write one, say what happened.

A field is `stage`, `approval`, `description`, `tags`, `alias:NAME`, `model.tags`, `model.description`,
`model.exists` or `version.exists`. Values are JSON. What the registry can't hold goes to the overflow store.
`version.created` is written by `register_version`: the registry says which version it became.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fedreg.domain.capabilities import Capabilities, Operation
from fedreg.domain.errors import NotFound
from fedreg.domain.models import ModelDraft, Version, VersionDraft, VersionId
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import Effect
from fedreg.domain.stages import NONE, Approval
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import list_held, merge_overflow
from fedreg.store import overflow

CREATED = "version.created"
ACTIONS: Mapping[str, str] = {
    CREATED: "created",
    "stage": "stage_set",
    "approval": "approval_set",
    "description": "description_set",
    "tags": "tags_set",
    "model.tags": "tags_set",
    "model.description": "description_set",
}


OTHER_ACTIONS = (
    "alias_set",
    "alias_deleted",
    "copied",
    "deleted",
    "webhook_set",
    "webhook_deleted",
    "webhook_redelivered",
    "link_set",
    "link_deleted",
    "promotion_requested",
    "promotion_approved",
    "promotion_rejected",
    "promotion_settled",
)


def list_actions() -> tuple[str, ...]:
    """Every word that the journal has for a change."""
    return tuple(sorted({*ACTIONS.values(), *OTHER_ACTIONS}))


def action_of(effect: Effect) -> str:
    """The journal's word for an effect."""
    if effect.field.startswith("alias:"):
        return "alias_deleted" if effect.after is None else "alias_set"
    if effect.field.endswith(".exists"):
        return "created" if effect.after else "deleted"
    return ACTIONS[effect.field]


def journal_values(effect: Effect) -> tuple[Any, Any]:
    """`before` and `after` as the journal tells them, the same way for our changes as for observed ones."""
    before, after = effect.before, effect.after
    if effect.field.startswith("alias:"):
        alias = effect.field.removeprefix("alias:")
        shown = [None if end is None else {"alias": alias, "version": end} for end in (before, after)]
        return shown[0], shown[1]
    if effect.field == "approval":
        return before["decision"], {"approval": after["decision"], "comment": after.get("comment")}
    if effect.field == CREATED:
        return None, {name: value for name, value in after.items() if value and name != "model"}
    if effect.field.endswith("tags"):
        keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        return {key: before.get(key) for key in keys}, {key: after.get(key) for key in keys}
    return before, after


async def read_field(gateway: Gateway, adapter: RegistryAdapter, effect: Effect) -> Any:
    """The live value. Raises NotFound where the version (or, but for `model.exists`, the model) is gone."""
    name = effect.field
    if name == "model.exists":
        return await _exists(adapter.get_model(effect.model))
    if name == "version.exists":
        return await _exists(adapter.get_version(effect.model, effect.version or ""))
    if name.startswith("alias:"):
        return (await adapter.get_model(effect.model)).aliases.get(name.removeprefix("alias:"))
    if name.startswith("model."):
        model = await adapter.get_model(effect.model)
        return dict(model.tags) if name == "model.tags" else model.description
    live = (await merge_overflow(gateway, [await adapter.get_version(effect.model, effect.version or "")]))[0]
    if live.identity != effect.identity:
        raise NotFound(
            f"version {effect.version!r} of {effect.model!r} is another one than when the change was planned",
            registry=effect.registry,
            cure="look at it again and repeat the command",
        )
    return version_field(live, name)


def version_field(version: Version, name: str) -> Any:
    """A version's value of one field, as JSON."""
    if name == "approval":
        return {"decision": version.approval.value, "comment": version.approval_comment}
    if name == "tags":
        return dict(version.tags)
    return getattr(version, name)


async def write_field(gateway: Gateway, adapter: RegistryAdapter, effect: Effect) -> None:
    """Bring the field from `before` to `after`, at the registry or, where it can't hold it, at the gateway."""
    name, model, version = effect.field, effect.model, effect.version or ""
    if name.startswith("alias:"):
        alias = name.removeprefix("alias:")
        await (
            adapter.delete_alias(model, alias)
            if effect.after is None
            else adapter.set_alias(model, alias, effect.after)
        )
    elif name == "stage":
        await _write_stage(gateway, adapter, effect)
    elif name == "approval":
        await _write_approval(gateway, adapter, effect)
    elif name in ("tags", "model.tags"):
        await _write_tags(adapter, effect)
    elif name == "description":
        await adapter.update_version(model, version, description=effect.after)
    elif name == "model.description":
        await adapter.update_model(model, description=effect.after)
    elif name == "model.exists":
        fields = effect.after if isinstance(effect.after, Mapping) else {}  # True: a model without any
        draft = ModelDraft(name=model, **fields)
        if effect.after:
            await adapter.create_model(draft)
        else:
            await adapter.delete_model(model)
            await gateway.store.write(lambda tx: overflow.forget_models(tx, effect.registry, [model]))
    elif name == "version.exists":
        await adapter.delete_version(model, version)


async def register_version(adapter: RegistryAdapter, effect: Effect) -> Version:
    """The version of the effect's draft, made where there is none: the intent's id is the key it carries."""
    key = effect.intent_id.rpartition("-")[2]
    if adapter.capabilities.supports(Operation.FIND_VERSION):
        found = await adapter.find_version(effect.model, key)
        if found is not None:
            return found
    return await adapter.create_version(msgspec.convert(effect.after, VersionDraft), key)


def held_by_gateway(capabilities: Capabilities, name: str, after: Any) -> bool:
    """Whether this value of this field has to be held by the gateway."""
    if name == "stage":
        unsupported = not capabilities.supports(Operation.SET_STAGE)
        return unsupported or (after != NONE and capabilities.stage_support(after) is None)
    if name == "approval":
        decision = Approval(after["decision"])
        return not capabilities.supports(Operation.SET_APPROVAL) or decision not in capabilities.approvals
    return False


def name_holder(capabilities: Capabilities, stage: str) -> str:
    """Who keeps a stage, in a word: the gateway, or the registry's way."""
    support = capabilities.stage_support(stage)
    at_gateway = support is None or held_by_gateway(capabilities, "stage", stage)
    return "gateway" if at_gateway or support is None else support.holder.value


async def _write_stage(gateway: Gateway, adapter: RegistryAdapter, effect: Effect) -> None:
    if held_by_gateway(adapter.capabilities, "stage", effect.after):
        if adapter.capabilities.supports(Operation.SET_STAGE):
            await adapter.set_stage(_target(effect), NONE)
        await _hold(gateway, effect, effect.after)
        return
    await adapter.set_stage(_target(effect), effect.after)
    await _hold(gateway, effect, None)


async def _write_approval(gateway: Gateway, adapter: RegistryAdapter, effect: Effect) -> None:
    if held_by_gateway(adapter.capabilities, "approval", effect.after):
        await _hold(gateway, effect, effect.after["decision"])
        return
    await adapter.set_approval(_target(effect), Approval(effect.after["decision"]), effect.after.get("comment"))


async def _write_tags(adapter: RegistryAdapter, effect: Effect) -> None:
    before, after = effect.before or {}, effect.after or {}
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    removed = [key for key in before if key not in after]
    if effect.field == "tags":
        await adapter.set_version_tags(effect.model, effect.version or "", changed, removed)
    else:
        await adapter.set_model_tags(effect.model, changed, removed)


async def _hold(gateway: Gateway, effect: Effect, value: Any) -> None:
    """Keep a version's value in the overflow store; None takes it away."""
    registry, identity, name = effect.registry, effect.identity or "", effect.field
    forgets = value is None or value == NONE
    if forgets and name not in await list_held(gateway, registry, identity):
        return  # under the model's lock: nobody sets it meanwhile

    def change(tx: Any) -> None:
        if forgets:
            overflow.delete_value(tx, registry, identity, name)
        else:
            overflow.set_value(tx, registry, identity, name, value, gateway.now())

    await gateway.store.write(change)


def _target(effect: Effect) -> VersionId:
    return VersionId(model=effect.model, version=effect.version or "", identity=effect.identity or "")


async def _exists(read: Any) -> bool:
    try:
        await read
    except NotFound:
        return False
    return True
