"""A bare HTTP/1.1 server: a thread a connection, blocking sockets, bodies read in place.

Large reads and writes happen outside the interpreter lock, so that a fake moves bytes faster than anything under
measurement can. Content-Length only: no chunked bodies, no TLS.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

Buffer = bytes | bytearray | memoryview


@dataclass(slots=True)
class Request:
    """`path` is decoded; names of `headers` are lower-case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytearray


@dataclass(slots=True)
class Answer:
    """`length` in bytes; None: the sum of `body`. The answer to HEAD has a length and no body."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Iterable[Buffer] = ()
    length: int | None = None


Handler = Callable[[Request], Answer]


def serve(handler: Handler) -> None:
    """Listen on a free loopback port, say `listening URL` on stdout, and serve until killed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    sys.stdout.write(f"listening http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_converse, args=(connection, handler), daemon=True).start()


def byte_range(header: str | None, size: int) -> tuple[int, int]:
    """First byte and the one after the last, of a `bytes=a-b` or `bytes=a-` header; the whole without one."""
    if header is None:
        return 0, size
    first, _, last = header.removeprefix("bytes=").partition("-")
    return int(first), min(int(last) + 1, size) if last else size


def _converse(connection: socket.socket, handler: Handler) -> None:
    with connection:
        left = b""
        try:
            while True:
                head, left = _read_head(connection, left)
                if head is None:
                    return
                request, left = _read_request(connection, head, left)
                _send(connection, request, handler(request))
        except ConnectionError:
            return


def _read_head(connection: socket.socket, left: bytes) -> tuple[bytes | None, bytes]:
    while (end := left.find(b"\r\n\r\n")) < 0:
        found = connection.recv(1 << 16)
        if not found:
            return None, b""
        left += found
    return left[:end], left[end + 4 :]


def _read_request(connection: socket.socket, head: bytes, left: bytes) -> tuple[Request, bytes]:
    line, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ")
    path, _, query = target.partition("?")
    pairs = (item.partition(":") for item in rest)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", 0))
    body = bytearray(length)
    have = min(len(left), length)
    body[:have] = left[:have]
    view = memoryview(body)
    while have < length:
        got = connection.recv_into(view[have:])
        if not got:
            raise ConnectionResetError
        have += got
    named = dict(parse_qsl(query, keep_blank_values=True))
    return Request(method, unquote(path), named, headers, body), left[length:]


def _send(connection: socket.socket, request: Request, answer: Answer) -> None:
    body = list(answer.body) if answer.length is None else answer.body
    length = sum(map(len, body)) if answer.length is None else answer.length
    headers = {"Content-Length": str(length), **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if request.method == "HEAD":
        body = ()
    if length <= 1 << 16:
        connection.sendall(b"".join((head, *body)))
        return
    connection.sendall(head)
    for piece in body:
        connection.sendall(piece)
