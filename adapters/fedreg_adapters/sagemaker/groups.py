"""Model package groups: models, their tags and aliases."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fedreg.domain.calls import Effect
from fedreg.domain.errors import Conflict, NotFound
from fedreg.domain.models import Model, ModelDraft
from fedreg_adapters.sagemaker.client import JSON, PAGE, Client
from fedreg_adapters.sagemaker.manifest import CODEC
from fedreg_adapters.sagemaker.mapping import (
    MAX_TAGS,
    OWN,
    description_pieces,
    edit_description,
    is_native_description,
    model_of,
    name_tags,
    read_tags,
    show_tags,
)

_CACHED = 10_000


class Groups:
    """The groups of one registry, by their native names.

    A group's ARN is kept: it is the same for a name as long as account and region are. Its case may differ
    from the name's, so names are never read out of it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._arns: dict[str, str] = {}
        self._names: dict[str, str] = {}

    async def describe(self, native: str) -> JSON:
        """DescribeModelPackageGroup. NotFound also where the service finds one that differs in case."""
        found = await self._client.call("describe_model_package_group", ModelPackageGroupName=native)
        if found["ModelPackageGroupName"] != native:
            raise self._missing(native)
        self._remember(found)
        return found

    async def arn(self, native: str) -> str:
        """The group's ARN. Raises NotFound where it was never seen and is not there."""
        if native not in self._arns:
            await self.describe(native)
        return self._arns[native]

    async def tags(self, native: str) -> dict[str, str]:
        """All tags of a group, ours included."""
        arn = await self.arn(native)
        return read_tags(
            [tag async for tag in self._client.pages("list_tags", "Tags", ResourceArn=arn, MaxResults=PAGE)]
        )

    async def model(self, group: JSON) -> Model:
        """The model of a description or summary. Raises NotFound where the group is gone meanwhile."""
        self._remember(group)
        model = model_of(group, await self.tags(group["ModelPackageGroupName"]), self._client.registry)
        if CODEC.is_hashed(model.native_name):
            self._names[model.native_name] = model.name
        return model

    def name(self, native: str) -> str:
        """The name of a spelling, without asking: a hashed one only if it was read before."""
        return CODEC.decode(native, self._names.get(native))

    async def page(self, token: str | None, limit: int) -> tuple[list[JSON], str | None]:
        """A page of summaries in the order of their names."""
        return await self._client.page(
            "list_model_package_groups",
            "ModelPackageGroupSummaryList",
            token,
            MaxResults=max(1, min(limit, PAGE)),
            SortBy="Name",
            SortOrder="Ascending",
        )

    async def create(self, draft: ModelDraft) -> None:
        """CreateModelPackageGroup. What its description field can't hold goes to tags. Raises AlreadyExists."""
        registry, native = self._client.registry, CODEC.encode(draft.name)
        tags = {**draft.tags, **name_tags(draft.name, native, registry)}
        params: JSON = {}
        if draft.description and is_native_description(draft.description):
            params["ModelPackageGroupDescription"] = draft.description
        elif draft.description:
            tags |= description_pieces(draft.description, registry)
        self._check_count(tags)
        if tags:
            params["Tags"] = show_tags(tags)
        await self._client.call("create_model_package_group", Effect.WRITE, ModelPackageGroupName=native, **params)

    async def describe_as(self, native: str, text: str) -> None:
        """Make the model's description read `text`."""
        group = await self.describe(native)
        tags = await self.tags(native)
        own = group.get("ModelPackageGroupDescription")
        pieces, gone = edit_description(tags, own, text, self._client.registry)
        await self.change_tags(native, pieces, gone, tags)

    async def change_tags(
        self, native: str, added: Mapping[str, str], removed: Collection[str], held: Mapping[str, str]
    ) -> None:
        """Remove, then add: two requests, each of which can be repeated. Conflict where 50 are not enough."""
        gone = sorted((set(removed) & held.keys()) - added.keys())
        self._check_count({**{key: value for key, value in held.items() if key not in gone}, **added})
        arn = await self.arn(native)
        if gone:
            await self._client.call("delete_tags", Effect.IDEMPOTENT, ResourceArn=arn, TagKeys=gone)
        changed = {key: value for key, value in added.items() if held.get(key) != value}
        if changed:
            await self._client.call("add_tags", Effect.IDEMPOTENT, ResourceArn=arn, Tags=show_tags(changed))

    async def delete(self, native: str) -> None:
        """DeleteModelPackageGroup. Raises Conflict where versions exist."""
        await self.describe(native)
        await self._client.call("delete_model_package_group", Effect.WRITE, ModelPackageGroupName=native)
        self._arns.pop(native, None)

    def _remember(self, group: JSON) -> None:
        if len(self._arns) >= _CACHED:
            self._arns.clear()
        self._arns[group["ModelPackageGroupName"]] = group["ModelPackageGroupArn"]

    def _missing(self, native: str) -> NotFound:
        name = self.name(native)
        return NotFound(f"model {name!r} does not exist", registry=self._client.registry)

    def _check_count(self, tags: Collection[str]) -> None:
        if len(tags) > MAX_TAGS:
            own = sum(key.startswith(OWN) for key in tags)
            raise Conflict(
                f"tags: the model would have {len(tags)}, SageMaker holds {MAX_TAGS} ({own} of them are fedreg's own)",
                registry=self._client.registry,
                cure="remove tags or aliases that are not needed",
            )
