"""The one place that wires everything: settings in, a gateway out."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fedreg.engine.port import Context, Engine
from fedreg.registries.federation import Federation
from fedreg.registries.metrics import CallMetrics
from fedreg.services.changes import run_change
from fedreg.services.copy import run_copy
from fedreg.services.gateway import Gateway
from fedreg.settings import Settings
from fedreg.store.database import Store

SQLITE = "sqlite:///"


@asynccontextmanager
async def open_gateway(
    settings: Settings, *, read_only: bool = False, address: str | None = None, metrics: CallMetrics | None = None
) -> AsyncIterator[Gateway]:
    """Open the store, the registries (lazily) and the engine (on first use); close them in the other order.

    `address` is recorded in the store for other processes. Raises ConfigError, StoreBusy.
    """
    async with AsyncExitStack() as stack:
        store = await Store.open(settings.store.url, read_only=read_only, address=address)
        stack.push_async_callback(store.aclose)
        registries = Federation(settings.registries, metrics=metrics)
        stack.push_async_callback(registries.aclose)
        engine_url = _engine_url(settings.store.url, stack)
        gateway = Gateway(
            registries=registries,
            store=store,
            make_engine=lambda gateway: _make_engine(engine_url, gateway),
            stage_order=settings.stage_order,
        )
        stack.push_async_callback(gateway.close_engine)
        yield gateway


def _make_engine(url: str, gateway: Gateway) -> Engine:
    from fedreg.engine.dbos_engine import DbosEngine  # takes most of a second: only who writes pays it

    async def copy(ctx: Context, args: dict[str, Any]) -> Any:
        return await run_copy(gateway, ctx, args)

    async def change(ctx: Context, args: dict[str, Any]) -> Any:
        return await run_change(gateway, ctx, args)

    engine = DbosEngine(url)
    engine.register("copy", copy)
    engine.register("change", change)
    return engine


def _engine_url(store_url: str, stack: AsyncExitStack) -> str:
    """The engine's own database file, beside the store's; a temporary one for a store in memory."""
    if store_url.startswith(SQLITE) and len(store_url) > len(SQLITE):
        path = Path(store_url.removeprefix(SQLITE))
        return f"{SQLITE}{path.with_name(f'{path.stem}.engine{path.suffix}')}"
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="fedreg-engine-"))
    return f"{SQLITE}{directory}/engine.db"
