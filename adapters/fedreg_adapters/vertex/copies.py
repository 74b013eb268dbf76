"""Native copies: CopyModel within the project.

CopyModel takes neither labels nor a request id. So an intent is noted first, in a record named by the key: which
versions the target had. A copy of that source which came later and has no key is ours: it gets the label then. Further
ones stay: they may be somebody else's, and nothing at Vertex could tell.
"""

from __future__ import annotations

from typing import Any

from fedreg.domain.calls import Effect
from fedreg.domain.errors import AlreadyExists, FedregError, NotFound, Outcome, RegistryUnavailable
from fedreg_adapters.vertex.client import Client
from fedreg_adapters.vertex.mapping import APPROVAL, DONE, KEY, RECORD, STAGE, key_label
from fedreg_adapters.vertex.records import Record, Records, record_id
from fedreg_adapters.vertex.uploads import Uploads
from fedreg_adapters.vertex.versions import Versions


class Copies:
    """The native copies of one registry."""

    def __init__(self, client: Client, versions: Versions, records: Records, uploads: Uploads) -> None:
        self._client, self._versions, self._records, self._uploads = client, versions, records, uploads

    async def copy(self, source: Any, native: str, name: str, key: str) -> Any:
        """The copy of a version in another model; stage, approval and aliases stay behind. Returns its message."""
        place = f"{source.name.partition('@')[0]}@{source.version_id}"
        found = await self._uploads.survivor(native, key)
        if found is not None:
            return found
        await self._uploads.settled(native)
        before = await self._intent(native, key, place)
        made = await self._made_since(native, place, before, source.labels.get(KEY))
        if not made:
            await self._copy(place, native, key)
            made = await self._made_since(native, place, before, source.labels.get(KEY))
        if not made:
            raise RegistryUnavailable(
                f"the copy of {place} is not to be seen yet",
                registry=self._client.registry,
                operation="copy_model",
                outcome=Outcome.UNKNOWN,
            )
        first = made[0]
        record = source.labels.get(RECORD)
        labels = {KEY: key_label(key), RECORD: record, DONE: None, STAGE: None, APPROVAL: None}
        await self._versions.label_version(native, first.version_id, lambda _: labels)
        if len(await self._versions.all(native)) == 1:
            await self._versions.rename(native, name)
        return await self._versions.get(native, first.version_id)

    async def _intent(self, native: str, key: str, place: str) -> set[str]:
        """The versions that the target had when this copy was first asked for."""
        intent = record_id("copy", native, key)
        noted = await self._records.get(intent)
        if not noted.params:
            versions = ",".join(sorted(message.version_id for message in await self._all(native)))
            noted = Record(params={"source": place, "before": versions or "-"})
            await self._records.put(intent, noted, f"copy to {native}")
        return set(noted.params.get("before", "").split(","))

    async def _made_since(self, native: str, place: str, before: set[str], carried: str | None) -> list[Any]:
        """Copies of the source that nobody claimed, the first one first."""
        found = [
            message
            for message in await self._all(native)
            if message.version_id not in before
            and message.original_model_info.model in (place, place.partition("@")[0])
            and message.labels.get(KEY) in (None, carried)  # whether labels are copied, nobody says
        ]
        return sorted(found, key=lambda message: int(message.version_id))

    async def _copy(self, place: str, native: str, key: str) -> None:
        request = {"parent": self._client.parent, "source_model": place}
        as_version = {"parent_model": self._versions.resource(native)}
        target = as_version if await self._all(native) else {"model_id": native}
        try:
            operation = await self._client.start("copy_model", {**request, **target}, Effect.WRITE)
        except AlreadyExists:
            operation = await self._client.start("copy_model", {**request, **as_version}, Effect.WRITE)
        except FedregError as error:
            if error.outcome is not Outcome.UNKNOWN:
                raise
            await self._uploads.settled(native)
            return
        await self._client.outcome(operation)

    async def _all(self, native: str) -> list[Any]:
        try:
            return await self._versions.all(native)
        except NotFound:
            return []
