"""Versions: reading, creating once, and changing what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import quote

from fedreg.domain.calls import Effect
from fedreg.domain.errors import (
    AlreadyExists,
    Conflict,
    FedregError,
    InvalidRequest,
    NotFound,
    Outcome,
    PreconditionFailed,
)
from fedreg.domain.models import Version, VersionId
from fedreg_adapters.azureml.client import ALL, JSON, Client
from fedreg_adapters.azureml.containers import Containers
from fedreg_adapters.azureml.edits import Edit
from fedreg_adapters.azureml.manifest import CODEC
from fedreg_adapters.azureml.mapping import (
    TWIN,
    WRITABLE,
    aliases_of,
    identity_of,
    is_version,
    key_of,
    properties_of,
    tags_of,
    time_of,
    version_name_of,
    version_of,
)
from fedreg_adapters.azureml.operations import settle
from fedreg_adapters.azureml.stages import Stages

_ATTEMPTS = 20
_BY_AGE = {"$orderBy": "createdtime asc"}


class Versions:
    """The versions of one workspace or registry."""

    def __init__(self, client: Client, containers: Containers, stages: Stages) -> None:
        self._client, self._containers, self.stages = client, containers, stages

    # -- reading ---------------------------------------------------------------------------------------

    async def get(self, native: str, version: str, operation: str = "get_version") -> JSON:
        """Raises NotFound, also for what can't be a version."""
        missing = NotFound(
            f"version {version!r} of model {CODEC.decode(native)!r} does not exist",
            registry=self._client.registry,
            operation=operation,
        )
        if not is_version(version):
            raise missing
        found = (await self._client.call(operation, "GET", self.path(native, version))).body
        if "id" not in found:
            raise self._client.nonsense(operation, "it is no version")
        if version_name_of(found) != (version.lower() if self._client.is_registry else version):
            raise missing
        return found

    async def target(self, target: VersionId, native: str) -> JSON:
        """The live resource of an identity. PreconditionFailed where another one has its place now."""
        found = await self.get(native, target.version)
        if identity_of(found) != target.identity:
            raise PreconditionFailed(
                f"version {target.version!r} of {target.model!r} is another one than was meant",
                registry=self._client.registry,
                cure="read it again and decide anew",
            )
        return found

    async def read(self, native: str, version: str, model: str) -> Version:
        """A version as it is now. Raises NotFound."""
        resource, container = await asyncio.gather(self.get(native, version), self._containers.find(native))
        return self.version(resource, model, aliases_of(container or {}))

    def version(self, resource: JSON, model: str, aliases: Mapping[str, str]) -> Version:
        """The version of a resource."""
        if "id" not in resource:
            raise self._client.nonsense("get_version", "it is no version")
        return version_of(resource, model, aliases, self.stages, self._client.registry)

    async def page(self, native: str, token: str | None, limit: int) -> tuple[list[JSON], str | None]:
        """A page, oldest first, archived ones included. In a registry an unknown model has an empty one."""
        return await self._client.slice("list_versions", f"models/{native}/versions", token, limit, **ALL, **_BY_AGE)

    async def all(self, native: str) -> list[JSON]:
        """Every version, oldest first."""
        listed = self._client.pages("list_versions", f"models/{native}/versions", **ALL, **_BY_AGE)
        return [found async for found in listed]

    async def find(self, native: str, key: str) -> list[JSON]:
        """Every version that a key made, the oldest first; in a registry without those that were put aside.

        The whole list is read: filters by properties are not known to see a version at once.
        """
        return _made_by(await self.all(native), key)

    async def next_number(self, native: str) -> str:
        """The number that a new version would get now. Raises NotFound."""
        container, found = await asyncio.gather(self._containers.get(native), self.all(native))
        return _next_number(container, found)

    # -- creating --------------------------------------------------------------------------------------

    async def create(self, native: str, key: str, inner: JSON, wanted: str | None = None) -> JSON:
        """Make the version of a key, unless it is there, and return the one that stays.

        A PUT over a version is an update. So the next number is taken, and what is there afterwards compared: its
        bytes can't be moved and its key can't be changed, so whose it is shows. A number that somebody else took
        meanwhile is left to them. A write that arrives late finds its own version, or is refused.
        """
        async with self._containers.lock(native):
            for _ in range(_ATTEMPTS):
                container, found = await asyncio.gather(self._containers.get(native), self.all(native))
                if made := _made_by(found, key):
                    return await self._keep_first(made)
                number = wanted or _next_number(container, found)
                if await self._try(native, number, key, inner):
                    return await self._keep_first(_made_by(await self.all(native), key))
                if wanted is not None:
                    raise AlreadyExists(
                        f"version {wanted!r} of {CODEC.decode(native)!r} exists already",
                        registry=self._client.registry,
                        operation="create_version",
                        cure="choose another version",
                    )
        raise Conflict(
            f"others took each of {_ATTEMPTS} numbers of {CODEC.decode(native)!r}",
            registry=self._client.registry,
            operation="create_version",
        )

    async def _try(self, native: str, number: str, key: str, inner: JSON) -> bool:
        """Put a version under a number that is free. False where it is somebody else's afterwards."""
        try:
            await self.get(native, number, "look_for_version")
            return False
        except NotFound:
            pass
        try:
            answer = await self._client.call(
                "create_version", "PUT", self.path(native, number), Effect.WRITE, body={"properties": inner}
            )
            await settle(self._client, "create_version", answer)
        except (InvalidRequest, Conflict):
            if await self._owner(native, number) in (None, key):  # not a matter of who has the number
                raise
            return False
        except FedregError as error:
            if error.outcome is not Outcome.UNKNOWN or await self._owner(native, number) != key:
                raise
        return await self._owner(native, number) == key

    async def exists(self, native: str, number: str) -> bool:
        """Whether there is such a version, whosever it is."""
        return await self._owner(native, number) is not None

    async def _owner(self, native: str, number: str) -> str | None:
        """The key that made a version: "" where none did, None where there is no such version."""
        try:
            return key_of(await self.get(native, number, "look_for_version")) or ""
        except NotFound:
            return None

    async def _keep_first(self, made: list[JSON]) -> JSON:
        """The oldest of a key's versions, without its twins: removed, or where that can't be, put aside."""
        first, *twins = made
        for twin in twins:
            await self._put_aside(twin, version_name_of(first))
        return first

    async def _put_aside(self, twin: JSON, stays: str) -> None:
        native, number = native_of(twin), version_name_of(twin)
        if not self._client.is_registry:
            await self.delete(native, number)
            return
        tags = {**tags_of(twin), TWIN: stays}
        await self._put("put_aside_twin", native, number, {**properties_of(twin), "tags": tags, "isArchived": True})

    # -- changing --------------------------------------------------------------------------------------

    async def change(
        self, operation: str, native: str, version: str, edit: Edit, target: VersionId | None = None
    ) -> JSON:
        """Read, edit properties and tags, write all of it back; nothing is sent where nothing changed.

        Every write carries the stage and whether it is archived: what is left out, the service resets.
        """
        async with self._containers.lock(native):
            before = await (self.get(native, version) if target is None else self.target(target, native))
            inner, tags = dict(properties_of(before)), tags_of(before)
            edit(inner, tags)
            inner["tags"] = tags
            if inner == {**properties_of(before), "tags": tags_of(before)}:
                return before
            await self._put(operation, native, version, inner)
            return await self.get(native, version)

    async def _put(self, operation: str, native: str, version: str, inner: JSON) -> None:
        body = {"properties": {name: inner[name] for name in WRITABLE if inner.get(name) is not None}}
        answer = await self._client.call(operation, "PUT", self.path(native, version), Effect.IDEMPOTENT, body=body)
        await settle(self._client, operation, answer)

    async def delete(self, native: str, version: str) -> None:
        """Deleting what is gone is fine."""
        answer = await self._client.call("delete_version", "DELETE", self.path(native, version), Effect.IDEMPOTENT)
        await settle(self._client, "delete_version", answer)

    def path(self, native: str, version: str) -> str:
        """The address of a version."""
        return f"models/{native}/versions/{quote(version, safe='')}"


def native_of(resource: JSON) -> str:
    """The container's name: in a registry a version's `name`, for its id is in lower case; else from the id."""
    if str(resource["id"]).startswith("azureml:"):
        return str(resource["name"])
    return str(resource["id"]).split("/models/", 1)[1].split("/versions/", 1)[0]


def _made_by(versions: list[JSON], key: str) -> list[JSON]:
    made = [found for found in versions if key_of(found) == key and TWIN not in tags_of(found)]
    return sorted(made, key=lambda found: (str(time_of(found, "createdAt")), version_name_of(found)))


def _next_number(container: JSON, versions: list[JSON]) -> str:
    """One more than every number there is, or was as far as the container remembers."""
    hint = str(properties_of(container).get("nextVersion") or "")
    taken = [int(name) for name in map(version_name_of, versions) if name.isdecimal()]
    return str(max([int(hint) if hint.isdecimal() else 1, *(number + 1 for number in taken)]))
