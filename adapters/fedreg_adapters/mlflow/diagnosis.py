"""What `doctor` says of an MLflow registry. Reads only; never raises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fedreg.domain.errors import FedregError, NotFound
from fedreg.domain.models import Finding, Severity
from fedreg_adapters.mlflow.artifacts import PROXY
from fedreg_adapters.mlflow.client import Client

Check = Callable[[], Awaitable[str]]


async def diagnose(client: Client, *, experiment: str, access: str) -> list[Finding]:
    """Address, credentials, models, experiments and artifacts, one finding each; later ones need the address."""

    async def address() -> str:
        await client.send("diagnose", "GET", "api/3.0/mlflow/server-info")
        return f"an MLflow server answers at {client.session.base}"

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

    first = await _finding("address", address, older=True)
    if first.severity is Severity.ERROR:
        return [first]
    found = [first, await _finding("models", models), await _finding("versions", versions)]
    found.append(await _finding("experiment", uploads))
    if access != "direct":
        found.append(await _finding("artifacts", artifacts))
    return found


async def _finding(check: str, ask: Check, *, older: bool = False) -> Finding:
    """`older`: a 404 may also come from a server of a release that has no such path."""
    try:
        return Finding(check=check, severity=Severity.OK, message=await ask())
    except FedregError as error:
        if older and (isinstance(error, NotFound) or error.upstream_code == "404"):
            text = "an older MLflow server, without server-info, or none at all"
            return Finding(check=check, severity=Severity.WARNING, message=text, cure="check that url is the server's")
        return Finding(check=check, severity=Severity.ERROR, message=error.message, cure=error.cure)
