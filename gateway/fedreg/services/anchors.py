"""Anchors: the journal's head is signed, kept in the store, and put outside of it, where it can't be taken back."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from fedreg.domain.errors import ConfigError, FedregError, GatewayUnavailable, NotFound
from fedreg.domain.evidence import AuditKey, Head
from fedreg.services.gateway import Gateway
from fedreg.settings.sections import AnchorSettings, AuditSettings
from fedreg.store import heads, journal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LOOK_SECONDS = 5.0  # how often a running gateway looks whether the head has moved
ATTEMPTS = 3
_TAIL = 4096
_SIGNING = ("", "journal")  # a lock that no model has
log = logging.getLogger(__name__)


async def get_audit_key(gateway: Gateway) -> AuditKey:
    """The public half of the signing key, which is made where there is none. Raises NotFound, ConfigError."""
    from fedreg.services.signing import show_key

    return show_key((await _get_key(gateway)).public_key())


async def check_key(gateway: Gateway) -> None:
    """Make or load the configured key, so that a gateway does not start without. Raises ConfigError."""
    if gateway.audit is not None:
        async with gateway.locks.hold(*_SIGNING):
            await _get_key(gateway)


async def sign_head(gateway: Gateway) -> Head | None:
    """Sign the journal's head where it has moved, keep it, and bring all anchors up to date; the new head or None.

    One gateway at a time does so: a head goes to each address once, and each gateway's own files get all of them.
    A journal that lost what was signed last is not signed again. An anchor that fails is logged, and gets what it
    lacks the next time. Raises ConfigError for a bad key.
    """
    audit = gateway.audit
    if audit is None:
        return None
    async with gateway.locks.hold(*_SIGNING):
        key = await _get_key(gateway)
        signed = await _sign(gateway, key)
        for anchor in audit.anchors:
            try:
                await _bring(gateway, anchor)
            except (OSError, FedregError) as error:
                log.warning("anchor %s did not get the journal's head: %s", anchor.file or anchor.url, error)
    return signed


async def sign_last(gateway: Gateway) -> None:
    """At the end of a process: what cannot be signed must not spoil what was done."""
    try:
        await sign_head(gateway)
    except FedregError as error:
        log.warning("the journal's head was not signed: %s", error)


async def sign_for_ever(gateway: Gateway) -> None:
    """Sign at the configured interval, sooner where many entries have come."""
    if gateway.audit is None:
        return
    every, loop = gateway.audit.every, asyncio.get_running_loop()
    last = loop.time() - every.seconds
    while True:
        if loop.time() - last >= every.seconds or await _count_unsigned(gateway) >= every.entries:
            await sign_last(gateway)
            last = loop.time()
        await asyncio.sleep(min(every.seconds, LOOK_SECONDS))


def append_heads(path: Path, found: list[Head]) -> int:
    """Append what a file lacks of these heads, in one write, and wait for the disk; returns how many. OSError."""
    from fedreg.services.signing import read_head, write_head

    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(file).st_size
        tail = os.pread(file, _TAIL, max(size - _TAIL, 0)).decode(errors="replace")
        there = [head for line in tail.splitlines() if (head := read_head(line)) is not None]
        last = max((head.sequence for head in there), default=0)
        missing = [head for head in found if head.sequence > last or (head.sequence == last and head not in there)]
        if missing:
            lines = "".join(f"{write_head(head)}\n" for head in missing)
            os.write(file, (lines if not tail or tail.endswith("\n") else f"\n{lines}").encode())
            os.fsync(file)
        return len(missing)
    finally:
        os.close(file)


async def _get_key(gateway: Gateway) -> Ed25519PrivateKey:
    from fedreg.services.signing import create_key, load_key

    path = key_path(gateway.audit)
    key = await asyncio.to_thread(load_key, path)
    if key is not None:
        return key
    last = await gateway.store.read(heads.get_last)
    if last is not None:
        raise ConfigError(
            f"audit.key: {str(path)!r} does not exist, and the journal was signed with key {last.key_id!r}",
            cure="restore the file; or begin with a new key: openssl genpkey -algorithm ed25519 -out FILE",
        )
    return await asyncio.to_thread(create_key, path)


def key_path(audit: AuditSettings | None) -> Path:
    """Where the signing key is. Raises NotFound where none is configured."""
    if audit is None or audit.key is None:
        raise NotFound("there is no signing key: audit is not configured", cure="add `audit: {key: FILE}`")
    return audit.key


async def _sign(gateway: Gateway, key: Ed25519PrivateKey) -> Head | None:
    from fedreg.services.signing import show_key, sign

    key_id = show_key(key.public_key()).key_id

    def look(conn: Connection) -> tuple[str, tuple[int, str] | None, Head | None, bool]:
        last = heads.get_last(conn)
        whole = last is None or heads.is_in_chain(conn, last)
        return heads.get_store_id(conn), journal.get_head(conn), last, whole

    store, head, last, whole = await gateway.store.read(look)
    if not whole and last is not None:
        log.error("entry %d of the journal is not the one that was signed: run `fedreg audit --verify`", last.sequence)
        return None
    if head is None or (last is not None and (last.sequence, last.key_id) == (head[0], key_id)):
        return None
    unsigned = Head(sequence=head[0], hash=head[1], recorded_at=gateway.now(), store=store, key_id=key_id)
    signed = sign(unsigned, key)
    await gateway.store.write(lambda tx: heads.add(tx, signed))
    return signed


async def _bring(gateway: Gateway, anchor: AnchorSettings) -> None:
    if anchor.file is not None:
        path, found = anchor.file, await gateway.store.read(heads.list_heads)
        await asyncio.to_thread(append_heads, path, found)
        return
    address = anchor.url or ""
    last = await gateway.store.read(heads.get_last)
    if last is not None and not await gateway.store.read(lambda conn: heads.has_got(conn, address, last)):
        await gateway.lease.require()
        await _post(anchor, last)
        await gateway.store.write(lambda tx: heads.set_got(tx, address, last))


async def _post(anchor: AnchorSettings, head: Head) -> None:
    """POST a head as JSON. A refusal is final; what may pass is tried again. Raises GatewayUnavailable."""
    import aiohttp
    from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    from fedreg.services.signing import write_head

    headers = {"Content-Type": "application/json", **anchor.headers}
    wanted = retry_if_exception_type((aiohttp.ClientError, TimeoutError))
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=anchor.timeout)) as session:
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(ATTEMPTS), wait=wait_random_exponential(0.2, 2), retry=wanted, reraise=True
            ):
                with attempt:
                    async with session.post(anchor.url or "", data=write_head(head).encode(), headers=headers) as reply:
                        if reply.status >= 500 or reply.status == 429:
                            reply.raise_for_status()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise GatewayUnavailable(f"{type(error).__name__}", cure="look whether it is up") from error
    if reply.status >= 300:
        raise GatewayUnavailable(f"it answered {reply.status}", cure="look at its address and headers")


async def _count_unsigned(gateway: Gateway) -> int:
    def count(conn: Connection) -> int:
        head, last = journal.get_head(conn), heads.get_last(conn)
        return (head[0] if head else 0) - (last.sequence if last else 0)

    return await gateway.store.read(count)
