"""What a commit's description says of the version that it makes: the key, the number, and what no file holds.

Fedreg-Key: <idempotency key>
Fedreg-Version: v3
Fedreg-Upload: <commit of the branch on which its files were gathered>
Fedreg-Record: {"metrics": …, "params": …, "provenance": …}
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from fedreg.domain.models import Provenance, VersionDraft

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """`card`: whether the commit's README.md is a generated model card and no file of the version."""

    key: str
    version: str
    upload: str = ""
    card: bool = False
    description: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)

    @classmethod
    def of(cls, draft: VersionDraft, key: str, version: str, upload: str, *, card: bool) -> Record:
        return cls(
            key=key,
            version=version,
            upload=upload,
            card=card,
            description=draft.description,
            metrics=dict(draft.metrics),
            params=dict(draft.params),
            provenance=draft.provenance,
        )

    def to_text(self) -> str:
        """The description of the commit."""
        held: Json = {
            "card": self.card,
            "description": self.description,
            "metrics": {name: write_number(value) for name, value in self.metrics.items()},
            "params": dict(self.params),
            "provenance": write_provenance(self.provenance),
        }
        content = json.dumps({name: value for name, value in held.items() if value}, sort_keys=True)
        about = {"Key": json.dumps(self.key), "Version": self.version, "Upload": self.upload, "Record": content}
        return "\n".join(f"Fedreg-{name}: {value}" for name, value in about.items())


def read_record(message: str) -> Record | None:
    """The record in a commit's description. None where there is none, or somebody has edited it beyond reading."""
    lines = dict(re.findall(r"^Fedreg-(Key|Version|Upload|Record): (.+)$", message, re.MULTILINE))
    try:
        held: Json = json.loads(lines["Record"])
        return Record(
            key=str(json.loads(lines["Key"])),
            version=lines["Version"].strip(),
            upload=lines.get("Upload", "").strip(),
            card=bool(held.get("card")),
            description=held.get("description"),
            metrics={str(name): float(value) for name, value in held.get("metrics", {}).items()},
            params={str(name): str(value) for name, value in held.get("params", {}).items()},
            provenance=read_provenance(held.get("provenance", {})),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def write_number(value: float) -> float | str:
    """JSON has no word for infinities and NaN."""
    return value if math.isfinite(value) else str(value)


def write_provenance(known: Provenance) -> Json:
    """A provenance as JSON values, without what is empty."""
    created = known.created_at
    fields = {**asdict(known), "created_at": created and created.isoformat()}
    return {name: value for name, value in fields.items() if value}


def read_provenance(fields: Json) -> Provenance:
    """The same back. ValueError or TypeError for what is none."""
    created = fields.get("created_at")
    return Provenance(**{**fields, "created_at": datetime.fromisoformat(created) if created else None})
