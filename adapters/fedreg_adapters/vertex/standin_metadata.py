"""MetadataService of the stand-in: a store, artifacts, executions and the events between them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as sdk

from fedreg_adapters.vertex.standin_state import Refusal, State, invalid, missing, paged, precondition

RESOURCE_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,126}[a-z0-9]")
MAX_METADATA = 200_000
MAX_GRAPH = 1000


class Metadata:
    """One method for each call of MetadataService that is served; the name is the call's."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.stores: set[str] = set()
        self.artifacts: dict[str, Any] = {}
        self.executions: dict[str, Any] = {}
        self.events: list[Any] = []

    def add_model(self, model: str, number: int) -> str:
        """The artifact that Vertex makes of each new version."""
        parent, _, native = model.rpartition("/models/")
        store = f"{parent}/metadataStores/default"
        self.stores.add(store)
        name = f"{store}/artifacts/model-{re.sub('[^a-z0-9-]', '-', native)}-{self.state.serial()}"
        self.artifacts[name] = sdk.Artifact(
            name=name, schema_title="google.VertexModel", uri=f"{model}@{number}", create_time=self.state.now()
        )
        return name

    # -- stores ----------------------------------------------------------------------------------------

    def create_metadata_store(self, request: Any) -> Any:
        name = f"{request.parent}/metadataStores/{request.metadata_store_id}"
        if name in self.stores:
            raise Refusal(grpc.StatusCode.ALREADY_EXISTS, f"{name} already exists.")

        def work() -> Any:
            self.stores.add(name)
            return sdk.MetadataStore(name=name)

        return self.state.begin(name, "CreateMetadataStore", work)

    def get_metadata_store(self, request: Any) -> Any:
        self._check_store(request.name)
        return sdk.MetadataStore(name=request.name)

    # -- artifacts -------------------------------------------------------------------------------------

    def create_artifact(self, request: Any) -> Any:
        return self._create(self.artifacts, request.parent, "artifacts", request.artifact_id, request.artifact)

    def get_artifact(self, request: Any) -> Any:
        self._check_store(request.name)
        return _found(self.artifacts, request.name)

    def list_artifacts(self, request: Any) -> Any:
        self._check_store(request.parent)
        rows = [found for name, found in self.artifacts.items() if name.startswith(f"{request.parent}/")]
        page, token = paged(rows, request.page_size, request.page_token)
        return sdk.ListArtifactsResponse(artifacts=page, next_page_token=token)

    def update_artifact(self, request: Any) -> Any:
        """Replaces what the mask names; with allow_missing it creates."""
        given = request.artifact
        self._check_store(given.name)
        if given.name not in self.artifacts and request.allow_missing:
            parent, _, native = given.name.rpartition("/artifacts/")
            return self._create(self.artifacts, parent, "artifacts", native, given)
        held = _found(self.artifacts, given.name)
        check_metadata(given)
        for path in request.update_mask.paths:
            if path not in ("metadata", "labels", "description", "display_name", "uri"):
                raise invalid(f"{path} can't be updated.")
            setattr(held, path, getattr(given, path))
        held.update_time = self.state.now()
        return held

    def delete_artifact(self, request: Any) -> Any:
        _found(self.artifacts, request.name)

        def work() -> None:
            self.artifacts.pop(request.name, None)

        return self.state.begin(request.name, "Delete", work)

    # -- executions and events -------------------------------------------------------------------------

    def create_execution(self, request: Any) -> Any:
        return self._create(self.executions, request.parent, "executions", request.execution_id, request.execution)

    def add_execution_events(self, request: Any) -> Any:
        _found(self.executions, request.execution)
        for event in request.events:
            _found(self.artifacts, event.artifact)
            made = sdk.Event(event)
            made.execution, made.event_time = request.execution, self.state.now()
            self.events.append(made)
        return sdk.AddExecutionEventsResponse()

    def query_artifact_lineage_subgraph(self, request: Any) -> Any:
        """What is within `max_hops` executions of an artifact; refused where that is too much."""
        _found(self.artifacts, request.artifact)
        near, runs = {request.artifact}, set[str]()
        for _ in range(max(1, request.max_hops)):
            runs |= {event.execution for event in self.events if event.artifact in near}
            near |= {event.artifact for event in self.events if event.execution in runs}
        events = [event for event in self.events if event.execution in runs]
        if max(len(near), len(runs), len(events)) > MAX_GRAPH:
            raise precondition(f"The lineage subgraph has more than {MAX_GRAPH} nodes or events.")
        return sdk.LineageSubgraph(
            artifacts=[self.artifacts[name] for name in sorted(near)],
            executions=[self.executions[name] for name in sorted(runs)],
            events=events,
        )

    # -- steps -----------------------------------------------------------------------------------------

    def _create(self, kept: dict[str, Any], parent: str, kind: str, native: str, given: Any) -> Any:
        self._check_store(parent)
        native = native or f"auto-{self.state.serial()}"
        if not RESOURCE_ID.fullmatch(native):
            raise invalid(f"{native!r} must match {RESOURCE_ID.pattern}.")
        check_metadata(given)
        name = f"{parent}/{kind}/{native}"
        if name in kept:
            raise Refusal(grpc.StatusCode.ALREADY_EXISTS, f"{name} already exists.")
        made = type(given)(given)
        made.name, made.create_time = name, self.state.now()
        kept[name] = made
        return made

    def _check_store(self, name: str) -> None:
        store = "/".join(name.split("/")[:6])
        if store not in self.stores:
            raise missing(f"MetadataStore {store}")


def check_metadata(given: Any) -> None:
    size: Callable[[Any], int] = lambda message: message.ByteSize()  # noqa: E731
    if size(type(given).pb(given).metadata) > MAX_METADATA:
        raise invalid(f"metadata is larger than {MAX_METADATA} bytes.")


def _found(kept: dict[str, Any], name: str) -> Any:
    if name not in kept:
        raise missing(name)
    return kept[name]
