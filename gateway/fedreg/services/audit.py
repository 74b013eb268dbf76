"""The journal as people read it: the history of one version or model, and the whole chain."""

from __future__ import annotations

from datetime import datetime

from fedreg.domain.errors import NotFound
from fedreg.domain.records import JournalEntry
from fedreg.domain.refs import Ref, SelectorKind
from fedreg.domain.reports import Verification
from fedreg.services.gateway import Gateway
from fedreg.services.selectors import resolve
from fedreg.store import journal


async def list_history(
    gateway: Gateway, ref: Ref, *, limit: int = 1000, after_sequence: int | None = None
) -> list[JournalEntry]:
    """What happened to a version (by identity) or to a model and its versions, oldest first."""
    gateway.registries.manifest(ref.registry)
    if ref.selector is None:
        entries: list[JournalEntry] = await gateway.store.read(
            lambda conn: journal.list_entries(
                conn, registry=ref.registry, model=ref.model, after_sequence=after_sequence, limit=limit
            )
        )
        return entries
    version, identity = await _pin(gateway, ref)
    found: list[JournalEntry] = await gateway.store.read(
        lambda conn: journal.list_entries(
            conn,
            registry=ref.registry,
            model=ref.model,
            version=version,
            after_sequence=after_sequence,
            limit=limit,
        )
    )
    return [e for e in found if identity is None or e.change.identity in (None, identity)]


async def _pin(gateway: Gateway, ref: Ref) -> tuple[str, str | None]:
    """Version and identity; a version that is gone still has its history, by number."""
    try:
        version = await resolve(gateway, ref)
    except NotFound:
        if ref.selector is None or ref.selector.kind not in (SelectorKind.VERSION, SelectorKind.ANY):
            raise
        return ref.selector.value, None
    return version.version, version.identity


async def list_audit(
    gateway: Gateway,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    actor: str | None = None,
    model: str | None = None,
    after_sequence: int | None = None,
    limit: int = 1000,
) -> list[JournalEntry]:
    """The journal, oldest first."""
    entries: list[JournalEntry] = await gateway.store.read(
        lambda conn: journal.list_entries(
            conn, model=model, actor=actor, since=since, until=until, after_sequence=after_sequence, limit=limit
        )
    )
    return entries


async def verify_audit(gateway: Gateway) -> Verification:
    """Whether the chain is whole."""
    verification: Verification = await gateway.store.read(journal.verify)
    return verification
