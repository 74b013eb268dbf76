"""Moving the store to another database: `fedreg store move`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from fedreg.domain.errors import InvalidRequest, StoreBusy
from fedreg.domain.records import ENDED, IntentState
from fedreg.store import intents, moving, replicas
from fedreg.store.database import Store
from fedreg.store.place import describe, parse_url

OPEN = tuple(state for state in IntentState if state not in ENDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMove:
    """What was moved: rows by table, and how many operations go on at the new place."""

    target: str
    rows: Mapping[str, int]
    unfinished: int


async def move_store(source: Store, url: str, lease: timedelta, announce: Callable[[str, int], None]) -> StoreMove:
    """Carry a store that nobody else writes to over to an empty database, and compare both.

    All in one transaction there: what fails leaves it empty. Workflows are not moved; a gateway on the new store
    starts the unfinished operations again, which compare before they write. `lease`: a gateway on the old store that
    was not seen for so long is none any more. Raises InvalidRequest for the same
    place, AlreadyExists for a store that holds something, StoreBusy where gateways run on the old one,
    IntegrityError where both differ.
    """
    if parse_url(url) == source.place:
        raise InvalidRequest("--to names the store that is moved", cure="name another database")
    target = await Store.open(url)
    try:
        return await source.write(lambda old: _move(old, target, lease, announce))
    finally:
        await target.aclose()


def _move(old: Connection, target: Store, lease: timedelta, announce: Callable[[str, int], None]) -> StoreMove:
    """On the old store's writer thread, so that nothing is written meanwhile."""
    if replicas.has_living(old, lease):
        raise StoreBusy("gateways run on the store that is to be moved", cure="stop them first")

    def copy(new: Connection) -> dict[str, int]:
        moving.check_empty(new)
        rows = moving.copy_rows(old, new, announce)
        moving.compare_rows(old, new)
        return rows

    rows = target.submit(copy).result()
    unfinished = intents.list_intents(old, states=OPEN, limit=1_000_000)
    return StoreMove(target=describe(target.place), rows=rows, unfinished=len(unfinished))
