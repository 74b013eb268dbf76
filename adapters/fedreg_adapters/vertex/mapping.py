"""Vertex's shapes and the domain's, both ways. Pure functions.

Labels that fedreg keeps at Vertex, all of them beginning with `fed-` and hidden from the tags it shows:

    of a model    fed-m-KEY = value of the tag KEY
    of a version  fed-stage  fed-approval  fed-key  fed-record (the artifact with the rest)
                  fed-tags (marks of the keys that fedreg set on the version)
                  fed-done (the labels of its draft were set; they are never set again)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from string import ascii_lowercase, digits
from typing import Any

from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import Model, Provenance, Version
from fedreg.domain.stages import NONE, Approval, StageMap, highest_stage
from fedreg_adapters.vertex.manifest import ALIASES, CODEC, MODEL_TAG
from fedreg_adapters.vertex.records import DEFAULT_VERSION, Record

OWN = "fed-"
STAGE, APPROVAL, KEY, RECORD, TAGS = "fed-stage", "fed-approval", "fed-key", "fed-record", "fed-tags"
DONE = "fed-done"
DEFAULT = "default"
_MARK, _MARKS = 2, 32  # characters of a key's mark, and how many fit into one label


def native_of(name: str) -> str:
    """The model id of a name. An id that is a number was made by Vertex, and names itself."""
    return name if is_number(name) else CODEC.encode(name)


def name_of(native: str, display_name: str | None = None) -> str:
    """The name of a model id; the display name counts only where it is spelt so."""
    return native if is_number(native) else CODEC.decode(native, display_name)


def is_number(text: str) -> bool:
    """Whether a model id is one of those that Vertex makes itself."""
    return re.fullmatch(r"[0-9]+", text) is not None


def alias_to_native(alias: str, registry: str) -> str:
    """Vertex's spelling of an alias. InvalidRequest for one that is too long in it."""
    if alias == DEFAULT:
        return alias
    native = ALIASES.encode(alias)
    if ALIASES.is_hashed(native):
        raise InvalidRequest(
            f"alias {alias[:40]!r} is too long as Vertex spells it",
            registry=registry,
            cure="shorten it, or use a-z, 0-9",
        )
    return native


def aliases_of(natives: Iterable[str]) -> tuple[str, ...]:
    """The aliases of a version, but for Vertex's own `default`."""
    return tuple(sorted(ALIASES.decode(native) for native in natives if native != DEFAULT))


# -- labels ------------------------------------------------------------------------------------------------


def key_label(key: str) -> str:
    """An idempotency key as a label's value."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def model_tags(labels: Mapping[str, str]) -> dict[str, str]:
    """The tags of a model, out of merged labels."""
    return {key.removeprefix(MODEL_TAG): value for key, value in labels.items() if key.startswith(MODEL_TAG)}


def version_tags(labels: Mapping[str, str]) -> dict[str, str]:
    """The tags of a version as Vertex shows them, out of merged labels."""
    return {key: value for key, value in labels.items() if not key.startswith(OWN)}


def own_labels(labels: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Of merged labels those that are surely the version's, and those of which nobody knows the level."""
    marks = read_marks(labels)
    known = {k: v for k, v in labels.items() if not k.startswith(MODEL_TAG) and (k.startswith(OWN) or mark(k) in marks)}
    unsure = {k: v for k, v in labels.items() if not k.startswith(OWN) and k not in known}
    return known, unsure


def with_marks(labels: Mapping[str, str]) -> dict[str, str]:
    """A version's labels with the marks of its tags' keys."""
    keys = sorted(key for key in labels if not key.startswith(OWN))
    kept = {key: value for key, value in labels.items() if key != TAGS}
    return {**kept, TAGS: "".join(map(mark, keys[:_MARKS]))} if keys else kept


def read_marks(labels: Mapping[str, str]) -> set[str]:
    text = labels.get(TAGS, "")
    return {text[at : at + _MARK] for at in range(0, len(text), _MARK)}


def mark(key: str) -> str:
    """A short fingerprint of a key: it tells a version's own labels from those merged in from its model."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")
    alphabet = ascii_lowercase + digits
    return alphabet[number % 36] + alphabet[number // 36 % 36]


def refuse_keys(keys: Iterable[str], registry: str) -> None:
    """InvalidRequest for a tag key that fedreg keeps for itself, or that no label can have."""
    for key in keys:
        if key.startswith(OWN):
            raise InvalidRequest(
                f"tag key {key!r} is reserved at registry {registry!r}",
                registry=registry,
                cure=f"use a key that does not begin with {OWN}",
            )
        if not key[:1].isalpha():
            raise InvalidRequest(
                f"tag key {key!r} does not begin with a letter", registry=registry, cure="labels of GCP must"
            )


# -- models and versions -----------------------------------------------------------------------------------


def model_of(message: Any, aliases: Mapping[str, str], registry: str) -> Model:
    """A model from its default version and the aliases of all its versions."""
    native = native_id(message.name)
    return Model(
        registry=registry,
        name=name_of(native, message.display_name),
        native_name=native,
        description=message.description or None,
        tags=model_tags(message.labels),
        aliases=dict(aliases),
        created_at=to_time(message.create_time),
        updated_at=to_time(message.update_time),
    )


def native_id(resource: str) -> str:
    """The model id of a resource name, with or without a version."""
    return resource.rpartition("/models/")[2].partition("@")[0]


def identity_of(message: Any) -> str:
    """Resource, version and creation time in milliseconds: no other version ever has all three."""
    created = to_time(message.version_create_time) or to_time(message.create_time)
    moment = round(created.timestamp() * 1000) if created is not None else 0
    return f"{message.name.partition('@')[0]}@{message.version_id}@{moment}"


def version_of(
    message: Any, model: str, stages: StageMap, registry: str, record: Record, metrics: Mapping[str, float]
) -> Version:
    """A version from a model message, its record and the metrics of its evaluations."""
    labels = dict(message.labels)
    native_stages = (labels[STAGE],) if STAGE in labels else ()
    held = tuple(stage for word in native_stages if (stage := stages.to_stage(word)) not in (None, NONE))
    decision = approval_of(labels)
    return Version(
        registry=registry,
        model=model,
        version=message.version_id,
        identity=identity_of(message),
        stage=highest_stage(stage for stage in held if stage),
        stages=tuple(stage for stage in held if stage),
        native_stages=native_stages,
        approval=decision,
        approval_comment=record.comment if record.decision == decision.value else None,
        aliases=aliases_of(message.version_aliases),
        tags=version_tags(labels),
        description=message.version_description or None,
        artifact_uri=message.artifact_uri or None,
        metrics=metrics,
        params=record.params,
        provenance=provenance_of(message, record),
        created_at=to_time(message.version_create_time),
        updated_at=to_time(message.version_update_time),
    )


def stage_of(message: Any, stages: StageMap) -> str:
    """The unified stage of a version."""
    word = message.labels.get(STAGE)
    return (stages.to_stage(word) if word else None) or NONE


def approval_of(labels: Mapping[str, str]) -> Approval:
    found = labels.get(APPROVAL, "")
    return Approval(found) if found in list(Approval) else Approval.NONE


def provenance_of(message: Any, record: Record) -> Provenance:
    """What the record says; else the pipeline. `extra` says which version is Vertex's default."""
    known = record.provenance or Provenance(run_id=message.pipeline_job or message.training_pipeline or None)
    if DEFAULT not in message.version_aliases:
        return known
    return Provenance(
        run_id=known.run_id,
        source_uri=known.source_uri,
        git_commit=known.git_commit,
        git_repository=known.git_repository,
        created_by=known.created_by,
        created_at=known.created_at,
        extra={**known.extra, DEFAULT_VERSION: "true"},
    )


def metrics_of(evaluations: Iterable[Any]) -> dict[str, float]:
    """The plain numbers of evaluations; of two with the same name the later evaluation's counts."""
    found: dict[str, float] = {}
    for evaluation in sorted(evaluations, key=lambda each: (each.create_time is not None, each.create_time)):
        metrics = evaluation.metrics
        for name, value in metrics.items() if isinstance(metrics, Mapping) else ():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found[name] = float(value)
    return found


def to_time(moment: Any) -> datetime | None:
    """The SDK's own datetime as a plain one, in UTC."""
    return None if moment is None else datetime.combine(moment.date(), moment.timetz())
