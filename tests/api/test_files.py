"""Files: ranges, conditions, and streams that break."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from fedreg.api.problems import RangeNotSatisfiable
from fedreg.api.ranges import ByteRange, parse_range
from fedreg_adapters.memory.standin import Vendor, VendorError
from fedreg_adapters.memory.standin_faults import Mishap

V = "/v1/registries/{registry}/models/{model}/versions/{version}"
FILE = f"{V}/files/{{path}}"
NAMES = {"registry": "left", "model": "churn", "version": "1"}
DATA = bytes(range(256)) * 8


RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=10-19", 10, 20),
    ("bytes=2000-", 2000, 2048),
    ("bytes=-48", 2000, 2048),
    ("bytes=-9999", 0, 2048),
    ("bytes=2040-9999", 2040, 2048),
]


async def test_one_range(api: Any, seed: Any) -> None:
    await seed()
    for header, start, stop in RANGES:
        answer = await api("GET", FILE, **NAMES, path="data/model.pkl", headers={"Range": header}, expect=206)
        assert answer.body == DATA[start:stop]
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/2048"


async def test_what_is_no_single_range_is_ignored(api: Any, seed: Any) -> None:
    await seed()
    for header in ("bytes=0-1,4-5", "lines=1-2", "bytes=9-3", "bytes=-", "rubbish"):
        answer = await api("GET", FILE, **NAMES, path="data/model.pkl", headers={"Range": header}, expect=200)
        assert answer.body == DATA and answer.headers["Accept-Ranges"] == "bytes"


async def test_a_range_after_the_end(api: Any, seed: Any) -> None:
    await seed()
    answer = await api("GET", FILE, **NAMES, path="data/model.pkl", headers={"Range": "bytes=2048-"}, expect=416)
    assert answer.headers["Content-Range"] == "bytes */2048"
    with pytest.raises(RangeNotSatisfiable):
        parse_range("bytes=-0", 10)
    assert parse_range("bytes=3-", 10) == ByteRange(3, 10)


async def test_a_range_of_another_state_gives_the_whole_file(api: Any, seed: Any) -> None:
    await seed()
    headers = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert (await api("GET", FILE, **NAMES, path="data/model.pkl", headers=headers, expect=200)).body == DATA
    tag = (await api("GET", FILE, **NAMES, path="data/model.pkl")).headers["ETag"]
    headers["If-Range"] = tag
    await api("GET", FILE, **NAMES, path="data/model.pkl", headers=headers, expect=206)


async def test_an_empty_file_and_one_that_is_not_there(api: Any, seed: Any) -> None:
    await seed()
    assert (await api("GET", FILE, **NAMES, path="empty", expect=200)).body == b""
    await api("GET", FILE, **NAMES, path="data", expect=404)


async def test_head_tells_the_size(api: Any, seed: Any) -> None:
    await seed()
    response = await api.client.head("/v1/registries/left/models/churn/versions/1/files/data/model.pkl")
    assert (response.status, response.headers["Content-Length"], await response.read()) == (200, "2048", b"")


async def test_what_fails_before_the_first_byte_is_a_problem(api: Any, seed: Any, vendor: Vendor) -> None:
    await seed()
    vendor.mishaps.planned.append(Mishap("refuse", "blob.get", times=0, error=VendorError("down")))
    answer = await api("GET", FILE, **NAMES, path="data/model.pkl", expect=503)
    assert answer.json["code"] == "registry_unavailable"


async def test_a_stream_that_breaks_off_never_looks_whole(api: Any, seed: Any, vendor: Vendor) -> None:
    await seed()
    vendor.mishaps.planned.append(Mishap("truncate", "blob.get", times=0, at=1000))
    with pytest.raises(aiohttp.ClientPayloadError):
        await api("GET", FILE, **NAMES, path="data/model.pkl")


async def test_pages_of_files(api: Any, seed: Any) -> None:
    await seed()
    first = (await api("GET", f"{V}/files", **NAMES, query={"limit": "2"}, expect=200)).json
    assert [item["path"] for item in first["items"]] == ["MLmodel", "data/model.pkl"]
    last = (await api("GET", f"{V}/files", **NAMES, query={"limit": "2", "cursor": first["next_cursor"]})).json
    assert ([item["path"] for item in last["items"]], last["next_cursor"]) == (["empty"], None)
    await api("GET", f"{V}/files", **NAMES, query={"cursor": "gone"}, expect=400)
