"""Registries, what they can do, and scanning them."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import structlog
from aiohttp import web

from fedreg.api.context import REFRESHES, gateway_of, principal_of
from fedreg.api.encoding import Listing, Reply
from fedreg.api.paging import PageQuery, cut_page
from fedreg.domain.reports import CapabilityView, RegistryView
from fedreg.services import catalog
from fedreg.services.gateway import Gateway
from fedreg.services.refresh import refresh

log = structlog.get_logger("fedreg.api")


class RegistryQuery(PageQuery, frozen=True, kw_only=True):
    """Whether each registry is asked if it answers."""

    ping: Annotated[bool, msgspec.Meta(description="ask each registry whether it answers")] = False


class RefreshStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A scan under way, begun by an earlier request where `already_running`; `last_scan` of the registry tells."""

    registry: str
    already_running: bool


async def list_registries(request: web.Request, *, query: RegistryQuery) -> Listing[RegistryView]:
    views = await catalog.list_registries(gateway_of(request), ping=query.ping)
    visible = [view for view in views if principal_of(request).sees(view.name)]
    return cut_page(visible, query, lambda view: view.name)


async def get_registry(request: web.Request) -> RegistryView:
    return await catalog.get_registry(gateway_of(request), request.match_info["registry"])


async def list_capabilities(request: web.Request, *, query: PageQuery) -> Listing[CapabilityView]:
    views = await catalog.list_capabilities(gateway_of(request))
    visible = [view for view in views if principal_of(request).sees(view.registry)]
    return cut_page(visible, query, lambda view: view.registry)


async def refresh_registry(request: web.Request) -> Reply[RefreshStarted]:
    """Start a scan, or join the one under way. A plain task: a scan that is cut off resumes at its page."""
    gateway, name = gateway_of(request), request.match_info["registry"]
    gateway.registries.manifest(name)
    running = request.app[REFRESHES]
    already = name in running
    if not already:
        task = running[name] = asyncio.create_task(_refresh(gateway, name), name=f"refresh {name}")
        task.add_done_callback(lambda _: running.pop(name, None))
    started = RefreshStarted(registry=name, already_running=already)
    return Reply(started, headers={"Location": f"/v1/registries/{name}"})


async def _refresh(gateway: Gateway, name: str) -> None:
    try:
        report = await refresh(gateway, name)
    except Exception as error:  # nobody awaits this task
        log.error("refresh failed", registry=name, exc_info=error)
        return
    log.info("refreshed", registry=name, versions=report.versions, changes=report.changes, error=report.error)
