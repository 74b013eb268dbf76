"""The gateway as the Dockerfile makes and runs it: stopped in the middle of a copy, which goes on after a restart.

No container is needed: the Dockerfile's own lines are carried out below a folder, its user's number included where
the tests run as root. The sample takes the tests' environment; the soak test builds and installs one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shlex
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import boto3
import pytest
import pytest_asyncio
import yaml

from fedreg.api.routes import ROUTES
from fedreg.sandbox.sandbox import Sandbox
from fedreg.sandbox.servers import CREDENTIALS, REGION
from fedreg.settings.sections import ServerSettings
from fedreg.testing.backend import Match

from .container import (
    GID,
    GRACE_SECONDS,
    IMAGE,
    PROJECT,
    TOKEN,
    UID,
    VARIABLES,
    VOLUME,
    Container,
    Gate,
    Run,
    borrow,
    find_user,
    install,
)
from .container import write_config as configure
from .dockerfile import read_stages
from .mlflow_models import Mlflow

MODEL = "drained"
LARGE = "weights.bin"
FILES = {"MLmodel": b"flavors: {}\n", "a.bin": b"a" * 300_000, "größe.bin": b"\x00\x01" * 700, "empty": b""}
FILES[LARGE] = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() * 1024 for n in range(2048))  # 64 MiB
KEY = {"Idempotency-Key": "copy-of-drained-1"}
REQUEST = {"source": f"mlflow-prod:{MODEL}@version:1", "target": f"sm-eu:{MODEL}"}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Where the image's folders lie. pytest's own folders are closed to the image's user, so root makes another."""
    if os.getuid() != 0:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="fedreg-image-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest_asyncio.fixture
async def gates(sandbox: Sandbox) -> AsyncIterator[tuple[Gate, Gate]]:
    """Gates before MLflow and before S3, and a version at MLflow of many bytes."""
    async with Gate(sandbox.mlflow_url) as mlflow, Gate(sandbox.s3_url) as s3, aiohttp.ClientSession() as session:
        server = Mlflow(session, sandbox.mlflow_url)
        async with session.get(
            f"{sandbox.mlflow_url}/api/2.0/mlflow/registered-models/get", params={"name": MODEL}
        ) as got:
            missing = got.status == 404
        if missing:
            await server.call("registered-models/create", {"name": MODEL})
            await server.make_version(MODEL, 1, FILES, run=False)
        yield mlflow, s3


async def test_sigterm_in_the_middle_of_a_copy(sandbox: Sandbox, gates: tuple[Gate, Gate], root: Path) -> None:
    borrow(root)
    container = Container(root, find_user(root))
    container.mount(configure(sandbox, gates[0].url, gates[1].url))
    await drain_and_resume(sandbox, gates, container)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_the_same_with_what_the_dockerfile_installs(
    sandbox: Sandbox, gates: tuple[Gate, Gate], root: Path
) -> None:
    await asyncio.to_thread(install, root)
    container = Container(root, find_user(root))
    container.mount(configure(sandbox, gates[0].url, gates[1].url))
    listed = container.run(
        [f"{root}/opt/fedreg/bin/python", "-c", "import fedreg, os; print(os.getuid(), fedreg.__file__)"]
    )
    assert container.user is not None or os.getuid() != 0, "this machine has no Python that another user may run"
    assert listed.stdout.startswith(f"{container.user or os.getuid()} {root}/opt/fedreg/lib/"), listed.stderr
    await drain_and_resume(sandbox, gates, container)


async def drain_and_resume(sandbox: Sandbox, gates: tuple[Gate, Gate], container: Container) -> None:
    """The whole story, of one container that is stopped and started again on its volume."""
    _, s3 = gates
    s3.hold(rf"^PUT /\S*{LARGE}\?\S*partNumber=[3-9]")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with container.start() as first, aiohttp.ClientSession(first.url, headers=headers) as http:
        operation = await post_copy(http)
        done = await drain(container, first, http, operation, gates)
    check_volume(container)
    async with container.start() as second, aiohttp.ClientSession(second.url, headers=headers) as http:
        assert await post_copy(http) == operation
        ended = await follow(http, operation, files_done=None)
        assert ended["state"] == "succeeded", ended["error"]
        assert (ended["result"]["digest"], ended["result"]["target"]) == (
            f"sha256:{digest_of(FILES)}",
            f"sm-eu:{MODEL}@version:1",
        )
        assert await post_copy(http) == operation
        second.process.send_signal(signal.SIGTERM)
        assert await second.stop() == 0
    assert {path: sent(s3, path) for path in done} == done, "a finished file was sent again"
    assert sent(s3, LARGE) >= len(FILES[LARGE])
    await asyncio.to_thread(check_target, sandbox)
    restored = await restore(container, headers, operation)
    await asyncio.to_thread(check_target, sandbox)
    for run in (first, second, restored):
        check_log(run)


async def restore(container: Container, headers: dict[str, str], operation: str) -> Run:
    """Start on the backup of a time when the copy was running: it runs again, and makes nothing twice."""
    for file in container.volume.glob("fedreg.*"):
        file.unlink()
    (container.volume / "backup.db").rename(container.volume / "fedreg.db")
    async with container.start() as run, aiohttp.ClientSession(run.url, headers=headers) as http:
        assert (await follow(http, operation, files_done=None))["state"] == "succeeded"
        run.process.send_signal(signal.SIGTERM)
        assert await run.stop() == 0
    assert container.run_fedreg("store", "check") == ""
    return run


async def drain(
    container: Container, run: Run, http: aiohttp.ClientSession, operation: str, gates: tuple[Gate, Gate]
) -> dict[str, int]:
    """Stop the gateway between two parts of a file, and during a download; returns the bytes sent of finished files."""
    mlflow, s3 = gates
    await s3.reached.wait()
    running = await follow(http, operation, files_done=len(FILES) - 1)
    assert running["state"] == "running" and 0 < running["progress"]["bytes_done"] < running["progress"]["bytes"]
    assert await asyncio.to_thread(container.check_health) == 0
    await asyncio.to_thread(container.run_fedreg, "store", "backup", str(container.volume / "backup.db"))
    mlflow.hold(r"^GET /\S*/MLmodel")
    download = asyncio.create_task(read(http, f"/v1/registries/mlflow-prod/models/{MODEL}/versions/1/files/MLmodel"))
    await mlflow.reached.wait()
    async with http.get(f"/v1/operations/{operation}/events") as events:
        run.process.send_signal(signal.SIGTERM)
        assert b"event: end" not in await events.read()
    async with aiohttp.ClientSession(run.url) as stranger:
        for path in ("/healthz", "/readyz"):
            with pytest.raises(aiohttp.ClientConnectorError):
                await stranger.get(path)
    assert await asyncio.to_thread(container.check_health) != 0
    assert run.process.returncode is None
    mlflow.let_go()
    assert await download == (200, FILES["MLmodel"])
    assert await run.stop() == 0
    done = {path: sent(s3, path) for path in FILES if path != LARGE}
    assert done == {path: len(FILES[path]) for path in done}
    s3.let_go()
    return done


async def post_copy(http: aiohttp.ClientSession) -> str:
    """Ask for the copy, with the same key every time; the operation's id."""
    async with http.post("/v1/copies", json=REQUEST, headers=KEY) as answer:
        assert answer.status == 202, await answer.text()
        found: str = (await answer.json())["id"]
        return found


async def follow(http: aiohttp.ClientSession, operation: str, *, files_done: int | None) -> dict[str, Any]:
    """The operation, when so many files are done, else when it has ended."""
    async with http.get(f"/v1/operations/{operation}/events") as events:
        async for line in events.content:
            if line.startswith(b"data: "):
                view: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                if files_done is not None and (view["progress"] or {}).get("files_done") == files_done:
                    return view
    assert files_done is None
    async with http.get(f"/v1/operations/{operation}") as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def read(http: aiohttp.ClientSession, path: str) -> tuple[int, bytes]:
    async with http.get(path) as answer:
        return answer.status, await answer.read()


def sent(s3: Gate, path: str) -> int:
    """Bytes of one file that S3 was sent so far."""
    return s3.traffic(Match(method="PUT", path=f"/{MODEL}/.*/{quote(path)}(\\?|$)")).received


def digest_of(files: dict[str, bytes]) -> str:
    """The digest as the documentation defines it."""
    lines = (f"{hashlib.sha256(files[path]).hexdigest()}  {len(files[path])}  {path}\n" for path in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_target(sandbox: Sandbox) -> None:
    """One version, and its objects hold the source's bytes, as boto3 sees them."""
    key = {
        "aws_access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        "region_name": REGION,
    }
    sagemaker = boto3.client("sagemaker", endpoint_url=sandbox.sagemaker_url, **key)
    (package,) = sagemaker.list_model_packages(ModelPackageGroupName=MODEL)["ModelPackageSummaryList"]
    described = sagemaker.describe_model_package(ModelPackageName=package["ModelPackageArn"])
    source = described["InferenceSpecification"]["Containers"][0]["ModelDataSource"]["S3DataSource"]["S3Uri"]
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    s3 = boto3.client("s3", endpoint_url=sandbox.s3_url, **key)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    stored = {
        item["Key"].removeprefix(prefix): s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        for item in listed
        if not item["Key"].endswith("/.fedreg/manifest.json")
    }
    assert stored == FILES


def check_volume(container: Container) -> None:
    """All is the user's own, databases are nobody else's to read, and the mounted file is as it was."""
    found = {file.name: file.stat() for file in container.volume.iterdir()}
    assert {"fedreg.db", "fedreg.engine.db"} <= set(found)
    assert {status.st_uid for status in found.values()} == {container.user or os.getuid()}
    assert {
        name: oct(status.st_mode & 0o077)
        for name, status in found.items()
        if not name.endswith(".lock") and status.st_mode & 0o077
    } == {}
    assert stat.S_IMODE(container.config.stat().st_mode) == 0o444
    assert [file.name for file in container.config.parent.iterdir()] == [container.config.name]


def check_log(run: Run) -> None:
    """JSON lines from the start to the end, no traceback and no secret."""
    events = [json.loads(line)["event"] for line in run.lines]
    assert events[0] == "listening" and events[-1] == "stopped" and events.count("stopping") == 1
    text = "".join(run.lines)
    assert [word for word in ("Traceback", TOKEN, *VARIABLES.values()) if word in text] == [], text


async def test_a_call_that_hangs_in_an_sdk_does_not_hold_the_process(sandbox: Sandbox, container: Container) -> None:
    async with Gate(sandbox.sagemaker_url) as sagemaker:
        container.given |= {
            "FEDREG__REGISTRIES__SM_EU__ENDPOINT_URL": sagemaker.url,
            "FEDREG__REGISTRIES__SM_EU__TIMEOUT": "600",
            "FEDREG__SERVER__SHUTDOWN_TIMEOUT": "0.1",
        }
        sagemaker.hold("^POST /")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with container.start() as run, aiohttp.ClientSession(run.url, headers=headers) as http:
            asked = asyncio.create_task(read(http, f"/v1/registries/sm-eu/models/{MODEL}"))
            await sagemaker.reached.wait()
            run.process.send_signal(signal.SIGTERM)
            assert await run.stop() == 0
            with pytest.raises(aiohttp.ClientError):
                await asked
        check_log(run)
        sagemaker.let_go()


# -- starts that fail ----------------------------------------------------------------------------------


@pytest.fixture
def container(sandbox: Sandbox, root: Path) -> Container:
    borrow(root)
    container = Container(root, find_user(root))
    container.mount(configure(sandbox, sandbox.mlflow_url, sandbox.s3_url))
    return container


def fail(container: Container, env: dict[str, str]) -> str:
    """What a start says that ends at once: one line and its cure, with the exit code of a wrong configuration."""
    done = container.run(container.serve_command(), env)
    assert (done.returncode, done.stdout) == (2, "")
    said, cure = done.stderr.splitlines()
    assert said.startswith("fedreg: config_error: ") and cure.startswith("  cure: ")
    return said


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_a_missing_variable_is_named(container: Container, name: str) -> None:
    env = {variable: value for variable, value in container.env.items() if variable != name}
    assert f"variable {name} is not set" in fail(container, env)


def test_a_volume_that_can_not_be_written_is_named(container: Container) -> None:
    container.volume.chmod(0o555)
    assert str(container.volume / "fedreg.db") in fail(container, container.env)


def test_a_store_of_another_user_is_named(container: Container) -> None:
    container.run_fedreg("refresh", "sm-eu")
    store = container.volume / "fedreg.db"
    store.chmod(0o000)
    assert str(store) in fail(container, container.env)


def test_a_configuration_that_is_not_mounted_is_named(container: Container) -> None:
    container.config.unlink()
    assert str(container.config) in fail(container, container.env)


# -- what the Dockerfile says --------------------------------------------------------------------------


def test_the_user_is_a_number_and_owns_the_volume() -> None:
    words = shlex.split(IMAGE.get("RUN"))
    given = {option: words[words.index(option) + 1] for option in ("--uid", "--gid", "--home-dir")}
    assert given == {"--uid": str(UID), "--gid": str(GID), "--home-dir": VOLUME}
    assert "--create-home" in words and UID > 0
    assert IMAGE.env["FEDREG__STORE__URL"] == f"sqlite:///{VOLUME}/fedreg.db" and IMAGE.workdir == VOLUME
    assert IMAGE.env["FEDREG__SERVER__PORT"] == IMAGE.get("EXPOSE")


def test_the_page_on_deploying_fits_the_image() -> None:
    text = (PROJECT / "docs" / "deploying.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    (compose,) = (block["services"]["fedreg"] for block in blocks if "services" in block)
    (pod,) = (block["spec"]["template"]["spec"] for block in blocks if block.get("kind") == "StatefulSet")
    (gateway,) = pod["containers"]
    config, port = str(Path(IMAGE.env["FEDREG_CONFIG"]).parent), int(IMAGE.get("EXPOSE"))
    assert compose["stop_grace_period"] == f"{GRACE_SECONDS}s"
    pause = int(gateway["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] == GRACE_SECONDS + pause
    assert (
        ServerSettings().shutdown_timeout == 10 and f"`{VOLUME}`" in text and f"`{IMAGE.env['FEDREG_CONFIG']}`" in text
    )
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (UID, GID)
    assert {VOLUME, config} <= {mount["mountPath"] for mount in gateway["volumeMounts"]}
    assert {place.split(":")[1] for place in compose["volumes"]} == {VOLUME, IMAGE.env["FEDREG_CONFIG"]}
    probes = [gateway[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {probe["port"] for probe in probes} == {port}
    assert {probe["path"] for probe in probes} <= {route.path for route in ROUTES}


def test_a_line_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM python:3.11-slim\nADD https://example.org/x /x\n")
    with pytest.raises(ValueError, match="ADD"):
        read_stages(file)
