"""Opening the client a command works with, in this process or at a gateway, and running it to its end.

`--url` and `--config` beat FEDREG_URL and FEDREG_CONFIG, which beat ./fedreg.yaml. Only what is needed is imported:
through a gateway, neither registries nor store.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from fedreg.client.interface import Client
from fedreg.domain.errors import InvalidRequest, StoreBusy

if TYPE_CHECKING:
    from fedreg.client.local import LocalClient

T = TypeVar("T")
Work = Callable[[Client], Awaitable[T]]
URL, CONFIG, TOKEN = "FEDREG_URL", "FEDREG_CONFIG", "FEDREG_TOKEN"  # names of variables


def run_reading(ctx: click.Context, work: Work[T]) -> T:
    """Run reading work. Where a gateway owns the store, its index and journal are read beside it."""
    url = find_url(ctx)
    if url is not None:
        return asyncio.run(_at_gateway(url, work))
    return run_local(ctx, work, read_only=True)


def run_writing(ctx: click.Context, work: Work[T]) -> T:
    """Run work that writes. Raises StoreBusy, with the address to use, where another process owns the store."""
    url = find_url(ctx)
    if url is not None:
        return asyncio.run(_at_gateway(url, work))
    return run_local(ctx, work, read_only=False)


def run_local(ctx: click.Context, work: Callable[[LocalClient], Awaitable[T]], *, read_only: bool) -> T:
    """Run work in this process. `read_only`: also beside the owner of the store. Raises InvalidRequest for --url."""
    config = find_config_option(ctx)

    async def session() -> T:
        try:
            async with _open_local(config, read_only=False) as client:
                return await work(client)
        except StoreBusy:
            if not read_only:
                raise
        async with _open_local(config, read_only=True) as client:
            return await work(client)

    return asyncio.run(session())


def find_url(ctx: click.Context) -> str | None:
    """The gateway's address; None to work in this process. Raises InvalidRequest for both at once on one level."""
    given = ctx.find_root().obj
    levels = (
        ("--url", given["url"], "--config", given["config"]),
        (URL, os.environ.get(URL), CONFIG, os.environ.get(CONFIG)),
    )
    for url_name, url, config_name, config in levels:
        if url and config:
            raise InvalidRequest(
                f"{url_name} and {config_name} are both given: a gateway, and a file to work with in this process",
                cure=f"give one of them, {url_name} or {config_name}",
            )
        if url or config:
            found: str | None = url or None
            return found
    return None


def find_config_option(ctx: click.Context) -> str | None:
    """What --config gives, for a command that works in this process only. Raises InvalidRequest for --url."""
    if find_url(ctx) is not None:
        name = "--url" if ctx.find_root().obj["url"] else URL
        raise InvalidRequest(
            f"`{ctx.command_path}` works in this process, and {name} names a gateway",
            cure="give --config FILE instead",
        )
    config: str | None = ctx.find_root().obj["config"]
    return config


def refuse_url(ctx: click.Context) -> None:
    """For a command that needs neither gateway nor configuration. Raises InvalidRequest for --url."""
    if ctx.find_root().obj["url"]:
        raise InvalidRequest(f"`{ctx.command_path}` works on this machine, not at a gateway", cure="leave --url out")


async def _at_gateway(url: str, work: Work[T]) -> T:
    from fedreg.client.remote import open_remote

    async with open_remote(url, os.environ.get(TOKEN) or None) as client:
        return await work(client)


@asynccontextmanager
async def _open_local(config: str | None, *, read_only: bool) -> AsyncIterator[LocalClient]:
    from fedreg.client.local import open_local

    async with open_local(config, read_only=read_only) as client:
        yield client
