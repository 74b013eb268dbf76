"""Memory and processor time of each adapter with its SDK, against that SDK alone, and of a gateway with all kinds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import psutil

from benchmarks.kinds import SDKS, make_registries
from benchmarks.options import Options
from benchmarks.processes import BenchmarkFailed, run_child, start_server
from benchmarks.sizes import show_size
from benchmarks.table import Row
from benchmarks.workers.served import TOKEN

# Memory that the first call adds to a process, times what the SDK adds to a bare interpreter. MLflow's is not used at
# all, and of Google's only the generated layer.
CEILINGS = {"mlflow": 0.5, "sagemaker": 1.25, "vertex": 0.75, "azureml": 1.25, "huggingface": 1.25}
CONFIGURED, ALL = 1.05, 1.25
BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}  # else what an installation has compiled would be compiled every time
MEASURED = """\
import json, psutil, time
resident = psutil.Process().memory_info
before, started = resident().rss, time.process_time()
{sdk}
seconds = time.process_time() - started
print(json.dumps({{"seconds": seconds, "bytes": resident().rss, "added": resident().rss - before}}))
"""


def measure(options: Options) -> list[Row]:
    """A row a kind, and two of a gateway with all of them: before the first call, and after one to each."""
    registries = make_registries()
    rows = [_adapter_row(kind, section, options.rounds) for kind, section in registries.items()]
    return [*rows, *_gateway_rows(registries)]


def _adapter_row(kind: str, section: Mapping[str, Any], rounds: int) -> Row:
    """The first of each is not counted where there are more: it may write bytecode."""
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(run_child("benchmarks.workers.first_call", json.dumps(section), env=BYTECODE))
        theirs.append(_load_sdks([kind]))
    ours, sdk = _typical(mine[-rounds + 1 :]), _typical(theirs[-rounds + 1 :])
    if "bytes" not in ours:
        raise BenchmarkFailed(f"{kind}: somebody answered where nobody listens")
    added = ours["bytes"] - ours["manifest_bytes"]
    ratio = added / sdk["added"]
    return Row(
        name=f"first call to {kind}, memory",
        figure=f"+{show_size(added)} (to {show_size(ours['bytes'])}), {ours['seconds']:.2f} s CPU",
        reference=f"+{show_size(sdk['added'])}, {sdk['seconds']:.2f} s CPU  the vendor's SDK alone",
        ratio=ratio,
        value=ratio,
        unit="ratio",
        target=f"<= {CEILINGS[kind]:g}x",
        met=ratio <= CEILINGS[kind],
        note=f"manifest only: {show_size(ours['manifest_bytes'])}, {ours['manifest_seconds'] * 1000:.0f} ms",
    )


def _gateway_rows(registries: Mapping[str, Any]) -> list[Row]:
    with (
        start_server("benchmarks.workers.served", json.dumps({"memory": {"kind": "memory"}}), env=BYTECODE) as (
            bare,
            _,
        ),
        start_server("benchmarks.workers.served", json.dumps(registries), env=BYTECODE) as (server, url),
    ):
        empty, configured = _resident(bare.pid), _resident(server.pid)
        for name in registries:
            _ping(f"{url}/v1/registries/{name}")
        loaded = _resident(server.pid)
    sdks = _load_sdks(registries)["bytes"]
    return [
        _memory_row("gateway, all kinds configured, none called", configured, empty, "kind memory only", CONFIGURED),
        _memory_row("gateway, all kinds called", loaded, sdks, "the vendors' SDKs in one process", ALL),
    ]


def _memory_row(name: str, mine: float, theirs: float, whose: str, ceiling: float) -> Row:
    return Row(
        name=f"{name}, memory",
        figure=show_size(mine),
        reference=f"{show_size(theirs)}  {whose}",
        ratio=mine / theirs,
        value=mine / theirs,
        unit="ratio",
        target=f"<= {ceiling:g}x",
        met=mine / theirs <= ceiling,
    )


def _load_sdks(kinds: Iterable[str]) -> dict[str, float]:
    code = MEASURED.format(sdk="\n".join(SDKS[kind] for kind in kinds))
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env={**os.environ, **BYTECODE}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkFailed(f"the SDK of {', '.join(kinds)} can't be loaded:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _typical(found: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure that all have."""
    return {name: median(each[name] for each in found) for name in found[0] if all(name in each for each in found)}


def _ping(url: str) -> None:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked, timeout=120) as answer:
        view = json.load(answer)
    if (view.get("error") or {}).get("code") != "registry_unavailable":
        raise BenchmarkFailed(f"{url} is not unreachable: {view}")


def _resident(pid: int) -> int:
    found: int = psutil.Process(pid).memory_info().rss
    return found
