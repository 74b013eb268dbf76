"""The Dockerfile, read strictly and carried out below a folder, where no container can run.

Only what this Dockerfile uses is understood; anything else is an error, so that no line is passed over.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# The folders that the image has of its own; the rest belongs to its base.
PLACES = re.compile(r"(?<![\w.])/(?=(?:src|dist|opt|etc/fedreg|var/lib/fedreg)\b)")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DECLARED = ("USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")
KNOWN = frozenset({"FROM", "ENV", "WORKDIR", "COPY", "RUN", *DECLARED})


@dataclass
class Stage:
    """The lines from one FROM to the next, and what they amount to. Paths are those of the image."""

    base: str
    name: str | None
    steps: list[tuple[str, str]] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"

    def get(self, word: str) -> str:
        """The one line of an instruction."""
        (rest,) = (rest for found, rest in self.steps if found == word)
        return rest

    def get_command(self, word: str) -> list[str]:
        """The words of a line in its JSON form, which no shell takes apart."""
        rest = self.get(word)
        command: list[str] = json.loads(rest[rest.index("[") :])
        return command


def read_stages(dockerfile: Path) -> list[Stage]:
    """The stages in order. ValueError for an instruction that is not known."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    stages: list[Stage] = []
    for line in filter(None, re.sub(r"\\\n\s*", "", text).splitlines()):
        word, _, rest = line.partition(" ")
        if word not in KNOWN:
            raise ValueError(f"{dockerfile.name}: {line!r} is not understood here")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name or None))
            continue
        stages[-1].steps.append((word, rest))
        if word == "ENV":
            stages[-1].env |= _read_env(rest)
        elif word == "WORKDIR":
            stages[-1].workdir = rest
    return stages


def relocate(text: str, root: Path) -> str:
    """The text with the image's own folders below `root`."""
    return PLACES.sub(f"{root}/", text)


def build(stage: Stage, context: Path, root: Path, env: Mapping[str, str]) -> None:
    """Carry out the COPY and RUN lines of a stage below `root`. `env` is the machine's own, for its package index."""
    place = Path(relocate(stage.workdir, root))
    place.mkdir(parents=True)
    variables = {name: relocate(value, root) for name, value in stage.env.items()}
    for word, rest in stage.steps:
        if word == "COPY":
            _copy(context, rest.split(), place)
        elif word == "RUN":
            done = subprocess.run(
                ["sh", "-c", relocate(rest, root)],
                cwd=place,
                env={**env, **variables},
                umask=0o022,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"RUN {rest}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def _copy(context: Path, words: list[str], place: Path) -> None:
    """COPY from the build's context, which holds what .dockerignore lets through."""
    *sources, target = words
    let_through = (context / ".dockerignore").read_text().splitlines()
    for source in sources:
        assert f"!{source}" in let_through, f".dockerignore keeps {source} from the build"
        if (context / source).is_dir():
            shutil.copytree(context / source, place / target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(context / source, place / target)


def _read_env(rest: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in shlex.split(rest))
    return {name: value.replace("$PATH", SYSTEM_PATH) for name, _, value in pairs}
