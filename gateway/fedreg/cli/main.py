"""`fedreg`: finds the command, runs it, and turns every error into one line, a cure and an exit code."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from fedreg.domain.errors import FedregError, InvalidRequest
from fedreg.version import __version__

INTERRUPTED = 130

# command -> (module, help): the help stands here so that `--help` imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "alias": ("edits", "Point an alias at a version, or take it away."),
    "approval": ("edits", "Record a decision on a version."),
    "audit": ("journal", "The journal of all changes; --verify checks that it is whole."),
    "capabilities": ("registries", "What each registry can do."),
    "check": ("checks", "Compare two versions, or two models, by their bytes."),
    "config": ("config", "Check and show the configuration."),
    "copy": ("copies", "Copy a version with its bytes to another registry."),
    "create": ("edits", "Create a model, or a version whose bytes are in place."),
    "delete": ("edits", "Delete a version, or a model."),
    "describe": ("edits", "Set the description of a version, or of a model."),
    "demo": ("demo", "A sandbox of registries, and the main job on it."),
    "doctor": ("doctor", "Address, credentials and permissions of each registry."),
    "download": ("copies", "Write a version's files into a directory."),
    "history": ("journal", "What happened to a model or version."),
    "drift": ("links", "Where members of links disagree, and its repair."),
    "init": ("init", "Write a commented fedreg.yaml from what is found."),
    "inventory": ("inventory", "What there is, in all registries."),
    "lineage": ("lineage", "What led to a version and what came of it."),
    "migrate": ("migrate", "Copy all versions of a registry to another one."),
    "models": ("inventory", "A registry's models, read live."),
    "link": ("links", "List, show, set and delete links."),
    "operations": ("operations", "List, show and cancel operations; the rows of a migration."),
    "promote": ("promotions", "Give a version a stage."),
    "promotions": ("promotions", "List, show, approve, reject, roll back and cancel promotions."),
    "refresh": ("registries", "Scan registries into the index."),
    "registries": ("registries", "The configured registries."),
    "serve": ("serve", "Run the gateway."),
    "show": ("inventory", "A model with its versions, or a version with its files."),
    "store": ("store", "Upgrade, check, back up and move the store."),
    "tag": ("edits", "Set and remove tags."),
    "webhooks": ("webhooks", "Tell other systems of changes."),
}


def accept_place(command: click.Command) -> click.Command:
    """Let `--config` and `--url` stand after the command as well as before it; the later one counts."""
    if not any(parameter.name == "config" for parameter in command.params):
        command.params += [
            click.Option(["--config"], type=click.Path(), expose_value=False, callback=_set_place),
            click.Option(["--url"], metavar="URL", expose_value=False, callback=_set_place),
        ]
        for child in command.commands.values() if isinstance(command, click.Group) else ():
            accept_place(child)
    return command


def _set_place(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.find_root().obj[parameter.name] = value


class LazyGroup(click.Group):
    """Imports a command's module when it is run, not when it is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"fedreg.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return accept_place(command)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands by the table, so that a press of TAB imports none of them; then this group's own options."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=COMMANDS[name][1]) for name in names), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fedreg")
@click.option("--config", type=click.Path(), help="Configuration file (default: FEDREG_CONFIG, else ./fedreg.yaml).")
@click.option("--url", metavar="URL", help="Gateway to work through (default: FEDREG_URL), with token FEDREG_TOKEN.")
@click.pass_context
def fedreg(ctx: click.Context, config: str | None, url: str | None) -> None:
    """One API for models, versions, stages, aliases and lineage, over registries that stay where they are.

    Exit codes: 0 done, 1 failed or conflict, 2 usage or configuration, 3 not found, 4 finished with differences
    or a partial answer, 5 temporary, 6 refused, 7 a batch incomplete, 130 interrupted.
    """
    ctx.obj = {"config": config, "url": url}


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code. Errors go to stderr as one line, with the cure on the next."""
    try:
        outcome: Any = fedreg.main(args=arguments, prog_name="fedreg", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _say("interrupted; what was begun goes on with the same command", INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _report(_to_invalid(error))
    except FedregError as error:
        return _report(error)
    except BrokenPipeError:
        # The reader of a pipe has seen enough; nothing must be flushed into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return outcome if isinstance(outcome, int) else 0


def _to_invalid(error: click.ClickException) -> InvalidRequest:
    """Wrong usage as an error of the family; click's own has no cure."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    path = ctx.command_path if ctx is not None else "fedreg"
    near = getattr(error, "possibilities", None) or get_close_matches(getattr(error, "command_name", ""), COMMANDS)
    if near:
        return InvalidRequest(error.message, cure=f"did you mean {' or '.join(near)}?")
    return InvalidRequest(error.format_message(), cure=f"`{path} --help` says what it takes")


def _report(error: FedregError) -> int:
    place = f" [{error.registry}]" if error.registry else ""
    click.echo(f"fedreg: {error.code}{place}: {error.message}", err=True)
    if error.cure:
        click.echo(f"  cure: {error.cure}", err=True)
    if error.request_id:
        click.echo(f"  request id: {error.request_id}", err=True)
    return error.exit_code


def _say(text: str, code: int) -> int:
    click.echo(f"fedreg: {text}", err=True)
    return code


if __name__ == "__main__":
    main()
