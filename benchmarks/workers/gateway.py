"""`fedreg serve` with tokens, over registries of the benchmarks; the access log goes to stderr.

`memory` has the model `bench` with one version before it listens, the index has it too; `slow` is an MLflow server
elsewhere.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

from benchmarks.memory_registry import make_version
from benchmarks.workers.loops import run
from fedreg.bootstrap import open_gateway, serve_gateway
from fedreg.services.refresh import refresh_all
from fedreg.settings import load_settings

TOKEN = "benchmark"
MODEL = "bench"
CONFIG = """\
store: {{url: "sqlite:///fedreg.db"}}
auth:
  tokens:
    - {{subject: benchmark, sha256: "{sha256}", roles: [reader]}}
    - {{subject: somebody-else, sha256: "{other}", roles: [reader]}}
registries:
  memory: {{kind: memory, calls: {{concurrency: 64}}}}
  slow: {{kind: mlflow, url: "{mlflow}", calls: {{concurrency: 64}}}}
"""


async def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mlflow", default="http://127.0.0.1:9")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedreg-bench-") as directory:
        config = Path(directory) / "fedreg.yaml"
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in _tokens().items()}
        config.write_text(CONFIG.format(mlflow=given.mlflow, **digests))
        settings = load_settings(config, {})
        async with open_gateway(settings) as gateway:  # what is in memory stays there for the next one
            await make_version(await gateway.registries.get("memory"), MODEL)
            await refresh_all(gateway, ["memory"])
        await serve_gateway(settings, port=0, ready=_tell)


def _tell(url: str) -> None:
    sys.stdout.write(f"listening {url}\n")
    sys.stdout.flush()


def _tokens() -> dict[str, str]:
    return {"sha256": TOKEN, "other": "another token"}


if __name__ == "__main__":
    run(main())
