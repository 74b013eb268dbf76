"""Copies files as a script would: one GET streamed into one put, then one read. No hashing, no checks, no record."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import aiohttp
import obstore
from obstore.store import S3Store

from benchmarks.servers.mlflow import FILE, PROXY
from benchmarks.workers.tasks import answer_tasks

CHUNK = 1 << 20


async def main() -> None:
    """Serve copy tasks `{size}`; with `alone` nothing is copied, but each server measured by itself."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mlflow", required=True)
    parser.add_argument("--s3", required=True)
    given = parser.parse_args()
    store = S3Store(
        "bench",
        endpoint=given.s3,
        access_key_id="benchmark",
        secret_access_key="benchmark",
        region="eu-west-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    serial = count()
    async with aiohttp.ClientSession(given.mlflow, read_bufsize=CHUNK) as session:

        async def copy(task: dict[str, Any]) -> dict[str, Any]:
            if task.get("alone"):
                return await _measure_servers(session, store, task["size"])
            key = f"plain/{next(serial)}"
            started, used = time.perf_counter(), time.process_time()
            await obstore.put_async(store, key, _download(session, task["size"]))
            size = await _read(store, key)
            seconds, cpu = time.perf_counter() - started, time.process_time() - used
            return {"seconds": seconds, "cpu": cpu, "bytes": size, "moved": True}

        await answer_tasks(copy)


async def _measure_servers(session: aiohttp.ClientSession, store: S3Store, size: int) -> dict[str, Any]:
    """Bytes a second of a download that goes nowhere, of a put out of memory, and of a read."""
    started = time.perf_counter()
    async for _ in _download(session, size):
        pass
    downloaded = time.perf_counter()
    await obstore.put_async(store, "alone", _zeros(size))
    put = time.perf_counter()
    await _read(store, "alone")
    return {
        "download": size / (downloaded - started),
        "put": size / (put - downloaded),
        "read": size / (time.perf_counter() - put),
    }


async def _zeros(size: int) -> AsyncIterator[bytes]:
    block = bytes(CHUNK)
    for start in range(0, size, CHUNK):
        yield block[: size - start]


async def _download(session: aiohttp.ClientSession, size: int) -> AsyncIterator[bytes]:
    async with session.get(f"{PROXY}/size-{size}/{FILE}") as answer:
        async for chunk in answer.content.iter_chunked(CHUNK):
            yield chunk


async def _read(store: S3Store, key: str) -> int:
    found = await obstore.get_async(store, key)
    size = 0
    async for chunk in found.stream(min_chunk_size=CHUNK):
        size += len(chunk)
    return size


if __name__ == "__main__":
    asyncio.run(main())
