"""Fixtures: stand-ins of SageMaker that stop with the test, and fail it if an answer broke its output shape."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .standin_server import Server


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start_one(**options: Any) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield start_one
    for server in servers:
        server.stop()
    assert [error for server in servers for error in server.shape_errors] == []


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start()


@pytest.fixture
def sm(server: Server) -> Any:
    return server.client()
