"""What an adapter author supplies to the conformance suite: a `Backend`, from a pytest fixture named `backend`.

A backend is one reachable registry (a stand-in, or a real server) and knows the few things about its vendor
that the suite can't: which request an action makes, how the vendor says "slow down", how to spoil stored bytes.
Methods that raise `NotProvided` are asked for only where the capability that needs them is declared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from secrets import token_hex
from typing import Protocol

from fedreg.domain.calls import Calls
from fedreg.domain.lineage import Relation
from fedreg.domain.models import Provenance, Version, VersionDraft
from fedreg.domain.port import AdapterManifest, RegistryAdapter
from fedreg.registries.calls import GuardedCalls
from fedreg.registries.policy import CallPolicy


class NotProvided(Exception):
    """The backend lacks a hook that a declared capability needs: a fault of the test's set-up, never a skip."""


class FaultKind(StrEnum):
    """What happens to a matching request.

    - `status`: answered with `status`, `headers` and `body`, not forwarded.
    - `slow`: forwarded after `delay` seconds.
    - `reset`: the connection is reset before anything is forwarded.
    - `lost_reply`: forwarded and carried out; the connection is closed instead of answered.
    - `late_apply`: the client is cut off at once; forwarded after `delay` seconds, or at `release()` where it is None.
    - `html`: a web page with status 200 instead of the answer, not forwarded.
    - `truncate`: the answer's body ends after `at` bytes, the length header still names the whole.
    - `flip_upload`, `flip_download`: one bit of the byte at `at` of the body changes on the way.
    """

    STATUS = "status"
    SLOW = "slow"
    RESET = "reset"
    LOST_REPLY = "lost_reply"
    LATE_APPLY = "late_apply"
    HTML = "html"
    TRUNCATE = "truncate"
    FLIP_UPLOAD = "flip_upload"
    FLIP_DOWNLOAD = "flip_download"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which requests are meant.

    `method` exactly (None: any); `path` a regular expression searched in the raw path with its query;
    `headers` regular expressions searched in the values of those headers (names in any case).
    """

    method: str | None = None
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault for the `nth` matching request from now on and the `times` - 1 after it (`times` 0: for ever)."""

    kind: FaultKind
    match: Match = field(default_factory=Match)
    nth: int = 1
    times: int = 1
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    delay: float | None = None
    at: int = 0


class FaultControl(Protocol):
    """Puts faults between an adapter and its vendor. `fedreg.testing.faults.FaultProxy` is one for anything HTTP."""

    def inject(self, fault: Fault) -> None:
        """Arm a fault. Several may be armed; the first that matches a request wins."""
        ...

    def clear(self) -> None:
        """Disarm everything, forget held requests and set `fired` to 0."""
        ...

    @property
    def fired(self) -> int:
        """Requests hit since the last `clear`."""
        ...

    async def release(self) -> int:
        """Carry out the requests that `late_apply` holds; returns how many, after the vendor has answered them."""
        ...


class Action(StrEnum):
    """Port calls whose main vendor request a fault is aimed at. `create_version` is the one that `finish` makes."""

    GET_MODEL = "get_model"
    LIST_MODELS = "list_models"
    LIST_VERSIONS = "list_versions"
    GET_VERSION = "get_version"
    SCAN = "scan"
    CREATE_MODEL = "create_model"
    CREATE_VERSION = "create_version"
    SET_STAGE = "set_stage"
    SET_ALIAS = "set_alias"
    SET_MODEL_TAGS = "set_model_tags"
    SET_VERSION_TAGS = "set_version_tags"
    SET_APPROVAL = "set_approval"
    PUT_FILE = "put_file"
    OPEN_FILE = "open_file"


class Trouble(StrEnum):
    """Refusals that each vendor words in its own way."""

    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    EXPIRED = "expired"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A vendor's answer to be injected."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes of files (and what wraps them) that went to the vendor and came from it so far."""

    received: int
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A message as the vendor would push it, and what it is about."""

    headers: Mapping[str, str]
    body: bytes
    model: str
    version: str | None


_GENERIC = {
    Trouble.THROTTLED: Reply(status=429, headers={"Retry-After": "0"}),
    Trouble.UNAVAILABLE: Reply(status=503),
    Trouble.EXPIRED: Reply(status=401),
    Trouble.FORBIDDEN: Reply(status=403),
}
_NO_OBJECTS = ("", "{", "null", "7", '"text"', "[7]")
_serial = count(1)


def json_reply(text: str) -> Reply:
    """An answer of status 200 that calls itself JSON."""
    return Reply(status=200, headers={"Content-Type": "application/json"}, body=text)


class Backend(ABC):
    """One registry under test. Fresh for each test, though what is behind it may be shared by a whole session.

    - `manifest`: the kind's manifest.
    - `faults`: None only for a kind that nothing can be put in front of.
    - `secrets`: texts that no error may contain (tokens, keys), as configured in `open_adapter`.
    - `big_file`: size in bytes of the suite's largest file; make it larger than one part of a multipart upload.
    - `probe_limits_up_to`: limits above this many characters or entries are not tried at the edge.
    - `deadline`: seconds for an attempt of a vendor request, under `make_calls`.
    - `short_deadline`: the same in tests of a registry that does not answer; longer than its slowest answer.
    """

    manifest: AdapterManifest
    faults: FaultControl | None = None
    secrets: Sequence[str] = ()
    big_file: int = 3 * 1024 * 1024 + 17
    probe_limits_up_to: int = 5000
    deadline: float = 5.0
    short_deadline: float = 0.5

    @property
    def kind(self) -> str:
        return self.manifest.kind

    @property
    def registry(self) -> str:
        """The name that `open_adapter` gives its adapter; the guard retries errors of this registry only."""
        return self.kind

    # -- always ----------------------------------------------------------------------------------------

    @abstractmethod
    async def open_adapter(self, calls: Calls | None = None) -> RegistryAdapter:
        """A new adapter on this registry, opened; the suite closes it. `calls` None means `self.make_calls()`."""

    def make_calls(self, *, deadline: float | None = None) -> Calls:
        """The guard for `open_adapter`: the gateway's own, with short waits and a circuit that stays closed."""
        seconds = deadline or self.deadline
        policy = CallPolicy(
            deadline=seconds, idle_deadline=seconds, backoff=0.001, backoff_max=0.01, breaker_threshold=1000
        )
        return GuardedCalls(self.registry, policy)

    def draft(self, draft: VersionDraft) -> VersionDraft:
        """The draft with what `create_requires` asks for."""
        return draft

    def unique_name(self, hint: str = "model") -> str:
        """A model name that nobody used; ASCII letters, digits and `-`, 40 characters at most."""
        return f"{hint[:20]}-{next(_serial)}-{token_hex(4)}"

    # -- faults ----------------------------------------------------------------------------------------

    def request_of(self, action: Action) -> Match:
        """The vendor request that carries an action out."""
        raise NotProvided(f"{type(self).__name__}.request_of({action.value!r}) is needed: {action.value} is declared")

    def reply(self, trouble: Trouble, action: Action) -> Reply:
        """How this vendor words a refusal of such a request. The default is a bare HTTP status."""
        return _GENERIC[trouble]

    def looping_page(self, action: Action) -> Reply:
        """A page without items whose token is always the same, for `list_models`, `list_versions` and `scan`."""
        raise NotProvided(f"{type(self).__name__}.looping_page({action.value!r}) is needed")

    def nonsense(self, action: Action) -> Sequence[Reply]:
        """Answers of status 200 that this vendor never gives to such a read: cut off, of other types, without a name.

        The default is what no JSON API answers that answers with objects. Add what is wrong inside one.
        """
        return [json_reply(text) for text in _NO_OBJECTS]

    async def traffic(self) -> Traffic:
        """Counters of file bytes; needed where uploads resume within a file."""
        raise NotProvided(f"{type(self).__name__}.traffic() is needed: upload.resume is declared 'part'")

    # -- bytes -----------------------------------------------------------------------------------------

    async def tamper(self, version: Version, path: str) -> None:
        """Change one stored byte of a file behind the registry's back, keeping its size."""
        raise NotProvided(f"{type(self).__name__}.tamper() is needed: open_file is declared")

    async def plant(self, version: Version, path: str) -> bool:
        """Store a file under a path that leads outside, behind the registry's back; False where it can't be done."""
        return False

    async def place(self, files: Mapping[str, bytes]) -> str:
        """Put bytes where `create_version` can register them, past the adapter; returns the source URI."""
        raise NotProvided(f"{type(self).__name__}.place() is needed: create_version is declared")

    async def hostile_archives(self) -> Sequence[Version]:
        """Versions whose archive holds a path or symlink that leads outside, or a bomb; for archive packagings."""
        raise NotProvided(f"{type(self).__name__}.hostile_archives() is needed: an archive packaging is declared")

    # -- beyond ----------------------------------------------------------------------------------------

    def provenance(self) -> Provenance:
        """A provenance that the registry accepts as it is."""
        return Provenance(
            run_id="0123456789abcdef0123456789abcdef",
            git_commit="9fceb02d0ae598e95dc970b74767f19372d61af8",
            git_repository="https://git.example.com/team/churn",
        )

    async def seed_lineage(self, version: Version) -> Sequence[Relation]:
        """Give a version lineage at the vendor, past the adapter; returns the relations `lineage` must show."""
        raise NotProvided(f"{type(self).__name__}.seed_lineage() is needed: lineage is declared")

    async def seed_deployment(self, version: Version) -> str:
        """Deploy a version at the vendor, past the adapter; returns the deployment's name."""
        raise NotProvided(f"{type(self).__name__}.seed_deployment() is needed: deployments is declared")

    def pushed(self, version: Version) -> Pushed:
        """A genuine message saying that this version changed."""
        raise NotProvided(f"{type(self).__name__}.pushed() is needed: parse_event is declared")

    def forged(self, version: Version) -> Sequence[Pushed]:
        """Messages that must be refused: a wrong signature, an old time. Empty where the vendor signs nothing."""
        return ()
