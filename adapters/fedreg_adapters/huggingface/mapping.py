"""The Hub's shapes as the domain's. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fedreg.domain.models import Model, Provenance, Version, VersionStatus
from fedreg.domain.stages import PRODUCTION, STAGING, StageMap, highest_stage
from fedreg_adapters.huggingface.cards import read_extra, read_metrics
from fedreg_adapters.huggingface.manifest import HuggingFaceOptions
from fedreg_adapters.huggingface.records import Record, read_record
from fedreg_adapters.huggingface.refs import COMMIT, Refs
from fedreg_adapters.huggingface.spelling import CODEC

Json = dict[str, Any]
DISABLED = "the Hub has disabled this repository"


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit as the list of commits shows it."""

    sha: str
    author: str | None
    date: datetime | None
    record: Record | None

    @classmethod
    def of(cls, item: Json) -> CommitInfo:
        authors = [str(author["user"]) for author in item.get("authors") or () if author.get("user")]
        return cls(str(item["id"]), next(iter(authors), None), to_time(item.get("date")), read_record(_message(item)))

    def carries(self, key: str) -> bool:
        """Whether an upload with this key made the commit."""
        return self.record is not None and self.record.key == key


def _message(item: Json) -> str:
    return str(item.get("message") or "")


class Shapes:
    """The words of one registry."""

    def __init__(self, registry: str, options: HuggingFaceOptions) -> None:
        self._registry, self._options = registry, options
        self._words = StageMap(options.stages.map)
        self.branches: Mapping[str, str] = {stage: self._words.to_native(stage) for stage in (STAGING, PRODUCTION)}
        self._stages = {branch: stage for stage, branch in self.branches.items()}

    def is_stage(self, branch: str) -> bool:
        return branch in self._stages

    def aliases(self, refs: Refs) -> dict[str, str]:
        """alias -> version: the first tag of its commit, or the commit itself where it has none."""
        found = {name: sha for name, sha in refs.pointers().items() if not self.is_stage(name)}
        return {name: next(iter(refs.tags_at(sha)), sha) for name, sha in sorted(found.items())}

    def drifted(self, refs: Refs) -> dict[str, list[str]]:
        """Commits without a tag that a stage's branch is at: commit -> branches."""
        found: dict[str, list[str]] = {}
        for name, sha in sorted(refs.pointers().items()):
            if self.is_stage(name) and not refs.tags_at(sha):
                found.setdefault(sha, []).append(name)
        return found

    def to_model(self, info: Json, refs: Refs) -> Model:
        native = str(info["id"]).rpartition("/")[2]
        return Model(
            registry=self._registry,
            name=CODEC.decode(native),
            native_name=native,
            aliases=self.aliases(refs),
            created_at=to_time(info.get("createdAt")),
            updated_at=to_time(info.get("lastModified")),
        )

    def to_version(self, model: str, native: str, version: str, commit: CommitInfo, info: Json, refs: Refs) -> Version:
        """A tag or a commit as a version. `info` is the repository's description at the commit."""
        here = [name for name, sha in sorted(refs.pointers().items()) if sha == commit.sha]
        held = tuple(name for name in here if self.is_stage(name))
        stages = tuple(self._stages[name] for name in held)
        card = info.get("cardData") if isinstance(info.get("cardData"), dict) else {}
        status, message = self._status(info)
        if COMMIT.fullmatch(version) and held and not refs.tags_at(commit.sha):
            message = "; ".join(filter(None, (f"drifted: branch {held[0]!r} is at a commit without a tag", message)))
        record = commit.record or Record(key="", version=version, metrics=read_metrics(_index(info)))
        return Version(
            registry=self._registry,
            model=model,
            version=version,
            identity=commit.sha,
            status=status,
            status_message=message,
            stage=highest_stage(stages),
            stages=stages,
            native_stages=held,
            aliases=tuple(name for name in here if not self.is_stage(name)),
            description=record.description,
            artifact_uri=f"hf://{self._options.namespace}/{native}@{commit.sha}",
            metrics=record.metrics,
            params=record.params,
            provenance=_provenance(record.provenance, commit, read_extra(card or {})),
            created_at=commit.date,
        )

    def _status(self, info: Json) -> tuple[VersionStatus, str | None]:
        """Ready, unless the repository is disabled, or a file unsafe and the configuration refuses those."""
        if info.get("disabled"):
            return VersionStatus.FAILED, DISABLED
        found = info.get("securityRepoStatus")
        issues = found.get("filesWithIssues") or [] if isinstance(found, dict) else []
        if not issues:
            return VersionStatus.READY, None
        unsafe = any(issue.get("level") == "unsafe" for issue in issues)
        named = ", ".join(f"{issue.get('path')} is {issue.get('level')}" for issue in issues[:5])
        more = f" and {len(issues) - 5} more" if len(issues) > 5 else ""
        failed = unsafe and self._options.refuse_unsafe
        return VersionStatus.FAILED if failed else VersionStatus.READY, f"the Hub's scan: {named}{more}"


def _index(info: Json) -> Any:
    """Results are beside the card's metadata, or in it."""
    return info.get("model-index") or (info.get("cardData") or {}).get("model-index")


def _provenance(known: Provenance, commit: CommitInfo, card: Mapping[str, str]) -> Provenance:
    author = None if "copied_from" in known.extra else commit.author  # of a copy it is who copied
    return replace(known, created_by=known.created_by or author, extra={**card, **known.extra})


def to_time(text: object) -> datetime | None:
    """A time as the Hub writes it, `2024-02-29T12:00:00.000Z`; None for anything else."""
    try:
        found = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found and found.tzinfo else None
