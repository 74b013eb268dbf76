"""Registries, what they can do, and scanning them."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import structlog
from aiohttp import web

from fedreg.api.context import REFRESHES, gateway_of, principal_of
from fedreg.api.encoding import Listing, Reply, Request
from fedreg.api.paging import PageQuery, cut_page
from fedreg.api.problems import unexpected
from fedreg.domain.reports import CapabilityView, RefreshReport, RefreshStatus, RegistryView
from fedreg.services import catalog
from fedreg.services.gateway import Gateway
from fedreg.services.refresh import refresh

log = structlog.get_logger("fedreg.api")


class RegistryQuery(PageQuery, frozen=True, kw_only=True):
    """Whether each registry is asked if it answers."""

    ping: Annotated[bool, msgspec.Meta(description="ask each registry whether it answers")] = False


class RefreshStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A scan under way, begun by an earlier request where `already_running`."""

    registry: str
    already_running: bool


class RefreshQuery(Request, frozen=True, kw_only=True):
    """How long to wait."""

    wait: Annotated[float, msgspec.Meta(ge=0, le=60, description="seconds to wait for the end of the scan")] = 0


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
    already = name in running and not running[name].done()
    if not already:
        running[name] = asyncio.create_task(_refresh(gateway, name), name=f"refresh {name}")
    started = RefreshStarted(registry=name, already_running=already)
    return Reply(started, headers={"Location": f"/v1/registries/{name}/refresh"})


async def get_refresh(request: web.Request, *, query: RefreshQuery) -> RefreshStatus:
    """Whether a scan is under way in this gateway; `wait` holds the answer back until it has ended."""
    gateway, name = gateway_of(request), request.match_info["registry"]
    gateway.registries.manifest(name)
    task = request.app[REFRESHES].get(name)
    if task is not None and query.wait:
        await asyncio.wait({task}, timeout=query.wait)
    if task is None or not task.done():
        return RefreshStatus(registry=name, running=task is not None)
    return RefreshStatus(registry=name, running=False, report=task.result())


async def _refresh(gateway: Gateway, name: str) -> RefreshReport:
    try:
        report = await refresh(gateway, name)
    except Exception as error:  # whoever asks for the report learns of it, and the log has the details
        log.error("refresh failed", registry=name, exc_info=error)
        return RefreshReport(registry=name, error=unexpected().to_dict())
    log.info("refreshed", registry=name, versions=report.versions, changes=report.changes, error=report.error)
    return report
