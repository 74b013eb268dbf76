"""The guard around one request: slots, deadline, retry rule, translation of errors, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fedreg.domain.calls import Effect
from fedreg.domain.errors import (
    ConfigError,
    FedregError,
    InvalidRequest,
    LeaseLost,
    NotFound,
    Outcome,
    RateLimited,
    RegistryError,
    RegistryTimeout,
    RegistryUnavailable,
)
from fedreg.registries.calls import GuardedCalls
from fedreg.registries.metrics import CallMetrics
from fedreg.registries.policy import CallPolicy


class Waits:
    """A sleep that records instead of sleeping."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def failing(errors: list[FedregError], result: str = "done") -> tuple[Callable[[], Awaitable[str]], list[int]]:
    """A request that raises each error in turn, then answers; and the list of its attempts."""
    attempts: list[int] = []

    async def request() -> str:
        attempts.append(len(attempts))
        if len(attempts) <= len(errors):
            raise errors[len(attempts) - 1]
        return result

    return request, attempts


async def forever() -> str:
    await asyncio.Event().wait()
    return "never"


def unavailable(count: int, outcome: Outcome = Outcome.NOT_APPLIED) -> list[FedregError]:
    return [RegistryUnavailable("down", outcome=outcome) for _ in range(count)]


async def test_a_read_is_repeated_after_any_retryable_error() -> None:
    waits = Waits()
    request, attempts = failing(unavailable(2, Outcome.UNKNOWN))
    assert await GuardedCalls("r", sleep=waits).run("get", request) == "done"
    assert len(attempts) == 3
    assert len(waits.seconds) == 2


@pytest.mark.parametrize(
    ("effect", "outcome", "expected_attempts"),
    [
        (Effect.WRITE, Outcome.UNKNOWN, 1),
        (Effect.WRITE, Outcome.NOT_APPLIED, 2),
        (Effect.IDEMPOTENT, Outcome.UNKNOWN, 2),
        (Effect.READ, Outcome.UNKNOWN, 2),
    ],
)
async def test_only_safe_repetitions(effect: Effect, outcome: Outcome, expected_attempts: int) -> None:
    request, attempts = failing(unavailable(1, outcome))
    calls = GuardedCalls("r", sleep=Waits())
    if expected_attempts == 1:
        with pytest.raises(RegistryUnavailable):
            await calls.run("put", request, effect=effect)
    else:
        assert await calls.run("put", request, effect=effect) == "done"
    assert len(attempts) == expected_attempts


async def test_an_error_that_is_not_retryable_is_raised_at_once_and_named() -> None:
    request, attempts = failing([NotFound("no model 'churn'")])
    with pytest.raises(NotFound) as caught:
        await GuardedCalls("prod", sleep=Waits()).run("get_model", request)
    assert (caught.value.registry, caught.value.operation) == ("prod", "get_model")
    assert len(attempts) == 1


async def test_names_the_adapter_gave_are_kept() -> None:
    request, _ = failing([NotFound("gone", registry="other", operation="special")])
    with pytest.raises(NotFound) as caught:
        await GuardedCalls("prod").run("get_model", request)
    assert (caught.value.registry, caught.value.operation) == ("other", "special")


async def test_attempts_are_bounded_and_the_last_error_is_raised() -> None:
    errors = unavailable(9)
    request, attempts = failing(errors)
    with pytest.raises(RegistryUnavailable) as caught:
        await GuardedCalls("r", CallPolicy(max_attempts=3), sleep=Waits()).run("get", request)
    assert caught.value is errors[2]
    assert len(attempts) == 3


async def test_one_attempt_means_no_repetition() -> None:
    request, attempts = failing(unavailable(1))
    with pytest.raises(RegistryUnavailable):
        await GuardedCalls("r", CallPolicy(max_attempts=1), sleep=Waits()).run("get", request)
    assert len(attempts) == 1


async def test_retry_after_is_the_shortest_wait() -> None:
    waits = Waits()
    request, _ = failing([RateLimited("slow down", retry_after=7.5)])
    await GuardedCalls("r", CallPolicy(backoff=0.01, backoff_max=0.02), sleep=waits).run("get", request)
    assert waits.seconds == [7.5]


async def test_a_wait_beyond_the_budget_is_not_begun() -> None:
    waits = Waits()
    request, attempts = failing([RateLimited("slow down", retry_after=120)])
    with pytest.raises(RateLimited) as caught:
        await GuardedCalls("r", CallPolicy(max_elapsed=60), sleep=waits).run("get", request)
    assert caught.value.retry_after == 120
    assert (len(attempts), waits.seconds) == (1, [])


async def test_waits_grow_and_stay_below_their_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    waits = Waits()
    request, _ = failing(unavailable(4))
    policy = CallPolicy(backoff=1, backoff_max=3, max_attempts=5)
    await GuardedCalls("r", policy, sleep=waits).run("get", request)
    assert waits.seconds == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("effect", "outcome"),
    [(Effect.READ, Outcome.NOT_APPLIED), (Effect.IDEMPOTENT, Outcome.UNKNOWN), (Effect.WRITE, Outcome.UNKNOWN)],
)
async def test_a_deadline_that_passes(effect: Effect, outcome: Outcome) -> None:
    calls = GuardedCalls("r", CallPolicy(max_attempts=1))
    with pytest.raises(RegistryTimeout) as caught:
        await calls.run("get", forever, effect=effect, deadline=0.01)
    assert caught.value.outcome is outcome
    assert (caught.value.registry, caught.value.operation) == ("r", "get")


async def test_a_timed_out_write_is_sent_once() -> None:
    sent: list[str] = []

    async def request() -> str:
        sent.append("create")
        return await forever()

    with pytest.raises(RegistryTimeout):
        await GuardedCalls("r", sleep=Waits()).run("create", request, effect=Effect.WRITE, deadline=0.01)
    assert sent == ["create"]


async def test_a_stray_exception_is_wrapped_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def request() -> str:
        return str(int(secret))

    secret = "hunter2"

    with pytest.raises(RegistryError) as caught:
        await GuardedCalls("r").run("create", request, effect=Effect.WRITE)
    assert "hunter2" not in str(caught.value.to_dict())
    assert "ValueError" in caplog.text
    assert "test_calls.py" in caplog.text
    assert "hunter2" not in caplog.text
    assert "ValueError" in caught.value.message
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_what_another_registry_raised_is_neither_repeated_nor_held_against_this_one() -> None:
    errors: list[FedregError] = [RegistryUnavailable("source down", registry="source") for _ in range(20)]
    request, attempts = failing(errors)
    calls = GuardedCalls("target", CallPolicy(breaker_threshold=2), sleep=Waits())
    for _ in range(20):
        with pytest.raises(RegistryUnavailable, match="source down"):
            await calls.run("put_file", request, effect=Effect.IDEMPOTENT)
    assert len(attempts) == 20
    assert await calls.run("get", failing([])[0]) == "done"


async def test_cancellation_passes_and_frees_the_slot() -> None:
    collector = CollectorRegistry()
    calls = GuardedCalls("r", CallPolicy(concurrency=1), metrics=CallMetrics(collector))
    entered = asyncio.Event()

    async def request() -> str:
        entered.set()
        return await forever()

    task = asyncio.create_task(calls.run("get", request))
    await entered.wait()
    assert collector.get_sample_value("fedreg_registry_in_flight", {"registry": "r"}) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await calls.run("get", failing([])[0]) == "done"
    assert collector.get_sample_value("fedreg_registry_in_flight", {"registry": "r"}) == 0


async def test_concurrency_is_bounded() -> None:
    calls = GuardedCalls("r", CallPolicy(concurrency=2))
    running, most, release = 0, 0, asyncio.Event()

    async def request() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            release.set()
        await release.wait()
        await asyncio.sleep(0)
        running -= 1
        return "done"

    assert await asyncio.gather(*(calls.run("get", request) for _ in range(10))) == ["done"] * 10
    assert most == 2


async def test_a_waiting_retry_holds_no_slot() -> None:
    retrying, proceed = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        retrying.set()
        await proceed.wait()

    calls = GuardedCalls("r", CallPolicy(concurrency=1), sleep=sleep)
    slow = asyncio.create_task(calls.run("get", failing(unavailable(1))[0]))
    await retrying.wait()
    assert await calls.run("get", failing([], "other")[0]) == "other"
    proceed.set()
    assert await slow == "done"


@pytest.mark.parametrize(("rate", "burst"), [(0.5, 1), (1, 1), (100, 100)])
async def test_the_rate_lets_a_second_of_work_pass_at_once(
    rate: float, burst: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1000.0)
    calls = GuardedCalls("r", CallPolicy(rate=rate))
    for _ in range(burst):
        await calls.run("get", failing([])[0], deadline=1e6)
    blocked = asyncio.create_task(calls.run("get", failing([])[0]))
    await asyncio.sleep(0)
    assert not blocked.done()
    blocked.cancel()


async def test_metrics_count_attempts_and_retries() -> None:
    collector = CollectorRegistry()
    calls = GuardedCalls("r", metrics=CallMetrics(collector), sleep=Waits())
    await calls.run("get", failing(unavailable(1))[0])

    def requests(outcome: str) -> float | None:
        labels = {"registry": "r", "operation": "get", "outcome": outcome}
        return collector.get_sample_value("fedreg_registry_requests_total", labels)

    names = {"registry": "r", "operation": "get"}
    assert (requests("ok"), requests("registry_unavailable")) == (1, 1)
    assert collector.get_sample_value("fedreg_registry_retries_total", names) == 1
    assert collector.get_sample_value("fedreg_registry_request_seconds_count", names) == 2


async def test_two_gateways_in_one_process_do_not_collide() -> None:
    first, second = GuardedCalls("r"), GuardedCalls("r")
    assert await first.run("get", failing([])[0]) == await second.run("get", failing([])[0])


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["rate", "concurrency", "max_attempts", "deadline", "breaker_ttl"])
def test_a_policy_refuses_what_would_stop_everything(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        CallPolicy(**{name: value})


async def test_a_retried_error_keeps_its_details() -> None:
    request, _ = failing([InvalidRequest("bad", details={"field": "x"})])
    with pytest.raises(InvalidRequest) as caught:
        await GuardedCalls("r").run("create", request, effect=Effect.WRITE)
    assert caught.value.details == {"field": "x"}


async def test_a_write_asks_for_leave_before_each_attempt_and_a_read_never() -> None:
    asked: list[str] = []
    answers = [RegistryUnavailable("down", registry="r"), None]

    async def permit() -> None:
        asked.append("may I?")

    async def request() -> str:
        asked.append("request")
        answer = answers.pop()
        if answer is not None:
            raise answer
        return "done"

    answers.reverse()
    calls = GuardedCalls("r", permit=permit, sleep=Waits())
    assert await calls.run("set", request, effect=Effect.IDEMPOTENT) == "done"
    assert asked == ["may I?", "request", "may I?", "request"]
    answers.append(None)
    assert await calls.run("get", request) == "done"
    assert asked[4:] == ["request"]


async def test_without_leave_nothing_is_sent() -> None:
    async def permit() -> None:
        raise LeaseLost("another one has taken over")

    async def request() -> None:
        raise AssertionError("sent")

    calls = GuardedCalls("r", permit=permit, sleep=Waits())
    for effect in (Effect.WRITE, Effect.IDEMPOTENT):
        with pytest.raises(LeaseLost):
            await calls.run("set", request, effect=effect)
