"""Writing stages, approvals and tags: each is an alias, a native stage or a tag of the version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fedreg.domain.errors import NotFound, PreconditionFailed
from fedreg.domain.models import VersionId
from fedreg.domain.stages import NONE, Approval, Holder
from fedreg_adapters.mlflow import mapping
from fedreg_adapters.mlflow.client import Client, Json
from fedreg_adapters.mlflow.reads import Reads, number_of
from fedreg_adapters.mlflow.stages import NATIVE_NONE, STAGE_TAG, StageRules


@dataclass(frozen=True, slots=True)
class Holdings:
    """Writes of one registry. Each is the same done twice."""

    client: Client
    reads: Reads
    rules: StageRules

    async def set_stage(self, target: VersionId, stage: str, expected: str | None) -> None:
        """Read, compare, write: the new holding first, then what held the version's former stage."""
        item = await self.reads.live("set_stage", target)
        live = self.reads.to_version(item, target.model, item.get("aliases", []))
        if expected is not None and live.stage != expected:
            raise PreconditionFailed(
                f"version {target.version} of {target.model!r} is in stage {live.stage!r}, not {expected!r}",
                registry=self.client.registry,
                operation="set_stage",
                cure="read it again and decide anew",
            )
        if self.rules.holder is Holder.NATIVE:
            word = NATIVE_NONE if stage == NONE else self.rules.word_of(stage)
            body = {**number_of(item), "stage": word, "archive_existing_versions": False}
            await self.client.put("set_stage", "model-versions/transition-stage", body)
        else:
            await self._hold(item, stage)

    async def set_approval(self, target: VersionId, decision: Approval, comment: str | None) -> None:
        """Three tags: comment and identity are written before the decision they belong to."""
        item = await self.reads.live("set_approval", target)
        tags = mapping.approval_tags(decision, comment, target.identity)
        gone = {mapping.APPROVAL_TAG, mapping.COMMENT_TAG, mapping.APPROVED_TAG} - tags.keys()
        await self.write_tags("set_approval", "model-versions", number_of(item), tags, sorted(gone))

    async def write_tags(
        self, operation: str, what: str, owner: Mapping[str, str], tags: Mapping[str, str], remove: Collection[str]
    ) -> None:
        """Set and remove tags of `what` (registered-models, model-versions), one request each: MLflow has no other."""
        for key, value in tags.items():
            await self.client.put(operation, f"{what}/set-tag", {**owner, "key": key, "value": value})
        for key in remove:
            if key not in tags:
                await self.client.delete(operation, f"{what}/delete-tag", {**owner, "key": key})

    async def _hold(self, item: Json, stage: str) -> None:
        """Stages held by alias and tag."""
        number, tags = number_of(item), mapping.tags_of(item)
        holder = None if stage == NONE else self.rules.holder_of(stage)
        word = "" if holder is None else self.rules.word_of(stage)
        if holder is Holder.ALIAS:
            await self.client.put("set_stage", "registered-models/alias", {**number, "alias": word})
        if holder is Holder.TAG:
            await self.client.put("set_stage", "model-versions/set-tag", {**number, "key": STAGE_TAG, "value": word})
        for alias in self.rules.pointers(item.get("aliases", [])):
            if holder is not Holder.ALIAS or alias != word:
                await self._drop_pointer(item, alias)
        if STAGE_TAG in tags and holder is not Holder.TAG:
            await self.client.delete("set_stage", "model-versions/delete-tag", {**number, "key": STAGE_TAG})

    async def _drop_pointer(self, item: Json, alias: str) -> None:
        """Take a stage pointer away from a version, unless it has moved to another one meanwhile."""
        query = {"name": item["name"], "alias": alias}
        try:
            held = (await self.client.get("set_stage", "registered-models/alias", query))["model_version"]
        except NotFound:
            return
        if str(held["version"]) == str(item["version"]):
            await self.client.delete("set_stage", "registered-models/alias", query)
