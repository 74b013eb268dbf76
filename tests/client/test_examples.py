"""The scripts of examples/, each as a process of its own, in process and through a gateway."""

from __future__ import annotations

import asyncio
import csv
import os
import pickle
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedreg.client.local import LocalClient
from fedreg.services.gateway import Gateway
from fedreg_adapters.memory.standin import open_space

from .conftest import Seed

ROOT = Path(__file__).parents[2]
REGISTRIES = ("left", "right", "target")
# Lets in-memory registries outlive a process: they are read at its start and written at its end.
KEEPING = """
import atexit, os, pickle
from pathlib import Path
from fedreg_adapters.memory.standin import open_space

file = Path(os.environ["SPACES"])
spaces = {name: open_space(name) for name in pickle.loads(file.read_bytes())}
for name, kept in pickle.loads(file.read_bytes()).items():
    vars(spaces[name]).update(kept)
atexit.register(lambda: file.write_bytes(pickle.dumps(
    {name: {"shelves": space.shelves, "feed": space.feed} for name, space in spaces.items()}
)))
"""


@dataclass(frozen=True)
class Outcome:
    """What a script printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.out.splitlines()[-1]


Run = Callable[..., Awaitable[Outcome]]


@pytest.fixture
def spaces() -> dict[str, str]:
    return {name: f"{name}-{uuid.uuid4().hex}" for name in REGISTRIES}


@pytest.fixture(params=["gateway", pytest.param("process", marks=pytest.mark.soak)])
def run(request: pytest.FixtureRequest, spaces: dict[str, str], tmp_path: Path, url: str) -> Run:
    """`await run("nightly_sync", "target", "left")`. In process it works on a store of its own."""
    kept = tmp_path / "spaces.pickle"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FEDREG")}

    def beside(name: str, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        (tmp_path / "sitecustomize.py").write_text(KEEPING)
        config = tmp_path / "script.yaml"
        config.write_text((tmp_path / "fedreg.yaml").read_text().replace("fedreg.db", "script.db"))
        vendors = {space: open_space(space) for space in spaces.values()}
        kept.write_bytes(pickle.dumps({k: {"shelves": v.shelves, "feed": v.feed} for k, v in vendors.items()}))
        path = os.pathsep.join([str(tmp_path), *(str(ROOT / folder) for folder in ("gateway", "adapters"))])
        done = script(name, arguments, {"FEDREG_CONFIG": str(config), "SPACES": str(kept), "PYTHONPATH": path})
        for space, state in pickle.loads(kept.read_bytes()).items():
            vars(vendors[space]).update(state)
        return done

    def script(name: str, arguments: tuple[str, ...], given: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]
        return subprocess.run(
            command, env=environment | given, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    async def start(name: str, *arguments: str) -> Outcome:
        if request.param == "process":
            done = await asyncio.to_thread(beside, name, arguments)
        else:
            done = await asyncio.to_thread(script, name, arguments, {"FEDREG_URL": url})
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    return start


@pytest.fixture
def at(spaces: dict[str, str]) -> Callable[[str], dict[str, dict[int, Any]]]:
    """What a registry holds: model -> number -> release, as the vendor has it."""
    return lambda registry: {
        name: shelf["releases"] for name, shelf in open_space(spaces[registry]).shelves.items() if shelf["releases"]
    }


def pointers(spaces: dict[str, str], registry: str, model: str) -> dict[str, int]:
    found: dict[str, int] = open_space(spaces[registry]).shelves[model]["pointers"]
    return found


async def promote(gateway: Gateway, *refs: str) -> None:
    for ref in refs:
        await LocalClient(gateway).promote(ref, "production")


# -- migrate_registry -------------------------------------------------------------------------------------


async def test_a_registry_is_migrated_once(run: Run, seed: Seed, at: Any, tmp_path: Path) -> None:
    for model in ("churn", "churn", "fraud"):
        await seed(model, files={"model.bin": model.encode()})
    planned = await run("migrate_registry", "left", "target", "--plan-only")
    assert planned.code == 0 and "3 versions of 2 models" in planned.out and "15 bytes leave left" in planned.out
    assert at("target") == {}
    done = await run("migrate_registry", "left", "target", "--report", "done.csv")
    assert (done.code, done.last) == (0, "3 of 3 versions arrived, 0 missing; rows in done.csv"), done.err
    assert {name: sorted(found) for name, found in at("target").items()} == {"churn": [1, 2], "fraud": [1]}
    assert at("target")["fraud"][1]["blobs"]["model.bin"] == b"fraud"
    with (tmp_path / "done.csv").open() as file:
        rows = [(row["source"], row["target"], row["state"], row["bytes"]) for row in csv.DictReader(file)]
    assert rows == [
        ("left:churn@version:1", "target:churn@version:1", "moved", "5"),
        ("left:churn@version:2", "target:churn@version:2", "moved", "5"),
        ("left:fraud@version:1", "target:fraud@version:1", "moved", "5"),
    ]
    again = await run("migrate_registry", "left", "target")
    assert again.code == 0 and "moved 0 (0 bytes), there already 3" in again.out


@pytest.mark.parametrize("run", ["gateway"], indirect=True)
async def test_a_loss_has_to_be_accepted(run: Run, seed: Seed, at: Any) -> None:
    await seed("churn")
    at("left")["churn"][1]["scores"] = {"auc": float("nan")}
    refused = await run("migrate_registry", "left", "target")
    assert refused.code == 6 and "not accepted: metrics.auc" in refused.err
    assert "metrics.auc dropped in 1 versions: not a finite number" in refused.out
    assert at("target") == {}
    done = await run("migrate_registry", "left", "target", "--accept", "metrics.auc")
    assert done.code == 0 and "moved 1 " in done.out, done.err
    assert at("target")["churn"][1]["scores"] == {}


@pytest.mark.parametrize("run", ["process"], indirect=True)
async def test_a_shortfall_is_exit_code_7(run: Run, seed: Seed, at: Any, tmp_path: Path) -> None:
    for model in ("churn", "fraud"):
        await seed(model)
    at("left")["churn"][1]["blobs"] = {"../model.bin": b"outside"}
    done = await run("migrate_registry", "left", "target")
    assert (done.code, done.last) == (7, "1 of 2 versions arrived, 1 missing; rows in report.csv")
    assert "left:churn@version:1 can't be moved" in done.out
    assert at("target").keys() == {"fraud"}
    with (tmp_path / "report.csv").open() as file:
        rows = [(row["source"], row["state"], bool(row["error"])) for row in csv.DictReader(file)]
    assert rows == [("left:churn@version:1", "failed", True), ("left:fraud@version:1", "moved", False)]


# -- promote_after_copy -----------------------------------------------------------------------------------


async def test_a_production_version_is_brought_and_promoted(
    run: Run, seed: Seed, gateway: Gateway, spaces: dict[str, str], at: Any
) -> None:
    missing = await run("promote_after_copy", "left:churn", "target")
    assert missing.code == 3 and "not_found" in missing.err
    await seed("churn", files={"model.bin": b"old"})
    await seed("churn", files={"model.bin": b"new"})
    await promote(gateway, "left:churn@version:2")
    done = await run("promote_after_copy", "left:churn", "target", "--name", "leavers")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "left:churn@version:2 -> target:leavers@version:1: 1 files, copied",
        "target:leavers@version:1: none -> production",
    ]
    assert at("target")["leavers"][1]["blobs"]["model.bin"] == b"new"
    assert pointers(spaces, "target", "leavers") == {"production": 1}
    again = await run("promote_after_copy", "left:churn", "target", "--name", "leavers")
    assert (again.code, again.last) == (0, "target:leavers@version:1: production -> production")
    assert "there already" in again.out and list(at("target")["leavers"]) == [1]


@pytest.mark.parametrize("run", ["gateway"], indirect=True)
async def test_a_copy_that_differs_is_not_promoted(
    run: Run, seed: Seed, gateway: Gateway, spaces: dict[str, str], at: Any
) -> None:
    await seed("churn", files={"model.bin": b"right"})
    await promote(gateway, "left:churn@version:1")
    assert (await run("promote_after_copy", "left:churn", "target")).code == 0
    pointers(spaces, "target", "churn").clear()
    at("target")["churn"][1]["blobs"]["model.bin"] = b"wrong"
    done = await run("promote_after_copy", "left:churn", "target")
    assert done.code == 4 and "* model.bin" in done.err and "not promoted" in done.err
    assert pointers(spaces, "target", "churn") == {}


# -- nightly_sync -----------------------------------------------------------------------------------------


async def test_what_is_in_production_is_kept_in_sync(
    run: Run, seed: Seed, gateway: Gateway, spaces: dict[str, str], at: Any
) -> None:
    for model, registry in (("churn", "left"), ("churn", "left"), ("fraud", "left"), ("churn", "right")):
        await seed(model, registry, files={"model.bin": f"{registry} {model}".encode()})
    await promote(gateway, "left:churn@version:2", "right:churn@version:1")
    first = await run("nightly_sync", "target", "left", "right")
    assert (first.code, first.last) == (0, "reconciled 2 of 2, moved 2, sources failed 0"), first.err
    found = {name: [release["blobs"]["model.bin"] for release in r.values()] for name, r in at("target").items()}
    assert found == {"left-churn": [b"left churn"], "right-churn": [b"right churn"]}
    assert pointers(spaces, "target", "left-churn") == {}
    again = await run("nightly_sync", "target", "left", "right")
    assert (again.code, again.last) == (0, "reconciled 2 of 2, moved 0, sources failed 0"), again.err
    await promote(gateway, "left:fraud@version:1")
    third = await run("nightly_sync", "target", "left", "right")
    assert (third.code, third.last) == (0, "reconciled 3 of 3, moved 1, sources failed 0"), third.err
    assert third.out.splitlines()[0] == "left: 2 of 2 in production are at target, moved 1"


@pytest.mark.parametrize("run", ["process"], indirect=True)
async def test_one_bad_source_or_version_does_not_keep_the_others(
    run: Run, seed: Seed, gateway: Gateway, at: Any
) -> None:
    for model in ("churn", "fraud"):
        await seed(model)
    await promote(gateway, "left:churn@version:1", "left:fraud@version:1")
    at("left")["churn"][1]["blobs"] = {"../model.bin": b"outside"}
    done = await run("nightly_sync", "target", "nowhere", "left", "right", "--name", "all-{model}")
    assert (done.code, done.last) == (7, "reconciled 1 of 2, moved 1, sources failed 1")
    assert "nowhere: not_found" in done.err and "left:churn@version:1: " in done.err
    assert at("target").keys() == {"all-fraud"}


@pytest.mark.parametrize("name", ["migrate_registry", "promote_after_copy", "nightly_sync"])
def test_a_gateway_that_is_not_there_is_said_so(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "FEDREG_URL": "http://127.0.0.1:9"}
    arguments = ("left:churn", "target") if name == "promote_after_copy" else ("target", "left")
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == (7 if name == "nightly_sync" else 5)
    assert "gateway_unavailable" in done.stderr and "Traceback" not in done.stderr


def test_what_is_wrong_on_this_machine_is_said_before_anything_is_moved(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FEDREG")}
    command = [sys.executable, str(ROOT / "examples" / "migrate_registry.py"), "left", "target"]
    for more, words in (((), "config_error"), (("--report", "nowhere/report.csv"), "nowhere is no folder")):
        done = subprocess.run(
            [*command, *more], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
