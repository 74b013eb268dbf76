"""A real `mlflow server` in a process group of its own, on loopback, with sqlite and the artifact proxy."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

START_TIMEOUT = 90.0


class MlflowServer:
    """One server; `url` once it is up. `artifacts` is where the proxy keeps its files."""

    def __init__(self, home: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.artifacts = home / "artifacts"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "server.log"
        command = [sys.executable, "-m", "fedreg.sandbox.mlflow_server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", *options]
        if not any(option.startswith(("--artifacts-destination", "--no-serve-artifacts")) for option in options):
            command += ["--artifacts-destination", str(self.artifacts)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=home,
                env=os.environ | _QUIET | (environment or {}),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait()

    def stop(self) -> None:
        """End the server and whatever it started: its own process group only."""
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        text = self.log.read_text(errors="replace")[-2000:]
        if self._process.poll() is None:
            self.stop()
        raise RuntimeError(f"mlflow server did not start:\n{text}")


_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "DO_NOT_TRACK": "true",
    "PYTHONWARNINGS": "ignore",
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
