"""Versions of one model, live: reading, registering, editing, stage and approval."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from aiohttp import web

from fedreg.api.context import actor_of, gateway_of, model_ref, version_ref
from fedreg.api.edits import Edit, Reason, apply_edit, operation_headers, pin_version
from fedreg.api.encoding import Listing, Origin, Reply, Request
from fedreg.api.handlers.promotions import reply_of
from fedreg.api.idempotency import request_key
from fedreg.api.paging import PageQuery
from fedreg.domain.models import Provenance, Version, VersionDraft
from fedreg.domain.promotions import PromotionReport
from fedreg.domain.stages import Approval
from fedreg.services import catalog, edits
from fedreg.services.overflow import merge_overflow
from fedreg.services.promotion import promote


class StageChange(Request, frozen=True, kw_only=True):
    """The stage a version shall have; `expected` is the one it must have now."""

    stage: str
    expected: str | None = None
    reason: str | None = None


class Decision(Request, frozen=True, kw_only=True):
    """A decision on a version. `comment` is kept with it, `reason` in the journal."""

    decision: Approval
    comment: str | None = None
    reason: str | None = None


class NewVersion(Request, frozen=True, kw_only=True):
    """A version to register: its bytes are at `artifact_uri`, where the registry can read them."""

    artifact_uri: str
    version: str | None = None
    description: str | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    params: dict[str, str] = msgspec.field(default_factory=dict)
    run_id: str | None = None
    reason: str | None = None


async def list_versions(request: web.Request, *, query: PageQuery) -> Listing[Version]:
    gateway, ref = gateway_of(request), model_ref(request)
    adapter = await gateway.registries.get(ref.registry)
    page = await adapter.list_versions(ref.model, query.to_page_request())
    return Listing(items=tuple(await merge_overflow(gateway, page.items)), next_cursor=page.next_token)


async def create_version(request: web.Request, *, body: NewVersion) -> Reply[Version]:
    gateway, ref = gateway_of(request), model_ref(request)
    draft = VersionDraft(
        model=ref.model,
        version=body.version,
        description=body.description,
        tags=body.tags,
        metrics=body.metrics,
        params=body.params,
        provenance=Provenance(run_id=body.run_id),
        source_uri=body.artifact_uri,
    )
    key = request_key(request, body)
    made = await edits.create_version(gateway, ref, draft, actor=actor_of(request), reason=body.reason, key=key)
    version = await catalog.get_version(gateway, edits.made_version(made))
    model = f"/v1/registries/{ref.registry}/models/{quote(ref.model, safe='')}"
    location = f"{model}/versions/{quote(version.version, safe='')}"
    return Reply(version, headers={"Location": location, **operation_headers(made)})


async def get_version(request: web.Request, *, query: Origin) -> Version:
    read = catalog.get_indexed_version if query.source == "index" else catalog.get_version
    return await read(gateway_of(request), version_ref(request))


async def update_version(request: web.Request, *, body: Edit) -> Reply[Version]:
    ref = await pin_version(request)
    headers = await apply_edit(request, ref, body)
    return Reply(await catalog.get_version(gateway_of(request), ref), headers=headers)


async def delete_version(request: web.Request, *, query: Reason) -> Reply[None]:
    ref = await pin_version(request)
    made = await edits.delete_version(gateway_of(request), ref, actor=actor_of(request), reason=query.reason)
    return Reply(None, headers=operation_headers(made))


async def set_stage(request: web.Request, *, body: StageChange) -> Reply[PromotionReport]:
    ref = await pin_version(request)
    report = await promote(
        gateway_of(request),
        ref,
        body.stage,
        actor=actor_of(request),
        reason=body.reason,
        expected=body.expected,
        wait=False,
    )
    return reply_of(report)


async def set_approval(request: web.Request, *, body: Decision) -> Reply[Version]:
    gateway, ref = gateway_of(request), await pin_version(request)
    made = await edits.set_approval(
        gateway, ref, body.decision, body.comment, actor=actor_of(request), reason=body.reason
    )
    return Reply(await catalog.get_version(gateway, ref), headers=operation_headers(made))
