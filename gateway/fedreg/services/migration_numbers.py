"""The same version numbers at the target.

A registry that counts by itself gives the number after the highest it has, or after the highest it ever gave. So a
hole in the source's numbers is filled with placeholder versions until the real one stands behind it, then they are
removed. Numbers below the highest can't be had any more: that is an error, never a version under another number.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import AlreadyExists, Conflict, FedregError, InvalidRequest, NotFound, RegistryError
from fedreg.domain.models import FileSource, Version, VersionDraft
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import Actor, Change
from fedreg.domain.refs import Ref
from fedreg.domain.reports import CopyPlan
from fedreg.domain.stages import Approval
from fedreg.services.gateway import Gateway
from fedreg.services.migration_listing import counts_versions
from fedreg.services.pages import walk_versions
from fedreg.store import journal

MAX_PLACEHOLDERS = 100
_NOTE = b"A placeholder of a migration by fedreg: it keeps a version number and goes when the next version is there.\n"
_PATH = "placeholder.txt"
_NEEDED = (Operation.UPLOAD, Operation.DELETE_VERSION, Operation.FIND_VERSION)


def check_number(adapter: RegistryAdapter, number: str) -> None:
    """InvalidRequest for a number that a counting registry never gives; Unsupported where holes can't be skipped."""
    if not counts_versions(adapter):
        return
    for operation in _NEEDED:
        adapter.capabilities.require(operation, registry=adapter.registry)
    if not (number.isascii() and number.isdecimal() and not number.startswith("0")):
        raise InvalidRequest(
            f"version {number!r} can't be preserved: registry {adapter.registry!r} counts 1, 2, 3, …",
            cure="migrate without --preserve-versions",
        )


async def check_room(adapter: RegistryAdapter, target: Ref, number: str) -> list[int]:
    """The numbers to fill before `number` is the next one. Raises Conflict where it can't be had."""
    check_number(adapter, number)
    if not counts_versions(adapter):
        return []
    taken = await _numbers(adapter, target.model)
    wanted, highest = int(number), max(taken, default=0)
    if wanted in taken:
        raise _refused(target, number, "another version has it", "give the model another name with --map")
    if highest >= wanted:
        raise _refused(target, number, f"version {highest} is there, and numbers only grow", "migrate in order")
    holes = list(range(highest + 1, wanted))
    if len(holes) > MAX_PLACEHOLDERS:
        raise _refused(
            target, number, f"{len(holes)} numbers before it are free", f"at most {MAX_PLACEHOLDERS} can be skipped"
        )
    return holes


async def make_room(gateway: Gateway, plan: CopyPlan, number: str, actor: Actor) -> None:
    """Fill the holes before `number`. Repeated, it goes on; where the version is there by its key, all is done.

    Raises Conflict where the number can't be had, and leaves nothing behind then.
    """
    adapter = await gateway.registries.get(plan.target_registry)
    target = Ref(plan.target_registry, plan.target_model)
    try:
        holes = await check_room(adapter, target, number)
    except Conflict:
        found = await _find(adapter, plan.target_model, plan.key)
        if found is not None and found.version == number:
            return
        raise
    if holes and plan.model_draft is not None:
        await _ensure_model(adapter, plan)
    for hole in holes:
        made = await _make(adapter, target.model, _key(plan.key, hole))
        await _note(gateway, made, actor, "created")
        if made.version != str(hole):
            await take_back_room(gateway, target, plan.key, number, actor)
            why = f"the registry goes on with {made.version}, not {hole}: it never gives a number twice"
            raise _refused(target, number, why, "migrate without --preserve-versions")


async def clear_room(gateway: Gateway, target: Ref, key: str, number: str, actor: Actor) -> None:
    """Remove the placeholders before a version that is there, the copy of `key`. Safe to repeat.

    They stand right before the version, so that the first hole without one ends the search; the lowest goes first.
    """
    adapter = await gateway.registries.get(target.registry)
    made: list[int] = []
    if counts_versions(adapter):
        for hole in range(int(number) - 1, 0, -1):
            if await _find(adapter, target.model, _key(key, hole)) is None:
                break
            made.append(hole)
    for hole in reversed(made):
        await _remove(gateway, adapter, target.model, _key(key, hole), actor)


async def take_back_room(gateway: Gateway, target: Ref, key: str, number: str, actor: Actor) -> None:
    """Remove every placeholder that was made for a version that will not come."""
    adapter = await gateway.registries.get(target.registry)
    if counts_versions(adapter):
        for hole in range(int(number) - 1, max(0, int(number) - MAX_PLACEHOLDERS - 1), -1):
            await _remove(gateway, adapter, target.model, _key(key, hole), actor)


def expect_number(target: Ref, found: str, number: str | None) -> None:
    """Conflict where a version stands under another number than was asked for."""
    if number is not None and found != number:
        raise Conflict(
            f"'{target}': the version is there as {found}, not as {number}",
            registry=target.registry,
            cure="delete that one and give the model another name with --map, or accept its number",
        )


async def _find(adapter: RegistryAdapter, model: str, key: str) -> Version | None:
    try:
        return await adapter.find_version(model, key)
    except NotFound:  # not even the model is there
        return None


async def _remove(gateway: Gateway, adapter: RegistryAdapter, model: str, key: str, actor: Actor) -> None:
    made = await _find(adapter, model, key)
    if made is None:
        return
    try:
        await adapter.delete_version(made.model, made.version)
    except NotFound:
        return
    await _note(gateway, made, actor, "deleted")
    await adapter.abort(await adapter.begin_upload(_draft(adapter, model), key))


async def _numbers(adapter: RegistryAdapter, model: str) -> set[int]:
    try:
        versions: Sequence[Version] = [version async for version in walk_versions(adapter, model)]
    except NotFound:
        return set()
    return {int(version.version) for version in versions if version.version.isdecimal()}


async def _ensure_model(adapter: RegistryAdapter, plan: CopyPlan) -> None:
    assert plan.model_draft is not None
    if adapter.capabilities.models == "implicit":  # its first version makes it
        return
    try:
        await adapter.create_model(plan.model_draft)
    except AlreadyExists:
        return


async def _make(adapter: RegistryAdapter, model: str, key: str) -> Version:
    state = await adapter.begin_upload(_draft(adapter, model), key)
    await adapter.put_file(state, FileSource(path=_PATH, size=len(_NOTE), open_at=_open))
    made = await adapter.finish(state)
    if not isinstance(made, Version):
        raise RegistryError("a placeholder is not registered at once", registry=adapter.registry)
    return made


def _draft(adapter: RegistryAdapter, model: str) -> VersionDraft:
    capabilities = adapter.capabilities
    forms = capabilities.upload.packaging if capabilities.upload else ("files",)
    return VersionDraft(
        model=model,
        description=_NOTE.decode().strip() if "description" in capabilities.fields else None,
        approval=Approval.PENDING if Approval.PENDING in capabilities.approvals else Approval.NONE,
        files={_PATH: len(_NOTE)},
        packaging=forms[0],
    )


def _key(key: str, hole: int) -> str:
    return hashlib.sha256(f"{key}\nplaceholder\n{hole}".encode()).hexdigest()[:32]


async def _open(offset: int) -> AsyncIterator[bytes]:
    yield _NOTE[offset:]


async def _note(gateway: Gateway, made: Version, actor: Actor, action: str) -> None:
    change = Change(
        action=action,
        registry=made.registry,
        model=made.model,
        version=made.version,
        identity=made.identity,
        actor=actor,
        reason="a placeholder, so that the next version keeps its number",
    )
    await gateway.store.write(lambda tx: journal.append(tx, change, gateway.now()))


def _refused(target: Ref, number: str, why: str, cure: str) -> FedregError:
    return Conflict(f"'{target}': number {number} can't be preserved: {why}", registry=target.registry, cure=cure)
