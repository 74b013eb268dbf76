"""A container of the gateway's image without a container: the image's folders, variables, user and commands."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from fedreg.sandbox.processes import free_port
from fedreg.sandbox.sandbox import Sandbox
from fedreg.testing.faults import FaultProxy, cut

from .dockerfile import SYSTEM_PATH, build, read_stages, relocate

PROJECT = Path(__file__).parents[2]
BUILD, IMAGE = read_stages(PROJECT / "Dockerfile")
VOLUME = IMAGE.get("VOLUME")
UID, GID = (int(number) for number in IMAGE.get("USER").split(":"))
GRACE_SECONDS = 30  # docs/deploying.md
# What the configuration refers to. Only the digest of the caller's token is given to the gateway.
TOKEN = "callers-token-5f1d"
VARIABLES = {
    "PLATFORM_TOKEN_SHA256": hashlib.sha256(TOKEN.encode()).hexdigest(),
    "MLFLOW_TOKEN": "mlflow-token-8c22",
    "SM_SECRET": "sagemaker-secret-77aa",
}


@dataclass
class Run:
    """A gateway's process and what it logs."""

    process: Process
    url: str = ""
    lines: list[str] = field(default_factory=list)

    async def read_until(self, event: str) -> dict[str, Any]:
        """The log's next line with this event; every line on the way is one JSON object."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode())
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
        raise AssertionError(f"it ended without {event!r}: {self.lines[-20:]}")

    async def stop(self) -> int:
        """The exit code, once the process has ended by itself; TimeoutError where it outlives the grace."""
        assert self.process.stdout is not None
        async with asyncio.timeout(GRACE_SECONDS):
            self.lines += [line.decode() async for line in self.process.stdout]
            return await self.process.wait()


@dataclass
class Container:
    """The image's folders lie below `root`. `user` is None where the tests have no right to become another one."""

    root: Path
    user: int | None
    port: int = field(default_factory=free_port)
    given: dict[str, str] = field(default_factory=lambda: dict(VARIABLES))

    @property
    def volume(self) -> Path:
        return Path(relocate(VOLUME, self.root))

    @property
    def config(self) -> Path:
        return Path(relocate(IMAGE.env["FEDREG_CONFIG"], self.root))

    @property
    def env(self) -> dict[str, str]:
        """The image's variables, the home that a runtime sets, and what `docker run -e` gives."""
        own = {name: relocate(value, self.root) for name, value in IMAGE.env.items()}
        return {**own, "HOME": str(self.volume), "FEDREG__SERVER__PORT": str(self.port), **self.given}

    @property
    def identity(self) -> dict[str, Any]:
        """Arguments of subprocess that make the process the image's user."""
        return {} if self.user is None else {"user": self.user, "group": GID, "extra_groups": []}

    def mount(self, config: str) -> None:
        """An empty volume of the image's user, and the configuration beside it, not to be written."""
        self.volume.mkdir(parents=True, mode=0o700)
        if self.user is not None:
            os.chown(self.volume, self.user, GID)
        self.config.parent.mkdir(parents=True)
        self.config.write_text(config)
        self.config.chmod(0o444)

    def run_fedreg(self, *words: str) -> str:
        """Run a command of fedreg's in the container; what it printed."""
        done = self.run([*IMAGE.get_command("ENTRYPOINT"), *words])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, command: list[str], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the container to its end."""
        given = self.env if env is None else dict(env)
        place = Path(relocate(IMAGE.workdir, self.root))
        return subprocess.run(
            command, env=given, cwd=place, capture_output=True, text=True, timeout=60, umask=0o022, **self.identity
        )

    def serve_command(self) -> list[str]:
        """ENTRYPOINT and CMD, but for the host: CMD listens for others, and a test may for this machine only."""
        command = IMAGE.get_command("CMD")
        assert command == ["serve", "--host", "0.0.0.0"]
        return [*IMAGE.get_command("ENTRYPOINT"), "serve", "--host", "127.0.0.1"]

    def check_health(self) -> int:
        """The exit code of the health check's command."""
        return self.run(IMAGE.get_command("HEALTHCHECK")).returncode

    @asynccontextmanager
    async def start(self) -> AsyncIterator[Run]:
        """Start the gateway, and come back when it listens. One that is not stopped by then is killed at the end."""
        place = Path(relocate(IMAGE.workdir, self.root))
        process = await asyncio.create_subprocess_exec(
            *self.serve_command(), env=self.env, cwd=place, stdout=PIPE, stderr=STDOUT, umask=0o022, **self.identity
        )
        try:
            run = Run(process)
            run.url = (await run.read_until("listening"))["url"]
            yield run
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


class Gate(FaultProxy):
    """A proxy that holds the requests whose method and path match, until they are let go."""

    held: re.Pattern[str] | None = None
    reached: asyncio.Event
    opened: asyncio.Event

    def hold(self, pattern: str) -> None:
        """`pattern` is searched in `METHOD path?query`."""
        self.held, self.reached, self.opened = re.compile(pattern), asyncio.Event(), asyncio.Event()

    def let_go(self) -> None:
        """Forward what is held, and hold nothing more."""
        self.held = None
        self.opened.set()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.held is not None and self.held.search(f"{request.method} {request.raw_path}"):
            self.reached.set()
            await self.opened.wait()
        try:
            return await super()._handle(request)
        except ConnectionError:  # the gateway was stopped while it waited
            return cut(request)


def install(root: Path) -> None:
    """Carry out the Dockerfile's build, from the machine's package index."""
    assert BUILD.base == IMAGE.base, "the environment is made by one base's Python and run by the other's"
    (copied,) = (rest for word, rest in IMAGE.steps if word == "COPY")
    assert copied == f"--from={BUILD.name} /opt/fedreg /opt/fedreg", "an environment can't be moved"
    python = root / "usr" / "bin" / "python"  # as the base has it in its PATH
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{find_python()}" "$@"\n')
    python.chmod(0o755)
    build(BUILD, PROJECT, root, {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"})


def borrow(root: Path) -> None:
    """An environment at the place of the image's with the packages of the tests' own."""
    place = root / "opt" / "fedreg"
    subprocess.run([find_python(), "-m", "venv", "--without-pip", place], check=True, umask=0o022)
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    command = place / "bin" / "fedreg"
    command.write_text(f"#!{place}/bin/python\nfrom fedreg.cli.main import main\nmain()\n")
    command.chmod(0o755)


def find_python() -> str:
    """A Python of the tests' version that the image's user may run, too: theirs, else the system's, else theirs."""
    own = os.path.realpath(sys.executable)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    others = [found for found in (shutil.which(name, path=SYSTEM_PATH),) if found]
    return next((python for python in (own, *others) if may_run(python, "import ensurepip, venv")), own)


def find_user(root: Path) -> int | None:
    """The image's user where the tests may become it and it may run what is installed; else None, themselves."""
    return UID if os.getuid() == 0 and may_run(f"{root}/opt/fedreg/bin/python", "import fedreg") else None


def may_run(python: str, code: str) -> bool:
    """Whether the image's user may run an interpreter and what it imports; without root, the tests' own user."""
    identity: dict[str, Any] = {"user": UID, "group": GID, "extra_groups": []} if os.getuid() == 0 else {}
    try:
        done = subprocess.run([python, "-c", code], env={}, cwd="/", capture_output=True, check=False, **identity)
    except PermissionError:
        return False
    return done.returncode == 0


def write_config(sandbox: Sandbox, mlflow: str, s3: str) -> str:
    """The sandbox's configuration behind proxies, with a caller, and every secret a variable."""
    auth = 'auth: {tokens: [{subject: platform, sha256: "${PLATFORM_TOKEN_SHA256}", roles: [operator]}]}\n'
    text = sandbox.config.read_text()
    for found, wanted in (
        (sandbox.s3_url, s3),
        ("secret_access_key: sandbox", 'secret_access_key: "${SM_SECRET}"'),
        (f'"{sandbox.mlflow_url}"\n', f'"{mlflow}"\n    token: "${{MLFLOW_TOKEN}}"\n'),
    ):
        assert found in text
        text = text.replace(found, wanted)
    return f"{auth}{text}"
