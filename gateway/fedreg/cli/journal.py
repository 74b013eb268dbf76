"""`fedreg history` and `fedreg audit`."""

from __future__ import annotations

from pathlib import Path

import click

from fedreg.cli.output import Column, format_option, note, print_item, print_rows
from fedreg.cli.session import run_reading
from fedreg.cli.times import parse_time
from fedreg.client.interface import Client
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.records import JournalEntry
from fedreg.domain.refs import Ref
from fedreg.domain.reports import Verification

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
    note(f"the journal covers {parsed.registry} since {entries.covered_since or 'never: it was not scanned yet'}")
    print_rows(entries, COLUMNS, output, name=lambda entry: str(entry.sequence))


@click.command()
@click.option("--since", metavar="TIME", help="ISO 8601, as in 2026-01-31 or 2026-01-31T12:00:00Z.")
@click.option("--until", metavar="TIME")
@click.option("--actor", metavar="A")
@click.option("--model", metavar="NAME")
@click.option("--verify", is_flag=True, help="Check that the journal is whole instead: exit code 1 where it is not.")
@click.option(
    "--anchors", type=click.Path(path_type=Path), metavar="FILE", help="With --verify: signed heads to check."
)
@click.option("--public-key", type=click.Path(path_type=Path), metavar="FILE", help="With --verify: who signed them.")
@click.option("--key", is_flag=True, help="Print the public half of the signing key instead, made on first use.")
@format_option
@click.pass_context
def audit(
    ctx: click.Context,
    /,
    since: str | None,
    until: str | None,
    actor: str | None,
    model: str | None,
    verify: bool,
    anchors: Path | None,
    public_key: Path | None,
    key: bool,
    output: str,
) -> int:
    """The journal of all changes, oldest first."""
    _refuse_together(verify, key, anchors, public_key)
    if verify:
        heads, signer = _read("--anchors", anchors), _read("--public-key", public_key)
        return _print_verification(
            run_reading(ctx, lambda client: client.verify_audit(anchors=heads, public_key=signer)), output
        )
    if key:
        found = run_reading(ctx, lambda client: client.audit_key())
        if output == "table":
            click.echo(found.public_key, nl=False)
        else:
            print_item(found, {"key": found.key_id, "public key": found.public_key}, output, name=found.key_id)
        return 0
    start, end = parse_time("--since", since), parse_time("--until", until)

    async def read(client: Client) -> list[JournalEntry]:
        return [entry async for entry in client.audit(since=start, until=end, actor=actor, model=model)]

    entries = run_reading(ctx, read)
    print_rows(entries, COLUMNS, output, name=lambda entry: str(entry.sequence))
    return 0


def _refuse_together(verify: bool, key: bool, anchors: Path | None, public_key: Path | None) -> None:
    if verify and key:
        raise InvalidRequest("--verify and --key are both given", cure="give one of them")
    if (anchors or public_key) and not verify:
        name = "--anchors" if anchors else "--public-key"
        raise InvalidRequest(f"{name} is of use with --verify only", cure="add --verify")


def _print_verification(found: Verification, output: str) -> int:
    fields = {
        "journal": "whole" if found.ok else "BROKEN",
        "entries": found.entries,
        "broken at": found.broken_at,
        "fault": found.fault.value if found.fault else None,
        "detail": found.detail,
        "signed heads": found.heads,
        "vouched until": found.vouched_until,
        "bad heads": [f"{head.place}: {head.why}" for head in found.bad_heads],
    }
    print_item(found, fields, output, name=str(fields["journal"]))
    return 0 if found.ok else BROKEN


def _read(option: str, path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise InvalidRequest(f"{option} {str(path)!r} can't be read: {why}", cure="name a file that can be") from error


def _subject(entry: JournalEntry) -> str:
    change = entry.change
    if not change.registry:
        return f"webhook {(change.after or change.before)['webhook']}"
    ref = Ref(change.registry, change.model)
    return str(ref.at_version(change.version) if change.version else ref)


def _state(value: object) -> object:
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None and key != "source_identity"}
    return value
