"""The data plane of a registry: discovery, models, where bytes go and are, and long-running operations."""

from __future__ import annotations

import uuid
from typing import Any

from aiohttp import web

from fedreg_adapters.azureml.standin_errors import ServiceError
from fedreg_adapters.azureml.standin_state import (
    GROUP,
    LOCATION,
    REGISTRY,
    REGISTRY_ACCOUNTS,
    SUBSCRIPTION,
    WORKSPACE_ID,
    State,
    check,
    normal_uri,
)
from fedreg_adapters.azureml.standin_workspace import ordered, page, properties_in, show_operation, viewed

JSON = dict[str, Any]
TYPE = "Microsoft.MachineLearningServices/registries"
BASE = (
    "/mferp/managementfrontend/subscriptions/{subscription}/{groups:(?i:resourceGroups)}/{group}"
    "/providers/{provider}/registries/{registry}"
)


def add_routes(app: web.Application, state: State) -> None:
    """The paths of a registry."""
    plane = Registry(state)
    app.router.add_get("/registrymanagement/v1.0/registries/{registry}/discovery", plane.discover)
    app.router.add_get("/assetstore/v1.0/operations/{operation}", plane.get_operation)
    for method, path, handler in (
        ("GET", "/models", plane.list_containers),
        ("GET", "/models/{name}", plane.get_container),
        ("PUT", "/models/{name}", plane.put_container),
        ("GET", "/models/{name}/versions", plane.list_versions),
        ("GET", "/models/{name}/versions/{version}", plane.get_version),
        ("PUT", "/models/{name}/versions/{version}", plane.put_version),
        ("PUT", "/tempdatarefs/{name}/versions/{version}", plane.refer_upload),
        ("POST", "/datarefs/{name}/versions/{version}", plane.refer_download),
        ("POST", "/import", plane.take),
    ):
        app.router.add_route(method, BASE + path, plane.here(handler))


class Registry:
    """The handlers of one registry."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.containers: dict[tuple[str, str], str] = {}

    def here(self, handler: Any) -> Any:
        """Refuse another registry than the one there is."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.match_info["registry"].lower() != REGISTRY:
                raise ServiceError(404, "RegistryNotFound", "Registry was not found.")
            self.state.settle()
            found: web.StreamResponse = await handler(request)
            return found

        return answer

    async def discover(self, request: web.Request) -> web.Response:
        if request.match_info["registry"].lower() != REGISTRY:
            raise ServiceError(404, "RegistryNotFound", "Registry was not found.")
        return web.json_response(
            {
                "registryId": str(uuid.uuid4()),
                "registryName": REGISTRY,
                "tenantId": str(uuid.UUID(int=0)),
                "primaryRegion": LOCATION,
                "regions": [LOCATION],
                "subscriptionId": SUBSCRIPTION,
                "resourceGroup": GROUP,
                "workspaceName": None,
                "primaryRegionResourceProviderUri": f"https://{request.host}/",
                "registryFqdns": {LOCATION: {"uri": f"https://{request.host}"}},
                "intellectualPropertyPublisher": None,
            }
        )

    # -- models ----------------------------------------------------------------------------------------

    async def list_containers(self, request: web.Request) -> web.Response:
        found = [self._container(name) for name in sorted(self.state.registry.containers)]
        return page(request, self.state, viewed(request, found))

    async def get_container(self, request: web.Request) -> web.Response:
        self.state.find_container(self.state.registry, request.match_info["name"])
        return web.json_response(self._container(request.match_info["name"]))

    async def put_container(self, request: web.Request) -> web.Response:
        name, inner = request.match_info["name"], await properties_in(request)
        check(name, inner)
        return self._begin(request, lambda: self.state.put_container(self.state.registry, name, inner), asset_id(name))

    async def list_versions(self, request: web.Request) -> web.Response:
        """Empty for an unknown model."""
        name = request.match_info["name"]
        held = self.state.registry.versions.get(name, {})
        found = [self._version(request, name, version) for version in held]
        return page(request, self.state, ordered(request, viewed(request, found)))

    async def get_version(self, request: web.Request) -> web.Response:
        name, version = request.match_info["name"], request.match_info["version"]
        self.state.find_version(self.state.registry, name, version)
        return web.json_response(self._version(request, name, version))

    async def put_version(self, request: web.Request) -> web.Response:
        """The bytes of a new one must be where its reference said."""
        name, version, inner = request.match_info["name"], request.match_info["version"], await properties_in(request)
        check(name, inner)
        existing = self.state.registry.versions.get(name, {}).get(version)
        uri = normal_uri(str(inner.get("modelUri") or ""))
        container = self.containers.get((name, version))
        if existing is None and not uri.startswith(f"registry://{container}"):
            raise ServiceError(400, "InvalidModelUri", "The ModelUri is not that of its temporary data reference.")
        if existing is not None and uri.rstrip("/") != existing["properties"]["modelUri"].rstrip("/"):
            raise ServiceError(400, "UserError", "Asset paths cannot be updated.")
        return self._begin(
            request,
            lambda: self.state.put_version(self.state.registry, name, version, inner),
            asset_id(name, version),
        )

    # -- bytes -----------------------------------------------------------------------------------------

    async def refer_upload(self, request: web.Request) -> web.Response:
        """A container for a name and version, the same each time; none where the version exists."""
        name, version = request.match_info["name"], request.match_info["version"]
        if version in self.state.registry.versions.get(name, {}):
            raise ServiceError(409, "AssetAlreadyExists", "Asset already exists.")
        container = self.containers.setdefault((name, version), f"{REGISTRY}-{uuid.uuid4()}")
        held = self.state.blobs.setdefault((REGISTRY_ACCOUNTS[0], container), {})
        self.state.blobs[(REGISTRY_ACCOUNTS[1], container)] = held
        uri = f"{self._blobs(request)}/{REGISTRY_ACCOUNTS[0]}/{container}"
        return web.json_response(
            {
                "blobReferenceForConsumption": self._reference(uri, uri, "rcwl"),
                "imageReferenceForConsumption": None,
                "temporaryDataReferenceId": str(uuid.uuid4()),
                "temporaryDataReferenceType": None,
            }
        )

    async def refer_download(self, request: web.Request) -> web.Response:
        name, version = request.match_info["name"], request.match_info["version"]
        held = self.state.find_version(self.state.registry, name, version)
        given = str((await request.json()).get("blobUri") or "")
        if normal_uri(given) != held["properties"]["modelUri"]:
            raise ServiceError(400, "InvalidBlobUri", "The BlobUri is not the asset's.")
        account = (
            given.split(f"/{REGISTRY}-")[0].rpartition("/")[2] if f"/{REGISTRY}-" in given else REGISTRY_ACCOUNTS[0]
        )
        container = normal_uri(given).removeprefix("registry://").partition("/")[0]
        signed = f"{self._blobs(request)}/{account}/{container}"
        return web.json_response({"blobReferenceForConsumption": self._reference(given, signed, "rl")})

    def _reference(self, uri: str, signed: str, allowed: str) -> JSON:
        credential = {
            "credentialType": "SAS",
            "sasUri": f"{signed}?sv=2021-10-04&sr=c&sp={allowed}&sig={self.state.signature}",
        }
        return {"blobUri": uri, "storageAccountArmId": "/subscriptions/s/storageAccounts/a", "credential": credential}

    async def take(self, request: web.Request) -> web.Response:
        """Import a workspace's version, as Microsoft's SDK shares one."""
        body = await request.json()
        source = str(body.get("sourceAssetId") or "")
        head = f"azureml://locations/{LOCATION}/workspaces/{WORKSPACE_ID}/models/"
        if not source.startswith(head):
            raise ServiceError(404, "AssetNotFound", f"{source} was not found.")
        name, _, version = source.removeprefix(head).partition("/versions/")
        found = self.state.find_version(self.state.workspace, name, version)
        target = str(body["destinationName"]), str(body["destinationVersion"])
        return self._begin(request, lambda: self.state.publish(found, source, *target), asset_id(*target))

    # -- steps -----------------------------------------------------------------------------------------

    async def get_operation(self, request: web.Request) -> web.Response:
        return show_operation(request, self.state)

    def _begin(self, request: web.Request, action: Any, asset: str) -> web.Response:
        operation = self.state.begin(action, asset)
        where = f"https://{request.host}/assetstore/v1.0/operations/{operation}"
        return web.json_response({}, status=202, headers={"Location": where})

    def _blobs(self, request: web.Request) -> str:
        return self.state.options.blob_url or f"https://{request.host}"

    def _container(self, name: str) -> JSON:
        shelf = self.state.registry
        held, versions = shelf.containers[name], shelf.versions[name]
        latest = list(versions)[-1] if versions else None
        numbers = {"latestVersion": latest, "nextVersion": str(shelf.counted.get(name, 0) + 1)}
        return {
            "id": asset_id(name),
            "name": name,
            "type": f"{TYPE}/models",
            "properties": {**held["properties"], **numbers},
            "systemData": held["systemData"],
        }

    def _version(self, request: web.Request, name: str, version: str) -> JSON:
        """Its `name` is the model's, it has no stage, and its bytes are at another account at each read."""
        held = self.state.registry.versions[name][version]
        self.state.reads += 1
        account = REGISTRY_ACCOUNTS[self.state.reads % 2]
        inner = {k: v for k, v in held["properties"].items() if k not in ("stage", "datasets")}
        inner["modelUri"] = inner["modelUri"].replace("registry://", f"{self._blobs(request)}/{account}/")
        return {
            "id": asset_id(name, version),
            "name": name,
            "type": f"{TYPE}/models/versions",
            "properties": inner,
            "systemData": held["systemData"],
        }


def asset_id(name: str, version: str | None = None) -> str:
    """An asset's id, in lower case."""
    whole = f"azureml://registries/{REGISTRY}/models/{name}"
    return (whole if version is None else f"{whole}/versions/{version}").lower()
