"""quality.yaml says no more and no less than is declared, and `oracle` only where a test marked so asks an SDK."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

from fedreg.domain.capabilities import Operation
from fedreg.domain.capability_table import NOTHING, describe_capabilities
from fedreg.domain.proofs import LEGEND, MARKS, Ledger, Proof, list_proofs, mark_cell, spell_proofs
from fedreg.registries.ledgers import load_ledger, read_ledger
from fedreg.registries.manifests import BUILT_IN, load_manifest
from fedreg.testing.backend import Backend

ROOT = Path(__file__).parents[2]
ADAPTERS = ROOT / "adapters" / "fedreg_adapters"
KINDS = sorted(BUILT_IN)
OPERATIONS = {operation.value for operation in Operation}
# What a test of an operation must be seen to do; the others are called by their own names.
DONE_BY = {
    "create_model": ("create_model(", "new_version(", "new_model("),
    "upload": ("new_version(", "upload(", "uploaded(", "_version("),
    "list_files": ("read_all(",),
    "open_file": ("read_all(",),
}


def declared(kind: str) -> dict[str, str]:
    """Every line of the table that the kind fills."""
    lines = describe_capabilities(load_manifest(kind).capabilities)
    return {name: text for name, text in lines.items() if text != NOTHING}


@pytest.mark.parametrize("kind", KINDS)
def test_every_cell_has_a_mark(kind: str) -> None:
    """A proof, or a reason why there is none."""
    ledger = load_ledger(kind)
    proofs = list_proofs(load_manifest(kind).capabilities, ledger)
    assert proofs.keys() >= declared(kind).keys()
    assert [name for name, found in proofs.items() if Proof.UNPROVEN in found and not ledger.unproven.get(name)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_undeclared_is_named(kind: str) -> None:
    ledger = load_ledger(kind)
    lines = declared(kind)
    assert [name for name in ledger.capabilities if name not in lines] == []
    assert [n for n in ledger.unproven if n not in lines and not n.startswith("access ")] == []
    assert ledger.access.keys().isdisjoint(name.removeprefix("access ") for name in ledger.unproven)
    assert [name for name in OPERATIONS - lines.keys() if not ledger.exempt.get(name)] == [], "why is it left out?"
    assert OPERATIONS.isdisjoint(lines.keys() & ledger.exempt.keys()), "done, and said not to be"


@pytest.mark.parametrize("kind", KINDS)
def test_proofs_are_proofs(kind: str) -> None:
    """No entry is empty, `live` is dated, and what no test goes to the edge of is not called proven."""
    page = yaml.safe_load((ADAPTERS / kind / "quality.yaml").read_text(encoding="utf-8"))
    ledger = load_ledger(kind)
    every = [*ledger.capabilities.items(), *ledger.access.items(), ("suite", ledger.suite)]
    assert [name for name, proofs in every if not proofs or Proof.UNPROVEN in proofs] == []
    live = [name for name, proofs in every if Proof.LIVE in proofs]
    assert not live or page.get("live"), "live: {date: …, against: …} says when it was, and of what"
    limits = load_manifest(kind).capabilities.limits
    beyond = {
        f"limit {name}"
        for name in limits.__slots__
        if isinstance(value := getattr(limits, name), int)
        and (name == "file_size" or value > Backend.probe_limits_up_to)
    }
    assert beyond <= ledger.unproven.keys()


# -- oracles --------------------------------------------------------------------------------------------------


def oracle_tests(kind: str) -> Iterator[tuple[str, str, str]]:
    """What each test marked `oracle` names: the capability, the test, its source."""
    for file in sorted((ROOT / "tests" / "adapters" / kind).glob("test_*.py")):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.oracle":
                        source = ast.unparse(node.body)  # type: ignore[arg-type]
                        yield from ((ast.literal_eval(name), node.name, source) for name in mark.args)


@pytest.mark.parametrize("kind", KINDS)
def test_an_oracle_is_a_test_that_names_it(kind: str) -> None:
    """Both ways: what the ledger says of an oracle a test is marked with, and what a test proves the ledger says."""
    said = {name for name, proofs in load_ledger(kind).capabilities.items() if Proof.ORACLE in proofs}
    assert {name for name, _, _ in oracle_tests(kind)} == said


@pytest.mark.parametrize("kind", KINDS)
def test_an_oracle_test_does_what_it_is_marked_with(kind: str) -> None:
    for name, test, source in oracle_tests(kind):
        if name in OPERATIONS:
            calls = DONE_BY.get(name, (f"{name}(",))
            assert any(call in source for call in calls), f"{test} is marked {name!r} and never calls it"


# -- reading and showing --------------------------------------------------------------------------------------


def test_what_a_ledger_leaves_out_is_unproven() -> None:
    """As of an adapter of somebody else's that keeps none."""
    proofs = list_proofs(load_manifest("memory").capabilities, Ledger())
    assert set(proofs.values()) == {(Proof.UNPROVEN,)}


def test_narrowing_takes_marks_along() -> None:
    whole = load_manifest("memory").capabilities
    narrowed = whole.without(Operation.SET_STAGE)
    gone = list_proofs(whole, load_ledger("memory")).keys() - list_proofs(narrowed, load_ledger("memory")).keys()
    assert gone == {"set_stage", "stage production", "stage staging", "stage archived", "stage (custom)"}


def test_the_best_proof_stands_first() -> None:
    ledger = replace(load_ledger("memory"), capabilities={"upload": (Proof.FAKE, Proof.STANDIN, Proof.ORACLE)})
    found = list_proofs(load_manifest("memory").capabilities, ledger)["upload"]
    assert (mark_cell("yes", found), spell_proofs(found)) == ("yes [osf]", "oracle, stand-in, fake")
    assert mark_cell(NOTHING, ()) == NOTHING


def test_the_legend_explains_every_mark() -> None:
    assert MARKS.keys() == set(Proof)
    assert [mark for mark in MARKS.values() if f"[{mark}]" not in LEGEND] == []


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(ValueError, match="hearsay"):
        read_ledger("capabilities: {upload: [hearsay]}")


def test_ledgers_are_part_of_the_wheel() -> None:
    """The image installs the wheel, and `fedreg capabilities` reads them from there."""
    shipped = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"fedreg_adapters/{kind}/quality.yaml" for kind in KINDS} <= shipped
