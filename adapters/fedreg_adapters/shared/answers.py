"""Answers of another shape than the vendor documents: never an error of the language, always the domain's."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fedreg.domain.errors import Outcome, RegistryError
from fedreg.domain.port import RegistryAdapter

# What Python raises where a key is missing, a null is read as an object or a text as a number.
MISREAD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
CURE = "check that the address is the registry's own, without a proxy that answers for it; else its API has changed"
# Port methods that make something of answers. put_file is not: errors of its source are the caller's.
_READING = (
    *("ping", "list_models", "get_model", "list_versions", "get_version", "scan", "find_version"),
    *("create_model", "update_model", "delete_model", "create_version", "update_version", "delete_version"),
    *("begin_upload", "finish", "poll", "abort", "set_stage", "set_alias", "delete_alias", "set_approval"),
    *("set_model_tags", "set_version_tags", "list_files", "copy_native", "lineage", "deployments"),
)
Adapter = TypeVar("Adapter", bound=type[RegistryAdapter])


def tells_misread_answers(adapter: Adapter) -> Adapter:
    """Make the port methods of an adapter raise RegistryError, outcome unknown, for an answer they could not read.

    What the misreading was stays as the error's cause.
    """
    for name in _READING:
        if name in vars(adapter):
            setattr(adapter, name, _telling(name, vars(adapter)[name]))
    return adapter


def misread(error: Exception, registry: str, operation: str) -> RegistryError:
    """The domain's error for one of MISREAD. The answer itself is not quoted."""
    return RegistryError(
        f"{operation}: an answer of another shape than documented ({type(error).__name__})",
        registry=registry,
        operation=operation,
        outcome=Outcome.UNKNOWN,
        cure=CURE,
    )


def _telling(name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def read(self: RegistryAdapter, *args: Any, **kwargs: Any) -> Any:
        try:
            return await method(self, *args, **kwargs)
        except MISREAD as error:
            raise misread(error, self.registry, name) from error

    return read
