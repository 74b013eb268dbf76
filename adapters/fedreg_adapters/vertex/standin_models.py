"""ModelService and Operations of the stand-in."""

from __future__ import annotations

import re
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as sdk
from google.longrunning import operations_pb2

from fedreg_adapters.vertex.standin_metadata import Metadata
from fedreg_adapters.vertex.standin_state import (
    MODEL_ID,
    ModelRow,
    Refusal,
    State,
    VersionRow,
    check_alias,
    check_display_name,
    check_labels,
    invalid,
    label_filter,
    missing,
    ordered,
    paged,
    precondition,
)

PARENT = re.compile(r"projects/[^/]+/locations/[^/]+")
MODEL_FIELDS, VERSION_FIELDS = {"display_name", "description"}, {"version_description"}
_INPUT = ("artifact_uri", "container_spec", "metadata", "metadata_schema_uri", "pipeline_job", "version_description")


class Models:
    """One method for each call of ModelService; the name is the call's."""

    def __init__(self, state: State, metadata: Metadata) -> None:
        self.state, self.metadata = state, metadata

    # -- upload and copy -------------------------------------------------------------------------------

    def upload_model(self, request: Any) -> Any:
        """A version of `parent_model`, else a model of its own."""
        given = request.model
        check_parent(request.parent)
        check_display_name(given.display_name)
        check_labels(dict(given.labels))
        for alias in given.version_aliases:
            check_alias(alias)
        if given.artifact_uri and not given.artifact_uri.startswith("gs://"):
            raise invalid("artifact_uri must be a Google Cloud Storage path.")
        name = self._place(request.parent, request.parent_model, request.model_id)

        def work() -> Any:
            model = self._model_for(name, request.parent_model, given.display_name, given.description)
            fields = {field: getattr(given, field) for field in _INPUT if field in given}
            labels = dict(given.labels)
            if self.state.ways.upload_labels == "model" and not model.versions:
                model.labels, labels = labels, {}
            row = self._add(model, sdk.Model(**fields), labels, given.version_aliases)
            return sdk.UploadModelResponse(model=model.name, model_version_id=str(row.number))

        return self.state.begin(name, "UploadModel", work)

    def copy_model(self, request: Any) -> Any:
        """Within a project; takes no labels."""
        check_parent(request.parent)
        source, row = self.state.model(request.source_model), self.state.version(request.source_model)
        if source.name.split("/")[1] != request.parent.split("/")[1]:
            raise invalid("The source Model must be in the same project.")
        name = self._place(request.parent, request.parent_model, request.model_id)

        def work() -> Any:
            model = self._model_for(name, request.parent_model, source.display_name, source.description)
            message = sdk.Model(row.message)
            message.original_model_info = {"model": f"{source.name}@{row.number}"}
            labels = {**source.labels, **row.labels} if self.state.ways.copies_labels else {}
            made = self._add(model, message, labels, ())
            return sdk.CopyModelResponse(model=model.name, model_version_id=str(made.number))

        return self.state.begin(name, "CopyModel", work)

    def _place(self, parent: str, parent_model: str, model_id: str) -> str:
        if parent_model:
            return self.state.model(parent_model).name
        if model_id and not MODEL_ID.fullmatch(model_id):
            raise invalid(f"model_id {model_id!r} is invalid.")
        name = f"{parent}/models/{model_id or 10**18 + self.state.serial()}"
        if name in self.state.models:
            raise already(name)
        return name

    def _model_for(self, name: str, parent_model: str, display_name: str, description: str) -> ModelRow:
        if parent_model:
            return self.state.model(parent_model)
        if name in self.state.models:
            raise already(name)
        moment = self.state.now()
        return self.state.models.setdefault(name, ModelRow(name, display_name, description, {}, moment, moment))

    def _add(self, model: ModelRow, message: Any, labels: dict[str, str], aliases: Any) -> VersionRow:
        row = self.state.add_version(model, message, labels, aliases)
        row.message.metadata_artifact = self.metadata.add_model(model.name, row.number)
        return row

    # -- reading ---------------------------------------------------------------------------------------

    def get_model(self, request: Any) -> Any:
        model, row = self.state.model(request.name), self.state.version(request.name)
        return self.state.show(model, row, versioned="@" in request.name)

    def list_models(self, request: Any) -> Any:
        check_parent(request.parent)
        rows = [row for row in self.state.models.values() if row.name.startswith(f"{request.parent}/models/")]
        shown = [self.state.show(row, row.default, versioned=False) for row in rows if row.versions]
        shown = [message for message in shown if _meant(message, request.filter)]
        times = {
            "create_time": lambda message: message.create_time,
            "update_time": lambda message: message.update_time,
            "display_name": lambda message: message.display_name,
        }
        page, token = paged(ordered(shown, request.order_by, times), request.page_size, request.page_token)
        return sdk.ListModelsResponse(models=page, next_page_token=token)

    def list_model_versions(self, request: Any) -> Any:
        """Filters labels only."""
        model, wanted = self.state.model(request.name), label_filter(request.filter)
        shown = [self.state.show(model, row, versioned=True) for row in model.versions.values()]
        times = {
            "create_time": lambda message: message.version_create_time,
            "update_time": lambda message: message.version_update_time,
        }
        shown = ordered([each for each in shown if wanted(dict(each.labels))], request.order_by, times)
        page, token = paged(shown, request.page_size, request.page_token)
        return sdk.ListModelVersionsResponse(models=page, next_page_token=token)

    # -- changing --------------------------------------------------------------------------------------

    def update_model(self, request: Any) -> Any:
        """One level at a time, under a mask; an etag that is given must be the live one."""
        given, fields = request.model, set(request.update_mask.paths)
        model = self.state.model(given.name)
        selector = given.name.partition("@")[2]
        row = None if selector in ("", "-") else self.state.version(given.name)
        if not fields:
            raise invalid("update_mask is required.")
        unknown = fields - MODEL_FIELDS - VERSION_FIELDS - {"labels"}
        if unknown:
            raise invalid(f"Fields {sorted(unknown)} can't be updated.")
        if fields & (VERSION_FIELDS if row is None else MODEL_FIELDS):
            raise precondition("The fields and the level of the name do not match.")
        shown = row or model.default
        if given.etag and given.etag != self.state.etag(model, shown):
            raise Refusal(self.state.ways.etag_code, "The etag does not match.")
        self._apply(given, fields, model, row)
        self.state.touch(model, row)
        return self.state.show(model, shown, versioned=row is not None)

    def _apply(self, given: Any, fields: set[str], model: ModelRow, row: VersionRow | None) -> None:
        if "labels" in fields:
            check_labels(dict(given.labels))
            (model if row is None else row).labels = dict(given.labels)
        if "display_name" in fields:
            check_display_name(given.display_name)
            model.display_name = given.display_name
        if "description" in fields:
            model.description = given.description
        if "version_description" in fields and row is not None:
            row.message.version_description = given.version_description

    def merge_version_aliases(self, request: Any) -> Any:
        """An alias moves within its model; exactly one `default` stays."""
        model, row = self.state.model(request.name), self.state.numbered(request.name)
        gone = {alias[1:] for alias in request.version_aliases if alias.startswith("-")}
        added = {alias for alias in request.version_aliases if not alias.startswith("-")}
        for alias in gone | added:
            check_alias(alias)
        if "default" in gone - added:
            raise invalid("The default alias can't be removed: point it at another version.")
        for other in model.versions.values():
            other.aliases -= added - gone
        row.aliases |= added - gone
        row.aliases -= gone - added
        self.state.touch(model, row)
        return self.state.show(model, row, versioned=True)

    def delete_model(self, request: Any) -> Any:
        model = self.state.model(request.name)
        if any(row.deployed for row in model.versions.values()):
            raise precondition("The Model is deployed.")

        def work() -> None:
            self.state.models.pop(model.name, None)

        return self.state.begin(model.name, "Delete", work)

    def delete_model_version(self, request: Any) -> Any:
        model, row = self.state.model(request.name), self.state.numbered(request.name)
        if row.deployed:
            raise precondition("The Model version is deployed.")
        if len(model.versions) == 1:
            raise precondition("The only version can't be deleted: use DeleteModel.")
        if "default" in row.aliases and self.state.ways.default_delete == "refuse":
            raise precondition("The default version can't be deleted.")

        def work() -> None:
            model.versions.pop(row.number, None)
            if "default" in row.aliases:
                model.versions[max(model.versions)].aliases.add("default")
            self.state.touch(model, None)

        return self.state.begin(model.name, "Delete", work)

    # -- evaluations -----------------------------------------------------------------------------------

    def import_model_evaluation(self, request: Any) -> Any:
        model, row = self.state.model(request.parent), self.state.version(request.parent)
        made = sdk.ModelEvaluation(request.model_evaluation)
        if not made.metrics_schema_uri.startswith("gs://"):
            raise invalid("metrics_schema_uri is required.")
        made.name = f"{model.name}@{row.number}/evaluations/{self.state.serial()}"
        made.create_time = self.state.now()
        row.evaluations.append(made)
        return made

    def list_model_evaluations(self, request: Any) -> Any:
        row = self.state.version(request.parent)
        page, token = paged(row.evaluations, request.page_size, request.page_token)
        return sdk.ListModelEvaluationsResponse(model_evaluations=page, next_page_token=token)

    def get_model_evaluation(self, request: Any) -> Any:
        row = self.state.version(request.name.partition("/evaluations/")[0])
        for found in row.evaluations:
            if found.name == request.name:
                return found
        raise missing(request.name)


class Operations:
    """google.longrunning.Operations."""

    def __init__(self, state: State) -> None:
        self.state = state

    def get_operation(self, request: Any) -> Any:
        return self.state.look(request.name)

    def list_operations(self, request: Any) -> Any:
        """The operations of a resource; the filter knows `done=`."""
        if request.filter not in ("", "done=false", "done=true"):
            raise invalid(f"Invalid filter: {request.filter}")
        shown = [work.show() for name, work in self.state.operations.items() if name.startswith(f"{request.name}/")]
        if request.filter and not self.state.ways.deaf_to_done:
            shown = [each for each in shown if each.done == request.filter.endswith("true")]
        page, token = paged(shown, request.page_size, request.page_token)
        return operations_pb2.ListOperationsResponse(operations=page, next_page_token=token)


def check_parent(parent: str) -> None:
    if not PARENT.fullmatch(parent):
        raise invalid(f"parent {parent!r} is no location.")


def already(name: str) -> Refusal:
    return Refusal(grpc.StatusCode.ALREADY_EXISTS, f"The Model {name} already exists.")


def _meant(message: Any, text: str) -> bool:
    """Filters of ListModels: model, display_name, labels."""
    for condition in [part.strip() for part in text.split(" AND ")] if text.strip() else []:
        found = re.fullmatch(r'(model|display_name|displayName)(!?=)"?([^"]*)"?', condition)
        if found is None:
            if not label_filter(condition)(dict(message.labels)):
                return False
            continue
        held = message.name.rpartition("/")[2] if found.group(1) == "model" else message.display_name
        if (held == found.group(3)) != (found.group(2) == "="):
            return False
    return True
