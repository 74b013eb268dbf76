"""What the SageMaker stand-in remembers, and the paging all its lists share. All state lives in one `State`."""

import base64
import binascii
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .standin_errors import invalid
from .standin_validation import JSON

DEFAULT_PAGE = 10  # the documented default of MaxResults


@dataclass(frozen=True)
class Options:
    """How this stand-in behaves where the real service is slow, varies, or is not documented."""

    region: str = "eu-west-1"
    account: str = "123456789012"
    pending_describes: int = 0
    search_lag_seconds: float = 0.0
    list_order_jitter: int | None = None
    lowercase_arns: bool = False
    known_credentials: Mapping[str, str] | None = field(default=None, repr=False)
    replace_properties: bool = False


@dataclass
class Group:
    """A model package group: its description, its policy and the versions it holds."""

    document: JSON
    policy: str | None = None
    last_version: int = 0  # the highest number ever issued: numbers are never reused
    versions: dict[int, str] = field(default_factory=dict)  # number -> ARN


@dataclass
class Package:
    """A model package; `pending` describes remain before its status becomes Completed."""

    document: JSON
    pending: int = 0


@dataclass
class Credentials:
    """Temporary credentials that AssumeRole issued; `expires` in epoch seconds."""

    secret: str = field(repr=False)
    token: str = field(repr=False)
    role_arn: str
    session_arn: str
    expires: float


@dataclass
class State:
    """Everything one application holds. `now()` can be moved forward by the control path."""

    options: Options
    clock: Callable[[], float] = time.time
    clock_offset: float = 0.0
    caller_arn: str = ""
    groups: dict[str, Group] = field(default_factory=dict)  # by `group_key`
    packages: dict[str, Package] = field(default_factory=dict)  # by ARN
    package_tokens: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)  # by ARN of each taggable resource
    cards: dict[str, list[JSON]] = field(default_factory=dict)  # versions, oldest first
    lineage: dict[str, JSON] = field(default_factory=dict)  # by ARN
    associations: dict[tuple[str, str], JSON] = field(default_factory=dict)
    deployed: dict[str, dict[str, JSON]] = field(default_factory=dict)  # kind -> name -> description
    search_index: dict[str, dict[str, list[tuple[float, JSON | None]]]] = field(default_factory=dict)
    sessions: dict[str, Credentials] = field(default_factory=dict, repr=False)
    events: list[JSON] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    def now(self) -> float:
        """Epoch seconds, to the millisecond, as the service's timestamps are."""
        return round(self.clock() + self.clock_offset, 3)

    def arn(self, kind: str, resource: str) -> str:
        """The ARN of a resource of this account and region."""
        name = resource.lower() if self.options.lowercase_arns else resource
        return f"arn:aws:sagemaker:{self.options.region}:{self.options.account}:{kind}/{name}"

    def user_context(self) -> JSON:
        """CreatedBy and LastModifiedBy, as the service fills them for an IAM caller."""
        arn = self.caller_arn or f"arn:aws:iam::{self.options.account}:user/standin"
        return {"IamIdentity": {"Arn": arn, "PrincipalId": f"AIDA{digest(arn)[:17].upper()}"}}


def group_key(state: State, name: str) -> str:
    """The key of a group: its name, or the lower-cased name where ARNs are lower-cased and so collide."""
    return name.lower() if state.options.lowercase_arns else name


def name_of(state: State, kind: str, name_or_arn: str) -> str | None:
    """Return the name in `name_or_arn`, or None for an ARN of another kind, account or region."""
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    prefix, _, name = name_or_arn.partition("/")
    return name if f"{prefix}/" == state.arn(kind, "") else None


def digest(value: Any) -> str:
    """A stable fingerprint of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def list_page(
    state: State,
    operation: str,
    request: JSON,
    entries: Iterable[tuple[str, str | float, JSON]],
    *,
    descending: bool,
    default_size: int = DEFAULT_PAGE,
) -> tuple[list[JSON], JSON]:
    """Return one page of (id, sort value, item) entries, and `{"NextToken": ...}` or `{}`.

    A token marks the last item returned, so that items deleted between pages lose nothing. It is bound to the
    operation and its filters; another token is refused.
    """
    bound = digest([operation, {k: v for k, v in request.items() if k not in {"NextToken", "MaxResults"}}])
    ordered = sorted(((_sort_key(state, value, key), item) for key, value, item in entries), key=lambda e: e[0])
    if descending:
        ordered.reverse()
    if request.get("NextToken"):
        after = _read_token(request["NextToken"], bound)
        ordered = [e for e in ordered if (e[0] < after if descending else e[0] > after)]
    size = request.get("MaxResults", default_size)
    page = ordered[:size]
    if len(ordered) <= size:
        return [item for _, item in page], {}
    token = base64.urlsafe_b64encode(json.dumps([bound, page[-1][0]]).encode()).decode()
    return [item for _, item in page], {"NextToken": token}


def list_documents(
    state: State,
    operation: str,
    request: JSON,
    documents: Iterable[tuple[str, str, JSON]],
    *,
    default_order: str = "Ascending",
) -> tuple[list[JSON], JSON]:
    """Page (id, name, document) entries by the filters that every SageMaker list has: name, times, sort."""
    sort_by = request.get("SortBy", "CreationTime")
    wanted = str(request.get("NameContains", "")).lower()
    entries: list[tuple[str, str | float, JSON]] = [
        (key, name if sort_by == "Name" else document.get(sort_by) or document["CreationTime"], document)
        for key, name, document in documents
        if wanted in name.lower() and is_within(request, document)
    ]
    descending = request.get("SortOrder", default_order) == "Descending"
    return list_page(state, operation, request, entries, descending=descending)


def is_within(request: JSON, document: JSON) -> bool:
    """Whether the document's times satisfy the request's before and after filters, under both of their names."""
    created: float = document["CreationTime"]
    modified: float = document.get("LastModifiedTime") or created
    bounds = (("CreationTime", created), ("Created", created), ("LastModifiedTime", modified))
    return all(
        float(request.get(f"{name}After") or "-inf") < when < float(request.get(f"{name}Before") or "inf")
        for name, when in bounds
    )


def _sort_key(state: State, value: str | float, key: str) -> list[str | float]:
    seed = state.options.list_order_jitter
    if seed is None or isinstance(value, str):
        return [value, key]
    return [float(int(value)), digest([seed, key])]  # order within one second is the seed's, not creation's


def _read_token(token: str, bound: str) -> list[str | float]:
    try:
        found, after = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error):
        raise invalid("Invalid pagination token: it was not issued by this service.") from None
    if found != bound:
        raise invalid("Invalid pagination token: it was issued for a request with other parameters.")
    return list(after)


def iso_time(epoch: float) -> str:
    """Epoch seconds as the ISO form EventBridge carries."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def emit_package_event(state: State, document: JSON, updated: list[str]) -> None:
    """Record the EventBridge event the service would send for a change of this package."""
    carried = {
        name: value
        for name, value in document.items()
        if name not in {"CreatedBy", "LastModifiedBy", "ModelCard", "SecurityConfig"}
    }
    times = {name: iso_time(carried[name]) for name in ("CreationTime", "LastModifiedTime") if name in carried}
    detail = carried | times | {"ModelPackageName": document["ModelPackageArn"]}
    state.events.append(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "SageMaker Model Package State Change",
            "source": "aws.sagemaker",
            "account": state.options.account,
            "time": iso_time(state.now()),
            "region": state.options.region,
            "resources": [document["ModelPackageArn"]],
            "detail": detail | ({"UpdatedModelPackageFields": updated} if updated else {}),
        }
    )
