"""What neither a model message nor a label can hold: parameters, provenance, the comment of an approval.

It is the metadata of an artifact in the store `default` of the Metadata service, which a version names in its label
`fed-record`: a Struct of at most 200 KB, mutable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from fedreg.domain.calls import Effect
from fedreg.domain.errors import AlreadyExists, InvalidRequest, NotFound
from fedreg.domain.models import Provenance, VersionDraft
from fedreg_adapters.vertex.client import Client

MAX_RECORD = 200_000
SCHEMA = "system.Artifact"
DEFAULT_VERSION = "vertex_default"  # what provenance says of the default version of the moment; never stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The record of a version. `comment` belongs to `decision`: another decision voids it."""

    params: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None
    comment: str | None = None
    decision: str | None = None

    @classmethod
    def of(cls, draft: VersionDraft) -> Record:
        """What of a draft goes into a record."""
        extra = {name: text for name, text in draft.provenance.extra.items() if name != DEFAULT_VERSION}
        known: Provenance | None = replace(draft.provenance, extra=extra)
        known = known if known != Provenance() else None
        return cls(params=dict(draft.params), provenance=known)

    def to_struct(self) -> dict[str, Any]:
        """JSON values without absent ones."""
        fields: dict[str, Any] = {"params": dict(self.params), "comment": self.comment, "decision": self.decision}
        if self.provenance is not None:
            known = asdict(self.provenance)
            created = self.provenance.created_at
            known["created_at"] = created.isoformat() if created else None
            fields["provenance"] = {name: value for name, value in known.items() if value}
        return {name: value for name, value in fields.items() if value}


def read_record(content: Mapping[str, Any]) -> Record:
    """A record from an artifact's metadata; what somebody else made of it is left out."""
    known = content.get("provenance")
    return Record(
        params=_texts(content.get("params")),
        provenance=_read_provenance(known) if isinstance(known, dict) else None,
        comment=_text(content.get("comment")),
        decision=_text(content.get("decision")),
    )


class Records:
    """The records of one registry, by artifact id."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, record: str) -> Record:
        """A record; an empty one where somebody removed it."""
        try:
            found = await self._client.call("get_artifact", {"name": self._name(record)}, service="metadata")
        except NotFound:
            return Record()
        from google.protobuf import json_format

        return read_record(json_format.MessageToDict(type(found).pb(found).metadata))

    async def put(self, record: str, content: Record, title: str) -> None:
        """Create or replace a record. InvalidRequest where it is larger than the service holds."""
        struct = content.to_struct()
        if len(repr(struct).encode()) > MAX_RECORD:
            raise InvalidRequest(
                f"params and provenance are larger than {MAX_RECORD} bytes, which Vertex holds",
                registry=self._client.registry,
                cure="shorten them",
            )
        artifact = {
            "name": self._name(record),
            "display_name": title[:128],
            "schema_title": SCHEMA,
            "schema_version": "0.0.1",
            "metadata": struct,
        }
        request = {"artifact": artifact, "update_mask": {"paths": ["metadata"]}, "allow_missing": True}
        try:
            await self._client.call("update_artifact", request, Effect.IDEMPOTENT, service="metadata")
        except NotFound:  # a project that never used metadata has no store
            await self._create_store()
            await self._client.call("update_artifact", request, Effect.IDEMPOTENT, service="metadata")

    async def annotate(self, record: str, comment: str | None, decision: str, title: str) -> None:
        """Set the comment of a decision; the rest of the record stays."""
        held = await self.get(record)
        await self.put(record, replace(held, comment=comment, decision=decision), title)

    async def delete(self, record: str) -> None:
        """Remove a record; an absent one is fine."""
        try:
            await self._client.start(
                "delete_artifact", {"name": self._name(record)}, Effect.IDEMPOTENT, service="metadata"
            )
        except NotFound:
            return

    async def _create_store(self) -> None:
        request = {"parent": self._client.parent, "metadata_store_id": "default", "metadata_store": {}}
        try:
            begun = await self._client.start("create_metadata_store", request, Effect.IDEMPOTENT, service="metadata")
        except AlreadyExists:
            return
        await self._client.outcome(begun)

    def _name(self, record: str) -> str:
        return f"{self._client.store_name}/artifacts/{record}"


def record_id(*parts: str) -> str:
    """An artifact id, which is also a label's value."""
    return f"fedreg-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:40]}"


def _read_provenance(known: Mapping[str, Any]) -> Provenance:
    names = ("run_id", "source_uri", "git_commit", "git_repository", "created_by")
    created = _text(known.get("created_at"))
    try:
        moment = datetime.fromisoformat(created) if created else None
    except ValueError:
        moment = None
    texts = {name: _text(known.get(name)) for name in names}
    return Provenance(**texts, created_at=moment, extra=_texts(known.get("extra")))


def _texts(found: Any) -> dict[str, str]:
    return (
        {str(name): value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
    )


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) else None
