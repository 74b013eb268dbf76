"""What a registry can do, declared as data.

A manifest declares the ceiling of its kind; `open()` narrows it to what this registry allows. The conformance
suite tests each declared capability for truth and each undeclared one for the exact Unsupported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from fedreg.domain.errors import InvalidRequest, Unsupported
from fedreg.domain.models import ModelDraft, Provenance, VersionDraft
from fedreg.domain.stages import NONE, Approval, StageSupport


class Operation(StrEnum):
    """Port operations that a registry may lack. Reading models and versions is never optional."""

    CREATE_MODEL = "create_model"
    UPDATE_MODEL = "update_model"
    DELETE_MODEL = "delete_model"
    SCAN_INCREMENTAL = "scan_incremental"
    FIND_VERSION = "find_version"
    UPLOAD = "upload"
    CREATE_VERSION = "create_version"
    UPDATE_VERSION = "update_version"
    DELETE_VERSION = "delete_version"
    SET_STAGE = "set_stage"
    SET_ALIAS = "set_alias"
    DELETE_ALIAS = "delete_alias"
    SET_MODEL_TAGS = "set_model_tags"
    SET_VERSION_TAGS = "set_version_tags"
    SET_APPROVAL = "set_approval"
    LIST_FILES = "list_files"
    OPEN_FILE = "open_file"
    COPY_NATIVE = "copy_native"
    LINEAGE = "lineage"
    DEPLOYMENTS = "deployments"
    PARSE_EVENT = "parse_event"


class Change(StrEnum):
    """Kinds of change an incremental scan can see."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    STAGE = "stage"
    ALIAS = "alias"
    TAGS = "tags"
    APPROVAL = "approval"


class VersionIds(StrEnum):
    """Who chooses a version's id."""

    SERVER = "server"
    CALLER = "caller"


class Resume(StrEnum):
    """What of an interrupted upload is kept: parts of a file, whole files, or nothing."""

    PART = "part"
    FILE = "file"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSupport:
    """How bytes get in. `packaging` lists forms, the default first: `files` (a prefix), `tar.gz`, …

    `readback`: uploaded bytes can be read (`open_uploaded`) before the version exists.
    """

    order: str = "bytes_first"
    needs_sha256: bool = False
    parallel: int = 4
    packaging: tuple[str, ...] = ("files",)
    resume: Resume = Resume.FILE
    readback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes a registry holds, in characters and counts; None where it sets none.

    `*_pattern` are regular expressions matched against the whole text; `tag_key_pattern` leaves out keys that the
    registry, or its adapter for itself, reserves.
    """

    model_name: int | None = None
    description: int | None = None
    tags_per_model: int | None = None
    tags_per_version: int | None = None
    model_tag_key: int | None = None
    model_tag_value: int | None = None
    version_tag_key: int | None = None
    version_tag_value: int | None = None
    model_tag_pattern: str | None = None
    version_tag_pattern: str | None = None
    tag_key_pattern: str | None = None
    alias: int | None = None
    alias_pattern: str | None = None
    file_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """All a caller needs to know before it asks.

    - `stages`: per stage its support; `custom_stages`: support of every other stage, None where there is none.
    - `approvals`: decisions held natively (`none` only where it can be set back).
    - `fields`: what of a version draft the registry holds: description, metrics, params, provenance, approval.
    - `model_fields`: what of a model draft it holds at create: description, tags.
    - `editable`: what update_model / update_version can change later: `model.description`, `version.description`.
    - `registry_files`: glob patterns of files the registry adds to a version by itself.
    - `create_requires`: what a create must bring, in words the user knows (`signature`, …).
    - `concurrency`: requests at once this kind can take.
    """

    operations: frozenset[Operation]
    stages: Mapping[str, StageSupport] = field(default_factory=dict)
    custom_stages: StageSupport | None = None
    approvals: frozenset[Approval] = frozenset()
    models: str = "explicit"
    upload: UploadSupport | None = None
    incremental: frozenset[Change] = frozenset()
    fields: frozenset[str] = frozenset()
    model_fields: frozenset[str] = frozenset()
    editable: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    version_ids: VersionIds = VersionIds.SERVER
    create_requires: frozenset[str] = frozenset()
    registry_files: tuple[str, ...] = ()
    concurrency: int = 8

    def supports(self, operation: Operation) -> bool:
        return operation in self.operations

    def require(self, operation: Operation, *, registry: str) -> None:
        """Raise the one Unsupported that every surface shows for an undeclared operation."""
        if operation not in self.operations:
            raise unsupported(operation, registry=registry)

    def stage_support(self, stage: str) -> StageSupport | None:
        """How the registry holds this stage; None where it does not."""
        return self.stages.get(stage, None if stage == NONE else self.custom_stages)

    def without(self, *operations: Operation) -> Capabilities:
        """The same without these operations and what details them: `open()` narrows so."""
        kept = self.operations - set(operations)
        editable = {"model.description": Operation.UPDATE_MODEL, "version.description": Operation.UPDATE_VERSION}
        holds_stages = Operation.SET_STAGE in kept
        return replace(
            self,
            operations=kept,
            stages=self.stages if holds_stages else {},
            custom_stages=self.custom_stages if holds_stages else None,
            approvals=self.approvals if Operation.SET_APPROVAL in kept else frozenset(),
            upload=self.upload if Operation.UPLOAD in kept else None,
            incremental=self.incremental if Operation.SCAN_INCREMENTAL in kept else frozenset(),
            editable=frozenset(name for name in self.editable if editable.get(name) in kept),
        )


def unsupported(operation: Operation, *, registry: str) -> Unsupported:
    """The error for an operation that a registry does not declare."""
    return Unsupported(
        f"registry {registry!r} does not support {operation.value!r}",
        registry=registry,
        operation=operation.value,
        cure="see `fedreg capabilities` for what each registry can do",
    )


def require_stage(capabilities: Capabilities, stage: str, *, registry: str) -> None:
    """Unsupported for a stage the registry can't hold. `none` is always meant: it takes the stage away."""
    if stage != NONE and capabilities.stage_support(stage) is None:
        known = ", ".join(sorted(capabilities.stages)) or "none at all"
        raise Unsupported(
            f"stage {stage!r}: registry {registry!r} can't hold it",
            registry=registry,
            operation=Operation.SET_STAGE.value,
            cure=f"stages it holds: {known}",
        )


def require_model_fields(draft: ModelDraft, capabilities: Capabilities, *, registry: str) -> None:
    """Unsupported, naming the first field of a model draft that the registry can't hold."""
    given = {"description": draft.description, "tags": draft.tags}
    _require_held(given, capabilities.model_fields, Operation.CREATE_MODEL, registry)


def require_version_fields(draft: VersionDraft, capabilities: Capabilities, *, registry: str) -> None:
    """Unsupported, naming the first field of a version draft that the registry can't hold."""
    given = {
        "description": draft.description,
        "metrics": draft.metrics,
        "params": draft.params,
        "provenance": draft.provenance if draft.provenance != Provenance() else None,
        "approval": draft.approval if draft.approval is not Approval.NONE else None,
    }
    _require_held(given, capabilities.fields, Operation.UPLOAD, registry)
    if draft.tags:
        capabilities.require(Operation.SET_VERSION_TAGS, registry=registry)


def _require_held(given: Mapping[str, object], held: frozenset[str], operation: Operation, registry: str) -> None:
    for name, value in given.items():
        if value and name not in held:
            raise Unsupported(
                f"{name}: registry {registry!r} can't hold it",
                registry=registry,
                operation=operation.value,
                cure="leave it out, or copy with allow_lossy: the gateway then keeps it",
            )


def check_model_draft(draft: ModelDraft, limits: Limits, *, registry: str) -> None:
    """InvalidRequest for the first field of a model draft past a limit."""
    check_length(f"name {draft.name[:40]!r}", draft.name, limits.model_name, registry)
    check_length("description", draft.description or "", limits.description, registry)
    check_tags(draft.tags, limits, registry=registry, of_version=False)


def check_version_draft(draft: VersionDraft, limits: Limits, *, registry: str) -> None:
    """InvalidRequest for the first field of a version draft past a limit."""
    check_length("description", draft.description or "", limits.description, registry)
    check_tags(draft.tags, limits, registry=registry, of_version=True)


def check_tags(tags: Mapping[str, str], limits: Limits, *, registry: str, of_version: bool) -> None:
    """InvalidRequest for too many tags, or a key or value the registry refuses. `tags` is the whole set."""
    whose = "version" if of_version else "model"
    count = limits.tags_per_version if of_version else limits.tags_per_model
    key_limit = limits.version_tag_key if of_version else limits.model_tag_key
    value_limit = limits.version_tag_value if of_version else limits.model_tag_value
    pattern = limits.version_tag_pattern if of_version else limits.model_tag_pattern
    if count is not None and len(tags) > count:
        raise InvalidRequest(
            f"tags: {len(tags)} given, registry {registry!r} holds {count} on a {whose}",
            registry=registry,
            cure="remove some tags",
        )
    for key, value in tags.items():
        check_length(f"tag key {key[:40]!r}", key, key_limit, registry)
        check_length(f"tag {key[:40]!r}", value, value_limit, registry)
        check_pattern(f"tag key {key[:40]!r}", key, pattern, registry)
        check_pattern(f"tag {key[:40]!r} value {value[:40]!r}", value, pattern, registry)


def check_alias(alias: str, limits: Limits, *, registry: str) -> None:
    """InvalidRequest for an alias the registry refuses."""
    if not alias:
        raise InvalidRequest("alias '' is empty", cure="give an alias of at least one character")
    check_length(f"alias {alias[:40]!r}", alias, limits.alias, registry)
    check_pattern(f"alias {alias[:40]!r}", alias, limits.alias_pattern, registry)


def check_length(field_name: str, text: str, limit: int | None, registry: str) -> None:
    """InvalidRequest for a text longer than `limit` characters."""
    if limit is not None and len(text) > limit:
        raise InvalidRequest(
            f"{field_name} has {len(text)} characters, registry {registry!r} holds {limit}",
            registry=registry,
            cure=f"shorten it to {limit} characters",
        )


def check_pattern(field_name: str, text: str, pattern: str | None, registry: str) -> None:
    """InvalidRequest for a text that does not match the registry's alphabet."""
    if pattern is not None and not re.fullmatch(pattern, text):
        raise InvalidRequest(
            f"{field_name} has characters that registry {registry!r} refuses",
            registry=registry,
            cure=f"it must match {pattern}",
        )
