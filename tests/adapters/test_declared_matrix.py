"""What each kind should declare, written by hand from its vendor's documentation: declaring too little fails too.

The conformance suite proves that what is declared is true. This table says that nothing true is left out. By what each
is proven, and why what is left out is left out, quality.yaml says: test_ledgers.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fedreg.domain.capabilities import Capabilities, Change, Operation
from fedreg.domain.stages import Approval
from fedreg.registries.manifests import BUILT_IN, load_manifest

EVERYTHING = {
    "create_model",
    "update_model",
    "delete_model",
    "scan_incremental",
    "find_version",
    "upload",
    "create_version",
    "update_version",
    "delete_version",
    "set_stage",
    "set_alias",
    "delete_alias",
    "set_model_tags",
    "set_version_tags",
    "set_approval",
    "list_files",
    "open_file",
    "copy_native",
    "lineage",
    "deployments",
    "parse_event",
}
FIELDS = {"description", "metrics", "params", "provenance", "approval"}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One row. A stage is `holder` + `!` where one version at most has it; `custom` stands for all others."""

    operations: set[str]
    stages: dict[str, str]
    approvals: set[str]
    incremental: set[str]
    packaging: set[str]
    limits: dict[str, int]
    readback: bool = True
    fields: set[str] = field(default_factory=lambda: set(FIELDS))
    model_fields: set[str] = field(default_factory=lambda: {"description", "tags"})
    editable: set[str] = field(default_factory=lambda: {"model.description", "version.description"})


MATRIX = {
    "azureml": Expected(
        # lists have no filter by time; a container's lastModifiedAt does not move with its versions
        operations=EVERYTHING - {"scan_incremental"},
        # ModelVersionProperties.stage is free text; custom stages live in a tag beside Development
        stages={"production": "native", "staging": "native", "archived": "native", "custom": "tag"},
        # tags
        approvals={"none", "pending", "approved", "rejected"},
        incremental=set(),
        packaging={"files"},
        # the specification sets none for assets; names beyond 255 characters are hashed
        limits={},
    ),
    "huggingface": Expected(
        # a commit holds its files and its description for good; tags, branches and repositories come and go
        operations={
            "create_model",
            "delete_model",
            "find_version",
            "upload",
            "delete_version",
            "set_stage",
            "set_alias",
            "delete_alias",
            "list_files",
            "open_file",
            "lineage",
            "parse_event",
        },
        # branches, moved with overwrite; archived is no pointer, and a custom stage's branch would look like an alias
        stages={"production": "branch!", "staging": "branch!"},
        approvals=set(),
        # lastModified moves with commits, not with tags and branches
        incremental=set(),
        packaging={"files"},
        # huggingface_hub's validate_repo_id allows 96, escapes included
        limits={"model_name": 80, "alias": 100},
        fields={"description", "metrics", "params", "provenance"},
        model_fields=set(),
        editable=set(),
    ),
    "memory": Expected(
        operations=EVERYTHING,
        stages={"production": "alias!", "staging": "native", "archived": "native", "custom": "native"},
        approvals={"none", "pending", "approved", "rejected"},
        # a batch has no word for a deletion
        incremental={"created", "updated", "stage", "alias", "tags", "approval"},
        packaging={"files"},
        limits={"description": 500, "tags_per_version": 20, "alias": 63},
    ),
    "mlflow": Expected(
        # MLflow serves models by other means: it knows of no deployment
        operations=EVERYTHING - {"deployments"},
        # the four native stages are deprecated and opt-in; aliases are what MLflow recommends. archived is no pointer
        stages={"production": "alias!", "staging": "alias!", "archived": "tag", "custom": "alias!"},
        approvals={"none", "pending", "approved", "rejected"},
        # last_updated_timestamp: moved by creation and edits, not by tags and aliases
        incremental={"created", "updated"},
        packaging={"files"},
        # mlflow.utils.validation
        limits={"model_tag_key": 250, "version_tag_key": 250, "version_tag_value": 100_000, "alias": 255},
    ),
    "sagemaker": Expected(
        operations=EVERYTHING,
        # ModelLifeCycle.Stage is free text, and several packages may have the same
        stages={"production": "native", "staging": "native", "archived": "native", "custom": "native"},
        # ModelApprovalStatus has no value for "none"
        approvals={"pending", "approved", "rejected"},
        # LastModifiedTime of a package moves with its stage and its approval; a group has no such time
        incremental={"created", "stage", "approval"},
        packaging={"files", "tar.gz"},
        # botocore's service model
        limits={"description": 1024, "model_tag_key": 128, "model_tag_value": 256, "version_tag_value": 256},
    ),
    "vertex": Expected(
        # UploadModel makes models, nothing else does; whether a model's update_time moves with its versions is nowhere
        # said; entries of the audit log can be pushed
        operations=EVERYTHING - {"create_model", "scan_incremental"},
        # a label of the version, changed with an etag
        stages={"production": "tag", "staging": "tag", "archived": "tag", "custom": "tag"},
        approvals={"none", "pending", "approved", "rejected"},
        incremental=set(),
        # artifact_uri is a directory
        packaging={"files"},
        # the protos of Model: display_name, labels, version_aliases
        limits={"model_name": 128, "version_tag_key": 64, "version_tag_value": 64, "model_tag_value": 64, "alias": 128},
        model_fields=set(),
    ),
}
KINDS = sorted(MATRIX)


def capabilities_of(kind: str) -> Capabilities:
    return load_manifest(kind).capabilities


def test_every_built_in_kind_has_a_row() -> None:
    assert sorted(BUILT_IN) == KINDS


def test_every_operation_is_considered() -> None:
    assert {operation.value for operation in Operation} == EVERYTHING


@pytest.mark.parametrize("kind", KINDS)
def test_operations(kind: str) -> None:
    assert {operation.value for operation in capabilities_of(kind).operations} == MATRIX[kind].operations


@pytest.mark.parametrize("kind", KINDS)
def test_stages(kind: str) -> None:
    said = capabilities_of(kind)
    every = {**said.stages, "custom": said.custom_stages}
    shown = {stage: how.holder.value + "!" * how.exclusive for stage, how in every.items() if how is not None}
    assert shown == MATRIX[kind].stages


@pytest.mark.parametrize("kind", KINDS)
def test_approvals(kind: str) -> None:
    assert capabilities_of(kind).approvals == {Approval(value) for value in MATRIX[kind].approvals}


@pytest.mark.parametrize("kind", KINDS)
def test_increments(kind: str) -> None:
    assert capabilities_of(kind).incremental == {Change(value) for value in MATRIX[kind].incremental}


@pytest.mark.parametrize("kind", KINDS)
def test_uploads(kind: str) -> None:
    upload = capabilities_of(kind).upload
    assert upload is not None
    assert set(upload.packaging) == MATRIX[kind].packaging
    assert upload.readback == MATRIX[kind].readback


@pytest.mark.parametrize("kind", KINDS)
def test_fields(kind: str) -> None:
    said = capabilities_of(kind)
    assert said.fields == MATRIX[kind].fields
    assert said.model_fields == MATRIX[kind].model_fields
    assert said.editable == MATRIX[kind].editable


@pytest.mark.parametrize("kind", KINDS)
def test_limits(kind: str) -> None:
    limits = capabilities_of(kind).limits
    assert {name: getattr(limits, name) for name in MATRIX[kind].limits} == MATRIX[kind].limits
