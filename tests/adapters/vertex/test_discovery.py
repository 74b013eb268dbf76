"""Every request of the adapter, and every answer to it, as JSON: both fit Google's published discovery document."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import grpc
import pytest
from aiohttp import ClientSession
from google.api_core import path_template, rest_helpers
from google.cloud import aiplatform_v1 as sdk
from google.longrunning import operations_pb2
from google.protobuf import json_format
from google.protobuf.message import Message
from googleapiclient.discovery_cache import get_static_doc
from jsonschema import Draft202012Validator, ValidationError

from fedreg.domain.lineage import Relation
from fedreg.domain.models import Provenance
from fedreg.domain.stages import Approval
from fedreg.testing import steps
from fedreg_adapters.vertex.adapter import VertexAdapter
from fedreg_adapters.vertex.errors import PERMISSIONS

from .backend import VertexBackend
from .fixtures import Start
from .grpc_faults import GrpcFaults
from .rest import Rest, http_options, pb_of, request_type, rules, snake

CALLS = {*PERMISSIONS, "delete_artifact"}
FORMATS = {
    "int64": r"^-?[0-9]+$",
    "google-datetime": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
    "google-fieldmask": r"^[a-z][a-zA-Z]*([.,][a-z][a-zA-Z]*)*$",
    "byte": r"^[A-Za-z0-9+/_-]*=*$",
}
# gRPC's package, and how the document begins the names of its messages
PACKAGES = {
    "google.cloud.aiplatform.v1.": ("GoogleCloudAiplatformV1", sdk),
    "google.longrunning.": ("GoogleLongrunning", operations_pb2),
    "google.protobuf.": ("GoogleProtobuf", None),
}


class Document:
    """aiplatform.v1 as google-api-python-client ships it."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._methods = [(each["httpMethod"], path_of(each), each) for each in methods_of(content)]
        self._schemas = {name: json_schema(schema) for name, schema in content["schemas"].items()}

    def method(self, verb: str, path: str) -> dict[str, Any]:
        """The one method with this verb and path."""
        fits = [each for known, pattern, each in self._methods if known == verb and pattern.fullmatch(path)]
        assert len(fits) == 1, f"{verb} {path}: {[each['id'] for each in fits]}"
        return fits[0]

    def check(self, name: str, value: Any) -> None:
        """A value is what the schema says, and the messages in it whose type is told are what theirs say."""
        root = {"$ref": f"#/$defs/{name}", "$defs": self._schemas}
        Draft202012Validator(root).validate(value)
        for inner in packed_in(value):
            kind, content = inner["@type"], {key: each for key, each in inner.items() if key != "@type"}
            self.check(schema_name(kind.removeprefix("type.googleapis.com/")), content)

    def check_request(self, method: Mapping[str, Any], query: Mapping[str, str], body: Any) -> None:
        """Parameters and body are known to the method, and those it requires are there."""
        known = {name: each for name, each in method["parameters"].items() if each["location"] == "query"}
        assert query.keys() <= known.keys(), method["id"]
        assert {name for name, each in known.items() if each.get("required")} <= query.keys(), method["id"]
        for name, text in query.items():
            number = known[name]["type"] in ("integer", "boolean")
            Draft202012Validator(json_schema(known[name])).validate(json.loads(text) if number else text)
        assert (body is None) == ("request" not in method), method["id"]
        if body is not None:
            self.check(method["request"]["$ref"], body)


def methods_of(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from methods_of(inner)


def path_of(method: Mapping[str, Any]) -> re.Pattern[str]:
    return re.compile("/" + re.sub(r"\\\{\w+\\\}", "[^/:]+", re.escape(method["flatPath"])))


def json_schema(found: Mapping[str, Any]) -> dict[str, Any]:
    """A discovery schema as JSON Schema, where an object has no members but those named."""
    if "$ref" in found:
        return {"$ref": f"#/$defs/{found['$ref']}"}
    if found.get("type") == "any":
        return {}
    made = {key: found[key] for key in ("type", "enum") if key in found}
    if found.get("format") in FORMATS:
        made["pattern"] = FORMATS[found["format"]]
    if "items" in found:
        made["items"] = json_schema(found["items"])
    if made.get("type") == "object":
        made["properties"] = {name: json_schema(each) for name, each in found.get("properties", {}).items()}
        more = found.get("additionalProperties")
        made["additionalProperties"] = json_schema(more) if more else False
    return made


def packed_in(value: Any) -> Iterator[dict[str, Any]]:
    """The google.protobuf.Any within."""
    if isinstance(value, dict):
        if "@type" in value:
            yield value
        for inner in value.values():
            yield from packed_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from packed_in(inner)


def schema_name(message: str) -> str:
    package = next(each for each in PACKAGES if message.startswith(each))
    return PACKAGES[package][0] + message.removeprefix(package)


def message_type(schema: str) -> Any:
    """The SDK's type of a schema's name."""
    return next(
        getattr(module, schema.removeprefix(prefix))
        for prefix, module in PACKAGES.values()
        if module is not None and schema.startswith(prefix)
    )


@functools.cache
def document() -> Document:
    return Document(json.loads(get_static_doc("aiplatform", "v1")))


class Wire(GrpcFaults):
    """Takes the adapter's gRPC, sends it over REST, and holds both ways against the document."""

    def __init__(self, upstream: str, http: ClientSession) -> None:
        super().__init__(upstream)
        self._http = http
        self.calls: set[str] = set()
        self.wrong: list[str] = []

    async def _forward(self, path: str, request: bytes, metadata: Any) -> bytes:
        try:
            return await self._send(path, request)
        except grpc.RpcError:
            raise
        except Exception as error:  # gRPC would make a status of it
            self.wrong.append(f"{path}: {error}")
            raise

    async def _send(self, path: str, request: bytes) -> bytes:
        _, package, call = path.split("/")
        service = package.rpartition(".")[2]
        message = type(pb_of(request_type(call)())).FromString(request)
        options = http_options(service if service != "Operations" else "ModelService", call)
        sent = path_template.transcode([each for each in options if each["uri"].startswith("/v1/")], message)
        query = json_format.MessageToDict(sent["query_params"])
        params = dict(rest_helpers.flatten_query_params(query, strict=True))
        body = json_format.MessageToDict(sent["body"]) if "body" in sent else None
        verb = sent["method"].upper()
        method = document().method(verb, unquote(sent["uri"]))
        document().check_request(method, params, body)
        self.calls.add(snake(call))
        async with self._http.request(verb, sent["uri"], params=params, json=body) as reply:
            told = await reply.json()
        if reply.status != 200:
            status = told["error"].pop("status")
            document().check("GoogleRpcStatus", told["error"])
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode[status], nothing, nothing, told["error"]["message"])
        schema = method["response"]["$ref"]
        document().check(schema, told)
        return bytes(json_format.ParseDict(told, pb_of(message_type(schema)())).SerializeToString())


@pytest.fixture
async def backend(start: Start) -> VertexBackend:
    """Its operations have to be asked for."""
    return await start(pending_polls=1)


@pytest.fixture
async def wire(backend: VertexBackend) -> AsyncIterator[Wire]:
    rest = Rest(backend.standin.address)
    await rest.start()
    async with ClientSession(f"http://{rest.host}") as http:
        started = Wire(backend.standin.address, http)
        await started.start()
        yield started
        await started.aclose()
    await rest.aclose()
    assert started.wrong == []


@pytest.fixture
async def adapter(backend: VertexBackend, wire: Wire) -> AsyncIterator[VertexAdapter]:
    opened = await backend.open_adapter(endpoint=wire.address)
    yield opened
    await opened.aclose()


@pytest.mark.oracle("upload", "lineage", "update_model", "set_stage", "set_approval", "set_version_tags")
@pytest.mark.oracle("set_model_tags", "set_alias", "copy_native", "delete_version", "delete_model")
async def test_all_that_is_sent_and_answered(backend: VertexBackend, adapter: VertexAdapter, wire: Wire) -> None:
    """A version's life, with every method of Vertex AI that the adapter calls; what is read is what was written."""
    known = Provenance(run_id="r1", git_commit="9fceb02", extra={"a": "b"})
    given: dict[str, Any] = {"metrics": {"auc": 0.125, "n": 3.0}, "params": {"depth": "3"}, "tags": {"team": "a"}}
    version = await steps.new_version(
        adapter, backend, "churn", description="first", provenance=known, approval=Approval.PENDING, **given
    )
    assert (dict(version.metrics), dict(version.params)) == (given["metrics"], given["params"])
    assert (version.description, version.provenance.extra["a"]) == ("first", "b")
    await backend.seed_lineage(version)
    await backend.seed_deployment(version)
    second = await steps.new_version(adapter, backend, "churn")
    await adapter.set_stage(version.id, "production")
    await adapter.set_approval(version.id, Approval.APPROVED, "by the board")
    await adapter.update_model("churn", description="of all")
    await adapter.set_model_tags("churn", {"owner": "b"})
    await adapter.set_version_tags("churn", "1", {"tier": "2"})
    await adapter.set_alias("churn", "champion", second.version)
    live = await adapter.get_version("churn", "1")
    assert (live.stage, live.approval, live.tags["tier"]) == ("production", Approval.APPROVED, "2")
    edges = await adapter.lineage("churn", "1")
    assert {edge.relation for edge in edges} >= {Relation.USED, Relation.PRODUCED_BY}
    assert len(await adapter.deployments("churn", "1")) == 1
    copy = await adapter.copy_native(version.id, "fraud", "key")
    assert [found.name for found in await steps.all_models(adapter)] == ["churn", "fraud"]
    assert (await adapter.scan(None)).complete
    await adapter.delete_version("churn", second.version)
    await adapter.delete_model(copy.model)
    await adapter.abort(await steps.uploaded(adapter, backend, "churn", params={"a": "1"}))
    assert wire.calls == CALLS


@pytest.mark.parametrize("call", sorted(CALLS))
def test_paths(call: str) -> None:
    """What the SDK's rule says of a method the document says too: verb, path, body and the type of the answer."""
    found = [rule for rule in rules() if snake(rule.call) == call]
    assert found
    ways = [each for each in http_options(found[0].service, found[0].call) if is_used(each["uri"])]
    assert ways
    for way in ways:
        method = document().method(
            way["method"].upper(), re.sub(r"\{[^=]+=([^}]*)\}", r"\1", way["uri"]).replace("*", "x")
        )
        assert issubclass(type(pb_of(message_type(method["response"]["$ref"])())), Message)
        assert ("request" in method) == ("body" in way), method["id"]


def is_used(uri: str) -> bool:
    """Operations are bound to every kind of resource, and only those of models are asked for."""
    return uri.startswith("/v1/{") and ("operations" not in uri or "/models/*/operations" in uri.replace("}", ""))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GoogleCloudAiplatformV1Model", {"display_name": "x"}),
        ("GoogleCloudAiplatformV1Model", {"createTime": "yesterday"}),
        ("GoogleCloudAiplatformV1Model", {"versionAliases": "champion"}),
        ("GoogleCloudAiplatformV1Event", {"type": "input"}),
        ("GoogleLongrunningOperation", {"metadata": {"@type": "x/google.protobuf.Empty", "a": 1}}),
    ],
)
def test_the_document_refuses(name: str, value: Any) -> None:
    value = json.loads(json.dumps(value).replace("x/google", "type.googleapis.com/google"))
    with pytest.raises(ValidationError):
        document().check(name, value)
