"""Native copies: a version of another model on the same bytes, and from a workspace into a registry by publishing.

A version's identity begins with its id, which says where it is: a workspace's goes to a registry by the
service's own publish, whose bytes never pass through the gateway.
"""

from __future__ import annotations

import re

from fedreg.domain.calls import Effect
from fedreg.domain.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed
from fedreg.domain.models import VersionId
from fedreg_adapters.azureml.client import API_VERSION, JSON, Client, Place
from fedreg_adapters.azureml.mapping import (
    APPROVAL,
    CODEC,
    COMMENT,
    COPY,
    KEY,
    WRITABLE,
    extras_of,
    identity_of,
    key_of,
    properties_of,
    tags_of,
    version_name_of,
)
from fedreg_adapters.azureml.operations import settle
from fedreg_adapters.azureml.stages import BESIDE, PREVIOUS, STAGE
from fedreg_adapters.azureml.uploads import Uploads
from fedreg_adapters.azureml.versions import Versions

_LEFT_BEHIND = {STAGE, BESIDE, PREVIOUS, APPROVAL, COMMENT, COPY}
_WORKSPACE = re.compile(
    r"(?P<place>/subscriptions/[^/]+/resourcegroups/[^/]+/providers/[^/]+/workspaces/[^/]+)/models/"
)
_ATTEMPTS = 20


class Copies:
    """The native copies into one workspace or registry. Stage, approval and aliases stay behind."""

    def __init__(self, client: Client, versions: Versions, uploads: Uploads) -> None:
        self._client, self._versions, self._uploads = client, versions, uploads

    async def copy(self, source: VersionId, native: str, key: str) -> JSON:
        """Copy a version into the container `native`, once for each key."""
        if made := await self._versions.find(native, key):
            return made[0]
        place = _WORKSPACE.match(source.identity)
        if self._client.is_registry and place is not None:
            return await self._publish(source, place["place"], native, key)
        resource = await self._versions.target(source, CODEC.encode(source.model))
        if self._client.is_registry:
            raise InvalidRequest(
                "a registry copies from a workspace only",
                registry=self._client.registry,
                cure="copy with bytes: `fedreg copy`",
            )
        await self._uploads.share(resource, f"{native}/{key}")
        return await self._versions.create(native, key, copied(resource, key))

    async def _publish(self, source: VersionId, place: str, native: str, key: str) -> JSON:
        """Publish from a workspace. A second request for the same number is refused, so none is made twice."""
        workspace = Place(f"{self._client.options.endpoint.rstrip('/')}{place}", API_VERSION)
        path = self._versions.path(CODEC.encode(source.model), source.version)
        found = (await self._client.call("get_source", "GET", path, place=workspace)).body
        if identity_of(found) != source.identity:
            raise PreconditionFailed(
                f"version {source.version!r} of {source.model!r} is another one than was meant",
                registry=self._client.registry,
                cure="read it again and decide anew",
            )
        if (lost := await self._unclaimed(native, found)) is not None:
            return await self._claim(native, version_name_of(lost), key)
        for _ in range(_ATTEMPTS):
            number = await self._versions.next_number(native)
            body = {
                "destinationName": native,
                "destinationVersion": number,
                "registryName": self._client.options.registry,
            }
            try:
                answer = await self._client.call(
                    "publish", "POST", f"{path}/publish", Effect.WRITE, body=body, place=workspace
                )
                await settle(self._client, "publish", answer, home=workspace)
            except (Conflict, InvalidRequest):
                if not await self._versions.exists(native, number):
                    raise
                continue  # somebody took the number
            return await self._claim(native, number, key)
        raise Conflict(f"others took each of {_ATTEMPTS} numbers", registry=self._client.registry, operation="publish")

    async def _unclaimed(self, native: str, source: JSON) -> JSON | None:
        """A published copy of the source that no key has claimed: the answer to its publishing got lost."""
        end = source["id"].lower().rpartition("/workspaces/")[2].partition("/")[2]
        for found in await self._versions.all(native):
            origin = str(properties_of(found).get("originAssetId") or "").lower()
            if origin.endswith(f"/{end}") and COPY not in tags_of(found) and extras_of(found) == extras_of(source):
                return found
        return None

    async def _claim(self, native: str, number: str, key: str) -> JSON:
        """Give a published version our key, and leave behind what came along of stage and approval."""

        def edit(inner: JSON, tags: dict[str, str]) -> None:
            for name in _LEFT_BEHIND & tags.keys():
                del tags[name]
            tags[COPY] = key

        made = await self._versions.change("claim_copy", native, number, edit)
        if key_of(made) != key:
            raise NotFound(f"version {number!r} was not published", registry=self._client.registry)
        return made


def copied(resource: JSON, key: str) -> JSON:
    """The properties of a copy in the same workspace."""
    inner = {name: properties_of(resource)[name] for name in WRITABLE if properties_of(resource).get(name) is not None}
    tags = {name: value for name, value in tags_of(resource).items() if name not in _LEFT_BEHIND}
    return {
        **inner,
        "tags": tags,
        "properties": {**extras_of(resource), KEY: key},
        "isArchived": False,
        "stage": "Development",
    }
