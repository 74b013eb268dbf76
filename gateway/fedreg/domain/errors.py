"""One error family for all of fedreg, with HTTP status, exit code and retryability.

Every surface prints the same fields: problem+json over HTTP, one line and a cure on the command line.
`outcome` says whether a failed write may have happened: only `not_applied` writes are ever repeated blindly.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar


class Outcome(StrEnum):
    """What is known of a failed write's effect at the registry."""

    NOT_APPLIED = "not_applied"
    UNKNOWN = "unknown"


class FedregError(Exception):
    """Base of all errors a user can meet.

    `message` names the field and the value at fault, `cure` says what to do about it. `details` holds
    JSON values only (candidates of an ambiguous selector, names of lost fields). Where nobody knows better, a
    class has a `usual_cure`.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    usual_cure: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        cure: str | None = None,
        registry: str | None = None,
        operation: str | None = None,
        outcome: Outcome = Outcome.NOT_APPLIED,
        upstream_code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure or self.usual_cure
        self.registry = registry
        self.operation = operation
        self.outcome = outcome
        self.upstream_code = upstream_code
        self.request_id = request_id
        self.retry_after = retry_after
        self.details = dict(details or {})

    def __str__(self) -> str:
        """The message with the registry it is about, and the cure."""
        named = self.registry is None or repr(self.registry) in self.message
        text = self.message if named else f"registry {self.registry!r}: {self.message}"
        return text if self.cure is None else f"{text} ({self.cure})"

    def to_dict(self) -> dict[str, Any]:
        """The fields every surface prints, as JSON values; absent ones left out."""
        fields = {
            "code": self.code,
            "message": self.message,
            "cure": self.cure,
            "registry": self.registry,
            "operation": self.operation,
            "retryable": self.retryable,
            "outcome": self.outcome.value,
            "upstream_code": self.upstream_code,
            "request_id": self.request_id,
            "retry_after": self.retry_after,
            "details": self.details or None,
        }
        return {key: value for key, value in fields.items() if value is not None}

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> FedregError:
        """Rebuild an error from `to_dict`, so that it survives a checkpoint or a trip over HTTP."""
        kind = ERRORS.get(str(fields.get("code")), FedregError)
        return kind(
            str(fields.get("message", "")),
            cure=fields.get("cure"),
            registry=fields.get("registry"),
            operation=fields.get("operation"),
            outcome=Outcome(fields.get("outcome", Outcome.NOT_APPLIED)),
            upstream_code=fields.get("upstream_code"),
            request_id=fields.get("request_id"),
            retry_after=fields.get("retry_after"),
            details=fields.get("details"),
        )


class InvalidRequest(FedregError):
    """The request can't be meant: a value breaks a rule that holds whatever the registry's state."""

    code, status, exit_code = "invalid_request", 400, 2
    usual_cure = "correct what the message names"


class ConfigError(FedregError):
    """The configuration can't be used; names file, key and cure."""

    code, status, exit_code = "config_error", 500, 2


class Unauthenticated(FedregError):
    """Our caller did not say who it is."""

    code, status, exit_code = "unauthenticated", 401, 6


class Forbidden(FedregError):
    """Our caller may not do this."""

    code, status, exit_code = "forbidden", 403, 6


class NotFound(FedregError):
    """A registry, model, version, alias, file or operation does not exist."""

    code, status, exit_code = "not_found", 404, 3
    usual_cure = "check the spelling; `fedreg inventory` lists what there is"


class AlreadyExists(FedregError):
    """What was to be created is there already."""

    code, status, exit_code = "already_exists", 409, 1
    usual_cure = "choose another name"


class Conflict(FedregError):
    """Somebody else is changing the same thing, or its state forbids the change."""

    code, status, exit_code = "conflict", 409, 1
    usual_cure = "look at its state, then repeat the command"


class PreconditionFailed(Conflict):
    """The state moved since the caller read it (`expected`, If-Match)."""

    code, status = "precondition_failed", 412
    usual_cure = "read it again and decide anew"


class Unsupported(FedregError):
    """The registry has no such operation, or can't hold such a value."""

    code, status, exit_code = "unsupported", 422, 6
    usual_cure = "`fedreg capabilities` shows what each registry can do"


class LossNotAccepted(FedregError):
    """The work would drop or change something; `details["losses"]` names each."""

    code, status, exit_code = "loss_not_accepted", 422, 6


class GateClosed(FedregError):
    """A gate (an approval, say) is not satisfied."""

    code, status, exit_code = "gate_closed", 422, 6


class RateLimited(FedregError):
    """The registry asked to slow down; `retry_after` in seconds where it said how long."""

    code, status, exit_code, retryable = "rate_limited", 429, 5, True
    usual_cure = "try again later, or lower `calls.rate` of this registry"


class RegistryAuthError(FedregError):
    """The registry refuses the gateway's own credentials or permissions."""

    code, status = "registry_auth_error", 502
    usual_cure = "check the credentials of this registry, and what they permit"


class RegistryError(FedregError):
    """The registry answered something it should not."""

    code, status = "registry_error", 502
    usual_cure = "check that its address is the registry's own, and look into its log"


class IntegrityError(FedregError):
    """Bytes are not what they were said to be."""

    code, status = "integrity_error", 502
    usual_cure = "do it again; if it stays so, look at the files at both ends"


class RegistryUnavailable(FedregError):
    """The registry can't be reached or says it is down."""

    code, status, exit_code, retryable = "registry_unavailable", 503, 5, True
    usual_cure = "check the registry's address and the network, then try again"


class RegistryTimeout(FedregError):
    """The registry did not answer in time."""

    code, status, exit_code, retryable = "registry_timeout", 504, 5, True
    usual_cure = "try again, or raise the deadlines in `calls` of this registry"


class Incomplete(FedregError):
    """A batch has run to its end, and not everything arrived; its report has a row for each item."""

    code, status, exit_code = "incomplete", 409, 7
    usual_cure = "mend what its report names, then run the same command again: what has arrived is not moved twice"


class StoreBusy(FedregError):
    """Another process owns the gateway's store; `details` holds its `pid` and, where it serves, its `address`."""

    code, status, exit_code, retryable = "store_busy", 503, 5, True


class StoreError(FedregError):
    """The gateway's own store could not do its work: disk full, file damaged, closed."""

    code, status = "store_error", 500
    usual_cure = "look at the disk's space and the store's file"


class StoreUnavailable(StoreError):
    """The store's server can't be reached, or cut the connection; what was to be written is not."""

    code, status, exit_code, retryable = "store_unavailable", 503, 5, True
    usual_cure = "look whether the server runs"


class LeaseLost(StoreError):
    """This gateway was not seen for longer than its lease, and another one has taken over what it was doing."""

    code, status, exit_code, retryable = "lease_lost", 503, 5, True
    usual_cure = "nothing: the operation goes on at the other gateway"


class GatewayError(FedregError):
    """What answers at the gateway's address is no gateway, or something between mangles its answers."""

    code, status = "gateway_error", 502


class GatewayUnavailable(FedregError):
    """The gateway can't be reached at its address, or was cut off."""

    code, status, exit_code, retryable = "gateway_unavailable", 503, 5, True


class EngineClosed(FedregError):
    """The engine is closing or not launched; work that was accepted goes on when it is launched again."""

    code, status, exit_code, retryable = "engine_closed", 503, 5, True
    usual_cure = "try again when the gateway runs"


class Cancelled(FedregError):
    """The operation was cancelled by a caller."""

    code, status, exit_code = "cancelled", 409, 1
    usual_cure = "start it again, if it was not meant to end"


class WaitEnded(FedregError):
    """The caller's patience ran out; what it waits for goes on."""

    code, status, exit_code = "wait_ended", 504, 5


def _family(root: type[FedregError]) -> dict[str, type[FedregError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_family(child))
    return found


ERRORS: Mapping[str, type[FedregError]] = _family(FedregError)
