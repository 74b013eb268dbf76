"""Models and versions at Vertex: reading them, and changing labels, descriptions and aliases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from fedreg.domain.calls import Effect
from fedreg.domain.errors import Conflict, NotFound, PreconditionFailed
from fedreg.domain.models import Model, Version, VersionId
from fedreg.domain.names import parse_integer_version
from fedreg.domain.stages import StageMap
from fedreg_adapters.vertex.client import PAGE, Client
from fedreg_adapters.vertex.manifest import MODEL_TAG
from fedreg_adapters.vertex.mapping import (
    DEFAULT,
    OWN,
    RECORD,
    aliases_of,
    identity_of,
    mark,
    metrics_of,
    model_of,
    name_of,
    native_id,
    own_labels,
    read_marks,
    version_of,
    with_marks,
)
from fedreg_adapters.vertex.records import Record, Records

_TRIES = 5  # of a change that others get in the way of
Change = Callable[[Any], Mapping[str, str | None]]


class Versions:
    """The models of one registry, by their native ids."""

    def __init__(self, client: Client, records: Records) -> None:
        self._client, self._records = client, records
        self.stages = StageMap(client.options.stages.map)

    # -- reading ---------------------------------------------------------------------------------------

    def resource(self, native: str, version: str | None = None) -> str:
        """The resource name of a model or a version. NotFound for a version that can't be."""
        name = f"{self._client.parent}/models/{native}"
        if version is None:
            return name
        number = parse_integer_version(version, registry=self._client.registry, model=name_of(native))
        return f"{name}@{number}"

    async def get(self, native: str, version: str | None = None) -> Any:
        """The message of a version; of the default one without a number. Raises NotFound."""
        return await self._client.call("get_model", {"name": self.resource(native, version)})

    async def get_target(self, target: VersionId, native: str) -> Any:
        """The message of a version that is still the one meant. Raises NotFound, PreconditionFailed."""
        found = await self.get(native, target.version)
        if identity_of(found) != target.identity:
            raise PreconditionFailed(
                f"version {target.version} of {target.model!r} is another than the one meant",
                registry=self._client.registry,
                cure="read it again and decide anew",
            )
        return found

    async def page(self, native: str, token: str | None, limit: int) -> tuple[list[Any], str | None]:
        """A page of messages, oldest first. Raises NotFound for an unknown model."""
        request = {"name": self.resource(native), "page_size": max(1, min(limit, PAGE)), "order_by": "create_time"}
        return await self._client.page("list_model_versions", "models", request, token)

    async def all(self, native: str, labels: str = "") -> list[Any]:
        """Every version of a model, or those that a filter of labels names. Raises NotFound."""
        request = {"name": self.resource(native), "page_size": PAGE, "filter": labels, "order_by": "create_time"}
        return [found async for found in self._client.pages("list_model_versions", "models", request)]

    async def model(self, message: Any) -> Model:
        """The model of a message, with the aliases of all its versions. Raises NotFound."""
        found = await self.all(native_id(message.name))
        aliases = {alias: each.version_id for each in found for alias in aliases_of(each.version_aliases)}
        return model_of(message, aliases, self._client.registry)

    async def version(self, message: Any, model: str) -> Version:
        """The version of a message, with its record and metrics."""
        record, metrics = await asyncio.gather(self.record(message), self.metrics(message))
        return version_of(message, model, self.stages, self._client.registry, record, metrics)

    async def versions(self, messages: list[Any], model: str) -> list[Version]:
        """The versions of messages; those deleted meanwhile are left out."""
        found = await asyncio.gather(*(self._version_if_there(message, model) for message in messages))
        return [version for version in found if version is not None]

    async def _version_if_there(self, message: Any, model: str) -> Version | None:
        try:
            return await self.version(message, model)
        except NotFound:
            return None

    async def record(self, message: Any) -> Record:
        place = message.labels.get(RECORD)
        return await self._records.get(place) if place else Record()

    async def metrics(self, message: Any) -> dict[str, float]:
        return metrics_of(await self.evaluations(message))

    async def evaluations(self, message: Any) -> list[Any]:
        """The evaluations of a version."""
        parent = f"{message.name.partition('@')[0]}@{message.version_id}"
        request = {"parent": parent, "page_size": PAGE}
        return [found async for found in self._client.pages("list_model_evaluations", "model_evaluations", request)]

    # -- changing --------------------------------------------------------------------------------------

    async def describe(self, native: str, text: str, version: str | None = None) -> None:
        """Set the description of a model, or of a version: never both in one request."""
        field = "description" if version is None else "version_description"
        model = {"name": self.resource(native, version), field: text}
        await self._update(model, field, Effect.IDEMPOTENT)

    async def rename(self, native: str, name: str) -> None:
        """Set the display name of a model."""
        await self._update({"name": self.resource(native), "display_name": name}, "display_name", Effect.IDEMPOTENT)

    async def label_version(self, native: str, version: str, change: Change, effect: Effect = Effect.IDEMPOTENT) -> Any:
        """Change labels of a version and nothing of its model's; returns the message as it is then.

        `change` says of a message which labels to set, and which (None) to remove; it is asked again where somebody
        else changed the version meanwhile. Conflict where a label of the model stands in the way.
        """
        name = self.resource(native, version)
        for _ in range(_TRIES):
            message = await self.get(native, version)
            delta = {key: value for key, value in change(message).items() if message.labels.get(key) != value}
            if not delta:
                return message
            known, unsure = own_labels(message.labels)
            wanted = with_marks(_changed(known, delta))
            others = {key: value for key, value in unsure.items() if key not in delta}
            try:
                done = await self._write_labels(name, wanted, message.etag, effect)
                gone = {key: value for key, value in others.items() if key not in done.labels}
                if gone:  # these were the version's own, set by others
                    done = await self._write_labels(name, with_marks({**wanted, **gone}), done.etag, effect)
            except PreconditionFailed:
                continue
            self._check_level(done, delta)
            return done
        raise self._busy(name)

    async def label_model(self, native: str, delta: Mapping[str, str | None]) -> None:
        """Change labels of a model that begin with our prefix, and nothing of its versions'."""
        name = self.resource(native)
        for _ in range(_TRIES):
            message = await self.get(native)
            held = {key: value for key, value in message.labels.items() if key.startswith(MODEL_TAG)}
            wanted = _changed(held, delta)
            if wanted == held:
                return
            marks = read_marks(message.labels)
            others = {k: v for k, v in message.labels.items() if not k.startswith(OWN) and mark(k) not in marks}
            try:
                done = await self._write_labels(name, wanted, message.etag, Effect.IDEMPOTENT)
                gone = {key: value for key, value in others.items() if key not in done.labels}
                if gone:
                    await self._write_labels(name, {**wanted, **gone}, done.etag, Effect.IDEMPOTENT)
            except PreconditionFailed:
                continue
            return
        raise self._busy(name)

    async def merge_aliases(self, native: str, version: str, *aliases: str) -> None:
        """Add aliases to a version, or remove those with a `-` before them."""
        request = {"name": self.resource(native, version), "version_aliases": list(aliases)}
        await self._client.call("merge_version_aliases", request, Effect.IDEMPOTENT)

    async def delete(self, native: str, version: str) -> None:
        """Remove a version; with the only one its model goes. Raises NotFound, Conflict where it is deployed."""
        number = self.resource(native, version).rpartition("@")[2]
        found = await self.all(native)
        meant = next((each for each in found if each.version_id == number), None)
        if meant is None:
            raise NotFound(f"version {version} of {name_of(native)!r} does not exist", registry=self._client.registry)
        if len(found) == 1:
            await self.delete_model(native)
            return
        if DEFAULT in meant.version_aliases:  # there must always be one, so another gets it first
            heir = max(int(each.version_id) for each in found if each is not meant)
            await self.merge_aliases(native, str(heir), DEFAULT)
        await self._remove("delete_model_version", self.resource(native, version))

    async def delete_model(self, native: str) -> None:
        """Remove a model with all its versions. Raises NotFound, Conflict where one is deployed."""
        await self._remove("delete_model", self.resource(native))

    async def _remove(self, method: str, name: str) -> None:
        await self._client.outcome(await self._client.start(method, {"name": name}, Effect.WRITE))

    async def _update(self, model: dict[str, Any], field: str, effect: Effect) -> Any:
        return await self._client.call("update_model", {"model": model, "update_mask": {"paths": [field]}}, effect)

    async def _write_labels(self, name: str, labels: Mapping[str, str], etag: str, effect: Effect) -> Any:
        """Replace the labels of one level. PreconditionFailed where it is no longer as it was read."""
        try:
            return await self._update({"name": name, "labels": dict(labels), "etag": etag}, "labels", effect)
        except Conflict as error:  # the service says FAILED_PRECONDITION or ABORTED of an etag that is old
            raise PreconditionFailed(error.message, registry=error.registry, operation=error.operation) from error

    def _check_level(self, message: Any, delta: Mapping[str, str | None]) -> None:
        for key, value in delta.items():
            if message.labels.get(key) != value:
                raise Conflict(
                    f"tag {key!r} is a label of the model at Vertex, which shows it on every version",
                    registry=self._client.registry,
                    cure="change the label of the model in Vertex AI",
                )

    def _busy(self, name: str) -> PreconditionFailed:
        return PreconditionFailed(
            f"{name} is being changed by others all the time", registry=self._client.registry, operation="update_model"
        )


def _changed(labels: Mapping[str, str], delta: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**labels, **delta}
    return {key: value for key, value in merged.items() if value is not None}
