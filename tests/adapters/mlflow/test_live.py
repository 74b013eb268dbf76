"""`make conformance kind=mlflow LIVE=1` on a server of which it knows an address only, and what it says without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from mlflow import MlflowClient

from .server import MlflowServer

SOME = "TestModels or TestAliases or TestCreateVersion or TestCreateFaults"


@pytest.mark.parametrize("chosen", [SOME, pytest.param("Test", marks=pytest.mark.soak)], ids=["some", "all"])
async def test_it_runs_and_leaves_nothing(
    server: MlflowServer, client: MlflowClient, run_live: Any, chosen: str
) -> None:
    done = await run_live("mlflow", {"url": server.url}, "-k", chosen)
    assert done.code == 0, done.text
    assert done.count("passed") > 10 and "conformance of mlflow" in done.text
    assert "no fault can be put before a real registry" in done.text
    assert client.search_registered_models("name LIKE '%fedreg-live-%'") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (None, ["Set\n  FEDREG_LIVE_CONFIG", "required: url; docs/adapters/mlflow.md", "deletes them at the end"]),
        ({"url": "http://127.0.0.1:9"}, ["registry 'mine' can't be used", "-> check"]),
    ],
    ids=["nothing", "nobody there"],
)
async def test_without_a_registry_it_fails(run_live: Any, options: Mapping[str, Any] | None, said: list[str]) -> None:
    """A run that tried nothing must not look green."""
    done = await run_live("mlflow", options)
    assert done.code != 0 and "Traceback" not in done.text
    assert [text for text in said if text not in done.text] == [], done.text
