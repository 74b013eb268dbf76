"""Promotions: writes of a stage, made and looked up."""

from __future__ import annotations

from aiohttp import web

from fedreg.api.context import actor_of, gateway_of, principal_of
from fedreg.api.edits import OPERATION_HEADER, Reason
from fedreg.api.encoding import Listing, Reply, Request
from fedreg.api.handlers.operations import cancel_visible, find_visible, list_visible
from fedreg.api.idempotency import request_key
from fedreg.api.paging import PageQuery
from fedreg.domain.promotions import PromotionReport
from fedreg.domain.records import ENDED, Decision, IntentKind, IntentState
from fedreg.domain.refs import Ref
from fedreg.domain.reports import OperationView
from fedreg.services.promotion import promote
from fedreg.services.promotion_decisions import decide, roll_back
from fedreg.settings.sections import Role


class PromotionsQuery(PageQuery, frozen=True, kw_only=True):
    """Which promotions; `state` may be repeated."""

    state: tuple[IntentState, ...] = ()


class NewPromotion(Request, frozen=True, kw_only=True):
    """A version and the stage it shall have; `expected` is the one it must have now."""

    ref: str
    to: str
    expected: str | None = None
    reason: str | None = None
    dry_run: bool = False


class DecisionBody(Request, frozen=True, kw_only=True):
    """What an approver adds to the decision."""

    comment: str | None = None


async def create_promotion(request: web.Request, *, body: NewPromotion) -> Reply[PromotionReport]:
    ref = Ref.parse(body.ref)
    principal_of(request).require(Role.OPERATOR, ref.registry)
    report = await promote(
        gateway_of(request),
        ref,
        body.to,
        actor=actor_of(request),
        reason=body.reason,
        expected=body.expected,
        dry_run=body.dry_run,
        wait=False,
        key=request_key(request, body),
    )
    return reply_of(report)


def reply_of(report: PromotionReport) -> Reply[PromotionReport]:
    """200 where it is done, or nothing was to do; 202 with its place while it is under way or waits."""
    if report.operation is None:
        return Reply(report)
    headers = {"Location": f"/v1/promotions/{report.operation}", OPERATION_HEADER: report.operation}
    return Reply(report, headers=headers, status=200 if report.state in ENDED else 202)


async def approve_promotion(request: web.Request, *, body: DecisionBody) -> PromotionReport:
    return await _decide(request, Decision.APPROVED, body)


async def reject_promotion(request: web.Request, *, body: DecisionBody) -> PromotionReport:
    return await _decide(request, Decision.REJECTED, body)


async def _decide(request: web.Request, decision: Decision, body: DecisionBody) -> PromotionReport:
    principal = principal_of(request)
    promotion = await find_visible(request, IntentKind.PROMOTION)
    return await decide(
        gateway_of(request),
        promotion.id,
        decision,
        actor=principal.actor,
        roles=principal.names,
        comment=body.comment,
    )


async def roll_back_promotion(request: web.Request, *, body: Reason) -> Reply[PromotionReport]:
    promotion = await find_visible(request, IntentKind.PROMOTION)
    actor = actor_of(request)
    report = await roll_back(gateway_of(request), promotion.id, actor=actor, reason=body.reason, wait=False)
    return reply_of(report)


async def list_promotions(request: web.Request, *, query: PromotionsQuery) -> Listing[OperationView]:
    return await list_visible(request, query, (IntentKind.PROMOTION,), query.state)


async def get_promotion(request: web.Request) -> OperationView:
    return await find_visible(request, IntentKind.PROMOTION)


async def cancel_promotion(request: web.Request) -> OperationView:
    return await cancel_visible(request, IntentKind.PROMOTION)
