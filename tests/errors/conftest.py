"""One SageMaker stand-in and one new store for all cases; a world of its own for each."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from fedreg.store.database import Store

from .page import Row, Said, is_writing, read_rows, write_rows
from .sagemaker import SageMaker
from .world import World, open_world


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "fedreg.db"

    async def make() -> None:
        await (await Store.open(f"sqlite:///{path}")).aclose()

    asyncio.run(make())
    return path


@pytest.fixture(scope="session")
def sagemaker_service() -> Iterator[SageMaker]:
    service = SageMaker()
    yield service
    service.stop()


@pytest.fixture
def sagemaker(sagemaker_service: SageMaker) -> Iterator[SageMaker]:
    yield sagemaker_service
    sagemaker_service.refusals.clear()


@pytest.fixture(autouse=True)
def logs_apart() -> Iterator[None]:
    """Keeps the log of a gateway in this process out of what a command prints."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    yield
    structlog.reset_defaults()


@pytest.fixture
def world(tmp_path: Path, template: Path, sagemaker: SageMaker, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("FEDREG_CONFIG", "FEDREG_URL", "FEDREG_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with open_world(tmp_path, template, sagemaker.url) as opened:
        yield opened


@pytest.fixture(scope="session")
def page() -> Iterator[dict[Row, Said]]:
    """The answers on docs/errors.md; those that are put in are written at the end, where that is asked for."""
    if is_writing() and "PYTEST_XDIST_WORKER" in os.environ:
        pytest.exit("several processes can't write one page: run `make docs`")
    rows = read_rows()
    yield rows
    if is_writing():
        from .cases import ORDER

        write_rows(rows, ORDER)
