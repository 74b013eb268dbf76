"""Microsoft Entra as far as a service principal needs it: the metadata of a tenant, and tokens."""

from __future__ import annotations

import re
import secrets

from aiohttp import web

from fedreg_adapters.azureml.standin_state import State

_OPEN = re.compile(r"/[^/]+/(v2\.0/\.well-known/openid-configuration|oauth2/v2\.0/(token|authorize))")


_GOOD = 12  # the latest that are accepted: whoever holds on to an older one is told that it has expired


def is_open(path: str) -> bool:
    """Whether a path needs no token: it is where tokens come from."""
    return _OPEN.fullmatch(path) is not None


def add_routes(app: web.Application, state: State) -> None:
    """The paths of a tenant."""

    async def describe(request: web.Request) -> web.Response:
        tenant = f"https://{request.host}/{request.match_info['tenant']}"
        return web.json_response(
            {
                "issuer": f"{tenant}/v2.0",
                "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
                "token_endpoint": f"{tenant}/oauth2/v2.0/token",
                "tenant_region_scope": None,
            }
        )

    async def issue(request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != "client_credentials" or form.get("client_secret") != state.options.client_secret:
            refusal = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
            return web.json_response(refusal, status=401)
        token, scope = secrets.token_urlsafe(24), str(form.get("scope") or "")
        state.tokens = dict([*state.tokens.items(), (token, scope)][-_GOOD:])
        answer = {"token_type": "Bearer", "expires_in": state.options.token_life, "access_token": token}
        return web.json_response(answer)

    app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", describe)
    app.router.add_post("/{tenant}/oauth2/v2.0/token", issue)
