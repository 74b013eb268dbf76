"""Scans: models, then versions, in pages of searches.

Searches of versions leave aliases out, models carry them: a scan keeps the aliases of the models it has seen. A cursor
taken up by another process reads the models again first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedreg.domain.errors import InvalidRequest, RegistryError
from fedreg.domain.models import Batch, Model, Version
from fedreg_adapters.mlflow import mapping
from fedreg_adapters.mlflow.client import Client, Json
from fedreg_adapters.mlflow.manifest import CODEC
from fedreg_adapters.mlflow.stages import StageRules

MODELS_AT_ONCE, VERSIONS_AT_ONCE = 1000, 10_000
_OVERLAP_MS = 60_000  # servers behind one database may differ in their clocks
_NAMES_AT_ONCE = 50
_REMEMBERED = 2000  # marks of 12 characters in a cursor; what is forgotten is shown twice, which is harmless
_NEWEST = "last_updated_timestamp DESC"


@dataclass(slots=True)
class _Known:
    """The models a scan has seen: native name -> unified name and aliases by version. Prompts are None.

    `following` is the token of the page that comes next, None when all have been seen.
    """

    models: dict[str, tuple[str, dict[str, list[str]]] | None] = field(default_factory=dict)
    following: str | None = ""

    def add_page(self, items: list[Json], token: str, following: str) -> None:
        """Take in a page, if it is the next one: another scan may be at another page."""
        if token == self.following:
            for item in items:
                self.add(item)
            self.following = following or None

    def add(self, item: Json) -> None:
        self.models[item["name"]] = None if mapping.is_prompt(item) else (mapping.name_of(item), by_version(item))


class Scans:
    """The scans of one registry. Cursors are JSON: phase, page token, and the watermark for the next incremental."""

    def __init__(self, client: Client, rules: StageRules) -> None:
        self._client = client
        self._rules = rules
        self._known = _Known()

    async def scan(self, cursor: str | None) -> Batch:
        """One page. Full scans begin with no cursor, incremental ones with that of a complete batch."""
        at = _parse(cursor, self._client.registry)
        if at is None:
            at = {"phase": "models", "token": "", "since": await self._newest(), "seen": []}
            self._known = _Known()
        if at["phase"] == "done":
            return await self._changes(at)
        if at["phase"] == "models":
            return await self._models(at)
        return await self._versions(at)

    # -- full ------------------------------------------------------------------------------------------

    async def _models(self, at: Json) -> Batch:
        items, token = await self._page("registered-models", MODELS_AT_ONCE, at["token"], "name ASC")
        self._known.add_page(items, at["token"], token)
        following = self._next(at, token) if token else {**at, "phase": "versions", "token": "", "seen": []}
        return self._batch(models=items, cursor=following)

    async def _versions(self, at: Json) -> Batch:
        known = await self._recall()
        order = ["name ASC", "version_number ASC"]
        items, token = await self._page("model-versions", VERSIONS_AT_ONCE, at["token"], *order)
        versions = self._to_versions(items, known)
        if token:
            return self._batch(versions=versions, cursor=self._next(at, token))
        return self._batch(versions=versions, cursor={"phase": "done", "since": at["since"]}, complete=True)

    async def _recall(self) -> _Known:
        """The models, read again where this process has not seen all of them."""
        if self._known.following is not None:
            known = _Known()
            while known.following is not None:
                token = known.following
                items, following = await self._page("registered-models", MODELS_AT_ONCE, token, "name ASC")
                known.add_page(items, token, following)
            self._known = known
        return self._known

    # -- what changed ----------------------------------------------------------------------------------

    async def _changes(self, at: Json) -> Batch:
        """Models and versions touched since a watermark, newest first, until an older one shows.

        The cursor remembers what was shown in the overlap, so that it is not shown again.
        """
        since, shown = int(at["since"]), set(at.get("shown", []))
        watermark = max(since, await self._newest())
        touched = {
            what: await self._touched(what, MODELS_AT_ONCE, since) for what in ("registered-models", "model-versions")
        }
        recent = [
            _mark(item)
            for items in touched.values()
            for item in sorted(items, key=_updated, reverse=True)
            if _updated(item) >= watermark - _OVERLAP_MS
        ]
        models, versions = ([item for item in items if _mark(item) not in shown] for items in touched.values())
        known = _Known()
        for item in models:
            known.add(item)
        for item in await self._named({item["name"] for item in versions} - known.models.keys()):
            known.add(item)
        return self._batch(
            models=models,
            versions=self._to_versions(versions, known),
            cursor={"phase": "done", "since": watermark, "shown": recent[:_REMEMBERED]},
            complete=True,
            full=False,
        )

    async def _touched(self, what: str, at_once: int, since: int) -> list[Json]:
        found: dict[tuple[str, str], Json] = {}
        token = ""
        while True:
            items, following = await self._page(what, at_once, token, _NEWEST)
            for item in items:
                if _updated(item) < since - _OVERLAP_MS:
                    return list(found.values())
                found[item["name"], str(item.get("version", ""))] = item
            if not following:
                return list(found.values())
            token = following

    async def _named(self, names: set[str]) -> list[Json]:
        """Models by name, many at once; one by one those whose name a filter can't list."""
        plain = sorted(name for name in names if "'" not in name)
        found = []
        for start in range(0, len(plain), _NAMES_AT_ONCE):
            listed = ", ".join(f"'{name}'" for name in plain[start : start + _NAMES_AT_ONCE])
            query = {"filter": f"name IN ({listed})", "max_results": str(MODELS_AT_ONCE)}
            answer = await self._client.get("scan", "registered-models/search", query)
            found += answer.get("registered_models", [])
        for name in sorted(names - set(plain)):
            query = {"filter": mapping.name_filter(name), "max_results": str(MODELS_AT_ONCE)}
            answer = await self._client.get("scan", "registered-models/search", query)
            found += [item for item in answer.get("registered_models", []) if item["name"] == name]
        return found

    async def _newest(self) -> int:
        """The latest update of anything: what happens during a scan is newer and is seen by the next one."""
        stamps = [0]
        for what in ("registered-models", "model-versions"):
            items, _ = await self._page(what, 1, "", _NEWEST)
            stamps += [_updated(item) for item in items]
        return max(stamps)

    # -- pieces ----------------------------------------------------------------------------------------

    async def _page(self, what: str, at_once: int, token: str, *order: str) -> tuple[list[Json], str]:
        query = [("max_results", str(at_once)), *(("order_by", clause) for clause in order)]
        answer = await self._client.get("scan", f"{what}/search", [*query, *([("page_token", token)] if token else [])])
        following = str(answer.get("next_page_token") or "")
        if following and following == token:
            raise RegistryError(
                f"{what}/search gave the page token {token!r} twice", registry=self._client.registry, operation="scan"
            )
        return self._client.listed("scan", answer, what.replace("-", "_")), following

    def _next(self, at: Json, token: str) -> Json:
        """The cursor of the next page. RegistryError for a token this scan has had before."""
        mark = hashlib.sha256(token.encode()).hexdigest()[:12]
        if mark in at["seen"]:
            raise RegistryError(
                f"a search gave the page token {token!r} twice", registry=self._client.registry, operation="scan"
            )
        return {**at, "token": token, "seen": [*at["seen"], mark]}

    def _repeated(self, token: str) -> RegistryError:
        message = f"a search gave the page token {token!r} twice"
        return RegistryError(message, registry=self._client.registry, operation="scan")

    def _to_versions(self, items: list[Json], known: _Known) -> tuple[Version, ...]:
        """Versions of models that are not prompts. One made after its model was read has no aliases yet."""
        found = []
        for item in items:
            model = known.models.get(item["name"], (CODEC.decode(item["name"]), {}))
            if model is None or mapping.is_prompt(item):
                continue
            name, aliases = model
            found.append(
                mapping.to_version(
                    item,
                    registry=self._client.registry,
                    model=name,
                    rules=self._rules,
                    aliases=aliases.get(str(item["version"]), []),
                )
            )
        return tuple(found)

    def _batch(
        self,
        *,
        cursor: Mapping[str, Any],
        models: list[Json] | None = None,
        versions: tuple[Version, ...] = (),
        complete: bool = False,
        full: bool = True,
    ) -> Batch:
        shown: list[Model] = [
            mapping.to_model(item, self._client.registry, self._rules)
            for item in models or []
            if not mapping.is_prompt(item)
        ]
        text = json.dumps(cursor, sort_keys=True)
        return Batch(models=tuple(shown), versions=versions, cursor=text, complete=complete, full=full)


def by_version(model: Json) -> dict[str, list[str]]:
    """version -> its aliases, of a registered model."""
    found: dict[str, list[str]] = {}
    for alias, version in mapping.aliases_of(model).items():
        found.setdefault(version, []).append(alias)
    return found


def _updated(item: Json) -> int:
    return int(item.get("last_updated_timestamp") or item.get("creation_timestamp") or 0)


def _mark(item: Json) -> str:
    """A short name of one state of a model or version."""
    state = f"{item['name']}/{item.get('version', '')}/{_updated(item)}"
    return hashlib.sha256(state.encode()).hexdigest()[:12]


def _parse(cursor: str | None, registry: str) -> Json | None:
    if cursor is None:
        return None
    try:
        at = json.loads(cursor)
        if at["phase"] in ("models", "versions", "done") and isinstance(at["since"], int):
            return dict(at)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest("the scan cursor is damaged", registry=registry, cure="scan from the start") from error
    raise InvalidRequest("the scan cursor is of another kind", registry=registry, cure="scan from the start")
