"""Writing while the line or the registry is in trouble: lost answers, late writes, refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import (
    AlreadyExists,
    FedregError,
    Outcome,
    RegistryAuthError,
    RegistryTimeout,
    RegistryUnavailable,
)
from fedreg.domain.models import ModelDraft, UploadState, Version, VersionStatus
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.stages import NONE, Approval
from fedreg.testing import steps
from fedreg.testing.backend import Action, Backend, Fault, FaultKind, Trouble
from fedreg.testing.conformance.faults import check_error, faults_of, refusal
from fedreg.testing.declared import declared_approvals, declared_stages
from fedreg.testing.marks import injects_faults, needs, proves


async def upload_ready(adapter: RegistryAdapter, backend: Backend) -> UploadState:
    return await steps.uploaded(adapter, backend, await steps.new_model(adapter, backend))


async def finish_or_error(adapter: RegistryAdapter, state: UploadState) -> Version | FedregError:
    try:
        return await steps.finish(adapter, state)
    except FedregError as error:
        return error


async def one_survives(adapter: RegistryAdapter, state: UploadState) -> Version:
    """Finishing again gives the one version that is left ready."""
    version = await steps.finish(adapter, state)
    assert await steps.finish(adapter, state) == version
    found = await steps.all_versions(adapter, state.model)
    ready = [other.id for other in found if other.status is VersionStatus.READY]
    assert ready == [version.id], "one version survives; twins are removed, or shown with another status"
    assert await adapter.find_version(state.model, state.key) == version
    return version


@pytest.mark.asyncio
@injects_faults
@proves("faults: creates")
@needs(Operation.UPLOAD)
class TestCreateFaults:
    async def test_lost_reply(self, adapter: RegistryAdapter, backend: Backend) -> None:
        """The registration happened, its answer got lost: there is one version, and finish gives it."""
        faults, state = faults_of(backend), await upload_ready(adapter, backend)
        faults.inject(Fault(kind=FaultKind.LOST_REPLY, match=backend.request_of(Action.CREATE_VERSION)))
        result = await finish_or_error(adapter, state)
        assert faults.fired >= 1, "the fault never met its request: request_of() is wrong"
        self._unknown_if_error(result, adapter, backend)
        assert_same(await one_survives(adapter, state), result)

    async def test_applied_late_before_a_retry(self, adapter: RegistryAdapter, backend: Backend) -> None:
        faults, state = faults_of(backend), await upload_ready(adapter, backend)
        faults.inject(Fault(kind=FaultKind.LATE_APPLY, match=backend.request_of(Action.CREATE_VERSION)))
        result = await finish_or_error(adapter, state)
        assert await faults.release() == 1
        self._unknown_if_error(result, adapter, backend)
        assert_same(await one_survives(adapter, state), result)

    async def test_applied_late_after_a_retry(self, adapter: RegistryAdapter, backend: Backend) -> None:
        faults, state = faults_of(backend), await upload_ready(adapter, backend)
        faults.inject(Fault(kind=FaultKind.LATE_APPLY, match=backend.request_of(Action.CREATE_VERSION)))
        await finish_or_error(adapter, state)
        first = await steps.finish(adapter, state)
        assert await faults.release() == 1
        assert (await one_survives(adapter, state)).id == first.id, "what was returned once stays"

    async def test_reset_before_it_arrived(self, adapter: RegistryAdapter, backend: Backend) -> None:
        faults, state = faults_of(backend), await upload_ready(adapter, backend)
        faults.inject(Fault(kind=FaultKind.RESET, match=backend.request_of(Action.CREATE_VERSION)))
        self._unknown_if_error(await finish_or_error(adapter, state), adapter, backend)
        await one_survives(adapter, state)

    @pytest.mark.parametrize("trouble", [Trouble.THROTTLED, Trouble.UNAVAILABLE], ids=str)
    async def test_refused_once(self, adapter: RegistryAdapter, backend: Backend, trouble: Trouble) -> None:
        faults, state = faults_of(backend), await upload_ready(adapter, backend)
        faults.inject(refusal(backend, trouble, Action.CREATE_VERSION))
        result = await finish_or_error(adapter, state)
        if isinstance(result, FedregError):  # whether a 503 was carried out, only the vendor's contract can tell
            assert result.retryable
        if trouble is Trouble.THROTTLED:
            assert isinstance(result, Version), "a throttled request was not carried out: it is made again"
        await one_survives(adapter, state)

    async def test_expired(self, adapter: RegistryAdapter, backend: Backend) -> None:
        faults, state = faults_of(backend), await upload_ready(adapter, backend)
        faults.inject(refusal(backend, Trouble.EXPIRED, Action.CREATE_VERSION, times=0))
        with pytest.raises(RegistryAuthError) as caught:
            await steps.finish(adapter, state)
        check_error(caught.value, adapter, backend)
        assert (caught.value.outcome, faults.fired) == (Outcome.NOT_APPLIED, 1)
        faults.clear()
        await one_survives(adapter, state)

    @needs(Operation.CREATE_MODEL)
    async def test_lost_reply_to_create_model(self, adapter: RegistryAdapter, backend: Backend) -> None:
        faults, name = faults_of(backend), backend.unique_name()
        faults.inject(Fault(kind=FaultKind.LOST_REPLY, match=backend.request_of(Action.CREATE_MODEL)))
        try:
            await adapter.create_model(ModelDraft(name=name))
        except FedregError as error:
            self._unknown_if_error(error, adapter, backend)
            with pytest.raises(AlreadyExists):
                await adapter.create_model(ModelDraft(name=name))
        assert faults.fired >= 1
        assert [model.name for model in await steps.all_models(adapter, contains=name)] == [name]

    async def test_lost_reply_to_put_file(self, adapter: RegistryAdapter, backend: Backend) -> None:
        faults = faults_of(backend)
        model = await steps.new_model(adapter, backend)
        state = await steps.begin(adapter, backend, model, steps.FILES, steps.new_key())
        faults.inject(Fault(kind=FaultKind.LOST_REPLY, match=backend.request_of(Action.PUT_FILE)))
        await steps.put_all(adapter, state, steps.FILES)
        assert faults.fired == 1
        assert await steps.read_all(adapter, await steps.finish(adapter, state)) == dict(steps.FILES)

    @pytest.mark.parametrize("trouble", [Trouble.THROTTLED, Trouble.UNAVAILABLE], ids=str)
    async def test_refused_put_file(self, adapter: RegistryAdapter, backend: Backend, trouble: Trouble) -> None:
        """The source is opened again for each attempt."""
        faults = faults_of(backend)
        model = await steps.new_model(adapter, backend)
        state = await steps.begin(adapter, backend, model, steps.FILES, steps.new_key())
        faults.inject(refusal(backend, trouble, Action.PUT_FILE))
        await steps.put_all(adapter, state, steps.FILES)
        assert faults.fired == 1
        assert await steps.read_all(adapter, await steps.finish(adapter, state)) == dict(steps.FILES)

    def _unknown_if_error(self, result: Version | FedregError, adapter: RegistryAdapter, backend: Backend) -> None:
        if isinstance(result, FedregError):
            check_error(result, adapter, backend)
            assert isinstance(result, RegistryUnavailable | RegistryTimeout)
            assert result.outcome is Outcome.UNKNOWN, "after silence nobody knows whether a write happened"


def assert_same(survivor: Version, result: Version | FedregError) -> None:
    """What finish returned, if it returned, is what survived."""
    if isinstance(result, Version):
        assert survivor.id == result.id


@pytest.mark.asyncio
@injects_faults
@proves("faults: changes")
class TestChangeFaults:
    """A change whose answer is lost can be made again."""

    @needs(Operation.SET_STAGE)
    @pytest.mark.parametrize("kind", [FaultKind.LOST_REPLY, FaultKind.RESET], ids=str)
    @pytest.mark.parametrize("expected", [None, NONE])
    async def test_set_stage(
        self, adapter: RegistryAdapter, backend: Backend, kind: FaultKind, expected: str | None
    ) -> None:
        stage = declared_stages(adapter.capabilities)[0]
        version = await steps.new_version(adapter, backend)

        async def change() -> Any:
            live = (await adapter.get_version(version.model, version.version)).stage
            return await adapter.set_stage(version.id, stage, None if expected is None else live)

        await self._repeatable(adapter, backend, Action.SET_STAGE, kind, change)
        assert (await adapter.get_version(version.model, version.version)).stages == (stage,)

    @needs(Operation.SET_ALIAS)
    async def test_set_alias(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        await self._repeatable(
            adapter,
            backend,
            Action.SET_ALIAS,
            FaultKind.LOST_REPLY,
            lambda: adapter.set_alias(version.model, "champion", version.version),
        )
        assert dict((await adapter.get_model(version.model)).aliases) == {"champion": version.version}

    @needs(Operation.SET_MODEL_TAGS)
    async def test_set_model_tags(self, adapter: RegistryAdapter, backend: Backend) -> None:
        model = (await steps.new_version(adapter, backend)).model
        await self._repeatable(
            adapter,
            backend,
            Action.SET_MODEL_TAGS,
            FaultKind.LOST_REPLY,
            lambda: adapter.set_model_tags(model, {"a": "1"}),
        )
        assert dict((await adapter.get_model(model)).tags) == {"a": "1"}

    @needs(Operation.SET_VERSION_TAGS)
    async def test_set_version_tags(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        await self._repeatable(
            adapter,
            backend,
            Action.SET_VERSION_TAGS,
            FaultKind.LOST_REPLY,
            lambda: adapter.set_version_tags(version.model, version.version, {"a": "1"}),
        )
        assert dict((await adapter.get_version(version.model, version.version)).tags) == {"a": "1"}

    @needs(Operation.SET_APPROVAL)
    async def test_set_approval(self, adapter: RegistryAdapter, backend: Backend) -> None:
        version = await steps.new_version(adapter, backend)
        decision: Approval = declared_approvals(adapter.capabilities)[-1]
        await self._repeatable(
            adapter,
            backend,
            Action.SET_APPROVAL,
            FaultKind.LOST_REPLY,
            lambda: adapter.set_approval(version.id, decision),
        )
        assert (await adapter.get_version(version.model, version.version)).approval is decision

    async def _repeatable(
        self,
        adapter: RegistryAdapter,
        backend: Backend,
        action: Action,
        kind: FaultKind,
        change: Callable[[], Awaitable[Any]],
    ) -> None:
        faults = faults_of(backend)
        faults.inject(Fault(kind=kind, match=backend.request_of(action)))
        try:
            await change()
        except FedregError as error:
            check_error(error, adapter, backend)
            assert error.retryable and error.outcome is Outcome.UNKNOWN
            await change()
        assert faults.fired == 1, "the fault never met its request: request_of() is wrong"
