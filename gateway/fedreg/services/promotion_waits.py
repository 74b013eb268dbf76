"""How long a promotion waits before it tries its members again, and when it gives up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from fedreg.services.gateway import Gateway
from fedreg.services.intents import get_intent
from fedreg.services.links import load_links


async def pause(gateway: Gateway, intent_id: str, turn: int, errors: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Wait for the next round: longer each time, and at least as long as a registry asked for.

    `give_up` once the patience of every link concerned has run out; a link that sets no limit has no end of it.
    Where no link is concerned, the end is that of `Gateway.waits`.
    """
    intent = await get_intent(gateway, intent_id)
    links = await load_links(gateway)
    names = intent.plan["report"]["links"]
    limits = [links[name].retry_for for name in names if name in links]
    waited = (gateway.now() - intent.updated_at).total_seconds()
    patience = min((limit for limit in limits if limit is not None), default=None) if limits else gateway.waits.unlinked
    if patience is not None and waited >= patience:
        return {"give_up": True}
    asked = max((float(error.get("retry_after") or 0) for error in errors), default=0.0)
    delay = max(asked, min(gateway.waits.first * 2**turn, gateway.waits.longest) * random.uniform(0.8, 1.2))
    if patience is not None:
        delay = min(delay, max(patience - waited, 0.0))
    await asyncio.sleep(delay)
    return {"give_up": False}
