"""`fedreg`: finds the command, runs it, and turns every error into one line, a cure and an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from fedreg.domain.errors import FedregError
from fedreg.version import __version__

INTERRUPTED = 130

# command -> (module, help): the help stands here so that `--help` imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "alias": ("edits", "Point an alias at a version, or take it away."),
    "approval": ("edits", "Record a decision on a version."),
    "audit": ("journal", "The journal of all changes; --verify checks its chain."),
    "capabilities": ("registries", "What each registry can do."),
    "check": ("checks", "Compare two versions, or two models, by their bytes."),
    "config": ("config", "Check and show the configuration."),
    "copy": ("copies", "Copy a version with its bytes to another registry."),
    "create": ("edits", "Create a model."),
    "delete": ("edits", "Delete a version, or a model."),
    "demo": ("demo", "A sandbox of registries, and the main job on it."),
    "download": ("copies", "Write a version's files into a directory."),
    "history": ("journal", "What happened to a model or version."),
    "init": ("init", "Write a commented fedreg.yaml from what is found."),
    "inventory": ("inventory", "What there is, in all registries."),
    "lineage": ("lineage", "What led to a version and what came of it."),
    "operations": ("operations", "List, show and cancel operations."),
    "promote": ("promotions", "Give a version a stage."),
    "registries": ("registries", "The configured registries."),
    "serve": ("serve", "Run the gateway."),
    "show": ("inventory", "A model with its versions, or a version with its files."),
    "store": ("store", "Check and back up the store."),
    "tag": ("edits", "Set and remove tags."),
}


def accept_config(command: click.Command) -> click.Command:
    """Let `--config` stand after the command as well as before it; the later one counts."""
    if not any(parameter.name == "config" for parameter in command.params):
        command.params.append(click.Option(["--config"], type=click.Path(), expose_value=False, callback=_set_config))
        for child in command.commands.values() if isinstance(command, click.Group) else ():
            accept_config(child)
    return command


def _set_config(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.find_root().obj["config"] = value


class LazyGroup(click.Group):
    """Imports a command's module when it is run, not when it is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"fedreg.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return accept_config(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fedreg")
@click.option("--config", type=click.Path(), help="Configuration file (default: FEDREG_CONFIG, else ./fedreg.yaml).")
@click.pass_context
def fedreg(ctx: click.Context, config: str | None) -> None:
    """One API for models, versions, stages, aliases and lineage, over registries that stay where they are.

    Exit codes: 0 done, 1 failed or conflict, 2 usage or configuration, 3 not found, 4 finished with differences
    or a partial answer, 5 temporary, 6 refused, 7 a batch incomplete, 130 interrupted.
    """
    ctx.obj = {"config": config}


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code. Errors go to stderr as one line, with the cure on the next."""
    try:
        outcome: Any = fedreg.main(args=arguments, prog_name="fedreg", standalone_mode=False)
    except click.exceptions.Abort:
        return _say("interrupted", INTERRUPTED)
    except KeyboardInterrupt:
        return _say("interrupted; what was begun goes on with the same command", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return 2
    except FedregError as error:
        return _report(error)
    except BrokenPipeError:
        # The reader of a pipe has seen enough; nothing must be flushed into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return outcome if isinstance(outcome, int) else 0


def _report(error: FedregError) -> int:
    place = f" [{error.registry}]" if error.registry else ""
    click.echo(f"fedreg: {error.code}{place}: {error.message}", err=True)
    if error.cure:
        click.echo(f"  cure: {error.cure}", err=True)
    return error.exit_code


def _say(text: str, code: int) -> int:
    click.echo(f"fedreg: {text}", err=True)
    return code


if __name__ == "__main__":
    main()
