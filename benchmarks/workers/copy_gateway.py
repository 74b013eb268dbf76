"""Copies versions with fedreg, as `fedreg copy` does: the durable workflow, both adapters, a store on disk."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.workers.tasks import answer_tasks
from fedreg.client.local import open_local
from fedreg.domain.refs import Ref
from fedreg.settings import load_settings

CONFIG = """\
store: {{url: "sqlite:///fedreg.db"}}
registries:
  source: {{kind: mlflow, url: "{mlflow}"}}
  target:
    kind: sagemaker
    region: eu-west-1
    artifact_root: "s3://bench/fedreg"
    endpoint_url: "{sagemaker}"
    sts_endpoint_url: "{sagemaker}"
    s3_endpoint_url: "{s3}"
    access_key_id: benchmark
    secret_access_key: benchmark
"""


async def main() -> None:
    """Serve copy tasks `{size}`; an answer holds the seconds from the call to the verified version, and the CPU's."""
    parser = argparse.ArgumentParser()
    for name in ("mlflow", "sagemaker", "s3"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedreg-bench-") as directory:
        config = Path(directory) / "fedreg.yaml"
        config.write_text(CONFIG.format(**vars(given)))
        async with open_local(load_settings(config, {})) as client:
            serial = iter(range(1_000_000))

            async def copy(task: dict[str, Any]) -> dict[str, Any]:
                source = Ref("source", f"size-{task['size']}").at_version("1")
                started, used = time.perf_counter(), time.process_time()
                report = await client.copy(source, Ref("target", f"copy-{next(serial)}"), allow_lossy=("*",))
                return {
                    "seconds": time.perf_counter() - started,
                    "cpu": time.process_time() - used,
                    "bytes": report.bytes,
                    "moved": report.moved,
                }

            await answer_tasks(copy)


if __name__ == "__main__":
    asyncio.run(main())
