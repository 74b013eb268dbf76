"""What a promotion's operation tells, as a report."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from fedreg.domain.promotions import GateView, MemberOutcome, PromotionReport
from fedreg.domain.reports import OperationView


def read_report(view: OperationView) -> PromotionReport | None:
    """The report of a promotion as it stands; None where an earlier release has started it and kept none."""
    if "report" not in view.plan:
        return None
    outcomes = (view.result or {}).get("outcomes") or (view.progress or {}).get("members", ())
    return replace(
        msgspec.convert(view.plan["report"], PromotionReport),
        operation=view.id,
        state=view.state,
        outcomes=msgspec.convert(outcomes, tuple[MemberOutcome, ...]),
        gates=msgspec.convert(view.plan.get("gates", ()), tuple[GateView, ...]),
    )
