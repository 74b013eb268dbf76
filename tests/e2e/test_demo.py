"""`fedreg demo --once`: the whole tour succeeds, shows the main job, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

COMMAND = [sys.executable, "-m", "fedreg.cli.main", "demo"]
REGISTRIES = {
    "azure-ws": "azureml",
    "hub": "huggingface",
    "mlflow-prod": "mlflow",
    "sm-eu": "sagemaker",
    "vertex-eu": "vertex",
}
SEEDED = {
    ("azure-ws", "credit-risk", "1"),
    ("hub", "intents", "v1"),
    ("hub", "mini-bert", "v1"),
    ("mlflow-prod", "churn", "1"),
    ("mlflow-prod", "churn", "2"),
    ("mlflow-prod", "fraud.detector_eu", "1"),
    ("sm-eu", "pricing", "1"),
    ("vertex-eu", "demand", "1"),
}
IN_PRODUCTION = {
    ("azure-ws", "churn", "1"),
    ("azure-ws", "credit-risk", "1"),
    ("hub", "churn", "v1"),
    ("mlflow-prod", "churn", "2"),
    ("sm-eu", "churn", "1"),
    ("sm-eu", "pricing", "1"),
    ("vertex-eu", "churn", "1"),
}
TREE = """\
vertex-eu:intents@version:1
came from
  copied from: version azure-ws:intents@version:1
    copied from: version hub:intents@version:v1
      derived from: model acme/mini-bert
"""
SHOWN = (
    "=  model.skops",
    "copied from: version mlflow-prod:churn@version:2",
    "stage set",
    "missing        0",
    "journal       whole",
    "200 predictions of the original and of the copy: equal",
)


class Tour:
    """What a tour printed: the output of a command, found by how the command begins."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = re.findall(r"^\$ (.*)\n((?:(?!\$ |# \S).*\n)*)", text, re.MULTILINE)

    def outputs(self, command: str) -> list[str]:
        return [output for given, output in self._steps if given.startswith(command)]

    def output(self, command: str, number: int = 0) -> str:
        return self.outputs(command)[number]

    def rows(self, command: str) -> set[tuple[str, str, str]]:
        """Registry, model and version of an inventory's lines."""
        return self.rows_of(command)[0]

    def rows_of(self, command: str) -> list[set[tuple[str, str, str]]]:
        """The same, of each time that it was run."""
        tables = [[line.split() for line in output.splitlines()[1:] if line] for output in self.outputs(command)]
        return [{(words[0], words[1], words[2]) for words in lines} for lines in tables]

    def native(self, arguments: str) -> Any:
        """What a vendor's own SDK showed."""
        return json.loads(self.output(f"python -m fedreg.sandbox.native {arguments}"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A tour that has ended, on a machine without any credentials; what it left behind is counted."""
    home = tmp_path_factory.mktemp("demo")
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(home), "HOME": str(home)}
    ended = subprocess.run([*COMMAND, "--once"], env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert list(home.iterdir()) == []
    return ended


@pytest.fixture(scope="module")
def tour(done: subprocess.CompletedProcess[str]) -> Tour:
    return Tour(done.stdout)


def test_the_main_job(tour: Tour, done: subprocess.CompletedProcess[str]) -> None:
    for text in SHOWN:
        assert text in tour.text, text
    check = tour.output("fedreg check")
    assert {line[0] for line in check.splitlines()[1:] if line and line[0] in "=*+-?!"} == {"="}
    digests = {line.split()[0] for line in done.stderr.splitlines() if line.startswith("sha256:")}
    assert len(digests) == 1, "both ends have one digest"


def test_one_inventory_of_five_kinds(tour: Tour) -> None:
    lines = [line.split() for line in tour.output("fedreg registries").splitlines()[1:] if line]
    assert {words[0]: words[1] for words in lines} == REGISTRIES
    assert all("yes" in words for words in lines), "each of them answers"
    assert tour.rows("fedreg inventory --versions") == SEEDED
    assert tour.rows("fedreg inventory --versions --stage production") == IN_PRODUCTION


def test_one_model_in_production_as_each_vendor_shows_it(tour: Tour) -> None:
    assert tour.output("python -m fedreg.sandbox.native mlflow").startswith("models:/churn@champion -> version 2")
    package = tour.native("sagemaker churn 1")
    assert (package["ModelLifeCycle"]["Stage"], package["ModelApprovalStatus"]) == ("Production", "Approved")
    uploaded = tour.native("vertex churn 1")
    assert uploaded["name"].endswith("/models/churn@1")
    assert (uploaded["labels"]["fed-stage"], uploaded["labels"]["team"]) == ("production", "growth")
    version = tour.native("azureml churn 1")
    assert (version["stage"], version["tags"]["team"]) == ("Production", "growth")
    revision = tour.native("huggingface churn production")
    assert revision["tags"] == ["v1"] and "production" in revision["branches"]


def test_lineage_crosses_registries(tour: Tour) -> None:
    assert tour.output("fedreg lineage vertex-eu:intents").rstrip() == TREE.rstrip()


def test_a_gated_promotion_reaches_all_five_and_is_taken_back(tour: Tour) -> None:
    asked = tour.output("fedreg promote mlflow-prod:churn@version:1")
    assert re.search(r"^hub:churn +later", asked, re.MULTILINE) and re.search(r"^state +waiting$", asked, re.MULTILINE)
    ended = tour.output("fedreg promotions show")
    places = dict(re.findall(r"^(\S+):churn +(\w+),?", ended, re.MULTILINE))
    assert places == dict.fromkeys(REGISTRIES, "done")
    assert re.search(r"^gate of churn +1 of 1 approvals$", ended, re.MULTILINE)
    before, after = tour.rows_of("fedreg inventory --versions --model churn")
    assert {row[0] for row in before} == {row[0] for row in after} == set(REGISTRIES)
    assert ("mlflow-prod", "churn", "1") in before and after == {row for row in IN_PRODUCTION if row[1] == "churn"}
    assert "extra" in tour.output("fedreg drift churn --refresh", 1)
    assert "sm-eu:churn@version:1" in tour.output("fedreg drift churn --repair")
    back = tour.output("fedreg promotions rollback")
    assert len(re.findall(r" +reverted", back)) == 5


@pytest.mark.parametrize("said", ["starting", pytest.param("training", marks=pytest.mark.soak)])
def test_a_demo_that_is_ended_takes_its_servers_along(tmp_path: Path, said: str) -> None:
    """In the middle of the boot, and while models are made."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(COMMAND, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith(said))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 130
    alive = [
        found.info for found in psutil.process_iter(["cwd", "cmdline"]) if str(tmp_path) in (found.info["cwd"] or "")
    ]
    assert alive == [] and list(tmp_path.iterdir()) == []
