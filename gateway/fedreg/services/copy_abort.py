"""Removing what a copy that will not go on has left at its target."""

from __future__ import annotations

import msgspec

from fedreg.domain.errors import FedregError, NotFound
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.records import Intent
from fedreg.domain.reports import CopyPlan
from fedreg.services.gateway import Gateway


async def abort_copy(gateway: Gateway, intent: Intent) -> None:
    """Abort the upload of a copy. What can't be reached now is cleaned by the next attempt: it has the same key."""
    plan = msgspec.convert(intent.plan, CopyPlan)
    await abort_upload(await gateway.registries.get(plan.target_registry), plan)


async def abort_upload(target: RegistryAdapter, plan: CopyPlan) -> None:
    """Begin the upload again to learn its state (the same key gives the same upload), then abort it."""
    try:
        await target.abort(await target.begin_upload(plan.draft, plan.key))
    except FedregError as error:
        # The first error is the one to tell; only one that no later attempt can mend is worth another.
        if not error.retryable and not isinstance(error, NotFound):
            raise
