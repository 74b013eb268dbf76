"""`fedreg serve` over the registries of a file, which is JSON: `{name: {kind, …}}`. Its token may do everything."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.workers.loops import run
from fedreg.bootstrap import serve_gateway
from fedreg.settings import load_settings

TOKEN = "benchmark"


async def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("registries", help="JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedreg-bench-") as directory:
        config = Path(directory) / "fedreg.yaml"
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        tokens = [{"subject": "benchmark", "sha256": digest, "roles": ["operator", "reader"]}]
        content = {
            "store": {"url": "sqlite:///fedreg.db"},
            "auth": {"tokens": tokens},
            "registries": json.loads(given.registries),
        }
        config.write_text(json.dumps(content))  # YAML is a superset
        await serve_gateway(load_settings(config, {}), port=0, ready=_tell)


def _tell(url: str) -> None:
    sys.stdout.write(f"listening {url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(main())
