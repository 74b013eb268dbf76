"""ETag, If-Match, If-None-Match."""

from __future__ import annotations

from typing import Any

import pytest

M = "/v1/registries/{registry}/models/{model}"
V = f"{M}/versions/{{version}}"
MODEL = {"registry": "left", "model": "churn"}
VERSION = {**MODEL, "version": "1"}


@pytest.mark.parametrize(("pattern", "names"), [(M, MODEL), (V, VERSION)])
async def test_a_lost_match_changes_nothing(api: Any, seed: Any, pattern: str, names: dict[str, str]) -> None:
    await seed()
    first = (await api("GET", pattern, **names)).headers["ETag"]
    edited = await api("PATCH", pattern, **names, body={"description": "new"}, headers={"If-Match": first}, expect=200)
    assert edited.headers["ETag"] == (await api("GET", pattern, **names)).headers["ETag"] != first
    lost = {"If-Match": first}
    answer = await api("PATCH", pattern, **names, body={"description": "late"}, headers=lost, expect=412)
    assert answer.json["code"] == "precondition_failed"
    await api("DELETE", pattern, **names, headers=lost, expect=412)
    assert (await api("GET", pattern, **names, expect=200)).json["description"] == "new"


async def test_an_unchanged_item_is_not_sent_again(api: Any, seed: Any) -> None:
    await seed()
    tag = (await api("GET", V, **VERSION)).headers["ETag"]
    for header in (tag, f'W/{tag}, "other"', "*"):
        answer = await api("GET", V, **VERSION, headers={"If-None-Match": header}, expect=304)
        assert answer.body == b"" and answer.headers["ETag"] == tag
    await api("GET", V, **VERSION, headers={"If-None-Match": '"other"'}, expect=200)


async def test_expected_stage(api: Any, seed: Any) -> None:
    await seed()
    body = {"stage": "production", "expected": "staging"}
    answer = await api("PUT", f"{V}/stage", **VERSION, body=body, expect=412)
    assert "'none', not 'staging'" in answer.json["message"]


async def test_a_change_through_a_selector_stays_with_its_version(api: Any, seed: Any) -> None:
    await seed()
    await api("PUT", f"{V}/stage", **VERSION, body={"stage": "production"}, expect=200)
    selected = {**MODEL, "version": "@stage:production"}
    answer = await api("PATCH", V, **selected, body={"tags": {"a": "b"}}, expect=200)
    assert (answer.json["version"], answer.json["tags"]) == ("1", {"a": "b"})


async def test_a_patch_that_says_nothing(api: Any, seed: Any) -> None:
    await seed()
    await api("PATCH", V, **VERSION, body={"reason": "none"}, expect=400)
