"""Streams: reopened where they stopped, an idle deadline, slots, and sources that are closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from prometheus_client import CollectorRegistry

from fedreg.domain.errors import FedregError, IntegrityError, RegistryError, RegistryTimeout, RegistryUnavailable
from fedreg.registries.calls import GuardedCalls
from fedreg.registries.metrics import CallMetrics
from fedreg.registries.policy import CallPolicy

DATA = bytes(range(100))


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0)


class Source:
    """DATA in chunks of ten; opening number i breaks after `breaks[i]` chunks with `error`."""

    def __init__(self, *breaks: int, error: Exception | None = None, hang: bool = False) -> None:
        self.breaks = breaks
        self.error = error or RegistryUnavailable("reset")
        self.hang = hang
        self.offsets: list[int] = []
        self.open = 0

    async def open_at(self, offset: int) -> AsyncIterator[bytes]:
        turn = len(self.offsets)
        self.offsets.append(offset)
        self.open += 1
        left = self.breaks[turn] if turn < len(self.breaks) else None
        try:
            for start in range(offset, len(DATA), 10):
                if left == 0:
                    if self.hang:
                        await asyncio.Event().wait()
                    raise self.error
                left = None if left is None else left - 1
                yield DATA[start : start + 10]
        finally:
            self.open -= 1


def guarded(policy: CallPolicy | None = None, metrics: CallMetrics | None = None) -> GuardedCalls:
    return GuardedCalls("r", policy, sleep=no_sleep, metrics=metrics)


async def read(calls: GuardedCalls, source: Source, offset: int = 0) -> bytes:
    return b"".join([chunk async for chunk in calls.stream("download", source.open_at, offset=offset)])


async def test_it_reads_from_the_offset() -> None:
    source = Source()
    assert await read(guarded(), source, 40) == DATA[40:]
    assert (source.offsets, source.open) == ([40], 0)


async def test_it_is_opened_again_where_it_stopped() -> None:
    source = Source(3, 2)
    assert await read(guarded(), source) == DATA
    assert (source.offsets, source.open) == ([0, 30, 50], 0)


async def test_progress_renews_the_budget() -> None:
    source = Source(*[1] * 9)
    assert await read(guarded(CallPolicy(max_attempts=2)), source) == DATA
    assert len(source.offsets) == 10


async def test_no_progress_ends_it() -> None:
    source = Source(2, 0, 0, 0, 0, 0)
    with pytest.raises(RegistryUnavailable) as caught:
        await read(guarded(CallPolicy(max_attempts=3, breaker_threshold=99)), source)
    # the broken chunk is the first attempt, two openings are the second and third
    assert source.offsets == [0, 20, 20]
    assert (caught.value.registry, caught.value.operation, source.open) == ("r", "download", 0)


async def test_silence_is_a_timeout_and_is_retried() -> None:
    source = Source(4, hang=True)
    assert await read(guarded(CallPolicy(idle_deadline=0.05)), source) == DATA
    assert (source.offsets, source.open) == ([0, 40], 0)


async def test_lasting_silence() -> None:
    source = Source(0, 0, 0, hang=True)
    with pytest.raises(RegistryTimeout):
        await read(guarded(CallPolicy(idle_deadline=0.01, max_attempts=2)), source)
    assert (len(source.offsets), source.open) == (2, 0)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(IntegrityError("short"), IntegrityError), (KeyError("secret"), RegistryError)],
)
async def test_other_errors_end_it_at_once(raised: Exception, expected: type[FedregError]) -> None:
    source = Source(1, error=raised)
    with pytest.raises(expected) as caught:
        await read(guarded(), source)
    assert (len(source.offsets), source.open) == (1, 0)
    assert "secret" not in caught.value.message


async def test_a_reader_that_stops_early_closes_the_source_and_frees_the_slot() -> None:
    calls, source = guarded(CallPolicy(streams=1)), Source()
    stream = calls.stream("download", source.open_at)
    async with aclosing(stream):  # type: ignore[type-var]
        assert await anext(stream) == DATA[:10]
        assert source.open == 1
    assert source.open == 0
    assert await asyncio.wait_for(read(calls, Source()), 5) == DATA


async def test_a_reader_may_be_slower_than_the_idle_deadline() -> None:
    source, got = Source(), b""
    async for chunk in guarded(CallPolicy(idle_deadline=0.01)).stream("download", source.open_at):
        await asyncio.sleep(0.02 if len(got) < 20 else 0)
        got += chunk
    assert (got, source.offsets) == (DATA, [0])


async def test_an_upload_within_a_registry_does_not_starve_its_own_download() -> None:
    calls = guarded(CallPolicy(concurrency=1, streams=1))

    async def put() -> bytes:
        return await read(calls, Source())

    assert await asyncio.wait_for(calls.run("put", put), 5) == DATA


async def test_each_opening_is_counted() -> None:
    collector = CollectorRegistry()
    await read(guarded(metrics=CallMetrics(collector)), Source(3))
    labels = {"registry": "r", "operation": "download"}
    assert collector.get_sample_value("fedreg_registry_requests_total", {**labels, "outcome": "ok"}) == 2
    assert collector.get_sample_value("fedreg_registry_retries_total", labels) == 1


async def test_an_empty_file() -> None:
    assert await read(guarded(), Source(), len(DATA)) == b""
