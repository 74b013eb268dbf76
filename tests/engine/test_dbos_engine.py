"""The engine's port, against DBOS on SQLite, in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fedreg.domain.errors import (
    Cancelled,
    ConfigError,
    Conflict,
    FedregError,
    InvalidRequest,
    NotFound,
    Outcome,
    RateLimited,
    RegistryError,
    RegistryUnavailable,
)
from fedreg.engine import dbos_calls, dbos_engine
from fedreg.engine.dbos_engine import DbosEngine
from fedreg.engine.port import Context, Engine, EngineClosed, State, Workflow


class Rig:
    """Launches engines on one file, one after the other."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path / 'engine.db'}"
        self.engine: Engine = DbosEngine(self.url)

    async def launch(self, **workflows: Workflow) -> Engine:
        self.engine = DbosEngine(self.url)
        for name, workflow in workflows.items():
            self.engine.register(name, workflow)
        await self.engine.launch()
        return self.engine


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    await rig.engine.aclose()


def giving(value: Any) -> Any:
    async def fn() -> Any:
        return value

    return fn


def failing(error: Exception) -> Any:
    async def fn() -> Any:
        raise error

    return fn


async def test_a_result_comes_back_as_json_values(rig: Rig) -> None:
    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        return (await ctx.step("one", giving((1, 2))), args)

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {"a": 1})
    assert await engine.wait("w1") == [[1, 2], {"a": 1}]
    status = await engine.status("w1")
    assert (status.id, status.name, status.state, status.error) == ("w1", "work", State.SUCCEEDED, None)
    assert status.created_at <= status.updated_at
    assert status.created_at.utcoffset() == timedelta(0)


async def test_starting_twice_runs_once(rig: Rig) -> None:
    runs = 0

    async def count() -> int:
        nonlocal runs
        runs += 1
        return runs

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        return [await ctx.step("count", count), args["n"]]

    engine = await rig.launch(work=work, other=work)
    await asyncio.gather(*(engine.start("work", "w1", {"n": n}) for n in range(3)))
    first = await engine.wait("w1")
    await engine.start("work", "w1", {"n": 9})
    assert await engine.wait("w1") == first
    assert runs == 1
    with pytest.raises(Conflict, match="another name"):
        await engine.start("other", "w1", {})


async def test_refuses_what_it_does_not_know(rig: Rig) -> None:
    engine = await rig.launch()
    with pytest.raises(NotFound, match="nope"):
        await engine.start("nope", "w1", {})
    for bad in ("", "a/b"):
        with pytest.raises(InvalidRequest):
            await engine.start("nope", bad, {})
    for call in (engine.wait, engine.status, engine.cancel, engine.resume):
        with pytest.raises(NotFound, match="w1"):
            await call("w1")
    with pytest.raises(ValueError, match="after launch"):
        engine.register("late", giving(None))


async def test_errors_keep_all_their_fields(rig: Rig) -> None:
    error = RateLimited(
        "slow down",
        cure="wait",
        registry="r1",
        operation="set_stage",
        outcome=Outcome.UNKNOWN,
        upstream_code="429",
        request_id="q-1",
        retry_after=1.5,
        details={"limit": [1, 2]},
    )

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        await ctx.step("fail", failing(error))

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    with pytest.raises(RateLimited):
        await engine.wait("w1")
    await engine.aclose()

    engine = await rig.launch(work=work)
    with pytest.raises(RateLimited) as kept:
        await engine.wait("w1")
    assert kept.value.to_dict() == error.to_dict()
    status = await engine.status("w1")
    assert status.state is State.FAILED
    assert isinstance(status.error, RateLimited)
    assert [s.error.code for s in await engine.list_workflows() if s.error] == ["rate_limited"]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[logging.LogRecord]:
    """What the engine logs, whatever other tests of this process have done to loggers."""
    records: list[logging.LogRecord] = []
    logger = logging.Logger("fedreg.engine.dbos_engine", logging.INFO)
    logger.addFilter(lambda record: bool(records.append(record)))
    monkeypatch.setattr(dbos_engine, "_log", logger)
    return records


async def test_unexpected_errors_name_their_type_and_the_step(
    rig: Rig, caplog: pytest.LogCaptureFixture, told: list[logging.LogRecord]
) -> None:
    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        if args["where"] == "step":
            await ctx.step("parse", failing(KeyError("colour")))
        if args["where"] == "result":
            await ctx.step("parse", giving(object()))
        raise KeyError("size")

    engine = await rig.launch(work=work)
    expected = {"step": "KeyError: 'colour'", "result": "step 'parse' gave object", "body": "KeyError: 'size'"}
    with caplog.at_level(logging.INFO):
        for where, message in expected.items():
            await engine.start("work", where, {"where": where})
            with pytest.raises(FedregError, match=message) as caught:
                await engine.wait(where)
            assert caught.value.code == "error"
    # DBOS stays quiet; a defect in the workflow's own code is told once, with its traceback.
    assert not caplog.records
    [record] = told
    assert record.exc_info is not None and "body" in record.getMessage()


async def test_retries_only_what_can_not_have_happened(rig: Rig) -> None:
    calls: dict[str, int] = {}

    def flaky(name: str, error: FedregError) -> Any:
        async def fn() -> str:
            calls[name] = calls.get(name, 0) + 1
            if calls[name] < 3:
                raise error
            return "done"

        return fn

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        done = await ctx.step("a", flaky("a", RegistryUnavailable("x", retry_after=0)), retries=2)
        for name, error in {
            "permanent": RegistryError("x"),
            "unknown": RegistryUnavailable("x", retry_after=0, outcome=Outcome.UNKNOWN),
        }.items():
            with pytest.raises(type(error)):
                await ctx.step(name, flaky(name, error), retries=2)
        return done

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    assert await engine.wait("w1") == "done"
    assert calls == {"a": 3, "permanent": 1, "unknown": 1}


async def test_what_only_runs_is_not_kept(rig: Rig) -> None:
    """It is repeated as a step is, and runs again with its workflow: its own record says what is done."""
    calls: list[str] = []
    reached = asyncio.Event()

    async def flaky() -> int:
        calls.append("run")
        if len(calls) == 1:
            raise RegistryUnavailable("x", retry_after=0, outcome=Outcome.NOT_APPLIED)
        return len(calls)

    async def hang() -> None:
        reached.set()
        await asyncio.Event().wait()

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        number = await ctx.run("flaky", flaky, retries=1)
        if number == 2:
            await ctx.step("hang", hang)
        return number

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    await reached.wait()
    await engine.aclose()
    engine = await rig.launch(work=work)
    assert await engine.wait("w1") == 3


async def test_step_many_bounds_and_orders(rig: Rig) -> None:
    running = most = 0
    three_at_once = asyncio.Barrier(3)

    def one(n: int) -> Any:
        async def fn() -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await three_at_once.wait()
            running -= 1
            return n

        return fn

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        return await ctx.step_many([(f"s{n}", one(n)) for n in range(9)], concurrency=3)

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    assert await engine.wait("w1") == list(range(9))
    assert most == 3


async def test_step_many_starts_nothing_after_an_error_not_even_in_a_replay(rig: Rig) -> None:
    ran: list[str] = []
    hold = asyncio.Event()
    reached = asyncio.Event()

    def note(name: str) -> Any:
        async def fn() -> str:
            ran.append(name)
            if name == "bad":
                raise RegistryError("bad")
            return name

        return fn

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        steps = [(name, note(name)) for name in ("ok", "bad", "late", "later")]
        try:
            await ctx.step_many(steps, concurrency=1)
        except RegistryError:
            reached.set()
            await hold.wait()
        kept = await ctx.step_many(steps[:2], concurrency=2, return_errors=True)
        return [kept[0], kept[1].code]

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    await reached.wait()
    await engine.aclose()
    assert ran == ["ok", "bad"]

    hold.set()
    engine = await rig.launch(work=work)
    assert await engine.wait("w1") == ["ok", "registry_error"]
    assert sorted(ran) == ["bad", "bad", "ok", "ok"]


async def test_gathered_steps_are_numbered_in_the_order_of_calls(rig: Rig) -> None:
    ran: list[str] = []
    first_run = True
    reached = asyncio.Event()

    def note(name: str) -> Any:
        async def fn() -> str:
            ran.append(name)
            return name

        return fn

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        steps = [ctx.step(name, note(name)) for name in "abc"]
        if first_run:
            steps.reverse()  # awaited in another order than called
        done = await asyncio.gather(*steps)
        if first_run:
            reached.set()
            await asyncio.Event().wait()
        return done

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    await reached.wait()
    await engine.aclose()
    first_run = False
    engine = await rig.launch(work=work)
    assert await engine.wait("w1") == ["a", "b", "c"]
    assert sorted(ran) == ["a", "b", "c"]


async def test_a_workflow_that_replays_other_steps_is_told(rig: Rig) -> None:
    name = "one"
    reached = asyncio.Event()

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        await ctx.step(name, giving(1))
        if name == "one":
            reached.set()
            await asyncio.Event().wait()

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    await reached.wait()
    await engine.aclose()
    name = "two"
    engine = await rig.launch(work=work)
    with pytest.raises(FedregError, match="one was recorded when two"):
        await engine.wait("w1")


async def test_cancel_stops_a_running_step_and_resume_goes_on(rig: Rig) -> None:
    ran: list[str] = []
    entered, interrupted, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def before() -> None:
        ran.append("before")

    async def slow() -> str:
        ran.append("slow")
        entered.set()
        try:
            await go.wait()
        except asyncio.CancelledError:
            interrupted.set()
            raise
        return "done"

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        await ctx.step("before", before)
        return await ctx.step("slow", slow)

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    await entered.wait()
    with pytest.raises(Conflict, match="running"):
        await engine.resume("w1")
    await engine.cancel("w1")
    with pytest.raises(Cancelled, match="w1"):
        await engine.wait("w1")
    await interrupted.wait()
    assert (await engine.status("w1")).state is State.CANCELLED
    await engine.cancel("w1")

    go.set()
    await engine.resume("w1")
    assert await engine.wait("w1") == "done"
    assert ran == ["before", "slow", "slow"]
    for call in (engine.cancel, engine.resume):
        with pytest.raises(Conflict, match="succeeded"):
            await call("w1")


async def test_a_failed_workflow_resumes_at_its_failed_step(rig: Rig) -> None:
    ran: list[str] = []
    healthy = False

    async def before() -> None:
        ran.append("before")

    async def call() -> str:
        ran.append("call")
        if not healthy:
            raise RegistryError("broken")
        return "done"

    async def inner(ctx: Context, args: dict[str, Any]) -> Any:
        await ctx.step("before", before)
        return await ctx.step("call", call)

    async def outer(ctx: Context, args: dict[str, Any]) -> Any:
        return await ctx.step("inner", ctx.child("inner", "only", {}))

    engine = await rig.launch(inner=inner, outer=outer)
    await engine.start("outer", "w1", {})
    with pytest.raises(RegistryError, match="broken"):
        await engine.wait("w1")
    healthy = True
    await engine.resume("w1")
    assert await engine.wait("w1") == "done"
    assert ran == ["before", "call", "call"]


async def test_children_follow_their_parent(rig: Rig) -> None:
    entered: list[str] = []
    all_entered, go = asyncio.Event(), asyncio.Event()

    async def inner(ctx: Context, args: dict[str, Any]) -> Any:
        async def hold() -> Any:
            entered.append(ctx.id)
            if len(entered) == 2:
                all_entered.set()
            await go.wait()
            return args["n"]

        return await ctx.step("hold", hold)

    async def outer(ctx: Context, args: dict[str, Any]) -> Any:
        parts = [(f"part {n}", ctx.child("inner", str(n), {"n": n})) for n in range(4)]
        return await ctx.step_many(parts, concurrency=2)

    engine = await rig.launch(inner=inner, outer=outer)
    await engine.start("outer", "w1", {})
    await all_entered.wait()
    await engine.aclose()  # mid-child: nothing of it may be kept as a failure

    engine = await rig.launch(inner=inner, outer=outer)
    await engine.cancel("w1")
    states = {status.id: status.state for status in await engine.list_workflows(id_prefix="w1")}
    assert states == {"w1": State.CANCELLED, "w1/0": State.CANCELLED, "w1/1": State.CANCELLED}
    go.set()
    await engine.resume("w1")
    assert await engine.wait("w1") == [0, 1, 2, 3]


async def test_progress_shows_and_is_no_step(rig: Rig) -> None:
    reached, go = asyncio.Event(), asyncio.Event()

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        async def copy() -> str:
            for done in range(1000):
                ctx.set_progress({"bytes": done})
            reached.set()
            await go.wait()
            return "copied"

        return await ctx.step("copy", copy)

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    await reached.wait()
    status = await engine.status("w1")
    assert status.state is State.RUNNING
    assert status.progress == {"bytes": 999}
    await engine.aclose()

    go.set()
    engine = await rig.launch(work=work)
    assert await engine.wait("w1") == "copied"


async def test_closing_is_told_to_those_who_wait(rig: Rig) -> None:
    reached = asyncio.Event()

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        reached.set()
        await asyncio.Event().wait()

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    waiter = asyncio.create_task(engine.wait("w1"))
    await reached.wait()
    await engine.aclose()
    await engine.aclose()
    with pytest.raises(EngineClosed):
        await waiter
    with pytest.raises(EngineClosed):
        await engine.start("work", "w2", {})
    assert await asyncio.to_thread(lambda: "the loop's own pool works again") != ""


async def test_one_engine_a_process(rig: Rig, tmp_path: Path) -> None:
    await rig.launch()
    second = DbosEngine(f"sqlite:///{tmp_path / 'second.db'}")
    with pytest.raises(Conflict, match="durable engine already"):
        await second.launch()
    await second.aclose()
    await rig.engine.aclose()
    await second.launch()
    await second.aclose()


async def test_a_database_that_can_not_be_opened(rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = DbosEngine(f"sqlite:///{tmp_path / 'nowhere' / 'engine.db'}")
    with pytest.raises(ConfigError, match=r"nowhere.*: unable to open database file \(check"):
        await engine.launch()
    assert not caplog.records
    await rig.launch()  # the failure left the process free


def test_opens_again_on_another_loop(tmp_path: Path) -> None:
    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        return await ctx.step("double", giving(args["n"] * 2))

    async def use(engine: DbosEngine, n: int) -> Any:
        await engine.launch()
        await engine.start("work", f"w{n}", {"n": n})
        result = await engine.wait(f"w{n}")
        await engine.aclose()
        return result

    engine = DbosEngine(f"sqlite:///{tmp_path / 'engine.db'}")
    engine.register("work", work)
    assert [asyncio.run(use(engine, n)) for n in range(2)] == [0, 2]


async def test_takes_over_from_a_dead_executor(rig: Rig) -> None:
    alive = True
    reached = asyncio.Event()

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        if alive:
            reached.set()
            await asyncio.Event().wait()
        return "taken over"

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    await reached.wait()
    await engine.aclose()
    alive = False
    rig.engine = other = DbosEngine(rig.url, executor_id="other")
    other.register("work", work)
    await other.launch()
    with pytest.raises(InvalidRequest):
        await other.adopt("other")
    assert await other.adopt("local") == ["w1"]
    assert await other.wait("w1") == "taken over"


async def test_a_workflow_interrupted_too_often_is_given_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbos_engine, "MAX_RECOVERY_ATTEMPTS", 0)
    poisonous = True
    reached = asyncio.Event()

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        if poisonous:
            reached.set()
            await asyncio.Event().wait()
        return "cured"

    engine = await rig.launch(work=work)
    await engine.start("work", "w1", {})
    await reached.wait()
    await engine.aclose()
    engine = await rig.launch(work=work)
    with pytest.raises(FedregError, match="given up"):
        await engine.wait("w1")
    status = await engine.status("w1")
    assert status.state is State.FAILED
    assert status.error is not None
    poisonous = False
    await engine.resume("w1")
    assert await engine.wait("w1") == "cured"


async def test_retention_spares_what_is_unfinished(rig: Rig) -> None:
    child_done, go = asyncio.Event(), asyncio.Event()

    async def inner(ctx: Context, args: dict[str, Any]) -> Any:
        return 1

    async def outer(ctx: Context, args: dict[str, Any]) -> Any:
        done = await ctx.step("inner", ctx.child("inner", "only", {}))
        child_done.set()
        await go.wait()
        return done

    engine = await rig.launch(inner=inner, outer=outer)
    await engine.start("inner", "old", {})
    await engine.wait("old")
    await engine.start("outer", "busy", {})
    await child_done.wait()
    assert await engine.delete_finished(timedelta(days=1)) == 0
    assert await engine.delete_finished(timedelta(seconds=-1)) == 1
    assert {status.id for status in await engine.list_workflows()} == {"busy", "busy/only"}
    assert [status.id for status in await engine.list_workflows(states=[State.SUCCEEDED])] == ["busy/only"]
    assert [status.id for status in await engine.list_workflows(name="outer", limit=1)] == ["busy"]
    go.set()
    assert await engine.wait("busy") == 1
    assert await engine.delete_finished(timedelta(seconds=-1)) == 2


async def test_workflows_of_another_version_begin_anew(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their checkpoints are of other steps; children that have ended are kept, the others begin anew as well."""
    reached = asyncio.Event()
    runs: list[str] = []

    async def old_work(ctx: Context, args: dict[str, Any]) -> Any:
        await ctx.step("old", giving(1))
        await ctx.step("ended", ctx.child("part", "ended", {"name": "ended"}))
        return await ctx.step("under way", ctx.child("part", "under-way", {"name": "under way"}))

    async def old_part(ctx: Context, args: dict[str, Any]) -> Any:
        runs.append(f"old {args['name']}")
        if args["name"] == "under way":
            await ctx.step("old", giving(1))
            reached.set()
            await asyncio.Event().wait()
        return "old"

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        ended = await ctx.step("first", ctx.child("part", "ended", {"name": "ended"}))
        return [args, ended, await ctx.step("second", ctx.child("part", "under-way", {"name": "under way"}))]

    async def part(ctx: Context, args: dict[str, Any]) -> Any:
        runs.append(f"new {args['name']}")
        return await ctx.step("new", giving("new"))

    with monkeypatch.context() as patch:
        patch.setattr(dbos_calls, "APPLICATION_VERSION", "0")
        engine = await rig.launch(work=old_work, part=old_part, renamed=old_part)
        await engine.start("work", "w1", {"n": 1})
        await reached.wait()
        reached.clear()
        await engine.start("renamed", "w2", {"name": "under way"})
        await reached.wait()
        await engine.aclose()
    engine = await rig.launch(work=work, part=part)
    assert await engine.wait("w1") == [{"n": 1}, "old", "new"]
    assert runs == ["old ended", "old under way", "old under way", "new under way"]
    with pytest.raises(NotFound):  # whoever has started it finds it gone, and starts it under its new name
        await engine.status("w2")
    await engine.start("part", "w2", {"name": "renamed"})
    assert await engine.wait("w2") == "new"


async def test_takes_over_what_a_dead_executor_of_another_version_left(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()

    async def stuck(ctx: Context, args: dict[str, Any]) -> Any:
        await ctx.step("old", giving(1))
        reached.set()
        await asyncio.Event().wait()

    async def work(ctx: Context, args: dict[str, Any]) -> Any:
        return await ctx.step("new", giving("new"))

    with monkeypatch.context() as patch:
        patch.setattr(dbos_calls, "APPLICATION_VERSION", "0")
        engine = await rig.launch(work=stuck)
        await engine.start("work", "w1", {})
        await reached.wait()
        await engine.aclose()
    rig.engine = other = DbosEngine(rig.url, executor_id="other")
    other.register("work", work)
    await other.launch()
    assert (await other.status("w1")).state is State.RUNNING  # still another's
    assert await other.adopt("local") == ["w1"]
    assert await other.wait("w1") == "new"
