"""Bytes in: files go to S3 first, a package is registered when all are there.

<artifact_root>/<native model>/<key>/files/…       packaging `files`: the package points to this prefix
                                    /staged/…      packaging `tar.gz`: members, until they are packed
                                    /model.tar.gz
                                    /fedreg.json   metrics, parameters, provenance
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from functools import partial

from fedreg.domain.calls import Effect
from fedreg.domain.capabilities import check_length
from fedreg.domain.errors import Conflict, InvalidRequest, NotFound, RegistryError
from fedreg.domain.manifest import check_path
from fedreg.domain.models import (
    FileReceipt,
    FileSource,
    OpenAt,
    Pending,
    UploadState,
    Version,
    VersionDraft,
    VersionStatus,
)
from fedreg_adapters.sagemaker.client import JSON, Client
from fedreg_adapters.sagemaker.files import Files
from fedreg_adapters.sagemaker.mapping import STATUSES, status_message_of
from fedreg_adapters.sagemaker.packages import Packages
from fedreg_adapters.sagemaker.records import Record
from fedreg_adapters.shared.archives import pack, packed_at_most
from fedreg_adapters.shared.drafts import begin, check_files, place_of, read_draft
from fedreg_adapters.shared.object_stores import StoredObject

ARCHIVE, RECORD, SHARED = "model.tar.gz", "fedreg.json", "shared"
MAX_URI = 1023  # 1024 with the slash of a prefix
_POLL = 5.0


class Uploads:
    """The uploads of one registry."""

    def __init__(self, client: Client, packages: Packages, files: Files) -> None:
        self._client, self._packages, self._stored = client, packages, files

    async def put(self, state: UploadState, file: FileSource) -> FileReceipt:
        """Stream a file to its place. Raises IntegrityError where size or sha256 are not as announced."""
        key = f"{_files(state)}/{check_path(file.path)}"
        done = await self._client.s3(
            "put", lambda: self._client.root.put(key, file), Effect.IDEMPOTENT, size=max(file.size, 1)
        )
        return FileReceipt(path=file.path, size=done.size, etag=done.etag)

    def open(self, state: UploadState, path: str) -> OpenAt:
        """Open a file that was put."""
        return self._client.root.open_at(f"{_files(state)}/{check_path(path)}")

    async def find(self, native: str, key: str) -> list[JSON]:
        """Every package that a key made."""
        root = self._client.options.artifact_root
        place = f"{root.rstrip('/')}/{place_of(native, key)}/" if root else None
        return await self._packages.find_by_key(native, key, place)

    async def finish(self, state: UploadState) -> JSON:
        """Register what is there, once; returns the package."""
        found = await self._survivor(state)
        if found is None:
            files = await self._list(state)
            check_files(state, {path: stored.size for path, stored in files.items()})
            data = await self._archive(state, files) if _packaging(state) == "tar.gz" else self._prefix(state)
            found = await self._create(state, data)
        if _packaging(state) == "tar.gz":
            await self._client.s3(
                "delete", partial(self._client.root.delete_prefix, _files(state)), Effect.IDEMPOTENT, size=0
            )
        return found

    async def create(self, native: str, draft: VersionDraft, key: str, data: JSON) -> JSON:
        """Register bytes that are in place, once; returns the package."""
        state = begin(draft, native, key)
        found = await self._survivor(state)
        return await self._create(state, data) if found is None else found

    async def data_at(self, uri: str) -> JSON:
        """The container data of bytes in place, an object or a prefix. Raises NotFound where there are none."""
        registry = self._client.registry
        if not uri.startswith("s3://"):
            raise InvalidRequest(
                f"source_uri {uri!r} is no address in S3", registry=registry, cure="use s3://bucket/key"
            )
        check_length("source_uri", uri, MAX_URI, registry)
        if not uri.endswith("/"):
            try:
                await self._stored.head(uri)
                return object_source(uri)
            except NotFound:
                uri = f"{uri}/"
        if not await self._stored.list_prefix(uri):
            raise NotFound(f"there is nothing at {uri}", registry=registry, cure="upload the bytes first")
        return prefix_source(uri)

    async def poll(self, state: UploadState) -> JSON:
        """The package of a finished upload. Raises NotFound where there is none."""
        found = await self._survivor(state)
        if found is None:
            raise NotFound(f"upload {state.key!r} was not finished", registry=self._client.registry)
        return found

    async def abort(self, state: UploadState) -> None:
        """Remove packages that did not become ready, and the bytes where no package needs them."""
        native = _native(state)
        try:
            found = await self.find(native, state.key)
        except NotFound:  # the group is gone, and its packages with it
            found = []
        ready = [package for package in found if STATUSES.get(package["ModelPackageStatus"]) is VersionStatus.READY]
        for package in found:
            if package not in ready:
                await self._delete(package)
        place = place_of(native, state.key)
        if not ready and not await self._is_shared(place):
            await self._client.s3("delete", partial(self._client.root.delete_prefix, place), Effect.IDEMPOTENT, size=0)

    async def share(self, uri: str, copy: str) -> None:
        """Note at an upload of ours that a copy uses its bytes too, so that no abort takes them away."""
        root = self._client.root
        if uri.startswith(f"{root.url}/"):
            place = "/".join(uri.removeprefix(f"{root.url}/").split("/")[:2])
            note = partial(
                root.put_bytes, f"{place}/{SHARED}/{hashlib.sha256(copy.encode()).hexdigest()}", copy.encode()
            )
            await self._client.s3("put", note, Effect.IDEMPOTENT)

    # -- steps -----------------------------------------------------------------------------------------

    async def _survivor(self, state: UploadState, created: JSON | None = None) -> JSON | None:
        """The lowest package of a key, `created` among them; later twins are removed."""
        found = await self.find(_native(state), state.key)
        if created is not None and created["ModelPackageArn"] not in [p["ModelPackageArn"] for p in found]:
            found.append(created)  # lists may lag
        found.sort(key=lambda package: int(package["ModelPackageVersion"]))
        for twin in found[1:]:
            await self._delete(twin)
        return found[0] if found else None

    async def _delete(self, package: JSON) -> None:
        try:
            await self._packages.delete(package)
        except NotFound:
            return

    async def _create(self, state: UploadState, data: JSON) -> JSON:
        draft, native = read_draft(state), _native(state)
        record = Record.of(draft)
        uri = None
        if record is not None and self._client.options.artifact_root is not None:
            key = f"{place_of(native, state.key)}/{RECORD}"
            await self._client.s3("put", lambda: self._client.root.put_bytes(key, record.to_json()), Effect.IDEMPOTENT)
            uri = self._client.root.uri(key)
        try:
            created = await self._packages.create(native, draft, state.key, data, uri)
        except Conflict:  # the token came before with other fields: the configuration changed meanwhile
            survivor = await self._survivor(state)
            if survivor is None:
                raise
            return survivor
        return await self._survivor(state, created) or created

    async def _is_shared(self, place: str) -> bool:
        async def request() -> bool:
            async for _ in self._client.root.list(f"{place}/{SHARED}"):
                return True
            return False

        return await self._client.s3("list", request)

    async def _list(self, state: UploadState) -> dict[str, StoredObject]:
        start = f"{_files(state)}/"

        async def request() -> dict[str, StoredObject]:
            listed = self._client.root.list(start)
            return {found.key.removeprefix(start): found async for found in listed}

        return await self._client.s3("list", request, size=0)

    def _prefix(self, state: UploadState) -> JSON:
        return prefix_source(self._client.root.uri(_files(state)))

    async def _archive(self, state: UploadState, files: Mapping[str, StoredObject]) -> JSON:
        """Pack the staged files into one archive; returns where it is."""
        root = self._client.root
        key = f"{place_of(_native(state), state.key)}/{ARCHIVE}"
        members = [FileSource(path=path, size=found.size, open_at=self._reopen(found)) for path, found in files.items()]
        size = packed_at_most(members)
        await self._client.s3(
            "put", lambda: root.put_chunks(key, pack(members), at_most=size), Effect.IDEMPOTENT, size=size
        )
        return {"ModelDataUrl": root.uri(key)}

    def _reopen(self, found: StoredObject) -> OpenAt:
        source = self._client.root.open_at(found.key, etag=found.etag, size=found.size)

        def open_at(offset: int) -> AsyncIterator[bytes]:
            return self._client.calls.stream("s3_get", source, offset=offset)

        return open_at


def outcome_of(package: JSON, version: Version, state: UploadState) -> Version | Pending:
    """The version, or Pending while SageMaker is at work. Raises RegistryError where it failed."""
    if version.status is VersionStatus.REGISTERING:
        return Pending(state=state, poll_after=_POLL)
    if version.status is not VersionStatus.READY:
        raise RegistryError(
            f"SageMaker could not register the version: {status_message_of(package) or package['ModelPackageStatus']}",
            registry=version.registry,
            upstream_code=package["ModelPackageStatus"],
            cure="abort the upload, see what SageMaker says, and try again",
        )
    return version


def prefix_source(uri: str) -> JSON:
    """A container's data: every object under an S3 prefix."""
    place = {"S3Uri": uri.rstrip("/") + "/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    return {"ModelDataSource": {"S3DataSource": place}}


def object_source(uri: str) -> JSON:
    """A container's data: one object, an archive or not."""
    if uri.endswith((".tar.gz", ".tgz")):
        return {"ModelDataUrl": uri}
    place = {"S3Uri": uri, "S3DataType": "S3Object", "CompressionType": "None"}
    return {"ModelDataSource": {"S3DataSource": place}}


def _native(state: UploadState) -> str:
    return str(state.data["native"])


def _packaging(state: UploadState) -> str:
    return str(state.data["draft"]["packaging"])


def _files(state: UploadState) -> str:
    """Where the files of an upload go."""
    folder = "files" if _packaging(state) == "files" else "staged"
    return f"{place_of(_native(state), state.key)}/{folder}"
