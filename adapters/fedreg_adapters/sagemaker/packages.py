"""Model packages: reading, creating and changing versions."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fedreg.domain.calls import Effect
from fedreg.domain.errors import (
    Conflict,
    IntegrityError,
    NotFound,
    PreconditionFailed,
    RegistryAuthError,
    RegistryError,
)
from fedreg.domain.models import Version, VersionDraft, VersionId
from fedreg.domain.names import parse_integer_version
from fedreg.domain.stages import Approval
from fedreg_adapters.sagemaker.client import JSON, PAGE, Client
from fedreg_adapters.sagemaker.groups import Groups
from fedreg_adapters.sagemaker.mapping import (
    APPROVALS,
    KEY,
    MAX_PROPERTIES,
    aliases_of,
    artifact_uri_of,
    identity_of,
    is_native_description,
    lost,
    metadata_properties_of,
    properties_of,
    stage_map,
    version_of,
)
from fedreg_adapters.sagemaker.records import CARD_CONTENT, MAX_RECORD, Record, read_card, read_record, write_card

_RECORDS = 4096
_KEYS = 50_000
_TOKENS = 5
_UNREADABLE = (NotFound, RegistryAuthError, RegistryError, IntegrityError)


class Packages:
    """The packages of one registry."""

    def __init__(self, client: Client, groups: Groups) -> None:
        self._client, self._groups = client, groups
        self._stages = stage_map(client.options)
        self._records: OrderedDict[tuple[str, str], Record] = OrderedDict()
        self._keys: OrderedDict[str, str | None] = OrderedDict()

    # -- reading ---------------------------------------------------------------------------------------

    async def arn(self, native: str, version: str) -> str:
        """The ARN of a version: its group's, with another kind and a number. Raises NotFound for no number."""
        number = parse_integer_version(version, registry=self._client.registry, model=self._groups.name(native))
        group = await self._groups.arn(native)
        return f"{group.replace(':model-package-group/', ':model-package/', 1)}/{number}"

    async def describe(self, native: str, version: str) -> JSON:
        """DescribeModelPackage of a version. Raises NotFound."""
        return await self.describe_arn(await self.arn(native, version), native)

    async def describe_arn(self, arn: str, native: str) -> JSON:
        """DescribeModelPackage. NotFound also where it belongs to a group that differs in case."""
        found = await self._client.call("describe_model_package", ModelPackageName=arn)
        if found.get("ModelPackageGroupName") != native:
            raise NotFound(f"{arn} is no version of {native!r}", registry=self._client.registry)
        self._remember_key(found)
        return found

    async def read(self, native: str, version: str, model: str) -> Version:
        """A version as it is now. Raises NotFound."""
        package, tags = await asyncio.gather(self.describe(native, version), self._groups.tags(native))
        return await self.version(package, model, aliases_of(tags))

    async def read_all(self, native: str, model: str, arns: Sequence[str], aliases: Mapping[str, str]) -> list[Version]:
        """The versions behind ARNs as they are now; those deleted meanwhile are left out.

        Summaries lack properties, comment and times, and Search lags: each version is described.
        """
        found = await asyncio.gather(*(self._read_one(native, model, arn, aliases) for arn in arns))
        return [version for version in found if version is not None]

    async def _read_one(self, native: str, model: str, arn: str, aliases: Mapping[str, str]) -> Version | None:
        try:
            return await self.version(await self.describe_arn(arn, native), model, aliases)
        except NotFound:
            return None

    async def version(self, package: JSON, model: str, aliases: Mapping[str, str]) -> Version:
        """The version of a description."""
        record = await self._record(package)
        return version_of(package, model, aliases, self._stages, self._client.registry, record)

    async def page(self, native: str, token: str | None, limit: int) -> tuple[list[JSON], str | None]:
        """A page of summaries, oldest first. Raises NotFound for an unknown group."""
        return await self._client.page(
            "list_model_packages",
            "ModelPackageSummaryList",
            token,
            ModelPackageGroupName=native,
            MaxResults=max(1, min(limit, PAGE)),
            SortBy="CreationTime",
            SortOrder="Ascending",
        )

    async def _record(self, package: JSON) -> Record:
        """Metrics, parameters and provenance of a package; kept, since they are fixed when it is created."""
        statistics = package.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
        uri = str(statistics.get("S3Uri", ""))
        record = await self._stored_record(identity_of(package), uri) if uri.startswith("s3://") else Record()
        content = package.get("ModelCard", {}).get("ModelCardContent")
        if not content or record.provenance is not None:
            return record
        shown = read_card(content)  # beside somebody's evaluation report, which has no parameters
        return Record(
            metrics=record.metrics or shown.metrics, params=record.params or shown.params, provenance=shown.provenance
        )

    async def _stored_record(self, identity: str, uri: str) -> Record:
        place = (identity, uri)
        if place in self._records:
            self._records.move_to_end(place)
            return self._records[place]
        store, key = self._client.object(uri)
        try:
            data = await self._client.s3("get_record", lambda: store.get_bytes(key, limit=MAX_RECORD))
        except _UNREADABLE:
            if self._is_own(uri):
                raise
            return Record()  # somebody else's report, which may be out of our reach
        self._records[place] = read_record(data)
        while len(self._records) > _RECORDS:
            self._records.popitem(last=False)
        return self._records[place]

    def _is_own(self, uri: str) -> bool:
        root = self._client.options.artifact_root
        return root is not None and uri.startswith(root.rstrip("/") + "/")

    # -- finding by key --------------------------------------------------------------------------------

    async def find_by_key(self, native: str, key: str, uri: str | None) -> list[JSON]:
        """Every package that this key made, lowest version first.

        Search would be one request but lags; so all of the group's packages are listed. A key never changes,
        and an upload of ours shows it in the address of its bytes (`uri` begins it): most need no description.
        """
        summaries = self._client.pages(
            "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=native, MaxResults=PAGE
        )
        listed = [summary async for summary in summaries]
        unknown = [summary for summary in listed if identity_of(summary) not in self._keys]
        if len(unknown) > 1 and uri is not None:
            await self._sieve(unknown, native, uri)
        suspects = [s["ModelPackageArn"] for s in listed if self._keys.get(identity_of(s), key) == key]
        found = await asyncio.gather(*(self._describe_if_there(arn, native) for arn in suspects))
        hits = [p for p in found if p is not None and p.get("CustomerMetadataProperties", {}).get(KEY) == key]
        return sorted(hits, key=lambda package: int(package["ModelPackageVersion"]))

    async def _sieve(self, summaries: Sequence[JSON], native: str, uri: str) -> None:
        """Note of packages whose bytes another upload of this group brought that they are not ours."""
        uploads = f"{self._client.root.uri(native)}/"
        for start in range(0, len(summaries), PAGE):
            arns = [summary["ModelPackageArn"] for summary in summaries[start : start + PAGE]]
            answer = await self._client.call("batch_describe_model_package", ModelPackageArnList=arns)
            for package in answer.get("ModelPackageSummaries", {}).values():
                data = artifact_uri_of(package) or ""
                if data.startswith(uploads) and not data.startswith(uri):
                    self._note_key(package, None)

    async def _describe_if_there(self, arn: str, native: str) -> JSON | None:
        try:
            return await self.describe_arn(arn, native)
        except NotFound:
            return None

    def _remember_key(self, package: JSON) -> None:
        self._note_key(package, package.get("CustomerMetadataProperties", {}).get(KEY))

    def _note_key(self, package: JSON, key: str | None) -> None:
        self._keys[identity_of(package)] = key
        while len(self._keys) > _KEYS:
            self._keys.popitem(last=False)

    # -- writing ---------------------------------------------------------------------------------------

    async def create(self, native: str, draft: VersionDraft, key: str, data: JSON, record_uri: str | None) -> JSON:
        """CreateModelPackage, with a token derived from the key: repeated, it is the same package."""
        fields = self._fields(draft, key, record_uri)
        return await self.create_as(native, {**fields, "InferenceSpecification": self._specification(data)}, key)

    async def create_as(self, native: str, fields: JSON, key: str) -> JSON:
        """CreateModelPackage with these fields.

        A token is remembered for hours, also where its package was deleted since: then the next one is taken.
        """
        for attempt in range(_TOKENS):
            answer = await self._client.call(
                "create_model_package",
                Effect.IDEMPOTENT,
                ModelPackageGroupName=native,
                ClientToken=client_token(native, key, attempt),
                **fields,
            )
            if (created := await self._describe_if_there(answer["ModelPackageArn"], native)) is not None:
                return created
        raise Conflict(
            f"key {key!r} was used for {_TOKENS} packages that are gone",
            registry=self._client.registry,
            cure="use a new key",
        )

    def _fields(self, draft: VersionDraft, key: str, record_uri: str | None) -> JSON:
        record = Record.of(draft)
        card = write_card(record, whole=record_uri is None)
        if card is not None and len(card) > CARD_CONTENT:
            if record_uri is None:
                raise lost("metrics", "without an artifact_root the model card must hold them", self._client.registry)
            card = None
        fields: JSON = {
            "ModelApprovalStatus": APPROVALS.get(draft.approval, APPROVALS[Approval.PENDING]),
            "CustomerMetadataProperties": properties_of(draft, key, self._client.registry),
        }
        if draft.description and is_native_description(draft.description):
            fields["ModelPackageDescription"] = draft.description
        if known := metadata_properties_of(draft.provenance):
            fields["MetadataProperties"] = known
        if record_uri is not None:
            statistics = {"ContentType": "application/json", "S3Uri": record_uri}
            fields["ModelMetrics"] = {"ModelQuality": {"Statistics": statistics}}
        if card is not None:
            fields["ModelCard"] = {"ModelCardContent": card, "ModelCardStatus": "Draft"}
        return fields

    def _specification(self, data: JSON) -> JSON:
        wanted = self._client.options.inference
        container: JSON = dict(data)
        for name, value in (
            ("Image", wanted.image),
            ("Framework", wanted.framework),
            ("FrameworkVersion", wanted.framework_version),
            ("Environment", dict(wanted.environment)),
        ):
            if value:
                container[name] = value
        lists = {
            "SupportedContentTypes": wanted.content_types,
            "SupportedResponseMIMETypes": wanted.response_types,
            "SupportedRealtimeInferenceInstanceTypes": wanted.instance_types,
            "SupportedTransformInstanceTypes": wanted.transform_instance_types,
        }
        return {"Containers": [container], **{name: list(values) for name, values in lists.items() if values}}

    async def update(self, target: JSON, **changes: Any) -> None:
        """UpdateModelPackage: what is named changes, the rest stays."""
        await self._client.call(
            "update_model_package", Effect.IDEMPOTENT, ModelPackageArn=target["ModelPackageArn"], **changes
        )

    async def change_properties(self, package: JSON, added: Mapping[str, str], removed: Collection[str]) -> None:
        """Set and remove properties in one request; none where nothing changes. Conflict where 50 are not enough."""
        held = package.get("CustomerMetadataProperties", {})
        changed = {key: value for key, value in added.items() if held.get(key) != value}
        gone = sorted((set(removed) & held.keys()) - added.keys())
        count = len((held.keys() - set(gone)) | added.keys())
        if count > MAX_PROPERTIES:
            raise Conflict(
                f"tags: the version would have {count} properties, SageMaker holds {MAX_PROPERTIES}",
                registry=self._client.registry,
                cure="remove tags that are not needed",
            )
        changes: JSON = {}
        if changed:  # whole: whether an update adds to what is held or takes its place is nowhere said
            changes["CustomerMetadataProperties"] = {k: v for k, v in held.items() if k not in gone} | dict(added)
        if gone:
            changes["CustomerMetadataPropertiesToRemove"] = gone
        if changes:
            await self.update(package, **changes)

    async def delete(self, package: JSON) -> None:
        """DeleteModelPackage. The bytes stay where they are."""
        await self._client.call("delete_model_package", Effect.WRITE, ModelPackageName=package["ModelPackageArn"])

    async def describe_target(self, target: VersionId, native: str) -> JSON:
        """The live package of an identity. PreconditionFailed where another one has its number now."""
        package = await self.describe(native, target.version)
        if identity_of(package) != target.identity:
            raise PreconditionFailed(
                f"version {target.version!r} of {target.model!r} is another one than was meant",
                registry=self._client.registry,
                cure="read it again and decide anew",
            )
        return package


def client_token(native: str, key: str, attempt: int = 0) -> str:
    """36 characters at most of `[a-zA-Z0-9-]`: the same for the same upload."""
    return f"fed-{hashlib.sha256(f'{attempt}/{native}/{key}'.encode()).hexdigest()[:32]}"
