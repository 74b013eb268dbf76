"""Scans: everything, a page of models at a time.

Vertex does not say whether the update_time of a model moves with its versions, so nothing is skipped by it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fedreg.domain.errors import InvalidRequest, NotFound
from fedreg.domain.models import Batch, Model, Version
from fedreg_adapters.vertex.client import Client
from fedreg_adapters.vertex.mapping import aliases_of, model_of, native_id
from fedreg_adapters.vertex.versions import Versions

_MODELS = 20  # of a batch


class Scanner:
    """Scans of one registry."""

    def __init__(self, client: Client, versions: Versions) -> None:
        self._client, self._versions = client, versions

    async def scan(self, cursor: str | None) -> Batch:
        """The next batch. InvalidRequest for a cursor that is none of ours."""
        request = {"parent": self._client.parent, "page_size": _MODELS, "order_by": "create_time"}
        found, token = await self._client.page("list_models", "models", request, _token(cursor))
        whole = await asyncio.gather(*(self._model(message) for message in found))
        models = tuple(model for model, _ in whole if model is not None)
        versions = tuple(version for _, some in whole for version in some)
        following = json.dumps({"models": token}) if token else None
        return Batch(models=models, versions=versions, cursor=following, complete=token is None, full=True)

    async def _model(self, message: Any) -> tuple[Model | None, list[Version]]:
        """A model and its versions; nothing where it was deleted meanwhile."""
        try:
            found = await self._versions.all(native_id(message.name))
        except NotFound:
            return None, []
        aliases = {alias: each.version_id for each in found for alias in aliases_of(each.version_aliases)}
        model = model_of(message, aliases, self._client.registry)
        return model, await self._versions.versions(found, model.name)


def _token(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        place = json.loads(cursor)
    except ValueError:
        place = None
    if not isinstance(place, dict) or not isinstance(place.get("models"), str):
        raise InvalidRequest(f"cursor {cursor[:40]!r} is none of this registry's", cure="scan without a cursor")
    return str(place["models"])
