"""Branches and tags of a repository: what versions, stages and aliases are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from fedreg.domain.calls import Effect
from fedreg.domain.errors import NotFound, RegistryError
from fedreg_adapters.huggingface.client import Client
from fedreg_adapters.huggingface.manifest import OWN

MAIN = "main"
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Refs:
    """Name -> commit. `branches` leaves out nothing: `main` and branches of uploads are in it."""

    branches: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def pointers(self) -> dict[str, str]:
        """The branches that may be stages and aliases."""
        return {name: sha for name, sha in self.branches.items() if name != MAIN and not name.startswith(OWN)}

    def tags_at(self, sha: str) -> list[str]:
        """The tags of a commit, in the order of versions."""
        return sorted((name for name, at in self.tags.items() if at == sha), key=order_of)


def order_of(version: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts `v2` before `v10`, and commits without a tag last."""
    parts = re.split(r"([0-9]+)", version)
    return [(COMMIT.fullmatch(version) is not None, int(p) if p.isdecimal() else -1, p) for p in parts], version


class RefStore:
    """Reads and moves refs."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, native: str, operation: str = "list_refs") -> Refs:
        """The refs of a repository. Raises NotFound."""
        answer = await self._client.get(operation, f"{self._client.repo(native)}/refs")
        try:
            return Refs(*({item["name"]: item["targetCommit"] for item in answer[key]} for key in ("branches", "tags")))
        except (KeyError, TypeError):
            raise RegistryError(
                f"{operation}: the Hub's list of refs is malformed", registry=self._client.registry, operation=operation
            ) from None

    async def move_branch(self, native: str, branch: str, sha: str, operation: str) -> None:
        """Point a branch at a commit, making or moving it in one call."""
        body = {"startingPoint": sha, "overwrite": True}
        await self._write(operation, "POST", f"{self._branch(native, branch)}", body)

    async def create_empty_branch(self, native: str, branch: str, operation: str) -> None:
        """Make a branch without files. Raises AlreadyExists."""
        await self._write(operation, "POST", self._branch(native, branch), {"emptyBranch": True})

    async def delete_branch(self, native: str, branch: str, operation: str) -> None:
        """Remove a branch; one that is gone is fine."""
        try:
            await self._write(operation, "DELETE", self._branch(native, branch), None)
        except NotFound as error:
            if error.upstream_code == "RepoNotFound":
                raise

    async def create_tag(self, native: str, tag: str, sha: str, operation: str) -> None:
        """Tag a commit. Raises AlreadyExists: tags do not move."""
        await self._write(operation, "POST", f"{self._client.repo(native)}/tag/{sha}", {"tag": tag})

    async def delete_tag(self, native: str, tag: str, operation: str) -> None:
        """Remove a tag; one that is gone is fine."""
        try:
            await self._write(operation, "DELETE", f"{self._client.repo(native)}/tag/{quote(tag, safe='')}", None)
        except NotFound as error:
            if error.upstream_code == "RepoNotFound":
                raise

    def _branch(self, native: str, branch: str) -> str:
        return f"{self._client.repo(native)}/branch/{quote(branch, safe='')}"

    async def _write(self, operation: str, method: str, path: str, body: object) -> None:
        """Each of these is the same done twice: names and commits are given."""
        await self._client.send(operation, method, path, body=body, effect=Effect.IDEMPOTENT)
