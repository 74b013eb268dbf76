"""Times as they are written on a command line."""

from __future__ import annotations

from datetime import UTC, datetime

from fedreg.domain.errors import InvalidRequest


def parse_time(option: str, text: str | None) -> datetime | None:
    """A time as it is written on a command line, UTC where it names no zone. Raises InvalidRequest."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(
            f"{option} {text!r} is no time", cure="write it as 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
