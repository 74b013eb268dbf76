"""A local stand-in of the SageMaker Model Registry that boto3 drives unmodified, for tests and the demo.

It speaks JSON-1.1 (`X-Amz-Target: SageMaker.<Operation>`) and, on the same address, the two STS operations an
assumed role needs. Requests are checked with botocore's own shapes. It imports nothing of the adapter.

    POST /                      SageMaker (JSON) and STS (form)
    GET  /_standin/state        counts of what is held, and of calls by operation
    GET  /_standin/events       the EventBridge events the service would have sent, oldest first
    POST /_standin/clock        {"advance": seconds} moves the clock, for lags and expiries
    POST /_standin/package      {"arn", "status", "reason"?} puts a package into a status, such as Failed
"""

import argparse
import asyncio
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from . import (
    standin_cards,
    standin_deployments,
    standin_groups,
    standin_lineage,
    standin_packages,
    standin_search,
    standin_tags,
)
from .standin_auth import check_caller
from .standin_errors import ServiceError
from .standin_state import Options, State
from .standin_sts import answer_sts
from .standin_validation import JSON, check_request, load_service_model, parse_body

STATE = web.AppKey("state", State)
TARGET_PREFIX = "SageMaker."
MAX_BODY_BYTES = 4 * 1024 * 1024
OPERATIONS: dict[str, Callable[[State, JSON], JSON | None]] = {
    **standin_groups.OPERATIONS,
    **standin_packages.OPERATIONS,
    **standin_tags.OPERATIONS,
    **standin_search.OPERATIONS,
    **standin_cards.OPERATIONS,
    **standin_lineage.OPERATIONS,
    **standin_deployments.OPERATIONS,
}


def create_app(
    *,
    region: str = "eu-west-1",
    account: str = "123456789012",
    pending_describes: int = 0,
    search_lag_seconds: float = 0.0,
    list_order_jitter: int | None = None,
    lowercase_arns: bool = False,
    require_known_credentials: Mapping[str, str] | None = None,
    replace_properties: bool = False,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """Return an application that holds its own, empty registry.

    `pending_describes`: a new package shows Pending, then InProgress, for that many describes, then Completed.
    `search_lag_seconds`: how far Search is behind writes. `list_order_jitter`: a seed that shuffles, stably, what
    was created within the same second. `lowercase_arns`: ARNs hold the name in lower case, as those of older
    groups do, and names that differ in case only collide. `require_known_credentials`: access key to secret key;
    other callers are refused, and signatures checked. `replace_properties`: CustomerMetadataProperties of an
    update take the place of those held, as in moto; else they are added. `clock`: epoch seconds.
    """
    load_service_model()
    options = Options(
        region=region,
        account=account,
        pending_describes=pending_describes,
        search_lag_seconds=search_lag_seconds,
        list_order_jitter=list_order_jitter,
        lowercase_arns=lowercase_arns,
        known_credentials=require_known_credentials,
        replace_properties=replace_properties,
    )
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app[STATE] = State(options, clock)
    app.router.add_post("/", answer)
    app.router.add_get("/_standin/state", show_state)
    app.router.add_get("/_standin/events", show_events)
    app.router.add_post("/_standin/clock", move_clock)
    app.router.add_post("/_standin/package", set_package_status)
    return app


async def answer(request: web.Request) -> web.Response:
    """Answer one AWS request. The state changes in one go, without awaiting, so requests never interleave."""
    state, body = request.app[STATE], await request.read()
    request_id = str(uuid.uuid4())
    if "X-Amz-Target" not in request.headers:  # STS speaks the query protocol: a form
        return answer_sts(state, request, body, request_id)
    try:
        check_caller(state, request.method, request.headers, body)
        result = call(state, request.headers.get("X-Amz-Target", ""), body)
        status = 200
    except ServiceError as error:
        result, status = dict(error.body()), error.status
    headers = {"x-amzn-RequestId": request_id}
    if result is None:
        return web.Response(headers=headers, content_type="application/x-amz-json-1.1")
    return web.json_response(result, status=status, headers=headers, content_type="application/x-amz-json-1.1")


def call(state: State, target: str, body: bytes) -> JSON | None:
    """Run the operation that `X-Amz-Target` names; None is an empty answer."""
    name = target.removeprefix(TARGET_PREFIX)
    if not target.startswith(TARGET_PREFIX) or name not in OPERATIONS:
        raise ServiceError("UnknownOperationException", f"The requested operation is not served: {target!r}")
    state.calls[name] = state.calls.get(name, 0) + 1
    request = parse_body(body)
    check_request(load_service_model().operation_model(name).input_shape, request)
    return OPERATIONS[name](state, request)


async def show_state(request: web.Request) -> web.Response:
    state = request.app[STATE]
    held: dict[str, Any] = {
        "groups": len(state.groups),
        "packages": len(state.packages),
        "cards": len(state.cards),
        "lineage": len(state.lineage),
        "associations": len(state.associations),
        "sessions": len(state.sessions),
        "events": len(state.events),
        "calls": state.calls,
    }
    return web.json_response(held)


async def show_events(request: web.Request) -> web.Response:
    return web.json_response({"events": request.app[STATE].events})


async def move_clock(request: web.Request) -> web.Response:
    state = request.app[STATE]
    state.clock_offset += float((await request.json())["advance"])
    return web.json_response({"now": state.now()})


async def set_package_status(request: web.Request) -> web.Response:
    state, wanted = request.app[STATE], await request.json()
    statuses = load_service_model().shape_for("ModelPackageStatus").enum
    if wanted.get("status") not in statuses:
        raise web.HTTPBadRequest(text=f"status must be one of {', '.join(statuses)}")
    try:
        package = standin_packages.find_package(state, str(wanted.get("arn")))
    except ServiceError as error:
        raise web.HTTPNotFound(text=error.message) from None
    standin_packages.set_status(state, package, wanted["status"], str(wanted.get("reason", "")))
    return web.json_response({"status": package.document["ModelPackageStatus"]})


async def serve(host: str, port: int, app: web.Application) -> None:
    """Serve until SIGTERM or SIGINT; print the address once listening."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    sys.stdout.write(f"listening http://{host}:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="fedreg_adapters.sagemaker.standin", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--account", default="123456789012")
    parser.add_argument("--pending-describes", type=int, default=0)
    parser.add_argument("--search-lag-seconds", type=float, default=0.0)
    parser.add_argument("--list-order-jitter", type=int, default=None, metavar="SEED")
    parser.add_argument("--lowercase-arns", action="store_true")
    given = parser.parse_args()
    app = create_app(
        region=given.region,
        account=given.account,
        pending_describes=given.pending_describes,
        search_lag_seconds=given.search_lag_seconds,
        list_order_jitter=given.list_order_jitter,
        lowercase_arns=given.lowercase_arns,
    )
    asyncio.run(serve(given.host, given.port, app))


if __name__ == "__main__":
    main()
