"""Long-running operations: a write that is answered 202 is followed to its end.

A registry answers 202 with `Location`, which answers 202 until it is done. The wait between two looks is what
the service asks for, within bounds; the whole is bounded too, and who asks again goes on from there.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from fedreg.domain.errors import Outcome, RegistryError, RegistryTimeout
from fedreg_adapters.azureml.client import JSON, Answer, Client, Place

_FIRST, _LONGEST = 0.02, 5.0
_LOOKS = 40  # grows to five seconds each: about three minutes
_FAILED = {"Failed", "Canceled", "Cancelled"}


async def settle(client: Client, operation: str, answer: Answer, *, home: Place | None = None) -> JSON:
    """The last answer of an operation. RegistryError where it failed, RegistryTimeout where it does not end."""
    wait = _FIRST
    for _ in range(_LOOKS):
        if not is_running(answer):
            return _checked(client, operation, answer)
        await asyncio.sleep(min(_asked(answer) or wait, _LONGEST))
        answer = await follow(client, operation, answer, home or await client.place())
        wait *= 1.5
    raise RegistryTimeout(
        f"{operation}: the registry is still at work on it",
        registry=client.registry,
        operation=operation,
        outcome=Outcome.UNKNOWN,
        cure="look at it again later",
    )


def is_running(answer: Answer) -> bool:
    """Whether a look at the answer's address may bring another answer."""
    return answer.status == 202 and bool(_address(answer))


async def follow(client: Client, operation: str, answer: Answer, place: Place) -> Answer:
    """One look at where an answer points to. No token goes to another host than the registry's own."""
    url = _address(answer)
    home, there = urlsplit(place.url), urlsplit(url)
    if (there.scheme, there.netloc) != (home.scheme, home.netloc):
        raise client.nonsense(operation, f"its operation is at another host ({there.hostname})")
    found = await client.call(operation, "GET", url)
    if found.status == 202 and not _address(found):
        return Answer(202, found.body, {**found.headers, "location": url})
    return found


def _asked(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else 0.0


def _address(answer: Answer) -> str:
    return answer.headers.get("location") or answer.headers.get("azure-asyncoperation") or ""


def _checked(client: Client, operation: str, answer: Answer) -> JSON:
    if str(answer.body.get("status")) not in _FAILED:
        return answer.body
    error = answer.body.get("error") or {}
    raise RegistryError(
        f"{operation}: the registry says it failed: {error.get('message') or answer.body['status']}"[:500],
        registry=client.registry,
        operation=operation,
        upstream_code=error.get("code"),
    )
