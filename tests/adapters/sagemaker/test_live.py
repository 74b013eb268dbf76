"""`make conformance kind=sagemaker LIVE=1`, pointed at the stand-in: what a run on an account would do, whole."""

from __future__ import annotations

from typing import Any

import pytest

from .backend import ACCESS_KEY, REGION, SECRET_KEY, SageMakerBackend
from .fixtures import backend as backend
from .fixtures import s3 as s3
from .fixtures import start as start


@pytest.mark.soak
async def test_it_runs_and_leaves_nothing(backend: SageMakerBackend, run_live: Any) -> None:
    options = {
        "region": REGION,
        "artifact_root": backend.root,
        "endpoint_url": backend.url,
        "s3_endpoint_url": backend.s3.url,
        "sts_endpoint_url": backend.url,
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
    }
    done = await run_live("sagemaker", options)
    assert done.code == 0, done.text
    assert done.count("passed") > 60 and SECRET_KEY not in done.text
    assert (await backend.sagemaker("list_model_package_groups"))["ModelPackageGroupSummaryList"] == []
