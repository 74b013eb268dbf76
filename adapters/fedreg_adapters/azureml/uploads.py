"""Bytes in: files go to Blob first, a version is registered when all are there.

workspace:  <datastore>/<upload_prefix>/<native model>/<key>/files/…   the version points to this prefix
                                                            /shared/…  notes of copies that use the same bytes
registry:   <storage of the number>/<key>/files/…           the number is taken when the upload begins, by a
                                    reserved                note that only one writer can create
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial

from fedreg.domain.calls import Effect
from fedreg.domain.errors import InvalidRequest, NotFound, RegistryAuthError, RegistryError
from fedreg.domain.manifest import check_path
from fedreg.domain.models import (
    FileReceipt,
    FileSource,
    OpenAt,
    UploadState,
    VersionDraft,
    VersionStatus,
)
from fedreg_adapters.azureml.client import JSON, Client
from fedreg_adapters.azureml.datastores import Datastores
from fedreg_adapters.azureml.mapping import properties_of, status_of, version_properties
from fedreg_adapters.azureml.references import References
from fedreg_adapters.azureml.versions import Versions, native_of
from fedreg_adapters.shared.drafts import check_files, key_place, read_draft, write_draft
from fedreg_adapters.shared.object_stores import ObjectStore, StoredObject

SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Staged:
    """Where the bytes of an upload are: a store, the upload's directory in it, and its address for the service."""

    store: ObjectStore
    place: str
    uri: str

    @property
    def files(self) -> str:
        return f"{self.place}/files"


class Uploads:
    """The uploads of one workspace or registry."""

    def __init__(self, client: Client, versions: Versions, datastores: Datastores, references: References) -> None:
        self._client, self._versions, self._stored, self._references = client, versions, datastores, references

    async def begin(self, draft: VersionDraft, native: str, key: str) -> UploadState:
        """The state of an upload. In a workspace a function of draft and key alone; a registry's has its number."""
        data: JSON = {"native": native, "draft": write_draft(draft)}
        if self._client.is_registry:
            data["version"] = draft.version or await self._references.reserve(native, key_place(key))
        return UploadState(key=key, model=draft.model, data=data)

    async def put(self, state: UploadState, file: FileSource) -> FileReceipt:
        """Stream a file to its place. Raises IntegrityError where size or sha256 are not as announced."""
        path = check_path(file.path)
        staged = await self._staged(state)
        done = await self._stored.blob(
            "put",
            lambda: staged.store.put(f"{staged.files}/{path}", file),
            Effect.IDEMPOTENT,
            size=max(file.size, 1),
        )
        return FileReceipt(path=file.path, size=done.size, etag=done.etag)

    async def open(self, state: UploadState, path: str) -> OpenAt:
        """Open a file that was put."""
        staged = await self._staged(state)
        return staged.store.open_at(f"{staged.files}/{check_path(path)}")

    async def finish(self, state: UploadState) -> JSON:
        """Register what is there, once; returns the version."""
        native, key = _native(state), state.key
        if made := await self._versions.find(native, key):
            return made[0] if len(made) == 1 else await self._versions.create(native, key, {})
        staged = await self._staged(state)
        check_files(state, {path: stored.size for path, stored in (await self._list(staged)).items()})
        draft = read_draft(state)
        return await self.create(native, draft, key, f"{staged.uri}/files", state.data.get("version") or draft.version)

    async def create(self, native: str, draft: VersionDraft, key: str, uri: str, wanted: str | None) -> JSON:
        """Register bytes that are in place, once; returns the version."""
        inner = version_properties(draft, key, uri, self._versions.stages)
        if await self._is_job(draft.provenance.run_id):
            inner["jobName"] = draft.provenance.run_id
        return await self._versions.create(native, key, inner, wanted)

    async def poll(self, state: UploadState) -> JSON:
        """The version of a finished upload. Raises NotFound where there is none."""
        found = await self._versions.find(_native(state), state.key)
        if not found:
            raise NotFound(f"upload {state.key!r} was not finished", registry=self._client.registry, operation="poll")
        return found[0]

    async def abort(self, state: UploadState) -> None:
        """Remove versions that did not become ready, and the bytes where no version needs them.

        A registry's storage takes no deletes: there the bytes stay until the service clears them away.
        """
        native = _native(state)
        try:
            found = await self._versions.find(native, state.key)
        except NotFound:  # the model is gone, and its versions with it
            found = []
        if any(status_of(version)[0] is not VersionStatus.FAILED for version in found):
            return
        if self._client.is_registry:
            return
        for version in found:
            await self._versions.delete(native, str(version["id"]).rpartition("/")[2])
        staged = await self._staged(state)
        if not await self._is_shared(staged):
            await self._stored.blob(
                "delete", partial(staged.store.delete_prefix, staged.place), Effect.IDEMPOTENT, size=0
            )

    async def share(self, source: JSON, copy: str) -> None:
        """Note at an upload of ours that a copy uses its bytes too, so that no abort takes them away."""
        prefix = f"/datastores/{self._client.options.datastore}/paths/{self._client.options.upload_prefix}/"
        _, ours, rest = str(properties_of(source).get("modelUri") or "").partition(prefix)
        if ours and rest.startswith(f"{native_of(source)}/"):
            place = "/".join([self._client.options.upload_prefix, *rest.split("/")[:2]])
            note = f"{place}/{SHARED}/{hashlib.sha256(copy.encode()).hexdigest()}"
            store = await self._stored.uploads()
            await self._stored.blob("put", lambda: store.put_bytes(note, copy.encode()), Effect.IDEMPOTENT)

    # -- steps -----------------------------------------------------------------------------------------

    async def _staged(self, state: UploadState) -> Staged:
        if self._client.is_registry:
            reference = await self._references.upload(_native(state), str(state.data["version"]))
            place = key_place(state.key)
            return Staged(reference.store, place, f"{reference.uri}/{place}")
        place = f"{self._client.options.upload_prefix}/{_native(state)}/{key_place(state.key)}"
        return Staged(await self._stored.uploads(), place, self._stored.uri(place))

    async def _is_job(self, run_id: str | None) -> bool:
        """Whether a run is a job of this workspace: the service keeps no name of another's."""
        if not run_id or self._client.is_registry or not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}", run_id):
            return False
        try:
            await self._client.call("get_job", "GET", f"jobs/{run_id}")
        except (NotFound, InvalidRequest, RegistryAuthError):
            return False
        return True

    async def _is_shared(self, staged: Staged) -> bool:
        async def request() -> bool:
            async for _ in staged.store.list(f"{staged.place}/{SHARED}"):
                return True
            return False

        return await self._stored.blob("list", request)

    async def _list(self, staged: Staged) -> dict[str, StoredObject]:
        start = f"{staged.files}/"

        async def request() -> dict[str, StoredObject]:
            return {found.key.removeprefix(start): found async for found in staged.store.list(start)}

        return await self._stored.blob("list", request, size=0)


def failed_or_none(resource: JSON, registry: str) -> RegistryError | None:
    """The error for a version that did not become ready."""
    status, message = status_of(resource)
    if status in (VersionStatus.READY, VersionStatus.REGISTERING):
        return None
    return RegistryError(
        f"the version could not be registered: {message}",
        registry=registry,
        operation="create_version",
        upstream_code=str(properties_of(resource).get("provisioningState")),
        cure="abort the upload, see what Azure says, and try again",
    )


def _native(state: UploadState) -> str:
    return str(state.data["native"])
