"""The layer over an adapter: undeclared work is refused before anything is sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import create_autospec

import pytest

from fedreg.domain.capabilities import Capabilities, Limits, Operation, UploadSupport
from fedreg.domain.errors import InvalidRequest, Unsupported
from fedreg.domain.models import (
    FileEntry,
    FileSource,
    ModelDraft,
    ModelQuery,
    PageRequest,
    Provenance,
    UploadState,
    VersionDraft,
    VersionId,
)
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import Approval, Holder, StageSupport
from fedreg.registries.guard import GuardedAdapter

TARGET = VersionId(model="m", version="1", identity="i")
STATE = UploadState(key="k", model="m")
DRAFT = VersionDraft(model="m")
FILE = FileSource(path="f", size=11, open_at=lambda offset: None)  # type: ignore[arg-type, return-value]

CAPABLE = Capabilities(
    operations=frozenset(Operation),
    stages={"production": StageSupport(Holder.ALIAS, exclusive=True)},
    approvals=frozenset({Approval.APPROVED}),
    upload=UploadSupport(packaging=("files",), readback=True),
    fields=frozenset({"description", "metrics", "params", "provenance", "approval"}),
    model_fields=frozenset({"description", "tags"}),
    limits=Limits(
        model_name=5,
        description=5,
        tags_per_model=1,
        tags_per_version=1,
        version_tag_value=3,
        alias=3,
        alias_pattern="[a-z]+",
        file_size=10,
    ),
)

# each optional operation, by the port method that needs it and arguments that break no rule
OPTIONAL: Mapping[str, tuple[Operation, tuple[Any, ...], dict[str, Any]]] = {
    "find_version": (Operation.FIND_VERSION, ("m", "k"), {}),
    "create_model": (Operation.CREATE_MODEL, (ModelDraft(name="m"),), {}),
    "update_model": (Operation.UPDATE_MODEL, ("m",), {"description": "d"}),
    "delete_model": (Operation.DELETE_MODEL, ("m",), {}),
    "begin_upload": (Operation.UPLOAD, (DRAFT, "k"), {}),
    "put_file": (Operation.UPLOAD, (STATE, FileSource(path="f", size=1, open_at=FILE.open_at)), {}),
    "open_uploaded": (Operation.UPLOAD, (STATE, "f", 0), {}),
    "finish": (Operation.UPLOAD, (STATE,), {}),
    "poll": (Operation.UPLOAD, (STATE,), {}),
    "abort": (Operation.UPLOAD, (STATE,), {}),
    "create_version": (Operation.CREATE_VERSION, (DRAFT, "k"), {}),
    "update_version": (Operation.UPDATE_VERSION, ("m", "1"), {"description": "d"}),
    "delete_version": (Operation.DELETE_VERSION, ("m", "1"), {}),
    "set_stage": (Operation.SET_STAGE, (TARGET, "production", None), {}),
    "set_alias": (Operation.SET_ALIAS, ("m", "abc", "1"), {}),
    "delete_alias": (Operation.DELETE_ALIAS, ("m", "abc"), {}),
    "set_model_tags": (Operation.SET_MODEL_TAGS, ("m", {"a": "b"}, ()), {}),
    "set_version_tags": (Operation.SET_VERSION_TAGS, ("m", "1", {"a": "b"}, ()), {}),
    "set_approval": (Operation.SET_APPROVAL, (TARGET, Approval.APPROVED, None), {}),
    "list_files": (Operation.LIST_FILES, ("m", "1"), {}),
    "open_file": (Operation.OPEN_FILE, ("m", "1", FileEntry(path="f", size=1), 0), {}),
    "copy_native": (Operation.COPY_NATIVE, (TARGET, "n", "k"), {}),
    "lineage": (Operation.LINEAGE, ("m", "1"), {}),
    "deployments": (Operation.DEPLOYMENTS, ("m", "1"), {}),
    "parse_event": (Operation.PARSE_EVENT, ({}, b"", {"secret": "s"}), {}),
    "answer_handshake": (Operation.PARSE_EVENT, ({}, b"", {"secret": "s"}), {}),
}
READS: Mapping[str, tuple[Any, ...]] = {
    "open": (),
    "aclose": (),
    "ping": (),
    "diagnose": (),
    "list_models": (ModelQuery(),),
    "get_model": ("m",),
    "list_versions": ("m", PageRequest()),
    "get_version": ("m", "1"),
    "scan": (None,),
}


def guard(capabilities: Capabilities) -> tuple[GuardedAdapter, Any]:
    inner = create_autospec(RegistryAdapter, instance=True, registry="prod", calls=None, capabilities=capabilities)
    return GuardedAdapter(inner), inner


async def call(adapter: Any, method: str, *args: Any, **named: Any) -> Any:
    result = getattr(adapter, method)(*args, **named)
    return await result if inspect.isawaitable(result) else result


def test_every_method_of_the_port_is_guarded() -> None:
    methods = {name for name, value in vars(RegistryAdapter).items() if inspect.isfunction(value)} - {"__init__"}
    assert methods == {*OPTIONAL, *READS}
    assert methods <= set(vars(GuardedAdapter))


@pytest.mark.parametrize("method", OPTIONAL)
async def test_undeclared_is_unsupported_and_not_sent(method: str) -> None:
    operation, args, named = OPTIONAL[method]
    adapter, inner = guard(CAPABLE.without(operation))
    with pytest.raises(Unsupported) as caught:
        await call(adapter, method, *args, **named)
    assert (caught.value.registry, caught.value.operation) == ("prod", operation.value)
    getattr(inner, method).assert_not_called()


@pytest.mark.parametrize("method", OPTIONAL)
async def test_declared_passes_as_it_is(method: str) -> None:
    _, args, named = OPTIONAL[method]
    adapter, inner = guard(CAPABLE)
    result = await call(adapter, method, *args, **named)
    answers = inspect.signature(getattr(RegistryAdapter, method)).return_annotation != "None"
    assert result is (getattr(inner, method).return_value if answers else None)
    getattr(inner, method).assert_called_once_with(*args, **named)


@pytest.mark.parametrize("method", READS)
async def test_reads_need_no_declaration(method: str) -> None:
    adapter, inner = guard(Capabilities(operations=frozenset()))
    await call(adapter, method, *READS[method])
    getattr(inner, method).assert_called_once_with(*READS[method])


Refused = Callable[[GuardedAdapter], Any]


@pytest.mark.parametrize(
    ("refused", "error", "words"),
    [
        (lambda a: a.set_stage(TARGET, "staging"), Unsupported, "'staging'"),
        (lambda a: a.set_approval(TARGET, Approval.REJECTED), Unsupported, "'rejected'.*approved"),
        (lambda a: a.create_model(ModelDraft(name="sixsix")), InvalidRequest, "name 'sixsix' has 6"),
        (lambda a: a.create_model(ModelDraft(name="m", tags={"a": "", "b": ""})), InvalidRequest, "tags: 2"),
        (lambda a: a.update_model("m", description="sixsix"), InvalidRequest, "description has 6"),
        (lambda a: a.update_version("m", "1", description="sixsix"), InvalidRequest, "description has 6"),
        (lambda a: a.begin_upload(VersionDraft(model="m", tags={"a": "four"}), "k"), InvalidRequest, "tag 'a'"),
        (lambda a: a.create_version(VersionDraft(model="m", description="sixsix"), "k"), InvalidRequest, "descr"),
        (lambda a: a.set_version_tags("m", "1", {"a": "four"}), InvalidRequest, "tag 'a'"),
        (lambda a: a.set_model_tags("m", {"a": "", "b": ""}), InvalidRequest, "tags: 2"),
        (lambda a: a.set_alias("m", "four", "1"), InvalidRequest, "alias 'four' has 4"),
        (lambda a: a.set_alias("m", "A", "1"), InvalidRequest, "refuses"),
        (lambda a: a.begin_upload(VersionDraft(model="m", packaging="tar.gz"), "k"), Unsupported, "'tar.gz'.*files"),
        (lambda a: a.begin_upload(VersionDraft(model="m", files={"f": 11}), "k"), InvalidRequest, "'f' has 11 bytes"),
        (lambda a: a.put_file(STATE, FILE), InvalidRequest, "'f' has 11 bytes"),
    ],
)
async def test_values_past_what_is_held_are_refused(refused: Refused, error: type[Exception], words: str) -> None:
    adapter, inner = guard(CAPABLE)
    with pytest.raises(error, match=words):
        await refused(adapter)
    assert [name for name, *_ in inner.mock_calls] == []


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (VersionDraft(model="m", description="d"), "description"),
        (VersionDraft(model="m", metrics={"a": 1.0}), "metrics"),
        (VersionDraft(model="m", params={"a": "1"}), "params"),
        (VersionDraft(model="m", provenance=Provenance(run_id="r")), "provenance"),
        (VersionDraft(model="m", approval=Approval.PENDING), "approval"),
    ],
)
async def test_a_field_that_would_be_dropped_is_refused_by_name(draft: VersionDraft, field: str) -> None:
    adapter, inner = guard(Capabilities(operations=frozenset(Operation)))
    for attempt in (adapter.begin_upload, adapter.create_version):
        with pytest.raises(Unsupported, match=field) as caught:
            await attempt(draft, "k")
        assert caught.value.details == {"fields": [field]}
    inner.begin_upload.assert_not_called()
    inner.create_version.assert_not_called()


async def test_none_as_a_stage_takes_it_away_wherever_stages_are_set() -> None:
    adapter, inner = guard(CAPABLE)
    await adapter.set_stage(TARGET, "none")
    inner.set_stage.assert_called_once_with(TARGET, "none", None)


async def test_uploads_are_read_back_only_where_declared() -> None:
    adapter, inner = guard(replace(CAPABLE, upload=UploadSupport()))
    with pytest.raises(Unsupported, match="read an upload back"):
        adapter.open_uploaded(STATE, "f")
    inner.open_uploaded.assert_not_called()
