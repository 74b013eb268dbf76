"""The async Python interface: `async with fedreg.aio.open("fedreg.yaml") as fed:`."""

from fedreg.client.local import LocalClient as Client
from fedreg.client.local import open_local as open

__all__ = ["Client", "open"]
