"""One sandbox for the session: a real MLflow server, the SageMaker stand-in, S3 by moto, and seeded models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedreg.sandbox.sandbox import Sandbox, boot_sandbox, seed


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with boot_sandbox(tmp_path_factory.mktemp("sandbox")) as booted:
        seed(booted)
        yield booted
