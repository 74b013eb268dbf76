"""Any registry into any other: the bytes are the same, and the fidelity report says exactly what is not.

What the gateway holds for a registry that can't is shown, carried on to one that can, and gone with its model.
"""

from __future__ import annotations

import pytest

from fedreg.client.blocking import Client
from fedreg.domain.migrations import Carried, MigrationOptions, RowState
from fedreg.domain.refs import Ref
from fedreg.domain.reports import ModelView

from .copies import PAIRS, Copied, Copies, Pair
from .facts import CARD, DESCRIPTION, MANIFEST, MODEL_DESCRIPTION, MODEL_TAGS
from .outcomes import is_same, spell_out
from .page import PAGE, is_writing, read_rows, render_page, render_row
from .vendor_mlflow import Mlflow
from .world import KINDS, TWIN, World

# Each kind comes twice as a source and twice as a target.
SAMPLE = {(KINDS[n], KINDS[(n + step) % len(KINDS)]) for n in range(len(KINDS)) for step in (1, 3)}
CARD_FACTS = {f"provenance.extra.{name}" for name in ("license", "base_model", "datasets", "tags")}


def _marks(pair: Pair) -> tuple[pytest.MarkDecorator, ...]:
    return () if pair in SAMPLE or is_writing() else (pytest.mark.soak,)


@pytest.mark.parametrize("pair", [pytest.param(pair, marks=_marks(pair)) for pair in PAIRS], ids=" to ".join)
def test_pair(copies: Copies, rows: dict[Pair, str], pair: Pair) -> None:
    copied = copies.of(pair)
    assert MANIFEST in copied.target.files
    assert copied.target.sums() == copied.source.sums()
    exact = copied.outcome.report()
    for losses in (copied.planned, copied.row.losses):
        said = spell_out(losses, copied.source)
        assert set(said) - exact == set(), "announced, and not so"
        assert exact - set(said) == set(), "so, and not announced"
        assert len(said) == len(set(said))
    check_gateway(copied)
    check_nothing_is_invented(copied)
    if is_writing():
        rows[pair] = render_row(pair, copied)
    assert rows[pair] == render_row(pair, copied), "docs/translation.md says otherwise: run `make docs`"


def check_gateway(copied: Copied) -> None:
    """The gateway shows everything but what is lost, and flags what it holds."""
    outcome = copied.outcome
    assert copied.flagged == outcome.held
    assert outcome.arrived | outcome.held <= copied.shown
    assert not outcome.lost & copied.shown
    lossy = bool(outcome.held or outcome.lost)
    assert copied.row.state is (RowState.LOSSY if lossy else RowState.MOVED)


def check_nothing_is_invented(copied: Copied) -> None:
    """What is at the target and not at the source: where it came from, and what the registry says of itself."""
    added = copied.target.fields.keys() - copied.source.fields.keys()
    allowed = {"provenance.extra.copied_from", "provenance.extra.vertex_default"}
    if "approval" in added:
        assert copied.target.fields["approval"] == "pending"
        allowed.add("approval")
    if copied.source.files.get("README.md") == CARD.encode():
        allowed |= CARD_FACTS
    assert added <= allowed


@pytest.mark.skipif(is_writing(), reason="the page is written at the end of this run")
def test_the_page_has_every_pair_and_nothing_else(world: World) -> None:
    found = read_rows()
    assert list(found) == PAIRS
    assert PAGE.read_text(encoding="utf-8") == render_page(world.vendors, found), "run `make docs`"


LOST = {"metrics.noise", "approval_comment", "aliases._shadow"}


def test_what_the_hub_can_not_hold_comes_back(world: World, fed: Client, copies: Copies) -> None:
    out = copies.of(("mlflow", "huggingface"))
    assert out.outcome.lost == LOST and "model.description" in out.outcome.held
    hub, name = "copies/churn of mlflow", "churn at home"
    options = MigrationOptions(models=(hub,), names={hub: name}, carry=tuple(Carried), allow_lossy=("*",))
    report = fed.migrate("huggingface", "mlflow" + TWIN, options)
    [row] = fed.migration_rows(report.operation)
    assert report.complete, row.error
    assert row.losses == ()
    home = world.vendors["mlflow"].read(name, "1")
    expected = {field: value for field, value in out.source.fields.items() if field not in LOST}
    assert {field for field, value in expected.items() if not is_same(home.fields.get(field), value)} == set()
    assert home.sums() == out.source.sums()


def test_a_models_values_are_shown_and_go_with_it(world: World, fed: Client) -> None:
    server = world.vendors["mlflow"]
    assert isinstance(server, Mlflow)
    server.client.create_registered_model("held", dict(MODEL_TAGS), MODEL_DESCRIPTION)
    server.make_version("held", {"a.bin": b"a"}, {}, {}, {}, DESCRIPTION)
    ref = Ref("huggingface", "held")
    assert "model.description" in {loss.field for loss in fed.plan_copy("mlflow:held@version:1", ref).losses}
    fed.copy("mlflow:held@version:1", ref)
    [listed] = fed.models("huggingface", name="held")
    assert (listed.description, dict(listed.tags)) == (MODEL_DESCRIPTION, MODEL_TAGS)
    assert set(listed.held_by_gateway) == {"description", *(f"tags.{key}" for key in MODEL_TAGS)}
    fed.delete(ref)
    fed.create_model(ref)
    shown = fed.show(ref)
    assert isinstance(shown, ModelView)
    assert (shown.model.description, dict(shown.model.tags), shown.model.held_by_gateway) == (None, {}, ())
