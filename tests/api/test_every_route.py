"""Each route is called once, over one story. `api` holds every answer against the OpenAPI document."""

from __future__ import annotations

from typing import Any

from fedreg.api.routes import ROUTES

R = "/v1/registries/{registry}"
M = f"{R}/models/{{model}}"
V = f"{M}/versions/{{version}}"
MODEL = {"registry": "left", "model": "team/churn"}
VERSION = {**MODEL, "version": "1"}


async def test_every_route(api: Any, seed: Any, vendor: Any) -> None:
    await _read_system(api)
    await _change_models(api)
    await _register_version(api, vendor)
    await seed("team/churn")
    await _change_version(api)
    await _read_versions(api)
    await _copy(api)
    await _migrate(api)
    await _link(api)
    await _look_back(api)
    await _tell_others(api)
    await api("DELETE", V, **VERSION, expect=204)
    assert api.called == {(route.method, route.path) for route in ROUTES}


async def _read_system(api: Any) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/v1/facets", "/v1/capabilities"):
        await api("GET", path, expect=200)
    examined = await api("GET", "/v1/doctor", query={"registry": "left"}, expect=200)
    assert [item["registry"] for item in examined.json["items"]] == ["left"]
    listed = await api("GET", "/v1/registries", query={"ping": "true"}, expect=200)
    assert [(item["name"], item["reachable"]) for item in listed.json["items"]] == [("left", True), ("right", True)]
    one = await api("GET", R, registry="left", expect=200)
    assert one.json["reachable"] is True
    started = await api("POST", f"{R}/refresh", registry="left", expect=202)
    assert started.headers["Location"] == "/v1/registries/left/refresh"
    seen = await api("GET", f"{R}/refresh", registry="left", query={"wait": "30"}, expect=200)
    assert (seen.json["running"], seen.json["report"]["error"]) == (False, None)


async def _change_models(api: Any) -> None:
    made = await api(
        "POST", f"{R}/models", registry="left", body={"name": "team/churn", "tags": {"a": "1"}}, expect=201
    )
    assert made.headers["Location"] == "/v1/registries/left/models/team%2Fchurn"
    read = await api("GET", M, **MODEL, expect=200)
    assert read.json == made.json and read.headers["ETag"] == made.headers["ETag"]
    edit = {"description": "who leaves", "tags": {"a": None, "b": "2"}}
    edited = await api("PATCH", M, **MODEL, body=edit, expect=200)
    assert (edited.json["description"], edited.json["tags"]) == ("who leaves", {"b": "2"})
    await api("POST", f"{R}/models", registry="left", body={"name": "gone"}, expect=201)
    deleted = await api("DELETE", M, registry="left", model="gone", expect=204)
    assert deleted.headers["Fedreg-Operation"].startswith("change-")
    await api("GET", M, registry="left", model="gone", expect=404)
    names = [item["name"] for item in (await api("GET", f"{R}/models", registry="left", expect=200)).json["items"]]
    assert names == ["team/churn"]


async def _register_version(api: Any, vendor: Any) -> None:
    vendor.uploads["placed"] = {"model.bin": b"bytes"}
    body = {"artifact_uri": "memory:upload/placed", "metrics": {"auc": 0.9}, "tags": {"team": "a"}, "run_id": "run-7"}
    await api("POST", f"{R}/models", registry="left", body={"name": "placed/here"}, expect=201)
    names = {"registry": "left", "model": "placed/here"}
    made = await api("POST", f"{M}/versions", **names, body=body, headers={"Idempotency-Key": "place"}, expect=201)
    assert made.headers["Location"] == "/v1/registries/left/models/placed%2Fhere/versions/1"
    assert (made.json["approval"], made.json["metrics"], made.json["tags"]) == ("pending", {"auc": 0.9}, {"team": "a"})
    read = await api("GET", V, **names, version="1", expect=200)
    assert read.json == made.json and read.headers["ETag"] == made.headers["ETag"]
    again = await api("POST", f"{M}/versions", **names, body=body, headers={"Idempotency-Key": "place"}, expect=201)
    assert (again.json, again.headers["Fedreg-Operation"]) == (made.json, made.headers["Fedreg-Operation"])
    history = await api("GET", f"{V}/history", **names, version="1", expect=200)
    assert [entry["change"]["action"] for entry in history.json["items"]] == ["created"]
    await api("DELETE", V, **names, version="1", expect=204)
    await api("DELETE", M, **names, expect=204)


async def _change_version(api: Any) -> None:
    edited = await api("PATCH", V, **VERSION, body={"tags": {"k": "v"}, "description": "first"}, expect=200)
    assert (edited.json["tags"], edited.json["description"]) == ({"k": "v"}, "first")
    aliased = await api("PUT", f"{M}/aliases/{{alias}}", **MODEL, alias="champion", body={"version": "1"}, expect=200)
    assert aliased.json["aliases"] == {"champion": "1"}
    by_alias = await api("GET", V, **MODEL, version="@alias:champion", expect=200)
    assert by_alias.json["version"] == "1"
    staged = await api("PUT", f"{V}/stage", **VERSION, body={"stage": "staging", "expected": "none"}, expect=200)
    assert (staged.json["stage_before"], staged.json["stage"], staged.json["changed"]) == ("none", "staging", True)
    judged = await api("PUT", f"{V}/approval", **VERSION, body={"decision": "approved", "comment": "ok"}, expect=200)
    assert (judged.json["approval"], judged.json["approval_comment"]) == ("approved", "ok")
    made = await api(
        "POST", "/v1/promotions", body={"ref": "left:team/churn@version:1", "to": "production"}, expect=200
    )
    assert (await api("GET", V, **VERSION, expect=200)).json["stage"] == "production"
    promotions = (await api("GET", "/v1/promotions", expect=200)).json["items"]
    assert promotions[0]["id"] == made.json["operation"] and len(promotions) == 2
    await api("GET", "/v1/promotions/{id}", id=made.json["operation"], expect=200)
    ended = await api("POST", "/v1/promotions/{id}/cancel", id=made.json["operation"], expect=409)
    assert "succeeded" in ended.json["message"]
    await api("POST", "/v1/promotions/{id}/cancel", id=aliased.headers["Fedreg-Operation"], expect=404)
    await api("DELETE", f"{M}/aliases/{{alias}}", **MODEL, alias="champion", expect=204)


async def _link(api: Any) -> None:
    link = {"members": ["left:team/churn", "right:churn"], "authority": "left", "stages": ["staging"], "exclusive": []}
    made = await api("PUT", "/v1/links/{link}", link="churn", body={"link": link, "reason": "one model"}, expect=200)
    assert (made.json["origin"], made.json["link"]["on_missing"]) == ("api", "fail")
    wrong = {"link": {**link, "on_mising": "copy"}}
    refused = await api("PUT", "/v1/links/{link}", link="churn", body=wrong, expect=400)
    assert refused.json["message"] == "body.link: field 'on_mising' is unknown"
    assert [item["name"] for item in (await api("GET", "/v1/links", expect=200)).json["items"]] == ["churn"]
    assert (await api("GET", "/v1/links/{link}", link="churn", expect=200)).json == made.json
    ask = {"ref": "left:team/churn@version:1", "to": "staging"}
    started = await api("POST", "/v1/promotions", body=ask, expect=202)
    assert [one["registry"] for one in started.json["members"]] == ["left", "right"]
    names = {"id": started.json["operation"]}
    await api("GET", "/v1/operations/{id}/events", **names, expect=200)
    assert (await api("GET", "/v1/promotions/{id}", **names, expect=200)).json["state"] == "succeeded"
    for decision in ("approve", "reject"):
        await api("POST", f"/v1/promotions/{{id}}/{decision}", **names, body={"comment": "late"}, expect=409)
    back = await api("POST", "/v1/promotions/{id}/rollback", **names, body={"reason": "no"}, expect=202)
    await api("GET", "/v1/operations/{id}/events", id=back.json["operation"], expect=200)
    drift = await api("GET", "/v1/drift", query={"refresh": "true"}, expect=200)
    assert (drift.json["rows"], drift.json["links"]) == ([], 1)
    repaired = await api("POST", "/v1/drift/repair", body={"links": ["churn"]}, expect=202)
    assert (repaired.json["changes"], repaired.json["operations"]) == (0, [])
    await api("DELETE", "/v1/links/{link}", link="churn", expect=204)


async def _read_versions(api: Any) -> None:
    listed = await api("GET", f"{M}/versions", **MODEL, expect=200)
    assert [item["version"] for item in listed.json["items"]] == ["1"]
    files = await api("GET", f"{V}/files", **VERSION, expect=200)
    assert [item["path"] for item in files.json["items"]] == ["MLmodel", "data/model.pkl", "empty"]
    content = await api("GET", f"{V}/files/{{path}}", **VERSION, path="MLmodel", expect=200)
    assert content.body == b"flavors: {}\n"
    models = await api("GET", "/v1/models", query={"refresh": "true"}, expect=200)
    assert [row["model"] for row in models.json["items"]] == ["team/churn"] and models.json["partial"] == []
    for pattern, names in ((V, VERSION), (M, MODEL)):
        live = await api("GET", pattern, **names, expect=200)
        indexed = await api("GET", pattern, **names, query={"from": "index"}, expect=200)
        assert indexed.json.keys() == live.json.keys()
    assert (await api("GET", V, **VERSION | {"version": "9"}, query={"from": "index"}, expect=404)).json["cure"]
    versions = await api("GET", "/v1/versions", query={"stage": "production", "sort": "-stage_since"}, expect=200)
    assert [row["set_by"] for row in versions.json["items"]] == ["anonymous"]


async def _copy(api: Any) -> None:
    ends = {"source": "left:team/churn@version:1", "target": "right:churn"}
    planned = await api("POST", "/v1/copies", body={**ends, "dry_run": True}, expect=200)
    assert sorted(planned.json["files"]) == ["MLmodel", "data/model.pkl", "empty"]
    started = await api("POST", "/v1/copies", body={**ends, "allow_lossy": True}, expect=202)
    assert started.headers["Location"] == f"/v1/operations/{started.json['id']}"
    events = await api("GET", "/v1/operations/{id}/events", id=started.json["id"], expect=200)
    assert events.body.decode().rstrip().rpartition("\n\n")[2].startswith("event: end\n")
    ended = await api("GET", "/v1/operations/{id}", id=started.json["id"], expect=200)
    assert (ended.json["state"], ended.json["result"]["target"]) == ("succeeded", "right:churn@version:1")
    refused = await api("POST", "/v1/operations/{id}/cancel", id=started.json["id"], expect=409)
    assert refused.json["code"] == "conflict"
    compared = {**ends, "target": "right:churn@version:1", "download": True}
    checking = await api("POST", "/v1/checks", body=compared, expect=202)
    await api("GET", "/v1/operations/{id}/events", id=checking.json["id"], expect=200)
    checked = await api("GET", "/v1/operations/{id}", id=checking.json["id"], expect=200)
    assert checked.json["result"]["same"] is True
    assert {row["symbol"] for row in checked.json["result"]["rows"]} == {"="}


async def _migrate(api: Any) -> None:
    asked = {"source": "left", "target": "right", "names": {"team/*": "{model}-moved"}}
    planned = await api("POST", "/v1/migrations", body={**asked, "dry_run": True}, expect=200)
    assert (planned.json["to_move"], planned.json["rows"][0]["target"]) == (1, "right:team/churn-moved")
    started = await api("POST", "/v1/migrations", body={**asked, "plan": planned.json["rows"]}, expect=202)
    await api("GET", "/v1/operations/{id}/events", id=started.json["id"], expect=200)
    ended = await api("GET", "/v1/operations/{id}", id=started.json["id"], expect=200)
    assert (ended.json["state"], ended.json["result"]["moved"]) == ("succeeded", 1)
    rows = await api("GET", "/v1/migrations/{id}/rows", id=started.json["id"], expect=200)
    assert [(row["state"], row["target"]) for row in rows.json["items"]] == [
        ("moved", "right:team/churn-moved@version:1")
    ]
    other = ended.json["id"].replace("migration-", "copy-")
    await api("GET", "/v1/migrations/{id}/rows", id=other, expect=404)


async def _tell_others(api: Any) -> None:
    for method in ("POST", "OPTIONS"):
        await api(method, "/v1/events/{registry}", registry="left", expect=401)
    body = {"id": "hook", "url": "https://hook.invalid/in", "actions": ["stage_set"], "model": "team/*"}
    made = await api("POST", "/v1/webhooks", body=body, expect=201)
    assert made.json["secret"].startswith("whsec_") and made.headers["Cache-Control"] == "no-store"
    changed = await api("POST", "/v1/webhooks", body={**body, "registries": ["left"]}, expect=200)
    assert (changed.json["secret"], changed.json["registries"]) == (None, ["left"])
    assert (await api("GET", "/v1/webhooks", expect=200)).json["items"] == [changed.json]
    assert (await api("GET", "/v1/webhooks/{id}", id="hook", expect=200)).json == changed.json
    tried = await api("POST", "/v1/webhooks/{id}/test", id="hook", expect=200)
    assert tried.json["delivered"] is False and tried.json["error"]
    listed = await api("GET", "/v1/webhooks/{id}/deliveries", id="hook", query={"state": "dead"}, expect=200)
    assert listed.json["items"] == []
    again = "/v1/webhooks/{id}/deliveries/{sequence}/redeliver"
    for sequence in ("1", "x"):
        await api("POST", again, id="hook", sequence=sequence, expect=404)
    await api("DELETE", "/v1/webhooks/{id}", id="hook", expect=204)
    await api("GET", "/v1/webhooks/{id}", id="hook", expect=404)


async def _look_back(api: Any) -> None:
    graph = await api("GET", f"{V}/lineage", **VERSION, query={"direction": "down", "depth": "2"}, expect=200)
    assert [edge["relation"] for edge in graph.json["edges"]] == ["copied_from"] * 2  # by a copy, by a migration
    history = await api("GET", f"{V}/history", **VERSION, expect=200)
    actions = [entry["change"]["action"] for entry in history.json["items"]]
    assert actions[:4] == ["created", "tags_set", "description_set", "alias_set"]
    await api("GET", f"{M}/history", **MODEL, expect=200)
    await api("GET", "/v1/operations", query={"kind": "copy", "state": "succeeded"}, expect=200)
    audit = await api("GET", "/v1/audit", query={"actor": "anonymous"}, expect=200)
    verified = await api("GET", "/v1/audit/verify", expect=200)
    assert verified.json["ok"] is True and verified.json["entries"] >= len(audit.json["items"]) > 8
    await api("POST", "/v1/audit/verify", body={"anchors": "{}"}, expect=400)
    await api("GET", "/v1/audit/key", expect=404)
