"""Duties: what one gateway of several does at a time. The others look now and then whether it has gone."""

from __future__ import annotations

from dataclasses import dataclass

from fedreg.domain.errors import LeaseLost
from fedreg.services.gateway import Gateway
from fedreg.store import duties

SWEEP = "sweep"
"""Looking after promotions that wait."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A duty, and the replica that this process was when it took it."""

    name: str
    replica_id: str


async def take(gateway: Gateway, name: str) -> Duty | None:
    """Have a duty, or go on having it; None while another gateway that lives has it. StoreUnavailable."""
    await gateway.lease.join()
    replica_id = gateway.lease.executor_id
    if await gateway.store.read(lambda conn: duties.get_holder(conn, name)) == replica_id:
        return Duty(name, replica_id)
    if await gateway.store.read(lambda conn: duties.is_held_by_another(conn, name, replica_id)):
        return None
    taken = await gateway.store.write(lambda tx: duties.take(tx, name, replica_id))
    return Duty(name, replica_id) if taken else None


async def require(gateway: Gateway, duty: Duty) -> None:
    """Return where the duty is this process's still: before each of its effects outside.

    LeaseLost for a process that was stopped, given up and goes on, also when it has begun a new lease since.
    StoreUnavailable where the server can't be asked.
    """
    await gateway.lease.require()
    if gateway.lease.executor_id != duty.replica_id:
        raise LeaseLost("this gateway was not seen for longer than its lease; another one has taken over")
