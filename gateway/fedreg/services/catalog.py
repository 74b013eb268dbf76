"""What there is: registries, the inventory from the index, and single items read live."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import FedregError, InvalidRequest, NotFound, RegistryError
from fedreg.domain.models import Model, ModelQuery, Page, Version
from fedreg.domain.proofs import list_proofs
from fedreg.domain.records import InventoryQuery, ScanState
from fedreg.domain.refs import Ref, SelectorKind
from fedreg.domain.reports import (
    DELETIONS_WITHHELD,
    CapabilityView,
    Facets,
    Inventory,
    ModelView,
    RefreshReport,
    RegistryView,
    VersionView,
    newest_first,
)
from fedreg.registries.ledgers import load_ledger
from fedreg.services import past
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_model_overflow, merge_overflow
from fedreg.services.pages import walk_versions
from fedreg.services.refresh import refresh_all, refresh_stale
from fedreg.services.selectors import resolve
from fedreg.store import index, scans

INDEX_CURE = "read it live, or refresh the registry first"


async def list_registries(gateway: Gateway, *, ping: bool) -> list[RegistryView]:
    """All configured registries, by name; with `ping` each is asked."""
    states = await gateway.store.read(
        lambda conn: {name: scans.get_state(conn, name) for name in gateway.registries.names()}
    )
    views = [_registry_view(gateway, name, states[name]) for name in gateway.registries.names()]
    return list(await asyncio.gather(*(_ping(gateway, view) for view in views))) if ping else views


async def get_registry(gateway: Gateway, name: str) -> RegistryView:
    """One registry, asked whether it answers. Raises NotFound."""
    gateway.registries.manifest(name)
    state = await gateway.store.read(lambda conn: scans.get_state(conn, name))
    return await _ping(gateway, _registry_view(gateway, name, state))


async def list_capabilities(gateway: Gateway) -> list[CapabilityView]:
    """What each registry can do. One that can't be opened shows its kind's ceiling and says why."""
    return list(await asyncio.gather(*(_capabilities(gateway, name) for name in gateway.registries.names())))


async def list_inventory(
    gateway: Gateway,
    query: InventoryQuery,
    *,
    versions: bool,
    refresh: bool = False,
    max_age: timedelta | None = None,
) -> Inventory:
    """A page of the index: a row a version, or a row a model.

    A registry never scanned is scanned first; with `refresh` all asked for are; a store that another process
    owns is read as it is. A registry that is down never fails the answer. Raises NotFound for an unknown
    registry, InvalidRequest for a bad cursor. With `query.as_of` it is what was there then: see `past`.
    """
    names = query.registries or tuple(gateway.registries.names())
    for name in names:
        gateway.registries.manifest(name)
    if query.as_of is not None:
        if refresh or max_age is not None:
            raise InvalidRequest("as_of asks for the past, refresh and max_age for now", cure="give one of them")
        return await past.list_past(gateway, query, names, lines="versions" if versions else "models")
    reports: Sequence[RefreshReport] = ()
    if query.cursor is None and not gateway.store.read_only:
        reports = await (refresh_all(gateway, names) if refresh else refresh_stale(gateway, names, max_age))
    listing = index.list_rows if versions else index.list_model_rows
    rows, cursor = await gateway.store.read(lambda conn: listing(conn, query))
    return Inventory(items=tuple(rows), next_cursor=cursor, partial=_partial(reports))


async def list_facets(gateway: Gateway, query: InventoryQuery) -> Facets:
    """Counts of the versions in the index that match, by registry, stage and approval. Raises NotFound."""
    for name in query.registries:
        gateway.registries.manifest(name)
    if query.as_of is not None:
        return await past.count_past(gateway, query, query.registries or tuple(gateway.registries.names()))
    return await gateway.store.read(lambda conn: index.count_matches(conn, query))


async def get_model(gateway: Gateway, ref: Ref) -> Model:
    """A model, live. Raises NotFound."""
    adapter = await gateway.registries.get(ref.registry)
    [model] = await merge_model_overflow(gateway, [await adapter.get_model(ref.model)])
    return model


async def list_models(gateway: Gateway, registry: str, query: ModelQuery) -> Page[Model]:
    """A page of a registry's models, live. Raises NotFound for an unknown registry."""
    page = await (await gateway.registries.get(registry)).list_models(query)
    return replace(page, items=tuple(await merge_model_overflow(gateway, page.items)))


async def show_model(gateway: Gateway, ref: Ref) -> ModelView:
    """A model and its versions, live. Raises NotFound."""
    adapter = await gateway.registries.get(ref.registry)
    model = await get_model(gateway, ref)
    versions = await merge_overflow(gateway, [version async for version in walk_versions(adapter, ref.model)])
    return ModelView(model=model, versions=newest_first(versions))


async def show_version(gateway: Gateway, ref: Ref) -> VersionView:
    """A version and its files, live. Raises NotFound, InvalidRequest."""
    version = await resolve(gateway, ref)
    pinned = str(Ref(version.registry, version.model).at_version(version.version))
    adapter = await gateway.registries.get(ref.registry)
    if not adapter.capabilities.supports(Operation.LIST_FILES):
        return VersionView(ref=pinned, version=version, files_error="the registry lists no files")
    try:
        files = await adapter.list_files(version.model, version.version)
    except (NotFound, RegistryError) as error:
        return VersionView(ref=pinned, version=version, files_error=str(error))
    return VersionView(ref=pinned, version=version, files=tuple(files))


async def get_version(gateway: Gateway, ref: Ref) -> Version:
    """A version, live."""
    return await resolve(gateway, ref)


async def get_indexed_version(gateway: Gateway, ref: Ref) -> Version:
    """A version as the index has it; nothing is asked of its registry. Raises NotFound, InvalidRequest."""
    gateway.registries.kind(ref.registry)
    if ref.selector is None or ref.selector.kind is not SelectorKind.VERSION:
        raise InvalidRequest(f"'{ref}': the index is read by version only", cure="write @version:N, or read it live")
    number, keyed = ref.selector.value, gateway.store.keyed
    if keyed is not None:
        found = keyed.get_version(ref.registry, ref.model, number)
    else:
        found = await gateway.store.read(lambda conn: index.get_version(conn, ref.registry, ref.model, number))
    if found is None:
        raise NotFound(f"'{ref}' is not in the index", registry=ref.registry, cure=INDEX_CURE)
    return found


async def get_indexed_model(gateway: Gateway, ref: Ref) -> Model:
    """A model as the index has it. Raises NotFound."""
    gateway.registries.kind(ref.registry)
    keyed = gateway.store.keyed
    if keyed is not None:
        found = keyed.get_model(ref.registry, ref.model)
    else:
        found = await gateway.store.read(lambda conn: index.get_model(conn, ref.registry, ref.model))
    if found is None:
        raise NotFound(f"'{ref}' is not in the index", registry=ref.registry, cure=INDEX_CURE)
    return found


def _registry_view(gateway: Gateway, name: str, state: ScanState | None) -> RegistryView:
    manifest = gateway.registries.manifest(name)
    return RegistryView(
        name=name,
        kind=manifest.kind,
        title=manifest.title,
        last_scan=state.completed_at if state else None,
        covered_since=state.covered_since if state else None,
    )


async def _ping(gateway: Gateway, view: RegistryView) -> RegistryView:
    try:
        await (await gateway.registries.get(view.name)).ping()
    except FedregError as error:
        return replace(view, reachable=False, error=error.to_dict())
    return replace(view, reachable=True)


async def _capabilities(gateway: Gateway, name: str) -> CapabilityView:
    manifest = gateway.registries.manifest(name)
    capabilities, failure = manifest.capabilities, None
    try:
        capabilities = await gateway.registries.capabilities(name)
    except FedregError as error:
        failure = error.to_dict()
    ledger = await asyncio.to_thread(load_ledger, manifest.kind)
    proofs = list_proofs(capabilities, ledger)
    return CapabilityView(
        registry=name,
        kind=manifest.kind,
        capabilities=capabilities,
        ceiling_only=failure is not None,
        error=failure,
        proofs=proofs,
        unproven={line: why for line, why in ledger.unproven.items() if line in proofs},
        exempt=ledger.exempt,
    )


def _partial(reports: Sequence[RefreshReport]) -> tuple[Mapping[str, Any], ...]:
    failed = [{"registry": report.registry, "error": report.error} for report in reports if report.error]
    withheld = [
        {
            "registry": report.registry,
            "error": {
                "code": DELETIONS_WITHHELD,
                "message": f"{report.deletions_withheld} versions are missing at once; they are kept until confirmed",
            },
        }
        for report in reports
        if report.deletions_withheld
    ]
    return tuple(failed + withheld)
