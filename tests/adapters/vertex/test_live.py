"""`make conformance kind=vertex LIVE=1`, pointed at the stand-in: what a run on a project would do, whole."""

from __future__ import annotations

from typing import Any

import pytest

from .backend import VertexBackend


@pytest.mark.soak
async def test_it_runs_and_leaves_nothing(backend: VertexBackend, run_live: Any) -> None:
    options = {"project": "acme", "location": "europe-west4", "artifact_root": "gs://models/fedreg", "insecure": True}
    places = {"endpoint": backend.standin.address, "gcs_endpoint": backend.gcs_url}
    done = await run_live("vertex", options | places)
    assert done.code == 0, done.text
    assert done.count("passed") > 60 and "a deployment costs money" in done.text
    assert backend.standin.state.models == {}
