"""Resource Manager's plane: the models of a workspace, its datastores, jobs, endpoints, and the workspace itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from fedreg_adapters.azureml.standin_errors import ServiceError
from fedreg_adapters.azureml.standin_state import (
    ACCOUNT,
    CONTAINER,
    GROUP,
    LOCATION,
    REGISTRY,
    SUBSCRIPTION,
    WORKSPACE,
    WORKSPACE_ID,
    Shelf,
    State,
    system_data,
)

JSON = dict[str, Any]
TYPE = "Microsoft.MachineLearningServices/workspaces"
HOME = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/{TYPE}/{WORKSPACE}"
BASE = (
    "/subscriptions/{subscription}/{groups:(?i:resourceGroups)}/{group}"
    "/providers/{provider}/{kind:(?i:workspaces)}/{workspace}"
)
ACCOUNT_KEY = "c3RhbmRpbi1hY2NvdW50LWtleQ=="


def add_routes(app: web.Application, state: State) -> None:
    """The paths of a workspace."""
    plane = Workspace(state)
    for method, path, handler in (
        ("GET", "", plane.show),
        ("GET", "/models", plane.list_containers),
        ("GET", "/models/{name}", plane.get_container),
        ("PUT", "/models/{name}", plane.put_container),
        ("DELETE", "/models/{name}", plane.delete_container),
        ("GET", "/models/{name}/versions", plane.list_versions),
        ("GET", "/models/{name}/versions/{version}", plane.get_version),
        ("PUT", "/models/{name}/versions/{version}", plane.put_version),
        ("DELETE", "/models/{name}/versions/{version}", plane.delete_version),
        ("POST", "/models/{name}/versions/{version}/publish", plane.publish),
        ("GET", "/datastores", plane.list_datastores),
        ("GET", "/datastores/{datastore}", plane.get_datastore),
        ("POST", "/datastores/{datastore}/listSecrets", plane.list_secrets),
        ("GET", "/jobs", plane.list_jobs),
        ("GET", "/jobs/{job}", plane.get_job),
        ("PUT", "/jobs/{job}", plane.put_job),
        ("GET", "/{endpoints:onlineEndpoints|batchEndpoints}", plane.list_endpoints),
        ("PUT", "/{endpoints:onlineEndpoints|batchEndpoints}/{endpoint}", plane.put_endpoint),
        ("GET", "/{endpoints:onlineEndpoints|batchEndpoints}/{endpoint}/deployments", plane.list_deployments),
        ("PUT", "/{endpoints:onlineEndpoints|batchEndpoints}/{endpoint}/deployments/{d}", plane.put_deployment),
    ):
        app.router.add_route(method, BASE + path, plane.here(handler))
    app.router.add_get("/subscriptions/{subscription}/operations/{operation}", plane.get_operation)


class Workspace:
    """The handlers of one workspace."""

    def __init__(self, state: State) -> None:
        self.state = state

    def here(self, handler: Any) -> Any:
        """Refuse another workspace than the one there is."""

        async def answer(request: web.Request) -> web.StreamResponse:
            wanted = request.match_info["workspace"]
            if (request.match_info["subscription"], request.match_info["group"].lower()) != (SUBSCRIPTION, GROUP):
                raise ServiceError(404, "ResourceGroupNotFound", "Resource group could not be found.", "ARM")
            if wanted.lower() != WORKSPACE:
                text = f"The Resource '{TYPE}/{wanted}' under resource group '{GROUP}' was not found."
                raise ServiceError(404, "ResourceNotFound", text, "ARM")
            found: web.StreamResponse = await handler(request)
            return found

        return answer

    async def show(self, request: web.Request) -> web.Response:
        properties = {"workspaceId": WORKSPACE_ID, "friendlyName": WORKSPACE, "provisioningState": "Succeeded"}
        return web.json_response(
            {"id": HOME, "name": WORKSPACE, "type": TYPE, "location": LOCATION, "properties": properties, "tags": {}}
        )

    # -- models ----------------------------------------------------------------------------------------

    async def list_containers(self, request: web.Request) -> web.Response:
        shelf = self.state.workspace
        found = [show_container(shelf, name, HOME) for name in sorted(shelf.containers)]
        return page(request, self.state, viewed(request, found))

    async def get_container(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.state.find_container(self.state.workspace, name)
        return web.json_response(show_container(self.state.workspace, name, HOME))

    async def put_container(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        status = self.state.put_container(self.state.workspace, name, await properties_in(request))
        return web.json_response(show_container(self.state.workspace, name, HOME), status=status)

    async def delete_container(self, request: web.Request) -> web.Response:
        return web.Response(status=self.state.delete_container(self.state.workspace, request.match_info["name"]))

    async def list_versions(self, request: web.Request) -> web.Response:
        name, shelf = request.match_info["name"], self.state.workspace
        self.state.find_container(shelf, name)
        found = [show_version(name, version, held) for version, held in shelf.versions[name].items()]
        return page(request, self.state, ordered(request, viewed(request, found)))

    async def get_version(self, request: web.Request) -> web.Response:
        name, version = request.match_info["name"], request.match_info["version"]
        held = self.state.find_version(self.state.workspace, name, version)
        return web.json_response(show_version(name, version, held, request.query["api-version"]))

    async def put_version(self, request: web.Request) -> web.Response:
        name, version = request.match_info["name"], request.match_info["version"]
        inner = await properties_in(request)
        if inner.get("jobName") and inner["jobName"] not in self.state.jobs:
            raise ServiceError(400, "JobNotFound", f"Job {inner['jobName']} was not found.")
        status = self.state.put_version(self.state.workspace, name, version, inner)
        held = self.state.workspace.versions[name][version]
        headers = {"Location": f"https://{request.host}{request.path}"} if status == 201 else {}
        body = show_version(name, version, held, request.query["api-version"])
        return web.json_response(body, status=status, headers=headers)

    async def delete_version(self, request: web.Request) -> web.Response:
        held = self.state.workspace.versions.get(request.match_info["name"], {})
        return web.Response(status=204 if held.pop(request.match_info["version"], None) is None else 200)

    async def publish(self, request: web.Request) -> web.Response:
        """To the registry, as a long-running operation."""
        name, version = request.match_info["name"], request.match_info["version"]
        source, body = self.state.find_version(self.state.workspace, name, version), await request.json()
        if body.get("registryName") != REGISTRY:
            raise ServiceError(404, "RegistryNotFound", f"Registry {body.get('registryName')} was not found.")
        target = str(body.get("destinationName") or name), str(body.get("destinationVersion") or version)
        if target[1] in self.state.registry.versions.get(target[0], {}):
            raise ServiceError(409, "AssetAlreadyExists", "Asset already exists.")
        origin = f"azureml://locations/{LOCATION}/workspaces/{WORKSPACE_ID}/models/{name}/versions/{version}"
        operation = self.state.begin(lambda: self.state.publish(source, origin, *target), origin)
        where = f"https://{request.host}/subscriptions/{SUBSCRIPTION}/operations/{operation}?api-version=2025-12-01"
        return web.json_response({}, status=202, headers={"Location": where})

    async def get_operation(self, request: web.Request) -> web.Response:
        return show_operation(request, self.state)

    # -- what is around models -------------------------------------------------------------------------

    async def list_datastores(self, request: web.Request) -> web.Response:
        return page(request, self.state, [self._datastore()])

    async def get_datastore(self, request: web.Request) -> web.Response:
        self._require_datastore(request)
        return web.json_response(self._datastore())

    async def list_secrets(self, request: web.Request) -> web.Response:
        self._require_datastore(request)
        kind = self.state.options.datastore
        if kind == "None":
            raise ServiceError(400, "UserError", "No secrets for credentials of type None.")
        if kind == "AccountKey":
            return web.json_response({"secretsType": "AccountKey", "key": ACCOUNT_KEY})
        return web.json_response(
            {"secretsType": "Sas", "sasToken": f"sv=2021-08-06&sp=racwdl&sig={self.state.signature}"}
        )

    def _require_datastore(self, request: web.Request) -> None:
        name = request.match_info["datastore"]
        if name not in ("workspaceblobstore", "workspacefilestore"):
            raise ServiceError(404, "DataStoreNotFound", f"Could not find datastore: {name}.")

    def _datastore(self) -> JSON:
        kind = self.state.options.datastore
        return {
            "id": f"{HOME}/datastores/workspaceblobstore",
            "name": "workspaceblobstore",
            "type": f"{TYPE}/datastores",
            "properties": {
                "description": None,
                "tags": None,
                "properties": None,
                "isDefault": True,
                "credentials": {"credentialsType": kind},
                "subscriptionId": SUBSCRIPTION,
                "resourceGroup": GROUP,
                "datastoreType": "AzureBlob",
                "accountName": ACCOUNT,
                "containerName": CONTAINER,
                "endpoint": "core.windows.net",
                "protocol": "https",
                "serviceDataAccessAuthIdentity": "None",
            },
            "systemData": system_data("2024-09-25T06:28:43.5498335+00:00", "2024-11-21T11:22:12.7098612+00:00"),
        }

    async def list_jobs(self, request: web.Request) -> web.Response:
        return page(request, self.state, list(self.state.jobs.values()))

    async def get_job(self, request: web.Request) -> web.Response:
        found = self.state.jobs.get(request.match_info["job"])
        if found is None:
            raise ServiceError(404, "JobNotFound", f"Job {request.match_info['job']} was not found.")
        return web.json_response(found)

    async def put_job(self, request: web.Request) -> web.Response:
        name = request.match_info["job"]
        self.state.jobs[name] = resource(f"jobs/{name}", name, await properties_in(request), self.state)
        return web.json_response(self.state.jobs[name], status=201)

    async def list_endpoints(self, request: web.Request) -> web.Response:
        kind = request.match_info["endpoints"]
        found = [resource(f"{kind}/{name}", name, {}, self.state) for name in self.state.endpoints[kind]]
        return page(request, self.state, found)

    async def put_endpoint(self, request: web.Request) -> web.Response:
        kind, name = request.match_info["endpoints"], request.match_info["endpoint"]
        self.state.endpoints[kind].setdefault(name, {})
        return web.json_response(resource(f"{kind}/{name}", name, {}, self.state), status=201)

    async def list_deployments(self, request: web.Request) -> web.Response:
        kind, name = request.match_info["endpoints"], request.match_info["endpoint"]
        if name not in self.state.endpoints[kind]:
            raise ServiceError(404, "EndpointNotFound", f"Endpoint {name} was not found.")
        return page(request, self.state, list(self.state.endpoints[kind][name].values()))

    async def put_deployment(self, request: web.Request) -> web.Response:
        kind, name, deployment = (request.match_info[part] for part in ("endpoints", "endpoint", "d"))
        inner = {**await properties_in(request), "provisioningState": "Succeeded"}
        made = resource(f"{kind}/{name}/deployments/{deployment}", deployment, inner, self.state)
        self.state.endpoints[kind].setdefault(name, {})[deployment] = made
        return web.json_response(made, status=201)


# -- shared by both planes ---------------------------------------------------------------------------------


def resource(path: str, name: str, inner: JSON, state: State) -> JSON:
    now = state.now()
    return {"id": f"{HOME}/{path}", "name": name, "properties": inner, "systemData": system_data(now, now)}


def show_container(shelf: Shelf, name: str, home: str) -> JSON:
    """A container with its latest version and the next number."""
    held, versions = shelf.containers[name], shelf.versions[name]
    latest = list(versions)[-1] if versions else None
    numbers = {"latestVersion": latest, "nextVersion": str(shelf.counted.get(name, 0) + 1)}
    return {
        "id": f"{home}/models/{name}",
        "name": name,
        "type": f"{TYPE}/models",
        "properties": {**held["properties"], **numbers},
        "systemData": held["systemData"],
    }


def show_version(name: str, version: str, held: JSON, api_version: str = "2025-12-01") -> JSON:
    """A workspace's version; datasets came with the API of 2025-12-01."""
    inner = {key: value for key, value in held["properties"].items() if key != "originAssetId"}
    if api_version < "2025-12-01":
        del inner["datasets"]
    return {
        "id": f"{HOME}/models/{name}/versions/{version}",
        "name": version,
        "type": f"{TYPE}/models/versions",
        "properties": inner,
        "systemData": held["systemData"],
    }


async def properties_in(request: web.Request) -> JSON:
    """The properties of a body."""
    try:
        inner = (await request.json())["properties"]
    except (ValueError, KeyError, TypeError):
        raise ServiceError(400, "ValidationError", "The request body is invalid.") from None
    if not isinstance(inner, dict):
        raise ServiceError(400, "ValidationError", "The request body is invalid.")
    return inner


def viewed(request: web.Request, found: list[JSON]) -> list[JSON]:
    """Without archived ones, unless they are asked for; and with the stage and tags that are."""
    view = request.query.get("listViewType", "ActiveOnly").rpartition(".")[2].replace("_", "").lower()
    wanted = {"activeonly": (False,), "archivedonly": (True,)}.get(view, (True, False))
    found = [item for item in found if bool(item["properties"].get("isArchived")) in wanted]
    if stage := request.query.get("stage"):
        found = [item for item in found if item["properties"].get("stage") == stage]
    return found


def ordered(request: web.Request, found: list[JSON]) -> list[JSON]:
    """By time of creation; `$top` ends the list, and is no size of a page."""
    order = request.query.get("$orderBy", "createdtime desc").lower()
    found = sorted(found, key=lambda item: item["systemData"]["createdAt"], reverse=order.endswith("desc"))
    return found[: int(request.query["$top"])] if "$top" in request.query else found


def page(request: web.Request, state: State, found: list[JSON]) -> web.Response:
    """A page, with the address of the next one."""
    start = int(request.query.get("$skip", "0"))
    size, body = state.options.page_size, {"value": found[start : start + state.options.page_size]}
    if start + size < len(found):
        query = urlencode({**request.query, "$skip": str(start + size)}, quote_via=quote)
        body["nextLink"] = f"https://{request.host}{request.path}?{query}"  # type: ignore[assignment]
    return web.json_response(body)


def show_operation(request: web.Request, state: State) -> web.Response:
    """202 while it runs, then what became of it."""
    state.settle()
    operation = state.operations.get(request.match_info["operation"])
    if operation is None:
        raise ServiceError(404, "OperationNotFound", "The operation was not found.")
    if not operation.done:
        return web.json_response({}, status=202, headers={"Location": f"https://{request.host}{request.path_qs}"})
    if operation.error is not None:
        raise operation.error
    return web.json_response({"assetId": operation.asset})
