"""Events that registries push: taken at once, and only a reason to look."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from fedreg.domain.errors import FedregError, Forbidden, NotFound, Unauthenticated, Unsupported
from fedreg.domain.models import Handshake
from fedreg.domain.records import Change
from fedreg.domain.reports import EventsTaken
from fedreg.services.gateway import Gateway
from fedreg.services.observation import observe_model
from fedreg.store import events

LOOK_ATTEMPTS = 5
log = logging.getLogger(__name__)


async def take_events(
    gateway: Gateway, registry: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]
) -> EventsTaken | Handshake:
    """Take a message that a registry pushed, or answer its question. Headers are lower-case.

    Raises Unauthenticated alike for a registry that is not configured, one that takes no events, and a message that is
    not the registry's own; InvalidRequest for a genuine one that is malformed.
    """
    try:
        adapter = await gateway.registries.get(registry)
        handshake = await adapter.answer_handshake(headers, body, query)
        if handshake is not None:
            return handshake
        pushed = await adapter.parse_event(headers, body, query)
    except (Forbidden, NotFound, Unsupported) as error:
        raise Unauthenticated(
            "the message can't be told to be the registry's own",
            cure="compare its secret, its clock and its registry's name with the gateway's configuration",
        ) from error
    now = gateway.now()
    fresh = await gateway.store.write(lambda tx: events.take(tx, registry, pushed, now)) if pushed else []
    for model in dict.fromkeys(event.model for event in fresh):
        ask_for_look(gateway, registry, model)
    return EventsTaken(events=len(pushed), fresh=len(fresh))


def ask_for_look(gateway: Gateway, registry: str, model: str) -> None:
    """Have a model looked at soon, in a task of its own."""
    gateway.looks.ask(registry, model, partial(_look, gateway, registry, model))


async def resume_looks(gateway: Gateway) -> None:
    """Look at what an earlier process was told of and did not come to."""
    configured = set(gateway.registries.names())
    for registry, model in await gateway.store.read(events.list_waiting):
        if registry in configured:
            ask_for_look(gateway, registry, model)


async def _look(gateway: Gateway, registry: str, model: str) -> None:
    """Look, again after errors that may pass. Where all fail it is done at the next start, or by a scan."""
    since = gateway.now()
    attempts = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, FedregError) and error.retryable),
        stop=stop_after_attempt(LOOK_ATTEMPTS),
        wait=wait_random_exponential(multiplier=1, max=60),
        reraise=True,
    )
    try:
        changes: list[Change] = await attempts(observe_model, gateway, registry, model)
    except FedregError as error:
        log.warning("%s:%s changed, and can't be looked at: %s", registry, model, error)
        return
    await gateway.store.write(lambda tx: events.mark_looked(tx, registry, model, since, gateway.now()))
    log.info("looked at %s:%s, changes: %s", registry, model, len(changes))
