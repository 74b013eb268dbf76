"""The table of errors: which of the domain's an SDK error is. Texts about credentials are never quoted."""

from __future__ import annotations

from typing import Any

from fedreg.domain.errors import (
    AlreadyExists,
    ConfigError,
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

PERMISSIONS = {
    "get_model": "aiplatform.models.get",
    "list_models": "aiplatform.models.list",
    "list_model_versions": "aiplatform.models.list",
    "upload_model": "aiplatform.models.upload",
    "copy_model": "aiplatform.models.upload",
    "update_model": "aiplatform.models.update",
    "merge_version_aliases": "aiplatform.models.update",
    "delete_model": "aiplatform.models.delete",
    "delete_model_version": "aiplatform.models.delete",
    "list_model_evaluations": "aiplatform.modelEvaluations.list",
    "import_model_evaluation": "aiplatform.modelEvaluations.import",
    "get_artifact": "aiplatform.artifacts.get",
    "update_artifact": "aiplatform.artifacts.update and aiplatform.artifacts.create",
    "query_artifact_lineage_subgraph": "aiplatform.artifacts.get",
    "create_metadata_store": "aiplatform.metadataStores.create",
    "get_operation": "aiplatform.operations.get",
    "list_operations": "aiplatform.operations.list",
}
_KINDS: dict[str, tuple[type[FedregError], Outcome]] = {
    "INVALID_ARGUMENT": (InvalidRequest, Outcome.NOT_APPLIED),
    "OUT_OF_RANGE": (InvalidRequest, Outcome.NOT_APPLIED),
    "NOT_FOUND": (NotFound, Outcome.NOT_APPLIED),
    "ALREADY_EXISTS": (AlreadyExists, Outcome.NOT_APPLIED),
    "FAILED_PRECONDITION": (Conflict, Outcome.NOT_APPLIED),
    "ABORTED": (PreconditionFailed, Outcome.NOT_APPLIED),
    "PERMISSION_DENIED": (RegistryAuthError, Outcome.NOT_APPLIED),
    "UNAUTHENTICATED": (RegistryAuthError, Outcome.NOT_APPLIED),
    "RESOURCE_EXHAUSTED": (RateLimited, Outcome.NOT_APPLIED),
    "UNAVAILABLE": (RegistryUnavailable, Outcome.UNKNOWN),
    "DEADLINE_EXCEEDED": (RegistryTimeout, Outcome.UNKNOWN),
    "CANCELLED": (RegistryUnavailable, Outcome.UNKNOWN),
    "UNIMPLEMENTED": (RegistryError, Outcome.NOT_APPLIED),
}
_NOT_CONNECTED = ("failed to connect", "connection refused", "name resolution", "dns resolution")
_NO_GRPC = ("http1.x server", "content-type", "invalid http")  # a proxy or a web page answers


def to_domain_error(error: Exception, registry: str, operation: str) -> FedregError:
    """The domain's error of one of the SDK's, of gRPC's or of google-auth's."""
    if isinstance(error, FedregError):
        return error
    module, name = type(error).__module__, type(error).__name__
    code = _code_of(error)
    if code is not None:
        return _from_status(code, error, registry, operation)
    about: dict[str, Any] = {"registry": registry, "operation": operation, "upstream_code": name}
    if module.startswith("google.auth"):
        if name in ("TransportError", "RefreshError") and getattr(error, "retryable", False):
            return RegistryUnavailable(f"{operation}: no token could be fetched ({name})", **about)
        return RegistryAuthError(
            f"{operation}: no usable Google credentials ({name})",
            cure="set credentials_file, or run `gcloud auth application-default login`",
            **about,
        )
    if isinstance(error, TimeoutError):
        return RegistryTimeout(f"{operation}: no answer in time", outcome=Outcome.UNKNOWN, **about)
    if isinstance(error, (ValueError, TypeError, KeyError)) and not module.startswith("google"):
        return ConfigError(
            f"{operation}: the SDK refuses a value ({name})", cure="check this registry's options", **about
        )
    return not_an_answer(registry, operation, name)


def not_an_answer(registry: str, operation: str, name: str = "undecodable message") -> RegistryError:
    """What came is none of the SDK's messages."""
    return RegistryError(
        f"{operation}: what came is no answer of Vertex AI ({name})",
        registry=registry,
        operation=operation,
        outcome=Outcome.UNKNOWN,
        upstream_code=name,
        cure="check endpoint and proxies",
    )


def _code_of(error: Exception) -> str | None:
    """The name of the gRPC status, of an SDK's exception or of gRPC's own."""
    code = getattr(error, "grpc_status_code", None) or getattr(error, "code", None)
    found = code() if callable(code) else code
    name = getattr(found, "name", None)
    return str(name) if name else None


def _from_status(code: str, error: Exception, registry: str, operation: str) -> FedregError:
    kind, outcome = _KINDS.get(code, (RegistryError, Outcome.UNKNOWN))
    details = _details_of(error)
    text, cure = details[:500], None
    if any(word in details.lower() for word in _NO_GRPC):
        kind, text, cure = RegistryError, "what answers speaks no gRPC", "check endpoint and proxies"
    elif kind is RegistryUnavailable and any(word in details.lower() for word in _NOT_CONNECTED):
        outcome, cure = Outcome.NOT_APPLIED, "check endpoint, location and the network"
    elif kind is RegistryAuthError:
        text, cure = _refusal(code, operation, details)
    return kind(
        f"{operation}: {text or code}",
        registry=registry,
        operation=operation,
        outcome=outcome,
        upstream_code=code,
        cure=cure,
        retry_after=_retry_after(error) if kind is RateLimited else None,
    )


def _refusal(code: str, operation: str, details: str) -> tuple[str, str]:
    """Google's text quotes who was refused, and is not shown."""
    if code == "UNAUTHENTICATED":
        return "the credentials are expired or not accepted", "renew the credentials of this registry"
    if "SERVICE_DISABLED" in details or "has not been used in project" in details:
        return "Vertex AI is not enabled in the project", "enable aiplatform.googleapis.com in the project"
    permission = PERMISSIONS.get(operation, "aiplatform.*")
    return (
        "the credentials do not permit it",
        f"grant {permission} (roles/aiplatform.user has it) on the project, if it exists",
    )


def _details_of(error: Exception) -> str:
    found = getattr(error, "message", None) or getattr(error, "details", None)
    return str(found() if callable(found) else found or "")


def _retry_after(error: Exception) -> float | None:
    """Seconds of a google.rpc.RetryInfo, where one came."""
    for detail in getattr(error, "details", None) or ():
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return float(delay.seconds + delay.nanos / 1e9)
    return None
