"""The adapter port: what fedreg asks of a registry.

`RegistryAdapter` has a refusal for every optional operation, so that an adapter writes only what its
registry can do and declares exactly that in `capabilities`. Every vendor request inside goes through the
injected `Calls`; an adapter holds no rate, retry or breaker of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from fedreg.domain.calls import Calls
from fedreg.domain.capabilities import Capabilities, Operation, unsupported
from fedreg.domain.lineage import Edge
from fedreg.domain.models import (
    Batch,
    Deployment,
    FileEntry,
    FileReceipt,
    FileSource,
    Finding,
    Handshake,
    Model,
    ModelDraft,
    ModelQuery,
    Page,
    PageRequest,
    Pending,
    RegistryEvent,
    UploadState,
    Version,
    VersionDraft,
    VersionId,
)
from fedreg.domain.names import NameCodec
from fedreg.domain.stages import Approval

NO_QUERY: Mapping[str, str] = MappingProxyType({})


class RegistryAdapter(ABC):
    """One configured registry.

    Errors raised by every method: NotFound, InvalidRequest, RateLimited, RegistryAuthError, RegistryError,
    RegistryUnavailable, RegistryTimeout. A method says what else it raises. Names and versions are unified.
    """

    def __init__(self, registry: str, options: Any, calls: Calls) -> None:
        """`registry` is the configured name, `options` an instance of the manifest's options dataclass."""
        self.registry = registry
        self.calls = calls

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """The manifest's ceiling, narrowed by `open()` to what this registry allows."""

    # -- life ------------------------------------------------------------------------------------------

    @abstractmethod
    async def open(self) -> None:
        """Connect lazily and cheaply; probe by behaviour what narrows the capabilities."""

    @abstractmethod
    async def aclose(self) -> None:
        """Release connections, threads and temporary files. Safe to call twice."""

    @abstractmethod
    async def ping(self) -> None:
        """One cheap authenticated read; raises what went wrong."""

    @abstractmethod
    async def diagnose(self) -> list[Finding]:
        """Address, credentials and each permission, one finding each, with a cure. Never raises."""

    # -- reading ---------------------------------------------------------------------------------------

    @abstractmethod
    async def list_models(self, query: ModelQuery) -> Page[Model]:
        """A page of models, in a stable order. A token that repeats is a RegistryError, never a loop."""

    @abstractmethod
    async def get_model(self, name: str) -> Model:
        """Raises NotFound."""

    @abstractmethod
    async def list_versions(self, model: str, page: PageRequest) -> Page[Version]:
        """A page of a model's versions, in a stable order. Raises NotFound for an unknown model."""

    @abstractmethod
    async def get_version(self, model: str, version: str) -> Version:
        """Raises NotFound."""

    @abstractmethod
    async def scan(self, cursor: str | None) -> Batch:
        """Everything, page by page; `cursor` of an earlier batch resumes there.

        The cursor of a complete batch, given back later, asks for what changed since, where
        `scan_incremental` is declared; else it starts over with a full scan.
        """

    async def find_version(self, model: str, key: str) -> Version | None:
        """The version whose create carried this idempotency key, whatever its status. None where there is none."""
        raise unsupported(Operation.FIND_VERSION, registry=self.registry)

    # -- models ----------------------------------------------------------------------------------------

    async def create_model(self, draft: ModelDraft) -> Model:
        """Raises AlreadyExists. A field the registry can't hold is refused by name (Unsupported)."""
        raise unsupported(Operation.CREATE_MODEL, registry=self.registry)

    async def update_model(self, name: str, *, description: str) -> Model:
        """Set the description. Raises NotFound."""
        raise unsupported(Operation.UPDATE_MODEL, registry=self.registry)

    async def delete_model(self, name: str) -> None:
        """Raises NotFound; Conflict where the registry refuses because versions exist."""
        raise unsupported(Operation.DELETE_MODEL, registry=self.registry)

    # -- bytes in --------------------------------------------------------------------------------------

    async def begin_upload(self, draft: VersionDraft, key: str) -> UploadState:
        """Prepare an upload. The same key gives the same upload. No version is `ready` before `finish`."""
        raise unsupported(Operation.UPLOAD, registry=self.registry)

    async def put_file(self, state: UploadState, file: FileSource) -> FileReceipt:
        """Upload one file; sending it again replaces it. IntegrityError where size or sha256 do not match."""
        raise unsupported(Operation.UPLOAD, registry=self.registry)

    def open_uploaded(self, state: UploadState, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Read an uploaded file back before `finish`, so that corrupt bytes are never registered.

        Where `upload.readback` is not declared, a copy is read back after `finish` and removed if it differs.
        """
        raise unsupported(Operation.UPLOAD, registry=self.registry)

    async def finish(self, state: UploadState) -> Version | Pending:
        """Register what was uploaded, once: a second finish of the same state gives the same version."""
        raise unsupported(Operation.UPLOAD, registry=self.registry)

    async def poll(self, state: UploadState) -> Version | Pending:
        """Ask again after a Pending. Raises RegistryError where the registration failed."""
        raise unsupported(Operation.UPLOAD, registry=self.registry)

    async def abort(self, state: UploadState) -> None:
        """Remove what an upload left: bytes, half-made versions. Safe to repeat; never harms a ready version."""
        raise unsupported(Operation.UPLOAD, registry=self.registry)

    async def create_version(self, draft: VersionDraft, key: str) -> Version:
        """Register bytes already in place at `draft.source_uri`. The same key gives the same version."""
        raise unsupported(Operation.CREATE_VERSION, registry=self.registry)

    # -- changing --------------------------------------------------------------------------------------

    async def update_version(self, model: str, version: str, *, description: str) -> Version:
        """Set the description. Raises NotFound."""
        raise unsupported(Operation.UPDATE_VERSION, registry=self.registry)

    async def delete_version(self, model: str, version: str) -> None:
        """Raises NotFound."""
        raise unsupported(Operation.DELETE_VERSION, registry=self.registry)

    async def set_stage(self, target: VersionId, stage: str, expected: str | None = None) -> Version:
        """Give a version a stage (`none` takes it away) and return it as it is then.

        Sets this version only: demoting an earlier holder is the caller's effect, except where the holder
        is a pointer that moves. Raises PreconditionFailed where the live stage is not `expected` or the live
        identity is not the target's, Unsupported for a stage the registry can't hold.
        """
        raise unsupported(Operation.SET_STAGE, registry=self.registry)

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version, moving it where it exists. Raises NotFound; InvalidRequest: a stage pointer."""
        raise unsupported(Operation.SET_ALIAS, registry=self.registry)

    async def delete_alias(self, model: str, alias: str) -> None:
        """Raises NotFound where the alias is not set."""
        raise unsupported(Operation.DELETE_ALIAS, registry=self.registry)

    async def set_model_tags(self, model: str, tags: Mapping[str, str], remove: Collection[str] = ()) -> None:
        """Set and remove tags; others stay. Removing an absent one is fine. Raises NotFound, InvalidRequest."""
        raise unsupported(Operation.SET_MODEL_TAGS, registry=self.registry)

    async def set_version_tags(
        self, model: str, version: str, tags: Mapping[str, str], remove: Collection[str] = ()
    ) -> None:
        """As set_model_tags, on a version."""
        raise unsupported(Operation.SET_VERSION_TAGS, registry=self.registry)

    async def set_approval(self, target: VersionId, decision: Approval, comment: str | None = None) -> Version:
        """Record a decision. Unsupported for one the registry can't hold; PreconditionFailed on another identity."""
        raise unsupported(Operation.SET_APPROVAL, registry=self.registry)

    # -- bytes out -------------------------------------------------------------------------------------

    async def list_files(self, model: str, version: str) -> list[FileEntry]:
        """All files of a version, sorted by path; for an archive its members. Paths are checked (IntegrityError)."""
        raise unsupported(Operation.LIST_FILES, registry=self.registry)

    def open_file(self, model: str, version: str, file: FileEntry, offset: int = 0) -> AsyncIterator[bytes]:
        """The bytes of a file from `offset`, in chunks. IntegrityError where it ends short or has changed."""
        raise unsupported(Operation.OPEN_FILE, registry=self.registry)

    # -- beyond ----------------------------------------------------------------------------------------

    async def copy_native(self, source: VersionId, target_model: str, key: str) -> Version:
        """Copy a version within the registry, without moving bytes through the gateway."""
        raise unsupported(Operation.COPY_NATIVE, registry=self.registry)

    async def lineage(self, model: str, version: str) -> list[Edge]:
        """What the registry knows of a version's origin and use."""
        raise unsupported(Operation.LINEAGE, registry=self.registry)

    async def deployments(self, model: str, version: str) -> list[Deployment]:
        """Running uses of a version."""
        raise unsupported(Operation.DEPLOYMENTS, registry=self.registry)

    async def parse_event(
        self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str] = NO_QUERY
    ) -> list[RegistryEvent]:
        """What a pushed message says changed; nothing for one that concerns no model. Headers are lower-case.

        Raises Forbidden for a message that can't be told to be the registry's own, or is too old, whatever else is
        wrong with it; InvalidRequest for a genuine one that is malformed.
        """
        raise unsupported(Operation.PARSE_EVENT, registry=self.registry)

    async def answer_handshake(
        self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str] = NO_QUERY
    ) -> Handshake | None:
        """The answer where a service asks whether its subscription is meant; None for any other message.

        `body` is empty for a question by OPTIONS. Raises Forbidden as `parse_event` does.
        """
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterManifest:
    """What is known of a kind before its adapter is imported. Manifests import no SDK.

    - `options`: a frozen dataclass of the registry's configuration keys, each with a type and a default if optional.
    - `capabilities`: the ceiling; an adapter may narrow it in `open()`.
    - `names`, `aliases`: how the registry spells names of models and aliases; None where it takes any. `files`: under
      which path it keeps a file; None where under its own.
    - `narrow`: the capabilities under given options, where these alone decide; None where `open()` has to find out.
    - `adapter`, `standin`: dotted strings `package.module:attribute`. The stand-in is an aiohttp application factory.
    - `extra`: the distribution extra to install; `modules`: what it must provide.
    """

    kind: str
    title: str
    options: type[Any]
    capabilities: Capabilities
    adapter: str
    names: NameCodec | None = None
    aliases: NameCodec | None = None
    files: Callable[[str], str] | None = None
    narrow: Callable[[Any], Capabilities] | None = None
    standin: str | None = None
    extra: str | None = None
    modules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
