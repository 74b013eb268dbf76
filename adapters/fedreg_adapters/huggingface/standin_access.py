"""Who may do what, and what the handlers of the stand-in share: refusals, pages and times."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web

from fedreg_adapters.huggingface.standin_state import Hub, Refusal, Repository

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A refusal as the Hub words it."""
    try:
        return await handler(request)
    except Refusal as found:
        headers = {"X-Error-Message": found.message.replace("\n", " ").encode("ascii", "replace").decode()}
        if found.code:
            headers["X-Error-Code"] = found.code
        return web.json_response({"error": found.message, **found.more}, status=found.status, headers=headers)
    except (KeyError, TypeError, ValueError) as error:
        return web.json_response({"error": f"malformed request: {error!r}"}, status=400)


class Access:
    """Callers by their tokens, and the repositories they may see and change."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def caller(self, request: web.Request) -> Mapping[str, Any] | None:
        given = request.headers.get("Authorization", "")
        if not given:
            return None
        who = self.hub.tokens.get(given.removeprefix("Bearer "))
        if who is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return who

    def repo(self, request: web.Request, *, write: bool = False, content: bool = False) -> Repository:
        who = self.caller(request)
        repo_id = f"{request.match_info['ns']}/{request.match_info['name']}"
        found = self.hub.repositories.get(repo_id)
        mine = who is not None and request.match_info["ns"] in (who["user"], *who.get("orgs", ()))
        if found is None or (found.private and not mine):
            raise Refusal(401 if who is None else 404, "Repository not found", "RepoNotFound")
        if write and not (mine and who is not None and who.get("role") == "write"):
            raise Refusal(403, "Forbidden: you must use a write token to write to this repository")
        if found.disabled and (write or content):
            raise Refusal(403, "Access to this resource is disabled.")
        if content and found.gated and not mine:
            raise Refusal(403, f"Access to model {repo_id} is restricted.", "GatedRepo")
        return found

    def guarded(self, handler: Handler) -> Handler:
        async def check(request: web.Request) -> web.StreamResponse:
            self.repo(request, write=True)
            return await handler(request)

        return check

    def writer(self, request: web.Request, namespace: str | None) -> Mapping[str, Any]:
        who = self.caller(request)
        if who is None:
            raise Refusal(401, "Invalid username or password.")
        if who.get("role") != "write" or namespace not in (None, who["user"], *who.get("orgs", ())):
            raise Refusal(403, f"You don't have the rights to create a model under the namespace {namespace!r}")
        return who

    def name(self, request: web.Request) -> str:
        return str((self.caller(request) or {}).get("user", "?"))


def paged(request: web.Request, items: list[Any], most: int, *, key: str = "cursor") -> web.Response:
    """One page, and a Link to the next. `key`: the query's word for where a page begins."""
    limit = min(int(request.query.get("limit", most)), most)
    if limit < 1:
        raise Refusal(400, "limit must be at least 1")
    given = request.query.get(key)
    start = int(given or 0) * limit if key == "p" else int(base64.urlsafe_b64decode(given) if given else 0)
    headers = {}
    if start + limit < len(items):
        following = (
            str(start // limit + 1) if key == "p" else base64.urlsafe_b64encode(b"%d" % (start + limit)).decode()
        )
        rest = "".join(f"{k}={quote(v, safe='')}&" for k, v in request.query.items() if k != key)
        link = f"http://{request.host}{request.rel_url.raw_path}?{rest}{key}={quote(following, safe='')}"
        headers["Link"] = f'<{link}>; rel="next"'
    return web.json_response(items[start : start + limit], headers=headers)


def stamp(at: Any) -> str:
    """A time as the Hub writes it."""
    return str(at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z")
