"""The one place that wires everything: settings in, a gateway out."""

from __future__ import annotations

import asyncio
import logging
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import URL

from fedreg.domain.errors import ConfigError, FedregError, InvalidRequest
from fedreg.engine.port import Context, Engine
from fedreg.registries.calls import Permit
from fedreg.registries.federation import Federation
from fedreg.registries.metrics import CallMetrics
from fedreg.services import duties
from fedreg.services.anchors import check_key, sign_for_ever, sign_last
from fedreg.services.changes import run_change
from fedreg.services.check_operation import run_check
from fedreg.services.copy import run_copy
from fedreg.services.deliveries import deliver_for_ever
from fedreg.services.events import resume_looks
from fedreg.services.gateway import Gateway
from fedreg.services.intents import get_intent, reconcile
from fedreg.services.lease import Lease, SharedLease, SoleLease
from fedreg.services.migration import run_migration
from fedreg.services.outside import react
from fedreg.services.polling import poll
from fedreg.services.promotion_decisions import sweep_waiting
from fedreg.services.promotion_run import run_promotion
from fedreg.services.rules import check_rules
from fedreg.settings import Settings
from fedreg.store.connections import make_private
from fedreg.store.database import Store
from fedreg.telemetry.tracing import Tracing, open_tracing

SQLITE = "sqlite:///"
RECONCILE_SECONDS = 60.0
log = logging.getLogger(__name__)


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    *,
    read_only: bool = False,
    address: str | None = None,
    metrics: CallMetrics | None = None,
    tracing: Tracing | None = None,
) -> AsyncIterator[Gateway]:
    """Open the store, the registries (lazily) and the engine (on first use); close them in the other order.

    `address` is recorded in the store for other processes. `tracing` None means as configured. Raises ConfigError,
    StoreBusy.
    """
    _check_links(settings)
    async with AsyncExitStack() as stack:
        layers = tracing
        if layers is None:
            layers = await stack.enter_async_context(open_tracing(settings))
        store = await Store.open(settings.store.url, read_only=read_only, address=address)
        stack.push_async_callback(store.aclose)
        lease, permit = _make_lease(store, settings)
        registries = Federation(settings.registries, metrics=metrics or layers.call_metrics(), permit=permit)
        stack.push_async_callback(registries.aclose)
        gateway = Gateway(
            registries=registries,
            store=store,
            make_engine=partial(_make_engine, _engines(store, stack), layers),
            stage_order=settings.stage_order,
            links=settings.links,
            webhooks=settings.webhooks,
            audit=settings.audit,
            lease=lease,
        )
        if not read_only:
            gateway.observers.append(partial(react, gateway))
        if isinstance(lease, SharedLease):
            lease.on_lost = gateway.close_engine
            taking_over = asyncio.create_task(_take_over_for_ever(gateway, lease))
            stack.callback(taking_over.cancel)
        stack.push_async_callback(lease.aclose)
        if settings.audit is not None and not read_only:
            stack.push_async_callback(sign_last, gateway)
        stack.push_async_callback(gateway.close_engine)
        stack.push_async_callback(gateway.scans.aclose)
        stack.push_async_callback(gateway.looks.aclose)
        yield gateway


async def serve_gateway(
    settings: Settings, *, host: str | None = None, port: int | None = None, ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT, then stop in order; what was promised goes on at the next start.

    `ready` is called with the URL when requests are taken. Raises ConfigError, StoreBusy.
    """
    from fedreg.api.app import create_app
    from fedreg.api.logs import configure_logging
    from fedreg.api.server import open_server

    configure_logging()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    collector = CollectorRegistry()
    async with (
        open_tracing(settings) as tracing,
        open_gateway(settings, metrics=tracing.call_metrics(collector), tracing=tracing) as gateway,
    ):
        await check_key(gateway)
        if isinstance(gateway.lease, SharedLease):
            gateway.lease.on_lost = partial(_begin_anew, gateway)
        await gateway.launched_engine()
        app = create_app(gateway, settings, collector=collector, around=tracing.middlewares())
        async with open_server(app, settings, host=host, port=port) as url:
            await gateway.store.set_address(url)
            await gateway.lease.set_address(url)
            async with _background(gateway, settings):
                ready(url)
                await stop.wait()
                log.info("stopping")


@asynccontextmanager
async def _background(gateway: Gateway, settings: Settings) -> AsyncIterator[None]:
    """What a gateway that is served does by itself: finish what was promised, look, poll, tell webhooks, and sign."""
    if isinstance(gateway.lease, SharedLease):
        gateway.lease.on_taken_over = partial(resume_looks, gateway)
    await resume_looks(gateway)
    works = (_reconcile_for_ever, _deliver_for_ever, sign_for_ever)
    tasks = [asyncio.create_task(work(gateway)) for work in works]
    seconds = {name: entry.poll for name, entry in settings.registries.items() if entry.poll is not None}
    try:
        async with poll(gateway, seconds):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _deliver_for_ever(gateway: Gateway) -> None:
    """Deliveries, begun again after a trouble of the store's."""
    while True:
        try:
            await deliver_for_ever(gateway)
        except FedregError as error:
            log.warning("webhooks can't be served: %s", error)
        await asyncio.sleep(RECONCILE_SECONDS)


async def _reconcile_for_ever(gateway: Gateway) -> None:
    """Start what was promised and has no workflow, and look after promotions that wait; now and every minute."""
    while True:
        try:
            await reconcile(gateway)
            if await duties.take(gateway, duties.SWEEP) is not None:
                await sweep_waiting(gateway)
        except FedregError as error:
            log.warning("unfinished operations could not be started: %s", error)
        await asyncio.sleep(RECONCILE_SECONDS)


async def _take_over_for_ever(gateway: Gateway, lease: SharedLease) -> None:
    """Go on with what other gateways of this store have left when they died, where this one has an engine."""
    while True:
        await asyncio.sleep(lease.sweep_seconds)
        if gateway.engine is None:
            continue
        try:
            await lease.take_over(gateway.engine)
        except FedregError as error:
            log.warning("operations of other gateways could not be taken over: %s", error)


async def _begin_anew(gateway: Gateway) -> None:
    """After a lease was lost: stop what runs, which others do now, and serve on under a new one."""
    await gateway.close_engine()
    await gateway.launched_engine()


def _check_links(settings: Settings) -> None:
    """ConfigError for a gate whose rule is no expression: found at the start, not by the first promotion."""
    for name, link in settings.links.items():
        try:
            check_rules(link)
        except InvalidRequest as error:
            raise ConfigError(f"links.{name}: {error.message}", cure=error.cure) from error


def _make_lease(store: Store, settings: Settings) -> tuple[Lease, Permit | None]:
    if not isinstance(store.place, URL):
        return SoleLease(), None
    lease = SharedLease(store, timedelta(seconds=settings.store.lease))
    return lease, lease.require


def _make_engine(make: Callable[[str], Engine], tracing: Tracing, gateway: Gateway) -> Engine:
    async def copy(ctx: Context, args: dict[str, Any]) -> Any:
        return await run_copy(gateway, ctx, args)

    async def change(ctx: Context, args: dict[str, Any]) -> Any:
        return await run_change(gateway, ctx, args)

    async def promotion(ctx: Context, args: dict[str, Any]) -> Any:
        return await run_promotion(gateway, ctx, args)

    async def check(ctx: Context, args: dict[str, Any]) -> Any:
        return await run_check(gateway, ctx, args)

    async def migration(ctx: Context, args: dict[str, Any]) -> Any:
        return await run_migration(gateway, ctx, args)

    async def kind_of(operation_id: str) -> str:
        return (await get_intent(gateway, operation_id)).kind.value

    engine = tracing.around_engine(make(gateway.lease.executor_id), kind_of)
    engine.register("copy", copy)
    engine.register("change", change)
    engine.register("promotion", promotion)
    engine.register("check", check)
    engine.register("migration", migration)
    return engine


def _engines(store: Store, stack: AsyncExitStack) -> Callable[[str], Engine]:
    """Where the engine keeps its checkpoints: a file beside the store's, a temporary one for a store in memory, or
    a schema of the same server."""

    def make(executor_id: str) -> Engine:
        from fedreg.engine.dbos_engine import DbosEngine  # takes most of a second: only who writes pays it

        if isinstance(store.place, URL):
            url = store.place.render_as_string(hide_password=False)
            return DbosEngine(url, executor_id=executor_id, schema=f"{store.schema}_engine")
        path = directory / "engine.db" if store.place is None else _beside(store.place)
        make_private(path)
        return DbosEngine(f"{SQLITE}{path}", executor_id=executor_id)

    directory = Path()
    if store.place is None:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedreg-engine-")))
    return make


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.engine{path.suffix}")
