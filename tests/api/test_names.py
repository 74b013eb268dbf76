"""Names in paths: encoded, and as proxies leave them."""

from __future__ import annotations

from typing import Any

from yarl import URL

MODELS = "/v1/registries/{registry}/models"
M = f"{MODELS}/{{model}}"
AWKWARD = [
    "team/churn",
    "a%2Fb",
    "50%",
    "a b+c",
    "{braces}",
    "caf\u00e9",
    "a@b:c",
    "x/versions/1",
    "q?x#y",
    "a//b/",
]


async def test_any_encoded_name_is_reached(api: Any, seed: Any) -> None:
    for name in AWKWARD:
        await seed(name)
        names = {"registry": "left", "model": name}
        assert (await api("GET", M, **names, expect=200)).json["name"] == name
        version = await api("GET", f"{M}/versions/{{version}}", **names, version="1", expect=200)
        assert version.json["model"] == name
        files = await api("GET", f"{M}/versions/{{version}}/files", **names, version="1", expect=200)
        assert len(files.json["items"]) == 3


async def test_bare_slashes_reach_the_same_model(api: Any, seed: Any) -> None:
    await seed("team/eu/churn")
    base = "/v1/registries/left/models/team/eu/churn"
    for path in (base, f"{base}/versions", f"{base}/versions/1", f"{base}/versions/1/files/data/model.pkl"):
        response = await api.client.get(URL(path, encoded=True))
        assert response.status == 200, path
    listed = await (await api.client.get(f"{base}/versions")).json()
    assert listed["items"][0]["model"] == "team/eu/churn"


async def test_a_registrys_own_spelling_reaches_the_same_model(api: Any, seed: Any) -> None:
    for name in ("team/churn", "x" * 80, "plain"):
        await seed(name)
        model = (await api("GET", M, registry="left", model=name, expect=200)).json
        spelled = {"registry": "left", "model": model["native_name"]}
        assert (await api("GET", M, **spelled, expect=200)).json["name"] == name
        version = (await api("GET", f"{M}/versions/{{version}}", **spelled, version="1", expect=200)).json
        assert version["model"] == name
        change = await api("PUT", f"{M}/versions/{{version}}/stage", **spelled, version="1", body={"stage": "staging"})
        assert change.status == 200
        assert (await api("GET", M, **spelled, expect=200)).json["name"] == name


async def test_a_model_that_is_really_called_like_a_spelling_comes_first(api: Any, seed: Any) -> None:
    await seed("team/churn")
    spelling = (await api("GET", M, registry="left", model="team/churn", expect=200)).json["native_name"]
    await seed(spelling)
    for name in ("team/churn", spelling):
        assert (await api("GET", M, registry="left", model=name, expect=200)).json["name"] == name


async def test_what_no_model_is_spelled_like_is_not_found(api: Any) -> None:
    for name in ("nox_2fzmodel", "nox_h" + "0" * 26, "nox_", "x_zz"):
        await api("GET", M, registry="left", model=name, expect=404)


async def test_a_longer_path_is_never_taken_for_a_model(api: Any) -> None:
    response = await api.client.delete("/v1/registries/left/models/churn/versions/1/stage")
    assert (response.status, response.headers["Allow"]) == (405, "PUT")


async def test_an_alias_of_unusual_characters(api: Any, seed: Any) -> None:
    await seed()
    names = {"registry": "left", "model": "churn", "alias": "a/b"}
    answer = await api("PUT", f"{M}/aliases/{{alias}}", **names, body={"version": "1"}, expect=400)
    assert "alias 'a/b'" in answer.json["message"]


async def test_selectors_that_find_nothing(api: Any, seed: Any) -> None:
    await seed()
    for selector, status in (("@", 400), ("@alias:none", 404), ("@stage:production", 404)):
        await api("GET", f"{M}/versions/{{version}}", registry="left", model="churn", version=selector, expect=status)
