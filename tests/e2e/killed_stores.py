"""The databases that promotions are killed on: how a store is made, copied, and (a server) restarted."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg


@dataclass(frozen=True)
class SqliteFiles:
    """A store in files beside the configuration. Another database has the same two methods."""

    name: str = "sqlite"

    def url(self, home: Path) -> str:
        """The `store.url` of a gateway at home there."""
        return f"sqlite:///{home}/fedreg.db"

    def copy(self, source: Path, target: Path) -> None:
        """The closed store (and the engine's) of one home, at another."""
        for file in source.glob("fedreg*.db*"):
            shutil.copy2(file, target)


@dataclass(frozen=True)
class ServerDatabases:
    """A store in a database of a PostgreSQL server; a killed gateway's work is taken over when its lease has ended."""

    server: Any
    name: str = "postgresql"

    def url(self, home: Path) -> str:
        """The `store.url` of a gateway at home there; the database is made where it is missing."""
        name = _database_of(home)
        with psycopg.connect(self.server.get_uri()) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if not known:
            self._do(f"CREATE DATABASE {name}")
        return str(self.server.get_uri(database=name))

    def copy(self, source: Path, target: Path) -> None:
        """The store (and the engine's) of one home, at another."""
        self._do(f"CREATE DATABASE {_database_of(target)} TEMPLATE {_database_of(source)}")

    def restart(self) -> None:
        """Stop the server as an administrator does, cutting every session, and start it again."""
        control = [str(self.server.bin_path / "pg_ctl"), "-D", str(self.server.pgdata), "-w"]
        user = self.server.system_user
        run_as = ["setpriv", "--reuid", user, "--clear-groups"] if user else []
        subprocess.run([*run_as, *control, "-m", "fast", "restart"], check=True, stdout=subprocess.DEVNULL)

    def _do(self, statement: LiteralString) -> None:
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)


Databases = SqliteFiles | ServerDatabases


def _database_of(home: Path) -> LiteralString:
    return cast("LiteralString", "k" + hashlib.sha256(str(home).encode()).hexdigest()[:32])
