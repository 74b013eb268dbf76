"""Names of models in paths, where a registry's own spelling of a name is understood too.

Some proxies decode or refuse `%2F`. A name written as its registry spells it, as in `teamx--2fzchurn` for `team/churn`
at SageMaker, needs no escape. A model that is really called so comes first.
"""

from __future__ import annotations

from aiohttp import web

from fedreg.api.context import MODEL, gateway_of
from fedreg.domain.errors import NotFound
from fedreg.domain.names import NATIVE_PREFIX


async def read_model_name(request: web.Request) -> None:
    """Keep which model the path names, for `model_ref`. Asks the registry only where the name could be a spelling.

    Raises NotFound for a registry that is not configured, and what asking raises.
    """
    registry, name = request.match_info["registry"], request.match_info["model"]
    request[MODEL] = await _resolve(request, registry, name)


async def _resolve(request: web.Request, registry: str, name: str) -> str:
    registries = gateway_of(request).registries
    codec = registries.manifest(registry).names
    if codec is None or codec.mark not in name:
        return name
    meant = codec.decode(name)
    hashed = codec.is_hashed(name)
    if meant == name or (meant.startswith(NATIVE_PREFIX) and not hashed):
        return name  # nothing this registry would spell so
    adapter = await registries.get(registry)
    try:
        # the original of a hashed name is known to the registry only
        return (await adapter.get_model(meant if hashed else name)).name
    except NotFound:
        return name if hashed else meant
