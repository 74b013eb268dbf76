"""The document and the page made from it."""

from __future__ import annotations

import re
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from fedreg.api.docs_page import render_docs
from fedreg.api.endpoints import NoQuery
from fedreg.api.openapi import build_openapi
from fedreg.api.routes import ROUTES

DOCUMENT = build_openapi(ROUTES)


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_is_in_it_once() -> None:
    documented = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert documented == {(route.method, route.path) for route in ROUTES}
    assert len(documented) == len(ROUTES) == len({route.name for route in ROUTES})


def test_what_a_route_takes_is_in_it() -> None:
    for route in ROUTES:
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        named = {(item["in"], item["name"]) for item in operation["parameters"]}
        assert {("path", name) for name in re.findall(r"{(\w+)}", route.path)} <= named
        assert {("query", name) for name in route.query.__struct_encode_fields__} <= named
        assert ("requestBody" in operation) == (route.body is not None)
        assert operation.get("x-fedreg-role") == (route.role.value if route.role else None)
        assert ("security" in operation) == (route.role is not None)
    assert NoQuery.__struct_encode_fields__ == ()


def test_requests_refuse_unknown_fields_in_the_document_too() -> None:
    schema = DOCUMENT["components"]["schemas"]["NewModel"]
    assert schema["additionalProperties"] is False and schema["required"] == ["name"]


async def test_the_page_needs_no_other_host(api: Any) -> None:
    page = (await api("GET", "/docs", expect=200)).body.decode()
    assert page == render_docs(DOCUMENT)
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//|<script|@import|url\(", page)
    for route in ROUTES:
        assert f"{route.method}</span>{route.path}<" in page
    for name in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{name}"' in page


async def test_the_document_is_served(api: Any) -> None:
    assert (await api("GET", "/openapi.json", expect=200)).json == DOCUMENT
