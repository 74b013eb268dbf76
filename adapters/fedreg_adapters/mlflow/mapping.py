"""MLflow's JSON <-> the domain. Pure functions.

Tags of the gateway's own start with `fedreg.` and are never shown; MLflow's own `mlflow.*` tags are shown as any other.
"""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import Model, Provenance, Version, VersionStatus
from fedreg.domain.stages import Approval
from fedreg_adapters.mlflow.manifest import CODEC
from fedreg_adapters.mlflow.stages import StageRules

Json = dict[str, Any]

OWN = "fedreg."
KEY_TAG = "fedreg.key"
NAME_TAG = "fedreg.name"
APPROVAL_TAG = "fedreg.approval"
COMMENT_TAG = "fedreg.approval_comment"
APPROVED_TAG = "fedreg.approval_of"  # the identity a decision was made on: MLflow's own copy takes tags along
METRICS_TAG = "fedreg.metrics"
PARAMS_TAG = "fedreg.params"
PATHS_TAG = "fedreg.paths"
PROMPT_TAG = "mlflow.prompt.is_prompt"
_SOURCE = "fedreg.source."
_EXTRA = f"{_SOURCE}extra"
_GIT_COMMIT, _GIT_REPOSITORY = "mlflow.source.git.commit", "mlflow.source.git.repoURL"


# mlflow.utils.validation.validate_param_and_metric_name, for tags too.
_KEY = re.compile(r"[/\w.\- :]+")
_MAX_KEY, _MAX_PARAM = 250, 6000

_STATUS = {
    "READY": VersionStatus.READY,
    "PENDING_REGISTRATION": VersionStatus.REGISTERING,
    "FAILED_REGISTRATION": VersionStatus.FAILED,
}


def tags_of(item: Json) -> dict[str, str]:
    """All tags of a model, version or run."""
    return {str(tag["key"]): str(tag.get("value", "")) for tag in item.get("tags", [])}


def is_carried(key: str) -> bool:
    """Whether a tag of the gateway's own goes along with a copy: origin, values and file names do."""
    return key.startswith(_SOURCE) or key in (METRICS_TAG, PARAMS_TAG, PATHS_TAG)


def status_of(item: Json) -> VersionStatus:
    """The status of a ModelVersion."""
    return _STATUS.get(item.get("status", "READY"), VersionStatus.REGISTERING)


def shown_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags a user has set."""
    return {key: value for key, value in tags.items() if not key.startswith(OWN)}


def to_tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as MLflow's requests carry them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def is_prompt(item: Json) -> bool:
    """Whether a registered model or a version is a prompt: MLflow keeps both in one table."""
    return tags_of(item).get(PROMPT_TAG, "false").lower() == "true"


def name_of(item: Json) -> str:
    """The unified name of a registered model."""
    return CODEC.decode(item["name"], tags_of(item).get(NAME_TAG))


def aliases_of(model: Json) -> dict[str, str]:
    """alias -> version of a registered model, stage pointers included."""
    return {str(alias["alias"]): str(alias["version"]) for alias in model.get("aliases", [])}


def key_tag_value(key: str) -> str:
    """An idempotency key as the tag holds it: as it is, or hashed where a search filter could not quote it."""
    if re.fullmatch(r"[\w.:/\-]{1,200}", key, re.ASCII):
        return key
    return f"sha256:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


def name_filter(native: str) -> str:
    """A search filter that finds at least this name: one with both kinds of quotes is matched by a pattern."""
    if "'" not in native:
        return f"name = '{native}'"
    if '"' not in native:
        return f'name = "{native}"'
    return "name LIKE '{}'".format(native.replace("'", "_"))


def to_datetime(milliseconds: Any) -> datetime | None:
    """Milliseconds since 1970 as a time."""
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def to_model(item: Json, registry: str, rules: StageRules) -> Model:
    """A RegisteredModel."""
    pointers = rules.pointers(aliases_of(item))
    return Model(
        registry=registry,
        name=name_of(item),
        native_name=item["name"],
        description=item.get("description") or None,
        tags=shown_tags(tags_of(item)),
        aliases={alias: version for alias, version in aliases_of(item).items() if alias not in pointers},
        created_at=to_datetime(item.get("creation_timestamp")),
        updated_at=to_datetime(item.get("last_updated_timestamp")),
    )


def identity_of(item: Json) -> str:
    """Name, number and creation time, and a hash of what MLflow never changes.

    Numbers start at 1 again when a model is deleted and made again; the time and the source then differ.
    """
    origin = f"{item.get('source', '')}\n{item.get('run_id', '')}"
    mark = hashlib.sha256(origin.encode()).hexdigest()[:12]
    return f"{item['name']}/{item['version']}/{item.get('creation_timestamp', 0)}/{mark}"


def to_version(
    item: Json, *, registry: str, model: str, rules: StageRules, aliases: Iterable[str], run: Json | None = None
) -> Version:
    """A ModelVersion. `aliases` are those of the version, since searches leave them out; `run` its source run."""
    tags, held, identity = tags_of(item), sorted(aliases), identity_of(item)
    approval = _approval(tags, identity)
    created_at = to_datetime(item.get("creation_timestamp"))
    shown = rules.shown(held, tags, item.get("current_stage", ""))
    pointers = rules.pointers(held)
    return Version(
        registry=registry,
        model=model,
        version=str(item["version"]),
        identity=identity,
        status=status_of(item),
        status_message=item.get("status_message") or None,
        stage=shown.stage,
        stages=shown.stages,
        native_stages=shown.native_stages,
        approval=approval,
        approval_comment=tags.get(COMMENT_TAG) if approval is not Approval.NONE else None,
        aliases=tuple(alias for alias in held if alias not in pointers),
        tags=shown_tags(tags),
        description=item.get("description") or None,
        artifact_uri=item.get("source") or None,
        metrics=_metrics(run, tags) if run is not None else {},
        params=_params(run, tags) if run is not None else {},
        provenance=_provenance(item, tags, run or {}, created_at),
        created_at=created_at,
        updated_at=to_datetime(item.get("last_updated_timestamp")),
    )


def source_tags(provenance: Provenance) -> dict[str, str]:
    """Where a version came from, as tags of the version."""
    fields = {
        "run_id": provenance.run_id,
        "source_uri": provenance.source_uri,
        "git_commit": provenance.git_commit,
        "git_repository": provenance.git_repository,
        "created_by": provenance.created_by,
        "created_at": provenance.created_at.isoformat() if provenance.created_at else None,
        "extra": json.dumps(dict(provenance.extra), sort_keys=True) if provenance.extra else None,
    }
    return {_SOURCE + name: value for name, value in fields.items() if value is not None}


def git_tags(provenance: Provenance) -> dict[str, str]:
    """The run tags that MLflow's own pages show."""
    pairs = {_GIT_COMMIT: provenance.git_commit, _GIT_REPOSITORY: provenance.git_repository}
    return {key: value for key, value in pairs.items() if value}


def approval_tags(decision: Approval, comment: str | None = None, identity: str | None = None) -> dict[str, str]:
    """A decision as tags, itself the last; none for `none`."""
    if decision is Approval.NONE:
        return {}
    beside = {COMMENT_TAG: comment, APPROVED_TAG: identity}
    return {**{key: value for key, value in beside.items() if value}, APPROVAL_TAG: decision.value}


def is_loggable_metric(key: str, value: float) -> bool:
    """Whether a run holds this metric faithfully: infinities become the greatest float there."""
    return is_key(key) and not math.isinf(value)


def is_loggable_param(key: str, value: str) -> bool:
    """Whether a run holds this parameter."""
    return is_key(key) and 0 < len(value) <= _MAX_PARAM


def is_key(key: str) -> bool:
    """MLflow's rule for keys of tags, metrics and parameters."""
    unsafe = posixpath.normpath(key) != key or key == "." or key.startswith(("..", "/"))
    return bool(_KEY.fullmatch(key)) and len(key) <= _MAX_KEY and not unsafe


def check_tag_keys(keys: Iterable[str], registry: str) -> None:
    """InvalidRequest for a key that MLflow refuses, or that is not the user's to set."""
    for key in keys:
        if key.startswith(OWN) or key == PROMPT_TAG:
            raise InvalidRequest(f"tag {key!r} is reserved", registry=registry, cure="choose another key")
        if not is_key(key):
            raise InvalidRequest(
                f"tag key {key[:80]!r}: registry {registry!r} refuses it",
                registry=registry,
                cure="use at most 250 letters, digits, '_', '-', '.', ' ', ':' and single inner '/'",
            )


def _approval(tags: Mapping[str, str], identity: str) -> Approval:
    """The decision on this very version; one that a tool has carried along from another version is none."""
    if tags.get(APPROVED_TAG, identity) != identity:
        return Approval.NONE
    try:
        return Approval(tags.get(APPROVAL_TAG, Approval.NONE))
    except ValueError:  # edited by hand: not a decision
        return Approval.NONE


def _metrics(run: Json, tags: Mapping[str, str]) -> dict[str, float]:
    logged = {str(metric["key"]): float(metric["value"]) for metric in run.get("data", {}).get("metrics", [])}
    carried = {key: value for key, value in _json_tag(tags, METRICS_TAG).items() if isinstance(value, int | float)}
    return logged | {key: float(value) for key, value in carried.items()}


def _params(run: Json, tags: Mapping[str, str]) -> dict[str, str]:
    logged = {str(param["key"]): str(param.get("value", "")) for param in run.get("data", {}).get("params", [])}
    return logged | {key: str(value) for key, value in _json_tag(tags, PARAMS_TAG).items()}


def _provenance(item: Json, tags: Mapping[str, str], run: Json, created_at: datetime | None) -> Provenance:
    run_tags = tags_of(run.get("data", {}))
    carried = tags.get(f"{_SOURCE}run_id")
    extra_carried = _json_tag(tags, _EXTRA)
    is_copy = carried is not None or "copied_from" in extra_carried  # its run here is that of the upload
    native = {"run_link": item.get("run_link"), "model_id": item.get("model_id")}
    if is_copy and item.get("run_id") not in (None, "", carried):
        native["mlflow_run_id"] = item["run_id"]
    extra = {key: str(value) for key, value in native.items() if value}
    return Provenance(
        run_id=carried or (None if is_copy else item.get("run_id") or None),
        source_uri=tags.get(f"{_SOURCE}source_uri") or item.get("source") or None,
        git_commit=tags.get(f"{_SOURCE}git_commit") or run_tags.get(_GIT_COMMIT),
        git_repository=tags.get(f"{_SOURCE}git_repository") or run_tags.get(_GIT_REPOSITORY),
        created_by=tags.get(f"{_SOURCE}created_by") or (None if is_copy else item.get("user_id")) or None,
        created_at=_parse_time(tags.get(f"{_SOURCE}created_at")) or created_at,
        extra=extra | {key: str(value) for key, value in extra_carried.items()},
    )


def _json_tag(tags: Mapping[str, str], key: str) -> Json:
    text = tags.get(key)
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def path_names(tags: Mapping[str, str]) -> dict[str, str]:
    """stored path -> its own, of the files that were stored under an escaped name."""
    return {stored: str(path) for stored, path in _json_tag(tags, PATHS_TAG).items()}


def _parse_time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found and found.tzinfo else None
