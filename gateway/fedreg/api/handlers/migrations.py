"""Migrations: started, planned, and their rows."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from msgspec import Meta, field

from fedreg.api.context import actor_of, gateway_of, principal_of
from fedreg.api.encoding import Listing, Reply, Request
from fedreg.api.handlers.operations import find_visible
from fedreg.api.idempotency import request_key
from fedreg.api.paging import PageQuery, end_page, parse_sequence
from fedreg.domain.migrations import (
    DEFAULT_JOBS,
    Carried,
    MigratedVersion,
    MigrationOptions,
    MigrationPlan,
    PlannedVersion,
)
from fedreg.domain.records import IntentKind
from fedreg.domain.reports import OperationView
from fedreg.services.migration import start_migration
from fedreg.services.migration_counts import list_outcomes
from fedreg.services.migration_plan import plan_migration
from fedreg.services.migration_rows import MAX_JOBS
from fedreg.services.operations import view_operation
from fedreg.settings.sections import Role


class NewMigration(Request, frozen=True, kw_only=True):
    """What to migrate: filters, or the rows of a plan. `carry` names what goes along beside the copies.

    `names`: source name (or glob) -> target name (or a template with `{model}`). `allow_lossy`: all, or some fields.
    """

    source: str
    target: str
    models: tuple[str, ...] = ()
    stage: str | None = None
    last: Annotated[int, Meta(ge=1)] | None = None
    names: dict[str, str] = field(default_factory=dict)
    carry: tuple[Carried, ...] = ()
    preserve_versions: bool = False
    allow_lossy: bool | tuple[str, ...] = False
    jobs: Annotated[int, Meta(ge=1, le=MAX_JOBS)] = DEFAULT_JOBS
    keep_going: bool = False
    plan: tuple[PlannedVersion, ...] | None = None
    dry_run: bool = False
    reason: str | None = None


async def create_migration(request: web.Request, *, body: NewMigration) -> Reply[MigrationPlan | OperationView]:
    """Start a migration, or attach to the one under way; with `dry_run` answer its plan."""
    gateway = gateway_of(request)
    principal_of(request).require(Role.OPERATOR, body.source, body.target)
    options = _options(body)
    if body.dry_run:
        return Reply(await plan_migration(gateway, body.source, body.target, options, plan=body.plan), status=200)
    intent = await start_migration(
        gateway,
        body.source,
        body.target,
        options,
        actor=actor_of(request),
        plan=body.plan,
        reason=body.reason,
        key=request_key(request, body),
    )
    return Reply(await view_operation(gateway, intent), headers={"Location": f"/v1/operations/{intent.id}"})


async def list_rows(request: web.Request, *, query: PageQuery) -> Listing[MigratedVersion]:
    """A row for each version, in order."""
    operation = await find_visible(request, IntentKind.MIGRATION)
    after = parse_sequence(query.cursor) or 0
    found = await list_outcomes(gateway_of(request), operation.id, after, query.limit + 1)
    return end_page(found, query.limit, lambda row: str(row.sequence))


def _options(body: NewMigration) -> MigrationOptions:
    lossy = body.allow_lossy
    return MigrationOptions(
        models=body.models,
        stage=body.stage,
        last=body.last,
        names=body.names,
        carry=body.carry,
        preserve_versions=body.preserve_versions,
        allow_lossy=(("*",) if lossy else ()) if isinstance(lossy, bool) else lossy,
        jobs=body.jobs,
        keep_going=body.keep_going,
    )
