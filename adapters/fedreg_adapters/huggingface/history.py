"""Commits: by id, by the key that they carry, and the recent ones. What a commit says never changes: it is kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from urllib.parse import quote

from fedreg.domain.errors import NotFound, RegistryError
from fedreg_adapters.huggingface.client import Client
from fedreg_adapters.huggingface.mapping import CommitInfo, Json
from fedreg_adapters.huggingface.refs import MAIN, Refs

_KEPT = 20_000
_PAGE = "50"


class History:
    """Reads commits of one registry's repositories."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: OrderedDict[tuple[str, str], CommitInfo] = OrderedDict()

    async def get(self, native: str, sha: str) -> CommitInfo:
        """A commit. Raises NotFound."""
        known = self._known.get((native, sha))
        if known is not None:
            return known
        items, _ = await self._client.page("get_commit", self._path(native, sha), {"limit": "1"})
        found = next(iter(self._keep(native, items)), None)
        if found is None or found.sha != sha:
            raise NotFound(f"commit {sha} does not exist", registry=self._client.registry, operation="get_commit")
        return found

    async def find(self, native: str, key: str, refs: Refs) -> list[CommitInfo]:
        """The commits that carry a key, oldest first: those of `main`, read to its end, and tagged ones beside it."""
        found, seen = list[CommitInfo](), set[str]()
        async for commits in self._pages(native, MAIN):
            seen.update(commit.sha for commit in commits)
            found += [commit for commit in commits if commit.carries(key)]
        beside = [await self.get(native, sha) for sha in sorted(set(refs.tags.values()) - seen)]
        return [commit for commit in beside if commit.carries(key)] + found[::-1]

    async def recent(self, native: str) -> list[CommitInfo]:
        """The newest commits of `main`, one page of them."""
        items, _ = await self._client.page("list_commits", self._path(native, MAIN), {"limit": _PAGE})
        return self._keep(native, items)

    async def _pages(self, native: str, revision: str) -> AsyncIterator[list[CommitInfo]]:
        async for items in self._client.pages("list_commits", self._path(native, revision), {"limit": _PAGE}):
            yield self._keep(native, items)

    def _path(self, native: str, revision: str) -> str:
        return f"{self._client.repo(native)}/commits/{quote(revision, safe='')}"

    def _keep(self, native: str, items: list[Json]) -> list[CommitInfo]:
        try:
            found = [CommitInfo.of(item) for item in items]
        except (KeyError, TypeError, AttributeError):
            raise RegistryError(
                "list_commits: the Hub's list of commits is malformed",
                registry=self._client.registry,
                operation="list_commits",
            ) from None
        for commit in found:
            self._known[native, commit.sha] = commit
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found
