"""Bytes in: files to GCS, then UploadModel, at most one surviving version for a key.

UploadModel is a long-running operation without a request id. The key goes along as the label `fed-key`, by which a
version is found again; while its operation runs there is no version yet, so the model's pending operations are looked
at too before anything is uploaded a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fedreg.domain.calls import Effect
from fedreg.domain.errors import AlreadyExists, Conflict, FedregError, InvalidRequest, NotFound, Outcome
from fedreg.domain.manifest import check_path
from fedreg.domain.models import FileReceipt, FileSource, OpenAt, Pending, UploadState, VersionDraft
from fedreg.domain.stages import Approval
from fedreg_adapters.shared.drafts import begin, check_files, place_of, read_draft
from fedreg_adapters.vertex.client import Client
from fedreg_adapters.vertex.files import Files
from fedreg_adapters.vertex.mapping import APPROVAL, DONE, KEY, RECORD, key_label
from fedreg_adapters.vertex.records import Record, Records, record_id
from fedreg_adapters.vertex.versions import Versions

_POLL = 1.0
_DEFAULT_SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"


class Uploads:
    """The uploads of one registry."""

    def __init__(self, client: Client, versions: Versions, records: Records, files: Files) -> None:
        self._client, self._versions, self._records, self._files = client, versions, records, files

    async def put(self, state: UploadState, file: FileSource) -> FileReceipt:
        """Stream a file to its place. Raises IntegrityError where size or sha256 are not as announced."""
        key = f"{files_of(state)}/{check_path(file.path)}"
        root = self._client.root
        done = await self._client.gcs("put", lambda: root.put(key, file), Effect.IDEMPOTENT, size=max(file.size, 1))
        return FileReceipt(path=file.path, size=done.size, etag=done.etag)

    def open(self, state: UploadState, path: str) -> OpenAt:
        """Open a file that was put."""
        return self._client.root.open_at(f"{files_of(state)}/{check_path(path)}")

    # -- versions of a key -----------------------------------------------------------------------------

    async def find(self, native: str, key: str) -> list[Any]:
        """Every version that a key made, the first one first; none of an unknown model."""
        try:
            found = await self._versions.all(native, f'labels.{KEY}="{key_label(key)}"')
        except NotFound:
            return []
        return sorted(found, key=lambda message: int(message.version_id))

    async def survivor(self, native: str, key: str) -> Any:
        """The first version of a key, or None; later twins are removed.

        A twin has the first one's bytes: the label alone could come from the model.
        """
        first, *others = await self.find(native, key) or [None]
        for twin in (other for other in others if other.artifact_uri == first.artifact_uri):
            try:
                await self._versions.delete(native, twin.version_id)
            except NotFound:
                continue
        return first

    # -- the protocol ----------------------------------------------------------------------------------

    async def finish(self, state: UploadState) -> Any:
        """Register what was uploaded, once; the message, or Pending while Vertex is at work."""
        native = state.data["native"]
        found = await self._done(state)
        if found is not None:
            return found
        if await self._is_busy(native):
            return Pending(state=state, poll_after=_POLL)
        root = self._client.root
        listed = await self._files.list_prefix(root.uri(files_of(state)))
        check_files(state, {each.key: each.size for each in listed})
        return await self._register(state, root.uri(files_of(state)))

    async def poll(self, state: UploadState) -> Any:
        """Ask again. Raises RegistryError where Vertex could not register the version."""
        name = state.data.get("operation")
        if not name:
            return await self.finish(state)
        try:
            operation = await self._client.operation(name)
        except NotFound:  # operations are forgotten after a while
            return await self.finish(replace(state, data={**state.data, "operation": None}))
        if not operation.done:
            return Pending(state=state, poll_after=_POLL)
        self._client.response(operation)
        return await self._done(state) or await self.finish(replace(state, data={**state.data, "operation": None}))

    async def abort(self, state: UploadState) -> None:
        """Remove the bytes and the record, unless a version has them. Conflict while Vertex is at work."""
        native = state.data["native"]
        if await self.find(native, state.key):
            return
        if await self._is_busy(native):
            raise Conflict(
                f"upload {state.key!r} is being registered", registry=self._client.registry, cure="abort it again later"
            )
        place = place_of(native, state.key)
        await self._client.gcs("delete", partial(self._client.root.delete_prefix, place), Effect.IDEMPOTENT, size=0)
        if _record_of(read_draft(state)):
            await self._records.delete(record_id(native, state.key))

    async def create(self, draft: VersionDraft, native: str, key: str) -> Any:
        """Register bytes in place, once, and wait for it; the message."""
        uri = draft.source_uri or ""
        if not uri.startswith("gs://"):
            raise InvalidRequest(
                f"source_uri {uri!r} is no address in GCS",
                registry=self._client.registry,
                cure="use gs://bucket/directory",
            )
        state = begin(draft, native, key)
        found = await self._done(state)
        if found is None:
            if not await self._files.list_prefix(uri):
                raise NotFound(
                    f"there is no directory {uri}",
                    registry=self._client.registry,
                    cure="artifact_uri is a directory: upload the files first, and name the folder they are in",
                )
            found = await self._register(state, uri.rstrip("/"))
        while isinstance(found, Pending):
            name = found.state.data.get("operation")
            if name:
                await self._client.outcome(await self._client.operation(name))
            else:
                await self.settled(native)
            found = await self.poll(found.state)
        return found

    async def settled(self, native: str) -> None:
        """Wait for the operations of a model that are running."""
        for operation in await self._client.pending_operations(self._versions.resource(native)):
            try:
                await self._client.outcome(operation)
            except FedregError:  # somebody else's: its end is all that matters here
                continue

    # -- steps -----------------------------------------------------------------------------------------

    async def _done(self, state: UploadState) -> Any:
        """The version of this upload with all that belongs to it, or None."""
        message = await self.survivor(state.data["native"], state.key)
        if message is not None:
            draft = read_draft(state)
            message = await self._label(message, draft, state.data["native"], state.key)
            await self._evaluate(message, draft, state.key)
        return message

    async def _register(self, state: UploadState, uri: str) -> Any:
        """UploadModel; what came of it."""
        draft, native = read_draft(state), state.data["native"]
        record = _record_of(draft)
        if record:
            await self._records.put(record_id(native, state.key), record, draft.model)
        try:
            operation = await self._upload(draft, native, state.key, uri)
        except FedregError as error:
            if error.outcome is not Outcome.UNKNOWN:
                raise
            found = await self._done(state)
            if found is not None:
                return found
            if await self._is_busy(native):
                return Pending(state=state, poll_after=_POLL)
            raise
        if not operation.done:
            return Pending(state=replace(state, data={**state.data, "operation": operation.name}), poll_after=_POLL)
        self._client.response(operation)
        return await self._done(state)

    async def _upload(self, draft: VersionDraft, native: str, key: str, uri: str) -> Any:
        """Begin UploadModel: a version of the model, or the model with its first version."""
        request = {"parent": self._client.parent, "model": self._message(draft, key, uri)}
        as_version = {**request, "parent_model": self._versions.resource(native)}
        try:
            await self._versions.get(native)
        except NotFound:
            try:
                return await self._client.start("upload_model", {**request, "model_id": native}, Effect.WRITE)
            except AlreadyExists:  # somebody else made the model's first version meanwhile
                found = await self.find(native, key)
                if found:
                    raise Conflict("the version was registered meanwhile", outcome=Outcome.UNKNOWN) from None
        return await self._client.start("upload_model", as_version, Effect.WRITE)

    def _message(self, draft: VersionDraft, key: str, uri: str) -> dict[str, Any]:
        message: dict[str, Any] = {
            "display_name": draft.model,
            "version_description": draft.description or "",
            "artifact_uri": uri,
            "labels": {KEY: key_label(key)},
        }
        if self._client.options.image:
            message["container_spec"] = {"image_uri": self._client.options.image}
        return message

    async def _label(self, message: Any, draft: VersionDraft, native: str, key: str) -> Any:
        """Set the labels of a draft, once.

        UploadModel takes labels too, but nobody says at which level it puts them, and an approval at the model would
        be every version's.
        """
        labels: dict[str, str | None] = dict(draft.tags)
        if _record_of(draft):
            labels[RECORD] = record_id(native, key)
        if draft.approval is not Approval.NONE:
            labels[APPROVAL] = draft.approval.value
        if not labels or DONE in message.labels:
            return message

        def change(live: Any) -> dict[str, str | None]:
            return {} if DONE in live.labels else {**labels, DONE: "1"}

        return await self._versions.label_version(native, message.version_id, change)

    async def _evaluate(self, message: Any, draft: VersionDraft, key: str) -> None:
        """Make sure that the metrics are there, as an evaluation that is named by the key."""
        if not draft.metrics:
            return
        title = f"fedreg-{key_label(key)}"
        if any(found.display_name == title for found in await self._versions.evaluations(message)):
            return
        metrics: Mapping[str, float] = draft.metrics
        evaluation = {
            "display_name": title,
            "metrics_schema_uri": self._client.options.metrics_schema or _DEFAULT_SCHEMA,
            "metrics": {name: float(value) for name, value in metrics.items()},
        }
        parent = f"{message.name.partition('@')[0]}@{message.version_id}"
        request = {"parent": parent, "model_evaluation": evaluation}
        await self._client.call("import_model_evaluation", request, Effect.IDEMPOTENT)

    async def _is_busy(self, native: str) -> bool:
        return bool(await self._client.pending_operations(self._versions.resource(native)))


def _record_of(draft: VersionDraft) -> Record | None:
    """The record of a draft; None where it has nothing to keep."""
    record = Record.of(draft)
    return record if record != Record() else None


def files_of(state: UploadState) -> str:
    """Where the files of an upload go, under the artifact root."""
    return f"{place_of(state.data['native'], state.key)}/files"
