"""What is wrong with the registries, and the cure."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from msgspec import Meta

from fedreg.api.context import gateway_of, principal_of
from fedreg.api.encoding import Listing, Request
from fedreg.domain.reports import Diagnosis
from fedreg.services import doctor
from fedreg.settings.sections import Role


class DoctorQuery(Request, frozen=True, kw_only=True):
    """Which registries to look at, and for how long."""

    registry: Annotated[tuple[str, ...], Meta(description="may be repeated; all of them where none is named")] = ()
    deadline: Annotated[float, Meta(gt=0, le=300, description="seconds for each registry")] = doctor.DEADLINE


async def diagnose(request: web.Request, *, query: DoctorQuery) -> Listing[Diagnosis]:
    """All registries are asked at the same time; one that hangs is a finding after the deadline."""
    gateway, principal = gateway_of(request), principal_of(request)
    principal.require(Role.OPERATOR, *query.registry)
    names = query.registry or tuple(name for name in gateway.registries.names() if principal.sees(name))
    found = await doctor.diagnose(gateway, names, deadline=query.deadline) if names else []
    return Listing(items=tuple(found))
