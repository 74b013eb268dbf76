"""Any registry into any other: the bytes are the same, and the fidelity report says exactly what is not."""

from __future__ import annotations

import pytest

from fedreg.domain.migrations import RowState

from .copies import PAIRS, Copied, Copies, Pair
from .facts import CARD, MANIFEST
from .outcomes import spell_out
from .page import PAGE, is_writing, read_rows, render_page, render_row
from .world import World

CARD_FACTS = {f"provenance.extra.{name}" for name in ("license", "base_model", "datasets", "tags")}


@pytest.mark.parametrize("pair", PAIRS, ids=" to ".join)
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
