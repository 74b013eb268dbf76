"""The table of errors: which of the domain's an SDK error is.

Codes, request ids and messages are kept, credentials never are.
"""

from __future__ import annotations

import re

from botocore import exceptions as boto

from fedreg.domain.errors import (
    AlreadyExists,
    ConfigError,
    Conflict,
    FedregError,
    InvalidRequest,
    NotFound,
    Outcome,
    RateLimited,
    RegistryAuthError,
    RegistryError,
    RegistryTimeout,
    RegistryUnavailable,
)

_THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
_AUTH = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_MISSING = ("does not exist", "could not find", "cannot find", "not found")
_PRESENT = ("already exists", "already existing")
_AUTH_CURE = "check the credentials and the IAM permissions of this registry (`fedreg doctor`)"
_AUTH_CURES = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException"),
        "renew the credentials: `aws sso login` for a profile, else a new session_token with its access_key_id",
    ),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"),
        "correct access_key_id, secret_access_key and session_token of this registry, or its profile",
    ),
}


def to_domain_error(error: Exception, registry: str, operation: str) -> FedregError:
    """The domain's error for one of botocore's. Keeps code, request id and message, never a credential."""
    if isinstance(error, boto.ClientError):
        return _from_answer(error, registry, operation)
    kind, outcome, message, cure = _from_transport(error)
    return kind(
        f"{operation}: {message}",
        registry=registry,
        operation=operation,
        outcome=outcome,
        cure=cure,
        upstream_code=type(error).__name__,
    )


def _from_answer(error: boto.ClientError, registry: str, operation: str) -> FedregError:
    details, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))[:500]
    status = int(metadata.get("HTTPStatusCode", 0))
    kind, outcome, cure = _classify(code, message.lower(), status)
    if code in ("AccessDenied", "AccessDeniedException"):
        cure = _permission_cure(message, operation)
    headers = metadata.get("HTTPHeaders", {})
    return kind(
        f"{operation}: {message or code}",
        registry=registry,
        operation=operation,
        outcome=outcome,
        cure=cure,
        upstream_code=code,
        request_id=metadata.get("RequestId"),
        retry_after=_seconds(headers.get("retry-after")),
    )


def _classify(code: str, message: str, status: int) -> tuple[type[FedregError], Outcome, str | None]:
    """SageMaker says missing and duplicate in the text of a ValidationException."""
    refused = Outcome.NOT_APPLIED
    if code in _THROTTLED or status == 429:
        return RateLimited, refused, None
    if code in _AUTH or status in (401, 403):
        return RegistryAuthError, refused, _AUTH_CURES.get(code, _AUTH_CURE)
    if code in ("ResourceNotFound", "ResourceNotFoundException"):
        return NotFound, refused, None
    if code == "ResourceLimitExceeded":
        return Conflict, refused, "ask AWS for a higher quota, or delete what is not needed"
    if code in ("ConflictException", "ResourceInUse"):
        return Conflict, refused, None
    if status >= 500:
        return RegistryUnavailable, Outcome.UNKNOWN, None
    if code in ("ValidationException", "ValidationError"):
        if any(word in message for word in _MISSING):
            return NotFound, refused, None
        if any(word in message for word in _PRESENT):
            return AlreadyExists, refused, None
        return InvalidRequest, refused, None
    return RegistryError, refused, None


def _permission_cure(message: str, operation: str) -> str:
    """The action that was refused, which AWS's text names; else that of the operation."""
    named = re.search(r"perform: ([\w-]+:\w+)", message)
    service = "sts" if operation == "get_caller_identity" else "sagemaker"
    action = named.group(1) if named else f"{service}:{operation.title().replace('_', '')}"
    return f"allow {action} in the IAM policy of this identity; `fedreg doctor` shows what else is missing"


def _from_transport(error: Exception) -> tuple[type[FedregError], Outcome, str, str | None]:
    name = type(error).__name__
    if isinstance(error, (boto.ConnectTimeoutError, boto.EndpointConnectionError, boto.ProxyConnectionError)):
        return RegistryUnavailable, Outcome.NOT_APPLIED, f"can't connect ({name})", "check region and endpoint_url"
    if isinstance(error, boto.SSLError):
        return RegistryUnavailable, Outcome.NOT_APPLIED, "TLS failed", "check endpoint_url and the CA bundle"
    if isinstance(error, boto.ReadTimeoutError):
        return RegistryTimeout, Outcome.UNKNOWN, "no answer in time", None
    if isinstance(error, (boto.HTTPClientError, boto.IncompleteReadError)):
        return RegistryUnavailable, Outcome.UNKNOWN, f"the connection broke ({name})", None
    if isinstance(error, boto.ParamValidationError):
        return InvalidRequest, Outcome.NOT_APPLIED, str(error)[:500], None
    if isinstance(error, (boto.NoRegionError, boto.InvalidRegionError, boto.ProfileNotFound, ValueError)):
        return ConfigError, Outcome.NOT_APPLIED, str(error)[:200], "set region, profile or endpoint_url"
    if "Credential" in name or "Token" in name or "SSO" in name:
        return RegistryAuthError, Outcome.NOT_APPLIED, f"no usable credentials ({name})", _AUTH_CURE
    return RegistryError, Outcome.UNKNOWN, f"the SDK failed ({name})", None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None
