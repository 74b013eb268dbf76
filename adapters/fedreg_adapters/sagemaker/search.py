"""Scans: everything page by page, then what Search says has changed.

A cursor is JSON: `{"since": s, "seen": {…}}` (changes since, in epoch seconds, but for those seen) or, within
a full scan, `{"started": s, "seen": {…}, "groups": token, "after": name, "versions": token}`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fedreg.domain.errors import InvalidRequest, NotFound
from fedreg.domain.models import Batch, Model, Version
from fedreg_adapters.sagemaker.client import JSON, PAGE, Client
from fedreg_adapters.sagemaker.groups import Groups
from fedreg_adapters.sagemaker.mapping import identity_of
from fedreg_adapters.sagemaker.packages import Packages

LAG = 300  # seconds that Search and the clocks may be behind: changes within are looked for again
MAX_SEEN = 2000  # changes of that time that a cursor remembers; further ones are shown twice, never missed
_ENOUGH, _AT_ONCE = 100, 8  # versions of a batch; groups read at once


class Scanner:
    """Scans of one registry."""

    def __init__(self, client: Client, groups: Groups, packages: Packages) -> None:
        self._client, self._groups, self._packages = client, groups, packages

    async def scan(self, cursor: str | None) -> Batch:
        """The next batch. InvalidRequest for a cursor that is none of ours."""
        place = _read_cursor(cursor)
        return await (self._changes(place) if "since" in place else self._everything(place))

    # -- full ------------------------------------------------------------------------------------------

    async def _everything(self, place: JSON) -> Batch:
        """Groups in the order of their names from where the cursor stands, until about 100 versions."""
        started = place.setdefault("started", time.time())
        models: list[Model] = []
        versions: list[Version] = []
        groups, following = await self._groups.page(place.get("groups"), PAGE)
        pending = list(_ahead(groups, place))
        while pending and len(versions) < _ENOUGH:
            chunk = pending[:_AT_ONCE]
            tokens = [place.get("versions"), *[None] * (len(chunk) - 1)]
            found = await asyncio.gather(*(self._group(*each) for each in zip(chunk, tokens, strict=True)))
            for group, token, (model, some, further) in zip(chunk, tokens, found, strict=True):
                if model is not None and token is None:
                    models.append(model)
                versions += some
                place = {**place, "after": group["ModelPackageGroupName"], "versions": further}
                if further is not None:
                    break
                pending.pop(0)
            if place.get("versions"):
                break
        place["seen"] = _seen(place, models, versions)
        if pending:
            return _batch(models, versions, place, complete=False, full=True)
        if following is None:
            return _batch(models, versions, _since(started, place["seen"]), complete=True, full=True)
        place = {"started": started, "seen": place["seen"], "groups": following}
        return _batch(models, versions, place, complete=False, full=True)

    async def _group(self, group: JSON, token: str | None) -> tuple[Model | None, list[Version], str | None]:
        """The model of a group and a page of its versions; nothing where it was deleted meanwhile."""
        model = await self._model(group)
        if model is None:
            return None, [], None
        return model, *await self._versions(model.native_name, model, token)

    async def _model(self, group: JSON) -> Model | None:
        try:
            return await self._groups.model(group)
        except NotFound:
            return None

    async def _versions(self, native: str, model: Model, token: str | None) -> tuple[list[Version], str | None]:
        try:
            summaries, following = await self._packages.page(native, token, PAGE)
        except NotFound:
            return [], None
        arns = [summary["ModelPackageArn"] for summary in summaries]
        return await self._packages.read_all(native, model.name, arns, model.aliases), following

    # -- incremental -----------------------------------------------------------------------------------

    async def _changes(self, place: JSON) -> Batch:
        """New groups, then a page of what Search finds, each described afresh."""
        started, seen = place.setdefault("started", time.time()), place.get("seen") or {}
        natives: dict[str, list[str]] = {}
        token = place.get("packages")
        if token is None:
            async for group in self._client.pages(
                "list_model_package_groups",
                "ModelPackageGroupSummaryList",
                CreationTimeAfter=float(place["since"]),
                MaxResults=PAGE,
            ):
                if _mark(group["ModelPackageGroupName"], group["CreationTime"]) not in seen:
                    natives[group["ModelPackageGroupName"]] = []
        hits, following = await self._client.page("search", "Results", token, **_search(place["since"]))
        for package in (hit.get("ModelPackage", {}) for hit in hits):
            if "ModelPackageGroupName" in package and _hit_mark(package) not in seen:
                natives.setdefault(package["ModelPackageGroupName"], []).append(package["ModelPackageArn"])
        models, versions = await self._changed(natives)
        remembered = _seen(place, models, versions)
        if following is None:
            return _batch(models, versions, _since(started, remembered), complete=True, full=False)
        place = {**place, "seen": remembered, "packages": following}
        return _batch(models, versions, place, complete=False, full=False)

    async def _changed(self, natives: dict[str, list[str]]) -> tuple[list[Model], list[Version]]:
        models: list[Model] = []
        versions: list[Version] = []
        for native, arns in natives.items():
            try:
                model = await self._groups.model(await self._groups.describe(native))
            except NotFound:
                continue
            models.append(model)
            versions += await self._packages.read_all(native, model.name, arns, model.aliases)
        return models, versions


def _search(since: float) -> dict[str, Any]:
    """Packages created or changed since; Search compares whole seconds."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(since)))
    times = [
        {"Name": name, "Operator": "GreaterThanOrEqualTo", "Value": moment}
        for name in ("LastModifiedTime", "CreationTime")
    ]
    return {
        "Resource": "ModelPackage",
        "SearchExpression": {"Filters": times, "Operator": "Or"},
        "SortBy": "CreationTime",
        "SortOrder": "Ascending",
        "MaxResults": PAGE,
    }


def _seen(place: JSON, models: Sequence[Model], versions: Sequence[Version]) -> dict[str, int]:
    """Marks of what was shown and may be found again, with its time in seconds; the newest last."""
    shown = [(model.native_name, model.created_at) for model in models]
    shown += [(version.identity, version.updated_at) for version in versions]
    marks = {_mark(what, when): int(when.timestamp()) for what, when in shown if when is not None}
    marks = {**(place.get("seen") or {}), **marks}
    newest = max(marks.values(), default=0)
    recent = sorted((when, mark) for mark, when in marks.items() if when >= newest - LAG)
    return {mark: when for when, mark in recent[-MAX_SEEN:]}


def _since(started: float, seen: dict[str, int]) -> JSON:
    """Where the next scan begins: the newest change shown, or the start of this scan if that is earlier."""
    return {"since": min(int(started), max(seen.values(), default=int(started))) - LAG, "seen": seen}


def _hit_mark(package: JSON) -> str:
    return _mark(identity_of(package), package.get("LastModifiedTime") or package["CreationTime"])


def _mark(what: str, when: datetime) -> str:
    """A short fingerprint of something in a state."""
    return hashlib.sha256(f"{what} {round(when.timestamp() * 1000)}".encode()).hexdigest()[:16]


def _ahead(groups: Sequence[JSON], place: JSON) -> Sequence[JSON]:
    """The groups of a page that are still to do. All of them where the one we stopped at is gone."""
    names = [group["ModelPackageGroupName"] for group in groups]
    if place.get("after") not in names:
        place.pop("versions", None)
        return groups
    stopped = names.index(place["after"])
    return groups[stopped if place.get("versions") else stopped + 1 :]


def _batch(models: list[Model], versions: list[Version], place: JSON, *, complete: bool, full: bool) -> Batch:
    return Batch(models=tuple(models), versions=tuple(versions), cursor=json.dumps(place), complete=complete, full=full)


def _read_cursor(cursor: str | None) -> JSON:
    if cursor is None:
        return {}
    try:
        place = json.loads(cursor)
    except ValueError:
        place = None
    if not isinstance(place, dict) or not {"since", "started"} & place.keys():
        raise InvalidRequest(f"cursor {cursor[:40]!r} is none of this registry's", cure="scan without a cursor")
    return place
