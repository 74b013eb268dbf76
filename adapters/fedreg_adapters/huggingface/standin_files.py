"""Files of the stand-in: trees, downloads, and commits with what goes before them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from fedreg_adapters.huggingface.standin_access import Access, paged
from fedreg_adapters.huggingface.standin_lfs import bytes_origin, ranged
from fedreg_adapters.huggingface.standin_state import ATTRIBUTES, LFS_FROM, Commit, Hub, Refusal, check_card, tracked

TREE_PAGE = 1000


class FileApi:
    """Handlers of what concerns files."""

    def __init__(self, hub: Hub, access: Access, *, resolve_cache: bool) -> None:
        self._hub, self._access, self._resolve_cache = hub, access, resolve_cache

    async def tree(self, request: web.Request) -> web.Response:
        commit = self._access.repo(request).resolve(request.match_info["rev"])
        under = request.match_info.get("path", "")
        start = f"{under}/" if under else ""
        recursive = request.query.get("recursive", "").lower() in ("true", "1")
        paths = sorted(path for path in commit.files if path.startswith(start))
        folders = {path.removeprefix(start).partition("/")[0] for path in paths if "/" in path.removeprefix(start)}
        items = [self._file(commit, path) for path in paths if recursive or "/" not in path.removeprefix(start)]
        items += [{"type": "directory", "path": start + name, "oid": "0" * 40, "size": 0} for name in sorted(folders)]
        return paged(request, items, TREE_PAGE)

    async def paths_info(self, request: web.Request) -> web.Response:
        commit = self._access.repo(request).resolve(request.match_info["rev"])
        if request.content_type == "application/json":
            paths: Sequence[Any] = (await request.json())["paths"]
        else:
            paths = (await request.post()).getall("paths")
        return web.json_response([self._file(commit, str(path)) for path in paths if path in commit.files])

    def _file(self, commit: Commit, path: str) -> dict[str, Any]:
        entry = commit.files[path]
        found: dict[str, Any] = {"type": "file", "path": path, "oid": entry.oid, "size": entry.size}
        if entry.sha256 is not None:
            found["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}
        return found

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        repo = self._access.repo(request, content=True)
        commit = repo.resolve(request.match_info["rev"])
        entry = commit.files.get(request.match_info["path"])
        if entry is None:
            raise Refusal(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{entry.oid}"'}
        if entry.sha256 is None and self._resolve_cache:
            place = request.rel_url.raw_path.replace("/resolve/", "/", 1)
            return web.Response(status=307, headers={**headers, "Location": f"/api/resolve-cache/models{place}"})
        if entry.sha256 is None:
            return ranged(request, self._hub.read(entry), headers)
        headers |= {"X-Linked-ETag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
        return web.Response(status=302, headers={**headers, "Location": f"{bytes_origin(request)}/cdn/{entry.sha256}"})

    async def cached(self, request: web.Request) -> web.StreamResponse:
        """A small file at the place that `resolve` redirects to; it asks for credentials too."""
        commit = self._access.repo(request, content=True).resolve(request.match_info["rev"])
        entry = commit.files[request.match_info["path"]]
        return ranged(request, self._hub.read(entry), {"X-Repo-Commit": commit.oid, "ETag": f'"{entry.oid}"'})

    async def validate(self, request: web.Request) -> web.Response:
        errors = check_card((await request.json())["content"])
        body = {"errors": [{"message": text} for text in errors], "warnings": []}
        return web.json_response(body, status=400 if errors else 200)

    async def preupload(self, request: web.Request) -> web.Response:
        repo = self._access.repo(request, write=True)
        commit = repo.resolve(request.match_info["rev"])
        files = (await request.json())["files"]
        if len(files) > 256:
            raise Refusal(413, "too many files")
        rules = self._hub.read(commit.files[ATTRIBUTES]).decode() if ATTRIBUTES in commit.files else ""

        def mode(file: Mapping[str, Any]) -> str:
            binary = b"\0" in base64.b64decode(file["sample"], validate=True)
            by_lfs = tracked(rules, file["path"]) or file["size"] >= LFS_FROM or (binary and file["size"] > 1 << 20)
            return "lfs" if by_lfs else "regular"

        rows = [
            {
                "path": file["path"],
                "uploadMode": mode(file),
                "shouldIgnore": False,
                "oid": commit.files[file["path"]].oid if file["path"] in commit.files else None,
            }
            for file in files
        ]
        return web.json_response({"files": rows, "commitOid": commit.oid})

    async def commit(self, request: web.Request) -> web.Response:
        repo = self._access.repo(request, write=True)
        lines = [json.loads(line) for line in (await request.read()).splitlines() if line.strip()]
        sizes = [len(line["value"]["content"]) * 3 // 4 for line in lines if line["key"] == "file"]
        if max(sizes, default=0) > LFS_FROM:
            raise Refusal(400, "a file of more than 10 MiB has to go by LFS")
        made = self._hub.apply(repo, request.match_info["rev"], lines, self._access.name(request))
        url = f"http://{request.host}/{repo.id}/commit/{made.oid}"
        return web.json_response({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})
