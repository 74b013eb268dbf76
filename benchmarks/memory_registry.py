"""Versions put straight into a `memory` registry, past the services, as somebody else's tool would."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fedreg.domain.models import FileSource, ModelDraft, Version, VersionDraft
from fedreg.domain.port import RegistryAdapter

CONTENT = b"flavors: {}\n"


async def make_version(adapter: RegistryAdapter, model: str) -> Version:
    """The first version of a new model, with one small file."""
    await adapter.create_model(ModelDraft(name=model, description="a model of the benchmarks"))
    draft = VersionDraft(
        model=model,
        description="a version of the benchmarks",
        tags={"team": "growth", "framework": "sklearn"},
        files={"MLmodel": len(CONTENT)},
    )
    state = await adapter.begin_upload(draft, f"seed-{model}")
    await adapter.put_file(state, FileSource(path="MLmodel", size=len(CONTENT), open_at=open_content))
    made = await adapter.finish(state)
    assert isinstance(made, Version)
    return made


async def open_content(offset: int) -> AsyncIterator[bytes]:
    """The file, from `offset`."""
    yield CONTENT[offset:]
