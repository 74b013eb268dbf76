"""Pages say what the code does: generated ones are up to date, and what the others name exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest

from fedreg.cli.demo import STEPS
from fedreg.cli.main import fedreg
from fedreg.registries.manifests import BUILT_IN
from fedreg.settings import load_settings
from fedreg.version import __version__

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / "docs" / "generate.py"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADR = ROOT / "docs" / "decisions" / "0002-dependencies.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s]+)\)")
MARKED = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"(fedreg|fedreg_adapters)(\.\w+)+")
PATH = re.compile(r"(gateway|adapters|tests|docs|config|benchmarks)/[\w./-]+")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def marked(page: Path) -> list[str]:
    return MARKED.findall(prose(page))


# -- generated pages ------------------------------------------------------------------------------------


def test_generated_pages_are_what_the_code_says() -> None:
    done = subprocess.run([sys.executable, str(GENERATOR), "--check"], capture_output=True, text=True, timeout=100)
    assert done.stderr == ""
    assert done.returncode == 0


def test_a_page_that_differs_is_named(tmp_path: Path) -> None:
    copy = tmp_path / "generate.py"
    copy.write_text(GENERATOR.read_text())
    (tmp_path / "errors.md").write_text("# Errors\n")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "docs")}
    done = subprocess.run([sys.executable, str(copy), "--check"], capture_output=True, text=True, timeout=100, env=env)
    assert "docs/errors.md is not what the code says" in done.stderr
    assert done.returncode == 1
    assert [file.name for file in tmp_path.iterdir() if file.suffix != ".py"] == ["errors.md"]


def test_every_kind_has_its_page() -> None:
    assert {page.stem for page in (ROOT / "docs" / "adapters").glob("*.md")} == set(BUILT_IN)


# -- links ----------------------------------------------------------------------------------------------


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_found_from_the_readme() -> None:
    found, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page not in found and page.suffix == ".md":
            found.add(page)
            links = (link.partition("#")[0] for link in LINK.findall(prose(page)))
            todo += [target for link in links if link and (target := (page.parent / link).resolve()).is_file()]
    assert [name_of(page) for page in PAGES if page not in found] == []


# -- commands -------------------------------------------------------------------------------------------


def commands(page: Path) -> Iterator[str]:
    """`fedreg …` in code marks, and the lines of shell blocks that call it."""
    yield from (text for text in marked(page) if text.startswith("fedreg ") or text == "fedreg")
    for language, block in FENCE.findall(page.read_text()):
        if language in ("bash", "console", "sh", "shell"):
            lines = (line.strip().removeprefix("$ ") for line in block.replace("\\\n", " ").splitlines())
            yield from (line.partition("  #")[0] for line in lines if line.startswith("fedreg "))


def fault(text: str) -> str | None:
    """What no command of that name, or option of it, exists for; None where all do."""
    words = iter([word.strip("[]…") for word in shlex.split(text.partition(" | ")[0].partition(" > ")[0])[1:]])
    command: click.Command = fedreg
    ctx = click.Context(fedreg, info_name="fedreg")
    takes_value = _options(fedreg, ctx)
    for word in words:
        option, equals, _ = word.partition("=")
        if word.startswith("-"):
            if option not in takes_value:
                return f"{ctx.command_path} has no option {word}"
            if takes_value[option] and not equals:
                next(words, None)
        elif isinstance(command, click.Group):
            child = command.get_command(ctx, word)
            if child is None:
                return f"{ctx.command_path} has no command {word!r}"
            command, ctx = child, click.Context(child, info_name=word, parent=ctx)
            takes_value |= _options(child, ctx)
    return None


def _options(command: click.Command, ctx: click.Context) -> dict[str, bool]:
    """Every spelling of a command's options, and whether the next word is its value."""
    found = [option for option in command.get_params(ctx) if isinstance(option, click.Option)]
    valued = {name: not (o.is_flag or o.count) for o in found for name in (*o.opts, *o.secondary_opts)}
    return {**dict.fromkeys(ctx.help_option_names, False), **valued}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    assert [found for text in commands(page) if (found := fault(text))] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fedreg inventory --versions -o wide", None),
        ("fedreg --config x.yaml config show", None),
        ("fedreg inventroy", "fedreg has no command 'inventroy'"),
        ("fedreg copy a:b c:d --dry", "fedreg copy has no option --dry"),
        ("fedreg store mend", "fedreg store has no command 'mend'"),
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str, expected: str | None) -> None:
    assert fault(text) == expected


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [line for _, block in FENCE.findall(page.read_text()) for line in block.splitlines()]
    named = {
        found[1] for text in (*marked(page), *lines) if (found := re.match(r"(?:\$ )?(?:\w+=\S+ )?make ([a-z]+)", text))
    }
    assert named <= targets


def blocks(language: str) -> list[str]:
    """The README's blocks of a language."""
    return [block for found, block in FENCE.findall((ROOT / "README.md").read_text()) if found == language]


def test_the_tour_of_the_readme_is_the_demo() -> None:
    shown = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ fedreg ")]
    assert shown
    assert set(shown) <= {command for _, command in STEPS}


def test_the_configuration_of_the_readme_loads(tmp_path: Path) -> None:
    [example] = blocks("yaml")
    file = tmp_path / "fedreg.yaml"
    file.write_text(example)
    settings = load_settings(file, {"MLFLOW_TRACKING_URI": "http://mlflow:5000"})
    assert settings.registries.keys() == {"mlflow-prod", "sm-eu"}


# -- names of code --------------------------------------------------------------------------------------


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute (of an attribute) of one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_modules_and_paths_exist(page: Path) -> None:
    names = marked(page)
    gone = [name for name in names if DOTTED.fullmatch(name) and not name.endswith((".db", ".yaml", ".adapters"))]
    assert [name for name in gone if not exists(name)] == []
    assert [name for name in names if PATH.fullmatch(name) and not (ROOT / name).exists()] == []


def test_every_folder_stands_on_the_page_about_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {
        init.parent
        for root in ("gateway/fedreg", "adapters/fedreg_adapters")
        for init in (ROOT / root).glob("*/__init__.py")
    }
    folders = {*packages, *(test for test in (ROOT / "tests").iterdir() if any(test.glob("**/test_*.py")))}
    assert [name for folder in sorted(folders) if f"`{(name := name_of(folder))}`" not in text] == []


# -- dependencies, releases -----------------------------------------------------------------------------


def canonical(requirement: str) -> str:
    """The normalized name of a distribution (PEP 503), of a requirement or a pin."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def declared() -> set[str]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return {canonical(text) for group in groups for text in group} - {"fedreg"}


def test_every_dependency_has_its_reason() -> None:
    reasons = re.findall(r"^\| `([\w.-]+)` \| (.+) \|$", ADR.read_text(), re.MULTILINE)
    assert sorted(canonical(name) for name, _ in reasons) == sorted(declared())
    assert [name for name, why in reasons if len(why) < 10] == []


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+!]+", line)] == []
    assert declared() - {canonical(line) for line in lines} == set()


def test_the_version_has_its_entry_in_the_changelog() -> None:
    assert re.search(
        rf"^## {re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
