"""What is wrong with the registries, and the cure: their addresses, credentials and permissions."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from fedreg.domain.errors import FedregError
from fedreg.domain.models import Finding, Severity
from fedreg.domain.reports import Diagnosis
from fedreg.services.gateway import Gateway

DEADLINE = 30.0


async def diagnose(
    gateway: Gateway, registries: Collection[str] = (), *, deadline: float = DEADLINE
) -> list[Diagnosis]:
    """Findings of the registries named (all of them where none is), in that order. Changes nothing.

    They are asked at the same time; one that takes longer than `deadline` seconds is itself a finding. Raises
    NotFound for a registry that is not configured.
    """
    names = tuple(dict.fromkeys(registries)) or gateway.registries.names()
    kinds = [gateway.registries.kind(name) for name in names]
    findings = await asyncio.gather(*(_diagnose(gateway, name, deadline) for name in names))
    return [
        Diagnosis(registry=name, kind=kind, findings=tuple(found))
        for name, kind, found in zip(names, kinds, findings, strict=True)
    ]


async def _diagnose(gateway: Gateway, name: str, deadline: float) -> list[Finding]:
    try:
        async with asyncio.timeout(deadline):
            return await (await gateway.registries.get(name)).diagnose()
    except FedregError as error:
        return [_broken("open", error.message, error.cure)]
    except TimeoutError:
        cure = "check its address and the network, or wait longer"
        return [_broken("answer", f"no result within {deadline:g} s", cure)]


def _broken(check: str, message: str, cure: str | None) -> Finding:
    return Finding(check=check, severity=Severity.ERROR, message=message, cure=cure)
