"""A federation gateway for model registries. Names are loaded on first use.

`fedreg.open(config)` works in this process, `fedreg.connect(url, token=...)` through a gateway; both block, and
`fedreg.aio` has the same async. `fedreg.Ref` is a reference, `fedreg.FedregError` the base of all errors.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fedreg.version import __version__

if TYPE_CHECKING:
    from fedreg import aio as aio
    from fedreg.client.blocking import Client as Client
    from fedreg.client.blocking import connect_blocking as connect
    from fedreg.client.blocking import open_blocking as open  # noqa: A004
    from fedreg.domain.errors import FedregError as FedregError
    from fedreg.domain.migrations import MigrationOptions as MigrationOptions
    from fedreg.domain.records import InventoryQuery as InventoryQuery
    from fedreg.domain.refs import Ref as Ref

_NAMES = {
    "Client": "fedreg.client.blocking:Client",
    "FedregError": "fedreg.domain.errors:FedregError",
    "InventoryQuery": "fedreg.domain.records:InventoryQuery",
    "MigrationOptions": "fedreg.domain.migrations:MigrationOptions",
    "Ref": "fedreg.domain.refs:Ref",
    "aio": "fedreg.aio",
    "connect": "fedreg.client.blocking:connect_blocking",
    "open": "fedreg.client.blocking:open_blocking",
}

__all__ = [
    "Client",
    "FedregError",
    "InventoryQuery",
    "MigrationOptions",
    "Ref",
    "__version__",
    "aio",
    "connect",
    "open",
]


def __getattr__(name: str) -> Any:
    target = _NAMES.get(name)
    if target is None:
        raise AttributeError(f"module 'fedreg' has no attribute {name!r}")
    module, _, attribute = target.partition(":")
    found = import_module(module)
    return getattr(found, attribute) if attribute else found
