"""What `doctor` says of an MLflow registry. Reads only; never raises."""

from __future__ import annotations

from dataclasses import replace

from fedreg.domain.errors import NotFound, RegistryError
from fedreg.domain.models import Finding, Severity
from fedreg_adapters.mlflow.artifacts import PROXY
from fedreg_adapters.mlflow.client import Client
from fedreg_adapters.shared.findings import check


async def diagnose(client: Client, *, experiment: str, access: str) -> list[Finding]:
    """Address, credentials, models, experiments and artifacts, one finding each; later ones need the address."""

    async def models() -> str:
        answer = await client.get("diagnose", "registered-models/search", {"max_results": "1"})
        return "models can be read" if answer.get("registered_models") else "models can be read; there are none yet"

    async def versions() -> str:
        await client.get("diagnose", "model-versions/search", {"max_results": "1"})
        return "versions can be read"

    async def uploads() -> str:
        try:
            found = await client.get("diagnose", "experiments/get-by-name", {"experiment_name": experiment})
        except NotFound:
            return f"uploads go to experiment {experiment!r}, which the first of them makes"
        if found["experiment"].get("lifecycle_stage") == "deleted":
            raise NotFound(f"experiment {experiment!r} is deleted", cure="restore it, or set `experiment`")
        return f"uploads go to experiment {experiment!r}; whether it may be written shows at the first upload"

    async def artifacts() -> str:
        await client.send("diagnose", "GET", PROXY, query={"path": ""})
        return "the artifact proxy answers"

    first = await _address(client)
    if first.severity is Severity.ERROR:
        return [first]
    may = "READ on the registered models, and EDIT or MANAGE to change them"
    found = [first, await check("models", models, needs=may), await check("versions", versions, needs=may)]
    found.append(await check("experiment", uploads, needs=f"EDIT on experiment {experiment!r}"))
    if access != "direct":
        found.append(await check("artifacts", artifacts, needs="READ on the runs' experiments"))
    return found


async def _address(client: Client) -> Finding:
    """Whether a server answers; a warning for one without server-info, which may be of an older release."""
    older = False

    async def probe() -> str:
        nonlocal older
        try:
            await client.send("diagnose", "GET", "api/3.0/mlflow/server-info")
        except (NotFound, RegistryError) as error:
            older = isinstance(error, NotFound) or error.upstream_code in ("404", "ENDPOINT_NOT_FOUND")
            if not older:
                raise
            return "an older MLflow server, without server-info, or none at all"
        return f"an MLflow server answers at {client.session.base}"

    found = await check("address", probe)
    return replace(found, severity=Severity.WARNING, cure="check that url is the server's") if older else found
