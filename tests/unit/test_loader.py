"""Kinds, manifests and opening adapters, with small adapters of the tests' own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fedreg.domain.calls import Calls
from fedreg.domain.capabilities import Capabilities
from fedreg.domain.errors import ConfigError, NotFound, RegistryUnavailable
from fedreg.domain.models import Batch, Finding, Model, ModelQuery, Page, PageRequest, Version
from fedreg.domain.port import AdapterManifest, RegistryAdapter
from fedreg.registries import manifests
from fedreg.registries.calls import GuardedCalls
from fedreg.registries.federation import Federation
from fedreg.registries.guard import GuardedAdapter
from fedreg.registries.loader import open_adapter
from fedreg.registries.policy import CallPolicy, RegistryEntry

MODULE = "fedreg_test_plugin"


@dataclass(frozen=True)
class ToyOptions:
    url: str = "toy://"


class ToyAdapter(RegistryAdapter):
    """Opens as `gate` allows, fails as `failures` says, and keeps count."""

    opened: list[ToyAdapter]
    closed: list[ToyAdapter]
    failures: list[Exception]
    gate: asyncio.Event | None

    def __init__(self, registry: str, options: Any, calls: Calls) -> None:
        super().__init__(registry, options, calls)
        self.options = options

    @property
    def capabilities(self) -> Capabilities:
        return MANIFEST.capabilities

    async def open(self) -> None:
        self.opened.append(self)
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)

    async def aclose(self) -> None:
        self.closed.append(self)

    async def ping(self) -> None:
        await self.calls.run("ping", self._answer)

    async def _answer(self) -> None:
        return None

    async def diagnose(self) -> list[Finding]:
        return []

    async def list_models(self, query: ModelQuery) -> Page[Model]:
        return Page(())

    async def get_model(self, name: str) -> Model:
        raise NotFound(name)

    async def list_versions(self, model: str, page: PageRequest) -> Page[Version]:
        return Page(())

    async def get_version(self, model: str, version: str) -> Version:
        raise NotFound(model)

    async def scan(self, cursor: str | None) -> Batch:
        return Batch(models=(), versions=(), cursor=None, complete=True, full=True)


MANIFEST = AdapterManifest(
    kind="toy",
    title="Toy",
    options=ToyOptions,
    capabilities=Capabilities(operations=frozenset(), concurrency=3),
    adapter=f"{MODULE}:Adapter",
    extra="toy",
)


def forget() -> None:
    manifests.load_manifest.cache_clear()
    manifests._plugins.cache_clear()


class Plugin:
    """A module that an entry point names; `install` adds more entry points."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = ModuleType(MODULE)
        self.module.MANIFEST = MANIFEST  # type: ignore[attr-defined]
        self.module.Adapter = ToyAdapter  # type: ignore[attr-defined]
        self.entries: list[EntryPoint] = []
        monkeypatch.setitem(sys.modules, MODULE, self.module)
        monkeypatch.setattr(manifests, "entry_points", lambda group: self.entries)
        self.install("toy")

    def install(self, kind: str, dotted: str = f"{MODULE}:MANIFEST") -> None:
        self.entries.append(EntryPoint(kind, dotted, manifests.ENTRY_POINT_GROUP))
        forget()

    def set_manifest(self, manifest: object) -> None:
        self.module.MANIFEST = manifest  # type: ignore[attr-defined]
        forget()


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugin]:
    ToyAdapter.opened, ToyAdapter.closed, ToyAdapter.failures, ToyAdapter.gate = [], [], [], None
    yield Plugin(monkeypatch)
    forget()


def test_built_in_kinds_and_plugins_are_listed() -> None:
    assert manifests.list_kinds() == ("azureml", "huggingface", "memory", "mlflow", "sagemaker", "toy", "vertex")


def test_a_plugin_is_loaded() -> None:
    assert manifests.load_manifest("toy") is MANIFEST


@pytest.mark.parametrize(
    ("kind", "cure"), [("mlfow", "did you mean 'mlflow'?"), ("zzz", "known: azureml, huggingface, memory")]
)
def test_an_unknown_kind_names_the_nearest(kind: str, cure: str) -> None:
    with pytest.raises(ConfigError, match=f"kind '{kind}' is unknown") as caught:
        manifests.load_manifest(kind)
    assert cure in (caught.value.cure or "")


def test_two_providers_of_a_kind_are_refused(plugin: Plugin) -> None:
    plugin.install("mlflow")
    with pytest.raises(ConfigError, match=r"provided more than once.*fedreg_adapters.mlflow"):
        manifests.load_manifest("mlflow")


@pytest.mark.parametrize("dotted", ["no_such_module:MANIFEST", f"{MODULE}:NOTHING"])
def test_a_manifest_that_can_not_be_loaded_is_named(plugin: Plugin, dotted: str) -> None:
    plugin.install("broken", dotted)
    with pytest.raises(ConfigError, match=f"'broken'.*{dotted}"):
        manifests.load_manifest("broken")


@pytest.mark.parametrize("manifest", ["text", replace(MANIFEST, kind="other")])
def test_what_is_no_manifest_of_the_kind_is_refused(plugin: Plugin, manifest: object) -> None:
    plugin.set_manifest(manifest)
    with pytest.raises(ConfigError, match="no manifest of this kind"):
        manifests.load_manifest("toy")


async def test_an_adapter_is_opened_and_guarded() -> None:
    adapter = await open_adapter("mine", "toy", ToyOptions())
    assert isinstance(adapter, GuardedAdapter)
    assert (adapter.registry, len(ToyAdapter.opened)) == ("mine", 1)
    await adapter.ping()


@pytest.mark.parametrize(("given", "expected"), [(None, 3), (5, 5)])
async def test_the_kind_declares_the_concurrency_unless_configured(given: int | None, expected: int) -> None:
    adapter = await open_adapter("mine", "toy", ToyOptions(), CallPolicy(concurrency=given))
    assert isinstance(adapter.calls, GuardedCalls)
    assert adapter.calls.policy.concurrency == expected


async def test_a_missing_sdk_names_what_to_install(plugin: Plugin) -> None:
    plugin.set_manifest(replace(MANIFEST, modules=("json", "no_such_sdk", "no_such_parent.child")))
    with pytest.raises(ConfigError, match=r"needs no_such_sdk, no_such_parent.child") as caught:
        await open_adapter("mine", "toy", ToyOptions())
    assert caught.value.cure == "pip install 'fedreg[toy]'"


async def test_a_missing_sdk_of_a_plugin_names_its_distribution(plugin: Plugin) -> None:
    plugin.set_manifest(replace(MANIFEST, modules=("no_such_sdk",)))
    vars(plugin.entries[0])["dist"] = SimpleNamespace(name="acme-fedreg")
    with pytest.raises(ConfigError) as caught:
        await open_adapter("mine", "toy", ToyOptions())
    assert caught.value.cure == "pip install 'acme-fedreg[toy]'"


async def test_an_adapter_that_can_not_be_imported_is_named(plugin: Plugin) -> None:
    plugin.set_manifest(replace(MANIFEST, adapter=f"{MODULE}:Nothing"))
    with pytest.raises(ConfigError, match=f"{MODULE}:Nothing"):
        await open_adapter("mine", "toy", ToyOptions())


async def test_options_of_another_type_are_refused() -> None:
    with pytest.raises(ConfigError, match="options are dict, kind 'toy' takes ToyOptions"):
        await open_adapter("mine", "toy", {"url": "x"})


async def test_a_failed_open_closes_the_adapter() -> None:
    ToyAdapter.failures = [RegistryUnavailable("down")]
    with pytest.raises(RegistryUnavailable):
        await open_adapter("mine", "toy", ToyOptions())
    assert ToyAdapter.closed == ToyAdapter.opened


def federation(**kinds: str) -> Federation:
    return Federation({name: RegistryEntry(kind=kind, options=ToyOptions()) for name, kind in kinds.items()})


async def test_a_registry_is_opened_on_first_use_only() -> None:
    fed = federation(a="toy", b="toy")
    assert (fed.names(), fed.kinds, fed.manifest("a").kind) == (("a", "b"), {"a": "toy", "b": "toy"}, "toy")
    assert ToyAdapter.opened == []
    first = await fed.get("a")
    assert await fed.get("a") is first
    assert [adapter.registry for adapter in ToyAdapter.opened] == ["a"]


async def test_concurrent_first_uses_share_one_open() -> None:
    fed = federation(a="toy")
    ToyAdapter.gate = asyncio.Event()
    uses = [asyncio.create_task(fed.get("a")) for _ in range(5)]
    while not ToyAdapter.opened:
        await asyncio.sleep(0)
    uses[0].cancel()
    ToyAdapter.gate.set()
    results = await asyncio.gather(*uses, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert len({id(adapter) for adapter in results[1:]}) == 1
    assert isinstance(results[1], GuardedAdapter)
    assert len(ToyAdapter.opened) == 1


async def test_a_failed_open_is_tried_again_behind_the_same_guard() -> None:
    fed = federation(a="toy")
    ToyAdapter.failures = [RegistryUnavailable("down")]
    with pytest.raises(RegistryUnavailable):
        await fed.get("a")
    adapter = await fed.get("a")
    assert len(ToyAdapter.opened) == 2
    assert adapter.calls is ToyAdapter.opened[0].calls


async def test_an_unknown_registry_names_the_candidates() -> None:
    with pytest.raises(NotFound, match="'prodd' is not configured") as caught:
        await federation(prod="toy", dev="toy").get("prodd")
    assert caught.value.cure == "did you mean 'prod'?"
    assert caught.value.details == {"candidates": ["prod", "dev"]}


async def test_an_unknown_kind_fails_on_use_of_that_registry_only() -> None:
    fed = federation(good="toy", bad="toyy")
    with pytest.raises(ConfigError, match="kind 'toyy'"):
        await fed.get("bad")
    assert (await fed.get("good")).registry == "good"


async def test_closing_closes_what_is_open_and_refuses_more() -> None:
    fed = federation(a="toy", b="toy")
    await fed.get("a")
    await fed.aclose()
    await fed.aclose()
    assert [adapter.registry for adapter in ToyAdapter.closed] == ["a"]
    with pytest.raises(RegistryUnavailable, match="shutting down"):
        await fed.get("b")


async def test_closing_stops_what_is_opening() -> None:
    fed = federation(a="toy")
    ToyAdapter.gate = asyncio.Event()
    use = asyncio.create_task(fed.get("a"))
    while not ToyAdapter.opened:
        await asyncio.sleep(0)
    await fed.aclose()
    with pytest.raises(RegistryUnavailable, match="shutting down"):
        await use
    assert ToyAdapter.closed == ToyAdapter.opened
