"""Vertex AI over REST: HTTP/JSON that becomes calls of the gRPC stand-in, as the service's own front end does it.

Nothing is told of single methods: paths, bodies and query parameters come from the `google.api.http` rules, which the
SDK's generator wrote into its REST transports, and messages from the SDK's types.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import grpc
from aiohttp import web
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as sdk
from google.cloud.aiplatform_v1.services.metadata_service import transports as metadata_service
from google.cloud.aiplatform_v1.services.metadata_service.transports.rest_base import _BaseMetadataServiceRestTransport
from google.cloud.aiplatform_v1.services.model_service import transports as model_service
from google.cloud.aiplatform_v1.services.model_service.transports.rest_base import _BaseModelServiceRestTransport
from google.longrunning import operations_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

SERVICES = {
    "ModelService": (_BaseModelServiceRestTransport, model_service.ModelServiceGrpcAsyncIOTransport),
    "MetadataService": (_BaseMetadataServiceRestTransport, metadata_service.MetadataServiceGrpcAsyncIOTransport),
}


class Rule(NamedTuple):
    """One way to call a method: a path's groups are the `fields`, `body` is a field, all of them (`*`) or none."""

    service: str
    call: str
    verb: str
    path: re.Pattern[str]
    fields: tuple[str, ...]
    body: str


class Refused(Exception):
    """A request that no rule reads; `status` of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Rest:
    """A server on loopback in front of the gRPC server at `upstream`."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._app = web.Application()
        self._app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(self._app, access_log=None)
        self._stubs: dict[str, Any] = {}
        self.paths: list[str] = []

    async def start(self) -> None:
        for name, (_, transport) in SERVICES.items():
            self._stubs[name] = transport(channel=grpc.aio.insecure_channel(self._upstream))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def aclose(self) -> None:
        await self._runner.cleanup()
        for transport in self._stubs.values():
            await transport.close()

    async def _answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        try:
            rule, found = find_rule(request.method, request.path)
            message = read_request(rule, found, await request.read(), request.query.items())
            reply = await getattr(self._stubs[rule.service], snake(rule.call))(message)
        except (Refused, json_format.ParseError, ValueError) as error:
            status = getattr(error, "status", 400)
            return envelope(status, "NOT_FOUND" if status == 404 else "INVALID_ARGUMENT", str(error))
        except grpc.aio.AioRpcError as error:
            code = exceptions.from_grpc_status(error.code(), "").code
            return envelope(int(code), error.code().name, error.details() or "")
        numbers = "enum-encoding=int" in request.query.get("$alt", "")
        return web.json_response(json_format.MessageToDict(pb_of(reply), use_integers_for_enums=numbers))


def rest_client(client: type[Any], host: str) -> Any:
    """The SDK's client over its REST transport, without TLS and credentials."""
    transport = client.get_transport_class("rest")
    return client(transport=transport(host=host, credentials=AnonymousCredentials(), url_scheme="http"))


def envelope(status: int, code: str, text: str) -> web.Response:
    """How Google's APIs say no: google.rpc.Status as JSON."""
    return web.json_response({"error": {"code": status, "message": text, "status": code}}, status=status)


# -- requests --------------------------------------------------------------------------------------------------


def find_rule(verb: str, path: str) -> tuple[Rule, tuple[str, ...]]:
    """The first rule that a path fits, and what its fields are."""
    for rule in rules():
        if rule.verb == verb and (found := rule.path.fullmatch(path)):
            return rule, found.groups()
    raise Refused(404, f"{verb} {path}: no such method.")


def read_request(rule: Rule, found: Iterable[str], body: bytes, query: Iterable[tuple[str, str]]) -> Any:
    """The request's message from path, body and query; what is none of its fields is refused."""
    kind = request_type(rule.call)
    message = pb_of(kind())
    if body and not rule.body:
        raise Refused(400, f"{rule.call} takes no body.")
    given = json.loads(body) if body else {}
    json_format.ParseDict(given if rule.body in ("", "*") else {rule.body: given}, message)
    asked = [(name, text) for name, text in query if not name.startswith("$")]
    if asked and rule.body == "*":
        raise Refused(400, f"{rule.call} takes no query: {asked[0][0]}")
    for pairs in (asked, zip(rule.fields, found, strict=True)):
        json_format.ParseDict(nest(message.DESCRIPTOR, pairs), message)
    return message if kind.__module__.startswith("google.longrunning") else kind.wrap(message)


def nest(kind: Descriptor, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Dotted names and texts as the JSON of a message."""
    made: dict[str, Any] = {}
    for name, text in pairs:
        *parents, last = name.split(".")
        place, within = made, kind
        for part in parents:
            field = field_of(within, part)
            place, within = place.setdefault(field.json_name, {}), field.message_type
        field = field_of(within, last)
        value = text == "true" if field.type == FieldDescriptor.TYPE_BOOL else text
        place[field.json_name] = [*place.get(field.json_name, []), value] if field.is_repeated else value
    return made


def field_of(kind: Descriptor | None, name: str) -> FieldDescriptor:
    found = kind and (kind.fields_by_name.get(name) or kind.fields_by_camelcase_name.get(name))
    if not found:
        raise Refused(400, f"Unknown name {name!r}: cannot bind query parameter.")
    return found


# -- the SDK's rules and types ---------------------------------------------------------------------------------


def snake(call: str) -> str:
    return re.sub(r"(?<=.)([A-Z])", r"_\1", call).lower()


def pb_of(message: Any) -> Any:
    """The protobuf message in one of proto-plus; any other as it is."""
    return type(message).pb(message) if hasattr(type(message), "pb") else message


def request_type(call: str) -> Any:
    name = f"{call}Request"
    return getattr(sdk, name, None) or getattr(operations_pb2, name)


def http_options(service: str, call: str) -> list[dict[str, str]]:
    """The `google.api.http` rule of a method with its additional bindings."""
    found: list[dict[str, str]] = getattr(SERVICES[service][0], f"_Base{call}")._get_http_options()
    return found


@functools.cache
def rules() -> tuple[Rule, ...]:
    """Every rule of both services and of the Operations that each of them serves."""
    made = []
    for service, (base, _) in SERVICES.items():
        calls = [name.removeprefix("_Base") for name in vars(base) if name.startswith("_Base")]
        for call in [call for call in calls if has_request(call)]:
            for option in http_options(service, call):
                path, fields = read_template(option["uri"])
                made.append(Rule(service, call, option["method"].upper(), path, fields, option.get("body", "")))
    return tuple(made)


def has_request(call: str) -> bool:
    return hasattr(sdk, f"{call}Request") or hasattr(operations_pb2, f"{call}Request")


def read_template(uri: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """`/v1/{parent=projects/*}/models:upload` as a pattern and its fields. A colon begins the verb."""
    text, fields = "", []
    for literal, field, inner in re.findall(r"([^{}]+)|\{([^=}]+)=?([^}]*)\}", uri):
        if literal:
            text += re.escape(literal)
        else:
            fields.append(field)
            text += f"({'[^/:]+'.join(map(re.escape, (inner or '*').split('*')))})"
    return re.compile(text), tuple(fields)
