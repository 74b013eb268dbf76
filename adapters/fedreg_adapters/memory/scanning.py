"""Scans: a full one shelf by shelf, afterwards what the vendor's feed names.

A cursor is JSON: `{"after", "feed"}` within a full scan, `{"since"}` afterwards. The feed's position is taken
before the full scan starts, so that nothing that changes meanwhile is missed.
"""

from __future__ import annotations

import json

from fedreg.domain.errors import NotFound
from fedreg.domain.models import Batch, Model, Version
from fedreg_adapters.memory import mapping
from fedreg_adapters.memory.client import Client

PAGE = 200
ALL = 1_000_000


class Scanner:
    """Scans one registry."""

    def __init__(self, client: Client, shapes: mapping.Shapes) -> None:
        self._client = client
        self._shapes = shapes

    async def scan(self, cursor: str | None) -> Batch:
        """The next batch."""
        if cursor is None:
            end = await self._client.ask("scan", "feed.end")
            return await self._full("", end["end"])
        at = json.loads(cursor)
        return await self._changes(at["since"]) if "since" in at else await self._full(at["after"], at["feed"])

    async def _full(self, after: str, feed: int) -> Batch:
        answer = await self._client.ask("scan", "shelf.list", after=after, limit=PAGE)
        models, versions = await self._whole([shelf["name"] for shelf in answer["rows"]])
        token = self._client.next_token("scan", after, answer["after"])
        following = {"since": feed} if token is None else {"after": token, "feed": feed}
        return Batch(models=models, versions=versions, cursor=json.dumps(following), complete=token is None, full=True)

    async def _changes(self, since: int) -> Batch:
        answer = await self._client.ask("scan", "feed.read", after=since, limit=PAGE)
        models, versions = await self._whole(sorted({row["shelf"] for row in answer["rows"]}))
        cursor, complete = json.dumps({"since": answer["end"]}), len(answer["rows"]) < PAGE
        return Batch(models=models, versions=versions, cursor=cursor, complete=complete, full=False)

    async def _whole(self, shelves: list[str]) -> tuple[tuple[Model, ...], tuple[Version, ...]]:
        """These shelves with all their releases; one that is gone meanwhile is left out."""
        models: list[Model] = []
        versions: list[Version] = []
        for native in shelves:
            name = mapping.model_name(native)
            try:
                shelf = await self._client.ask("scan", "shelf.get", name)
                answer = await self._client.ask("scan", "release.list", name, after=0, limit=ALL)
            except NotFound:
                continue
            model = self._shapes.to_model(shelf)
            models.append(model)
            versions.extend(self._shapes.to_version(model.name, row) for row in answer["rows"])
        return tuple(models), tuple(versions)
