"""`make conformance kind=huggingface LIVE=1`, pointed at the stand-in, of which it knows a configuration only."""

from __future__ import annotations

from typing import Any

import pytest

from .backend import NAMESPACE, TOKEN, HubBackend

SOME = "TestCreateModel or TestReadFaults or TestIntegrity or TestDeclaration"


@pytest.mark.parametrize("chosen", [SOME, pytest.param("Test", marks=pytest.mark.soak)], ids=["some", "all"])
async def test_it_runs_tells_what_it_left_out_and_leaves_nothing(
    backend: HubBackend, run_live: Any, chosen: str
) -> None:
    options = {"namespace": NAMESPACE, "token": TOKEN, "endpoint": backend.url}
    done = await run_live("huggingface", options, "-k", chosen)
    assert done.code == 0, done.text
    assert done.count("passed") >= 12 and done.count("failed") == 0
    assert "faults: reads" in done.text and "no fault can be put before a real registry" in done.text
    assert "stored bytes can't be changed behind a real registry's back" in done.text
    assert TOKEN not in done.text
    assert backend.hub.repositories == {}
