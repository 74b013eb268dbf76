"""One world for these tests, and one gateway on it: gone before others start theirs in this process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # SDKs read their environment when they are imported
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_UPDATE_CHECK"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ.setdefault("HF_HOME", (HOME := tempfile.TemporaryDirectory(prefix="fedreg-tests-hf-")).name)

import fedreg
from fedreg.client.blocking import Client

from .copies import Copies, Pair
from .page import is_writing, read_rows, write_page
from .world import World, open_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Not for longer than a file: Azure's SDK is told of its cloud by the environment, which children inherit."""
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture(scope="module")
def fed(world: World) -> Iterator[Client]:
    with fedreg.open(world.config) as opened:
        yield opened


@pytest.fixture(scope="module")
def copies(world: World, fed: Client) -> Copies:
    return Copies(world, fed)


@pytest.fixture(scope="module")
def rows(world: World) -> Iterator[dict[Pair, str]]:
    """The rows of docs/translation.md; those that are put in are written at the end, where that is asked for."""
    if is_writing() and "PYTEST_XDIST_WORKER" in os.environ:
        pytest.exit("several processes can't write one page: run `make docs`")
    held = read_rows()
    yield held
    if is_writing():
        write_page(world.vendors, held)
