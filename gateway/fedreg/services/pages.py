"""Walking pages without ever looping."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from fedreg.domain.errors import RegistryError
from fedreg.domain.models import Item, Model, ModelQuery, Page, PageRequest, Version
from fedreg.domain.port import RegistryAdapter

PAGE_SIZE = 100


async def walk(fetch: Callable[[PageRequest], Awaitable[Page[Item]]], *, registry: str) -> AsyncIterator[Item]:
    """Every item of every page. RegistryError where a page token comes twice."""
    seen: set[str] = set()
    request = PageRequest(limit=PAGE_SIZE)
    while True:
        page = await fetch(request)
        for item in page.items:
            yield item
        token = page.next_token
        if token is None:
            return
        if token in seen:
            raise RegistryError(
                "the registry repeats a page token, the list would never end",
                registry=registry,
                cure="report it to the registry's operator; nothing was changed",
            )
        seen.add(token)
        request = PageRequest(limit=PAGE_SIZE, token=token)


def walk_models(adapter: RegistryAdapter) -> AsyncIterator[Model]:
    """All models of a registry."""
    return walk(lambda page: adapter.list_models(ModelQuery(page=page)), registry=adapter.registry)


def walk_versions(adapter: RegistryAdapter, model: str) -> AsyncIterator[Version]:
    """All versions of a model."""
    return walk(lambda page: adapter.list_versions(model, page), registry=adapter.registry)
