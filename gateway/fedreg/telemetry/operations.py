"""A span for each run of an operation, in the trace of the request that has asked for it, also after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from opentelemetry.trace import Span, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fedreg.domain.errors import FedregError
from fedreg.engine.port import Context, Engine, Json, Workflow

# The trace's context among a workflow's arguments, which the engine keeps.
CARRIER = "trace"
_propagator = TraceContextTextMapPropagator()

# The kind of an operation by its id, such as `copy` or `promotion`.
KindOf = Callable[[str], Awaitable[str]]


def trace_operations(engine: Engine, tracer: Tracer, kind_of: KindOf) -> Engine:
    """The same engine; its workflows run within spans."""
    return cast(Engine, _TracedEngine(engine, tracer, kind_of))


class _TracedEngine:
    """What is not here is the engine's own."""

    def __init__(self, engine: Engine, tracer: Tracer, kind_of: KindOf) -> None:
        self._engine = engine
        self._tracer = tracer
        self._kind_of = kind_of

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def register(self, name: str, workflow: Workflow) -> None:
        async def run(ctx: Context, args: dict[str, Json]) -> Json:
            own = {key: value for key, value in args.items() if key != CARRIER}
            kind = await self._kind_of(ctx.id)
            with self._tracer.start_as_current_span(
                kind,
                _propagator.extract(args.get(CARRIER) or {}),
                attributes={"fedreg.operation.id": ctx.id, "fedreg.operation.kind": kind},
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                return await _run(span, workflow(ctx, own))

        self._engine.register(name, run)

    async def start(self, name: str, workflow_id: str, args: Mapping[str, Json]) -> None:
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        await self._engine.start(name, workflow_id, {**args, CARRIER: carrier} if carrier else args)


async def _run(span: Span, work: Awaitable[Json]) -> Json:
    """`fedreg.outcome` is `ok`, an error's code, or `interrupted`: it goes on at the next start."""
    outcome = "error"
    try:
        result = await work
        outcome = "ok"
        return result
    except FedregError as error:
        outcome = error.code
        raise
    except asyncio.CancelledError:
        outcome = "interrupted"
        raise
    finally:
        span.set_attribute("fedreg.outcome", outcome)
        if outcome not in ("ok", "interrupted", "cancelled"):
            span.set_attribute("error.type", outcome)
            span.set_status(Status(StatusCode.ERROR))
