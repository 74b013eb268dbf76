"""Lists over several pages, and the inventory's answers when a registry is down."""

from __future__ import annotations

from typing import Any

import pytest

from fedreg_adapters.memory.standin import Vendor, VendorError
from fedreg_adapters.memory.standin_faults import Mishap

R = "/v1/registries/{registry}"
M = f"{R}/models/{{model}}"


async def read_all(api: Any, pattern: str, query: dict[str, str] | None = None, **names: str) -> list[Any]:
    items: list[Any] = []
    cursor: str | None = None
    while True:
        page = (
            await api(
                "GET", pattern, query={**(query or {}), "limit": "2", **({"cursor": cursor} if cursor else {})}, **names
            )
        ).json
        assert len(page["items"]) <= 2
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


async def test_models_and_versions(api: Any, seed: Any) -> None:
    for name in ("a", "b", "c", "a", "a"):
        await seed(name)
    assert [item["name"] for item in await read_all(api, f"{R}/models", registry="left")] == ["a", "b", "c"]
    versions = await read_all(api, f"{M}/versions", registry="left", model="a")
    assert [item["version"] for item in versions] == ["1", "2", "3"]
    found = await api("GET", f"{R}/models", registry="left", query={"name": "B"})
    assert [item["name"] for item in found.json["items"]] == ["b"]
    rows = await read_all(api, "/v1/versions")
    assert sorted((row["model"], row["version"]) for row in rows) == [
        ("a", "1"),
        ("a", "2"),
        ("a", "3"),
        ("b", "1"),
        ("c", "1"),
    ]
    assert len(await read_all(api, "/v1/versions", {"model": "[bc]"})) == 2


async def test_operations_history_and_audit(api: Any) -> None:
    for name in ("a", "b", "c"):
        await api("POST", f"{R}/models", registry="left", body={"name": name}, expect=201)
    operations = await read_all(api, "/v1/operations")
    assert [item["plan"]["effects"][0]["model"] for item in operations] == ["c", "b", "a"]
    assert [entry["sequence"] for entry in await read_all(api, "/v1/audit")] == [1, 2, 3]
    for text in ("x", "y"):
        await api("PATCH", M, registry="left", model="b", body={"description": text}, expect=200)
    history = await read_all(api, f"{M}/history", registry="left", model="b")
    assert [entry["change"]["action"] for entry in history] == ["created", "description_set", "description_set"]


@pytest.mark.parametrize("path", ["/v1/audit", "/v1/operations", "/v1/registries", "/v1/models"])
async def test_cursors_that_nobody_wrote(api: Any, path: str) -> None:
    await api("GET", path, query={"cursor": "nonsense"}, expect=400)


async def test_cursors_of_other_lists(api: Any) -> None:
    for name in ("a", "b"):
        await api("POST", f"{R}/models", registry="left", body={"name": name}, expect=201)
    models = f"{R}/models"
    cursor = (await api("GET", models, registry="left", query={"limit": "1"})).json["next_cursor"]
    await api("GET", models, registry="left", query={"limit": "2", "cursor": cursor}, expect=200)
    await api("GET", models, registry="left", query={"name": "a", "cursor": cursor}, expect=400)
    await api("GET", models, registry="right", query={"cursor": cursor}, expect=400)
    await api("GET", "/v1/operations", query={"cursor": cursor}, expect=400)


async def test_a_registry_that_is_down_does_not_fail_the_inventory(api: Any, seed: Any, vendor: Vendor) -> None:
    await seed("a", "right")
    vendor.mishaps.planned.append(Mishap("refuse", "shelf.list", times=0, error=VendorError("down")))
    answer = (await api("GET", "/v1/models", expect=200)).json
    assert [row["registry"] for row in answer["items"]] == ["right"]
    assert [(part["registry"], part["error"]["code"]) for part in answer["partial"]] == [
        ("left", "registry_unavailable")
    ]
