"""Tokens, roles, limits to some registries, and the rules where nobody has to say who they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedreg.api.auth import RANK, check_binding
from fedreg.api.routes import ROUTES
from fedreg.domain.errors import ConfigError
from fedreg.settings import Settings
from fedreg.settings.sections import AuthSettings, Role

R = "/v1/registries/{registry}"
V = f"{R}/models/{{model}}/versions/{{version}}"
VERSION = {"registry": "left", "model": "churn", "version": "1"}
NAMES = {**VERSION, "alias": "a", "path": "p", "id": "i", "link": "l", "sequence": "1"}


class TestTokens:
    @pytest.fixture
    def auth(self, tokens: str) -> str:
        return tokens

    @pytest.mark.parametrize(
        "header", [None, "Bearer", "Bearer wrong", "Basic cmVhZGVy", "reader", "Bearer r\u00e9ader"]
    )
    async def test_without_a_known_token(self, api: Any, header: str | None) -> None:
        headers = {} if header is None else {"Authorization": header}
        answer = await api("GET", "/v1/models", headers=headers, expect=401)
        assert answer.json["code"] == "unauthenticated"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")

    async def test_what_is_open_to_everybody(self, api: Any) -> None:
        for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
            await api("GET", path, expect=200)
        await api("GET", "/metrics", expect=401)

    async def test_every_route_asks_for_its_role(self, api: Any) -> None:
        for route in ROUTES:
            names = {name: value for name, value in NAMES.items() if f"{{{name}}}" in route.path}
            if route.role is None:
                continue
            await api(route.method, route.path, **names, expect=401)
            for role in Role:
                if RANK[role] < RANK[route.role]:
                    answer = await api.acting_as(role.value)(route.method, route.path, **names, expect=403)
                    assert f"needs {route.role.value!r}" in answer.json["message"]

    async def test_the_credential_alone_names_the_actor(self, api: Any, seed: Any) -> None:
        await seed()
        body = {"decision": "approved"}
        await api.acting_as("approver")("PUT", f"{V}/approval", **VERSION, body=body, expect=200)
        history = await api.acting_as("reader")("GET", f"{V}/history", **VERSION, expect=200)
        change = history.json["items"][-1]["change"]
        assert change["actor"] == {"subject": "approver-1", "authenticated": True}

    async def test_a_token_limited_to_one_registry_sees_no_other(self, api: Any, seed: Any) -> None:
        await seed()
        await seed(registry="right")
        lefty = api.acting_as("lefty")
        hidden = await lefty("GET", V, **{**VERSION, "registry": "right"}, expect=404)
        assert hidden.json["message"] == "registry 'right' is not configured"
        await lefty("GET", "/v1/models", query={"registry": "right"}, expect=404)
        for path, key in (("/v1/registries", "name"), ("/v1/capabilities", "registry"), ("/v1/versions", "registry")):
            items = (await lefty("GET", path, expect=200)).json["items"]
            assert {item[key] for item in items} == {"left"}, path
        assert list((await lefty("GET", "/v1/facets", expect=200)).json["registries"]) == ["left"]
        ends = {"source": "left:churn@1", "target": "right:churn"}
        await lefty("POST", "/v1/copies", body=ends, expect=404)
        await lefty("POST", "/v1/checks", body=ends, expect=404)
        await lefty("POST", "/v1/promotions", body={"ref": "right:churn@1", "to": "staging"}, expect=404)
        for path in ("/v1/audit", "/v1/audit/verify", "/metrics"):
            await lefty("GET", path, expect=403)

    async def test_lineage_ends_where_a_token_sees_no_further(self, api: Any, seed: Any) -> None:
        await seed()
        body = {"source": "left:churn@version:1", "target": "right:churn"}
        started = await api.acting_as("operator")("POST", "/v1/copies", body=body, expect=202)
        await api.acting_as("operator")("GET", "/v1/operations/{id}/events", id=started.json["id"], expect=200)
        whole = (await api.acting_as("reader")("GET", f"{V}/lineage", **VERSION, expect=200)).json
        assert (len(whole["edges"]), whole["partial"]) == (1, [])
        part = (await api.acting_as("lefty")("GET", f"{V}/lineage", **VERSION, expect=200)).json
        assert {node["attributes"].get("registry") for node in part["nodes"]} == {"left"}
        assert part["edges"] == [] and part["partial"][0]["error"]["code"] == "forbidden"

    async def test_operations_of_others(self, api: Any, seed: Any) -> None:
        await seed()
        made = await api.acting_as("operator")("PUT", f"{V}/stage", **VERSION, body={"stage": "staging"}, expect=200)
        names = {"id": made.json["operation"]}
        await api.acting_as("lefty")("GET", "/v1/operations/{id}", **names, expect=404)
        assert (await api.acting_as("lefty")("GET", "/v1/operations", expect=200)).json["items"] == []
        await api.acting_as("reader")("GET", "/v1/operations/{id}", **names, expect=200)
        await api.acting_as("approver")("POST", "/v1/operations/{id}/cancel", **names, expect=403)
        await api.acting_as("admin")("POST", "/v1/operations/{id}/cancel", **names, expect=409)


async def test_without_tokens_a_caller_is_anonymous(api: Any) -> None:
    await api("POST", f"{R}/models", registry="left", body={"name": "churn"}, expect=201)
    entry = (await api("GET", "/v1/audit", expect=200)).json["items"][0]
    assert entry["change"]["actor"] == {"subject": "anonymous", "authenticated": False}


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "[evil"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
async def test_without_tokens_foreign_pages_are_refused(api: Any, headers: dict[str, str]) -> None:
    await api("GET", "/v1/models", headers=headers, expect=403)


async def test_without_tokens_an_own_page_is_served(api: Any) -> None:
    origin = f"http://{api.client.host}:{api.client.port}"
    await api("GET", "/v1/registries", headers={"Origin": origin}, expect=200)


def test_binding_beyond_loopback_needs_tokens(settings: Settings, tokens: str) -> None:
    assert settings.auth == AuthSettings()
    for host in ("127.0.0.1", "::1", "localhost"):
        check_binding(host, settings)
    for host in ("0.0.0.0", "::", "gateway.internal"):
        with pytest.raises(ConfigError, match=r"auth\.tokens"):
            check_binding(host, settings)


def test_binding_with_tokens(settings: Settings) -> None:
    from fedreg.settings.sections import TokenSettings

    token = TokenSettings(subject="ci", sha256="0" * 64, roles=(Role.READER,))
    check_binding("0.0.0.0", replace(settings, auth=AuthSettings(tokens=(token,))))
