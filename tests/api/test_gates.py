"""Changes that meet a gate: accepted, to be followed as an operation, done when people have approved."""

from __future__ import annotations

from typing import Any

import pytest

ALIAS = "/v1/registries/{registry}/models/{model}/aliases/{alias}"
MODEL = "/v1/registries/{registry}/models/{model}"
CHURN = {"registry": "left", "model": "churn"}
BEST = {**CHURN, "alias": "best"}
LINK = {"members": ["left:churn", "right:churn"], "authority": "left", "on_missing": "copy", "aliases": ["best"]}


@pytest.fixture
def auth(tokens: str) -> str:
    return tokens


async def follow(api: Any, answer: Any) -> Any:
    """The operation that a 202 names, when the approver has approved it and it has ended."""
    operation = answer.headers["Fedreg-Operation"]
    assert answer.headers["Location"] == f"/v1/operations/{operation}"
    waiting = await api.acting_as("reader")("GET", "/v1/operations/{id}", id=operation, expect=200)
    assert waiting.json["state"] == "waiting"
    approver = api.acting_as("approver")
    decided = await approver("POST", "/v1/promotions/{id}/approve", id=operation, body={"comment": "ok"})
    assert decided.status in (200, 202)
    await approver("GET", "/v1/operations/{id}/events", id=operation, expect=200)
    return (await approver("GET", "/v1/operations/{id}", id=operation, expect=200)).json


async def test_an_alias_waits_at_a_gate_and_is_set_after_the_approval(api: Any, seed: Any) -> None:
    await seed()
    admin, operator = api.acting_as("admin"), api.acting_as("operator")
    await admin("PUT", "/v1/links/{link}", link="churn", body={"link": {**LINK, "gate": {}}}, expect=200)
    asked = await operator("PUT", ALIAS, **BEST, body={"version": "1"}, expect=202)
    assert asked.json["aliases"] == {}
    refused = await operator("POST", "/v1/promotions/{id}/approve", id=asked.headers["Fedreg-Operation"], body={})
    assert refused.status == 403
    ended = await follow(api, asked)
    assert ended["state"] == "succeeded"
    for registry in ("left", "right"):
        model = await operator("GET", MODEL, registry=registry, model="churn", expect=200)
        assert model.json["aliases"] == {"best": "1"}
    gone = await operator("DELETE", ALIAS, **BEST, expect=202)
    assert (await follow(api, gone))["state"] == "succeeded"
    assert (await operator("GET", MODEL, **CHURN, expect=200)).json["aliases"] == {}
