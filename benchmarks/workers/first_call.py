"""Memory and processor time of a registry's first call: a section of the configuration in, one JSON line out."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import psutil

from fedreg.domain.errors import RegistryUnavailable
from fedreg.registries.federation import Federation
from fedreg.registries.manifests import load_manifest
from fedreg.registries.policy import CallPolicy, RegistryEntry


async def main() -> None:
    """Load the manifest, look, call, and look again. The registry must be unreachable."""
    section: dict[str, Any] = json.loads(sys.argv[1])
    kind, calls = section.pop("kind"), CallPolicy(**section.pop("calls"))
    started = time.process_time()
    options = load_manifest(kind).options(**section)
    found = {"manifest_seconds": time.process_time() - started, "manifest_bytes": _resident()}
    federation = Federation({kind: RegistryEntry(kind=kind, options=options, calls=calls)})
    started = time.process_time()
    try:
        await (await federation.get(kind)).ping()
    except RegistryUnavailable:
        found |= {"seconds": time.process_time() - started, "bytes": _resident()}
    await federation.aclose()
    print(json.dumps(found))


def _resident() -> int:
    return psutil.Process().memory_info().rss


if __name__ == "__main__":
    asyncio.run(main())
