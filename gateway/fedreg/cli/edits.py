"""`fedreg create`, `delete`, `describe`, `tag`, `alias` and `approval`: one verb each, the reference first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import click

from fedreg.cli.output import format_option, print_item
from fedreg.cli.session import run_writing
from fedreg.client.interface import as_model
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.refs import Ref
from fedreg.domain.reports import OperationView

reason_option = click.option("--reason", metavar="T", help="Why; kept in the journal.")


@click.command()
@click.argument("ref")
@click.option("--artifact", metavar="URI", help="Register a version of REF: its bytes are there, and stay there.")
@click.option("--description", metavar="TEXT")
@click.option("--tag", "pairs", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="Of the version; may be repeated.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Of the version; may be repeated.")
@click.option("--run", "run_id", metavar="ID", help="The run that the version came from.")
@click.option("--version", metavar="ID", help="The version's id, where the registry takes one.")
@reason_option
@format_option
@click.pass_context
def create(
    ctx: click.Context,
    /,
    ref: str,
    artifact: str | None,
    description: str | None,
    pairs: tuple[str, ...],
    reason: str | None,
    output: str,
    **of_version: Any,
) -> None:
    """Create the model REF or, with --artifact, a version of it.

    The bytes of a version have to be where its registry can read them; `fedreg copy` brings them to another one.
    The version arrives with approval pending, where the registry has such a thing.
    """
    parsed, tags = as_model(ref), dict(_pair(text) for text in pairs)
    if artifact is None:
        _refuse_given(ctx, of_version)
        done = run_writing(
            ctx, lambda client: client.create_model(parsed, description=description, tags=tags, reason=reason)
        )
        _print(done, f"created {parsed}", output)
        return
    fields = {
        **of_version,
        "metrics": dict(_metric(text) for text in of_version["metrics"]),
        "params": dict(_pair(text, "--param") for text in of_version["params"]),
    }
    version = run_writing(
        ctx,
        lambda client: client.create_version(
            parsed, artifact, description=description, tags=tags, reason=reason, **fields
        ),
    )
    shown = {"done": f"created {version.ref}", "status": version.status.value, "approval": version.approval.value}
    print_item(version, shown, output, name=str(version.ref))


@click.command()
@click.argument("ref")
@click.argument("text")
@reason_option
@format_option
@click.pass_context
def describe(ctx: click.Context, ref: str, text: str, reason: str | None, output: str) -> None:
    """Set the description of a version, or of a model; an empty TEXT takes it away."""
    parsed = Ref.parse(ref)
    done = run_writing(ctx, lambda client: client.set_description(parsed, text, reason=reason))
    _print(done, f"described {parsed}", output)


@click.command()
@click.argument("ref")
@reason_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@format_option
@click.pass_context
def delete(ctx: click.Context, ref: str, reason: str | None, yes: bool, output: str) -> None:
    """Delete a version, or a model."""
    parsed = Ref.parse(ref)
    if not yes:
        click.confirm(f"Delete '{parsed}' for good?", abort=True, err=True)
    done = run_writing(ctx, lambda client: client.delete(parsed, reason=reason))
    _print(done, f"deleted {parsed}", output)


@click.command()
@click.argument("ref")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--remove", multiple=True, metavar="KEY", help="Take a tag away; may be repeated.")
@reason_option
@format_option
@click.pass_context
def tag(
    ctx: click.Context, ref: str, pairs: tuple[str, ...], remove: tuple[str, ...], reason: str | None, output: str
) -> None:
    """Set and remove tags of a version, or of a model. Others stay."""
    parsed = Ref.parse(ref)
    tags = dict(_pair(text) for text in pairs)
    if not tags and not remove:
        raise InvalidRequest("no tag is given", cure="write KEY=VALUE, or --remove KEY")
    done = run_writing(ctx, lambda client: client.set_tags(parsed, tags, remove=remove, reason=reason))
    _print(done, f"tagged {parsed}", output)


@click.command()
@click.argument("ref")
@click.argument("alias")
@click.option("--delete", "deleting", is_flag=True, help="Take the alias away; REF names the model.")
@reason_option
@format_option
@click.pass_context
def alias(ctx: click.Context, ref: str, alias: str, deleting: bool, reason: str | None, output: str) -> None:
    """Point ALIAS at the version REF, moving it where it is set."""
    parsed = Ref.parse(ref)
    if deleting:
        done = run_writing(ctx, lambda client: client.delete_alias(parsed, alias, reason=reason))
    else:
        done = run_writing(ctx, lambda client: client.set_alias(parsed, alias, reason=reason))
    _print(done, f"alias {alias} {'removed from' if deleting else 'set on'} {parsed}", output)


@click.command()
@click.argument("ref")
@click.argument("decision", type=click.Choice(["pending", "approved", "rejected", "none"]), metavar="DECISION")
@click.option("--comment", metavar="TEXT", help="Kept with the decision at the registry.")
@reason_option
@format_option
@click.pass_context
def approval(ctx: click.Context, ref: str, decision: str, comment: str | None, reason: str | None, output: str) -> None:
    """Record a decision on a version: pending, approved, rejected or none.

    In many companies `approved` starts deployments.
    """
    parsed = Ref.parse(ref)
    done = run_writing(ctx, lambda client: client.set_approval(parsed, decision, comment=comment, reason=reason))
    _print(done, f"{decision}: {parsed}", output)


def _refuse_given(ctx: click.Context, options: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for the first of a version's options that is given without --artifact."""
    for parameter in ctx.command.params:
        if options.get(str(parameter.name)):
            raise InvalidRequest(
                f"{parameter.opts[0]} is a version's, and a model is created", cure="give --artifact URI as well"
            )


def _pair(text: str, what: str = "tag") -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidRequest(f"{what} {text!r} is no pair", cure="write it as KEY=VALUE")
    return key, value


def _metric(text: str) -> tuple[str, float]:
    name, value = _pair(text, "--metric")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidRequest(f"--metric {text!r} is no number", cure="write it as NAME=0.93")
    return name, number


def _print(operation: OperationView, text: str, output: str) -> None:
    print_item(operation, {"done": text, "operation": operation.id}, output, name=operation.id)
