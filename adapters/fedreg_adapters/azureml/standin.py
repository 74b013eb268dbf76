"""A local Azure ML: Resource Manager's plane of a workspace, the data plane of a registry, Blob, and tokens.

Built from the service's public specification and recordings of it. It takes plain HTTP, for whoever runs it
puts TLS in front: the addresses it gives begin with https, as the service's do.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from fedreg_adapters.azureml import standin_blob, standin_identity, standin_registry, standin_workspace
from fedreg_adapters.azureml.standin_errors import BlobError, ServiceError, blob_envelope, envelope
from fedreg_adapters.azureml.standin_state import Options, State

STATE: web.AppKey[State] = web.AppKey("state", State)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOOKUP = "https://ml.azure.com/.default"
OPEN = ("/_standin/", "/standin")  # Blob has signatures of its own


def create_app(**options: Any) -> web.Application:
    """A stand-in without models. `options` are those of standin_state.Options."""
    app = web.Application(middlewares=[_errors, _doors], client_max_size=1 << 30)
    app[STATE] = State(Options(**options))
    app.router.add_post("/_standin/options", _set_options)
    app.router.add_get("/_standin/state", _show_state)
    standin_identity.add_routes(app, app[STATE])
    standin_workspace.add_routes(app, app[STATE])
    standin_registry.add_routes(app, app[STATE])
    standin_blob.add_routes(app, app[STATE])
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors in the service's words, and what stands on every answer."""
    try:
        answer = await handler(request)
    except BlobError as error:
        return blob_envelope(error, head=request.method == "HEAD")
    except ServiceError as error:
        answer = envelope(error)
    except web.HTTPException as error:
        if request.path.startswith(OPEN):
            raise
        answer = envelope(ServiceError(error.status, "ResourceNotFound", "No such resource type.", "ARM"))
    if not request.path.startswith(OPEN):
        kind = "reads" if request.method in ("GET", "HEAD") else "writes"
        answer.headers["x-ms-request-id"] = str(uuid.uuid4())
        answer.headers["x-ms-correlation-request-id"] = str(uuid.uuid4())
        answer.headers[f"x-ms-ratelimit-remaining-subscription-{kind}"] = "1099"
        answer.headers[f"x-ms-ratelimit-remaining-subscription-global-{kind}"] = "16499"
    return answer


@web.middleware
async def _doors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A bearer token, and the version of the API that is meant."""
    if request.path.startswith(OPEN) or standin_identity.is_open(request.path):
        return await handler(request)
    state = request.app[STATE]
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    accepted = {state.options.token, *state.tokens} - {None}
    if scheme != "Bearer" or not token or (accepted and token not in accepted):
        text = f"The access token {token} has expired or is not valid."
        raise ServiceError(401, "ExpiredAuthenticationToken", text, "ARM")
    if token in state.tokens:  # issued here: the lookup of registries is another audience than Resource Manager
        is_lookup, for_lookup = request.path.startswith("/registrymanagement/"), LOOKUP in state.tokens[token]
        if is_lookup != for_lookup:
            raise ServiceError(401, "InvalidAuthenticationTokenAudience", "The audience is invalid.", "ARM")
    if "api-version" not in request.query and not request.path.startswith("/assetstore/"):
        raise ServiceError(400, "MissingApiVersionParameter", "The api-version query parameter is required.", "ARM")
    return await handler(request)


async def _set_options(request: web.Request) -> web.Response:
    """Change how the stand-in plays from now on."""
    for name, value in (await request.json()).items():
        if not hasattr(request.app[STATE].options, name):
            raise web.HTTPBadRequest(text=f"no option {name}")
        setattr(request.app[STATE].options, name, value)
    return web.json_response({})


async def _show_state(request: web.Request) -> web.Response:
    state = request.app[STATE]
    return web.json_response(
        {
            "workspace": {name: sorted(held) for name, held in state.workspace.versions.items()},
            "registry": {name: sorted(held) for name, held in state.registry.versions.items()},
            "blobs": {f"{a}/{c}": sorted(held) for (a, c), held in state.blobs.items()},
        }
    )
