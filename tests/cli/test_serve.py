"""`fedreg serve` as a process: it says where it listens, answers, records its address, and stops on SIGTERM."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def served(config: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "fedreg.cli.main", "--config", str(config), "serve", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        said = json.loads(line)
        if said["event"] == "listening":
            yield process, said["url"]
            break
    process.kill()
    process.wait()


def test_it_serves_until_sigterm(served: tuple[subprocess.Popen[str], str], config: Path) -> None:
    process, url = served
    with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{url}/v1/registries", timeout=10) as answer:
        assert [item["name"] for item in json.load(answer)["items"]] == ["left", "right"]
    busy = subprocess.run(
        [sys.executable, "-m", "fedreg.cli.main", "--config", str(config), "create", "left:m"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert busy.returncode == 5 and url in busy.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_tokens_it_listens_on_loopback_only(config: Path, host: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fedreg.cli.main", "--config", str(config), "serve", "--host", host, "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2 and "auth.tokens" in done.stderr and "Traceback" not in done.stderr
