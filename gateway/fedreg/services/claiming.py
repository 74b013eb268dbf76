"""Waiting for a model's claim: one intent at a time changes its stages and aliases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fedreg.domain.errors import Conflict
from fedreg.services import intents as promises
from fedreg.services.gateway import Gateway

_FIRST_WAIT, _LONGEST_WAIT = 0.02, 0.5


def is_claimed(field: str) -> bool:
    """Whether changes of this field take turns with promotions."""
    return field == "stage" or field.startswith("alias:")


async def until_free(gateway: Gateway, attempt: Callable[[], Awaitable[Any]], *, patience: float | None) -> Any:
    """The rest of what `attempt` gives, as soon as the first of it, the intent in its way, is None.

    Who is in the way is made to go on, should it have come to a halt. `patience` in seconds; None waits as long as it
    takes. Raises Conflict naming who has the model.
    """
    started, wait = time.monotonic(), _FIRST_WAIT
    seen: set[str] = set()
    while True:
        holder, *rest = await attempt()
        if holder is None:
            return rest
        if wait > _FIRST_WAIT and holder not in seen:
            seen.add(holder)
            await promises.revive(gateway, await promises.get_intent(gateway, holder))
        if patience is not None and time.monotonic() - started > patience:
            raise Conflict(
                f"operation {holder!r} is changing this model and has not ended within {patience:g} s",
                cure=f"wait for it, or cancel it: fedreg operations cancel {holder}",
                details={"operation": holder},
            )
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT)
