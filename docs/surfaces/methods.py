"""The methods of the Python interface, their parameters, and values to try them with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fedreg.client import interface
from fedreg.domain.links import Link
from fedreg.domain.migrations import Carried, MigrationOptions, PlannedVersion
from fedreg.domain.records import IntentKind, IntentState, InventoryQuery
from fedreg.domain.stages import Approval
from fedreg.domain.webhooks import DeliveryState

METHODS: dict[str, Callable[..., Any]] = {
    name: method
    for name, method in vars(interface.Client).items()
    if not name.startswith("_") and inspect.isfunction(method)
}
GROUPS: dict[str, type[Any]] = {"InventoryQuery": InventoryQuery, "MigrationOptions | None": MigrationOptions}
_OTHER = Link(members=("left:churn", "right:churn"), authority="right")
_ROW = PlannedVersion(source="left:churn@version:1", target="right:churn")
# annotation -> two values that differ; of those, one that is not the default is tried
SAMPLES: dict[str, tuple[Any, Any]] = {
    "Ref | str": ("left:churn@version:1", "right:leavers@version:2"),
    "str": ("left", "right"),
    "str | None": ("left", "right"),
    "str | Collection[str]": (("left",), ("right",)),
    "bool": (False, True),
    "int": (7, 8),
    "int | None": (7, 8),
    "float": (7.0, 8.0),
    "Approval | str": (Approval.APPROVED, Approval.REJECTED),
    "Collection[DeliveryState]": ((DeliveryState.DEAD,), (DeliveryState.WAITING,)),
    "Collection[IntentKind]": ((IntentKind.COPY,), (IntentKind.MIGRATION,)),
    "Collection[IntentState]": ((IntentState.RUNNING,), (IntentState.FAILED,)),
    "Collection[str]": (("left",), ("right",)),
    "Iterable[str] | None": (("left",), ("right",)),
    "Link": (Link(members=("left:churn", "right:churn"), authority="left"), _OTHER),
    "Mapping[str, float] | None": ({"key": 1.0}, {"key": 2.0}),
    "Mapping[str, str]": ({"key": "left"}, {"key": "right"}),
    "Mapping[str, str] | None": ({"key": "left"}, {"key": "right"}),
    "Path | str": ("left", "right"),
    "Progress | None": (print, None),
    "Sequence[PlannedVersion] | None": ((_ROW,), None),
    "datetime | None": (datetime(2026, 1, 1, tzinfo=UTC), None),
    "timedelta | None": (timedelta(hours=1), None),
    "tuple[Carried, ...]": ((Carried.STAGES,), (Carried.ALIASES,)),
    "tuple[str, ...]": (("left",), ("right",)),
    "tuple[str, str] | None": (("key", "left"), None),
}
# a reference with a selector is refused by these
OF_MODELS = dict.fromkeys(("create_model", "create_version"), ("left:churn", "right:leavers"))


def list_parameters(method: str) -> list[str]:
    """A method's parameters; of a group of options its fields."""
    found = []
    for name, annotation in _annotations(method).items():
        found += [field.name for field in fields(GROUPS[annotation])] if annotation in GROUPS else [name]
    return found


def base_of(method: str) -> dict[str, Any]:
    """Arguments to call a method with: samples where they are required, else the defaults."""
    parameters = inspect.signature(METHODS[method]).parameters
    base = {}
    for name, annotation in _annotations(method).items():
        default = parameters[name].default
        if annotation in GROUPS:
            base[name] = GROUPS[annotation]()
        else:
            base[name] = _samples(method, annotation)[0] if default is inspect.Parameter.empty else default
    return base


def changes_of(method: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each parameter, or field of a group, with the arguments of `base_of` where it alone has another value."""
    base = base_of(method)
    for name, annotation in _annotations(method).items():
        if annotation not in GROUPS:
            yield name, {**base, name: _other(_samples(method, annotation), base[name])}
            continue
        for field in fields(GROUPS[annotation]):
            value = _other(_samples(method, str(field.type)), getattr(base[name], field.name))
            yield field.name, {**base, name: replace(base[name], **{field.name: value})}


def _annotations(method: str) -> dict[str, str]:
    parameters = inspect.signature(METHODS[method]).parameters
    return {name: parameter.annotation for name, parameter in parameters.items() if name != "self"}


def _samples(method: str, annotation: str) -> tuple[Any, Any]:
    if annotation == "Ref | str" and method in OF_MODELS:
        return OF_MODELS[method]
    if annotation not in SAMPLES:
        raise LookupError(f"{method}: docs/surfaces/methods.py has no samples of {annotation!r}")
    return SAMPLES[annotation]


def _other(pair: tuple[Any, Any], than: Any) -> Any:
    return pair[1] if pair[0] == than else pair[0]
