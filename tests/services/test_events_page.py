"""The snippets of docs/events.md that check a signature do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedreg.services.webhook_messages import make_secret, sign, to_test

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
SNIPPETS = [code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "def receive" in code]


def test_there_are_two() -> None:
    assert len(SNIPPETS) == 2


@pytest.mark.parametrize("code", SNIPPETS, ids=["with the library", "without it"])
def test_it_believes_ours_only(code: str) -> None:
    found: dict[str, Any] = {}
    exec(code, found)
    receive, secret, now = found["receive"], make_secret(), datetime.now(UTC)
    message = to_test("hook", "urn:test", now)
    headers = {name.lower(): value for name, value in sign(message, secret, now).items()}
    assert receive(secret, headers, message.body)["type"] == "dev.fedreg.webhook_tested"
    old = dict(sign(message, secret, now - timedelta(minutes=6)))
    for key, sent, body in (
        (make_secret(), headers, message.body),
        (secret, headers, message.body + b" "),
        (secret, {**headers, "webhook-id": "other"}, message.body),
        (secret, old, message.body),
    ):
        with pytest.raises(Exception, match=r"(?i)signature|too old"):
            receive(key, sent, body)
