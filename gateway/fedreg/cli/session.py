"""Opening the client a command works with, and running it to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from fedreg.client.local import LocalClient, open_local
from fedreg.domain.errors import StoreBusy

T = TypeVar("T")
Work = Callable[[LocalClient], Awaitable[T]]


def run_reading(ctx: click.Context, work: Work[T]) -> T:
    """Run reading work. Where a gateway owns the store, its index and journal are read beside it."""

    async def session() -> T:
        try:
            return await _with_client(ctx, work, read_only=False)
        except StoreBusy:
            return await _with_client(ctx, work, read_only=True)

    return asyncio.run(session())


def run_writing(ctx: click.Context, work: Work[T]) -> T:
    """Run work that writes. Raises StoreBusy where another process owns the store."""
    return asyncio.run(_with_client(ctx, work, read_only=False))


async def _with_client(ctx: click.Context, work: Work[T], *, read_only: bool) -> T:
    async with open_local(ctx.find_root().obj["config"], read_only=read_only) as client:
        return await work(client)
