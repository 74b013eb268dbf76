"""Models, endpoint configurations and endpoints: enough to trace a model package to where it serves."""

from typing import Any

from .standin_errors import invalid
from .standin_packages import find_package
from .standin_state import State, list_documents
from .standin_tags import read_tags
from .standin_validation import JSON, project

ARN_KINDS = {"Model": "model", "EndpointConfig": "endpoint-config", "Endpoint": "endpoint"}


def _create(state: State, kind: str, request: JSON, extra: JSON) -> JSON:
    name = request[f"{kind}Name"]
    arn = state.arn(ARN_KINDS[kind], name)
    if name in _held(state, kind):
        raise invalid(f"Cannot create already existing {ARN_KINDS[kind]} {arn!r}.")
    state.tags[arn] = read_tags(request.get("Tags", []))
    _held(state, kind)[name] = request | {f"{kind}Arn": arn, "CreationTime": state.now()} | extra
    return {f"{kind}Arn": arn}


def _find(state: State, kind: str, name: str) -> JSON:
    if name not in _held(state, kind):
        raise invalid(f'Could not find {ARN_KINDS[kind]} "{state.arn(ARN_KINDS[kind], name)}".')
    return _held(state, kind)[name]


def _held(state: State, kind: str) -> dict[str, JSON]:
    return state.deployed.setdefault(kind, {})


def _delete(state: State, kind: str, request: JSON) -> None:
    document = _find(state, kind, request[f"{kind}Name"])
    del _held(state, kind)[request[f"{kind}Name"]]
    del state.tags[document[f"{kind}Arn"]]


def _list(state: State, kind: str, request: JSON, member: str) -> JSON:
    entries = [
        (d[f"{kind}Arn"], d[f"{kind}Name"], d)
        for d in _held(state, kind).values()
        if request.get("StatusEquals") in {None, d.get("EndpointStatus")}
    ]
    page, token = list_documents(state, f"List{kind}s", request, entries, default_order="Descending")
    return {member: [project(f"{kind}Summary", d) for d in page]} | token


def create_model(state: State, request: JSON) -> JSON:
    """A container may name a model package; a versioned one must exist and be approved."""
    containers = [
        *request.get("Containers", []),
        *([request["PrimaryContainer"]] if "PrimaryContainer" in request else []),
    ]
    if not containers:
        raise invalid("Requested model must have at least one container: give PrimaryContainer or Containers.")
    for container in containers:
        if "ModelPackageName" in container:
            document = find_package(state, container["ModelPackageName"]).document
            if document.get("ModelApprovalStatus", "Approved") != "Approved":
                raise invalid(f"Model package {document['ModelPackageArn']} is not approved for deployment.")
    return _create(state, "Model", request, {})


def describe_model(state: State, request: JSON) -> JSON:
    return project("DescribeModelOutput", _find(state, "Model", request["ModelName"]))


def list_models(state: State, request: JSON) -> JSON:
    return _list(state, "Model", request, "Models")


def delete_model(state: State, request: JSON) -> None:
    _delete(state, "Model", request)


def create_endpoint_config(state: State, request: JSON) -> JSON:
    for variant in request["ProductionVariants"]:
        if "ModelName" in variant:
            _find(state, "Model", variant["ModelName"])
    return _create(state, "EndpointConfig", request, {})


def describe_endpoint_config(state: State, request: JSON) -> JSON:
    return project("DescribeEndpointConfigOutput", _find(state, "EndpointConfig", request["EndpointConfigName"]))


def list_endpoint_configs(state: State, request: JSON) -> JSON:
    return _list(state, "EndpointConfig", request, "EndpointConfigs")


def delete_endpoint_config(state: State, request: JSON) -> None:
    _delete(state, "EndpointConfig", request)


def create_endpoint(state: State, request: JSON) -> JSON:
    _find(state, "EndpointConfig", request["EndpointConfigName"])
    return _create(state, "Endpoint", request, {"EndpointStatus": "InService", "LastModifiedTime": state.now()})


def describe_endpoint(state: State, request: JSON) -> JSON:
    document = _find(state, "Endpoint", request["EndpointName"])
    config = _held(state, "EndpointConfig").get(document["EndpointConfigName"], {})
    variants = [
        {"VariantName": variant["VariantName"], "CurrentInstanceCount": variant.get("InitialInstanceCount", 1)}
        for variant in config.get("ProductionVariants", [])
    ]
    return project("DescribeEndpointOutput", document | {"ProductionVariants": variants or None})


def list_endpoints(state: State, request: JSON) -> JSON:
    return _list(state, "Endpoint", request, "Endpoints")


def update_endpoint(state: State, request: JSON) -> JSON:
    document = _find(state, "Endpoint", request["EndpointName"])
    _find(state, "EndpointConfig", request["EndpointConfigName"])
    document |= {"EndpointConfigName": request["EndpointConfigName"], "LastModifiedTime": state.now()}
    return {"EndpointArn": document["EndpointArn"]}


def delete_endpoint(state: State, request: JSON) -> None:
    _delete(state, "Endpoint", request)


OPERATIONS: dict[str, Any] = {
    "CreateModel": create_model,
    "DescribeModel": describe_model,
    "ListModels": list_models,
    "DeleteModel": delete_model,
    "CreateEndpointConfig": create_endpoint_config,
    "DescribeEndpointConfig": describe_endpoint_config,
    "ListEndpointConfigs": list_endpoint_configs,
    "DeleteEndpointConfig": delete_endpoint_config,
    "CreateEndpoint": create_endpoint,
    "DescribeEndpoint": describe_endpoint,
    "ListEndpoints": list_endpoints,
    "UpdateEndpoint": update_endpoint,
    "DeleteEndpoint": delete_endpoint,
}
