"""The Blob stand-in against Azurite, Microsoft's emulator: the same requests, and the answers have to be the same.

Both are driven by azure-storage-blob, request by request, and by obstore through the store that fedreg uses. ETags and
times become marks ("etag 1", "a time"): what counts is which of them are the same. Azurite is `azurite-blob` on the
PATH, or comes from npm into a temporary directory; without either the tests are skipped.
Longer than 350 lines because it is one table: every operation, and what is kept of an answer.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any

import obstore
import pytest
import requests
from aiohttp import web
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import (
    BlobBlock,
    ContainerClient,
    ContentSettings,
    PartialBatchErrorException,
    generate_container_sas,
)
from obstore.store import AzureStore

from fedreg.domain.errors import FedregError
from fedreg.domain.models import FileSource
from fedreg_adapters.azureml.standin import STATE, create_app
from fedreg_adapters.shared.object_stores import ObjectStore, StoreOptions, open_store

AZURITE = "3.37.0"
ACCOUNT, CONTAINER = "standinstore", "held-against"
KEY = "c3RhbmQtaW4gYWdhaW5zdCB0aGUgZW11bGF0b3I="  # of the emulator's account, made up here
ALL = "racwdl"
NAMES = ["a b", "ümläut/Ж", "100%", "%20", "a#b?c", "a+b", "a&b='c'", "~!@$()*,;:", "a//b", "日本.bin"]
HEADERS = re.compile(
    r"accept-ranges|content-(range|md5)|etag|last-modified|www-authenticate"
    r"|x-ms-(blob-type|blob-content-md5|creation-time|error-code|meta-.*)"
)
OF_BODIES = ("content-length", "content-type")  # compared where the body is a blob's

# Where Azurite is not the service. It says AuthorizationFailure of a signature that is wrong or over, and MD5s
# differently; both are put right here. Left out of the tables, for the stand-in does as the service documents:
# - a range that begins at the very end, or in an empty blob: 416 InvalidRange (Azurite: 206 without a byte)
# - `bytes=-3`, which Blob has not (Azurite: `bytes NaN-3/10`)
# - Put Blob discards the blocks that were staged (Azurite keeps them)
# - requests without credentials: what is said depends on the account's settings
# A wrong account key is not compared: the stand-in takes any, and checks signatures only.
DOCUMENTED = {"AuthorizationFailure": "AuthenticationFailed"}

pytestmark = pytest.mark.soak


@dataclass
class Server:
    """One of the two: its address with the account, and how a container's signature is made."""

    url: str
    sign: Callable[[str, timedelta], str]

    def container(self, sas: str | None = None, name: str = CONTAINER, **given: Any) -> ContainerClient:
        """With a signature, or without one as the account's owner."""
        credential = {"account_name": ACCOUNT, "account_key": KEY} if sas is None else sas
        return ContainerClient(
            self.url, name, credential=credential or None, retry_total=0, max_single_put_size=4096, **given
        )


@dataclass
class Record:
    """What a server did, without what differs from run to run."""

    server: Server
    lines: list[Any] = field(default_factory=list)
    etags: dict[str, str] = field(default_factory=dict)

    def etag(self, found: str | None) -> str | None:
        """A mark for an ETag; the quotes stay, for whoever compares ETags has them."""
        if not found:
            return found
        bare = found.strip('"')
        return found.replace(bare, self.etags.setdefault(bare, f"etag {len(self.etags) + 1}"))

    def mark(self, name: str, value: str) -> str | None:
        if name == "etag":
            return self.etag(value)
        if name in ("last-modified", "x-ms-creation-time"):
            return "a time" if re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", value) else value
        return value

    def answer(self, response: Any) -> None:
        """The hook of azure-storage-blob: every answer it gets."""
        found = response.http_response
        asked = dict(found.request.query)
        headers = {name.lower(): value for name, value in found.headers.items()}
        headers = as_documented(headers, found.status_code, asked.get("comp"))
        wanted = {name for name in headers if HEADERS.fullmatch(name)}
        reads = found.request.method in ("GET", "HEAD") and not asked.keys() & {"comp", "restype"}
        if reads and found.status_code < 300:
            wanted |= {name for name in OF_BODIES if name in headers}
        kept = {name: self.mark(name, headers[name]) for name in sorted(wanted)}
        self.lines.append((found.request.method, asked.get("comp"), found.status_code, kept))

    def note(self, what: Any) -> None:
        self.lines.append(what)

    def client(self, sas: str | None = None, name: str = CONTAINER, **given: Any) -> ContainerClient:
        return self.server.container(sas, name, raw_response_hook=self.answer, **given)

    def sas(self, rights: str = ALL, lasting: timedelta = timedelta(hours=1)) -> str:
        return self.server.sign(rights, lasting)

    def do(self, call: Callable[..., Any], *args: Any, **given: Any) -> Any:
        """A call of the SDK; what it raises is written down."""
        try:
            return call(*args, **given)
        except HttpResponseError as error:
            code = getattr(error.error_code, "value", error.error_code)
            self.note((error.status_code, DOCUMENTED.get(code, code)))
            return None

    def get(self, name: str, headers: dict[str, str]) -> None:
        """Past the SDK, which knows fewer ranges."""
        found = requests.get(f"{self.server.url}/{CONTAINER}/{name}?{self.sas()}", headers=headers, timeout=30)
        told = [found.headers.get(header) for header in ("Content-Range", "Content-MD5", "x-ms-error-code")]
        self.note((headers, found.status_code, told, found.content if found.ok else None))

    def read(self, client: ContainerClient, name: str, **given: Any) -> None:
        self.note(self.do(lambda: client.download_blob(name, **given).readall()))


def as_documented(headers: dict[str, str], status: int, comp: str | None) -> dict[str, str]:
    """An answer's headers without Azurite's ways, and without an MD5 that hangs on the names of blocks."""
    changed = dict(headers)
    if status == 200:
        changed.pop("x-ms-blob-content-md5", None)  # of the whole, where a part is answered
    if comp == "blocklist":
        changed.pop("content-md5", None)
    if code := changed.get("x-ms-error-code"):
        changed["x-ms-error-code"] = DOCUMENTED.get(code, code)
    return changed


# -- the operations, as azure-storage-blob makes them ------------------------------------------------------------


def containers(record: Record) -> None:
    client, absent = record.client(), record.client(name="absent")
    record.do(client.create_container)
    record.do(client.get_container_properties)
    record.do(absent.get_container_properties)
    record.do(lambda: list(absent.list_blobs()))
    record.do(absent.upload_blob, "a", b"x")
    record.do(absent.get_blob_client("a").stage_block, "b1", b"x")
    record.do(absent.get_blob_client("a").get_blob_properties)
    record.read(absent, "a")
    record.do(absent.delete_blob, "a")


def put_and_get(record: Record) -> None:
    client = record.client(record.sas())
    record.do(client.upload_blob, "a/b.bin", b"hello", metadata={"who": "me", "Upload_Status": "completed"})
    record.read(client, "a/b.bin")
    record.do(client.get_blob_client("a/b.bin").get_blob_properties)
    record.do(client.upload_blob, "a/b.bin", b"again")  # create only: If-None-Match: *
    record.read(client, "a/b.bin")
    record.do(client.upload_blob, "a/b.bin", b"over it", overwrite=True)
    record.read(client, "a/b.bin")
    record.do(client.get_blob_client("a/b.bin").get_blob_properties)
    record.read(client, "absent")
    record.do(client.get_blob_client("absent").get_blob_properties)
    record.note(client.get_blob_client("absent").exists())


def empty(record: Record) -> None:
    client = record.client(record.sas())
    record.do(client.upload_blob, "empty", b"")
    record.read(client, "empty")
    record.do(client.get_blob_client("empty").get_blob_properties)
    record.do(client.get_blob_client("no-blocks").commit_block_list, [])
    record.do(client.get_blob_client("no-blocks").get_blob_properties)


def checksums(record: Record) -> None:
    client = record.client(record.sas())
    record.do(client.upload_blob, "right", b"x", validate_content=True)
    record.do(client.upload_blob, "wrong", b"x", headers={"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="})
    record.note(client.get_blob_client("wrong").exists())


def content_types(record: Record) -> None:
    client = record.client(record.sas())
    settings = ContentSettings(content_type="application/json")
    record.do(client.upload_blob, "a.json", b"{}", content_settings=settings)
    record.do(client.get_blob_client("a.json").get_blob_properties)
    blob = client.get_blob_client("blocks.json")
    record.do(blob.stage_block, "b1", b"{}")
    record.do(blob.commit_block_list, [BlobBlock("b1")], content_settings=settings)
    record.do(blob.get_blob_properties)
    record.note([(found.name, found.content_settings.content_type) for found in client.list_blobs()])


def blocks(record: Record) -> None:
    client = record.client(record.sas())
    blob = client.get_blob_client("a/blocks")
    record.do(blob.stage_block, "b1", b"one")
    record.do(blob.stage_block, "b2", b"two")
    record.do(blob.get_blob_properties)
    record.note([found.name for found in client.list_blobs()])
    record.do(blob.commit_block_list, [BlobBlock("b1"), BlobBlock("b9")])
    record.do(blob.commit_block_list, [BlobBlock("b2"), BlobBlock("b1")], metadata={"who": "me"})
    record.read(client, "a/blocks")
    record.do(blob.get_blob_properties)
    record.do(blob.stage_block, "b3", b"three")
    record.do(blob.commit_block_list, [BlobBlock("b3")], headers={"If-None-Match": "*"})
    record.read(client, "a/blocks")
    record.do(blob.commit_block_list, [BlobBlock("b3")])
    record.read(client, "a/blocks")


def large(record: Record) -> None:
    client = record.client(record.sas(), max_block_size=4096, max_single_get_size=5000, max_chunk_get_size=5000)
    data = bytes(range(256)) * 64
    record.do(client.upload_blob, "large", data)
    record.note(client.download_blob("large").readall() == data)
    record.do(client.upload_blob, "large", data)


def ranges(record: Record) -> None:
    client = record.client(record.sas())
    client.upload_blob("r", b"0123456789")
    client.upload_blob("empty", b"")
    for offset, length in ((0, 1), (0, 10), (3, 4), (9, 1), (5, None), (7, 50), (11, None)):
        record.read(client, "r", offset=offset, length=length)
    for asked in (None, "bytes=3-5", "bytes=3-", "bytes=11-", "3-5", "bytes=5-3"):
        record.get("r", {"Range": asked} if asked else {})
    blob = client.get_blob_client("r")
    blob.stage_block("b1", b"0123456789")
    blob.commit_block_list([BlobBlock("b1")])
    record.read(client, "r", offset=3, length=4)


def names(record: Record) -> None:
    client = record.client(record.sas())
    for name in NAMES:
        record.do(client.upload_blob, name, name.encode())
        record.read(client, name)
    record.note([found.name for found in client.list_blobs()])
    for name in NAMES:
        record.note([found.name for found in client.list_blobs(name_starts_with=name)])
    record.note([result.status_code for result in client.delete_blobs(*NAMES)])
    record.note([found.name for found in client.list_blobs()])


def lists(record: Record) -> None:
    client = record.client(record.sas())
    for name in ("b", "a/2", "a/1", "a.x", "a/3/4", "A", "ab", "a/ü", "a/é<&>"):
        client.upload_blob(name, name.encode(), metadata={"of": "b"})
    for prefix in (None, "a/", "a", "absent", "A", "a/é<"):
        record.note(prefix)
        for found in client.list_blobs(name_starts_with=prefix):
            shown = (found.name, found.size, found.blob_type, found.content_settings.content_type, found.metadata)
            record.note((*shown, record.etag(found.etag), found.content_settings.content_md5))
    record.note([(found.name, found.metadata) for found in client.list_blobs(include="metadata")])
    for size in (1, 3, 8, 9, 10):
        pages = client.list_blobs(results_per_page=size).by_page()
        record.note([[found.name for found in page] for page in pages])
    pages = client.list_blobs(results_per_page=2, name_starts_with="a/").by_page()
    record.note([found.name for found in next(pages)])
    client.delete_blob("a/3/4")  # the next page begins there
    record.note([[found.name for found in page] for page in pages])
    record.note([found.name for found in client.walk_blobs(name_starts_with="a")])
    record.note([found.name for found in client.walk_blobs(name_starts_with="a/")])


def metadata(record: Record) -> None:
    client = record.client(record.sas())
    blob = client.get_blob_client("m")
    record.do(blob.set_blob_metadata, {"a": "1"})
    record.do(blob.upload_blob, b"x", metadata={"a": "1"})
    record.do(blob.get_blob_properties)
    record.do(blob.set_blob_metadata, {"b": "2"})
    record.do(blob.get_blob_properties)
    record.do(blob.set_blob_metadata, {})
    record.note(record.do(blob.get_blob_properties).metadata)
    record.do(blob.set_blob_metadata, {"Upload_Status": "completed", "b": "Ab c"})
    record.note(record.do(blob.get_blob_properties).metadata)
    record.note([found.metadata for found in client.list_blobs(include="metadata")])
    record.do(blob.upload_blob, b"y", overwrite=True)
    record.do(blob.get_blob_properties)


def conditions(record: Record) -> None:
    client = record.client(record.sas())
    blob = client.get_blob_client("c")
    first = blob.upload_blob(b"one")["etag"]
    second = blob.upload_blob(b"two", overwrite=True)["etag"]
    [listed] = [found.etag for found in client.list_blobs()]
    for etag in (first, second, listed, '"0x8"', "*"):
        for name in ("If-Match", "If-None-Match"):
            headers = {name: etag}
            record.note((name, record.etag(etag)))
            record.read(client, "c", headers=headers)
            record.do(blob.get_blob_properties, headers=headers)
            record.read(client, "absent", headers=headers)
    record.read(client, "c", offset=1, length=1, headers={"If-Match": first})
    record.do(blob.upload_blob, b"three", overwrite=True, headers={"If-Match": first})
    record.do(blob.delete_blob, headers={"If-Match": first})
    record.do(blob.set_blob_metadata, {"a": "1"}, headers={"If-Match": first})
    record.read(client, "c")
    record.do(blob.upload_blob, b"three", overwrite=True, headers={"If-Match": second})
    record.do(client.get_blob_client("new").upload_blob, b"x", overwrite=True, headers={"If-Match": second})
    record.do(blob.delete_blob, headers={"If-Match": "*"})


def deletes(record: Record) -> None:
    client = record.client(record.sas())
    for name in ("a", "b", "c"):
        client.upload_blob(name, b"x")
    record.do(client.delete_blob, "a")
    record.do(client.delete_blob, "a")
    record.do(client.delete_blob, "a/b")
    try:
        list(client.delete_blobs("b", "absent", "c"))
    except PartialBatchErrorException as error:
        record.note([(part.status_code, part.headers.get("x-ms-error-code")) for part in error.parts])
    record.note([found.name for found in client.list_blobs()])


def refused(record: Record) -> None:
    record.client().upload_blob("a", b"x")
    good = record.sas()
    changed = re.sub(r"sig=[^&]{4}", "sig=AAAA", good)
    for sas in (changed, record.sas(lasting=timedelta(hours=-1)), record.sas("w"), record.sas("r"), record.sas("rcwl")):
        client = record.client(sas)
        record.note(("rights", dict(part.split("=", 1) for part in sas.split("&"))["sp"]))
        record.do(client.upload_blob, "b", b"x", overwrite=True)
        record.read(client, "a")
        record.do(client.get_blob_client("a").get_blob_properties)
        record.do(lambda client=client: list(client.list_blobs()))
        record.do(client.delete_blob, "absent")
        record.do(client.delete_blob, "b")


def differing(ours: Record, theirs: Record) -> list[tuple[Any, Any]]:
    """The lines of which the stand-in and Azurite wrote down different ones."""
    assert ours.lines
    return [pair for pair in zip_longest(ours.lines, theirs.lines) if pair[0] != pair[1]]


OPERATIONS = [
    containers,
    put_and_get,
    empty,
    checksums,
    content_types,
    blocks,
    large,
    ranges,
    names,
    lists,
    metadata,
    conditions,
    deletes,
    refused,
]


@pytest.mark.parametrize("operate", OPERATIONS, ids=lambda operate: operate.__name__)
async def test_the_storage_client_sees_no_difference(operate: Callable[[Record], None], both: list[Server]) -> None:
    ours, theirs = [Record(server) for server in both]
    for record in (ours, theirs):
        await asyncio.to_thread(operate, record)
    differ = differing(ours, theirs)
    assert not differ, "\n".join(f"stand-in: {mine}\nAzurite:  {azurites}" for mine, azurites in differ)


# -- and as obstore makes them, through the store that fedreg uses ---------------------------------------------------


@dataclass
class Stored:
    """The store of fedreg and the bare one of obstore on one container."""

    record: Record
    store: ObjectStore
    bare: AzureStore

    async def do(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except (FedregError, obstore.exceptions.BaseError, OSError) as error:
            self.record.note(type(error).__name__)
            return None

    async def put(self, key: str, data: bytes, **given: Any) -> None:
        if done := await self.do(self.store.put_bytes(key, data, **given)):
            self.record.note((done.key, done.size, self.record.etag(done.etag)))

    async def head(self, key: str) -> None:
        if found := await self.do(self.store.head(key)):
            self.record.note((found.key, found.size, self.record.etag(found.etag), found.modified_at is not None))

    async def listed(self, prefix: str = "") -> list[str | None]:
        found = [held async for held in self.store.list(prefix)]
        self.record.note([(held.key, held.size, self.record.etag(held.etag)) for held in found])
        return [held.etag for held in found]

    async def read(self, key: str, offset: int = 0, **given: Any) -> None:
        async def whole() -> bytes:
            return b"".join([chunk async for chunk in self.store.open_at(key, **given)(offset)])

        self.record.note(await self.do(whole()))


def source(path: str, data: bytes) -> FileSource:
    async def open_from(offset: int) -> AsyncIterator[bytes]:
        yield data[offset:]

    return FileSource(path=path, size=len(data), open_at=open_from)


async def objects(stored: Stored) -> None:
    for name in ("a/small", "a/empty", "a/b/c", "b", *(f"n/{name}" for name in NAMES if "//" not in name)):
        await stored.put(name, b"" if name == "a/empty" else name.encode())
        await stored.head(name)
        await stored.read(name)
    for prefix in ("", "a", "a/", "n", "absent"):
        await stored.listed(prefix)
    await stored.put("taken", b"mine", create=True)
    await stored.put("taken", b"theirs", create=True)
    await stored.put("taken", b"over it")
    await stored.read("taken")
    for call in (stored.head, stored.read):
        await call("absent")


async def parts(stored: Stored) -> None:
    data = bytes(range(256)) * 1024
    done = await stored.do(stored.store.put("parts", source("parts", data), part_size=1 << 16))
    stored.record.note((done.size, stored.record.etag(done.etag)))
    await stored.head("parts")
    stored.record.note(bytes(await (await obstore.get_async(stored.bare, "parts")).bytes_async()) == data)
    await stored.listed()
    await stored.do(stored.store.put("none", source("none", b"")))
    await stored.head("none")


async def reads(stored: Stored) -> None:
    await stored.put("r", b"0123456789")
    await stored.put("empty", b"")
    for key, offset in (("r", 0), ("r", 4), ("r", 9), ("r", 10), ("r", 11), ("empty", 0), ("empty", 1)):
        await stored.read(key, offset)
    first = (await stored.store.head("r")).etag
    [_, listed] = await stored.listed()
    for etag in (first, listed):
        await stored.read("r", 4, etag=etag, size=10)
    await stored.put("r", b"9876543210")
    for etag in (first, listed):
        await stored.read("r", 4, etag=etag, size=10)
    for start, end in ((2, 5), (8, 50), (10, 12), (0, 1)):
        got = await stored.do(obstore.get_range_async(stored.bare, "r", start=start, end=end))
        stored.record.note(got and bytes(got))
    got = await stored.do(obstore.get_ranges_async(stored.bare, "r", starts=[0, 8], lengths=[2, 2]))
    stored.record.note([bytes(part) for part in got])
    await stored.do(obstore.get_async(stored.bare, "r", options={"range": {"suffix": 3}}))


async def removals(stored: Stored) -> None:
    for name in ("a", "b", "c/1", "c/2", "c d/ü%+#"):
        await stored.put(name, b"x")
    await stored.do(stored.store.delete(["a"]))
    await stored.do(stored.store.delete(["a", "absent", "b"]))
    await stored.listed()
    stored.record.note(await stored.do(stored.store.delete_prefix("c")))
    stored.record.note(await stored.do(stored.store.delete_prefix("c d")))
    await stored.listed()


async def denials(stored: Stored) -> None:
    url = f"az://{ACCOUNT}/{CONTAINER}"
    for rights, lasting in (("r", 1), ("w", 1), (ALL, -1)):
        sas = stored.record.sas(rights, timedelta(hours=lasting))
        options = StoreOptions(endpoint_url=stored.record.server.url, sas_token=sas)
        denied = Stored(stored.record, open_store(url, options), stored.bare)
        await denied.put("a", b"x")
        await denied.read("a")
        await denied.do(denied.listed())
        await denied.do(denied.store.delete(["a"]))
    absent = open_store(f"az://{ACCOUNT}/absent", StoreOptions(endpoint_url=stored.record.server.url, account_key=KEY))
    gone = Stored(stored.record, absent, stored.bare)
    await gone.put("a", b"x")
    await gone.read("a")
    await gone.do(gone.listed())


@pytest.mark.parametrize("signed", [True, False], ids=["signature", "key"])
@pytest.mark.parametrize("operate", [objects, parts, reads, removals, denials], ids=lambda operate: operate.__name__)
async def test_obstore_sees_no_difference(
    operate: Callable[[Stored], Awaitable[None]], signed: bool, both: list[Server]
) -> None:
    ours, theirs = [Record(server) for server in both]
    for record in (ours, theirs):
        secret = {"sas_token": record.sas()} if signed else {"account_key": KEY}
        store = open_store(f"az://{ACCOUNT}/{CONTAINER}", StoreOptions(endpoint_url=record.server.url, **secret))
        await operate(Stored(record, store, store._backend))
    differ = differing(ours, theirs)
    assert not differ, "\n".join(f"stand-in: {mine}\nAzurite:  {azurites}" for mine, azurites in differ)


# -- the two servers -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of `azurite-blob`."""
    if found := shutil.which("azurite-blob"):
        return found
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Azurite needs node and npm, or azurite-blob on the PATH")
    place = tmp_path_factory.mktemp("azurite")
    command = [npm, "install", "--prefix", str(place), "--no-audit", "--no-fund", f"azurite@{AZURITE}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install azurite@{AZURITE} within 15 minutes")
    if done.returncode:
        pytest.skip(f"npm can't install azurite@{AZURITE}: {done.stderr.strip()[-300:]}")
    return str(place / "node_modules" / ".bin" / "azurite-blob")


@pytest.fixture(scope="module")
def azurite(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", "0", *options]
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
    place = tmp_path_factory.mktemp("held")
    with subprocess.Popen(
        command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield Server(f"{address_of(process)}/{ACCOUNT}", signed_by_key)
        finally:
            process.terminate()


def address_of(process: subprocess.Popen[str]) -> str:
    """Where Azurite listens, as it says itself."""
    said = []
    for line in process.stdout or ():
        said.append(line)
        if found := re.search(r"listen\w* (?:at|on) (http://\S+)", line):
            return found[1]
    pytest.fail(f"Azurite did not start: {''.join(said)[-500:]}")


def signed_by_key(rights: str, lasting: timedelta) -> str:
    now = datetime.now(UTC)
    start, end = min(now, now + lasting) - timedelta(hours=1), now + lasting
    return generate_container_sas(ACCOUNT, CONTAINER, account_key=KEY, permission=rights, start=start, expiry=end)


@pytest.fixture
async def standin() -> AsyncIterator[Server]:
    app = create_app()
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    def sign(rights: str, lasting: timedelta) -> str:
        end = (datetime.now(UTC) + lasting).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"sv=2021-08-06&se={end}&sr=c&sp={rights}&sig={app[STATE].signature}"

    yield Server(f"http://127.0.0.1:{runner.addresses[0][1]}/{ACCOUNT}", sign)
    await runner.cleanup()


@pytest.fixture
async def both(standin: Server, azurite: Server) -> AsyncIterator[list[Server]]:
    """The stand-in and Azurite, each with an empty container."""
    servers = [standin, azurite]
    for server in servers:
        await asyncio.to_thread(server.container().create_container)
    yield servers
    await asyncio.to_thread(azurite.container().delete_container)
