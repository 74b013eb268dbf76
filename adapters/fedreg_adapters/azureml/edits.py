"""Edits of what was read, before it is written back whole: tags, descriptions, decisions, stages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from fedreg.domain.errors import NotFound, PreconditionFailed
from fedreg.domain.stages import Approval
from fedreg_adapters.azureml.mapping import ALIAS, APPROVAL, COMMENT, approval_tags
from fedreg_adapters.azureml.stages import Stages

JSON = dict[str, Any]
Tags = dict[str, str]
Edit = Callable[[JSON, Tags], None]


def edit_tags(tags: Mapping[str, str], remove: Collection[str] = ()) -> Edit:
    """Set tags and remove others."""

    def edit(inner: JSON, held: Tags) -> None:
        _replace(held, {**{key: value for key, value in held.items() if key not in remove}, **tags})

    return edit


def edit_description(description: str) -> Edit:
    """Set the description."""

    def edit(inner: JSON, held: Tags) -> None:
        inner["description"] = description

    return edit


def drop_alias(model: str, alias: str, registry: str) -> Edit:
    """Remove an alias. NotFound where it is not set."""

    def edit(inner: JSON, held: Tags) -> None:
        if held.pop(ALIAS + alias, None) is None:
            raise NotFound(f"alias {alias!r} of model {model!r} does not exist", registry=registry)

    return edit


def edit_approval(decision: Approval, comment: str | None) -> Edit:
    """Set a decision and its comment; both go with `none`."""

    def edit(inner: JSON, held: Tags) -> None:
        kept = {key: value for key, value in held.items() if key not in (APPROVAL, COMMENT)}
        _replace(held, {**kept, **approval_tags(decision, comment)})

    return edit


def edit_stage(stages: Stages, stage: str, expected: str | None, registry: str, *, plain: bool) -> Edit:
    """Set a stage. PreconditionFailed where the one that was read is not the expected one."""

    def edit(inner: JSON, held: Tags) -> None:
        live, _ = stages.read(inner, held)
        if expected is not None and live != expected:
            raise PreconditionFailed(
                f"stage is {live!r}, not {expected!r}", registry=registry, cure="read it again and decide anew"
            )
        changed = stages.write(stage, inner, held, plain=plain)
        _replace(held, changed.pop("tags"))
        inner.update(changed)

    return edit


def _replace(held: Tags, tags: Mapping[str, str]) -> None:
    held.clear()
    held.update(tags)
