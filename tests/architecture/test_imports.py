"""Who may import whom, and what an import may cost. The floors themselves stand in pyproject.toml."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GATEWAY, ADAPTERS = ROOT / "gateway", ROOT / "adapters"
DOMAIN = sorted((GATEWAY / "fedreg" / "domain").glob("*.py"))
STANDINS = sorted((ADAPTERS / "fedreg_adapters").glob("*/standin*.py"))
MANIFESTS = sorted((ADAPTERS / "fedreg_adapters").glob("*/manifest.py"))
HEAVY = (
    "aiohttp",
    "alembic",
    "boto3",
    "botocore",
    "dbos",
    "mlflow",
    "msgspec",
    "obstore",
    "rich",
    "sqlalchemy",
    "yaml",
)
SDKS = ("aiohttp", "azure", "boto3", "botocore", "google", "grpc", "huggingface_hub", "mlflow", "msgspec", "obstore")
# what a stand-in may share with others: nothing that an adapter is made of
SHARED_WITH_STANDINS = ("fedreg_adapters.shared.standin", "fedreg_adapters.shared.mlflow_wire")


def imported(file: Path, source_root: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, anywhere in it; `from x import y` gives `x.y`."""
    package = file.relative_to(source_root).parent.parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after a statement; namespaces that `.pth` files make do not count."""
    found = "{m.partition('.')[0] for m, module in list(sys.modules.items()) if getattr(module, '__file__', None)}"
    command = [sys.executable, "-c", f"{statement}\nimport sys; print(*{found})"]
    env = {**os.environ, "PYTHONPATH": f"{GATEWAY}{os.pathsep}{ADAPTERS}"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("file", DOMAIN, ids=lambda file: file.stem)
def test_the_domain_imports_the_standard_library_only(file: Path) -> None:
    allowed = {*sys.stdlib_module_names, "fedreg"}
    names = set(imported(file, GATEWAY))
    assert [name for name in names if name.partition(".")[0] not in allowed] == []
    assert [name for name in names if name.startswith("fedreg.") and not name.startswith("fedreg.domain")] == []


@pytest.mark.parametrize("file", STANDINS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_standin_imports_nothing_of_what_it_tests(file: Path) -> None:
    own = f"fedreg_adapters.{file.parent.name}.standin"
    ours = [name for name in imported(file, ADAPTERS) if name.partition(".")[0] in ("fedreg", "fedreg_adapters")]
    assert [name for name in ours if not name.startswith((own, *SHARED_WITH_STANDINS))] == []


def test_importing_fedreg_loads_nothing_heavy() -> None:
    assert loaded_by("import fedreg") & set(HEAVY) == set()


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.parent.name)
def test_a_manifest_loads_no_sdk(file: Path) -> None:
    assert loaded_by(f"import fedreg_adapters.{file.parent.name}.manifest") & set(SDKS) == set()


def test_the_built_in_kinds_have_a_manifest_each() -> None:
    assert {file.parent.name for file in MANIFESTS} >= {"huggingface", "memory", "mlflow", "sagemaker", "vertex"}


def test_loading_settings_loads_no_sdk_and_no_store() -> None:
    loaded = loaded_by("import fedreg.settings as s; s.json_schema()")
    assert loaded & {"aiohttp", "boto3", "dbos", "mlflow", "prometheus_client", "sqlalchemy", "tenacity"} == set()
    assert {"yaml", "msgspec"} <= loaded  # the check itself sees what is loaded
