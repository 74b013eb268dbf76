"""One sandbox for the session: a real MLflow server, the SageMaker stand-in, S3 by moto, and seeded models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedreg.sandbox.sandbox import Sandbox, boot_sandbox, seed

from .fault_table import TABLE


def pytest_terminal_summary() -> None:
    if TABLE.rows:
        TABLE.show()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with boot_sandbox(tmp_path_factory.mktemp("sandbox")) as booted:
        seed(booted)
        yield booted
