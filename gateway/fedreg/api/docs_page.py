"""The API for people: one HTML page made from the OpenAPI document, which needs no script and no other host."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1b1f24 }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #d0d7de } code, summary { font-family: ui-monospace, monospace }
details { margin: .4rem 0; padding: .3rem .6rem; border: 1px solid #d0d7de; border-radius: 6px }
summary { cursor: pointer } .method { display: inline-block; width: 4.5rem; font-weight: 600 }
.role { float: right; color: #57606a } table { border-collapse: collapse; margin: .5rem 0 }
td, th { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: top } p { white-space: pre-line }
"""


def render_docs(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info = document["info"]
    groups = "".join(_group(document, tag["name"]) for tag in document["tags"])
    schemas = "".join(_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f'<p>{escape(info["description"])}</p><p><a href="openapi.json">openapi.json</a></p>'
        f"{groups}<h2>Types</h2>{schemas}</body></html>"
    )


def _group(document: Mapping[str, Any], group: str) -> str:
    operations = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if group in operation["tags"]
    ]
    return f"<h2>{escape(group.capitalize())}</h2>{''.join(operations)}"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    role = operation.get("x-fedreg-role", "open")
    body = operation.get("requestBody", {}).get("content", {})
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{_content(answer.get('content', {}))}</td></tr>"
        for status, answer in operation["responses"].items()
        if "$ref" not in answer
    )
    return (
        f'<details><summary><span class="method">{method.upper()}</span>{escape(path)}'
        f'<span class="role">{escape(role)}</span></summary><p>{escape(operation["summary"])}</p>'
        f"{_parameters(operation['parameters'])}"
        f"{'<p>Body: ' + _content(body) + '</p>' if body else ''}<table>{answers}</table></details>"
    )


def _parameters(parameters: list[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(item['name'])}</code></td><td>{escape(item['in'])}</td>"
        f"<td>{_type(item['schema'])}</td><td>{escape(item.get('description', ''))}</td></tr>"
        for item in parameters
    )
    return f"<table>{rows}</table>" if rows else ""


def _content(content: Mapping[str, Any]) -> str:
    return ", ".join(f"{escape(media)} {_type(what.get('schema', {}))}" for media, what in content.items())


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_type(kind)}</td><td>"
        f"{'required' if field in schema.get('required', ()) else ''}</td></tr>"
        for field, kind in schema.get("properties", {}).items()
    )
    values = ", ".join(str(value) for value in schema.get("enum", ()))
    return (
        f'<details id="{escape(name)}"><summary>{escape(name)}</summary>'
        f"<p>{escape(schema.get('description', ''))}</p><p>{escape(values)}</p><table>{rows}</table></details>"
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return escape(" | ".join(str(value) for value in schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if isinstance(schema.get("items"), Mapping) else "list"
    return escape(str(schema.get("format", schema.get("type", "any"))))
