"""The JSON Schema (2020-12) of a configuration file, built from the dataclasses that bind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from fedreg.domain.refs import REGISTRY_NAME
from fedreg.registries.manifests import list_manifests
from fedreg.registries.policy import CallPolicy
from fedreg.settings.sections import Sections

_REFS = "#/$defs/{name}"
# any value may come from a variable or a file
_POLL = "Seconds between scans while the gateway is served; 0, the default, for none but those asked for."
_PLACEHOLDER = {"type": "string", "pattern": r"\$\{"}


def json_schema() -> dict[str, Any]:
    """The schema, the options of every known kind included."""
    kinds = list_manifests()
    types: list[Any] = [Sections, CallPolicy, *(manifest.options for manifest in kinds.values())]
    schemas, definitions = msgspec.json.schema_components(types, schema_hook=_hook, ref_template=_REFS)
    for definition in definitions.values():
        _tighten(definition)
    top, calls, *options = (definitions[schema["$ref"].rpartition("/")[2]] for schema in schemas)
    poll = _allow_placeholder({"type": "number", "minimum": 0, "description": _POLL})
    for kind, own in zip(kinds, options, strict=True):
        own["properties"] = {"kind": {"const": kind}, **own["properties"], "calls": schemas[1], "poll": poll}
        own["required"] = ["kind", *own.get("required", [])]
    top["properties"]["registries"] = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{REGISTRY_NAME.pattern}$"},
        "additionalProperties": {"oneOf": list(schemas[2:])},
    }
    top["required"] = ["registries"]
    calls["description"] = "Pace and limits of requests to one registry."
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fedreg configuration",
        "$ref": schemas[0]["$ref"],
        "$defs": definitions,
    }


def _tighten(definition: dict[str, Any]) -> None:
    """Unknown keys are refused, and placeholders stand for values that are no text."""
    for name, schema in definition.get("properties", {}).items():
        definition["properties"][name] = _allow_placeholder(schema)
    if "properties" in definition:
        definition["additionalProperties"] = False


def _allow_placeholder(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") in ("integer", "number", "boolean"):
        default = {"default": schema.pop("default")} if "default" in schema else {}
        return {"anyOf": [schema, _PLACEHOLDER], **default}
    if "anyOf" in schema and all(option.get("type") != "string" for option in schema["anyOf"]):
        schema["anyOf"] = [*schema["anyOf"], _PLACEHOLDER]
    return schema


def _hook(target: type) -> dict[str, Any]:
    if target is Path:
        return {"type": "string"}
    raise TypeError(f"an options dataclass has a field of type {target}, which no configuration file can hold")
