"""What `fedreg doctor` finds at the Hub."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fedreg.domain.errors import NotFound
from fedreg.domain.models import Finding, Severity
from fedreg_adapters.huggingface.client import Client
from fedreg_adapters.shared.findings import check

Json = dict[str, Any]
_WRITES = "repo.write"


async def list_findings(client: Client) -> list[Finding]:
    """Address, credentials, what the token may do in the namespace, and the webhook's secret. Never raises."""
    namespace = client.options.namespace
    findings = [await check("address", lambda: _list(client))]
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
        findings += await _token(client, namespace)
    if findings[0].severity is Severity.OK:
        findings.append(await check("gated repositories", lambda: _enter(client), Severity.WARNING))
    findings.append(_webhook(client))
    return findings


async def _list(client: Client) -> str:
    await client.page("list_models", "/api/models", {"author": client.options.namespace, "limit": "1"})
    return f"a Hub answers at {client.endpoint}"


async def _token(client: Client, namespace: str) -> list[Finding]:
    """Who the token is, and what it may do in the namespace."""
    found: list[Finding] = []

    async def identify() -> str:
        who = await client.get("whoami", "/api/whoami-v2")
        found.append(_permission(who, namespace))
        return f"acting as {who.get('name')}"

    expired = "make a new token in the settings of the Hub, and set token to it"
    first = await check("credentials", identify)
    if first.severity is not Severity.OK:
        first = replace(first, cure=expired)
    return [first, *found]


async def _enter(client: Client) -> str:
    """A file of the first gated repository among the latest; RegistryAuthError where it does not let us in."""
    query = {"author": client.options.namespace, "limit": "50", "full": "true"}
    found, _ = await client.page("list_models", "/api/models", query)
    gated = [str(item["id"]) for item in found if item.get("gated")]
    if not gated:
        return "none among the latest"
    try:
        await client.send("doctor", "GET", f"/{gated[0]}/resolve/main/.gitattributes")
    except NotFound:
        return f"{gated[0]} lets us in"
    return f"{gated[0]} lets us in"


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
