"""The branch on which an upload is gathered, so that any process can finish it.

A commit for each file would be many, and the Hub takes them one at a time: while one is under way the files that arrive
wait together, and go into the next.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from weakref import WeakValueDictionary

from fedreg.domain.calls import Effect
from fedreg.domain.errors import (
    Conflict,
    FedregError,
    NotFound,
    Outcome,
    PreconditionFailed,
    RegistryError,
    RegistryUnavailable,
)
from fedreg_adapters.huggingface.client import Client
from fedreg_adapters.huggingface.manifest import OWN
from fedreg_adapters.huggingface.refs import RefStore

Json = dict[str, Any]
_TRIES = 8


def branch_of(key: str) -> str:
    """The branch of an upload."""
    return f"{OWN}upload-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def regular(path: str, content: bytes) -> Json:
    """The line of a commit that puts a file into Git."""
    value = {"content": base64.b64encode(content).decode(), "path": path, "encoding": "base64"}
    return {"key": "file", "value": value}


def pointer(path: str, sha256: str, size: int) -> Json:
    """The line of a commit that points to an LFS object."""
    return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": sha256, "size": size}}


def deleted(path: str) -> Json:
    """The line of a commit that removes a file."""
    return {"key": "deletedFile", "value": {"path": path}}


@dataclass(slots=True, weakref_slot=True)
class _Queue:
    """What waits to be committed to one branch."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: list[tuple[Json, asyncio.Future[None]]] = field(default_factory=list)


class Commits:
    """Makes commits. Each names its parent, so that one which arrives late is refused."""

    def __init__(self, client: Client, refs: RefStore) -> None:
        self._client, self._refs = client, refs
        self._queues: WeakValueDictionary[tuple[str, str], _Queue] = WeakValueDictionary()

    async def stage(self, native: str, branch: str, line: Json) -> None:
        """Commit a file to an upload's branch, together with others that wait. Returns when it is there."""
        queue = self._queues.get((native, branch)) or self._queues.setdefault((native, branch), _Queue())
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.waiting.append((line, done))
        async with queue.lock:
            if not done.done():
                await self._commit_waiting(native, branch, queue)
        await done

    async def _commit_waiting(self, native: str, branch: str, queue: _Queue) -> None:
        batch, queue.waiting = queue.waiting, []
        lost: BaseException = RegistryUnavailable(
            "put_file: the request that carried this file was given up",
            registry=self._client.registry,
            operation="put_file",
            outcome=Outcome.UNKNOWN,
        )
        try:
            await self._commit_on_top(native, branch, [line for line, _ in batch])
        except FedregError as error:
            lost = error
        else:
            for _, done in batch:
                if not done.done():
                    done.set_result(None)
        finally:  # a cancelled caller leaves the others' files uncommitted: they are told
            for _, done in batch:
                if not done.done():
                    done.set_exception(lost)

    async def _commit_on_top(self, native: str, branch: str, lines: Sequence[Json]) -> None:
        for _ in range(_TRIES):
            head = (await self._refs.read(native, "put_file")).branches.get(branch)
            if head is None:
                raise Conflict(
                    "the upload was finished or aborted",
                    registry=self._client.registry,
                    operation="put_file",
                    cure="begin it again",
                )
            try:
                await self.create(native, branch, head, f"Upload {len(lines)} files", "", lines, "put_file")
                return
            except PreconditionFailed:  # another gateway, or this request's own lost predecessor
                continue
        raise Conflict("others commit to the branch of this upload", registry=self._client.registry)

    async def create(
        self, native: str, branch: str, parent: str, title: str, message: str, lines: Sequence[Json], operation: str
    ) -> str:
        """Commit; returns the commit's id. PreconditionFailed where `parent` is not the head (any more).

        Repeated after a lost answer: where the first had arrived, the second is refused.
        """
        header = {"summary": title, "description": message, "parentCommit": parent}
        content = b"".join(json.dumps(line).encode() + b"\n" for line in ({"key": "header", "value": header}, *lines))
        path = f"{self._client.repo(native)}/commit/{quote(branch, safe='')}"
        answer = await self._client.send(operation, "POST", path, content=content, effect=Effect.IDEMPOTENT)
        try:
            return str(json.loads(answer.text)["commitOid"])
        except (ValueError, KeyError, TypeError):
            raise RegistryError(
                f"{operation}: the Hub's answer to a commit is malformed",
                registry=self._client.registry,
                operation=operation,
                outcome=Outcome.UNKNOWN,
            ) from None

    async def drop(self, native: str, branch: str, operation: str) -> None:
        """Remove an upload's branch; one that is gone is fine, and so is a repository."""
        try:
            await self._refs.delete_branch(native, branch, operation)
        except NotFound:
            return
