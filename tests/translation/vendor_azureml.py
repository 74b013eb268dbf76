"""Azure ML through MLClient: a workspace, or a registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from azure.ai.ml._restclient.arm_ml_service.models import ModelContainer
from azure.ai.ml._utils._registry_utils import (
    begin_create_or_update_registry_container,
    get_registry_container_asset,
    get_storage_details_for_registry_assets,
)
from azure.ai.ml.entities import Model
from azure.storage.blob import ContainerClient

from .facts import (
    ALIASES,
    APPROVED,
    AWKWARD,
    COMMENT,
    COMMIT,
    DESCRIPTION,
    FILES,
    METRICS,
    MODEL_DESCRIPTION,
    MODEL_TAGS,
    NAME,
    ODD_METRICS,
    ODD_TAGS,
    PARAMS,
    REPOSITORY,
    RUN,
    STAGE,
    TAGS,
    Found,
    Vendor,
    cut,
    flat,
    without,
)
from .vendor_mlflow import place_files

STAGES = {"Staging": "staging", "Production": "production", "Archived": "archived"}


class Workspace(Vendor):
    title: ClassVar[str] = "Azure ML workspace"
    places: ClassVar[Mapping[str, str]] = {
        "description": "description of the version",
        "tags": "tags of the version",
        "metrics": "properties `fed.metric.*`",
        "params": "properties `fed.param.*`",
        "provenance": "property `fed.provenance`",
        "stage": "`stage`, and tag `fed.stage`",
        "aliases": "tags `fed.alias.*` of the container",
        "approval": "tags `fed.approval`, `fed.approval.comment`",
        "model.description": "description of the container",
        "model.tags": "tags of the container",
        "files": "blobs under `modelUri`",
    }

    def __init__(self, client: Any) -> None:
        self.client = client

    def seed(self) -> tuple[str, str]:
        properties = {f"fed.metric.{name}": repr(value) for name, value in {**METRICS, **ODD_METRICS}.items()}
        properties |= {f"fed.param.{name}": text for name, text in PARAMS.items()}
        known = {"run_id": RUN, "git_commit": COMMIT, "git_repository": REPOSITORY}
        properties |= {"fed.provenance": json.dumps(known), "azureml.note": "kept"}
        tags = {**TAGS, **ODD_TAGS, "fed.approval": APPROVED, "fed.approval.comment": COMMENT, **self._stage_tags()}
        with TemporaryDirectory() as directory:
            root = Path(directory) / "model"
            place_files({**FILES, **AWKWARD}, root)
            given = Model(name=NAME, path=str(root), tags=tags, properties=properties, description=DESCRIPTION)
            made = self._create(given)
        self._put_container(
            {**MODEL_TAGS, **{f"fed.alias.{alias}": made.version for alias in ALIASES}}, MODEL_DESCRIPTION
        )
        return NAME, str(made.version)

    def names(self) -> set[str]:
        return {model.name for model in self.client.models.list()}

    def read(self, model: str, version: str) -> Found:
        found = self.client.models.get(model, version=version)
        holder = self._container(model)
        tags, properties = dict(found.tags or {}), dict(found.properties or {})
        held = {key: str(value) for key, value in (holder["tags"] or {}).items()}
        fields = flat(
            description=found.description,
            tags=without(tags, ["fed."]),
            metrics={name: float(text) for name, text in cut(properties, "fed.metric.").items()},
            params=cut(properties, "fed.param."),
            provenance=self._provenance(found, properties),
            stage=self._stage(found, tags),
            aliases={alias: True for alias, number in cut(held, "fed.alias.").items() if number == version},
            approval=tags.get("fed.approval"),
            approval_comment=tags.get("fed.approval.comment"),
            model__description=holder["description"],
            model__tags=without(held, ["fed."]),
        )
        return Found(fields=fields, files=self._files(model, version), spelled={"model": model})

    def _files(self, model: str, version: str) -> dict[str, bytes]:
        with TemporaryDirectory() as directory:
            self.client.models.download(model, version, download_path=directory)
            [root] = (Path(directory) / model).iterdir()
            return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    # -- what differs in a registry --------------------------------------------------------------------

    def _stage_tags(self) -> dict[str, str]:
        return {}

    def _create(self, given: Model) -> Any:
        given.stage = "Production"
        return self.client.models.create_or_update(given)

    def _stage(self, found: Any, tags: dict[str, str]) -> str | None:
        return STAGES.get(found.stage)

    def _scope(self) -> tuple[Any, dict[str, str]]:
        models = self.client.models
        return models._model_container_operation, {
            "resource_group_name": self.client.resource_group_name,
            "workspace_name": self.client.workspace_name,
        }

    def _container(self, model: str) -> dict[str, Any]:
        operations, scope = self._scope()
        found = operations.get(name=model, **scope).properties
        return {"description": found.description, "tags": found.tags}

    def _put_container(self, tags: dict[str, str], description: str) -> None:
        operations, scope = self._scope()
        body = {"properties": {"description": description, "tags": tags}}
        operations.create_or_update(name=NAME, body=body, **scope)

    def _provenance(self, found: Any, properties: dict[str, str]) -> dict[str, Any]:
        known = json.loads(properties.get("fed.provenance", "{}"))
        extra = {**without(properties, ["fed."]), **known.pop("extra", {})}
        created = known.pop("created_at", None)
        own = {
            "source_uri": self._uri(found),
            "created_by": None if "copied_from" in extra else found.creation_context.created_by,
            "created_at": found.creation_context.created_at,
            **known,
            **{f"extra.{name}": value for name, value in extra.items()},
        }
        if created:
            own["created_at"] = datetime.fromisoformat(created)
        return {name: value for name, value in own.items() if value}

    def _uri(self, found: Any) -> str:
        return str(found.path)


class Registry(Workspace):
    title: ClassVar[str] = "Azure ML registry"
    places: ClassVar[Mapping[str, str]] = {
        **Workspace.places,
        "stage": "tag `fed.stage`",
        "files": "blobs of the registry's own storage",
    }

    def _stage_tags(self) -> dict[str, str]:
        return {"fed.stage": STAGE}

    def _create(self, given: Model) -> Any:
        return self.client.models.create_or_update(given)

    def _stage(self, found: Any, tags: dict[str, str]) -> str | None:
        return tags.get("fed.stage")

    def _uri(self, found: Any) -> str:
        return str(found.id)  # the path moves from read to read

    def _files(self, model: str, version: str) -> dict[str, bytes]:
        """MLClient takes no storage but Azure's own: it is asked for the signature, and Blob's own client reads."""
        client, _, group, registry = self._registry()
        path = self.client.models.get(model, version=version).path
        signed, _ = get_storage_details_for_registry_assets(
            service_client=client,
            asset_name=model,
            asset_version=version,
            asset_type="models",
            rg_name=group,
            reg_name=registry,
            uri=path,
        )
        with ContainerClient.from_container_url(signed) as container:
            prefix = unquote(urlsplit(path).path).partition(f"/{container.container_name}/")[2].rstrip("/") + "/"
            names = [blob.name for blob in container.list_blobs(name_starts_with=prefix)]
            return {name.removeprefix(prefix): container.download_blob(name).readall() for name in names}

    def _registry(self) -> tuple[Any, str, str, str]:
        """What the SDK's own functions for a registry take: client, type, group and registry."""
        models = self.client.models
        return models._registry_service_client, "models", models._resource_group_name, models._registry_name

    def _container(self, model: str) -> dict[str, Any]:
        client, kind, group, registry = self._registry()
        found: dict[str, Any] = get_registry_container_asset(client, kind, model, group, registry)["properties"]
        return {"description": found.get("description"), "tags": found.get("tags")}

    def _put_container(self, tags: dict[str, str], description: str) -> None:
        client, kind, group, registry = self._registry()
        body = ModelContainer({"properties": {"description": description, "tags": tags}})
        begin_create_or_update_registry_container(client, kind, NAME, group, registry, body)
