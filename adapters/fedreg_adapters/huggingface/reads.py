"""Repositories and versions, read live: refs first, then what the Hub says of each commit."""

from __future__ import annotations

import asyncio

from fedreg.domain.errors import NotFound, RegistryAuthError, RegistryError
from fedreg.domain.models import Model, Version
from fedreg_adapters.huggingface.client import Client, Json
from fedreg_adapters.huggingface.errors import GATED
from fedreg_adapters.huggingface.history import History
from fedreg_adapters.huggingface.mapping import Shapes
from fedreg_adapters.huggingface.refs import COMMIT, Refs, RefStore, order_of
from fedreg_adapters.huggingface.spelling import native_of


class Reads:
    """Reads one namespace."""

    def __init__(self, client: Client, refs: RefStore, history: History, shapes: Shapes) -> None:
        self._client, self._refs, self._history, self._shapes = client, refs, history, shapes

    async def repos(
        self, operation: str, cursor: str | None, limit: int
    ) -> tuple[list[tuple[Model, Refs]], str | None]:
        """A page of repositories with their refs, and the cursor of the next."""
        query = self.listing(limit) | ({"cursor": cursor} if cursor else {})
        items, following = await self._client.page(operation, "/api/models", query)
        refs = await asyncio.gather(*(self._refs_if_there(self._native(item, operation)) for item in items))
        found = [(self._shapes.to_model(item, at), at) for item, at in zip(items, refs, strict=True) if at is not None]
        return found, None if following is None else following.get("cursor")

    def listing(self, limit: int) -> dict[str, str]:
        """The query of a list of the namespace's repositories."""
        return {"author": self._client.options.namespace, "limit": str(limit), "full": "true"}

    async def model(self, name: str) -> Model:
        native = native_of(name)
        info = await self._client.get("get_model", self._client.repo(native))
        self._native(info, "get_model")
        return self._shapes.to_model(info, await self._refs_of(native))

    def versions_of(self, refs: Refs) -> list[str]:
        """Tags in the order of versions, then commits without a tag that stages have drifted to."""
        return sorted([*refs.tags, *self._shapes.drifted(refs)], key=order_of)

    async def version(self, model: str, native: str, version: str, refs: Refs) -> Version:
        """A tag, or a commit given by its id. Raises NotFound."""
        sha = self.sha_of(model, version, refs)
        path = f"{self._client.repo(native)}/revision/{sha}"
        commit, info = await asyncio.gather(
            self._history.get(native, sha), self._client.get("get_version", path, {"securityStatus": "true"})
        )
        return self._shapes.to_version(model, native, version, commit, info, refs)

    async def versions(self, model: str, native: str, names: list[str], refs: Refs) -> list[Version]:
        return list(await asyncio.gather(*(self.version(model, native, name, refs) for name in names)))

    async def commit_of(self, model: str, version: str, operation: str) -> tuple[str, str]:
        """The repository and commit of a version."""
        native = native_of(model)
        return native, self.sha_of(model, version, await self._refs.read(native, operation))

    def sha_of(self, model: str, version: str, refs: Refs) -> str:
        """The commit of a tag, or one given by its id. NotFound for anything else, a branch included."""
        if version in refs.tags:
            return refs.tags[version]
        if COMMIT.fullmatch(version):
            return version
        raise NotFound(
            f"version {version!r} of model {model!r} does not exist",
            registry=self._client.registry,
            cure="versions are the repository's tags, or full commit ids; branches are aliases and stages",
        )

    def _native(self, item: Json, operation: str) -> str:
        namespace = self._client.options.namespace
        owner, _, native = str(item.get("id", "")).partition("/")
        if owner.lower() != namespace.lower() or not native:
            raise RegistryError(
                f"{operation}: the Hub names {str(item.get('id'))[:120]!r} among the repositories of {namespace!r}",
                registry=self._client.registry,
                operation=operation,
            )
        return native

    async def _refs_of(self, native: str) -> Refs:
        """The refs; none where the repository is gated and has not let us in."""
        try:
            return await self._refs.read(native)
        except RegistryAuthError as error:
            if error.upstream_code != GATED:
                raise
            return Refs()

    async def _refs_if_there(self, native: str) -> Refs | None:
        try:
            return await self._refs_of(native)
        except NotFound:  # deleted since it was listed
            return None
