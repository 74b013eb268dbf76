"""The circuit breaker: what opens it, what it says while open, and how it closes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from fedreg.domain.calls import Effect
from fedreg.domain.errors import FedregError, NotFound, Outcome, RateLimited, RegistryTimeout, RegistryUnavailable
from fedreg.registries.calls import GuardedCalls
from fedreg.registries.metrics import CallMetrics
from fedreg.registries.policy import CallPolicy

POLICY = CallPolicy(max_attempts=1, breaker_threshold=3, breaker_ttl=10)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.time", clock)
    return clock


class Registry:
    """A registry that answers or raises, and counts what reaches it."""

    def __init__(self) -> None:
        self.error: FedregError | None = None
        self.reached = 0
        self.collector = CollectorRegistry()
        self.calls = GuardedCalls("r", POLICY, metrics=CallMetrics(self.collector))

    async def request(self) -> str:
        self.reached += 1
        if self.error is not None:
            raise self.error
        return "done"

    async def call(self, times: int = 1) -> None:
        for _ in range(times):
            try:
                await self.calls.run("get", self.request, effect=Effect.WRITE)
            except FedregError as error:
                assert error is self.error

    @property
    def state(self) -> float | None:
        return self.collector.get_sample_value("fedreg_registry_circuit_state", {"registry": "r"})


@pytest.fixture
def registry(clock: Clock) -> Registry:
    return Registry()


@pytest.mark.parametrize("error", [RegistryUnavailable, RegistryTimeout])
async def test_availability_failures_open_it(registry: Registry, error: Callable[[str], FedregError]) -> None:
    registry.error = error("no answer")
    await registry.call(3)
    with pytest.raises(RegistryUnavailable, match="no request is sent") as caught:
        await registry.calls.run("get", registry.request)
    refused = caught.value
    assert (refused.outcome, refused.retry_after, refused.operation) == (Outcome.NOT_APPLIED, 10, "get")
    assert refused.cure is not None
    assert (registry.reached, registry.state) == (3, 2)


@pytest.mark.parametrize("error", [NotFound("x"), RateLimited("x")])
async def test_answers_do_not_open_it(registry: Registry, error: FedregError) -> None:
    registry.error = error
    await registry.call(20)
    assert (registry.reached, registry.state) == (20, 0)


async def test_an_answer_in_between_starts_the_count_again(registry: Registry) -> None:
    for error in (RegistryUnavailable("x"), RegistryUnavailable("x"), NotFound("x")) * 3:
        registry.error = error
        await registry.call()
    assert (registry.reached, registry.state) == (9, 0)


async def test_it_closes_after_a_good_probe(registry: Registry, clock: Clock) -> None:
    registry.error = RegistryUnavailable("x")
    await registry.call(3)
    clock.now += 11
    registry.error = None
    await registry.call(2)
    assert (registry.reached, registry.state) == (5, 0)


async def test_a_bad_probe_opens_it_again(registry: Registry, clock: Clock) -> None:
    registry.error = RegistryUnavailable("x")
    await registry.call(3)
    clock.now += 11
    await registry.call()
    assert registry.state == 2
    with pytest.raises(RegistryUnavailable, match="no request is sent"):
        await registry.calls.run("get", registry.request)
    assert registry.reached == 4


async def test_one_request_probes_at_a_time(registry: Registry, clock: Clock) -> None:
    registry.error = RegistryUnavailable("x")
    await registry.call(3)
    clock.now += 11
    entered, release = asyncio.Event(), asyncio.Event()

    async def probe() -> str:
        entered.set()
        await release.wait()
        return "up"

    probing = asyncio.create_task(registry.calls.run("get", probe))
    await entered.wait()
    assert registry.state == 1
    with pytest.raises(RegistryUnavailable, match="no request is sent"):
        await registry.calls.run("get", registry.request)
    release.set()
    assert await probing == "up"
    assert registry.state == 0


async def test_a_cancelled_probe_leaves_room_for_the_next(registry: Registry, clock: Clock) -> None:
    registry.error = RegistryUnavailable("x")
    await registry.call(3)
    clock.now += 11
    entered = asyncio.Event()

    async def probe() -> str:
        entered.set()
        await asyncio.Event().wait()
        return "never"

    probing = asyncio.create_task(registry.calls.run("get", probe))
    await entered.wait()
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
    registry.error = None
    await registry.call()
    assert registry.state == 0


async def test_retries_stop_when_they_open_it(clock: Clock) -> None:
    reached = 0

    async def request() -> str:
        nonlocal reached
        reached += 1
        raise RegistryUnavailable("connection refused")

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    calls = GuardedCalls("r", CallPolicy(max_attempts=10, breaker_threshold=3), sleep=sleep)
    with pytest.raises(RegistryUnavailable, match="connection refused"):
        await calls.run("get", request)
    assert reached == 3
