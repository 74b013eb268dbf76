"""The steps of a copy. Each may run more than once; each ends in the same state when it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from fedreg.domain.capabilities import UploadSupport
from fedreg.domain.errors import AlreadyExists, Conflict, IntegrityError, NotFound, RegistryError
from fedreg.domain.manifest import MANIFEST_PATH, Manifest, ManifestEntry
from fedreg.domain.models import FileEntry, FileSource, Pending, UploadState, Version, VersionStatus
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.reports import CopyPlan
from fedreg.engine.port import Context
from fedreg.services.copy_abort import abort_upload
from fedreg.services.copy_record import record_copy
from fedreg.services.gateway import Gateway
from fedreg.services.transfer import HashedSource, expect_same, hash_stream
from fedreg.store import digests

Step = Callable[[], Awaitable[Any]]


class CopySteps:
    """One copy's steps, over its pinned plan. `sent` files are `{path, size, sha256}`."""

    def __init__(self, gateway: Gateway, ctx: Context, plan: CopyPlan) -> None:
        self.gateway = gateway
        self.ctx = ctx
        self.plan = plan
        self.paths = sorted(plan.files, key=lambda path: path.encode("utf-8", "surrogatepass"))
        self._bytes_done = 0
        self._files_done = 0
        self._upload = gateway.registries.manifest(plan.target_registry).capabilities.upload or UploadSupport()

    @property
    def parallel(self) -> int:
        return self._upload.parallel

    @property
    def needs_sha256(self) -> bool:
        return self._upload.needs_sha256

    @property
    def reads_back(self) -> bool:
        return self._upload.readback

    async def create_model(self) -> None:
        """Make the target model where the plan says it is missing; somebody else may have made it since.

        An implicit model is made by its first version.
        """
        if self.plan.model_draft is None:
            return
        target = await self._target()
        if target.capabilities.models == "implicit":
            return
        try:
            await target.create_model(self.plan.model_draft)
        except AlreadyExists:
            return

    async def begin_upload(self) -> Any:
        state = await (await self._target()).begin_upload(self.plan.draft, self.plan.key)
        return msgspec.to_builtins(state)

    def hash_source(self, path: str) -> Step:
        async def step() -> str:
            return (await hash_stream((await self._open_source(path))(0)))[0]

        return step

    def put_file(self, state: Any, path: str, sha256: str | None) -> Step:
        """Send one file, hashing it on the way."""

        async def step() -> dict[str, Any]:
            open_at = await self._open_source(path)
            size = self.plan.files[path]
            source = HashedSource(open_at, size, self._report_bytes)
            target = await self._target()
            await target.put_file(
                _state(state), FileSource(path=path, size=size, open_at=source.open_at, sha256=sha256)
            )
            digest = source.sha256 or (await hash_stream(open_at(0)))[0]
            self._files_done += 1
            self._report_bytes(0)
            return {"path": path, "size": size, "sha256": digest}

        return step

    async def check_source(self, sent: Sequence[Mapping[str, Any]]) -> None:
        """Conflict where the source's name and number mean another version by now.

        IntegrityError where the gateway read this version before and it had other bytes then.
        """
        source = await self.gateway.registries.get(self.plan.source_registry)
        pinned = self.plan.source
        live = await source.get_version(pinned.model, pinned.version)
        if live.identity != pinned.identity:
            raise Conflict(
                f"source '{self.plan.source_ref}' was replaced while it was copied",
                registry=self.plan.source_registry,
                cure="run the copy again: it pins the version that is there now",
            )
        known = await self.gateway.store.read(
            lambda conn: digests.get_manifest(conn, self.plan.source_registry, pinned.identity)
        )
        if known is not None and known != self._manifest(sent):
            raise IntegrityError(
                f"source '{self.plan.source_ref}' gave other bytes than when it was read before",
                registry=self.plan.source_registry,
                cure="nothing was registered; run the copy again, and look at the source if it happens twice",
            )

    async def put_manifest(self, state: Any, sent: Sequence[Mapping[str, Any]]) -> None:
        content = self._manifest(sent).to_json(source=str(self.plan.source_ref), key=self.plan.key)

        async def open_at(offset: int) -> AsyncIterator[bytes]:
            yield content[offset:]

        target = await self._target()
        await target.put_file(_state(state), FileSource(path=MANIFEST_PATH, size=len(content), open_at=open_at))

    def read_uploaded(self, state: Any, file: Mapping[str, Any]) -> Step:
        """Read one file back from the target before anything is registered."""

        async def step() -> None:
            target = await self._target()
            sha256, size = await hash_stream(target.open_uploaded(_state(state), file["path"]))
            self._expect(file, sha256, size)

        return step

    async def finish(self, state: Any) -> Any:
        return _outcome(await (await self._target()).finish(_state(state)))

    async def poll(self, state: Any, after: float) -> Any:
        await asyncio.sleep(after)
        return _outcome(await (await self._target()).poll(_state(state)))

    async def verify(self, version: Mapping[str, Any], sent: Sequence[Mapping[str, Any]]) -> None:
        """What stands registered is what was sent: by the bytes where they were not read back before.

        A version that differs is removed, so that nobody takes it for ready.
        """
        if "pending" in version:
            raise RegistryError(
                "the registry did not finish registering the version", registry=self.plan.target_registry
            )
        live = msgspec.convert(version, Version)
        target = await self._target()
        try:
            await self._verify(target, live, sent)
        except IntegrityError:
            await _delete(target, live)
            raise

    async def describe_model(self) -> None:
        """Give an implicit model, which its first version has made, what a create would have given it.

        What somebody else has given it meanwhile stays.
        """
        draft, target = self.plan.model_draft, await self._target()
        if draft is None:
            return
        live = await target.get_model(draft.name)
        if draft.description and not live.description:
            await target.update_model(draft.name, description=draft.description)
        missing = {key: value for key, value in draft.tags.items() if key not in live.tags}
        if missing:
            await target.set_model_tags(draft.name, missing)

    async def record(self, intent_id: str, version: Mapping[str, Any], sent: Sequence[Mapping[str, Any]]) -> Any:
        live = msgspec.convert(version, Version)
        return await record_copy(self.gateway, intent_id, self.plan, live, self._manifest(sent))

    async def abort(self) -> None:
        """Remove what the upload left."""
        await abort_upload(await self._target(), self.plan)

    async def _verify(self, target: RegistryAdapter, live: Version, sent: Sequence[Mapping[str, Any]]) -> None:
        if live.status is not VersionStatus.READY:
            raise RegistryError(
                f"version {live.version!r} is {live.status.value}: {live.status_message}", registry=target.registry
            )
        listed = {entry.path: entry for entry in await target.list_files(live.model, live.version)}
        for file in sent:
            entry = listed.get(file["path"])
            if entry is None:
                raise IntegrityError(f"file {file['path']!r} was sent and is not at registry {target.registry!r}")
            if not self.reads_back or self.plan.draft.packaging != "files":
                self._expect(file, *await hash_stream(target.open_file(live.model, live.version, entry)))
            elif entry.size != file["size"]:
                self._expect(file, file["sha256"], entry.size)

    def _expect(self, file: Mapping[str, Any], sha256: str, size: int) -> None:
        expect_same(
            file["path"],
            sha256=file["sha256"],
            size=file["size"],
            found_sha256=sha256,
            found_size=size,
            where=f"registry {self.plan.target_registry!r}",
        )

    def _manifest(self, sent: Sequence[Mapping[str, Any]]) -> Manifest:
        return Manifest.of(ManifestEntry(path=f["path"], size=f["size"], sha256=f["sha256"]) for f in sent)

    async def _target(self) -> RegistryAdapter:
        return await self.gateway.registries.get(self.plan.target_registry)

    async def _open_source(self, path: str) -> Callable[[int], AsyncIterator[bytes]]:
        source = await self.gateway.registries.get(self.plan.source_registry)
        pinned = self.plan.source
        entry = FileEntry(path=path, size=self.plan.files[path])
        return lambda offset: source.open_file(pinned.model, pinned.version, entry, offset)

    def _report_bytes(self, count: int) -> None:
        self._bytes_done += count
        self.ctx.set_progress(
            {
                "files": len(self.paths),
                "files_done": self._files_done,
                "bytes": self.plan.bytes,
                "bytes_done": self._bytes_done,
            }
        )


def _state(value: Any) -> UploadState:
    return msgspec.convert(value, UploadState)


def _outcome(outcome: Version | Pending) -> Any:
    if isinstance(outcome, Pending):
        return {"pending": True, "poll_after": outcome.poll_after, "state": msgspec.to_builtins(outcome.state)}
    return msgspec.to_builtins(outcome)


async def _delete(target: RegistryAdapter, version: Version) -> None:
    try:
        await target.delete_version(version.model, version.version)
    except NotFound:
        return
