"""The in-memory adapter as the example of the page about writing adapters, and what the suite does not ask of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedreg.domain.errors import ConfigError
from fedreg.domain.models import ModelDraft
from fedreg.domain.stages import Holder, StageOptions
from fedreg.registries.calls import GuardedCalls
from fedreg_adapters.memory.adapter import MemoryAdapter
from fedreg_adapters.memory.manifest import MemoryOptions
from fedreg_adapters.memory.standin import drop_space

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "writing-an-adapter.md").read_text(encoding="utf-8")
SOURCES = "\n".join(
    file.read_text(encoding="utf-8")
    for folder in ("adapters/fedreg_adapters/memory", "tests/adapters/memory")
    for file in sorted((ROOT / folder).glob("*.py"))
) + (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^ *```python\n(.*?)^ *```$", PAGE, re.M | re.S)


def squeezed(text: str) -> str:
    """Without white space: the formatter moves a method's lines to the left in a page."""
    return "".join(text.split())


def test_the_page_has_snippets() -> None:
    assert len(SNIPPETS) >= 15


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.split("\n")[0].strip()[:50])
def test_each_snippet_stands_in_the_sources(snippet: str) -> None:
    assert squeezed(snippet) in squeezed(SOURCES), snippet


async def test_registries_that_name_one_space_see_the_same() -> None:
    options = MemoryOptions(space="shared-by-two")
    first, second = (MemoryAdapter(name, options, GuardedCalls(name)) for name in ("one", "two"))
    apart = MemoryAdapter("three", MemoryOptions(space="apart"), GuardedCalls("three"))
    try:
        await first.create_model(ModelDraft(name="churn"))
        assert (await second.get_model("churn")).registry == "two"
        assert not (await apart.scan(None)).models
    finally:
        drop_space("shared-by-two")
        drop_space("apart")


def test_a_holder_that_it_lacks() -> None:
    options = MemoryOptions(stages=StageOptions(held_by=Holder.BRANCH))
    with pytest.raises(ConfigError, match="branch"):
        MemoryAdapter("memory", options, GuardedCalls("memory"))


def test_the_secret_is_in_no_repr() -> None:
    assert "hunter2" not in repr(MemoryOptions(event_secret="hunter2"))
