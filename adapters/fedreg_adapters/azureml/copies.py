"""Native copies: a version of another model on the same bytes, and from a workspace into a registry by publishing.

A version's identity begins with its id, which says where it is: a workspace's goes to a registry by the
service's own publish, whose bytes never pass through the gateway.
"""

from __future__ import annotations

import hashlib
import re

from fedreg.domain.calls import Effect
from fedreg.domain.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed
from fedreg.domain.models import VersionId
from fedreg_adapters.azureml.client import API_VERSION, JSON, Client, Place
from fedreg_adapters.azureml.manifest import CODEC
from fedreg_adapters.azureml.mapping import (
    APPROVAL,
    COMMENT,
    COPY,
    KEY,
    WRITABLE,
    extras_of,
    identity_of,
    key_of,
    properties_of,
    tags_of,
)
from fedreg_adapters.azureml.operations import settle
from fedreg_adapters.azureml.stages import BESIDE, PREVIOUS, STAGE
from fedreg_adapters.azureml.uploads import Uploads
from fedreg_adapters.azureml.versions import Versions

_LEFT_BEHIND = {STAGE, BESIDE, PREVIOUS, APPROVAL, COMMENT, COPY}
_WORKSPACE = re.compile(
    r"(?P<place>/subscriptions/[^/]+/resourcegroups/[^/]+/providers/[^/]+/workspaces/[^/]+)/models/"
)


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
        """Publish from a workspace, under the source's own version, or where that is taken one that the key makes.

        Neither depends on what is there: a request that is made again, or arrives late, is about the same version.
        """
        workspace = Place(f"{self._client.options.endpoint.rstrip('/')}{place}", API_VERSION)
        path = self._versions.path(CODEC.encode(source.model), source.version)
        found = (await self._client.call("get_source", "GET", path, place=workspace)).body
        if identity_of(found) != source.identity:
            raise PreconditionFailed(
                f"version {source.version!r} of {source.model!r} is another one than was meant",
                registry=self._client.registry,
                cure="read it again and decide anew",
            )
        own = source.version.lower()
        for number in (own, f"{own}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"):
            if not await self._versions.exists(native, number):
                await self._request(path, native, number, workspace)
            if await self._is_unclaimed(native, number, found):
                return await self._claim(native, number, key)
        raise Conflict(
            f"others took version {own!r}, and the one that this key makes",
            registry=self._client.registry,
            operation="publish",
            cure="use a new key",
        )

    async def _request(self, path: str, native: str, number: str, workspace: Place) -> None:
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

    async def _is_unclaimed(self, native: str, number: str, source: JSON) -> bool:
        """Whether a version is a copy of the source that no key has claimed."""
        found = await self._versions.get(native, number)
        end = source["id"].lower().rpartition("/workspaces/")[2].partition("/")[2]
        origin = str(properties_of(found).get("originAssetId") or "").lower()
        return origin.endswith(f"/{end}") and COPY not in tags_of(found) and extras_of(found) == extras_of(source)

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
