"""Scans: a page of models at a time, with all their versions. Lists tell of no changes, so each is a full one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from fedreg.domain.errors import InvalidRequest, NotFound
from fedreg.domain.models import Batch, Model, Version
from fedreg_adapters.azureml.client import JSON
from fedreg_adapters.azureml.containers import Containers
from fedreg_adapters.azureml.mapping import aliases_of
from fedreg_adapters.azureml.versions import Versions

_PAGE = 100


class Scanner:
    """Reads everything that one workspace or registry holds."""

    def __init__(self, containers: Containers, versions: Versions, to_model: Callable[[JSON], Model]) -> None:
        self._containers, self._versions, self._to_model = containers, versions, to_model

    async def scan(self, cursor: str | None, registry: str) -> Batch:
        """The batch at a cursor. That of a complete scan starts over."""
        found, token = await self._containers.page(_read_cursor(cursor, registry), _PAGE)
        versions = await asyncio.gather(*(self._versions_of(container) for container in found))
        return Batch(
            models=tuple(map(self._to_model, found)),
            versions=tuple(version for several in versions for version in several),
            cursor=json.dumps({"page": token}),
            complete=token is None,
            full=True,
        )

    async def _versions_of(self, container: JSON) -> list[Version]:
        try:
            found = await self._versions.all(str(container["name"]))
        except NotFound:  # deleted meanwhile
            return []
        model, aliases = self._to_model(container).name, aliases_of(container)
        return [self._versions.version(resource, model, aliases) for resource in found]


def _read_cursor(cursor: str | None, registry: str) -> str | None:
    """The page a cursor resumes at; None for the first."""
    if cursor is None:
        return None
    try:
        page = json.loads(cursor)["page"]
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(f"cursor {cursor[:40]!r} is none of ours", registry=registry) from None
    return None if page is None else str(page)
