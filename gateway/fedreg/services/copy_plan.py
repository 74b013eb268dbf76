"""The plan of a copy: everything pinned and counted before the first byte moves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import InvalidRequest, NotFound, Unsupported
from fedreg.domain.manifest import is_payload
from fedreg.domain.models import FileEntry, ModelDraft, Version, VersionDraft, VersionStatus
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import Counterpart
from fedreg.domain.refs import Ref
from fedreg.domain.reports import CopyPlan, Loss
from fedreg.services.fidelity import accept_losses, fit_model, fit_version, list_spellings
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_model_overflow
from fedreg.services.selectors import resolve
from fedreg.store import counterparts


async def plan_copy(
    gateway: Gateway,
    source: Ref,
    target: Ref,
    *,
    allow_lossy: Iterable[str] | None = None,
    packaging: str | None = None,
    version: str | None = None,
    model_exists: bool = False,
) -> CopyPlan:
    """Pin the source, look for a copy that is already there, count files, and name every loss.

    `version` asks for a number, where the target takes one from its caller. `model_exists`: the caller knows that the
    target model is there.

    Raises NotFound, InvalidRequest, Unsupported, LossNotAccepted. Writes nothing.
    """
    if target.selector is not None:
        raise InvalidRequest(
            f"target '{target}' names a version", cure=f"name the model only: {Ref(target.registry, target.model)}"
        )
    pinned = await resolve(gateway, source)
    if (pinned.registry, pinned.model) == (target.registry, target.model):
        raise InvalidRequest(f"source and target are the same model '{target}'", cure="name another target")
    if pinned.status is not VersionStatus.READY:
        raise InvalidRequest(f"version '{source}' is {pinned.status.value}, not ready", cure="copy it when it is ready")
    source_adapter = await gateway.registries.get(pinned.registry)
    target_adapter = await gateway.registries.get(target.registry)
    for adapter, operation in ((source_adapter, Operation.OPEN_FILE), (target_adapter, Operation.UPLOAD)):
        adapter.capabilities.require(operation, registry=adapter.registry)
    files = {entry.path: entry.size for entry in await list_payload(source_adapter, pinned)}
    fitted = fit_version(pinned, target.model, target_adapter.capabilities, target=target.registry)
    model_draft, model_held, model_losses = (
        (None, {}, ())
        if model_exists
        else await _fit_new_model(gateway, source_adapter, target_adapter, pinned.model, target.model)
    )
    implicit = target_adapter.capabilities.models == "implicit"
    manifest = gateway.registries.manifest(target.registry)
    spelled = list_spellings(manifest, target=target.registry, model=target.model, files=files)
    losses = (*fitted.losses, *model_losses, *spelled)
    accept_losses(losses, allow_lossy)
    return CopyPlan(
        source=pinned.id,
        source_registry=pinned.registry,
        target_registry=target.registry,
        target_model=target.model,
        key=copy_key(pinned, target),
        files=files,
        draft=replace(_announce(fitted.draft, files, packaging, target_adapter), version=version),
        model_draft=model_draft,
        held=fitted.held,
        model_held=model_held,
        losses=losses,
        already_at=await find_counterpart(gateway, pinned, target, target_adapter),
        describes_model=implicit and model_draft is not None and bool(model_draft.description or model_draft.tags),
    )


async def list_payload(adapter: RegistryAdapter, version: Version) -> list[FileEntry]:
    """The files of a version that count, sorted by path bytes. Unsupported for a version without any."""
    entries = await adapter.list_files(version.model, version.version)
    payload = [entry for entry in entries if is_payload(entry.path, adapter.capabilities.registry_files)]
    if not payload:
        raise Unsupported(
            f"version {version.version!r} of model {version.model!r} has no files",
            registry=adapter.registry,
            cure="only versions with files can be copied or compared",
        )
    return sorted(payload, key=lambda entry: entry.path.encode("utf-8", "surrogatepass"))


async def find_counterpart(gateway: Gateway, version: Version, target: Ref, adapter: RegistryAdapter) -> str | None:
    """The version at the target that is a verified copy and still there."""
    known: Counterpart | None = await gateway.store.read(
        lambda conn: counterparts.find(conn, version.registry, version.identity, target.registry, target.model)
    )
    if known is None:
        return None
    try:
        live = await adapter.get_version(known.target_model, known.target_version)
    except NotFound:
        return None
    same = live.identity == known.target_identity and live.status is VersionStatus.READY
    return live.version if same else None


def copy_key(version: Version, target: Ref) -> str:
    """The idempotency key of copying this version there: 32 hex digits."""
    text = "\n".join((version.registry, version.identity, target.registry, target.model))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _announce(
    draft: VersionDraft, files: Mapping[str, int], packaging: str | None, adapter: RegistryAdapter
) -> VersionDraft:
    upload = adapter.capabilities.upload
    forms = upload.packaging if upload else ()
    if packaging is not None and packaging not in forms:
        raise InvalidRequest(
            f"packaging {packaging!r}: registry {adapter.registry!r} has no such form",
            cure=f"use one of: {', '.join(forms)}",
        )
    return replace(draft, files=dict(files), packaging=packaging or forms[0])


async def _fit_new_model(
    gateway: Gateway, source: RegistryAdapter, target: RegistryAdapter, source_model: str, target_model: str
) -> tuple[ModelDraft | None, dict[str, Any], tuple[Loss, ...]]:
    """The model to create at the target with what it can hold of the source's; None where it exists.

    An implicit one comes with its first version, and is described after that.
    """
    try:
        await target.get_model(target_model)
    except NotFound:
        [model] = await merge_model_overflow(gateway, [await source.get_model(source_model)])
        return fit_model(model, target_model, target.capabilities, target=target.registry)
    return None, {}, ()
