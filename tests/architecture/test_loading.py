"""SDKs are loaded by the first call to a registry that needs them, off the event loop, and by nothing else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedreg.registries.manifests import list_kinds

ROOT = Path(__file__).parents[2]
SDKS = ("azure", "boto3", "botocore", "google", "grpc", "huggingface_hub", "mlflow")
# what a kind's first call loads; those of mlflow are loaded by the gateway itself
LOADED = {
    "azureml": {"azure"},
    "huggingface": {"huggingface_hub"},
    "mlflow": set[str](),
    "sagemaker": {"botocore"},
    "vertex": {"google", "grpc"},
}
WITHOUT_VERTEX = tuple(kind for kind in LOADED if kind != "vertex")
ZERO = "00000000-0000-0000-0000-000000000000"

# Namespace packages that .pth files make are no modules that were loaded.
PRELUDE = f"""\
import asyncio, json, os, signal, sys, threading
from pathlib import Path

SDKS = {SDKS!r}


def loaded():
    found = [name for name, module in list(sys.modules.items()) if getattr(module, "__file__", None)]
    return sorted({{name.partition(".")[0] for name in found}} & set(SDKS))

"""
COMMAND = """
from fedreg.cli.main import run

code = run(sys.argv[1:])
print(json.dumps({"loaded": loaded(), "code": code}))
"""
SERVE = """
from fedreg.bootstrap import serve_gateway
from fedreg.settings import load_settings

def ready(url):
    print(json.dumps({"loaded": loaded(), "url": url}))
    os.kill(os.getpid(), signal.SIGTERM)

asyncio.run(serve_gateway(load_settings(Path(sys.argv[1]), {}), port=0, ready=ready))
"""
# A finder that comes before all others holds every import of an SDK until the event loop has turned once more. On the
# loop's own thread that would be never: such an import is noted, and not held.
FIRST_CALL = """
from fedreg.bootstrap import open_gateway
from fedreg.domain.errors import FedregError
from fedreg.settings import load_settings

class Watch:
    def __init__(self, loop):
        self.loop, self.turns, self.stuck, self.on_loop = loop, 0, [], []
        self.thread = threading.get_ident()

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in SDKS:
            return None
        if threading.get_ident() == self.thread:
            self.on_loop.append(name)
            return None
        turned = threading.Event()
        self.loop.call_soon_threadsafe(turned.set)
        if turned.wait(60):
            self.turns += 1
        else:
            self.stuck.append(name)
        return None

async def main():
    async with open_gateway(load_settings(Path(sys.argv[1]), {})) as gateway:
        watch = Watch(asyncio.get_running_loop())
        sys.meta_path.insert(0, watch)
        calls = {}
        for name in gateway.registries.names():
            turns = watch.turns
            before = await gateway.registries.capabilities(name)
            try:
                await (await gateway.registries.get(name)).ping()
                code = "ok"
            except FedregError as error:
                code = error.code
            same = before == await gateway.registries.capabilities(name)
            calls[name] = {"code": code, "loaded": loaded(), "turns": watch.turns - turns, "same": same}
        print(json.dumps({"calls": calls, "stuck": watch.stuck, "on_loop": watch.on_loop}))

asyncio.run(main())
"""


def make_config(directory: Path, *kinds: str) -> Path:
    """Registries where nobody listens; one attempt a request."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"127.0.0.1:{gone.getsockname()[1]}"
    url = f"http://{address}"
    options: dict[str, dict[str, Any]] = {
        "azureml": {
            "subscription": ZERO,
            "resource_group": "g",
            "workspace": "w",
            "token": "t",
            "endpoint": f"https://{address}",
        },
        "huggingface": {"namespace": "acme", "endpoint": url},
        "memory": {},
        "mlflow": {"url": url},
        "sagemaker": {
            "region": "eu-west-1",
            "endpoint_url": url,
            "access_key_id": "a",
            "secret_access_key": "b",
        },
        "vertex": {"project": "p", "location": "europe-west4", "endpoint": address, "insecure": True},
    }
    registries = {kind: {"kind": kind, "calls": {"max_attempts": 1}, **options[kind]} for kind in kinds}
    config = directory / "fedreg.yaml"
    config.write_text(json.dumps({"store": {"url": "sqlite:///fedreg.db"}, "registries": registries}))
    return config


def run(script: str, *arguments: object, cwd: Path) -> dict[str, Any]:
    """What a script says in its last line, in a fresh interpreter."""
    path = os.pathsep.join((str(ROOT / "gateway"), str(ROOT / "adapters")))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + script, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_kinds_under_test_are_all_there_are() -> None:
    assert {*LOADED, "memory"} == set(list_kinds())


def test_a_start_with_every_kind_loads_no_sdk(tmp_path: Path) -> None:
    found = run(SERVE, make_config(tmp_path, *list_kinds()), cwd=tmp_path)
    assert found["url"].startswith("http://127.0.0.1:")
    assert found["loaded"] == []


@pytest.mark.parametrize("command", ["--help", "capabilities", "config check"])
def test_a_command_that_calls_no_registry_loads_no_sdk(command: str, tmp_path: Path) -> None:
    make_config(tmp_path, *list_kinds())
    assert run(COMMAND, *command.split(), cwd=tmp_path) == {"loaded": [], "code": 0}


@pytest.mark.parametrize("kinds", [WITHOUT_VERTEX, ("vertex",)], ids=["all but vertex", "vertex"])
def test_the_first_call_loads_its_own_sdk_while_the_event_loop_turns(kinds: tuple[str, ...], tmp_path: Path) -> None:
    found = run(FIRST_CALL, make_config(tmp_path, *kinds), cwd=tmp_path)
    assert found["on_loop"] == []
    assert found["stuck"] == []
    for kind in kinds:
        call = found["calls"][kind]
        assert call["code"] == "registry_unavailable", kind
        assert call["same"], f"{kind}: the manifest's narrow says something else than the open adapter"
        assert set(call["loaded"]) >= LOADED[kind]
        assert (call["turns"] > 0) == bool(LOADED[kind]), kind
    assert ("grpc" in found["calls"][kinds[-1]]["loaded"]) == ("vertex" in kinds)
