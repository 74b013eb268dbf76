"""Copying one version: a durable operation that ends in one verified version, or in none.

Each step is checkpointed by the engine, so a killed copy goes on where it was: the begun upload is reused,
files that are in place are not sent again, and `finish` finds the version it may have made by its key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import FedregError, NotFound
from fedreg.domain.records import ENDED, Actor, Intent, IntentKind, IntentState, RequestKey
from fedreg.domain.refs import Ref
from fedreg.domain.reports import CopyPlan, CopyReport
from fedreg.engine.port import Context
from fedreg.services import intents as promises
from fedreg.services.copy_plan import plan_copy
from fedreg.services.copy_steps import CopySteps
from fedreg.services.gateway import Gateway
from fedreg.store import intents

POLL_LIMIT = 600
Announce = Callable[[str], Awaitable[None]]


async def copy_version(
    gateway: Gateway,
    source: Ref,
    target: Ref,
    *,
    actor: Actor,
    reason: str | None = None,
    allow_lossy: Iterable[str] | None = None,
    packaging: str | None = None,
) -> CopyReport:
    """Copy a version and wait for the end. Raises what `plan_copy` raises, and what the copy failed with."""
    intent = await start_copy(
        gateway, source, target, actor=actor, reason=reason, allow_lossy=allow_lossy, packaging=packaging
    )
    if intent.state is not IntentState.SUCCEEDED:
        intent = await promises.wait(gateway, intent.id)
    return msgspec.convert(intent.result, CopyReport)


async def start_copy(
    gateway: Gateway,
    source: Ref,
    target: Ref,
    *,
    actor: Actor,
    reason: str | None = None,
    allow_lossy: Iterable[str] | None = None,
    packaging: str | None = None,
    key: RequestKey | None = None,
) -> Intent:
    """Plan a copy and start it, or attach to the one under way; a copy that is there already is not made again.

    A `key` that has started a copy already gives that one.
    """
    requested = await promises.find_requested(gateway, key)
    if requested is not None:
        return requested
    plan = await plan_copy(gateway, source, target, allow_lossy=allow_lossy, packaging=packaging)
    return await start_planned(gateway, plan, actor=actor, reason=reason, key=key)


async def start_planned(
    gateway: Gateway,
    plan: CopyPlan,
    *,
    actor: Actor,
    reason: str | None,
    key: RequestKey | None = None,
    announce: Announce | None = None,
) -> Intent:
    """Start what was planned, or attach to the same copy under way; see `start_copy`.

    `announce` gets the operation's id before anything of it is started.
    """
    latest = await _latest_attempt(gateway, plan.key)
    if plan.already_at is not None and latest is not None and latest.state is IntentState.SUCCEEDED:
        return replace(latest, result={**(latest.result or {}), "moved": False})
    resumed = latest if latest is not None and _goes_on(latest) else None
    intent = resumed or _next_attempt(gateway, plan, latest, actor, reason)
    if announce is not None:
        await announce(intent.id)
    if intent.state is IntentState.FAILED:
        return await _resume(gateway, intent)
    return await promises.submit(gateway, intent, key)


def _goes_on(latest: Intent) -> bool:
    """Whether an attempt is under way, or ended for a passing reason."""
    failed = latest.state is IntentState.FAILED
    return latest.state not in ENDED or (failed and bool((latest.error or {}).get("retryable")))


def _next_attempt(gateway: Gateway, plan: CopyPlan, latest: Intent | None, actor: Actor, reason: str | None) -> Intent:
    attempt = int(latest.id.rpartition("-")[2]) + 1 if latest else 1
    now = gateway.now()
    return Intent(
        id=f"copy-{plan.key}-{attempt}",
        kind=IntentKind.COPY,
        state=IntentState.PENDING,
        actor=actor,
        reason=reason,
        plan=msgspec.to_builtins(plan),
        created_at=now,
        updated_at=now,
    )


async def run_copy(gateway: Gateway, ctx: Context, args: dict[str, Any]) -> Any:
    """The workflow. Deterministic: whatever looks at the world is inside a step."""
    plan_json = await ctx.step("load", lambda: _load(gateway, args["intent"]))
    if plan_json is None:
        return None
    steps = CopySteps(gateway, ctx, msgspec.convert(plan_json, CopyPlan))
    try:
        return await _copy(gateway, ctx, steps, args["intent"])
    except FedregError as error:
        failure = error
        if not failure.retryable:
            try:
                await ctx.step("abort", steps.abort)
            except FedregError as late:  # the intent ends all the same, and says what stays
                failure.details["not_removed"] = late.to_dict()
        await ctx.step("fail", lambda: promises.fail(gateway, args["intent"], failure))
        raise


async def _copy(gateway: Gateway, ctx: Context, steps: CopySteps, intent_id: str) -> Any:
    await ctx.step("create model", steps.create_model, retries=2)
    state = await ctx.step("begin upload", steps.begin_upload, retries=2)
    hashes = await _hash_first(ctx, steps)
    sent = await ctx.step_many(
        [(f"put {path}", steps.put_file(state, path, hashes.get(path))) for path in steps.paths],
        concurrency=steps.parallel,
        retries=3,
    )
    await ctx.step("check source", lambda: steps.check_source(sent), retries=2)
    await ctx.step("put manifest", lambda: steps.put_manifest(state, sent), retries=3)
    if steps.reads_back:
        await ctx.step_many(
            [(f"read back {file['path']}", steps.read_uploaded(state, file)) for file in sent],
            concurrency=steps.parallel,
            retries=3,
        )
    version = await ctx.step("finish", lambda: steps.finish(state), retries=2, preemptible=False)
    for turn in range(POLL_LIMIT):
        if "pending" not in version:
            break
        waiting, after = version.get("state", state), version["poll_after"]
        version = await ctx.step(f"poll {turn}", partial(steps.poll, waiting, after), retries=2)
    await ctx.step("verify", lambda: steps.verify(version, sent), retries=2)
    if steps.plan.describes_model:
        await ctx.step("describe model", steps.describe_model, retries=2)
    return await ctx.step("record", lambda: steps.record(intent_id, version, sent), preemptible=False)


async def _hash_first(ctx: Context, steps: CopySteps) -> dict[str, str]:
    """A reading pass before the upload, only for targets that must be told the sha256 in advance."""
    if not steps.needs_sha256:
        return {}
    found = await ctx.step_many(
        [(f"hash {path}", steps.hash_source(path)) for path in steps.paths], concurrency=steps.parallel, retries=3
    )
    return dict(zip(steps.paths, found, strict=True))


async def _load(gateway: Gateway, intent_id: str) -> Any:
    intent = await promises.begin(gateway, intent_id)
    return None if intent is None else intent.plan


async def _latest_attempt(gateway: Gateway, key: str) -> Intent | None:
    def find(conn: Connection) -> Intent | None:
        latest = None
        for attempt in count(1):  # one by one: a key has few, the store may have many copies
            found = intents.get(conn, f"copy-{key}-{attempt}")
            if found is None:
                break
            latest = found
        return latest

    return await gateway.store.read(find)


async def _resume(gateway: Gateway, intent: Intent) -> Intent:
    """Go on with a copy that failed for a passing reason: what is in place is not sent again."""
    engine = await gateway.launched_engine()
    with suppress(FedregError):  # what it failed with: the engine's record of the end comes after ours
        await engine.wait(intent.id)
    await gateway.store.write(lambda tx: intents.set_state(tx, intent.id, IntentState.RUNNING, now=gateway.now()))
    try:
        await engine.resume(intent.id)
    except NotFound:  # forgotten by the engine, or the store was moved: it begins again, at what is in place
        await engine.start(promises.WORKFLOWS[intent.kind], intent.id, {"intent": intent.id})
    return replace(intent, state=IntentState.RUNNING)
