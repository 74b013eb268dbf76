"""What the tests of whole migrations share: configurations, processes that die, and what must hold in the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fedreg import aio
from fedreg.client.interface import Client
from fedreg.domain.migrations import MigratedVersion, MigrationOptions, MigrationReport
from fedreg.domain.models import Version
from fedreg.domain.refs import Ref
from fedreg.domain.reports import ModelView
from fedreg.domain.stages import Approval
from fedreg.sandbox.sandbox import Sandbox

SECONDS = 3000


def write_config(sandbox: Sandbox, home: Path) -> Path:
    """The sandbox's registries, and its MLflow server a second time, with an experiment of its own."""
    second = (
        f"  mlflow-new:\n    kind: mlflow\n    url: '{sandbox.mlflow_url}'\n    experiment: moved-{home.name}\n"
        "    stages: {held_by: alias, map: {production: champion}}\n"
    )
    config = home / "fedreg.yaml"
    config.write_text(sandbox.config.read_text() + second)
    return config


@dataclass(frozen=True)
class Ended:
    """A process that ran a migration: by how many bytes it grew, and its report, if it lived."""

    code: int
    errors: str
    report: MigrationReport | None = None
    grown: int = 0


async def run_process(config: Path, source: str, target: str, options: MigrationOptions, *, kill_after: int) -> Ended:
    """Migrate in a process that kills itself after so many settled versions (0: not at all)."""
    script = str(Path(__file__).with_name("killed_migration.py"))
    given = msgspec.json.encode(options).decode()
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, script, str(config), source, target, given, str(kill_after)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode:
        return Ended(done.returncode, done.stderr)
    said = msgspec.json.decode(done.stdout)
    return Ended(0, done.stderr, msgspec.convert(said["report"], MigrationReport), said["grown"])


async def rows_of(fed: Client, report: MigrationReport) -> list[MigratedVersion]:
    return [row async for row in fed.migration_rows(report.operation)]


async def versions_of(fed: Client, ref: Ref) -> list[Version]:
    """A model's versions, oldest first."""
    view = await fed.show(ref)
    assert isinstance(view, ModelView)
    return sorted(view.versions, key=lambda version: int(version.version))


async def expect_whole(config: Path, names: dict[str, Ref], source: str = "mlflow-prod", *, carried: bool) -> None:
    """Every version of every model stands at the target with the same bytes, texts, tags, numbers and origin.

    `carried`: with the same stages, aliases and approval; else unapproved and with none.
    """
    async with aio.open(config) as fed:
        for name, target in names.items():
            before, after = await versions_of(fed, Ref(source, name)), await versions_of(fed, target)
            assert [version.version for version in after] == [version.version for version in before]
            for old, new in zip(before, after, strict=True):
                await _expect_same(fed, old, new, carried=carried)
        assert (await fed.verify_audit()).ok


async def _expect_same(fed: Client, listed: Version, new: Version, *, carried: bool) -> None:
    old = await fed.version(listed.ref)
    arrived = await fed.version(new.ref)
    checked = await fed.check(listed.ref, new.ref, download=True)
    assert checked.same and checked.source_digest == checked.target_digest, (old.version, checked)
    assert (arrived.description, dict(arrived.tags)) == (old.description, dict(old.tags))
    assert dict(arrived.metrics) == dict(old.metrics)
    assert arrived.provenance.run_id == old.provenance.run_id
    assert arrived.provenance.created_at == old.created_at
    assert arrived.provenance.extra["copied_from"] == str(listed.ref)
    if carried:
        assert (arrived.stage, sorted(arrived.aliases)) == (old.stage, sorted(old.aliases))
    else:
        assert (arrived.stage, arrived.aliases) == ("none", ())
    assert arrived.approval is Approval.PENDING
