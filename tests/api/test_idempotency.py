"""A POST that is sent again with its Idempotency-Key starts nothing new."""

from __future__ import annotations

from typing import Any

import pytest

R = "/v1/registries/{registry}"
V = f"{R}/models/{{model}}/versions/{{version}}"
ENDS = {"source": "left:churn@version:1", "target": "right:churn"}
KEY = {"Idempotency-Key": "3f1c"}


async def test_the_same_key_is_the_same_operation(api: Any, seed: Any) -> None:
    await seed()
    first = await api("POST", "/v1/checks", body={**ENDS, "target": "left:churn@1"}, headers=KEY, expect=202)
    again = await api("POST", "/v1/checks", body={**ENDS, "target": "left:churn@1"}, headers=KEY, expect=202)
    assert again.json["id"] == first.json["id"]
    other = await api(
        "POST", "/v1/checks", body={**ENDS, "target": "left:churn@1"}, headers={"Idempotency-Key": "4a"}, expect=202
    )
    assert other.json["id"] != first.json["id"]


async def test_a_copy_is_answered_even_when_its_source_is_gone(api: Any, seed: Any) -> None:
    await seed()
    first = await api("POST", "/v1/copies", body=ENDS, headers=KEY, expect=202)
    await api("GET", "/v1/operations/{id}/events", id=first.json["id"], expect=200)
    await api("DELETE", V, registry="left", model="churn", version="1", expect=204)
    again = await api("POST", "/v1/copies", body=ENDS, headers=KEY, expect=202)
    assert (again.json["id"], again.json["state"]) == (first.json["id"], "succeeded")
    assert again.json["result"]["moved"] is True


async def test_a_promotion_is_made_once(api: Any, seed: Any) -> None:
    await seed()
    await seed()
    body = {"ref": "left:churn@version:1", "to": "production"}
    first = await api("POST", "/v1/promotions", body=body, headers=KEY, expect=200)
    await api("POST", "/v1/promotions", body={**body, "ref": "left:churn@version:2"}, expect=200)
    again = await api("POST", "/v1/promotions", body=body, headers=KEY, expect=200)
    assert again.json == first.json and first.json["operation"]
    assert (await api("GET", V, registry="left", model="churn", version="2", expect=200)).json["stage"] == "production"


async def test_a_model_is_created_once(api: Any) -> None:
    first = await api("POST", f"{R}/models", registry="left", body={"name": "m"}, headers=KEY, expect=201)
    again = await api("POST", f"{R}/models", registry="left", body={"name": "m"}, headers=KEY, expect=201)
    assert again.headers["Fedreg-Operation"] == first.headers["Fedreg-Operation"]
    await api("POST", f"{R}/models", registry="left", body={"name": "m"}, expect=409)


async def test_the_same_key_with_another_request_is_a_conflict(api: Any, seed: Any) -> None:
    await seed()
    first = await api("POST", "/v1/checks", body={**ENDS, "target": "left:churn@1"}, headers=KEY, expect=202)
    for path, body in (
        ("/v1/checks", {**ENDS, "target": "left:churn@1", "download": True}),
        ("/v1/copies", ENDS),
        ("/v1/promotions", {"ref": "left:churn@1", "to": "production"}),
    ):
        refused = await api("POST", path, body=body, headers=KEY, expect=409)
        assert "'3f1c'" in refused.json["message"] and refused.json["details"] == {"operation": first.json["id"]}


@pytest.mark.parametrize("key", ["", "x" * 256, "\u00e9"])
async def test_a_key_that_is_none(api: Any, seed: Any, key: str) -> None:
    await seed()
    refused = await api("POST", "/v1/copies", body=ENDS, headers={"Idempotency-Key": key}, expect=400)
    assert "Idempotency-Key" in refused.json["message"]


class TestCallers:
    @pytest.fixture
    def auth(self, tokens: str) -> str:
        return tokens

    async def test_keys_of_different_callers_are_different(self, api: Any, seed: Any) -> None:
        await seed()
        body = {**ENDS, "target": "left:churn@1"}
        found = [
            (await api.acting_as(token)("POST", "/v1/checks", body=body, headers=KEY, expect=202)).json["id"]
            for token in ("operator", "admin")
        ]
        assert len(set(found)) == 2
