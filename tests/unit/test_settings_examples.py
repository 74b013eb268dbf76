"""The example configurations load, and the published JSON Schema accepts them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from fedreg.registries.manifests import list_manifests
from fedreg.settings import Settings, json_schema, load_settings

CONFIG = Path(__file__).parents[2] / "config"
ENVIRONMENT = {
    "MLFLOW_TRACKING_URI": "http://mlflow.internal:5000",
    "CI_TOKEN_SHA256": hashlib.sha256(b"ci").hexdigest(),
    "LEADS_TOKEN_SHA256": hashlib.sha256(b"leads").hexdigest(),
    "HF_TOKEN": "hf_example",
}
EXAMPLES = sorted(path.name for path in CONFIG.glob("*.yaml"))


def load(name: str, directory: Path) -> Settings:
    (directory / "mlflow-token").write_text("hunter2\n")
    (directory / "evidence-token").write_text("hunter4\n")
    (directory / "azure-secret").write_text("hunter3\n")
    return load_settings(Path(shutil.copy(CONFIG / name, directory)), ENVIRONMENT)


def test_the_examples_are_these() -> None:
    assert {"minimal.yaml", "mlflow-sagemaker.yaml", "full.yaml", "postgresql.yaml"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_loads(name: str, tmp_path: Path) -> None:
    settings = load(name, tmp_path)
    assert settings.registries
    assert "hunter2" not in json.dumps(settings.redacted())


def test_the_password_of_the_store_is_masked(tmp_path: Path) -> None:
    config = tmp_path / "postgresql.yaml"
    shutil.copy(CONFIG / config.name, config)
    settings = load_settings(config, {"FEDREG_DB_PASSWORD": "hunter2"})
    assert "fedreg:hunter2@db.internal" in settings.store.url
    assert "hunter2" not in repr(settings) + json.dumps(settings.redacted())


def test_the_full_one_uses_every_section(tmp_path: Path) -> None:
    settings = load("full.yaml", tmp_path)
    assert set(settings.registries) == {"mlflow-prod", "mlflow-old", "sm-eu", "hf", "vx", "az", "scratch"}
    assert settings.registries["mlflow-prod"].options.token == "hunter2"
    assert set(settings.links) == {"churn", "teams"}
    assert set(yaml.safe_load((CONFIG / "full.yaml").read_text())) == set(settings.redacted()) - {"file"}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_schema_accepts_the_examples(name: str, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(yaml.safe_load((CONFIG / name).read_text()))


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"registries": {}},
        {"registries": {"a": {"kind": "memory"}}, "sotre": {}},
        {"registries": {"a": {"kind": "nothing"}}},
        {"registries": {"a": {"kind": "memory", "spce": "x"}}},
        {"registries": {"a": {"kind": "mlflow"}}},
        {"registries": {"A": {"kind": "memory"}}},
        {"registries": {"a": {"kind": "memory", "calls": {"rate": "fast"}}}},
    ],
)
def test_the_schema_refuses_what_loading_refuses(
    document: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    assert not validator.is_valid(document)


def test_the_schema_allows_placeholders_for_numbers(validator: jsonschema.Draft202012Validator) -> None:
    assert validator.is_valid({"registries": {"a": {"kind": "memory"}}, "server": {"port": "${PORT:-8080}"}})


def test_the_schema_knows_every_kind_and_is_json() -> None:
    schema = json.loads(json.dumps(json_schema()))
    known = schema["$defs"]["Sections"]["properties"]["registries"]["additionalProperties"]["oneOf"]
    names = [option["$ref"].rpartition("/")[2] for option in known]
    assert [schema["$defs"][name]["properties"]["kind"]["const"] for name in names] == list(list_manifests())
