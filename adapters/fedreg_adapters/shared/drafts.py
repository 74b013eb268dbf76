"""Drafts as an upload's state holds them, in JSON values, and where the bytes of a key go."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from fedreg.domain.errors import Conflict, InvalidRequest
from fedreg.domain.models import Provenance, UploadState, VersionDraft
from fedreg.domain.stages import Approval

_PLAIN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def begin(draft: VersionDraft, native: str, key: str) -> UploadState:
    """The state of an upload: a function of the draft and the key alone."""
    return UploadState(key=key, model=draft.model, data={"native": native, "draft": write_draft(draft)})


def place_of(native: str, key: str) -> str:
    """The directory of an upload under the artifact root."""
    return f"{native}/{key_place(key)}"


def key_place(key: str) -> str:
    """A directory's name for a key."""
    return key if _PLAIN_KEY.fullmatch(key) else "h." + hashlib.sha256(key.encode()).hexdigest()[:40]


def write_draft(draft: VersionDraft) -> dict[str, Any]:
    """A draft as JSON values."""
    fields = asdict(draft)
    created = draft.provenance.created_at
    fields["provenance"]["created_at"] = created and created.isoformat()
    fields["approval"] = draft.approval.value
    return fields


def read_draft(state: UploadState) -> VersionDraft:
    """The draft that an upload began with."""
    fields: dict[str, Any] = dict(state.data["draft"])
    known = Provenance(**fields.pop("provenance"))
    if isinstance(known.created_at, str):
        known = replace(known, created_at=datetime.fromisoformat(known.created_at))
    return VersionDraft(**{**fields, "provenance": known, "approval": Approval(fields["approval"])})


def check_files(state: UploadState, sizes: Mapping[str, int], *, besides: Collection[str] = ()) -> None:
    """Compare what is in place (path -> size) with what was announced.

    Conflict where an announced file is not in place, InvalidRequest where there is nothing but `besides`.
    """
    announced: Mapping[str, int] = state.data["draft"]["files"]
    wrong = sorted(path for path, size in announced.items() if sizes.get(path) != size)
    if wrong:
        raise Conflict(
            f"upload {state.key!r}: {len(wrong)} announced files are not in place, {wrong[0]!r} among them",
            cure="put every announced file before finish",
        )
    if not set(sizes) - set(besides):
        raise InvalidRequest(f"upload {state.key!r} has no files", cure="put at least one file before finish")
