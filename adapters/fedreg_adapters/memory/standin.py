"""The in-process "vendor" of the memory adapter, in words of its own.

A space holds shelves (models); a shelf holds releases (versions) numbered from 1, and pointers (aliases).
A release has a phase (stage), a verdict (approval), labels and blobs (files). It refuses what a real service
would refuse, and imports nothing of the adapter. Answers are fresh dicts of JSON values.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fedreg_adapters.memory.standin_faults import ConnectionLost, Mishaps, VendorError, flip

__all__ = ["ConnectionLost", "Vendor", "VendorError", "drop_space", "open_space"]

Json = dict[str, Any]
SHELF_NAME = re.compile(r"[A-Za-z0-9._-]{1,48}")
POINTER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
NOTES, LABELS, LABEL_KEY, LABEL_VALUE, CHUNK = 500, 20, 64, 200, 1 << 20
_spaces: dict[str, Vendor] = {}


def open_space(name: str) -> Vendor:
    """The vendor of this name, made on first use and shared by all who ask."""
    return _spaces.setdefault(name, Vendor())


def drop_space(name: str) -> None:
    """Forget a space and all it holds."""
    _spaces.pop(name, None)


class Vendor:
    """One space. Each call is atomic; an upload's bytes are kept apart until a release is published from it."""

    def __init__(self) -> None:
        self.shelves: dict[str, Json] = {}
        self.uploads: dict[str, dict[str, bytes]] = {}
        self.feed: list[Json] = []
        self.mishaps = Mishaps()
        self.bytes_in = 0
        self.bytes_out = 0

    async def call(self, name: str, /, **given: Any) -> Any:
        """Carry out `thing.verb`; raises VendorError, or ConnectionLost where nobody can tell whether it was done."""
        await asyncio.sleep(0)  # as over a network: others get their turn before it is carried out
        return await self.mishaps.around(name, lambda: copy.deepcopy(self._carry_out(name, given)))

    def _carry_out(self, name: str, given: Json) -> Any:
        thing, _, verb = name.partition(".")
        return getattr(self, f"_{thing}_{verb}")(**given)

    # -- shelves ---------------------------------------------------------------------------------------

    def _shelf_create(self, name: str, title: str, notes: str | None, labels: dict[str, str]) -> Json:
        if not SHELF_NAME.fullmatch(name):
            raise VendorError("bad-input", f"shelf name {name!r}")
        if name in self.shelves:
            raise VendorError("taken", f"shelf {name}")
        check_text(notes)
        check_labels(labels)
        self.shelves[name] = {
            "name": name,
            "title": title,
            "notes": notes,
            "labels": dict(labels),
            "pointers": {},
            "releases": {},
            "next": 1,
            "born": now(),
            "touched": now(),
        }
        return self._note(name, None, "created")

    def _shelf_get(self, name: str) -> Json:
        return {key: value for key, value in self._shelf(name).items() if key != "releases"}

    def _shelf_list(self, after: str, limit: int) -> Json:
        names = sorted(name for name in self.shelves if name > after)
        rows = [self._shelf_get(name) for name in names[:limit]]
        return {"rows": rows, "after": names[limit - 1] if len(names) > limit else None}

    def _shelf_edit(self, name: str, notes: str) -> Json:
        check_text(notes)
        self._shelf(name)["notes"] = notes
        return self._note(name, None, "updated")

    def _shelf_remove(self, name: str) -> Json:
        if self._shelf(name)["releases"]:
            raise VendorError("not-empty", f"shelf {name} has releases")
        del self.shelves[name]
        self.feed.append({"shelf": name, "number": None, "what": "deleted"})
        return {}

    def _shelf_label(self, name: str, put: dict[str, str], drop: list[str]) -> Json:
        self._relabel(self._shelf(name), put, drop)
        return self._note(name, None, "labels")

    def _pointer_set(self, name: str, pointer: str, number: int) -> Json:
        if not POINTER_NAME.fullmatch(pointer):
            raise VendorError("bad-input", f"pointer {pointer!r}")
        self._release(name, number)
        self._shelf(name)["pointers"][pointer] = number
        return self._note(name, number, "pointer")

    def _pointer_leave(self, name: str, pointer: str, number: int) -> Json:
        """Drop a pointer if it still points here."""
        if self._shelf(name)["pointers"].get(pointer) == number:
            self._pointer_drop(name, pointer)
        return {}

    def _pointer_drop(self, name: str, pointer: str) -> Json:
        if self._shelf(name)["pointers"].pop(pointer, None) is None:
            raise VendorError("no-such", f"pointer {pointer}")
        return self._note(name, None, "pointer")

    # -- releases --------------------------------------------------------------------------------------

    def _release_publish(self, name: str, upload: str, token: str, fields: Json) -> Json:
        """Make a release of an upload. Twice makes two: telling repetitions apart is the client's business."""
        shelf = self._shelf(name)
        if upload not in self.uploads:
            raise VendorError("no-such", f"upload {upload}")
        check_text(fields.get("notes"))
        check_labels(fields.get("labels", {}))
        number = shelf["next"]
        shelf["next"] += 1
        shelf["releases"][number] = {
            "number": number,
            "uid": uuid.uuid4().hex,
            "token": token,
            "phase": None,
            "notes": None,
            "labels": {},
            "verdict": None,
            "remark": None,
            "scores": {},
            "settings": {},
            "origin": {},
            "born": now(),
            "touched": now(),
            **fields,
            "blobs": dict(self.uploads[upload]),
            "runs": [],
        }
        self._note(name, number, "created")
        return self._release_get(name, number)

    def _release_clone(self, name: str, source: str, number: int, token: str) -> Json:
        original = self._release(source, number)
        upload = f"clone-{uuid.uuid4().hex}"
        self.uploads[upload] = original["blobs"]
        kept = {key: original[key] for key in ("notes", "labels", "scores", "settings")}
        origin = {**original["origin"], "cloned": original["uid"], "cloned_ref": f"{source}/{number}"}
        made = self._release_publish(name, upload, token, copy.deepcopy({**kept, "origin": origin}))
        del self.uploads[upload]
        return made

    def _release_get(self, name: str, number: int) -> Json:
        release = self._release(name, number)
        pointers = [key for key, value in self._shelf(name)["pointers"].items() if value == number]
        blobs = {path: len(data) for path, data in release["blobs"].items()}
        return {**release, "shelf": self._shelf(name)["name"], "pointers": sorted(pointers), "blobs": blobs}

    def _release_list(self, name: str, after: int, limit: int, token: str | None = None) -> Json:
        found = self._shelf(name)["releases"]
        numbers = sorted(n for n in found if n > after and token in (None, found[n]["token"]))
        rows = [self._release_get(name, number) for number in numbers[:limit]]
        return {"rows": rows, "after": numbers[limit - 1] if len(numbers) > limit else None}

    def _release_edit(self, name: str, number: int, notes: str) -> Json:
        check_text(notes)
        self._release(name, number)["notes"] = notes
        return self._note(name, number, "updated")

    def _release_remove(self, name: str, number: int) -> Json:
        self._release(name, number)
        shelf = self._shelf(name)
        del shelf["releases"][number]
        shelf["pointers"] = {key: value for key, value in shelf["pointers"].items() if value != number}
        return self._note(name, number, "deleted")

    def _release_label(self, name: str, number: int, put: dict[str, str], drop: list[str]) -> Json:
        self._relabel(self._release(name, number), put, drop)
        return self._note(name, number, "labels")

    def _release_phase(self, name: str, number: int, uid: str, phase: str | None, was: list[str | None]) -> Json:
        """Set the phase; `was` lists the phases it may have now, empty for any."""
        release = self._release(name, number)
        if release["uid"] != uid or (was and release["phase"] not in was):
            raise VendorError("moved-on", f"release {name}/{number}")
        release["phase"] = phase
        return self._note(name, number, "phase")

    def _release_judge(self, name: str, number: int, uid: str, verdict: str | None, remark: str | None) -> Json:
        release = self._release(name, number)
        if release["uid"] != uid:
            raise VendorError("moved-on", f"release {name}/{number}")
        release.update(verdict=verdict, remark=remark)
        return self._note(name, number, "verdict")

    # -- uploads and blobs -----------------------------------------------------------------------------

    def _upload_open(self, upload: str) -> Json:
        self.uploads.setdefault(upload, {})
        return {"upload": upload}

    def _upload_drop(self, upload: str) -> Json:
        self.uploads.pop(upload, None)
        return {}

    def _blob_list(self, name: str, number: int) -> Json:
        return {"rows": [about_blob(p, data) for p, data in sorted(self._release(name, number)["blobs"].items())]}

    async def put_blob(self, upload: str, path: str, chunks: AsyncIterator[bytes]) -> Json:
        """Store a blob whole, or not at all."""
        if upload not in self.uploads:
            raise VendorError("no-such", f"upload {upload}")

        async def store(spoilt_at: int | None) -> Json:
            received = bytearray()
            async for chunk in chunks:
                self.bytes_in += len(chunk)
                received.extend(chunk)
            data = flip(bytes(received), spoilt_at)
            self.uploads[upload][path] = data
            return about_blob(path, data)

        stored: Json = await self.mishaps.around_bytes("blob.put", store)
        return stored

    async def get_blob(self, where: str | tuple[str, int], path: str, offset: int) -> AsyncIterator[bytes]:
        """Stream a blob of an upload (its id) or of a release (shelf and number)."""
        blobs = self.uploads.get(where, {}) if isinstance(where, str) else self._release(*where)["blobs"]
        if path not in blobs:
            raise VendorError("no-such", f"blob {path}")
        data = await self.mishaps.spoil("blob.get", blobs[path], offset)
        for start in range(offset, len(data), CHUNK):
            self.bytes_out += len(data[start : start + CHUNK])
            yield data[start : start + CHUNK]
        if len(data) < len(blobs[path]):
            raise ConnectionLost("the blob broke off")

    # -- the feed, uses and pushed messages --------------------------------------------------------------

    def _feed_read(self, after: int, limit: int) -> Json:
        return {"rows": self.feed[after : after + limit], "end": min(len(self.feed), after + limit)}

    def _feed_end(self) -> Json:
        return {"end": len(self.feed)}

    def _use_list(self, name: str, number: int) -> Json:
        return {"rows": self._release(name, number)["runs"]}

    # -- within ----------------------------------------------------------------------------------------

    def _shelf(self, name: str) -> Json:
        if name not in self.shelves:
            raise VendorError("no-such", f"shelf {name}")
        return self.shelves[name]

    def _release(self, name: str, number: int) -> Json:
        releases = self._shelf(name)["releases"]
        if number not in releases:
            raise VendorError("no-such", f"release {name}/{number}")
        found: Json = releases[number]
        return found

    def _relabel(self, thing: Json, put: dict[str, str], drop: list[str]) -> None:
        labels = {key: value for key, value in {**thing["labels"], **put}.items() if key not in drop}
        check_labels(labels)
        thing["labels"] = labels

    def _note(self, name: str, number: int | None, what: str) -> Json:
        shelf = self._shelf(name)
        shelf["touched"] = now()
        if number in shelf["releases"]:
            shelf["releases"][number]["touched"] = now()
        self.feed.append({"shelf": name, "number": number, "what": what})
        return {}


def check_text(notes: str | None) -> None:
    if notes is not None and len(notes) > NOTES:
        raise VendorError("bad-input", f"notes of {len(notes)} characters")


def check_labels(labels: dict[str, str]) -> None:
    long = [key for key, value in labels.items() if len(key) > LABEL_KEY or len(value) > LABEL_VALUE or not key]
    if long or len(labels) > LABELS:
        raise VendorError("bad-input", "labels")


def about_blob(path: str, data: bytes) -> Json:
    return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def push(secret: str, shelf: str, number: int | None, what: str, *, at: float) -> tuple[dict[str, str], bytes]:
    """Headers and body of the message that this vendor pushes; `at` in seconds since 1970."""
    body = json.dumps({"id": uuid.uuid4().hex, "shelf": shelf, "number": number, "what": what, "at": at}).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-memory-signature": signature, "content-type": "application/json"}, body
