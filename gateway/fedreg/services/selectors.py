"""From a reference to one live version."""

from __future__ import annotations

from fedreg.domain.errors import InvalidRequest, NotFound
from fedreg.domain.models import Version
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.refs import Ref, Selector, SelectorKind
from fedreg.domain.stages import NONE, parse_stage
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_overflow
from fedreg.services.pages import walk_versions

LATEST = "latest"


async def resolve(gateway: Gateway, ref: Ref, *, for_write: bool = False) -> Version:
    """The version a reference points at, read live, with what the gateway holds of it.

    Raises NotFound; InvalidRequest for a reference without selector, for `@latest` where something will be
    written, and for one that several versions match (`details["candidates"]` lists them).
    """
    selector = ref.require_selector()
    if for_write and selector.value == LATEST and selector.kind is SelectorKind.ANY:
        raise InvalidRequest(f"reference '{ref}': @latest can't be written to", cure="name the version")
    adapter = await gateway.registries.get(ref.registry)
    found = await _find(gateway, adapter, ref, selector)
    if not found:
        raise NotFound(f"reference '{ref}' matches no version", registry=ref.registry, cure=_cure(ref))
    if len(found) > 1:
        candidates = [str(ref.at_version(version)) for version in sorted(found)]
        raise InvalidRequest(
            f"reference '{ref}' matches {len(found)} versions: {', '.join(candidates)}",
            cure="name one of them",
            registry=ref.registry,
            details={"candidates": candidates},
        )
    return next(iter(found.values()))


async def _find(gateway: Gateway, adapter: RegistryAdapter, ref: Ref, selector: Selector) -> dict[str, Version]:
    kind, value = selector.kind, selector.value
    if kind is SelectorKind.STAGE:
        parse_stage(value)
        return await _by_stage(gateway, adapter, ref.model, value)
    if kind is SelectorKind.ALIAS:
        return await _by_alias(gateway, adapter, ref.model, value)
    found = await _by_version(gateway, adapter, ref.model, value)
    if kind is SelectorKind.VERSION:
        return found
    found |= await _by_alias(gateway, adapter, ref.model, value)
    if value[:1].isalpha() and value != LATEST:
        found |= await _by_stage(gateway, adapter, ref.model, value)
    if not found and value == LATEST:
        return await _newest(gateway, adapter, ref.model)
    return found


async def _by_version(gateway: Gateway, adapter: RegistryAdapter, model: str, version: str) -> dict[str, Version]:
    try:
        live = await adapter.get_version(model, version)
    except NotFound:
        await adapter.get_model(model)  # an unknown model is the better news
        return {}
    return {live.version: (await merge_overflow(gateway, [live]))[0]}


async def _by_alias(gateway: Gateway, adapter: RegistryAdapter, model: str, alias: str) -> dict[str, Version]:
    version = (await adapter.get_model(model)).aliases.get(alias)
    return {} if version is None else await _by_version(gateway, adapter, model, version)


async def _by_stage(gateway: Gateway, adapter: RegistryAdapter, model: str, stage: str) -> dict[str, Version]:
    if stage == NONE:
        raise InvalidRequest("selector '@stage:none' points at nothing", cure="name a version")
    versions = await merge_overflow(gateway, [version async for version in walk_versions(adapter, model)])
    return {version.version: version for version in versions if stage in (version.stage, *version.stages)}


async def _newest(gateway: Gateway, adapter: RegistryAdapter, model: str) -> dict[str, Version]:
    versions = [version async for version in walk_versions(adapter, model)]
    if not versions:
        return {}
    newest = max(versions, key=lambda v: (v.created_at is not None, v.created_at, len(v.version), v.version))
    return {newest.version: (await merge_overflow(gateway, [newest]))[0]}


def _cure(ref: Ref) -> str:
    return f"`fedreg inventory --versions --registry {ref.registry} --model '{ref.model}'` lists what there is"
