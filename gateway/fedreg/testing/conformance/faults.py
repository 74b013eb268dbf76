"""Reading while the line or the registry is in trouble: refusals, resets, silence, nonsense."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import (
    FedregError,
    RateLimited,
    RegistryAuthError,
    RegistryError,
    RegistryUnavailable,
)
from fedreg.domain.models import ModelQuery, PageRequest, Version
from fedreg.domain.port import RegistryAdapter
from fedreg.testing import steps
from fedreg.testing.backend import Action, Backend, Fault, FaultControl, FaultKind, Trouble
from fedreg.testing.marks import injects_faults, proves


async def do_list_models(adapter: RegistryAdapter, version: Version) -> Any:
    return await adapter.list_models(ModelQuery(page=PageRequest(limit=10)))


async def do_list_versions(adapter: RegistryAdapter, version: Version) -> Any:
    return await adapter.list_versions(version.model, PageRequest(limit=10))


READS: Mapping[Action, Callable[[RegistryAdapter, Version], Awaitable[Any]]] = {
    Action.GET_MODEL: lambda adapter, version: adapter.get_model(version.model),
    Action.GET_VERSION: lambda adapter, version: adapter.get_version(version.model, version.version),
    Action.LIST_MODELS: do_list_models,
    Action.LIST_VERSIONS: do_list_versions,
    Action.SCAN: lambda adapter, version: adapter.scan(None),
    Action.OPEN_FILE: lambda adapter, version: steps.read_all(adapter, version),
}
TROUBLED = [(action, trouble) for action in READS for trouble in (Trouble.THROTTLED, Trouble.UNAVAILABLE)]


def faults_of(backend: Backend) -> FaultControl:
    """The backend's control of faults; a kind without one proves nothing here and says so by failing."""
    assert backend.faults is not None, "Backend.faults is needed"
    return backend.faults


def refusal(backend: Backend, trouble: Trouble, action: Action, *, times: int = 1) -> Fault:
    reply = backend.reply(trouble, action)
    return Fault(
        kind=FaultKind.STATUS,
        match=backend.request_of(action),
        times=times,
        status=reply.status,
        headers=reply.headers,
        body=reply.body,
    )


def check_error(error: FedregError, adapter: RegistryAdapter, backend: Backend) -> None:
    """What holds of every error: it names its registry and operation, and quotes no secret."""
    assert error.registry == adapter.registry
    assert error.operation
    shown = f"{error} {error!r} {error.to_dict()}"
    assert not any(secret in shown for secret in backend.secrets), "a secret in an error's text"


def open_file_is_missing(adapter: RegistryAdapter, action: Action) -> bool:
    return action is Action.OPEN_FILE and not adapter.capabilities.supports(Operation.OPEN_FILE)


@pytest.mark.asyncio
@injects_faults
@proves("faults: reads")
class TestReadFaults:
    @pytest.mark.parametrize(("action", "trouble"), TROUBLED, ids=str)
    async def test_survives_a_refusal(
        self, adapter: RegistryAdapter, backend: Backend, action: Action, trouble: Trouble
    ) -> None:
        await self._survives(adapter, backend, action, refusal(backend, trouble, action))

    @pytest.mark.parametrize("action", READS, ids=str)
    async def test_survives_a_reset(self, adapter: RegistryAdapter, backend: Backend, action: Action) -> None:
        fault = Fault(kind=FaultKind.RESET, match=backend.request_of(action))
        await self._survives(adapter, backend, action, fault)

    @pytest.mark.parametrize("action", [Action.GET_VERSION, Action.LIST_MODELS, Action.SCAN], ids=str)
    async def test_survives_an_answer_that_breaks_off(
        self, adapter: RegistryAdapter, backend: Backend, action: Action
    ) -> None:
        await self._survives(
            adapter, backend, action, Fault(kind=FaultKind.TRUNCATE, match=backend.request_of(action), at=1)
        )

    @pytest.mark.parametrize("action", READS, ids=str)
    async def test_survives_silence(self, backend: Backend, action: Action) -> None:
        """A request that outlasts its deadline is given up and made again."""
        adapter = await backend.open_adapter(backend.make_calls(deadline=backend.short_deadline))
        try:
            slow = Fault(kind=FaultKind.SLOW, match=backend.request_of(action), delay=backend.short_deadline * 3)
            await self._survives(adapter, backend, action, slow)
        finally:
            faults_of(backend).clear()
            await adapter.aclose()

    async def _survives(self, adapter: RegistryAdapter, backend: Backend, action: Action, fault: Fault) -> None:
        if open_file_is_missing(adapter, action):
            pytest.skip("capability not declared: open_file")
        faults = faults_of(backend)
        version = await steps.new_version(adapter, backend)
        expected = await READS[action](adapter, version)
        faults.inject(fault)
        assert await READS[action](adapter, version) == expected
        assert faults.fired == 1, "the fault never met its request: request_of() is wrong"

    @pytest.mark.parametrize("action", READS, ids=str)
    @pytest.mark.parametrize(
        ("trouble", "error"),
        [
            (Trouble.THROTTLED, RateLimited),
            (Trouble.UNAVAILABLE, RegistryUnavailable),
            (Trouble.EXPIRED, RegistryAuthError),
            (Trouble.FORBIDDEN, RegistryAuthError),
        ],
        ids=str,
    )
    async def test_tells_a_lasting_refusal(
        self, adapter: RegistryAdapter, backend: Backend, action: Action, trouble: Trouble, error: type[FedregError]
    ) -> None:
        if open_file_is_missing(adapter, action):
            pytest.skip("capability not declared: open_file")
        faults = faults_of(backend)
        version = await steps.new_version(adapter, backend)
        faults.inject(refusal(backend, trouble, action, times=0))
        with pytest.raises(error) as caught:
            await READS[action](adapter, version)
        check_error(caught.value, adapter, backend)
        assert (faults.fired > 1) == error.retryable, "retried if and only if that can help"

    @pytest.mark.parametrize("action", [Action.GET_MODEL, Action.GET_VERSION, Action.LIST_MODELS, Action.SCAN], ids=str)
    async def test_web_page_instead_of_an_answer(
        self, adapter: RegistryAdapter, backend: Backend, action: Action
    ) -> None:
        faults = faults_of(backend)
        version = await steps.new_version(adapter, backend)
        faults.inject(Fault(kind=FaultKind.HTML, match=backend.request_of(action), times=0))
        with pytest.raises(RegistryError) as caught:
            await READS[action](adapter, version)
        check_error(caught.value, adapter, backend)
        assert faults.fired == 1

    @pytest.mark.parametrize("action", [action for action in READS if action is not Action.OPEN_FILE], ids=str)
    async def test_nonsense_instead_of_an_answer(
        self, adapter: RegistryAdapter, backend: Backend, action: Action
    ) -> None:
        """Never a model, a version or an empty list, and never an error of the language."""
        faults, match = faults_of(backend), backend.request_of(action)
        version = await steps.new_version(adapter, backend)
        for reply in backend.nonsense(action):
            faults.clear()
            said = {"status": reply.status, "headers": reply.headers, "body": reply.body}
            faults.inject(Fault(kind=FaultKind.STATUS, match=match, times=0, **said))  # type: ignore[arg-type]
            try:
                taken = await READS[action](adapter, version)
            except RegistryError as error:
                check_error(error, adapter, backend)
                assert faults.fired >= 1, "the fault never met its request: request_of() is wrong"
            except Exception as error:
                raise AssertionError(f"{reply.body!r} is answered by {error!r}") from error
            else:
                raise AssertionError(f"{reply.body!r} is taken for {taken!r}")

    @pytest.mark.parametrize("action", [Action.LIST_MODELS, Action.LIST_VERSIONS, Action.SCAN], ids=str)
    async def test_page_token_that_repeats(self, adapter: RegistryAdapter, backend: Backend, action: Action) -> None:
        faults = faults_of(backend)
        version = await steps.new_version(adapter, backend)
        reply = backend.looping_page(action)
        match = backend.request_of(action)
        faults.inject(
            Fault(kind=FaultKind.STATUS, match=match, times=0, status=200, headers=reply.headers, body=reply.body)
        )
        walks: Mapping[Action, Callable[[], Awaitable[Any]]] = {
            Action.LIST_MODELS: lambda: steps.all_models(adapter),
            Action.LIST_VERSIONS: lambda: steps.all_versions(adapter, version.model),
            Action.SCAN: lambda: steps.scan_all(adapter),
        }
        with pytest.raises(RegistryError) as caught:
            await walks[action]()
        check_error(caught.value, adapter, backend)
        assert faults.fired <= 5, "a token that repeats is noticed at once"
