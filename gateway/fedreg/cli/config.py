"""`fedreg config check|show`."""

from __future__ import annotations

import click

from fedreg.cli.output import note, print_json
from fedreg.cli.session import find_config_option
from fedreg.settings import find_config, load_settings


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command("check")
@click.pass_context
def check_config(ctx: click.Context) -> None:
    """Read the configuration; every mistake is named with its place and its cure."""
    path = find_config(find_config_option(ctx))
    settings = load_settings(path)
    note(f"{path}: {len(settings.registries)} registries, no mistakes")


@config.command("show")
@click.pass_context
def show_config(ctx: click.Context) -> None:
    """The configuration as it is used, secrets hidden."""
    print_json(load_settings(find_config(find_config_option(ctx))).redacted())
