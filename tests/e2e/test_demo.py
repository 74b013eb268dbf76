"""`fedreg demo --once`: the whole tour succeeds, shows the main job, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

COMMAND = [sys.executable, "-m", "fedreg.cli.main", "demo"]
SHOWN = (
    "models:/churn@champion -> version 2",
    '"Stage": "Production"',
    '"ModelApprovalStatus": "Approved"',
    "=  model.skops",
    "copied from: version mlflow-prod:churn@version:2",
    "stage set",
    "missing        0",
    "journal  whole",
    "200 predictions of the original and of the copy: equal",
)


def test_the_tour(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--once"], env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for text in SHOWN:
        assert text in done.stdout, text
    check = done.stdout.partition("$ fedreg check")[2].partition("\n# ")[0]
    assert {line[0] for line in check.splitlines()[2:] if line[:1] in "=*+-?!"} == {"="}
    digests = {line.split()[0] for line in done.stderr.splitlines() if line.startswith("sha256:")}
    assert len(digests) == 1, "both ends have one digest"
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_is_ended_takes_its_servers_along(tmp_path: Path) -> None:
    process = subprocess.Popen(
        COMMAND,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("training"))
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == [] and list(tmp_path.iterdir()) == []
