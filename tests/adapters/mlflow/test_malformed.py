"""Answers that no MLflow server should give."""

from __future__ import annotations

import pytest
from aiohttp import web

from fedreg.domain.capabilities import Operation
from fedreg.domain.errors import (
    FedregError,
    IntegrityError,
    NotFound,
    Outcome,
    RateLimited,
    RegistryAuthError,
    RegistryError,
    RegistryTimeout,
    RegistryUnavailable,
)
from fedreg.domain.models import ModelDraft, ModelQuery, PageRequest
from fedreg_adapters.mlflow.client import error_of

from .conftest import Opener
from .fakes import serving

PAGE = "<!doctype html><title>Sign in</title><h1>Please sign in</h1>"


def answering(status: int, text: str, **headers: str) -> object:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return handler


@pytest.mark.parametrize("text", [PAGE, '{"registered_models": [', "", "null", "[]", '"text"'])
async def test_no_json_object(connect: Opener, text: str) -> None:
    async with serving(answering(200, text)) as url:  # type: ignore[arg-type]
        with pytest.raises(RegistryError, match="no JSON object"):
            await connect(url=url).ping()


async def test_unreadable_answer_to_a_write_leaves_the_outcome_open(connect: Opener) -> None:
    async with serving(answering(200, PAGE)) as url:  # type: ignore[arg-type]
        with pytest.raises(RegistryError) as caught:
            await connect(url=url).create_model(ModelDraft(name="m"))
        assert caught.value.outcome is Outcome.UNKNOWN


async def test_redirect_is_not_followed(connect: Opener) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=302, headers={"Location": "/login"})

    async with serving(handler) as url:
        with pytest.raises(RegistryError, match="/login"):
            await connect(url=url, token="t").ping()
    assert seen == ["/api/2.0/mlflow/registered-models/search"]


@pytest.mark.parametrize("tokens", [["a", "a"], ["a", "b", "a"]])
async def test_page_tokens_in_a_circle(connect: Opener, tokens: list[str]) -> None:
    following = {"": tokens[0], **{token: tokens[(n + 1) % len(tokens)] for n, token in enumerate(tokens)}}

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"next_page_token": following[request.query.get("page_token", "")]})

    async with serving(handler) as url:
        with pytest.raises(RegistryError, match="twice"):
            await connect(url=url).list_models(ModelQuery(page=PageRequest(limit=5)))
        adapter, cursor = connect(url=url), None
        with pytest.raises(RegistryError, match="twice"):
            for _ in range(10):
                cursor = (await adapter.scan(cursor)).cursor


async def test_server_without_aliases(connect: Opener) -> None:
    """Before MLflow 2.3: no alias endpoint, hence no stage that is held by one."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=404, text="<h1>Not Found</h1>", content_type="text/html")

    async with serving(handler) as url:
        adapter = connect(url=url)
        await adapter.open()
        assert not adapter.capabilities.supports(Operation.SET_ALIAS)
        assert set(adapter.capabilities.stages) == {"archived"}
        assert adapter.capabilities.custom_stages is None


@pytest.mark.parametrize("name", ["..", "a/b", "", "."])
async def test_listing_that_leads_outside(connect: Opener, name: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        if "mlflow-artifacts" in request.path:
            return web.json_response({"files": [{"path": name, "is_dir": False, "file_size": 1}]})
        version = {"name": "m", "version": "1", "source": "mlflow-artifacts:/1/a"}
        return web.json_response({"model_version": version})

    async with serving(handler) as url:
        with pytest.raises(IntegrityError):
            await connect(url=url).list_files("m", "1")


@pytest.mark.parametrize(
    ("status", "code", "kind", "outcome"),
    [
        (404, "RESOURCE_DOES_NOT_EXIST", NotFound, Outcome.NOT_APPLIED),
        (404, "", RegistryError, Outcome.NOT_APPLIED),
        (401, "", RegistryAuthError, Outcome.NOT_APPLIED),
        (403, "PERMISSION_DENIED", RegistryAuthError, Outcome.NOT_APPLIED),
        (429, "", RateLimited, Outcome.NOT_APPLIED),
        (500, "INTERNAL_ERROR", RegistryError, Outcome.UNKNOWN),
        (502, "", RegistryUnavailable, Outcome.UNKNOWN),
        (503, "TEMPORARILY_UNAVAILABLE", RegistryUnavailable, Outcome.NOT_APPLIED),
        (504, "", RegistryTimeout, Outcome.UNKNOWN),
    ],
)
def test_error_table(status: int, code: str, kind: type[FedregError], outcome: Outcome) -> None:
    text = f'{{"error_code": "{code}", "message": "m"}}' if code else PAGE
    error = error_of(status, {"Retry-After": "7", "X-Request-Id": "r1"}, text, "prod", "op")
    assert (type(error), error.outcome, error.retry_after, error.request_id) == (kind, outcome, 7.0, "r1")


def test_missing_alias_is_not_found_though_it_is_a_400() -> None:
    text = '{"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias x not found."}'
    assert isinstance(error_of(400, {}, text, "prod", "op"), NotFound)


def test_host_that_the_server_does_not_allow() -> None:
    error = error_of(403, {}, "Invalid Host header - possible DNS rebinding attack detected", "prod", "op")
    assert "--allowed-hosts" in str(error)
