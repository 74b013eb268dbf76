"""Replicas: the gateways that share a store, when each was last seen, and which are given up.

Times are the server's, so that no two clocks are compared. A replica that is given up has `seen_at` 0 until what it
left is taken over; it can't be seen again after that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, cast, delete, func, insert, select, update

from fedreg.store.columns import from_micros
from fedreg.store.schema import replicas

GIVEN_UP = from_micros(0)
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A gateway. `address` is where it serves the API, None where it serves none."""

    id: str
    address: str | None
    started_at: datetime
    seen_at: datetime


def now(conn: Connection) -> datetime:
    """The server's time."""
    micros = cast(func.extract("epoch", func.clock_timestamp()) * _MICROSECONDS, BigInteger)
    return from_micros(conn.scalar(select(micros)) or 0)


def add(tx: Connection, replica_id: str, address: str | None) -> None:
    """Make a replica known, seen now."""
    at = now(tx)
    tx.execute(insert(replicas).values(id=replica_id, address=address, started_at=at, seen_at=at))


def set_seen(tx: Connection, replica_id: str) -> bool:
    """The replica lives; False where it was given up meanwhile."""
    mine = (replicas.c.id == replica_id, replicas.c.seen_at > GIVEN_UP)
    return tx.execute(update(replicas).where(*mine).values(seen_at=now(tx))).rowcount > 0


def set_address(tx: Connection, replica_id: str, address: str | None) -> None:
    """Where a replica serves, once that is known."""
    tx.execute(update(replicas).where(replicas.c.id == replica_id).values(address=address))


def is_alive(conn: Connection, replica_id: str) -> bool:
    """Whether nobody has given the replica up."""
    mine = (replicas.c.id == replica_id, replicas.c.seen_at > GIVEN_UP)
    return conn.scalar(select(replicas.c.id).where(*mine)) is not None


def list_late(conn: Connection, lease: timedelta, by: str) -> list[str]:
    """The other replicas that were not seen for longer than their lease, or are given up already."""
    late = (replicas.c.seen_at < now(conn) - lease, replicas.c.id != by)
    return list(conn.scalars(select(replicas.c.id).where(*late)))


def give_up(tx: Connection, lease: timedelta, by: str) -> list[str]:
    """Give up the other replicas that were not seen for longer than their lease; also those given up before."""
    late = (replicas.c.seen_at < now(tx) - lease, replicas.c.id != by)
    tx.execute(update(replicas).where(*late).values(seen_at=GIVEN_UP))
    gone = (replicas.c.seen_at == GIVEN_UP, replicas.c.id != by)
    return list(tx.scalars(select(replicas.c.id).where(*gone).order_by(replicas.c.id)))


def leave(tx: Connection, replica_id: str) -> None:
    """Give up oneself: others take over at once."""
    tx.execute(update(replicas).where(replicas.c.id == replica_id).values(seen_at=GIVEN_UP))


def remove(tx: Connection, replica_id: str) -> None:
    """Forget a replica; it left nothing."""
    tx.execute(delete(replicas).where(replicas.c.id == replica_id))


def has_living(conn: Connection, lease: timedelta) -> bool:
    """Whether some gateway was seen within its lease."""
    known = list_replicas(conn)
    return bool(known) and any(replica.seen_at >= now(conn) - lease for replica in known)


def list_replicas(conn: Connection) -> list[Replica]:
    """All that are known, the oldest first."""
    rows = conn.execute(select(replicas).order_by(replicas.c.started_at, replicas.c.id))
    return [Replica(**row._mapping) for row in rows]
