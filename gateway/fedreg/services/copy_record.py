"""The end of a copy: what the gateway remembers of it, in one transaction."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from fedreg.domain.errors import NotFound
from fedreg.domain.lineage import Edge, Relation, version_node
from fedreg.domain.manifest import Basis, Manifest
from fedreg.domain.models import Model, Version
from fedreg.domain.records import Change, Counterpart, Intent, IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.reports import CopyPlan
from fedreg.services.change_entries import came_with
from fedreg.services.gateway import Gateway
from fedreg.services.overflow import merge_model_values, merge_values
from fedreg.store import counterparts, digests, edges, index, intents, journal, overflow


async def record_copy(gateway: Gateway, intent_id: str, plan: CopyPlan, live: Version, manifest: Manifest) -> Any:
    """Counterpart, digests, edge, overflow, index, journal and the settled intent; returns the report."""
    pinned = plan.source
    source = Version(
        registry=plan.source_registry, model=pinned.model, version=pinned.version, identity=pinned.identity
    )
    now = gateway.now()
    digest = manifest.digest(Basis.READ)
    report = {
        "source": str(plan.source_ref),
        "target": str(Ref(live.registry, live.model).at_version(live.version)),
        "digest": digest.value,
        "files": len(manifest.entries),
        "bytes": manifest.size,
        "moved": True,
        "losses": msgspec.to_builtins(plan.losses),
    }

    models = await _made_models(gateway, plan)

    def commit(tx: Connection) -> Any:
        intent = intents.get(tx, intent_id)
        if intent is None or intent.state is IntentState.SUCCEEDED:
            return intent.result if intent else None
        for version in (source, live):
            digests.set_digest(tx, version.registry, version.identity, digest, manifest, now)
        counterparts.add(tx, _counterpart(source, live, digest.value, now))
        edges.add(
            tx, [Edge(source=version_node(source), target=version_node(live), relation=Relation.COPIED_FROM)], now
        )
        for name, value in plan.held.items():
            overflow.set_value(tx, live.registry, live.identity, name, value, now)
        for name, value in plan.model_held.items():
            overflow.set_value(tx, live.registry, overflow.model_identity(live.model), name, value, now)
        made = index.upsert_models(tx, models, now)
        index.upsert_versions(tx, [merge_values(live, plan.held)], now, None)
        copied = _change(intent, source, live, report)
        journal.append_all(tx, [*(came_with(copied, one) for one in made if one.action == "created"), copied], now)
        intents.set_state(tx, intent_id, IntentState.SUCCEEDED, result=report, now=now)
        return report

    return await gateway.store.write(commit)


async def _made_models(gateway: Gateway, plan: CopyPlan) -> list[Model]:
    """The target's model where the copy has made it: else a scan would take it for somebody else's."""
    if plan.model_draft is None:
        return []
    target = await gateway.registries.get(plan.target_registry)
    try:
        return [merge_model_values(await target.get_model(plan.target_model), plan.model_held)]
    except NotFound:
        return []


def _counterpart(source: Version, live: Version, digest: str, now: Any) -> Counterpart:
    return Counterpart(
        source_registry=source.registry,
        source_model=source.model,
        source_version=source.version,
        source_identity=source.identity,
        target_registry=live.registry,
        target_model=live.model,
        target_version=live.version,
        target_identity=live.identity,
        digest=digest,
        created_at=now,
    )


def _change(intent: Intent, source: Version, live: Version, report: dict[str, Any]) -> Change:
    return Change(
        action="copied",
        registry=live.registry,
        model=live.model,
        version=live.version,
        identity=live.identity,
        actor=intent.actor,
        before=None,
        after={"source": report["source"], "digest": report["digest"], "source_identity": source.identity},
        reason=intent.reason,
        intent_id=intent.id,
    )
