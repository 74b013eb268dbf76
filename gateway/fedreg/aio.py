"""The async Python interface: `async with fedreg.aio.open("fedreg.yaml") as fed:`, or `fedreg.aio.connect(url)`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from fedreg.client.interface import Client as Client

if TYPE_CHECKING:
    from fedreg.settings import Settings

__all__ = ["Client", "connect", "open"]


def open(  # noqa: A001
    config: Path | str | Settings | None = None, *, read_only: bool = False
) -> AbstractAsyncContextManager[Client]:
    """A client in process, on a configuration file (default: FEDREG_CONFIG, else ./fedreg.yaml).

    Raises ConfigError, and StoreBusy where another process owns the store and `read_only` is False.
    """
    from fedreg.client.local import open_local  # loads everything; who connects does without

    return open_local(config, read_only=read_only)


def connect(url: str, token: str | None = None, *, timeout: float = 300.0) -> AbstractAsyncContextManager[Client]:
    """A client of the gateway at `url`; as `fedreg.connect`."""
    from fedreg.client.remote import open_remote

    return open_remote(url, token, timeout=timeout)
