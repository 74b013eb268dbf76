"""Mishaps of the in-process vendor: refusals, cut lines, lost answers, late writes, spoilt bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

WEB_PAGE = "<!doctype html><html><body>Please sign in</body></html>"


class VendorError(Exception):
    """A refusal.

    `code` is one of no-such, taken, bad-input, not-empty, full, moved-on, busy, down, expired, not-allowed.
    """

    def __init__(self, code: str, text: str = "", wait: float | None = None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.wait = wait


class ConnectionLost(Exception):
    """The line went dead; whether the call was carried out is not known."""


@dataclass(slots=True)
class Mishap:
    """What goes wrong with the `nth` matching call and the `times` - 1 after it (0: for ever).

    `what`: refuse, answer, slow, reset, lost_reply, late_apply, html, truncate, flip_upload, flip_download.
    """

    what: str
    call: str
    nth: int = 1
    times: int = 1
    error: VendorError | None = None
    answer: Any = None
    delay: float = 0.0
    at: int = 0
    seen: int = 0

    def takes(self, call: str) -> bool:
        if call != self.call:
            return False
        self.seen += 1
        late = self.seen - self.nth
        return late >= 0 and (self.times == 0 or late < self.times)


class Mishaps:
    """The mishaps a vendor has in store, and the late writes it holds."""

    def __init__(self) -> None:
        self.planned: list[Mishap] = []
        self.held: list[Callable[[], Any]] = []
        self.fired = 0

    def release(self) -> int:
        """Carry out what was held; returns how many."""
        held, self.held = self.held, []
        for carry_out in held:
            try_late(carry_out)
        return len(held)

    def clear(self) -> None:
        self.planned, self.held, self.fired = [], [], 0

    async def around(self, call: str, carry_out: Callable[[], Any]) -> Any:
        """Carry a call out, or let it go wrong."""
        mishap = self._next(call)
        if mishap is None:
            return carry_out()
        match mishap.what:
            case "late_apply":
                self.held.append(carry_out)
                raise ConnectionLost("closed at once")
            case "lost_reply":
                carry_out()
                raise ConnectionLost("closed before the answer")
            case "html":
                return WEB_PAGE
            case "answer":
                return mishap.answer
        await self._trouble(mishap)
        return carry_out()

    async def around_bytes(self, call: str, carry_out: Callable[[int | None], Awaitable[Any]]) -> Any:
        """As `around`, for a call that takes a stream; it is told at which byte the stream is spoilt on its way."""
        mishap = self._next(call)
        await self._trouble(mishap)
        answer = await carry_out(mishap.at if mishap is not None and mishap.what == "flip_upload" else None)
        if mishap is not None and mishap.what == "lost_reply":
            raise ConnectionLost("closed before the answer")
        return answer

    async def spoil(self, call: str, data: bytes, offset: int) -> bytes:
        """The bytes on their way out, cut or spoilt where planned; `at` counts from `offset`."""
        mishap = self._next(call)
        await self._trouble(mishap)
        if mishap is not None and mishap.what == "truncate":
            return data[: offset + mishap.at]
        return flip(data, offset + mishap.at if mishap is not None and mishap.what == "flip_download" else None)

    async def _trouble(self, mishap: Mishap | None) -> None:
        if mishap is None:
            return
        if mishap.error is not None:
            raise mishap.error
        if mishap.what == "reset":
            raise ConnectionLost("reset by peer")
        if mishap.what == "slow":
            await asyncio.sleep(mishap.delay)

    def _next(self, call: str) -> Mishap | None:
        taken = [mishap for mishap in self.planned if mishap.takes(call)]
        self.fired += bool(taken)
        return taken[0] if taken else None


def try_late(carry_out: Callable[[], Any]) -> None:
    """A late call may find that things have moved on; nobody waits for its answer."""
    try:
        carry_out()
    except VendorError as error:
        if error.code not in ("moved-on", "no-such", "taken"):
            raise


def flip(data: bytes, at: int | None) -> bytes:
    """The bytes with the lowest bit of the one at `at` changed."""
    if at is None or at >= len(data):
        return data
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
