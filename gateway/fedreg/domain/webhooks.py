"""Webhooks: who is told of which changes, and what became of each message."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from fedreg.domain.records import Change


class DeliveryState(StrEnum):
    """`waiting` in its order, `delivered`, `dead` after the last attempt, `redelivering` because somebody asked."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    REDELIVERING = "redelivering"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that is told of changes. Filters: no `actions`, `registries` or `model` (a glob) means all.

    `position` is the sequence of the journal up to which entries were looked at. `secret` signs the messages; it is
    shown once, by the call that made it, and None ever after.
    """

    id: str
    url: str
    actions: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()
    model: str | None = None
    position: int
    created_at: datetime
    updated_at: datetime
    secret: str | None = field(default=None, repr=False)

    def wants(self, change: Change) -> bool:
        """Whether a change passes the filters."""
        return (
            (not self.actions or change.action in self.actions)
            and (not self.registries or change.registry in self.registries)
            and (self.model is None or fnmatchcase(change.model, self.model))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message to a webhook. `sequence` is the journal entry's; `status` and `error` are of the last attempt."""

    webhook_id: str
    sequence: int
    state: DeliveryState
    attempts: int = 0
    status: int | None = None
    error: str | None = None
    first_at: datetime | None = None
    next_at: datetime | None = None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of sending once. `status` None: nobody answered. `retry_after` in seconds, where it was asked for."""

    delivered: bool
    status: int | None = None
    error: str | None = None
    retry_after: float | None = None
