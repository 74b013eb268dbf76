"""An MLflow server as far as reading one version needs it, with its artifact proxy.

Any model `size-N` exists, with one version 1 whose file `weights.bin` has N bytes; searches find those of `SEARCHED`.
`--delay` holds every answer of the REST API back by so many seconds; files come at once.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.servers.http import Answer, Buffer, Request, byte_range, serve

API, PROXY = "/api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/artifacts"
FILE = "weights.bin"
SEARCHED = tuple(f"size-{1024 + number}" for number in range(200))
_BLOCK = os.urandom(4 << 20)


def answer(request: Request, delay: float) -> Answer:
    """One request."""
    if request.path.startswith(f"{PROXY}/"):
        return _file(request)
    if delay:
        time.sleep(delay)
    if request.path == PROXY:
        name = request.query.get("path", "").partition("/")[0]
        return _json({"files": [{"path": FILE, "is_dir": False, "file_size": _size_of(name)}]})
    if request.path == f"{API}registered-models/search":
        return _json({"registered_models": [_model(each) for each in SEARCHED]})
    if request.path == f"{API}model-versions/search":
        return _json({"model_versions": [_version(each) for each in SEARCHED]})
    name = request.query.get("name", "")
    if _size_of(name) is None:
        return _json({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no model {name}"}, 404)
    if request.path == f"{API}registered-models/get":
        return _json({"registered_model": _model(name)})
    if request.path == f"{API}model-versions/get":
        return _json({"model_version": _version(name)})
    return _json({"error_code": "ENDPOINT_NOT_FOUND", "message": request.path}, 404)


def _file(request: Request) -> Answer:
    size = _size_of(request.path.removeprefix(f"{PROXY}/").partition("/")[0]) or 0
    wanted = request.headers.get("range")
    first, end = byte_range(wanted, size)
    headers = {"Content-Type": "application/octet-stream"}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    return Answer(206 if wanted else 200, headers, _content(first, end), end - first)


def _content(first: int, end: int) -> Iterator[Buffer]:
    """The same random block over and over."""
    block = memoryview(_BLOCK)
    while first < end:
        start = first % len(block)
        piece = block[start : min(len(block), start + end - first)]
        yield piece
        first += len(piece)


def _size_of(name: str) -> int | None:
    number = name.removeprefix("size-")
    return int(number) if number != name and number.isdigit() else None


def _model(name: str) -> dict[str, Any]:
    return {"name": name, "creation_timestamp": 1_700_000_000_000, "last_updated_timestamp": 1_700_000_000_000}


def _version(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1",
        "creation_timestamp": 1_700_000_000_000,
        "last_updated_timestamp": 1_700_000_000_000,
        "current_stage": "None",
        "description": "a version of the benchmarks",
        "source": f"mlflow-artifacts:/{name}",
        "status": "READY",
        "tags": [{"key": "team", "value": "growth"}, {"key": "framework", "value": "sklearn"}],
    }


def _json(value: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, (json.dumps(value).encode(),))


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    delay = parser.parse_args().delay
    serve(lambda request: answer(request, delay))


if __name__ == "__main__":
    main()
