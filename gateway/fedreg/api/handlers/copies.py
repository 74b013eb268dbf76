"""Copies and checks between registries."""

from __future__ import annotations

from aiohttp import web

from fedreg.api.context import actor_of, gateway_of, principal_of
from fedreg.api.encoding import Reply, Request
from fedreg.api.idempotency import request_key
from fedreg.domain.refs import Ref
from fedreg.domain.reports import CopyPlan, OperationView
from fedreg.services.check_operation import start_check
from fedreg.services.copy import start_copy
from fedreg.services.copy_plan import plan_copy
from fedreg.services.operations import view_operation
from fedreg.settings.sections import Role


class NewCopy(Request, frozen=True, kw_only=True):
    """A version to copy: `source` names it, `target` a model. `allow_lossy`: all losses, or those of some fields."""

    source: str
    target: str
    dry_run: bool = False
    allow_lossy: bool | tuple[str, ...] = False
    packaging: str | None = None
    reason: str | None = None


class NewCheck(Request, frozen=True, kw_only=True):
    """Two versions or two models to compare. With `download` every byte is read at both ends."""

    source: str
    target: str
    download: bool = False


async def create_copy(request: web.Request, *, body: NewCopy) -> Reply[CopyPlan | OperationView]:
    """Start a copy, or attach to the one under way; with `dry_run` answer its plan."""
    gateway, principal = gateway_of(request), principal_of(request)
    source, target = Ref.parse(body.source), Ref.parse(body.target)
    principal.require(Role.OPERATOR, source.registry, target.registry)
    allowed = body.allow_lossy
    accepted = (("*",) if allowed else None) if isinstance(allowed, bool) else allowed
    if body.dry_run:
        plan = await plan_copy(gateway, source, target, allow_lossy=accepted, packaging=body.packaging)
        return Reply(plan, status=200)
    intent = await start_copy(
        gateway,
        source,
        target,
        actor=actor_of(request),
        reason=body.reason,
        allow_lossy=accepted,
        packaging=body.packaging,
        key=request_key(request, body),
    )
    return Reply(await view_operation(gateway, intent), headers={"Location": f"/v1/operations/{intent.id}"})


async def create_check(request: web.Request, *, body: NewCheck) -> Reply[OperationView]:
    """Start a comparison; its `result` is the report."""
    gateway = gateway_of(request)
    source, target = Ref.parse(body.source), Ref.parse(body.target)
    principal_of(request).require(Role.READER, source.registry, target.registry)
    intent = await start_check(
        gateway,
        source,
        target,
        download=body.download,
        actor=actor_of(request),
        key=request_key(request, body),
    )
    return Reply(await view_operation(gateway, intent), headers={"Location": f"/v1/operations/{intent.id}"})
