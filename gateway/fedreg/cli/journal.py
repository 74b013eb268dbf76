"""`fedreg history` and `fedreg audit`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from fedreg.cli.output import Column, format_option, print_item, print_rows
from fedreg.cli.session import run_reading
from fedreg.client.interface import Client
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.records import JournalEntry
from fedreg.domain.refs import Ref

BROKEN = 1
COLUMNS = (
    Column("#", lambda entry: entry.sequence),
    Column("time", lambda entry: entry.recorded_at),
    Column("what", lambda entry: entry.change.action.replace("_", " ")),
    Column("version", lambda entry: _subject(entry)),
    Column("before", lambda entry: _state(entry.change.before)),
    Column("after", lambda entry: _state(entry.change.after)),
    Column("by", lambda entry: entry.change.actor.subject),
    Column("how", lambda entry: entry.change.origin.value),
    Column("not before", lambda entry: entry.change.not_before, wide=True),
    Column("reason", lambda entry: entry.change.reason),
    Column("operation", lambda entry: entry.change.intent_id, wide=True),
)


@click.command()
@click.argument("ref")
@format_option
@click.pass_context
def history(ctx: click.Context, ref: str, output: str) -> None:
    """What happened to a model or version, oldest first: when, by whom, why, before and after."""
    parsed = Ref.parse(ref)
    entries = run_reading(ctx, lambda client: client.history(parsed))
    print_rows(entries, COLUMNS, output, name=lambda entry: str(entry.sequence))


@click.command()
@click.option("--since", metavar="TIME", help="ISO 8601, as in 2026-01-31 or 2026-01-31T12:00:00Z.")
@click.option("--until", metavar="TIME")
@click.option("--actor", metavar="A")
@click.option("--model", metavar="NAME")
@click.option("--verify", is_flag=True, help="Check that the chain is whole instead.")
@format_option
@click.pass_context
def audit(
    ctx: click.Context,
    since: str | None,
    until: str | None,
    actor: str | None,
    model: str | None,
    verify: bool,
    output: str,
) -> int:
    """The journal of all changes, oldest first."""
    if verify:
        verification = run_reading(ctx, lambda client: client.verify_audit())
        fields = {
            "journal": "whole" if verification.ok else "BROKEN",
            "entries": verification.entries,
            "broken at": verification.broken_at,
        }
        print_item(verification, fields, output, name=str(fields["journal"]))
        return 0 if verification.ok else BROKEN
    start, end = _time("--since", since), _time("--until", until)

    async def read(client: Client) -> list[JournalEntry]:
        return [entry async for entry in client.audit(since=start, until=end, actor=actor, model=model)]

    entries = run_reading(ctx, read)
    print_rows(entries, COLUMNS, output, name=lambda entry: str(entry.sequence))
    return 0


def _subject(entry: JournalEntry) -> str:
    change = entry.change
    ref = Ref(change.registry, change.model)
    return str(ref.at_version(change.version) if change.version else ref)


def _state(value: object) -> object:
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None and key != "source_identity"}
    return value


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(
            f"{option} {text!r} is no time", cure="write it as 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
