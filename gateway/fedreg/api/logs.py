"""Structured logs on stderr, a JSON object a line or coloured lines for people. Secrets are masked on the way out."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import Processor

from fedreg.settings.redaction import MASK, mask_url

_SECRET_NAMES = ("authorization", "password", "secret", "token", "cookie", "credential", "api_key", "apikey")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}")
_LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}
_to_json = msgspec.json.Encoder(enc_hook=str).encode

access_log = structlog.get_logger("fedreg.api")


class RequestLine(msgspec.Struct, kw_only=True):
    """A line of the access log: no query string and no headers, for they may hold what is nobody's business."""

    request_id: str
    method: str
    path: str
    status: int
    ms: float
    actor: str | None
    remote: str | None
    event: str = "request"
    level: str = "info"
    timestamp: datetime | None = None


class _JsonLines:
    """Writes request lines past structlog, whose chain costs more than a read of the index.

    Made by `configure_logging`.

    Only while its own `renderer` ends structlog's chain: who puts another chain there gets these lines, too. Lines of
    one turn of the event loop are written at once, after the answers.
    """

    def __init__(self, out: TextIO, level: int, renderer: Processor) -> None:
        self._out = out
        self._level = level
        self._renderer = renderer
        self._waiting: list[bytes] = []

    def is_in_force(self) -> bool:
        return bool(structlog.get_config()["processors"][-1] is self._renderer)

    def write(self, level: int, line: RequestLine) -> None:
        if level < self._level:
            return
        line.level, line.timestamp = _LEVELS[level], datetime.now(UTC)
        line.request_id, line.path = mask_text(line.request_id), mask_text(line.path)  # what a caller can choose
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(_to_json(line))

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        self._out.write(b"\n".join([*lines, b""]).decode())
        self._out.flush()


_json_lines: _JsonLines | None = None


def log_request(level: int, line: RequestLine) -> None:
    """Write a line of the access log, masked as every other. `level` is DEBUG, INFO or WARNING."""
    if _json_lines is not None and _json_lines.is_in_force():
        _json_lines.write(level, line)
        return
    given = msgspec.structs.asdict(line)
    access_log.log(level, given.pop("event"), **{k: v for k, v in given.items() if k not in ("level", "timestamp")})


def configure_logging(*, level: int = logging.INFO, as_json: bool = True, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging alike. Called once, by who serves."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = _renderer(as_json=as_json)
    last: list[Processor] = [structlog.processors.format_exc_info, mask_secrets, renderer]
    out = stream or sys.stderr
    global _json_lines
    _json_lines = _JsonLines(out, level, renderer) if as_json else None
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    ours = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[ours, *last], foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.INFO))
    for chatty in ("alembic", "azure", "httpx", "httpx2"):  # a line for each migration or request
        logging.getLogger(chatty).setLevel(logging.WARNING)


def mask_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask values under telling names, and passwords, signatures and bearer tokens within any text."""
    for name, value in event.items():
        if _is_secret(name):
            event[name] = MASK
        elif isinstance(value, str):
            event[name] = mask_text(value)
    return event


def mask_text(text: str) -> str:
    """The text without passwords and signatures in URLs, and without bearer tokens."""
    return _BEARER.sub(rf"\1 {MASK}", mask_url(text)) if _is_suspect(text) else text


@cache
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_NAMES)


def _is_suspect(text: str) -> bool:
    """Whether the expressions are worth their time: most values are short and plain."""
    return "://" in text or "=" in text or " " in text


def _renderer(*, as_json: bool) -> Processor:
    if not as_json:
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer(serializer=lambda event, **_: _to_json(event).decode())
