"""What `fedreg doctor` finds at the Hub."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fedreg.domain.errors import FedregError
from fedreg.domain.models import Finding, Severity
from fedreg_adapters.huggingface.client import Client

Json = dict[str, Any]
_WRITES = "repo.write"


async def list_findings(client: Client) -> list[Finding]:
    """Address, credentials, what the token may do in the namespace, and the webhook's secret. Never raises."""
    namespace = client.options.namespace
    findings = [await _check("address", lambda: _list(client))]
    if not client.options.token:
        findings.append(
            Finding(
                check="credentials",
                severity=Severity.WARNING,
                message="no token is configured: public repositories can be read, nothing can be written",
                cure="set token, to a token that may write to the repositories of the namespace",
            )
        )
    else:
        try:
            who = await client.get("whoami", "/api/whoami-v2")
        except FedregError as error:
            findings.append(
                Finding(
                    check="credentials",
                    severity=Severity.ERROR,
                    message=error.message,
                    cure="make a new token in the settings of the Hub, and set token to it",
                )
            )
        else:
            findings += [_identity(who), _permission(who, namespace)]
    findings.append(_webhook(client))
    return findings


async def _check(check: str, probe: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(check=check, severity=Severity.OK, message=await probe())
    except FedregError as error:
        return Finding(check=check, severity=Severity.ERROR, message=error.message, cure=error.cure)


async def _list(client: Client) -> str:
    await client.page("list_models", "/api/models", {"author": client.options.namespace, "limit": "1"})
    return f"a Hub answers at {client.endpoint}"


def _identity(who: Json) -> Finding:
    return Finding(check="credentials", severity=Severity.OK, message=f"acting as {who.get('name')}")


def _permission(who: Json, namespace: str) -> Finding:
    """Whether the token may write in the namespace, as far as the Hub says so."""
    check = f"permission {_WRITES} in {namespace}"
    spaces = {str(who.get("name")), *(str(org.get("name")) for org in who.get("orgs") or () if isinstance(org, dict))}
    if namespace not in spaces:
        return Finding(
            check=check,
            severity=Severity.WARNING,
            message=f"{who.get('name')} is not in {namespace}: its public repositories can be read",
            cure=f"use a token of a member of {namespace}, or set namespace to one of: {', '.join(sorted(spaces))}",
        )
    token = ((who.get("auth") or {}).get("accessToken")) or {}
    role = token.get("role")
    if role == "write" or (role == "fineGrained" and _grants(token.get("fineGrained"), namespace)):
        return Finding(check=check, severity=Severity.OK, message=f"granted (role {role})")
    if role is None:
        return Finding(check=check, severity=Severity.OK, message="the Hub does not say what the token may do")
    return Finding(
        check=check,
        severity=Severity.WARNING,
        message=f"the token has role {role}: models can be read, not written",
        cure="set token to one with the role write, or a fine-grained one with 'Write access to contents/settings of "
        f"all repos' under {namespace} ({_WRITES})",
    )


def _grants(scopes: Any, namespace: str) -> bool:
    """Whether a fine-grained token may write to a namespace's repositories."""
    rows = scopes.get("scoped") if isinstance(scopes, dict) else None
    return any(
        (row.get("entity") or {}).get("name") == namespace and _WRITES in (row.get("permissions") or ())
        for row in rows or ()
        if isinstance(row, dict)
    )


def _webhook(client: Client) -> Finding:
    if client.options.webhook_secret:
        return Finding(check="webhook_secret", severity=Severity.OK, message="events are accepted")
    return Finding(
        check="webhook_secret",
        severity=Severity.WARNING,
        message="none is configured: the Hub's events are not accepted, and changes are seen by scans only",
        cure="set webhook_secret, and make a webhook at the Hub with the same secret",
    )
