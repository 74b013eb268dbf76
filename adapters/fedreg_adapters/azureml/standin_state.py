"""What the stand-in knows: containers, versions, and the rules by which a PUT changes them."""

from __future__ import annotations

import asyncio
import copy
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fedreg_adapters.azureml.standin_errors import ServiceError

JSON = dict[str, Any]
SUBSCRIPTION, GROUP, WORKSPACE, REGISTRY = "00000000-1111-2222-3333-444444444444", "rg", "ws", "models"
LOCATION, WORKSPACE_ID = "eastus", "dc3d8282-18f0-4a1f-85f9-b63fcc23ee2a"
ACCOUNT, CONTAINER = "standinstore", f"azureml-blobstore-{WORKSPACE_ID}"
REGISTRY_ACCOUNTS = ("standinfeed1", "standinfeed2")  # the same bytes: a registry keeps them twice
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}")
KNOWN_STAGES = {"Development", "Production", "Archived"}
TYPES: dict[str, tuple[type, ...]] = {
    "description": (str,),
    "tags": (dict,),
    "properties": (dict,),
    "isArchived": (bool,),
    "isAnonymous": (bool,),
    "flavors": (dict,),
    "modelType": (str,),
    "modelUri": (str,),
    "jobName": (str,),
    "stage": (str,),
    "datasets": (list,),
    "autoDeleteSetting": (dict,),
    "provisioningState": (str,),
    "originAssetId": (str,),
    "intellectualProperty": (dict,),
    "latestVersion": (str,),
    "nextVersion": (str,),
    "systemMetadata": (dict,),
    "system_metadata": (dict,),  # as the SDK spells it towards a registry
    "modelPaths": (dict,),
}


@dataclass(kw_only=True)
class Options:
    """How this stand-in plays what is not known for sure.

    - `page_size`: items of a page. `stages`: `free` takes any word, `known` the three seen live.
    - `properties`: a changed one is `ignored` or `refused`. `paths`: `fixed` or, for a doubt, `free`.
    - `operation_time`: seconds until a registry's write has come about.
    - `token`: the one accepted; any where it is None. `client_secret`: that of the identity endpoint.
    - `token_life`: seconds that a token from there is said to be good for; only the latest dozen are.
    - `datastore`: its credentials: `Sas`, `AccountKey` or `None`.
    """

    page_size: int = 3
    stages: str = "free"
    properties: str = "ignored"
    paths: str = "fixed"
    operation_time: float = 0.02
    token: str | None = None
    client_secret: str | None = None
    token_life: int = 3599
    datastore: str = "Sas"
    blob_url: str | None = None


@dataclass
class Shelf:
    """The models of one workspace or registry: container -> its properties, and its versions."""

    of_registry: bool
    containers: dict[str, JSON] = field(default_factory=dict)
    versions: dict[str, dict[str, JSON]] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)


@dataclass
class Operation:
    """A registry's write under way. `action` carries it out once it is due."""

    due: float
    action: Any
    asset: str
    done: bool = False
    error: ServiceError | None = None


class State:
    """Everything behind one stand-in."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.workspace, self.registry = Shelf(False), Shelf(True)
        self.blobs: dict[tuple[str, str], dict[str, Any]] = {(ACCOUNT, CONTAINER): {}}
        self.jobs: dict[str, JSON] = {}
        self.endpoints: dict[str, dict[str, dict[str, JSON]]] = {"onlineEndpoints": {}, "batchEndpoints": {}}
        self.operations: dict[str, Operation] = {}
        self.signature = uuid.uuid4().hex
        self.tokens: dict[str, str] = {}  # those that were issued, with their scope
        self.reads = 0
        self._last = datetime.now(UTC)

    def now(self) -> str:
        """A time that no other call gives, with seven digits as the service writes them."""
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0+00:00"

    # -- operations ------------------------------------------------------------------------------------

    def begin(self, action: Any, asset: str) -> str:
        """Start a long-running operation; returns its id."""
        name = str(uuid.uuid4())
        due = asyncio.get_running_loop().time() + self.options.operation_time
        self.operations[name] = Operation(due, action, asset)
        return name

    def settle(self) -> None:
        """Carry out what is due, whether or not anybody asks."""
        now = asyncio.get_running_loop().time()
        for operation in self.operations.values():
            if not operation.done and operation.due <= now:
                operation.done = True
                try:
                    operation.action()
                except ServiceError as error:
                    operation.error = error

    # -- containers ------------------------------------------------------------------------------------

    def put_container(self, shelf: Shelf, name: str, inner: JSON) -> int:
        """Create or update; returns the status."""
        check(name, inner)
        existing = shelf.containers.get(name)
        now = self.now()
        made = existing["systemData"]["createdAt"] if existing else now
        kept = existing["properties"]["properties"] if existing else {}
        shelf.containers[name] = {
            "properties": {
                "description": inner.get("description"),
                "tags": dict(inner.get("tags") or {}),
                "properties": self.append(kept, inner.get("properties") or {}),
                "isArchived": bool(inner.get("isArchived")),
            },
            "systemData": system_data(made, now),
        }
        shelf.versions.setdefault(name, {})
        return 200 if existing else 201

    def delete_container(self, shelf: Shelf, name: str) -> int:
        shelf.versions.pop(name, None)
        return 204 if shelf.containers.pop(name, None) is None else 200

    def append(self, kept: JSON, given: JSON) -> JSON:
        """Append-only: what is there stays as it is."""
        changed = [key for key, value in given.items() if key in kept and kept[key] != value]
        if changed and self.options.properties == "refused":
            raise ServiceError(400, "ImmutableProperty", f"Property {changed[0]} cannot be updated.")
        return {**given, **kept}

    # -- versions --------------------------------------------------------------------------------------

    def put_version(self, shelf: Shelf, name: str, version: str, inner: JSON, job_known: bool = True) -> int:
        """Create or update; returns the status. What is left out of an update is reset."""
        check(name, inner)
        if not inner.get("modelUri"):
            raise ServiceError(400, "ValidationError", "The ModelUri field is required.")
        if name not in shelf.containers:
            self.put_container(shelf, name, {})
        existing = shelf.versions[name].get(version)
        uri = normal_uri(str(inner["modelUri"]))
        if existing and self.options.paths == "fixed" and not same_path(existing["properties"]["modelUri"], uri):
            raise ServiceError(400, "UserError", "Asset paths cannot be updated.")
        now = self.now()
        made = existing["systemData"]["createdAt"] if existing else now
        stage, archived = self._stage(shelf, inner)
        before = existing["properties"] if existing else {}
        shelf.versions[name][version] = {
            "properties": {
                "description": inner.get("description"),
                "tags": dict(inner.get("tags") or {}),
                "properties": self.append(before.get("properties", {}), inner.get("properties") or {}),
                "isArchived": archived,
                "isAnonymous": bool(inner.get("isAnonymous")),
                "autoDeleteSetting": inner.get("autoDeleteSetting"),
                "flavors": inner.get("flavors") or {},
                "modelType": inner.get("modelType") or "custom_model",
                "modelUri": uri if not existing or self.options.paths == "free" else before["modelUri"],
                "jobName": inner.get("jobName") or before.get("jobName"),
                "provisioningState": "Succeeded",
                "stage": stage,
                "datasets": inner.get("datasets") or before.get("datasets") or [],
                "originAssetId": inner.get("originAssetId") or before.get("originAssetId"),
                "intellectualProperty": None,
            },
            "systemData": system_data(made, now),
        }
        if not existing and version.isdecimal():
            shelf.counted[name] = max(shelf.counted.get(name, 0), int(version))
        return 200 if existing else 201

    def _stage(self, shelf: Shelf, inner: JSON) -> tuple[str, bool]:
        if shelf.of_registry:
            return "", bool(inner.get("isArchived"))
        stage = inner.get("stage") or ("Archived" if inner.get("isArchived") else "Development")
        if self.options.stages == "known" and stage not in KNOWN_STAGES:
            raise ServiceError(400, "InvalidStage", f"Stage {stage} is not supported.")
        return stage, stage == "Archived"

    def find_container(self, shelf: Shelf, name: str) -> JSON:
        self.settle()
        if name not in shelf.containers:
            raise ServiceError(404, "ModelNotFound", f"Model container with name: {name} not found.")
        return shelf.containers[name]

    def find_version(self, shelf: Shelf, name: str, version: str) -> JSON:
        self.settle()
        found = shelf.versions.get(name, {}).get(version)
        if found is None:
            raise ServiceError(404, "ModelNotFound", f"Model {name}:{version} not found.")
        return found

    def publish(self, source: JSON, origin: str, name: str, version: str) -> None:
        """A workspace's version in the registry; its properties and tags come along."""
        if version in self.registry.versions.get(name, {}):
            raise ServiceError(409, "AssetAlreadyExists", f"Asset {name}:{version} already exists.")
        container = f"models-{uuid.uuid4()}"
        path = source["properties"]["modelUri"].partition("/paths/")[2].strip("/")
        held = self.blobs[(ACCOUNT, CONTAINER)]
        start = path + "/"
        moved = {f"asset/{k.removeprefix(start)}": v for k, v in held.items() if k.startswith(start)}
        for account in REGISTRY_ACCOUNTS:
            self.blobs[(account, container)] = moved
        inner = {**copy.deepcopy(source["properties"]), "originAssetId": origin}
        self.put_version(self.registry, name, version, {**inner, "modelUri": f"registry://{container}/asset"})


def check(name: str, inner: JSON) -> None:
    """Refuse a name or a body that the service's schema does not have."""
    if not NAME.fullmatch(name):
        raise ServiceError(400, "InvalidName", f"Name {name} is invalid.")
    for key, value in inner.items():
        if key not in TYPES:
            raise ServiceError(400, "ValidationError", f"Could not find member '{key}' on object.")
        if value is not None and not isinstance(value, TYPES[key]):
            raise ServiceError(400, "ValidationError", f"Error converting value of {key}.")
    for key in ("tags", "properties"):
        if any(value is not None and not isinstance(value, str) for value in (inner.get(key) or {}).values()):
            raise ServiceError(400, "ValidationError", f"Error converting value of {key}.")


def system_data(created: str, modified: str) -> JSON:
    return {
        "createdAt": created,
        "createdBy": "Sanitized",
        "createdByType": "User",
        "lastModifiedAt": modified,
        "lastModifiedBy": "Sanitized",
        "lastModifiedByType": "User",
    }


def normal_uri(uri: str) -> str:
    """A datastore's short address as the long one; `resourceGroups` is spelled the service's way.

    A registry's address as its container and path, whichever account it was read with.
    """
    home = f"azureml://subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/workspaces/{WORKSPACE}/"
    if uri.startswith("azureml://datastores/"):
        return home + uri.removeprefix("azureml://")
    found = re.match(r"azureml://subscriptions/[^/]+/resourcegroups/[^/]+/workspaces/[^/]+/(.*)", uri, re.IGNORECASE)
    if found:
        return home + found.group(1)
    feed = re.match(rf"https?://[^/]+/(?:{'|'.join(REGISTRY_ACCOUNTS)})/(.*)", uri)
    return f"registry://{feed.group(1)}" if feed else uri


def same_path(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.rstrip("/").lower()
