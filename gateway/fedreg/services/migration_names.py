"""Names at the target: exact ones, globs and templates; two sources never share one."""

from __future__ import annotations

import string
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from fedreg.domain.capabilities import Capabilities, check_length
from fedreg.domain.errors import InvalidRequest

FIELD = "model"
_GLOB = frozenset("*?[")


def check_names(names: Mapping[str, str]) -> None:
    """InvalidRequest for an empty name, and for a template with another field than `{model}`."""
    for source, target in names.items():
        if not source or not target:
            raise InvalidRequest(f"map: {source!r}: {target!r} has an empty name", cure="write `source: target`")
        render(target, FIELD, source)


def map_names(sources: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """Source name -> target name. An exact entry beats globs, of which the first that matches counts.

    Raises InvalidRequest where two sources get one name.
    """
    globs = [(pattern, target) for pattern, target in names.items() if _GLOB & set(pattern)]
    mapped: dict[str, str] = {}
    owners: dict[str, str] = {}
    for source in sources:
        template = names.get(source)
        if template is None:
            template = next((target for pattern, target in globs if fnmatchcase(source, pattern)), None)
        target = source if template is None else render(template, source, source)
        if target in owners:
            raise InvalidRequest(
                f"map: models {owners[target]!r} and {source!r} would both become {target!r}",
                cure="give one of them another name with --map",
            )
        owners[target] = source
        mapped[source] = target
    return mapped


def check_known(names: Mapping[str, str], sources: Collection[str], *, registry: str) -> None:
    """InvalidRequest for an entry that fits no model: what a misspelt one means would silently keep its old name."""
    for source in names:
        if sources and not _fits_any(source, sources):
            raise InvalidRequest(
                f"map: registry {registry!r} has no model {source!r}", cure="correct the name, or take the line out"
            )


def choose(globs: Sequence[str], sources: Collection[str]) -> list[str]:
    """The sources that match any of the globs, all without globs; sorted."""
    return sorted(name for name in sources if not globs or any(fnmatchcase(name, glob) for glob in globs))


def check_globs(globs: Sequence[str], sources: Collection[str], *, registry: str) -> None:
    """InvalidRequest for a glob that matches nothing: its models would silently stay behind."""
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in sources):
            raise InvalidRequest(
                f"models: no model of registry {registry!r} matches {glob!r}",
                cure="correct it; `fedreg inventory` shows the names",
            )


def check_target(name: str, capabilities: Capabilities, *, registry: str) -> None:
    """InvalidRequest for a name that the target can't have."""
    if not name:
        raise InvalidRequest("target name '' is empty", cure="give a name of at least one character")
    check_length(f"target name {name[:40]!r}", name, capabilities.limits.model_name, registry)


def render(template: str, model: str, source: str) -> str:
    """A template with `{model}` filled in. InvalidRequest for any other field, naming the line's source."""
    try:
        parsed = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
        if all(part == (FIELD, "", None) for part in parsed):
            return template.format_map({FIELD: model})
        wrong = next(f"field {field!r}" for field, *how in parsed if (field, *how) != (FIELD, "", None))
    except (ValueError, LookupError, AttributeError) as error:
        wrong = str(error)
    raise InvalidRequest(
        f"map: {source!r}: template {template!r}: {wrong}", cure="the only field is {model}; write {{ for a brace"
    )


def _fits_any(entry: str, sources: Collection[str]) -> bool:
    return entry in sources or (bool(_GLOB & set(entry)) and any(fnmatchcase(name, entry) for name in sources))
