"""Bad input, each kind as one case on every surface it can come through.

Long because it is a table: a case says what is sent, how it must end, and what the answer must name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedreg.domain.links import Gate, Link, Rule
from fedreg.domain.records import InventoryQuery
from fedreg_adapters.memory.standin_faults import Mishap, VendorError

from .mistakes import MISTAKES
from .sagemaker import SageMaker
from .world import COMMAND, HTTP, PYTHON, REMOTE, SECRET, SERVE, SURFACES, URL, Ask, World

R = "/v1/registries"
CHURN = f"{R}/left/models/churn"
ONE = f"{CHURN}/versions/1"
# What a copy that fails leaves: the record that it did.
OPERATION = ("intents",)
HOOK = "https://hook.example/in"
BAD_RULE = "version.tags = 1"

Prepare = Callable[[World, SageMaker], None]


def nothing(world: World, sagemaker: SageMaker) -> None:
    """Nothing to prepare."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """`exit` and `status` are how it ends on the command line and over HTTP, `error` in Python.

    `in_process` and `remote`: whether command line and Python can meet it there.
    `names`: what the message must name, field and value. `cure`: what the cure must say. `touches`: tables of the
    store that may change all the same.
    """

    name: str
    exit: int
    status: int
    error: str
    names: tuple[str, ...]
    cure: str
    cli: tuple[str, ...] | None = None
    http: tuple[Ask, ...] = ()
    python: Callable[[Any], Any] | None = None
    prepare: Prepare = nothing
    touches: tuple[str, ...] = ()
    in_process: bool = True
    remote: bool = True

    @property
    def surfaces(self) -> tuple[str, ...]:
        given = {
            COMMAND: self.cli and self.in_process,
            URL: self.cli and self.remote,
            HTTP: self.http,
            PYTHON: self.python and self.in_process,
            REMOTE: self.python and self.remote,
        }
        return tuple(surface for surface, asked in given.items() if asked)


def get(path: str) -> tuple[Ask, ...]:
    return (Ask("GET", path),)


def post(path: str, body: Any) -> tuple[Ask, ...]:
    return (Ask("POST", path, body),)


def put(path: str, body: Any) -> tuple[Ask, ...]:
    return (Ask("PUT", path, body),)


def refusing(code: str, operation: str = "*") -> Prepare:
    """SageMaker refuses with an error code of its own."""

    def prepare(world: World, sagemaker: SageMaker) -> None:
        sagemaker.refusals[operation] = code

    return prepare


def mishap(registry: str, call: str, code: str) -> Prepare:
    """The in-memory service refuses a call, for ever."""

    def prepare(world: World, sagemaker: SageMaker) -> None:
        error = VendorError(code, "too many")
        world.vendor(registry).mishaps.planned.append(Mishap("refuse", call, times=0, error=error))

    return prepare


def guarded(token: str | None, role: str = "admin") -> Prepare:
    """A gateway that knows one caller, whose token is SECRET; ours shows `token`."""

    def prepare(world: World, sagemaker: SageMaker) -> None:
        digest = hashlib.sha256(SECRET.encode()).hexdigest()
        caller = f"{{subject: ci, sha256: {digest}, roles: [{role}]}}"
        world.config.write_text(f"{world.config.read_text()}auth: {{tokens: [{caller}]}}\n")
        world.token = token

    return prepare


def elsewhere(address: str) -> Prepare:
    """No gateway is where callers look for one."""

    def prepare(world: World, sagemaker: SageMaker) -> None:
        world.elsewhere = address or sagemaker.url

    return prepare


def scanned(world: World, sagemaker: SageMaker) -> None:
    """The index has been filled."""
    world.python(lambda fed: fed.refresh(["left"]))


def borrow_cursor(fed: Any) -> Any:
    """The cursor of one query, used in another one."""
    page = fed.inventory(InventoryQuery(registries=("left",), limit=1), versions=True)
    assert page.next_cursor is not None
    other = InventoryQuery(registries=("left",), stage="production", limit=1, cursor=page.next_cursor)
    return fed.inventory(other, versions=True)


def writing(text: str | bytes) -> Prepare:
    """The file `link.yaml`, which the command line is given."""

    def prepare(world: World, sagemaker: SageMaker) -> None:
        (world.home / "link.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())

    return prepare


def linked(link: str) -> Prepare:
    """The configuration has a link `churn` of left and right."""

    def prepare(world: World, sagemaker: SageMaker) -> None:
        members = "members: ['left:churn', 'right:churn']"
        world.config.write_text(f"{world.config.read_text()}links: {{churn: {{{members}, {link}}}}}\n")

    return prepare


def set_link(**more: Any) -> Callable[[Any], Any]:
    """The link made and set in Python."""
    given = {"members": ("left:churn", "right:churn"), "authority": "left", **more}
    return lambda fed: fed.set_link("churn", Link(**given))


def hook(**given: Any) -> Callable[[Any], Any]:
    """The webhook set in Python."""
    return lambda fed: fed.set_webhook(**{"webhook_id": "hook", "url": HOOK, **given})


UNKNOWN = (
    Case(
        name="unknown registry",
        exit=3,
        status=404,
        error="NotFound",
        names=("registry", "lefft"),
        cure="left",
        cli=("show", "lefft:churn"),
        http=get(f"{R}/lefft/models/churn"),
        python=lambda fed: fed.show("lefft:churn"),
    ),
    Case(
        name="unknown registry to copy to",
        exit=3,
        status=404,
        error="NotFound",
        names=("registry", "rihgt"),
        cure="right",
        cli=("copy", "left:churn@version:1", "rihgt:churn"),
        http=post("/v1/copies", {"source": "left:churn@version:1", "target": "rihgt:churn"}),
        python=lambda fed: fed.copy("left:churn@version:1", "rihgt:churn"),
    ),
    Case(
        name="unknown registry to migrate to",
        exit=3,
        status=404,
        error="NotFound",
        names=("registry", "rihgt"),
        cure="right",
        cli=("migrate", "left", "rihgt"),
        http=post("/v1/migrations", {"source": "left", "target": "rihgt"}),
        python=lambda fed: fed.migrate("left", "rihgt"),
    ),
    Case(
        name="unknown registry in a filter",
        exit=3,
        status=404,
        error="NotFound",
        names=("registry", "lefft"),
        cure="left",
        cli=("inventory", "--registry", "lefft"),
        http=get("/v1/models?registry=lefft"),
        python=lambda fed: fed.inventory(InventoryQuery(registries=("lefft",))),
    ),
    Case(
        name="unknown model",
        exit=3,
        status=404,
        error="NotFound",
        names=("model", "chrun"),
        cure="inventory",
        cli=("show", "left:chrun"),
        http=get(f"{R}/left/models/chrun"),
        python=lambda fed: fed.show("left:chrun"),
    ),
    Case(
        name="unknown version",
        exit=3,
        status=404,
        error="NotFound",
        names=("left:churn@version:9",),
        cure="inventory --versions",
        cli=("promote", "left:churn@version:9", "--to", "production"),
        http=put(f"{CHURN}/versions/9/stage", {"stage": "production"}),
        python=lambda fed: fed.promote("left:churn@version:9", "production"),
    ),
    Case(
        name="unknown version to copy",
        exit=3,
        status=404,
        error="NotFound",
        names=("left:churn@version:9",),
        cure="inventory --versions",
        cli=("copy", "left:churn@version:9", "right:churn"),
        http=post("/v1/copies", {"source": "left:churn@version:9", "target": "right:churn"}),
        python=lambda fed: fed.copy("left:churn@version:9", "right:churn"),
    ),
    Case(
        name="unknown alias",
        exit=3,
        status=404,
        error="NotFound",
        names=("left:churn@alias:champion",),
        cure="inventory --versions",
        cli=("show", "left:churn@alias:champion"),
        http=get(f"{CHURN}/versions/@alias:champion"),
        python=lambda fed: fed.show("left:churn@alias:champion"),
    ),
    Case(
        name="unknown alias to take away",
        exit=3,
        status=404,
        error="NotFound",
        names=("alias", "champion", "left:churn"),
        cure="fedreg show",
        cli=("alias", "left:churn", "champion", "--delete"),
        http=(Ask("DELETE", f"{CHURN}/aliases/champion"),),
        python=lambda fed: fed.delete_alias("left:churn", "champion"),
    ),
    Case(
        name="stage that no version holds",
        exit=3,
        status=404,
        error="NotFound",
        names=("left:churn@stage:production",),
        cure="inventory --versions",
        cli=("show", "left:churn@stage:production"),
        http=get(f"{CHURN}/versions/@stage:production"),
        python=lambda fed: fed.show("left:churn@stage:production"),
    ),
    Case(
        name="no such stage",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("stage", "Prod!"),
        cure="production",
        cli=("promote", "left:churn@version:1", "--to", "Prod!"),
        http=put(f"{ONE}/stage", {"stage": "Prod!"}),
        python=lambda fed: fed.promote("left:churn@version:1", "Prod!"),
    ),
    Case(
        name="no such decision",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("approvd",),
        cure="approv",
        cli=("approval", "left:churn@version:1", "approvd"),
        http=put(f"{ONE}/approval", {"decision": "approvd"}),
        python=lambda fed: fed.set_approval("left:churn@version:1", "approvd"),
    ),
    Case(
        name="unknown operation",
        exit=3,
        status=404,
        error="NotFound",
        names=("operation", "copy-none"),
        cure="operations",
        cli=("operations", "show", "copy-none"),
        http=get("/v1/operations/copy-none"),
        python=lambda fed: fed.operation("copy-none"),
    ),
    Case(
        name="ambiguous selector",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("left:churn@staging", "left:churn@version:1", "left:churn@version:2"),
        cure="name one",
        cli=("show", "left:churn@staging"),
        http=get(f"{CHURN}/versions/@staging"),
        python=lambda fed: fed.show("left:churn@staging"),
    ),
    Case(
        name="model where a version is meant",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("left:churn",),
        cure="@version:",
        cli=("copy", "left:churn", "right:churn"),
        http=post("/v1/copies", {"source": "left:churn", "target": "right:churn"}),
        python=lambda fed: fed.copy("left:churn", "right:churn"),
    ),
    Case(
        name="reference without a registry",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("reference", "churn"),
        cure="REGISTRY:MODEL",
        cli=("copy", "churn@version:1", "right:churn"),
        http=post("/v1/copies", {"source": "churn@version:1", "target": "right:churn"}),
        python=lambda fed: fed.copy("churn@version:1", "right:churn"),
    ),
)

LIMITS = (
    Case(
        name="name past the registry's limit",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("name", "257", "256"),
        cure="256",
        cli=("create", f"sm:{'n' * 257}"),
        http=post(f"{R}/sm/models", {"name": "n" * 257}),
        python=lambda fed: fed.create_model(f"sm:{'n' * 257}"),
    ),
    Case(
        name="description past the registry's limit",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("description", "501", "500"),
        cure="500",
        cli=("create", "left:new", "--description", "d" * 501),
        http=post(f"{R}/left/models", {"name": "new", "description": "d" * 501}),
        python=lambda fed: fed.create_model("left:new", description="d" * 501),
    ),
    Case(
        name="alias past the registry's limit",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("alias", "aaaa", "64", "63"),
        cure="63",
        cli=("alias", "left:churn@version:1", "a" * 64),
        http=put(f"{CHURN}/aliases/{'a' * 64}", {"version": "1"}),
        python=lambda fed: fed.set_alias("left:churn@version:1", "a" * 64),
    ),
    Case(
        name="alias with characters the registry refuses",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("alias", "Best One"),
        cure="must match",
        cli=("alias", "left:churn@version:1", "Best One"),
        http=put(f"{CHURN}/aliases/Best%20One", {"version": "1"}),
        python=lambda fed: fed.set_alias("left:churn@version:1", "Best One"),
    ),
    Case(
        name="tag's key past the registry's limit",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("tag key", "kkkk", "65", "64"),
        cure="64",
        cli=("tag", "left:churn@version:1", f"{'k' * 65}=1"),
        http=(Ask("PATCH", ONE, {"tags": {"k" * 65: "1"}}),),
        python=lambda fed: fed.set_tags("left:churn@version:1", {"k" * 65: "1"}),
    ),
    Case(
        name="tag's value past the registry's limit",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("tag", "team", "201", "200"),
        cure="200",
        cli=("tag", "left:churn@version:1", f"team={'v' * 201}"),
        http=(Ask("PATCH", ONE, {"tags": {"team": "v" * 201}}),),
        python=lambda fed: fed.set_tags("left:churn@version:1", {"team": "v" * 201}),
    ),
    Case(
        name="more tags than the registry holds",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("tags", "21", "20"),
        cure="remove",
        cli=("tag", "left:churn", *(f"k{n}=1" for n in range(21))),
        http=(Ask("PATCH", CHURN, {"tags": {f"k{n}": "1" for n in range(21)}}),),
        python=lambda fed: fed.set_tags("left:churn", {f"k{n}": "1" for n in range(21)}),
    ),
)

REGISTRIES = (
    Case(
        name="unreachable registry",
        exit=5,
        status=503,
        error="RegistryUnavailable",
        names=("down", "127.0.0.1"),
        cure="address",
        cli=("show", "down:churn"),
        http=get(f"{R}/down/models/churn"),
        python=lambda fed: fed.show("down:churn"),
    ),
    Case(
        name="unreachable registry to copy to",
        exit=5,
        status=503,
        error="RegistryUnavailable",
        names=("down", "127.0.0.1"),
        cure="address",
        cli=("copy", "left:churn@version:1", "down:churn"),
        http=post("/v1/copies", {"source": "left:churn@version:1", "target": "down:churn"}),
        python=lambda fed: fed.copy("left:churn@version:1", "down:churn"),
    ),
    Case(
        name="wrong credentials",
        exit=1,
        status=502,
        error="RegistryAuthError",
        names=("sm", "token", "invalid"),
        cure="access_key_id",
        cli=("show", "sm:churn"),
        http=get(f"{R}/sm/models/churn"),
        python=lambda fed: fed.show("sm:churn"),
        prepare=refusing("UnrecognizedClientException"),
    ),
    Case(
        name="expired token",
        exit=1,
        status=502,
        error="RegistryAuthError",
        names=("sm", "token", "expired"),
        cure="renew",
        cli=("show", "sm:churn"),
        http=get(f"{R}/sm/models/churn"),
        python=lambda fed: fed.show("sm:churn"),
        prepare=refusing("ExpiredTokenException"),
    ),
    Case(
        name="missing permission",
        exit=1,
        status=502,
        error="RegistryAuthError",
        names=("sm", "create_model", "not authorized"),
        cure="IAM policy",
        cli=("create", "sm:churn"),
        http=post(f"{R}/sm/models", {"name": "churn"}),
        python=lambda fed: fed.create_model("sm:churn"),
        prepare=refusing("AccessDeniedException", "CreateModelPackageGroup"),
        touches=("intents", "effects"),
    ),
    Case(
        name="missing permission to promote",
        exit=1,
        status=502,
        error="RegistryAuthError",
        names=("left", "churn", "do not permit"),
        cure="permit",
        cli=("promote", "left:churn@version:1", "--to", "production"),
        http=put(f"{ONE}/stage", {"stage": "production"}),
        python=lambda fed: fed.promote("left:churn@version:1", "production"),
        prepare=mishap("left", "pointer.set", "not-allowed"),
        touches=("intents", "effects"),
    ),
    Case(
        name="registry that is full, for a new model",
        exit=1,
        status=409,
        error="Conflict",
        names=("sm", "create_model", "limit", "500"),
        cure="quota",
        cli=("create", "sm:churn"),
        http=post(f"{R}/sm/models", {"name": "churn"}),
        python=lambda fed: fed.create_model("sm:churn"),
        prepare=refusing("ResourceLimitExceeded", "CreateModelPackageGroup"),
        touches=("intents", "effects"),
    ),
)

SENT = (
    Case(
        name="stage moved on since it was read",
        exit=1,
        status=412,
        error="PreconditionFailed",
        names=("'none', not 'staging'",),
        cure="read it again",
        cli=("promote", "left:churn@version:1", "--to", "production", "--expected", "staging"),
        http=put(f"{ONE}/stage", {"stage": "production", "expected": "staging"}),
        python=lambda fed: fed.promote("left:churn@version:1", "production", expected="staging"),
    ),
    Case(
        name="If-Match lost",
        exit=1,
        status=412,
        error="PreconditionFailed",
        names=("left:churn@version:1", "changed"),
        cure="read it again",
        http=(Ask("PATCH", ONE, {"description": "late"}, {"If-Match": '"0123"'}),),
    ),
    Case(
        name="If-Match lost, deleting",
        exit=1,
        status=412,
        error="PreconditionFailed",
        names=("left:churn@version:1", "changed"),
        cure="read it again",
        http=(Ask("DELETE", ONE, None, {"If-Match": '"0123"'}),),
    ),
    Case(
        name="body that is not JSON",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("body", "JSON"),
        cure="JSON object",
        http=post(f"{R}/left/models", b"name=new"),
    ),
    Case(
        name="body that is too large",
        exit=2,
        status=413,
        error="InvalidRequest",
        names=("body", "4096"),
        cure="server.max_body",
        http=post(f"{R}/left/models", {"name": "n" * 5000}),
    ),
    Case(
        name="body of the wrong type",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("body.name", "7"),
        cure="give text",
        http=post(f"{R}/left/models", {"name": 7}),
    ),
    Case(
        name="body that is no object",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("body", "array"),
        cure="name, description",
        http=post(f"{R}/left/models", ["new"]),
    ),
    Case(
        name="body with an unknown field",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("body", "descripton"),
        cure="description",
        http=post(f"{R}/left/models", {"name": "new", "descripton": "d"}),
    ),
    Case(
        name="unknown query parameter",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("query", "stgae"),
        cure="stage",
        http=get("/v1/models?stgae=production"),
    ),
    Case(
        name="unknown option",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("--stgae",),
        cure="--stage",
        cli=("inventory", "--stgae", "production"),
    ),
    Case(
        name="unknown command",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("inventroy",),
        cure="inventory",
        cli=("inventroy",),
    ),
    Case(
        name="limit out of range",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("limit", "0"),
        cure="a whole number >= 1",
        http=get("/v1/models?limit=0"),
    ),
    Case(
        name="forged cursor",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("cursor",),
        cure="next_cursor",
        http=get("/v1/versions?registry=left&cursor=Zm9yZ2VkZm9yZ2VkZm9yZ2Vk"),
        python=lambda fed: fed.inventory(InventoryQuery(registries=("left",), cursor="Zm9yZ2VkZm9yZ2VkZm9yZ2Vk")),
    ),
    Case(
        name="cursor of another query",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("cursor",),
        cure="with the same filters",
        http=(
            Ask("GET", "/v1/versions?registry=left&limit=1"),
            Ask("GET", "/v1/versions?registry=left&stage=production&limit=1&cursor={next_cursor}"),
        ),
        python=borrow_cursor,
        prepare=scanned,
    ),
    Case(
        name="forged cursor of a live list",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("cursor",),
        cure="next_cursor",
        http=get(f"{CHURN}/versions?cursor=Zm9yZ2Vk"),
    ),
    Case(
        name="past time in the future",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=(
            "as_of",
            "2100",
        ),
        cure="a time that has been",
        cli=("inventory", "--as-of", "2100-01-01"),
        http=get("/v1/models?as_of=2100-01-01T00:00:00Z"),
    ),
    Case(
        name="past time with a scan",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("as",),
        cure="one of them",
        cli=("inventory", "--as-of", "2026-01-01", "--refresh"),
        http=get("/v1/models?as_of=2026-01-01T00:00:00Z&refresh=true"),
    ),
    Case(
        name="past time in another order",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("sort",),
        cure="leave sort out",
        cli=("inventory", "--as-of", "2026-01-01", "--sort", "-stage_since"),
        http=get("/v1/models?as_of=2026-01-01T00:00:00Z&sort=-stage_since"),
    ),
    Case(
        name="past time that is none",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("yesterday",),
        cure="2026-01-31T12:00:00Z",
        cli=("inventory", "--as-of", "yesterday"),
        http=get("/v1/models?as_of=yesterday"),
    ),
    Case(
        name="heads of the journal that nobody signed for us",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("anchors",),
        cure="public_key",
        http=post("/v1/audit/verify", {"anchors": "{}"}),
    ),
    Case(
        name="forged cursor of the journal",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("cursor", "Zm9yZ2Vk"),
        cure="next_cursor",
        http=get("/v1/audit?cursor=Zm9yZ2Vk"),
    ),
    Case(
        name="forged cursor of operations",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("cursor", "Zm9yZ2Vk"),
        cure="next_cursor",
        http=get("/v1/operations?cursor=Zm9yZ2Vk"),
    ),
    Case(
        name="tag that is no pair",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("tag", "team"),
        cure="=",
        cli=("inventory", "--tag", "team"),
        http=get("/v1/models?tag=team"),
    ),
    Case(
        name="unknown packaging",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("packaging", "zip"),
        cure="files",
        cli=("copy", "left:churn@version:1", "right:churn", "--packaging", "zip"),
        http=post("/v1/copies", {"source": "left:churn@version:1", "target": "right:churn", "packaging": "zip"}),
        python=lambda fed: fed.copy("left:churn@version:1", "right:churn", packaging="zip"),
    ),
)

GATEWAYS = (
    Case(
        name="no token",
        exit=6,
        status=401,
        error="Unauthenticated",
        names=("token",),
        cure="Authorization",
        cli=("inventory",),
        http=get("/v1/models"),
        python=lambda fed: fed.inventory(InventoryQuery()),
        prepare=guarded(None),
        in_process=False,
    ),
    Case(
        name="wrong token",
        exit=6,
        status=401,
        error="Unauthenticated",
        names=("token",),
        cure="auth.tokens",
        cli=("inventory",),
        http=get("/v1/models"),
        python=lambda fed: fed.inventory(InventoryQuery()),
        prepare=guarded("another-token-of-the-test"),
        in_process=False,
    ),
    Case(
        name="token without the role",
        exit=6,
        status=403,
        error="Forbidden",
        names=("ci", "operator"),
        cure="auth.tokens",
        cli=("promote", "left:churn@version:1", "--to", "production"),
        http=put(f"{ONE}/stage", {"stage": "production"}),
        python=lambda fed: fed.promote("left:churn@version:1", "production"),
        prepare=guarded(SECRET, "reader"),
        in_process=False,
    ),
    Case(
        name="gateway that can't be reached",
        exit=5,
        status=503,
        error="GatewayUnavailable",
        names=("gateway http://127.0.0.1:9",),
        cure="address",
        cli=("inventory",),
        python=lambda fed: fed.inventory(InventoryQuery()),
        prepare=elsewhere("http://127.0.0.1:9"),
        in_process=False,
    ),
    Case(
        name="address of something else",
        exit=1,
        status=502,
        error="GatewayError",
        names=("http://127.0.0.1", "no gateway"),
        cure="check the address",
        cli=("inventory",),
        python=lambda fed: fed.inventory(InventoryQuery()),
        prepare=elsewhere(""),
        in_process=False,
    ),
    Case(
        name="address that is none",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("address", "gateway:8080"),
        cure="http://gateway:8080",
        cli=("inventory",),
        python=lambda fed: fed.inventory(InventoryQuery()),
        prepare=elsewhere("gateway:8080"),
        in_process=False,
    ),
    Case(
        name="configuration and gateway at once",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("--url", "--config"),
        cure="one of them",
        cli=("inventory", "--url", "http://127.0.0.1:9"),
        remote=False,
    ),
)

BOTH = "members: ['left:churn', 'right:churn']\nauthority: left\n"
BODY = {"members": ["left:churn", "right:churn"], "authority": "left"}
SET_LINK = ("link", "set", "churn", "{home}/link.yaml")
GATED = "left:churn@version:1"

LINKS = (
    Case(
        name="unknown link",
        exit=3,
        status=404,
        error="NotFound",
        names=("link", "chrun"),
        cure="fedreg link list",
        cli=("link", "show", "chrun"),
        http=get("/v1/links/chrun"),
        python=lambda fed: fed.link("chrun"),
    ),
    Case(
        name="link whose name is none",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("link name", "Churn!"),
        cure="a-z",
        cli=("link", "set", "Churn!", "{home}/link.yaml"),
        http=put("/v1/links/Churn!", {"link": BODY}),
        python=lambda fed: fed.set_link("Churn!", Link(members=("left:churn", "right:churn"), authority="left")),
        prepare=writing(BOTH),
    ),
    Case(
        name="link with a registry that is not there",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("members", "rihgt"),
        cure="right",
        cli=SET_LINK,
        http=put("/v1/links/churn", {"link": {**BODY, "members": ["left:churn", "rihgt:churn"]}}),
        python=set_link(members=("left:churn", "rihgt:churn")),
        prepare=writing("members: ['left:churn', 'rihgt:churn']\nauthority: left\n"),
    ),
    Case(
        name="link whose authority is no member",
        exit=2,
        status=400,
        error="ConfigError",
        names=("authority", "sm"),
        cure="left:churn",
        cli=SET_LINK,
        http=put("/v1/links/churn", {"link": {**BODY, "authority": "sm"}}),
        python=set_link(authority="sm"),
        prepare=writing("members: ['left:churn', 'right:churn']\nauthority: sm\n"),
        remote=False,
    ),
    Case(
        name="link with a key that nothing reads",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("on_mising",),
        cure="on_missing",
        cli=SET_LINK,
        http=put("/v1/links/churn", {"link": {**BODY, "on_mising": "copy"}}),
        prepare=writing(f"{BOTH}on_mising: copy\n"),
        remote=False,
    ),
    Case(
        name="link with a word that is none",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("direction", "sideways"),
        cure="",
        cli=SET_LINK,
        http=put("/v1/links/churn", {"link": {**BODY, "direction": "sideways"}}),
        prepare=writing(f"{BOTH}direction: sideways\n"),
        remote=False,
    ),
    Case(
        name="link file that is no text",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("link.yaml", "no text"),
        cure="UTF-8",
        cli=SET_LINK,
        prepare=writing(b"members: \xff"),
        remote=False,
    ),
    Case(
        name="gate with a rule that is no expression",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("rule 'tested'", "version.tags ="),
        cure="cel.dev",
        cli=SET_LINK,
        http=put(
            "/v1/links/churn", {"link": {**BODY, "gate": {"rules": [{"name": "tested", "expression": BAD_RULE}]}}}
        ),
        python=set_link(gate=Gate(rules=(Rule(name="tested", expression=BAD_RULE),))),
        prepare=writing(f"{BOTH}gate: {{rules: [{{name: tested, expression: '{BAD_RULE}'}}]}}\n"),
    ),
    Case(
        name="link of the configuration",
        exit=1,
        status=409,
        error="Conflict",
        names=("link", "churn", "configuration"),
        cure="change it there",
        cli=("link", "delete", "churn"),
        http=(Ask("DELETE", "/v1/links/churn"),),
        python=lambda fed: fed.delete_link("churn"),
        prepare=linked("authority: left"),
    ),
    Case(
        name="promotion of a member that only follows",
        exit=1,
        status=409,
        error="Conflict",
        names=("left:churn", "follows 'right:churn'", "churn"),
        cure="right:churn",
        cli=("promote", GATED, "--to", "production"),
        http=put(f"{ONE}/stage", {"stage": "production"}),
        python=lambda fed: fed.promote(GATED, "production"),
        prepare=linked("authority: right"),
    ),
    Case(
        name="gate whose rule does not hold",
        exit=6,
        status=422,
        error="GateClosed",
        names=("rule 'tested'", "churn", GATED),
        cure="size(files) == 9",
        cli=("promote", GATED, "--to", "production"),
        http=put(f"{ONE}/stage", {"stage": "production"}),
        python=lambda fed: fed.promote(GATED, "production"),
        prepare=linked(
            "authority: left, on_missing: skip, gate: {rules: [{name: tested, expression: 'size(files) == 9'}]}"
        ),
    ),
    Case(
        name="approval of a promotion that is not there",
        exit=3,
        status=404,
        error="NotFound",
        names=("operation", "promotion-0"),
        cure="fedreg operations list",
        cli=("promotions", "approve", "promotion-0"),
        http=post("/v1/promotions/promotion-0/approve", {}),
        python=lambda fed: fed.approve_promotion("promotion-0"),
    ),
)

WEBHOOKS = (
    Case(
        name="unknown webhook",
        exit=3,
        status=404,
        error="NotFound",
        names=("webhook", "hook"),
        cure="fedreg webhooks list",
        cli=("webhooks", "show", "hook"),
        http=get("/v1/webhooks/hook"),
        python=lambda fed: fed.webhook("hook"),
    ),
    Case(
        name="webhook with an action that is not there",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("action", "stageset"),
        cure="stage_set",
        cli=("webhooks", "set", "hook", HOOK, "--action", "stageset"),
        http=post("/v1/webhooks", {"id": "hook", "url": HOOK, "actions": ["stageset"]}),
        python=hook(actions=["stageset"]),
    ),
    Case(
        name="webhook to an address with a password",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("url", "credentials"),
        cure="signed",
        cli=("webhooks", "set", "hook", f"https://me:{SECRET}@hook.example/"),
        http=post("/v1/webhooks", {"id": "hook", "url": f"https://me:{SECRET}@hook.example/"}),
        python=hook(url=f"https://me:{SECRET}@hook.example/"),
    ),
    Case(
        name="webhook into a network of one's own",
        exit=2,
        status=400,
        error="InvalidRequest",
        names=("url", "10.1.2.3"),
        cure="webhooks.allow_private",
        cli=("webhooks", "set", "hook", "https://10.1.2.3/"),
        http=post("/v1/webhooks", {"id": "hook", "url": "https://10.1.2.3/"}),
        python=hook(url="https://10.1.2.3/"),
    ),
)

CASES = (*UNKNOWN, *LIMITS, *REGISTRIES, *SENT, *LINKS, *WEBHOOKS, *GATEWAYS)
# Cases with a test of their own, and the surfaces they come through.
AT_START = (COMMAND, SERVE, PYTHON)
OTHERS = (
    ("a registry of the inventory is down", SURFACES),
    ("registry that is full, found at the end of a copy", SURFACES),
    ("token that expires in the middle of a copy", SURFACES),
    ("registry that goes down in the middle of a copy", SURFACES),
    ("the same version copied twice at once", SURFACES),
    ("Ctrl-C", (COMMAND, URL, SERVE, PYTHON, REMOTE)),
    *((name, AT_START) for name in MISTAKES),
    ("configuration file that is not there", AT_START),
    ("no configuration at all", AT_START),
    ("telemetry without its packages", AT_START),
    ("store made by a newer release", AT_START),
    ("file that is no store", AT_START),
    ("store that another process owns", AT_START),
)
ORDER = [(case.name, surface) for case in CASES for surface in case.surfaces]
ORDER += [(name, surface) for name, surfaces in OTHERS for surface in surfaces]
