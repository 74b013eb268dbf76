"""What the stand-in of Vertex AI keeps: models, versions, operations, and the rules about them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as sdk
from google.longrunning import operations_pb2
from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2

MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
MAX_LABELS = 64
_LABEL_FILTER = re.compile(r'labels\.("?)([^"=:]+)\1(?:="?([^"]*)"?|:\*)')


class Refusal(Exception):
    """A call that is refused, with its gRPC status."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def invalid(text: str) -> Refusal:
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, text)


def missing(what: str) -> Refusal:
    return Refusal(grpc.StatusCode.NOT_FOUND, f"{what} is not found.")


def precondition(text: str) -> Refusal:
    return Refusal(grpc.StatusCode.FAILED_PRECONDITION, text)


@dataclass(frozen=True, kw_only=True)
class Ways:
    """What nobody but the service can tell, each way it could be.

    - `pending_polls`: how often an operation is looked at before it is done; -1: until `release`.
    - `upper_label`: whose label shows where model and version have one of the same key.
    - `etag_code`: how an old etag is refused. `default_delete`: what becomes of a deleted default version.
    - `upload_labels`: at which level a model's first version puts the labels that came with it.
    - `copies_labels`: whether a copy has the labels of its source. `deaf_to_done`: ListOperations ignores its filter.
    """

    pending_polls: int = 0
    upper_label: str = "version"
    etag_code: grpc.StatusCode = grpc.StatusCode.ABORTED
    default_delete: str = "refuse"
    copies_labels: bool = False
    upload_labels: str = "version"
    deaf_to_done: bool = False


@dataclass
class VersionRow:
    """One version, with what is its own."""

    number: int
    message: Any
    labels: dict[str, str]
    aliases: set[str]
    created: datetime
    updated: datetime
    deployed: list[str] = field(default_factory=list)
    evaluations: list[Any] = field(default_factory=list)
    turn: int = 0


@dataclass
class ModelRow:
    """One model, with what is its own."""

    name: str
    display_name: str
    description: str
    labels: dict[str, str]
    created: datetime
    updated: datetime
    versions: dict[int, VersionRow] = field(default_factory=dict)
    last: int = 0
    turn: int = 0

    @property
    def default(self) -> VersionRow:
        return next(row for row in self.versions.values() if "default" in row.aliases)


class State:
    """Everything of one stand-in. Times never repeat."""

    def __init__(self, ways: Ways) -> None:
        self.ways = ways
        self.models: dict[str, ModelRow] = {}
        self.operations: dict[str, Work] = {}
        self._clock = datetime.now(UTC)
        self._serial = 0

    def now(self) -> datetime:
        self._clock = max(datetime.now(UTC), self._clock + timedelta(milliseconds=1))
        return self._clock

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    # -- reading ---------------------------------------------------------------------------------------

    def model(self, name: str) -> ModelRow:
        """The row of `…/models/M`, whatever follows an `@`."""
        base = name.partition("@")[0]
        if base not in self.models:
            raise missing(f"The Model {base}")
        return self.models[base]

    def version(self, name: str) -> VersionRow:
        """The row of `M@N` or `M@alias`; of `M` the default one."""
        model, selector = self.model(name), name.partition("@")[2]
        if not selector:
            return model.default
        for row in model.versions.values():
            if selector == str(row.number) or selector in row.aliases:
                return row
        raise missing(f"The Model version {name}")

    def numbered(self, name: str) -> VersionRow:
        """The row of a name with an explicit version id."""
        if not re.fullmatch(r"[0-9]+", name.partition("@")[2]):
            raise invalid(f"{name}: a version ID must be given explicitly.")
        return self.version(name)

    def show(self, model: ModelRow, row: VersionRow, *, versioned: bool) -> Any:
        """The message of a version: the labels of both levels are merged."""
        shown = sdk.Model(row.message)
        shown.name = f"{model.name}@{row.number}" if versioned else model.name
        shown.display_name, shown.description = model.display_name, model.description
        lower, upper = (model.labels, row.labels) if self.ways.upper_label == "version" else (row.labels, model.labels)
        shown.labels = {**lower, **upper}
        shown.version_id, shown.version_aliases = str(row.number), sorted(row.aliases, reverse=True)
        shown.create_time, shown.update_time = model.created, model.updated
        shown.version_create_time, shown.version_update_time = row.created, row.updated
        shown.etag = self.etag(model, row)
        shown.deployed_models = [{"endpoint": name, "deployed_model_id": "1"} for name in row.deployed]
        shown.container_spec = None  # input only
        return shown

    def etag(self, model: ModelRow, row: VersionRow) -> str:
        return hashlib.sha256(f"{model.name} {model.turn} {row.number} {row.turn}".encode()).hexdigest()[:16]

    # -- writing ---------------------------------------------------------------------------------------

    def add_version(self, model: ModelRow, message: Any, labels: dict[str, str], aliases: Iterable[str]) -> VersionRow:
        """A new version with the next number. The first one is the default, whatever was asked for."""
        wanted = set(aliases) - {"default"} | ({"default"} if not model.versions or "default" in aliases else set())
        moment = self.now()
        for other in model.versions.values():
            other.aliases -= wanted
        model.last += 1
        row = VersionRow(model.last, message, labels, wanted, moment, moment)
        model.versions[row.number] = row
        model.updated = moment
        return row

    def touch(self, model: ModelRow, row: VersionRow | None) -> None:
        """One level has changed."""
        moment = self.now()
        if row is None:
            model.turn, model.updated = model.turn + 1, moment
        else:
            row.turn, row.updated = row.turn + 1, moment

    # -- operations ------------------------------------------------------------------------------------

    def begin(self, resource: str, kind: str, work: Callable[[], Any]) -> Any:
        """A long-running operation on a resource; done at once unless the ways say otherwise."""
        name = f"{resource.partition('@')[0]}/operations/{self.serial():019d}"
        self.operations[name] = Work(name, kind, work, self.ways.pending_polls)
        if self.ways.pending_polls == 0:
            self.operations[name].run()
        return self.operations[name].show()

    def look(self, name: str) -> Any:
        """An operation, one look nearer to its end."""
        if name not in self.operations:
            raise missing(f"Operation {name}")
        found = self.operations[name]
        if not found.done and found.left > 0:
            found.left -= 1
            if found.left == 0:
                found.run()
        return found.show()

    def release(self) -> int:
        """Carry out everything that is pending."""
        waiting = [found for found in self.operations.values() if not found.done]
        for found in waiting:
            found.run()
        return len(waiting)


@dataclass
class Work:
    """A long-running operation."""

    name: str
    kind: str
    work: Callable[[], Any]
    left: int
    done: bool = False
    answer: any_pb2.Any | None = None
    error: status_pb2.Status | None = None

    def run(self) -> None:
        """Do it; a refusal becomes the operation's error."""
        self.done = True
        try:
            self.answer = packed(self.work())
        except Refusal as refusal:
            code = refusal.code.value[0]
            self.error = status_pb2.Status(code=code, message=str(refusal))

    def show(self) -> Any:
        meta = any_pb2.Any(type_url=f"type.googleapis.com/google.cloud.aiplatform.v1.{self.kind}OperationMetadata")
        return operations_pb2.Operation(
            name=self.name, metadata=meta, done=self.done, error=self.error, response=self.answer
        )


def packed(message: Any) -> any_pb2.Any:
    """A proto-plus message, or None for Empty, in an Any."""
    found = any_pb2.Any()
    found.Pack(empty_pb2.Empty() if message is None else type(message).pb(message))
    return found


# -- rules -------------------------------------------------------------------------------------------------


def check_labels(labels: dict[str, str]) -> None:
    """At most 64; keys and values of at most 64 lowercase letters, digits, `_` and `-`; keys begin with a letter."""
    if len(labels) > MAX_LABELS:
        raise invalid(f"{len(labels)} labels, more than {MAX_LABELS}.")
    for key, value in labels.items():
        if not key[:1].isalpha():
            raise invalid(f"Label key {key!r} must begin with a letter.")
        for text in (key, value):
            if len(text) > 64 or not all(c in "_-" or (c.isalnum() and c == c.lower()) for c in text):
                raise invalid(f"Label {text!r} has invalid characters or is too long.")


def check_alias(alias: str) -> None:
    if not ALIAS.fullmatch(alias):
        raise invalid(f"Version alias {alias!r} must match {ALIAS.pattern}.")


def check_display_name(name: str) -> None:
    if not 0 < len(name) <= 128:
        raise invalid("display_name must have 1 to 128 characters.")


def label_filter(text: str) -> Callable[[dict[str, str]], bool]:
    """A filter of labels, conditions joined by AND. Anything else is refused."""
    conditions = [part.strip() for part in text.split(" AND ")] if text.strip() else []
    found = [_LABEL_FILTER.fullmatch(condition) for condition in conditions]
    if not all(found):
        raise invalid(f"Invalid filter: {text}")
    wanted = [(match.group(2), match.group(3)) for match in found if match is not None]
    return lambda labels: all(key in labels and value in (None, labels[key]) for key, value in wanted)


def ordered(rows: list[Any], order: str, times: dict[str, Callable[[Any], Any]]) -> list[Any]:
    """Sorted by the first field of an order_by."""
    first = (order or "create_time desc").split(",")[0].split()
    if not first or first[0] not in times or first[1:] not in ([], ["asc"], ["desc"]):
        raise invalid(f"Invalid order_by: {order}")
    return sorted(rows, key=times[first[0]], reverse=first[1:] == ["desc"])


def paged(rows: list[Any], size: int, token: str) -> tuple[list[Any], str]:
    """A page and the token of the next."""
    if size < 0 or (token and not token.isdigit()):
        raise invalid("Invalid page_size or page_token.")
    start, count = int(token or 0), min(size or 100, 1000)
    return rows[start : start + count], str(start + count) if start + count < len(rows) else ""
