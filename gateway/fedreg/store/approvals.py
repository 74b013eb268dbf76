"""What people have decided on promotions that wait."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from fedreg.domain.records import ApprovalRecord, Decision
from fedreg.store.schema import approvals


def set_approval(tx: Connection, record: ApprovalRecord) -> None:
    """Store a decision; the same person's later word replaces the earlier."""
    mine = (approvals.c.intent_id == record.intent_id, approvals.c.actor == record.actor)
    tx.execute(delete(approvals).where(*mine))
    values = {column.name: getattr(record, column.name) for column in approvals.columns}
    tx.execute(insert(approvals).values(values | {"decision": record.decision.value, "roles": list(record.roles)}))


def list_approvals(conn: Connection, intent_id: str) -> list[ApprovalRecord]:
    """The decisions on one promotion, oldest first."""
    query = select(approvals).where(approvals.c.intent_id == intent_id)
    rows = conn.execute(query.order_by(approvals.c.decided_at, approvals.c.actor))
    return [
        ApprovalRecord(**{**row._mapping, "decision": Decision(row.decision), "roles": tuple(row.roles)})
        for row in rows
    ]
