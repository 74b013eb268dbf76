"""Server processes of a sandbox: started on free ports, waited for, ended with all their children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedreg.domain.errors import RegistryUnavailable

START_SECONDS = 120.0
STOP_SECONDS = 10.0
ENDING = (signal.SIGINT, signal.SIGTERM)
# How the variables begin by which SDKs and servers find their registries and credentials.
OUTWARD = (
    *("AWS_", "AZURE_", "AZUREML_", "CLOUDSDK_", "FEDREG_", "GOOGLE_", "HF_", "HUGGINGFACE_", "HUGGING_FACE_"),
    *("MLFLOW_", "STORAGE_EMULATOR_HOST"),
)


@dataclass(slots=True)
class ServerProcess:
    """A running server. `log` holds what it printed."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """End the process and its children; by force if it does not listen."""
        for sign, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(seconds)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue
        self.process.poll()


def start_server(
    name: str, command: Sequence[str], directory: Path, stack: ExitStack, env: Mapping[str, str] | None = None
) -> ServerProcess:
    """Start a server in a process group of its own, its output in `<name>.log`. The stack stops it."""
    log = directory / f"{name}.log"
    with _signals_held_back(), log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**own_environment(), "TMPDIR": str(directory), **(env or {})},
            cwd=directory,
            start_new_session=True,
        )
        server = ServerProcess(name, process, log)
        stack.callback(server.stop)
    return server


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Ctrl-C and SIGTERM come after the block: between a start and the promise to stop nothing may be raised."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread only
        return
    came: list[int] = []
    before = {sign: signal.signal(sign, lambda number, _: came.append(number)) for sign in ENDING}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
        if came:
            signal.raise_signal(came[0])


def wait_until(server: ServerProcess, ready: Callable[[], bool]) -> None:
    """Wait until a server answers. RegistryUnavailable with the end of its log where it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        if ready():
            return
        time.sleep(0.1)
    tail = server.log.read_text(errors="replace").splitlines()[-15:]
    server.stop()
    raise RegistryUnavailable(
        f"{server.name} did not start; the end of its log:\n" + "\n".join(tail),
        cure="free some memory, or install its package again with `make setup`",
    )


def own_environment() -> dict[str, str]:
    """This process's environment without what would lead an SDK or a server out of the sandbox."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OUTWARD) and not name.lower().endswith("_proxy")
    }


def answers(url: str) -> bool:
    """Whether something answers HTTP at an address, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
