"""Migrates with fedreg, as `fedreg migrate` does: the durable workflow, both adapters, a store on disk."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.workers.tasks import answer_tasks
from fedreg.client.local import open_local
from fedreg.domain.migrations import Carried, MigrationOptions
from fedreg.settings import load_settings

CONFIG = """\
store: {{url: "sqlite:///fedreg.db"}}
registries:
  source: {{kind: mlflow, url: "{source}"}}
  target: {{kind: mlflow, url: "{target}"}}
"""


async def main() -> None:
    """Serve tasks `{prefix, jobs}`; an answer holds the seconds to the report, and its counts."""
    parser = argparse.ArgumentParser()
    for name in ("source", "target"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedreg-bench-") as directory:
        config = Path(directory) / "fedreg.yaml"
        config.write_text(CONFIG.format(**vars(given)))
        async with open_local(load_settings(config, {})) as client:

            async def run(task: dict[str, Any]) -> dict[str, Any]:
                options = MigrationOptions(
                    names={"*": task["prefix"] + "{model}"},
                    carry=(Carried.ALIASES,),
                    jobs=task["jobs"],
                )
                started, used = time.perf_counter(), time.process_time()
                report = await client.migrate("source", "target", options)
                return {
                    "seconds": time.perf_counter() - started,
                    "cpu": time.process_time() - used,
                    "moved": report.moved,
                    "complete": report.complete,
                    "phases": dict(report.seconds),
                }

            await answer_tasks(run)


if __name__ == "__main__":
    asyncio.run(main())
