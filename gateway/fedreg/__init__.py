"""A federation gateway for model registries. Names are loaded on first use.

`fedreg.open(config)` blocks, `fedreg.aio.open(config)` is async; `fedreg.Ref` is a reference.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fedreg.version import __version__

if TYPE_CHECKING:
    from fedreg import aio as aio
    from fedreg.client.blocking import Client as Client
    from fedreg.client.blocking import open_blocking as open  # noqa: A004
    from fedreg.domain.errors import FedregError as FedregError
    from fedreg.domain.refs import Ref as Ref

_NAMES = {
    "Client": "fedreg.client.blocking:Client",
    "FedregError": "fedreg.domain.errors:FedregError",
    "Ref": "fedreg.domain.refs:Ref",
    "aio": "fedreg.aio",
    "open": "fedreg.client.blocking:open_blocking",
}

__all__ = ["Client", "FedregError", "Ref", "__version__", "aio", "open"]


def __getattr__(name: str) -> Any:
    target = _NAMES.get(name)
    if target is None:
        raise AttributeError(f"module 'fedreg' has no attribute {name!r}")
    module, _, attribute = target.partition(":")
    found = import_module(module)
    return getattr(found, attribute) if attribute else found
