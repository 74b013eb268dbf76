"""The table of errors: which of the domain's an answer of Azure is, or a failure of its SDK.

Codes, request ids and messages are kept. Texts about credentials are ours: Azure quotes who and what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from azure.core import exceptions as azure

from fedreg.domain.errors import (
    Conflict,
    FedregError,
    InvalidRequest,
    NotFound,
    Outcome,
    PreconditionFailed,
    RateLimited,
    RegistryAuthError,
    RegistryError,
    RegistryTimeout,
    RegistryUnavailable,
)

_PLACE = {
    "InvalidSubscriptionId",
    "InvalidResourceGroup",
    "ParentResourceNotFound",
    "RegistryNotFound",
    "ResourceGroupNotFound",
    "ResourceNotFound",
    "SubscriptionNotFound",
    "WorkspaceNotFound",
}
_PLACE_CURE = "check subscription, resource_group, workspace and registry of this registry"
_AUTH_CURE = "renew the credentials of this registry; `fedreg doctor` shows what they permit"
_STATUS: dict[int, tuple[type[FedregError], Outcome, str | None]] = {
    400: (InvalidRequest, Outcome.NOT_APPLIED, None),
    404: (NotFound, Outcome.NOT_APPLIED, None),
    405: (RegistryError, Outcome.NOT_APPLIED, None),
    408: (RegistryTimeout, Outcome.UNKNOWN, None),
    409: (Conflict, Outcome.NOT_APPLIED, None),
    412: (PreconditionFailed, Outcome.NOT_APPLIED, None),
    429: (RateLimited, Outcome.NOT_APPLIED, None),
}
_NOT_SENT = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "SSLCertVerificationError")


def from_answer(status: int, body: Any, headers: Mapping[str, str], registry: str, operation: str) -> FedregError:
    """The domain's error for an answer that is none of success: by its status and `details[0].code`."""
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    details = [detail for detail in error.get("details") or () if isinstance(detail, dict)]
    code = str((details[0].get("code") if details else None) or error.get("code") or status)
    text = str((details[0].get("message") if details else None) or error.get("message") or f"status {status}")[:500]
    kind, outcome, cure = _classify(status, str(error.get("code")), code, text)
    if kind is RegistryAuthError:
        text = "the credentials are refused" if status == 401 else "the credentials do not permit it"
    return kind(
        f"{operation}: {text}",
        registry=registry,
        operation=operation,
        outcome=outcome,
        cure=cure,
        upstream_code=code,
        request_id=headers.get("x-ms-request-id") or headers.get("x-ms-correlation-request-id"),
        retry_after=_retry_after(headers),
    )


def _classify(status: int, outer: str, code: str, text: str) -> tuple[type[FedregError], Outcome, str | None]:
    if status in (401, 403):
        return RegistryAuthError, Outcome.NOT_APPLIED, _permission_cure(text) if status == 403 else _AUTH_CURE
    if status == 404 and not {outer, code}.isdisjoint(_PLACE):
        return RegistryError, Outcome.NOT_APPLIED, _PLACE_CURE
    if status >= 500:
        return RegistryUnavailable, Outcome.UNKNOWN, None
    return _STATUS.get(status, (RegistryError, Outcome.NOT_APPLIED, None))


def _permission_cure(text: str) -> str:
    """The action that was refused, which Azure's text names, and a role that has it."""
    found = re.search(r"action '?(Microsoft\.[\w/.]+)'?", text)
    action = found.group(1) if found else "Microsoft.MachineLearningServices/*/models/*"
    return f"give its identity a role with {action}, such as AzureML Data Scientist"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, scale in (("retry-after-ms", 1000), ("x-ms-retry-after-ms", 1000), ("retry-after", 1)):
        text = headers.get(name, "")
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text) / scale
    return None


def from_failure(error: azure.AzureError, registry: str, operation: str) -> FedregError:
    """The domain's error where no answer came: by what happened to the connection, or to the credentials."""
    kind, outcome, message, cure = _from_failure(error)
    return kind(
        f"{operation}: {message}",
        registry=registry,
        operation=operation,
        outcome=outcome,
        cure=cure,
        upstream_code=type(error).__name__,
    )


def _from_failure(error: azure.AzureError) -> tuple[type[FedregError], Outcome, str, str | None]:
    causes = [type(cause).__name__ for cause in _causes(error)]
    unsent = any(name in _NOT_SENT for name in causes)
    outcome = Outcome.NOT_APPLIED if unsent else Outcome.UNKNOWN
    if isinstance(error, azure.ClientAuthenticationError):
        return RegistryAuthError, Outcome.NOT_APPLIED, "no usable credentials", _AUTH_CURE
    if "SSLCertVerificationError" in causes:
        cure = "set ca_bundle to the certificate authority's PEM file"
        return RegistryError, Outcome.NOT_APPLIED, "its certificate is not trusted", cure
    if isinstance(error, (azure.ServiceRequestTimeoutError, azure.ServiceResponseTimeoutError)):
        return RegistryTimeout, outcome, "no answer in time", None
    if isinstance(error, azure.ServiceRequestError) and unsent:
        return RegistryUnavailable, outcome, "it can't be reached", "check endpoint and the network"
    if isinstance(error, (azure.ServiceRequestError, azure.ServiceResponseError, azure.IncompleteReadError)):
        return RegistryUnavailable, outcome, "the connection broke", None
    return RegistryError, outcome, f"the SDK failed ({type(error).__name__})", None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and everything it wraps: causes, contexts, and what libraries keep beside."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        kept = (getattr(found, name, None) for name in ("inner_exception", "reason"))
        waiting += [found.__cause__, found.__context__, *kept, *found.args]
