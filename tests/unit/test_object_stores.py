"""Object stores against moto's S3, a local directory and a server that fails on purpose."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import boto3
import pytest
from aiohttp import web
from moto.server import ThreadedMotoServer

from fedreg.domain.errors import (
    ConfigError,
    Conflict,
    FedregError,
    IntegrityError,
    InvalidRequest,
    NotFound,
    Outcome,
    RateLimited,
    RegistryAuthError,
    RegistryError,
    RegistryUnavailable,
)
from fedreg.domain.models import FileSource, OpenAt
from fedreg_adapters.shared.object_stores import PART, ObjectStore, StoreOptions, open_store

SECRET = "v3ry-s3cret"
MIB = 1 << 20


def options(endpoint: str) -> StoreOptions:
    return StoreOptions(endpoint_url=endpoint, region="eu-west-1", access_key_id="AK", secret_access_key=SECRET)


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="eu-west-1",
        aws_access_key_id="AK",
        aws_secret_access_key=SECRET,
    )
    client.create_bucket(Bucket="object-stores", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["s3", "file"])
def store(request: pytest.FixtureRequest, s3_endpoint: str, tmp_path: Path) -> ObjectStore:
    if request.param == "s3":
        return open_store(f"s3://object-stores/{tmp_path.name}", options(s3_endpoint))
    return open_store((tmp_path / "root").as_uri())


def reads(data: bytes, step: int = MIB) -> OpenAt:
    async def open_from(offset: int) -> AsyncIterator[bytes]:
        for start in range(offset, len(data), step):
            yield data[start : start + step]

    return open_from


def source(data: bytes, *, size: int | None = None, sha256: str | None = None) -> FileSource:
    return FileSource(path="m.bin", size=len(data) if size is None else size, open_at=reads(data), sha256=sha256)


async def content(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 2 * PART + 12345])
async def test_put_and_read_from_any_offset(store: ObjectStore, size: int) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    done = await store.put("a/b c é%2F+.bin", source(data, sha256=hashlib.sha256(data).hexdigest()))
    assert done.size == size
    [listed] = [found async for found in store.list("a")]
    assert (listed.key, listed.size, listed.etag) == ("a/b c é%2F+.bin", size, done.etag)
    opened = store.open_at(listed.key, etag=listed.etag, size=size)
    for offset in {0, size // 2, size}:
        assert await content(opened(offset)) == data[offset:]
    assert await content(store.open_at(listed.key)(size)) == b""
    assert (await store.head(listed.key)).size == size


@pytest.mark.parametrize(("size", "announced"), [(10, 11), (11, 10), (PART + 5, PART + 6), (PART + 6, PART + 5)])
async def test_a_file_of_another_size_is_refused_and_leaves_nothing(
    store: ObjectStore, size: int, announced: int
) -> None:
    with pytest.raises(IntegrityError, match=r"m\.bin"):
        await store.put("x/f", source(b"z" * size, size=announced))
    assert [found async for found in store.list("x")] == []


@pytest.mark.parametrize("size", [10, PART + 5])
async def test_a_file_of_another_sha256_is_refused(store: ObjectStore, size: int) -> None:
    with pytest.raises(IntegrityError, match="sha256"):
        await store.put("x/f", source(b"z" * size, sha256="0" * 64))
    with pytest.raises(NotFound):
        await store.head("x/f")


async def test_a_sources_own_failure_comes_through(store: ObjectStore) -> None:
    async def broken(_offset: int) -> AsyncIterator[bytes]:
        yield b"z" * PART
        raise ConnectionResetError("source went away")

    big = FileSource(path="m.bin", size=3 * PART, open_at=broken)
    with pytest.raises(ConnectionResetError, match="source went away"):
        await store.put("x/f", big)
    assert [found async for found in store.list("x")] == []


async def test_a_changed_object_is_an_integrity_error(store: ObjectStore) -> None:
    before = await store.put("f", source(b"first"))
    await store.put("f", source(b"second!"))
    with pytest.raises(IntegrityError, match="changed"):
        await content(store.open_at("f", etag=before.etag)(0))
    with pytest.raises(IntegrityError, match="5 expected"):
        await content(store.open_at("f", size=5)(0))


async def test_offset_past_the_end(store: ObjectStore) -> None:
    await store.put("f", source(b"12345"))
    with pytest.raises(InvalidRequest, match="past the end"):
        await content(store.open_at("f")(6))


async def test_delete_is_repeatable_and_keeps_neighbours(store: ObjectStore) -> None:
    for key in ("p/1", "p/2/3", "pp/1"):
        await store.put(key, source(b"x"))
    await store.delete(["p/1", "absent"])
    assert sorted([found.key async for found in store.list()]) == ["p/2/3", "pp/1"]
    assert await store.delete_prefix("p") == 1
    assert await store.delete_prefix("p") == 0
    assert [found.key async for found in store.list()] == ["pp/1"]
    with pytest.raises(InvalidRequest, match="whole store"):
        await store.delete_prefix("/")


async def test_absent_objects(store: ObjectStore) -> None:
    for read in (store.head("no"), content(store.open_at("no")(0)), store.get_bytes("no", limit=9)):
        with pytest.raises(NotFound):
            await read


async def test_get_bytes_has_a_limit(store: ObjectStore) -> None:
    await store.put_bytes("f", b"12345")
    assert await store.get_bytes("f", limit=5) == b"12345"
    with pytest.raises(IntegrityError, match="more than 4"):
        await store.get_bytes("f", limit=4)


async def test_created_once(store: ObjectStore) -> None:
    await store.put_bytes("f", b"first", create=True)
    with pytest.raises(Conflict):
        await store.put_bytes("f", b"second", create=True)
    assert await store.get_bytes("f", limit=9) == b"first"
    await store.put_bytes("f", b"third")
    assert await store.get_bytes("f", limit=9) == b"third"


async def test_a_local_store_does_not_follow_links_out_of_its_root(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "f").write_bytes(b"hidden")
    store = open_store((tmp_path / "root").as_uri())
    (tmp_path / "root" / "link").symlink_to(tmp_path / "secret")
    for act in (content(store.open_at("link/f")(0)), store.put("link/g", source(b"x")), store.delete(["link/f"])):
        with pytest.raises(IntegrityError, match="leads out of"):
            await act
    with pytest.raises((InvalidRequest, IntegrityError)):
        await store.head("../secret/f")
    assert (tmp_path / "secret" / "f").read_bytes() == b"hidden"


async def test_folder_markers_and_hostile_keys(s3_endpoint: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="eu-west-1",
        aws_access_key_id="AK",
        aws_secret_access_key=SECRET,
    )
    for key in ("folders/", "folders/sub/", "folders/sub/f", "folders/none/", "folders/empty"):
        client.put_object(Bucket="object-stores", Key=key, Body=b"1" if key.endswith("f") else b"")
    store = open_store("s3://object-stores", options(s3_endpoint))
    assert [found.key async for found in store.list("folders")] == ["folders/empty", "folders/sub/f"]
    client.put_object(Bucket="object-stores", Key="hostile/../f", Body=b"1")
    with pytest.raises(IntegrityError, match="leads outside"):
        [found async for found in store.list("hostile")]


async def test_missing_bucket_names_the_cure(s3_endpoint: str) -> None:
    with pytest.raises(RegistryError, match="create the bucket") as caught:
        await open_store("s3://no-such-bucket/x", options(s3_endpoint)).put("f", source(b"x"))
    assert caught.value.upstream_code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("answer", "expected", "outcome"),
    [
        ((503, "SlowDown"), RateLimited, Outcome.NOT_APPLIED),
        ((429, "Throttling"), RateLimited, Outcome.NOT_APPLIED),
        ((500, "InternalError"), RegistryUnavailable, Outcome.UNKNOWN),
        ((403, "AccessDenied"), RegistryAuthError, Outcome.NOT_APPLIED),
        ((401, "Unauthorized"), RegistryAuthError, Outcome.NOT_APPLIED),
        ((400, "ExpiredToken"), RegistryAuthError, Outcome.NOT_APPLIED),
        ((400, "Weird"), RegistryError, Outcome.NOT_APPLIED),
        (None, RegistryUnavailable, Outcome.UNKNOWN),
    ],
)
async def test_failures_become_domain_errors(
    answer: tuple[int, str] | None, expected: type[FedregError], outcome: Outcome
) -> None:
    calls = 0

    async def fail(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=answer[0], text=f"<Error><Code>{answer[1]}</Code></Error>")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fail)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    store = open_store("s3://object-stores/x", options(f"http://127.0.0.1:{runner.addresses[0][1]}"))
    try:
        with pytest.raises(expected) as caught:
            await store.put("f", source(b"x"))
    finally:
        await runner.cleanup()
    assert type(caught.value) is expected
    assert caught.value.outcome is outcome
    assert SECRET not in str(caught.value.to_dict())
    assert calls == 1, "an object store must not retry by itself"


async def test_a_refused_connection_was_not_applied(unused_port: int) -> None:
    store = open_store("s3://object-stores/x", options(f"http://127.0.0.1:{unused_port}"))
    with pytest.raises(RegistryUnavailable) as caught:
        await store.put("f", source(b"x"))
    assert caught.value.outcome is Outcome.NOT_APPLIED


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    "url",
    [
        "gs://bucket/a/b",
        "az://account/container/a",
        "abfss://container@account.dfs.core.windows.net/a",
        "wasbs://container@account.blob.core.windows.net/a",
    ],
)
def test_every_scheme_opens_without_a_request(url: str) -> None:
    store = open_store(url, StoreOptions(anonymous=True))
    assert store.uri("k") == f"{url}/k"
    assert url in repr(store)


@pytest.mark.parametrize("url", ["ftp://x/y", "s3:///nobucket", "az://account", "plain"])
def test_a_url_that_is_no_store_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError):
        open_store(url)


def test_no_secret_in_a_repr() -> None:
    given = StoreOptions(
        access_key_id="AK", secret_access_key=SECRET, session_token=SECRET, account_key=SECRET, sas_token=SECRET
    )
    assert SECRET not in repr(given) + repr(open_store("s3://object-stores/x", given))
