"""Makes a registry's models with its vendor's own SDK: `python -m fedreg.sandbox.seed KIND`.

The SDKs' variables have to be set (see `Sandbox.env`).
"""

from __future__ import annotations

import sys
from importlib import import_module

if __name__ == "__main__":
    print(import_module(f"fedreg.sandbox.vendors.{sys.argv[1]}").seed())  # noqa: T201
