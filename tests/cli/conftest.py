"""Commands run in this process over in-memory registries, whose models outlive each command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedreg.cli.main import run
from fedreg.client.local import open_local
from fedreg.domain.models import FileSource, ModelDraft, VersionDraft


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "fedreg.yaml"
    path.write_text(
        "registries:\n"
        f"  left: {{kind: memory, space: '{request.node.nodeid}-left'}}\n"
        f"  right: {{kind: memory, space: '{request.node.nodeid}-right'}}\n"
    )
    return path


@pytest.fixture
def fedreg(config: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`fedreg("inventory", "--versions")`."""

    def command(*arguments: str) -> Outcome:
        code = run(["--config", str(config), *arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return command


@pytest.fixture
def churn(config: Path) -> str:
    """A model with two versions in `left`."""

    async def make() -> None:
        async with open_local(config) as client:
            adapter = await client.gateway.registries.get("left")
            await adapter.create_model(ModelDraft(name="churn"))
            for number, content in enumerate((b"first", b"second")):
                draft = VersionDraft(model="churn", files={"model.bin": len(content)})
                state = await adapter.begin_upload(draft, f"key-{number}")
                await adapter.put_file(state, FileSource(path="model.bin", size=len(content), open_at=_opener(content)))
                await adapter.finish(state)

    asyncio.run(make())
    return "left:churn"


def _opener(content: bytes):  # type: ignore[no-untyped-def]
    async def open_at(offset: int):  # type: ignore[no-untyped-def]
        yield content[offset:]

    return open_at
