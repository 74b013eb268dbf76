"""Single reads: a model, a version, a version that must still be the one that was read, and its run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from fedreg.domain.errors import InvalidRequest, NotFound, PreconditionFailed, RegistryAuthError
from fedreg.domain.models import Model, Version, VersionId
from fedreg.domain.names import parse_integer_version
from fedreg_adapters.mlflow import mapping
from fedreg_adapters.mlflow.client import Client, Json
from fedreg_adapters.mlflow.manifest import CODEC
from fedreg_adapters.mlflow.stages import StageRules


@dataclass(frozen=True, slots=True)
class Reads:
    """MLflow's JSON of single things. Prompts answer NotFound."""

    client: Client
    rules: StageRules

    async def model(self, operation: str, name: str) -> Json:
        """A RegisteredModel by its unified name. Raises NotFound."""
        native = CODEC.encode(name)
        answer = await self.client.get(operation, "registered-models/get", {"name": native})
        item: Json = answer["registered_model"]
        if native_name(item) != native or mapping.is_prompt(item):  # some databases compare without case
            raise NotFound(f"model {name!r} does not exist", registry=self.client.registry, operation=operation)
        return item

    async def version(self, operation: str, model: str, version: str) -> Json:
        """A ModelVersion, its aliases included. Raises NotFound."""
        number = parse_integer_version(version, registry=self.client.registry, model=model)
        item = await self._version(operation, CODEC.encode(model), str(number))
        if native_name(item) != CODEC.encode(model) or mapping.is_prompt(item):
            raise NotFound(
                f"version {version} of {model!r} does not exist", registry=self.client.registry, operation=operation
            )
        return item

    async def live(self, operation: str, target: VersionId) -> Json:
        """The version a target names, if it still is that very one. PreconditionFailed for another identity."""
        item = await self.version(operation, target.model, target.version)
        if mapping.identity_of(item) != target.identity:
            raise PreconditionFailed(
                f"version {target.version} of {target.model!r} is another one than was read",
                registry=self.client.registry,
                operation=operation,
                cure="it was deleted and made again: read it and decide anew",
            )
        return item

    async def run_of(self, operation: str, item: Json) -> Json | None:
        """A version's run; None where the server lacks it, or does not show it to us."""
        if not item.get("run_id"):
            return None
        try:
            run: Json = (await self.client.get(operation, "runs/get", {"run_id": item["run_id"]}))["run"]
            return run
        except (NotFound, InvalidRequest, RegistryAuthError):
            return None

    async def original(self, operation: str, native: str, number: str) -> Version | None:
        """The version a copy was made of, if it still exists."""
        try:
            item = await self._version(operation, native, number)
        except NotFound:
            return None
        return self.to_version(item, CODEC.decode(native), item.get("aliases", []))

    def to_model(self, item: Json) -> Model:
        return mapping.to_model(item, self.client.registry, self.rules)

    def to_version(self, item: Json, model: str, aliases: Collection[str], run: Json | None = None) -> Version:
        """`model` is the unified name; without `run` metrics and parameters are empty."""
        return mapping.to_version(
            item, registry=self.client.registry, model=model, rules=self.rules, aliases=aliases, run=run
        )

    async def _version(self, operation: str, native: str, number: str) -> Json:
        query = {"name": native, "version": number}
        item: Json = (await self.client.get(operation, "model-versions/get", query))["model_version"]
        return item


def unified(model: str) -> str:
    """The one unified spelling of what a caller gave."""
    return CODEC.decode(CODEC.encode(model), model)


def native_name(item: Json) -> str:
    """The server's own name of a model or of a version's model. TypeError for an answer without one."""
    name = item["name"]
    if not isinstance(name, str):
        raise TypeError("name is no text")
    return name


def number_of(item: Json) -> dict[str, str]:
    """Name and number, as MLflow's requests carry them."""
    return {"name": item["name"], "version": str(item["version"])}
