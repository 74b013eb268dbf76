"""What registries push, read by a part of the adapter of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from fedreg.domain.capabilities import Operation
from fedreg.domain.models import Handshake, RegistryEvent
from fedreg.domain.port import NO_QUERY, RegistryAdapter


class EventReader(ABC):
    """Reads pushed messages, as `RegistryAdapter.parse_event` and `answer_handshake` say."""

    @abstractmethod
    async def parse(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> list[RegistryEvent]:
        """The events of a message."""

    async def answer(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> Handshake | None:
        """The answer to a question whether a subscription is meant."""
        return None

    async def aclose(self) -> None:  # noqa: B027 - most hold nothing
        """Release connections."""


class TakesEvents(RegistryAdapter):
    """An adapter with an `EventReader`. What a registry without events declares refuses them here."""

    events: EventReader

    async def parse_event(
        self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str] = NO_QUERY
    ) -> list[RegistryEvent]:
        self.capabilities.require(Operation.PARSE_EVENT, registry=self.registry)
        return await self.events.parse(headers, body, query)

    async def answer_handshake(
        self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str] = NO_QUERY
    ) -> Handshake | None:
        self.capabilities.require(Operation.PARSE_EVENT, registry=self.registry)
        return await self.events.answer(headers, body, query)
