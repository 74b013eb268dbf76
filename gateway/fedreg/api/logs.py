"""Structured logs on stderr, a JSON object a line or coloured lines for people. Secrets are masked on the way out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from functools import cache
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import Processor

from fedreg.settings.redaction import MASK, mask_url

_SECRET_NAMES = ("authorization", "password", "secret", "token", "cookie", "credential", "api_key", "apikey")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}")


def configure_logging(*, level: int = logging.INFO, as_json: bool = True, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging alike. Called once, by who serves."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [structlog.processors.format_exc_info, mask_secrets, _renderer(as_json=as_json)]
    out = stream or sys.stderr
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
    logging.getLogger("alembic").setLevel(logging.WARNING)


def mask_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask values under telling names, and passwords, signatures and bearer tokens within any text."""
    for name, value in event.items():
        if _is_secret(name):
            event[name] = MASK
        elif isinstance(value, str) and _is_suspect(value):
            event[name] = _BEARER.sub(rf"\1 {MASK}", mask_url(value))
    return event


@cache
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_NAMES)


def _is_suspect(text: str) -> bool:
    """Whether the expressions are worth their time: most values are short and plain."""
    return "://" in text or "=" in text or " " in text


def _renderer(*, as_json: bool) -> Processor:
    if not as_json:
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer(
        serializer=lambda event, **_: msgspec.json.encode(event, enc_hook=str).decode()
    )
