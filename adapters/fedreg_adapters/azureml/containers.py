"""Model containers: models, their tags, and the aliases among them."""

from __future__ import annotations

import asyncio
import secrets
from weakref import WeakValueDictionary

from fedreg.domain.calls import Effect
from fedreg.domain.errors import AlreadyExists, InvalidRequest, NotFound
from fedreg.domain.models import ModelDraft
from fedreg_adapters.azureml.client import ALL, JSON, Client
from fedreg_adapters.azureml.edits import Edit
from fedreg_adapters.azureml.manifest import CODEC
from fedreg_adapters.azureml.mapping import KEY, NAME, extras_of, properties_of, tags_of
from fedreg_adapters.azureml.operations import settle


class Containers:
    """The containers of one workspace or registry."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, native: str) -> asyncio.Lock:
        """Held while a container or a version of it is read and written back: there is no conditional write."""
        return self._locks.setdefault(native, asyncio.Lock())

    async def get(self, native: str) -> JSON:
        """Raises NotFound."""
        found = (await self._client.call("get_model", "GET", f"models/{native}")).body
        if not isinstance(found.get("name"), str):
            raise self._client.nonsense("get_model", "a model without a name")
        if found["name"] != native:
            raise NotFound(
                f"model {CODEC.decode(native)!r} does not exist", registry=self._client.registry, operation="get_model"
            )
        return found

    async def page(self, token: str | None, limit: int) -> tuple[list[JSON], str | None]:
        """A page, archived ones included."""
        return await self._client.slice("list_models", "models", token, limit, **ALL)

    async def create(self, draft: ModelDraft) -> JSON:
        """Raises AlreadyExists. A PUT over a container is an update: an append-only property tells whose it is."""
        native = CODEC.encode(draft.name)
        taken = AlreadyExists(
            f"model {draft.name!r} exists already", registry=self._client.registry, operation="create_model"
        )
        mark = secrets.token_hex(16)
        async with self.lock(native):
            if await self._is_taken(native):
                raise taken
            tags = dict(draft.tags) if draft.name == native else {**draft.tags, NAME: draft.name}
            inner: JSON = {"description": draft.description or "", "tags": tags, "properties": {KEY: mark}}
            try:
                await self._put("create_model", native, {**inner, "isArchived": False})
            except InvalidRequest:
                if await self.find(native) is not None:  # its properties are another's
                    raise taken from None
                raise
            made = await self.get(native)
        if extras_of(made).get(KEY, mark) != mark:
            raise taken
        return made

    async def _is_taken(self, native: str) -> bool:
        """Whether anything answers to the name, a name that differs in case included: a PUT would change that."""
        try:
            await self._client.call("get_model", "GET", f"models/{native}")
        except NotFound:
            return False
        return True

    async def find(self, native: str) -> JSON | None:
        """The container, None where there is none."""
        try:
            return await self.get(native)
        except NotFound:
            return None

    async def change(self, operation: str, native: str, edit: Edit) -> JSON:
        """Read, edit properties and tags, write back; nothing is sent where nothing changed. Raises NotFound."""
        async with self.lock(native):
            before = await self.get(native)
            inner, tags = dict(properties_of(before)), tags_of(before)
            edit(inner, tags)
            if inner != properties_of(before) or tags != tags_of(before):
                kept = {name: inner.get(name) for name in ("description", "properties", "isArchived")}
                await self._put(operation, native, {**kept, "tags": tags})
                return await self.get(native)
            return before

    async def delete(self, native: str) -> None:
        await self._client.call("delete_model", "DELETE", f"models/{native}", Effect.WRITE)

    async def _put(self, operation: str, native: str, inner: JSON) -> None:
        answer = await self._client.call(
            operation, "PUT", f"models/{native}", Effect.IDEMPOTENT, body={"properties": inner}
        )
        await settle(self._client, operation, answer)
