"""Models of one registry, live, and their aliases."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from aiohttp import web

from fedreg.api.context import actor_of, gateway_of, model_ref
from fedreg.api.edits import Edit, Reason, apply_edit, operation_headers, pin_model
from fedreg.api.encoding import Listing, Origin, Reply, Request
from fedreg.api.idempotency import request_key
from fedreg.api.paging import PageQuery
from fedreg.domain.models import Model, ModelDraft, ModelQuery
from fedreg.domain.records import Intent, IntentState
from fedreg.domain.refs import Ref, parse_selector
from fedreg.services import catalog, edits


class ModelsQuery(PageQuery, frozen=True, kw_only=True):
    """A page of models; `name` is part of the name."""

    name: str | None = None


class NewModel(Request, frozen=True, kw_only=True):
    """A model to create."""

    name: str
    description: str | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    reason: str | None = None


class AliasTarget(Request, frozen=True, kw_only=True):
    """The version an alias shall point at: its id, or a selector after an `@`."""

    version: str
    reason: str | None = None


async def list_models(request: web.Request, *, query: ModelsQuery) -> Listing[Model]:
    wanted = ModelQuery(page=query.to_page_request(), name_contains=query.name)
    page = await catalog.list_models(gateway_of(request), request.match_info["registry"], wanted)
    return Listing(items=page.items, next_cursor=page.next_token)


async def create_model(request: web.Request, *, body: NewModel) -> Reply[Model]:
    gateway, ref = gateway_of(request), Ref(request.match_info["registry"], body.name)
    draft = ModelDraft(name=body.name, description=body.description, tags=body.tags)
    key = request_key(request, body)
    made = await edits.create_model(gateway, ref, draft, actor=actor_of(request), reason=body.reason, key=key)
    location = f"/v1/registries/{ref.registry}/models/{quote(ref.model, safe='')}"
    return Reply(await catalog.get_model(gateway, ref), headers={"Location": location, **operation_headers(made)})


async def get_model(request: web.Request, *, query: Origin) -> Model:
    read = catalog.get_indexed_model if query.source == "index" else catalog.get_model
    return await read(gateway_of(request), model_ref(request))


async def update_model(request: web.Request, *, body: Edit) -> Reply[Model]:
    ref = await pin_model(request)
    headers = await apply_edit(request, ref, body)
    return Reply(await catalog.get_model(gateway_of(request), ref), headers=headers)


async def delete_model(request: web.Request, *, query: Reason) -> Reply[None]:
    ref = await pin_model(request)
    made = await edits.delete_model(gateway_of(request), ref, actor=actor_of(request), reason=query.reason)
    return Reply(None, headers=operation_headers(made))


async def set_alias(request: web.Request, *, body: AliasTarget) -> Reply[Model]:
    gateway, ref = gateway_of(request), await pin_model(request)
    text = body.version
    target = Ref(ref.registry, ref.model, parse_selector(text[1:])) if text[:1] == "@" else ref.at_version(text)
    alias = request.match_info["alias"]
    made = await edits.set_alias(gateway, target, alias, actor=actor_of(request), reason=body.reason)
    model = await catalog.get_model(gateway, ref)
    if made.state is IntentState.WAITING:  # at the gate of a link
        return Reply(model, headers=_to_follow(made), status=202)
    return Reply(model, headers=operation_headers(made))


async def delete_alias(request: web.Request, *, query: Reason) -> Reply[None]:
    ref, alias = await pin_model(request), request.match_info["alias"]
    made = await edits.delete_alias(gateway_of(request), ref, alias, actor=actor_of(request), reason=query.reason)
    if made.state is IntentState.WAITING:
        return Reply(None, headers=_to_follow(made), status=202)
    return Reply(None, headers=operation_headers(made), status=204)


def _to_follow(made: Intent) -> dict[str, str]:
    """The headers of a change that waits for people."""
    return {**operation_headers(made), "Location": f"/v1/operations/{made.id}"}
