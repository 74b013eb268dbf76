"""`make conformance kind=azureml LIVE=1`, pointed at the stand-in, as a workspace and as a registry."""

from __future__ import annotations

from typing import Any

import pytest

from .backend import GROUP, REGISTRY, SUBSCRIPTION, TOKEN, WORKSPACE
from .fixtures import Start
from .fixtures import certificate as certificate
from .fixtures import start as start


@pytest.mark.soak
@pytest.mark.parametrize("of_registry", [False, True], ids=["workspace", "registry"])
async def test_it_runs_and_tells_what_it_left(start: Start, run_live: Any, of_registry: bool) -> None:
    backend = await start(of_registry=of_registry)
    place = {"registry": REGISTRY, "discovery_endpoint": backend.service.url}
    if not of_registry:
        place = {"subscription": SUBSCRIPTION, "resource_group": GROUP, "workspace": WORKSPACE}
    options = {
        "token": TOKEN,
        "endpoint": backend.service.url,
        "blob_endpoint": f"{backend.blob.url}/{{account}}",
        "ca_bundle": backend.certificate.ca,
    }
    done = await run_live("azureml", {**options, **place}, "-s")
    assert done.code == 0, done.text
    assert done.count("passed") > 60 and TOKEN not in done.text
    assert ("this registry deletes nothing" in done.text) == of_registry
