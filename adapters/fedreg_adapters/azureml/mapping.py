"""Azure's shapes and the domain's, both ways. Pure functions.

What fedreg keeps at Azure beside the service's own fields, hidden from the tags it shows:

    container tags        fed.name  fed.alias.ALIAS = version
    version tags          fed.stage  fed.stage.native  fed.prev_stage  fed.approval  fed.approval.comment
                          fed.copy (the key of a published copy)  fed.twin (in a registry: the version that stayed)
    version properties    fed.key  fed.metric.NAME  fed.param.NAME  fed.provenance (JSON)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import Model, Provenance, Version, VersionDraft, VersionStatus
from fedreg.domain.stages import Approval
from fedreg_adapters.azureml.manifest import CODEC
from fedreg_adapters.azureml.stages import Stages

JSON = dict[str, Any]
OWN = "fed."
NAME, ALIAS = "fed.name", "fed.alias."
KEY, COPY, TWIN = "fed.key", "fed.copy", "fed.twin"
METRIC, PARAM, PROVENANCE = "fed.metric.", "fed.param.", "fed.provenance"
APPROVAL, COMMENT = "fed.approval", "fed.approval.comment"
_VERSION = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}")
# What of a version is sent back when it is changed; the rest is read-only.
WRITABLE = (
    "description",
    "tags",
    "properties",
    "isArchived",
    "isAnonymous",
    "flavors",
    "modelType",
    "modelUri",
    "jobName",
    "stage",
    "datasets",
    "autoDeleteSetting",
)


STATUSES = {
    "Succeeded": VersionStatus.READY,
    "Creating": VersionStatus.REGISTERING,
    "Updating": VersionStatus.REGISTERING,
    "Deleting": VersionStatus.DELETING,
    "Failed": VersionStatus.FAILED,
    "Canceled": VersionStatus.FAILED,
}


def is_version(text: str) -> bool:
    """Whether a version can have this id."""
    return _VERSION.fullmatch(text) is not None


def properties_of(resource: JSON) -> JSON:
    """The inner properties of a resource."""
    return resource.get("properties") or {}


def tags_of(resource: JSON) -> dict[str, str]:
    """All tags of a resource, ours included. A null is an empty text."""
    return _texts(properties_of(resource).get("tags"))


def extras_of(resource: JSON) -> dict[str, str]:
    """The append-only `properties` of a resource."""
    return _texts(properties_of(resource).get("properties"))


def _texts(found: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: "" if value is None else str(value) for key, value in (found or {}).items()}


def without_own(held: Mapping[str, str]) -> dict[str, str]:
    """Tags or properties that are not ours."""
    return {key: value for key, value in held.items() if not key.startswith(OWN)}


def refuse_own(keys: Iterable[str], registry: str) -> None:
    """InvalidRequest for a tag key that fedreg keeps for itself."""
    for key in keys:
        if key.startswith(OWN) or not key:
            raise InvalidRequest(
                f"tag key {key!r} is reserved at registry {registry!r}",
                registry=registry,
                cure="use a key that is not empty and does not begin with fed.",
            )


def time_of(resource: JSON, name: str) -> datetime | None:
    """A time of the system data, in UTC; Azure gives seven digits of a second."""
    text = str((resource.get("systemData") or {}).get(name) or "")
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


# -- models ------------------------------------------------------------------------------------------------


def model_of(container: JSON, registry: str) -> Model:
    """A model from its container."""
    native, tags = str(container.get("name", "")), tags_of(container)
    return Model(
        registry=registry,
        name=CODEC.decode(native, tags.get(NAME)),
        native_name=native,
        description=properties_of(container).get("description") or None,
        tags=without_own(tags),
        aliases=aliases_of(container),
        created_at=time_of(container, "createdAt"),
        updated_at=time_of(container, "lastModifiedAt"),
    )


def aliases_of(container: JSON) -> dict[str, str]:
    """Alias -> version."""
    return {k.removeprefix(ALIAS): v for k, v in tags_of(container).items() if k.startswith(ALIAS)}


# -- versions ----------------------------------------------------------------------------------------------


def version_name_of(resource: JSON) -> str:
    """The version's id, from the end of the resource's: a registry puts the model's name into `name`."""
    return str(resource.get("id", "")).rpartition("/")[2]


def identity_of(resource: JSON) -> str:
    """Id and time of creation in microseconds: made again under the same id it is another one.

    Ids differ in case between answers, and modelUri moves between reads in a registry.
    """
    created = time_of(resource, "createdAt")
    micros = 0 if created is None else round(created.timestamp() * 1_000_000)
    return f"{str(resource['id']).lower()}@{micros}"


def version_of(resource: JSON, model: str, aliases: Mapping[str, str], stages: Stages, registry: str) -> Version:
    """A version from its resource and the aliases of its container."""
    inner, tags, extras = properties_of(resource), tags_of(resource), extras_of(resource)
    number = version_name_of(resource)
    found, native = stages.read(inner, tags)
    status, message = status_of(resource)
    return Version(
        registry=registry,
        model=model,
        version=number,
        identity=identity_of(resource),
        status=status,
        status_message=message,
        stage=found,
        stages=() if found == "none" else (found,),
        native_stages=native,
        approval=_approval_of(tags),
        approval_comment=tags.get(COMMENT) or None,
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == number)),
        tags=without_own(tags),
        description=inner.get("description") or None,
        artifact_uri=str(resource["id"]) if stages.of_registry else inner.get("modelUri"),
        metrics=_metrics_of(extras),
        params={key.removeprefix(PARAM): value for key, value in extras.items() if key.startswith(PARAM)},
        provenance=provenance_of(resource),
        created_at=time_of(resource, "createdAt"),
        updated_at=time_of(resource, "lastModifiedAt") or time_of(resource, "createdAt"),
    )


def status_of(resource: JSON) -> tuple[VersionStatus, str | None]:
    """State, and why where it is a failure. An answer without a state is of a version that is there."""
    if stayed := tags_of(resource).get(TWIN):
        return VersionStatus.FAILED, f"made twice: version {stayed} stays"
    state = properties_of(resource).get("provisioningState") or "Succeeded"
    found = STATUSES.get(str(state), VersionStatus.REGISTERING)
    return found, None if found is VersionStatus.READY else f"provisioningState is {state}"


def key_of(resource: JSON) -> str | None:
    """The idempotency key that made a version. A published copy brings the properties of its source along."""
    return tags_of(resource).get(COPY) or extras_of(resource).get(KEY)


def _approval_of(tags: Mapping[str, str]) -> Approval:
    try:
        return Approval(tags.get(APPROVAL, "none"))
    except ValueError:
        return Approval.NONE


def _metrics_of(extras: Mapping[str, str]) -> dict[str, float]:
    found = {}
    for key, value in extras.items():
        if key.startswith(METRIC):
            try:
                found[key.removeprefix(METRIC)] = float(value)
            except ValueError:
                continue
    return found


def provenance_of(resource: JSON) -> Provenance:
    """What was recorded at the create; else the service's own fields. `extra` has the user's properties."""
    inner, extras = properties_of(resource), extras_of(resource)
    known = read_provenance(extras.get(PROVENANCE)) or Provenance()
    is_copy = "copied_from" in known.extra  # who made that is not who made what was copied
    others = {"job": inner.get("jobName"), "origin": inner.get("originAssetId")}
    return replace(
        known,
        run_id=known.run_id or inner.get("jobName") or None,
        created_by=known.created_by
        or (None if is_copy else (resource.get("systemData") or {}).get("createdBy"))
        or None,
        extra={**without_own(extras), **{k: v for k, v in others.items() if v}, **known.extra},
    )


# -- drafts ------------------------------------------------------------------------------------------------


def version_properties(draft: VersionDraft, key: str, uri: str, stages: Stages) -> JSON:
    """The properties of a new version."""
    extras = {KEY: key}
    extras |= {METRIC + name: repr(float(value)) for name, value in draft.metrics.items()}
    extras |= {PARAM + name: value for name, value in draft.params.items()}
    if draft.provenance != Provenance():
        extras[PROVENANCE] = write_provenance(draft.provenance)
    inner: JSON = {
        "description": draft.description or "",
        "tags": {**draft.tags, **approval_tags(draft.approval, None)},
        "properties": extras,
        "isArchived": False,
        "isAnonymous": False,
        "flavors": {},
        "modelType": "custom_model",
        "modelUri": uri,
    }
    return inner if stages.of_registry else {**inner, "stage": stages.none}


def approval_tags(decision: Approval, comment: str | None) -> dict[str, str]:
    """The tags that hold a decision; none for none."""
    if decision is Approval.NONE:
        return {}
    return {APPROVAL: decision.value} | ({COMMENT: comment} if comment else {})


def write_provenance(known: Provenance) -> str:
    """A provenance as JSON, on one line, the same each time."""
    fields = asdict(known)
    fields["created_at"] = known.created_at and known.created_at.isoformat()
    return json.dumps({name: value for name, value in fields.items() if value}, sort_keys=True)


def read_provenance(text: str | None) -> Provenance | None:
    """What `write_provenance` wrote; None for anything else."""
    try:
        fields = dict(json.loads(text or ""))
        if created := fields.get("created_at"):
            fields["created_at"] = datetime.fromisoformat(created)
        return Provenance(**fields)
    except (ValueError, TypeError):
        return None
