"""A local Hugging Face Hub, for tests and the demo: huggingface_hub drives it.

Paths, fields and codes are those of the Hub's API as its SDK sends and reads them. Bytes are on another origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from fedreg_adapters.huggingface.standin_access import Access, Handler, paged, refuse, stamp
from fedreg_adapters.huggingface.standin_files import FileApi
from fedreg_adapters.huggingface.standin_lfs import Storage
from fedreg_adapters.huggingface.standin_state import Commit, Hub, Refusal, Repository, valid_ref

HUB = web.AppKey("hub", Hub)
MODEL_PAGE, COMMIT_PAGE = 1000, 50


def create_app(
    *,
    tokens: Mapping[str, Mapping[str, Any]] | None = None,
    multipart_from: int = 64 * 1024 * 1024,
    resolve_cache: bool = False,
) -> web.Application:
    """The application.

    - `tokens`: token -> `{user, orgs, role}`, with role read or write.
    - `multipart_from`: bytes from which an LFS upload goes in parts.
    - `resolve_cache`: small files are redirected to another path of the same origin, as huggingface.co does.
    """
    hub = Hub()
    hub.tokens = {token: dict(who) for token, who in (tokens or {}).items()}
    app = web.Application(middlewares=[refuse], client_max_size=1 << 30)
    app[HUB] = hub
    access, storage = Access(hub), Storage(hub, multipart_from=multipart_from)
    api, files = Api(hub, access), FileApi(hub, access, resolve_cache=resolve_cache)
    repo = "/api/models/{ns}/{name}"
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/api/whoami-v2", api.whoami),
        ("POST", "/api/validate-yaml", files.validate),
        ("POST", "/api/repos/create", api.create),
        ("DELETE", "/api/repos/delete", api.delete),
        ("GET", "/api/models", api.list_models),
        ("GET", repo, api.info),
        ("GET", repo + "/revision/{rev}", api.info),
        ("GET", repo + "/refs", api.refs),
        ("GET", repo + "/commits/{rev}", api.commits),
        ("GET", repo + "/tree/{rev}", files.tree),
        ("GET", repo + "/tree/{rev}/{path:.*}", files.tree),
        ("POST", repo + "/paths-info/{rev}", files.paths_info),
        ("PUT", repo + "/settings", api.settings),
        ("POST", repo + "/branch/{branch}", api.create_branch),
        ("DELETE", repo + "/branch/{branch}", api.delete_branch),
        ("POST", repo + "/tag/{rev}", api.create_tag),
        ("DELETE", repo + "/tag/{rev}", api.delete_tag),
        ("POST", repo + "/preupload/{rev}", files.preupload),
        ("POST", repo + "/commit/{rev}", files.commit),
        ("POST", "/{ns}/{name}.git/info/lfs/objects/batch", access.guarded(storage.batch)),
        ("POST", "/{ns}/{name}.git/info/lfs/verify", access.guarded(storage.verify)),
        ("GET", "/{ns}/{name}/resolve/{rev}/{path:.+}", files.resolve),
        ("GET", "/api/resolve-cache/models/{ns}/{name}/{rev}/{path:.+}", files.cached),
        ("PUT", "/lfs/upload/{oid}", storage.put),
        ("PUT", "/lfs/upload/{oid}/{part}", storage.put),
        ("POST", "/lfs/complete/{oid}", storage.complete),
        ("GET", "/cdn/{oid}", storage.download),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
        if method == "GET" and ("resolve" in path or "cdn" in path):
            app.router.add_route("HEAD", path, handler)
    return app


class Api:
    """Handlers of the API."""

    def __init__(self, hub: Hub, access: Access) -> None:
        self._hub, self._access = hub, access

    # -- who ----------------------------------------------------------------------------------------------

    async def whoami(self, request: web.Request) -> web.Response:
        who = self._access.caller(request)
        if who is None:
            raise Refusal(401, "Invalid username or password.")
        role = who.get("role", "read")
        return web.json_response(
            {
                "type": "user",
                "name": who["user"],
                "orgs": [{"type": "org", "name": name, "roleInOrg": role} for name in who.get("orgs", ())],
                "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": role}},
            }
        )

    # -- repositories -------------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("type", "model") != "model":
            raise Refusal(400, "only models in here")
        who = self._access.writer(request, body.get("organization"))
        repo_id = f"{body.get('organization') or who['user']}/{body['name']}"
        private = body.get("visibility") == "private" or bool(body.get("private"))
        made = self._hub.create(repo_id, private=private, author=who["user"])
        return web.json_response({"url": f"http://{request.host}/{repo_id}", "name": repo_id, "id": made.number})

    async def delete(self, request: web.Request) -> web.Response:
        body = await request.json()
        who = self._access.writer(request, body.get("organization"))
        if self._hub.repositories.pop(f"{body.get('organization') or who['user']}/{body['name']}", None) is None:
            raise Refusal(404, "Repository not found", "RepoNotFound")
        return web.json_response({})

    async def settings(self, request: web.Request) -> web.Response:
        repo, body = self._access.repo(request, write=True), await request.json()
        repo.gated = body.get("gated", repo.gated)
        repo.private = body.get("visibility", "private" if repo.private else "public") == "private"
        return web.json_response({"private": repo.private, "gated": repo.gated})

    async def list_models(self, request: web.Request) -> web.Response:
        who, query = self._access.caller(request), request.query
        spaces = {who["user"], *who.get("orgs", ())} if who else set()
        found = [
            repo
            for repo in self._hub.repositories.values()
            if query.get("author") in (None, repo.id.partition("/")[0])
            and query.get("search", "").lower() in repo.id.lower()
            and (not repo.private or repo.id.partition("/")[0] in spaces)
        ]
        full = query.get("full") in ("true", "True", "1")
        items = [self._describe(repo, repo.resolve("main"), full=full) for repo in found]
        return paged(request, items, MODEL_PAGE)

    async def info(self, request: web.Request) -> web.Response:
        repo = self._access.repo(request)
        commit = repo.resolve(request.match_info.get("rev", "main"))
        found = self._describe(repo, commit, full=True)
        if request.query.get("securityStatus") in ("true", "True", "1"):
            found["securityRepoStatus"] = {"scansDone": True, "filesWithIssues": repo.issues.get(commit.oid, [])}
        wanted = request.query.getall("expand", [])
        if wanted:
            found = {key: value for key, value in found.items() if key in {"_id", "id", *wanted}}
        return web.json_response(found)

    def _describe(self, repo: Repository, commit: Commit, *, full: bool) -> dict[str, Any]:
        found: dict[str, Any] = {
            "_id": repo.number,
            "id": repo.id,
            "modelId": repo.id,
            "private": repo.private,
            "likes": 0,
            "downloads": 0,
            "tags": ["region:us"],
            "createdAt": stamp(repo.created_at),
        }
        if not full:
            return found
        card = self._hub.card(commit)
        index = card.pop("model-index", None)
        listed = card.get("tags")
        found["tags"] = [*(listed if isinstance(listed, list) else []), "region:us"]
        found |= {
            "author": repo.id.partition("/")[0],
            "sha": commit.oid,
            "lastModified": stamp(max(each.date for each in repo.commits.values())),
            "gated": repo.gated,
            "disabled": repo.disabled,
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            **({"cardData": card} if card or "README.md" in commit.files else {}),
            **({"model-index": index} if index else {}),
        }
        return found

    # -- refs and commits ---------------------------------------------------------------------------------

    async def refs(self, request: web.Request) -> web.Response:
        repo = self._access.repo(request)

        def rows(kind: str, refs: Mapping[str, str]) -> list[dict[str, str]]:
            return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid} for name, oid in refs.items()]

        return web.json_response(
            {"branches": rows("heads", repo.branches), "converts": [], "tags": rows("tags", repo.tags)}
        )

    async def commits(self, request: web.Request) -> web.Response:
        found = self._access.repo(request).history(request.match_info["rev"])
        items = [
            {
                "id": c.oid,
                "title": c.title,
                "message": c.message,
                "date": stamp(c.date),
                "authors": [{"user": c.author}],
            }
            for c in found
        ]
        return paged(request, items, COMMIT_PAGE, key="p")

    async def create_branch(self, request: web.Request) -> web.Response:
        repo, name = self._access.repo(request, write=True), request.match_info["branch"]
        body = await request.json() if request.can_read_body else {}
        if not valid_ref(name):
            raise Refusal(400, f"Invalid reference name {name!r}")
        if name in repo.branches and not body.get("overwrite"):
            raise Refusal(409, f"Reference already exists: refs/heads/{name}")
        if body.get("emptyBranch"):
            repo.branches[name] = self._hub.commit(repo, None, {}, "Initial commit", "", self._access.name(request)).oid
        else:
            repo.branches[name] = repo.resolve(body.get("startingPoint") or "main").oid
        return web.Response()

    async def delete_branch(self, request: web.Request) -> web.Response:
        repo, name = self._access.repo(request, write=True), request.match_info["branch"]
        if name == "main":
            raise Refusal(403, "the default branch can't be deleted")
        if repo.branches.pop(name, None) is None:
            raise Refusal(404, f"Reference does not exist: refs/heads/{name}", "RevisionNotFound")
        return web.Response()

    async def create_tag(self, request: web.Request) -> web.Response:
        repo, body = self._access.repo(request, write=True), await request.json()
        if not valid_ref(body["tag"]):
            raise Refusal(400, f"Invalid reference name {body['tag']!r}")
        commit = repo.resolve(request.match_info["rev"])
        if body["tag"] in repo.tags:
            raise Refusal(409, f"Tag reference exists already: refs/tags/{body['tag']}")
        repo.tags[body["tag"]] = commit.oid
        return web.Response()

    async def delete_tag(self, request: web.Request) -> web.Response:
        repo = self._access.repo(request, write=True)
        if repo.tags.pop(request.match_info["rev"], None) is None:
            raise Refusal(404, "Tag does not exist", "RevisionNotFound")
        return web.Response()
