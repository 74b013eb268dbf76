"""Every command of the first cut: its output, its formats, its exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fedreg.cli.init import render_config
from fedreg.cli.main import COMMANDS, run
from fedreg.cli.main import fedreg as root
from fedreg.client.local import LocalClient
from fedreg.domain.lineage import version_node
from fedreg.domain.proofs import LEGEND
from fedreg.domain.records import IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.reports import LineageGraph, OperationView
from fedreg_adapters.memory.standin import open_space

from .conftest import Outcome

Command = Callable[..., Outcome]


def test_the_main_job(fedreg: Command, churn: str, tmp_path: Path) -> None:
    assert fedreg("promote", f"{churn}@version:2", "--to", "production", "--reason", "Q3").code == 0
    copied = fedreg("copy", f"{churn}@stage:production", "right:churn")
    assert copied.code == 0 and "right:churn@version:1" in copied.out and "read at both ends" in copied.out
    again = fedreg("copy", f"{churn}@version:2", "right:churn")
    assert again.code == 0 and "there already" in again.out
    assert fedreg("approval", "right:churn@version:1", "approved", "--comment", "fine").code == 0
    assert fedreg("promote", "right:churn@version:1", "--to", "production").code == 0
    checked = fedreg("check", f"{churn}@version:2", "right:churn@version:1", "--download")
    assert checked.code == 0 and "=  model.bin" in checked.out
    shown = fedreg("show", "right:churn@version:1")
    assert "approved" in shown.out and "model.bin" in shown.out
    assert "copied from: version left:churn@version:2" in fedreg("lineage", "right:churn@version:1").out
    history = fedreg("history", "right:churn@version:1", "-o", "json")
    assert [entry["change"]["action"] for entry in json.loads(history.out)] == ["copied", "approval_set", "stage_set"]
    assert fedreg("audit", "--verify").out.startswith("journal       whole")
    down = fedreg("download", "right:churn@version:1", str(tmp_path / "out"))
    assert down.code == 0 and (tmp_path / "out" / "model.bin").read_bytes() == b"second"
    inventory = fedreg("inventory", "--versions", "--stage", "production", "-o", "name")
    assert inventory.out.split() == ["left:churn@version:2", "right:churn@version:1"]


def test_every_format_shows_the_same_rows(fedreg: Command, churn: str) -> None:
    rows = json.loads(fedreg("inventory", "--versions", "--json").out)
    assert [(row["model"], row["version"]) for row in rows] == [("churn", "1"), ("churn", "2")]
    lines = fedreg("inventory", "--versions", "-o", "ndjson").out.splitlines()
    assert [json.loads(line) for line in lines] == rows
    table = list(csv.DictReader(io.StringIO(fedreg("inventory", "--versions", "-o", "csv").out)))
    assert [row["version"] for row in table] == ["1", "2"]
    assert fedreg("inventory", "-o", "name").out == "left:churn@version:2\n"
    assert "OBSERVED" in fedreg("inventory", "-o", "wide").out


def test_capabilities_are_marked_with_what_proves_them(fedreg: Command, tmp_path: Path) -> None:
    config = tmp_path / "marked.yaml"
    config.write_text("registries:\n  m: {kind: memory}\n  sm: {kind: sagemaker, artifact_root: 's3://bucket/x'}\n")
    table = fedreg("--config", str(config), "capabilities")
    rows = {line.split("  ")[0]: line for line in table.out.splitlines()}
    assert rows["set_stage"].split()[1:] == ["yes", "[s]", "yes", "[os]"]
    assert rows["limit file_size"].split()[2:] == ["-", "5497558138880", "[unproven]"]
    assert rows["access profile"].split()[2:] == ["-", "yes", "[unproven]"]
    assert table.out.splitlines()[-1] == LEGEND
    spelled = {
        row["capability"]: row
        for row in csv.DictReader(io.StringIO(fedreg("--config", str(config), "capabilities", "-o", "csv").out))
    }
    assert (spelled["set_stage"]["sm"], spelled["set_stage"]["sm proven by"]) == ("yes", "oracle, stand-in")
    assert "PROVEN BY" in fedreg("--config", str(config), "capabilities", "-o", "wide").out
    whole = json.loads(fedreg("--config", str(config), "capabilities", "--json").out)
    assert [view["registry"] for view in whole] == ["m", "sm"] and "set_stage" in whole[1]["capabilities"]["operations"]
    assert whole[1]["proofs"]["access profile"] == ["unproven"] and "SSO" in whole[1]["unproven"]["access profile"]
    lines = fedreg("--config", str(config), "capabilities", "-o", "ndjson").out.splitlines()
    assert [json.loads(line) for line in lines] == whole


def test_models_are_read_live(fedreg: Command, churn: str) -> None:
    assert fedreg("create", "left:leavers", "--description", "who goes").code == 0
    assert fedreg("models", "left", "-o", "name").out.split() == ["left:churn", "left:leavers"]
    named = json.loads(fedreg("models", "left", "--name", "leav", "--json").out)
    assert [(model["name"], model["description"]) for model in named] == [("leavers", "who goes")]
    assert fedreg("models", "right", "-o", "name").out == ""


def test_lineage_for_other_tools(fedreg: Command, churn: str) -> None:
    assert fedreg("copy", "left:churn@2", "right:churn").code == 0
    [event] = [json.loads(line) for line in fedreg("lineage", "right:churn@1", "-o", "openlineage").out.splitlines()]
    assert event["job"] == {"namespace": "fedreg", "name": "copied_from right:churn@version:1"}
    assert event["inputs"] == [{"namespace": "left", "name": "churn@version:2"}]
    assert event["outputs"] == [{"namespace": "right", "name": "churn@version:1"}]
    assert event["schemaURL"].endswith("#/$defs/JobEvent") and event["eventTime"].endswith("Z")
    assert fedreg("lineage", "right:churn@1", "-o", "dot").out.startswith("digraph lineage {")
    assert fedreg("lineage", "right:churn@1", "-o", "mermaid").out.startswith("graph LR\n")
    assert "copied from" not in fedreg("lineage", "right:churn@1", "--down").out
    assert "copied from" in fedreg("lineage", "right:churn@1", "--up", "--depth", "1").out


def test_lineage_of_hidden_registries_is_partial(fedreg: Command, churn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def partial(self: LocalClient, ref: Ref, **given: object) -> LineageGraph:
        root = version_node(await self.version(ref))
        hidden = {"error": {"code": "forbidden", "message": "parts of the graph are not yours to see"}}
        return LineageGraph(root=root, nodes=(root,), edges=(), truncated=False, partial=(hidden,))

    monkeypatch.setattr(LocalClient, "lineage", partial)
    outcome = fedreg("lineage", "left:churn@1")
    assert (outcome.code, outcome.err) == (4, "partial: some of it is not yours to see\n")


def test_a_promotion_is_waited_for(fedreg: Command, churn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = json.loads(fedreg("promote", "left:churn@1", "--to", "staging", "--wait", "--json").out)
    assert fedreg("promotions", "cancel", made["operation"]).code == 1
    states = [IntentState.WAITING, IntentState.RUNNING, IntentState.CANCELLED]
    operation = LocalClient.operation

    async def seen(self: LocalClient, operation_id: str) -> OperationView:
        return replace(await operation(self, operation_id), state=states.pop(0))

    monkeypatch.setattr(LocalClient, "operation", seen)
    monkeypatch.setattr("fedreg.cli.promotions.POLL_SECONDS", 0)
    outcome = fedreg("promote", "left:churn@2", "--to", "staging", "--wait")
    assert (outcome.code, states) == (1, []) and "was cancelled" in outcome.err


def test_facets_of_what_matches(fedreg: Command, churn: str) -> None:
    assert fedreg("promote", "left:churn@2", "--to", "staging").code == 0
    facets = json.loads(fedreg("inventory", "--facets", "--stage", "staging", "--model", "ch*", "--json").out)
    assert facets == {"registries": {"left": 1}, "stages": {"staging": 1}, "approvals": {"none": 1}}
    assert fedreg("inventory", "--facets", "--sort", "-name").code == 2


def test_inventory_in_another_order(fedreg: Command, churn: str) -> None:
    assert fedreg("inventory", "--versions", "--sort", "-name", "-o", "name").out.split() == [
        "left:churn@version:2",
        "left:churn@version:1",
    ]
    assert fedreg("promote", "left:churn@2", "--to", "staging").code == 0
    latest = fedreg("inventory", "--versions", "--sort", "-stage_since", "-o", "name").out.split()
    assert latest[0] == "left:churn@version:2"
    refused = fedreg("inventory", "--sort", "size")
    assert refused.code == 2 and "stage_since" in refused.err


def test_a_version_is_registered_where_its_bytes_are(fedreg: Command, request: pytest.FixtureRequest) -> None:
    open_space(f"{request.node.nodeid}-left").uploads["placed"] = {"model.bin": b"bytes"}
    assert fedreg("create", "left:churn").code == 0
    given = ("--artifact", "memory:upload/placed", "--metric", "auc=0.9", "--param", "depth=3", "--tag", "team=a")
    made = json.loads(fedreg("create", "left:churn", *given, "--run", "run-7", "--json").out)
    assert (made["version"], made["approval"], made["metrics"]) == ("1", "pending", {"auc": 0.9})
    assert (made["params"], made["tags"], made["provenance"]["run_id"]) == ({"depth": "3"}, {"team": "a"}, "run-7")
    assert fedreg("create", "left:churn", *given, "-o", "name").out == "left:churn@version:2\n"
    for refused, words in (
        (("--metric", "auc=0.9"), "--metric is a version's"),
        ((*given, "--metric", "auc=high"), "'auc=high' is no number"),
        ((*given, "--param", "depth"), "--param 'depth' is no pair"),
    ):
        outcome = fedreg("create", "left:churn", *refused)
        assert outcome.code == 2 and words in outcome.err
    assert fedreg("create", "left:churn", *given, "--version", "9").code == 6
    assert fedreg("create", "left:leavers", *given).code == 3


def test_the_rows_of_a_migration_can_be_read_later(fedreg: Command, churn: str) -> None:
    report = json.loads(fedreg("migrate", "left", "right", "--json").out)
    rows = list(csv.DictReader(io.StringIO(fedreg("operations", "rows", report["operation"], "-o", "csv").out)))
    assert [(row["source"], row["target"], row["state"], row["bytes"]) for row in rows] == [
        ("left:churn@version:1", "right:churn@version:1", "moved", "5"),
        ("left:churn@version:2", "right:churn@version:2", "moved", "6"),
    ]
    other = json.loads(fedreg("promote", "left:churn@1", "--to", "staging", "--json").out)["operation"]
    refused = fedreg("operations", "rows", other)
    assert refused.code == 3 and f"migration '{other}' does not exist" in refused.err


def test_operations_are_chosen_by_kind_and_state(fedreg: Command, churn: str) -> None:
    copied = json.loads(fedreg("copy", f"{churn}@1", "right:churn", "--json").out)
    promoted = json.loads(fedreg("promote", f"{churn}@1", "--to", "staging", "--json").out)["operation"]
    assert copied["moved"] is True
    assert fedreg("operations", "list", "--kind", "promotion", "-o", "name").out.split() == [promoted]
    assert fedreg("operations", "list", "--kind", "promotion", "--state", "failed", "-o", "name").out == ""
    assert fedreg("promotions", "list", "--state", "succeeded", "-o", "name").out.split() == [promoted]
    assert fedreg("operations", "list", "--kind", "nonsense").code == 2


def test_differences_are_exit_code_4(fedreg: Command, churn: str) -> None:
    checked = fedreg("check", f"{churn}@1", f"{churn}@2", "--download")
    assert checked.code == 4 and "*  model.bin" in checked.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "left:churn@9"], 3, "not_found"),
        (["show", "nowhere:churn"], 3, "nowhere"),
        (["show", "churn"], 2, "has no model"),
        (["copy", "left:churn", "right:churn"], 2, "add a selector"),
        (["promote", "left:churn@1", "--to", "No Stage"], 2, "is no stage"),
        (["promote", "left:churn@1", "--to", "production", "--expected", "staging"], 1, "precondition_failed"),
        (["alias", "left:churn@1", "Bad Alias"], 2, "Bad Alias"),
        (["tag", "left:churn@1", "novalue"], 2, "novalue"),
        (["inventory", "--max-age", "soon"], 2, "soon"),
        (["inventory", "--registry", "middle"], 3, "middle"),
        (["audit", "--since", "yesterday"], 2, "yesterday"),
        (["operations", "show", "nope"], 3, "nope"),
        (["operations", "rows", "nope"], 3, "nope"),
        (["models", "nowhere"], 3, "nowhere"),
        (["nonsense"], 2, "nonsense"),
        (["promote", "left:churn@1"], 2, "--to"),
    ],
)
def test_mistakes_are_named(fedreg: Command, churn: str, arguments: list[str], code: int, words: str) -> None:
    outcome = fedreg(*arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert words in outcome.err and "Traceback" not in outcome.err


def test_a_registry_that_is_down_makes_the_inventory_partial(fedreg: Command, churn: str, config: Path) -> None:
    config.write_text(
        config.read_text() + "  down: {kind: mlflow, url: 'http://127.0.0.1:9', calls: {max_attempts: 1}}\n"
    )
    outcome = fedreg("inventory", "-o", "name")
    assert (outcome.code, outcome.out) == (4, "left:churn@version:2\n")
    assert "partial: down:" in outcome.err
    assert fedreg("registries").code == 4


def test_config_may_stand_after_the_command(config: Path, churn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inventory", "-o", "name", "--config", str(config)]) == 0
    assert capsys.readouterr().out == "left:churn@version:2\n"


def test_every_listed_command_is_there_and_says_what_it_does() -> None:
    context = root.make_context("fedreg", [], resilient_parsing=True)
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None and command.help, name


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from fedreg.cli.main import run; run(['--help']);"
        "print([m for m in ('aiohttp','sqlalchemy','dbos','rich','boto3','mlflow','msgspec') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_second_process_reads_beside_the_owner_and_does_not_write(fedreg: Command, churn: str, config: Path) -> None:
    import asyncio

    from fedreg.client.local import open_local

    assert fedreg("inventory").code == 0

    async def beside() -> tuple[Outcome, Outcome]:
        async with open_local(config):
            reading = await asyncio.to_thread(_process, config, "inventory", "-o", "name")
            writing = await asyncio.to_thread(_process, config, "promote", "left:churn@1", "--to", "staging")
            return reading, writing

    reading, writing = asyncio.run(beside())
    assert (reading.code, reading.out) == (0, "left:churn@version:2\n")
    assert writing.code == 5 and "store_busy" in writing.err


def _process(config: Path, *arguments: str) -> Outcome:
    command = [sys.executable, "-m", "fedreg.cli.main", "--config", str(config), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_init_writes_what_config_check_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:hunter2@mlflow.internal:5000")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    path = tmp_path / "fedreg.yaml"
    assert run(["init", "--path", str(path)]) == 0
    assert "hunter2" not in path.read_text()
    assert run(["config", "check", "--config", str(path)]) == 0
    assert run(["config", "show", "--config", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "eu-central-1" in shown and "hunter2" not in shown
    assert run(["init", "--path", str(path)]) == 1


def test_init_finds_nothing_and_says_so(tmp_path: Path) -> None:
    text = render_config({}, tmp_path)
    assert "# MLFLOW_TRACKING_URI is not set" in text and "# no AWS settings found" in text
    assert all(line.lstrip().startswith("#") for line in text.partition("registries:\n")[2].splitlines())
