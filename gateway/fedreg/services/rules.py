"""Rules of a gate: conditions in CEL (https://cel.dev), which can't loop, write, or reach anything but its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cel
import msgspec

from fedreg.domain.errors import FedregError, InvalidRequest
from fedreg.domain.links import Link, Rule
from fedreg.domain.models import Version
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.promotions import RuleOutcome
from fedreg.domain.records import Actor


def check_rules(link: Link) -> None:
    """InvalidRequest for a rule of the link that is no CEL expression."""
    for rule in link.asked.rules if link.asked else ():
        try:
            cel.compile(rule.expression)
        except ValueError as error:
            raise InvalidRequest(
                f"rule {rule.name!r}: {_first_line(error)}", cure="see https://cel.dev for the language"
            ) from error


def evaluate(rule: Rule, inputs: Mapping[str, Any]) -> RuleOutcome:
    """Whether a rule holds. One that can't be evaluated, or gives no truth value, does not."""
    try:
        value = cel.evaluate(rule.expression, dict(inputs))
    except (ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        told = f"no such key: {error}" if isinstance(error, KeyError) else _first_line(error)
        return RuleOutcome(name=rule.name, expression=rule.expression, holds=False, error=told)
    wrong = None if isinstance(value, bool) else f"it gives {value!r}, not true or false"
    return RuleOutcome(name=rule.name, expression=rule.expression, holds=value is True, error=wrong)


async def list_inputs(adapter: RegistryAdapter, version: Version, *, to: str, actor: Actor) -> dict[str, Any]:
    """What rules see, as JSON values: `version`, `model`, `files`, `source`, `to` and `actor`.

    `files` is a list of path, size and sha256, or null where the registry does not tell.
    """
    shown = msgspec.to_builtins(version)
    return {
        "version": {name: value for name, value in shown.items() if name not in ("registry", "model")},
        "model": version.model,
        "source": version.registry,
        "files": await _list_files(adapter, version),
        "to": to,
        "actor": actor.subject,
    }


async def _list_files(adapter: RegistryAdapter, version: Version) -> list[dict[str, Any]] | None:
    try:
        return [msgspec.to_builtins(entry) for entry in await adapter.list_files(version.model, version.version)]
    except FedregError as error:
        if error.retryable:
            raise
        return None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
