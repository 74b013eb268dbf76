"""`fedreg webhooks list|show|set|delete|test|deliveries|redeliver`."""

from __future__ import annotations

import click

from fedreg.cli.output import Column, format_option, note, print_item, print_rows
from fedreg.cli.session import run_reading, run_writing
from fedreg.domain.webhooks import Delivery, DeliveryState, Webhook

COLUMNS = (
    Column("webhook", lambda webhook: webhook.id),
    Column("url", lambda webhook: webhook.url),
    Column("actions", lambda webhook: webhook.actions or "all"),
    Column("registries", lambda webhook: webhook.registries or "all"),
    Column("model", lambda webhook: webhook.model or "all"),
    Column("position", lambda webhook: webhook.position, wide=True),
    Column("created", lambda webhook: webhook.created_at, wide=True),
    Column("updated", lambda webhook: webhook.updated_at, wide=True),
)
DELIVERY_COLUMNS = (
    Column("entry", lambda delivery: delivery.sequence),
    Column("state", lambda delivery: delivery.state.value),
    Column("attempts", lambda delivery: delivery.attempts),
    Column("status", lambda delivery: delivery.status),
    Column("updated", lambda delivery: delivery.updated_at),
    Column("next attempt", lambda delivery: delivery.next_at, wide=True),
    Column("error", lambda delivery: delivery.error),
)


@click.group()
def webhooks() -> None:
    """Tell other systems of changes, and see what became of the messages.

    They are sent by the gateway that `fedreg serve` runs.
    """


@webhooks.command("list")
@format_option
@click.pass_context
def list_webhooks(ctx: click.Context, output: str) -> None:
    """Who is told of changes."""
    found = run_reading(ctx, lambda client: client.webhooks())
    print_rows(found, COLUMNS, output, name=lambda webhook: webhook.id)


@webhooks.command("show")
@click.argument("webhook_id", metavar="ID")
@format_option
@click.pass_context
def show_webhook(ctx: click.Context, webhook_id: str, output: str) -> None:
    """One webhook."""
    _print(run_reading(ctx, lambda client: client.webhook(webhook_id)), output)


@webhooks.command("set")
@click.argument("webhook_id", metavar="ID")
@click.argument("address", metavar="URL")
@click.option("--action", "actions", multiple=True, metavar="ACTION", help="stage_set, created, …; may be repeated.")
@click.option("--registry", "registries", multiple=True, metavar="R", help="May be repeated.")
@click.option("--model", metavar="GLOB", help="Models of this name only.")
@click.option("--new-secret", is_flag=True, help="Make a new secret for a webhook that has one.")
@format_option
@click.pass_context
def set_webhook(
    ctx: click.Context,
    webhook_id: str,
    address: str,
    actions: tuple[str, ...],
    registries: tuple[str, ...],
    model: str | None,
    new_secret: bool,
    output: str,
) -> None:
    """Have URL told of changes from now on, or change the webhook ID as a whole.

    The secret that signs the messages is printed once, when it is made.
    """
    made = run_writing(
        ctx,
        lambda client: client.set_webhook(
            webhook_id, address, actions=actions, registries=registries, model=model, new_secret=new_secret
        ),
    )
    _print(made, output)
    if made.secret is not None:
        note("the secret is shown this once: give it to the receiver now")


@webhooks.command("delete")
@click.argument("webhook_id", metavar="ID")
@click.pass_context
def delete_webhook(ctx: click.Context, webhook_id: str) -> None:
    """Remove a webhook, with its deliveries and dead letters."""
    run_writing(ctx, lambda client: client.delete_webhook(webhook_id))
    note(f"deleted webhook {webhook_id}")


@webhooks.command("test")
@click.argument("webhook_id", metavar="ID")
@format_option
@click.pass_context
def test_webhook(ctx: click.Context, webhook_id: str, output: str) -> int:
    """Send a message that tells of nothing, once and now; exit code 1 where it does not arrive."""
    attempt = run_reading(ctx, lambda client: client.test_webhook(webhook_id))
    fields = {"delivered": attempt.delivered, "status": attempt.status, "error": attempt.error}
    print_item(attempt, fields, output, name=webhook_id)
    return 0 if attempt.delivered else 1


@webhooks.command("deliveries")
@click.argument("webhook_id", metavar="ID")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in DeliveryState]),
    help="May be repeated; `dead` for dead letters.",
)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@format_option
@click.pass_context
def list_deliveries(ctx: click.Context, webhook_id: str, states: tuple[str, ...], limit: int, output: str) -> None:
    """Messages to a webhook, the newest first."""
    wanted = tuple(DeliveryState(state) for state in states)
    found = run_reading(ctx, lambda client: client.deliveries(webhook_id, states=wanted, limit=limit))
    print_rows(found, DELIVERY_COLUMNS, output, name=lambda delivery: str(delivery.sequence))


@webhooks.command("redeliver")
@click.argument("webhook_id", metavar="ID")
@click.argument("sequence", metavar="ENTRY", type=click.IntRange(min=1))
@format_option
@click.pass_context
def redeliver(ctx: click.Context, webhook_id: str, sequence: int, output: str) -> None:
    """Have a message sent again, out of its order: a dead letter, or one that got lost at the receiver."""
    delivery: Delivery = run_writing(ctx, lambda client: client.redeliver(webhook_id, sequence))
    fields = {column.title: column.value(delivery) for column in DELIVERY_COLUMNS}
    print_item(delivery, fields, output, name=str(delivery.sequence))


def _print(webhook: Webhook, output: str) -> None:
    fields = {column.title: column.value(webhook) for column in COLUMNS} | {"secret": webhook.secret}
    print_item(webhook, fields, output, name=webhook.id)
