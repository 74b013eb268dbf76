"""What requests that change a model or version have in common: If-Match, and PATCH bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from msgspec import UNSET, UnsetType

from fedreg.api.context import actor_of, gateway_of, model_ref, version_ref
from fedreg.api.encoding import Request, encode, etag_of
from fedreg.api.endpoints import matches
from fedreg.domain.errors import InvalidRequest, PreconditionFailed
from fedreg.domain.records import Intent
from fedreg.domain.refs import Ref, SelectorKind
from fedreg.services import edits
from fedreg.services.selectors import resolve

OPERATION_HEADER = "Fedreg-Operation"


class Edit(Request, frozen=True, kw_only=True):
    """A PATCH: what is left out stays. A tag that is null is removed."""

    description: str | UnsetType = UNSET
    tags: dict[str, str | None] | UnsetType = UNSET
    reason: str | None = None


class Reason(Request, frozen=True, kw_only=True):
    """Why, for the journal."""

    reason: str | None = None


async def pin_model(request: web.Request) -> Ref:
    """The model of the path. PreconditionFailed where it is not the one that If-Match names."""
    ref, header = model_ref(request), request.headers.get("If-Match")
    if header is not None:
        adapter = await gateway_of(request).registries.get(ref.registry)
        _check_match(header, ref, await adapter.get_model(ref.model))
    return ref


async def pin_version(request: web.Request) -> Ref:
    """The version of the path by its id: a selector may point elsewhere after the change. If-Match as above."""
    ref, header = version_ref(request), request.headers.get("If-Match")
    pinned = ref.selector is not None and ref.selector.kind is SelectorKind.VERSION
    if header is None and pinned:
        return ref
    version = await resolve(gateway_of(request), ref, for_write=True)
    if header is not None:
        _check_match(header, ref, version)
    return ref.at_version(version.version)


async def apply_edit(request: web.Request, ref: Ref, edit: Edit) -> Mapping[str, str]:
    """Make the changes of a PATCH, one operation each. Returns the headers that name them."""
    if edit.description is UNSET and edit.tags is UNSET:
        raise InvalidRequest("body: nothing is to be changed", cure="give description or tags")
    gateway, actor = gateway_of(request), actor_of(request)
    made: list[Intent] = []
    if not isinstance(edit.tags, UnsetType):
        put = {key: value for key, value in edit.tags.items() if value is not None}
        drop = [key for key, value in edit.tags.items() if value is None]
        made.append(await edits.set_tags(gateway, ref, put, drop, actor=actor, reason=edit.reason))
    if not isinstance(edit.description, UnsetType):
        made.append(await edits.set_description(gateway, ref, edit.description, actor=actor, reason=edit.reason))
    return operation_headers(*made)


def operation_headers(*made: Intent) -> Mapping[str, str]:
    """The header that names the operations a change was."""
    return {OPERATION_HEADER: ", ".join(intent.id for intent in made)}


def _check_match(header: str, ref: Ref, item: Any) -> None:
    if not matches(header, etag_of(encode(item))):
        raise PreconditionFailed(
            f"'{ref}' has changed since it was read", registry=ref.registry, cure="read it again and decide anew"
        )
