"""`fedreg demo`: registries, a gateway over them, and the main job; each command printed before its output."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from fedreg.cli.exit_codes import DIFFERENCES
from fedreg.cli.output import note
from fedreg.cli.session import refuse_url
from fedreg.domain.errors import RegistryError
from fedreg.sandbox.processes import ServerProcess, answers, free_port, own_environment, start_server, wait_until
from fedreg.sandbox.sandbox import KINDS, Sandbox, boot_sandbox, run_module, seeding

USER, APPROVER = "ana", "ben"
LINK_FILE = "churn.link.yaml"
CHURN = "fedreg inventory --versions --model churn --stage production --refresh"
LINK = """\
members: ["mlflow-prod:churn", "sm-eu:churn", "vertex-eu:churn", "azure-ws:churn", "hub:churn"]
authority: mlflow-prod
stages: [production]
on_missing: copy
allow_lossy: ["*"]
gate: {approvals: 1, roles: [approver]}
"""
FEDREG = (sys.executable, "-m", "fedreg.cli.main")
# (what it is about, command): `fedreg …` is run as a user would, with `ben: ` as another one; `native …` asks the
# vendor's own SDK; `down …` and `up …` take a registry off the network and back.
STEPS = (
    ("Five registries behind one gateway", "fedreg registries"),
    ("What there is in them", "fedreg inventory --versions"),
    ("What each registry can do", "fedreg capabilities"),
    ("One version, read live", "fedreg show mlflow-prod:churn@alias:challenger"),
    (
        "Promote it where it was made: the alias that holds `production` here is champion",
        "fedreg promote mlflow-prod:churn@version:2 --to production --reason 'Q3 review'",
    ),
    ("… as MLflow's own client sees it", "native mlflow churn champion"),
    ("What a copy would do", "fedreg copy mlflow-prod:churn@stage:production sm-eu:churn --dry-run"),
    (
        "Copy it with its bytes; they are read back before it is registered",
        "fedreg copy mlflow-prod:churn@stage:production sm-eu:churn --reason 'serve it in eu-west-1'",
    ),
    (
        "Approve and promote the copy: two axes at SageMaker",
        "fedreg approval sm-eu:churn@version:1 approved --comment 'reviewed'",
    ),
    ("", "fedreg promote sm-eu:churn@version:1 --to production --reason 'serve it in eu-west-1'"),
    ("… as boto3 sees it", "native sagemaker churn 1"),
    ("The same at Vertex AI, where a stage is a label", "fedreg copy mlflow-prod:churn@version:2 vertex-eu:churn"),
    ("", "fedreg promote vertex-eu:churn@version:1 --to production"),
    ("… as Google's client sees it", "native vertex churn 1"),
    ("At Azure ML, which has stages of its own", "fedreg copy mlflow-prod:churn@version:2 azure-ws:churn"),
    ("", "fedreg promote azure-ws:churn@version:1 --to production"),
    ("… as Microsoft's client sees it", "native azureml churn 1"),
    ("At the Hugging Face Hub, where it is a branch", "fedreg copy mlflow-prod:churn@version:2 hub:churn"),
    ("", "fedreg promote hub:churn@version:v1 --to production"),
    ("… as huggingface_hub sees it", "native huggingface churn production"),
    ("What is in production, everywhere", "fedreg inventory --versions --stage production --refresh -o wide"),
    (
        "A name that SageMaker can't spell",
        "fedreg copy mlflow-prod:fraud.detector_eu@version:1 sm-eu:fraud.detector_eu",
    ),
    ("Compare both ends byte by byte", "fedreg check mlflow-prod:churn@version:2 sm-eu:churn@version:1 --download"),
    ("The copy again: nothing moves", "fedreg copy mlflow-prod:churn@version:2 sm-eu:churn"),
    (
        "Move what else there is; what a migration would do",
        "fedreg migrate mlflow-prod sm-eu --with aliases --dry-run",
    ),
    ("", "fedreg migrate mlflow-prod sm-eu --with aliases --reason 'one registry for serving'"),
    ("Where the copy came from", "fedreg lineage sm-eu:churn@version:1"),
    ("What happened to it", "fedreg history sm-eu:churn@version:1"),
    (
        "A model fine-tuned on the Hub goes to Azure ML, and on to Vertex AI",
        "fedreg copy hub:intents@v1 azure-ws:intents",
    ),
    ("", "fedreg copy azure-ws:intents@version:1 vertex-eu:intents"),
    ("… and is traced back to its base model", "fedreg lineage vertex-eu:intents@version:1"),
    (
        "Tie the five together: what is promoted at MLflow goes to the others, once somebody else has approved",
        f"fedreg link set churn {LINK_FILE}",
    ),
    ("Do they agree?", "fedreg drift churn --refresh"),
    ("The Hub can't be reached for a while", "down hub"),
    (
        "Promote version 1: it waits at the gate",
        "fedreg promote mlflow-prod:churn@version:1 --to production --reason 'fewer false alarms'",
    ),
    ("Ben approves: it goes to whoever answers", "ben: fedreg promotions approve $PROMOTION --comment 'agreed'"),
    ("… and to the Hub when it is back", "up hub"),
    ("", "fedreg promotions show $PROMOTION --wait"),
    ("One version in production, everywhere", CHURN),
    ("Somebody promotes at SageMaker, behind the gateway's back", "native stage churn 1 Production"),
    ("… which is seen", "fedreg drift churn --refresh"),
    ("… and repaired", "fedreg drift churn --repair"),
    ("Version 1 was no good: take that promotion back, everywhere", "fedreg promotions rollback $PROMOTION"),
    (
        "What was in production before, is again",
        CHURN,
    ),
    ("The journal's chain", "fedreg audit --verify"),
    ("The copy predicts what the original predicts", "fedreg download sm-eu:churn@version:1 downloaded"),
    ("", "native predict models:/churn@champion downloaded"),
)


@dataclass(slots=True)
class Tour:
    """A sandbox, and the gateway over it that commands go to. `promotion`: the last one that had to wait."""

    sandbox: Sandbox
    url: str
    tokens: Mapping[str, str]
    hub: Relay
    promotion: str = ""

    def variables(self, user: str = USER) -> dict[str, str]:
        return {"FEDREG_URL": self.url, "FEDREG_TOKEN": self.tokens[user]}


@dataclass(slots=True)
class Relay:
    """The way to a server, which can be cut."""

    directory: Path
    stack: ExitStack
    port: int
    target: int
    server: ServerProcess | None = None

    def up(self) -> None:
        command = [sys.executable, "-m", "fedreg.sandbox.relay", str(self.port), str(self.target)]
        self.server = start_server("relay", command, self.directory, self.stack)
        wait_until(self.server, lambda: answers(f"http://127.0.0.1:{self.port}"))

    def down(self) -> None:
        if self.server is not None:
            self.server.stop()


@click.command()
@click.option("--once", is_flag=True, help="End after the tour instead of staying up.")
@click.pass_context
def demo(ctx: click.Context, once: bool) -> None:
    """Boot five registries and a gateway over them, and run the main job on them.

    A real MLflow server, and stand-ins of SageMaker, Vertex AI, Azure ML and the Hugging Face Hub. Everything is on
    loopback and in a temporary directory; no credentials are needed, and nothing is left behind.
    """
    refuse_url(ctx)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as with Ctrl-C: everything is taken down
    with tempfile.TemporaryDirectory(prefix="fedreg-demo-") as directory:
        note("starting a real MLflow server, and stand-ins of SageMaker, Vertex AI, Azure ML and the Hub …")
        with boot_sandbox(Path(directory), KINDS) as sandbox, _gateway(sandbox) as tour:
            note("training models and registering them with each vendor's own SDK …")
            with seeding(sandbox) as wait:
                _show(tour, *STEPS[0])  # meanwhile: the gateway loads the SDKs too
                for said in wait():
                    note(said)
            for title, command in STEPS[1:]:
                _show(tour, title, command)
            if not once:
                _stay(tour)


@contextmanager
def _gateway(sandbox: Sandbox) -> Iterator[Tour]:
    """A gateway, as `fedreg serve` runs it, with two users: the SDKs are loaded once, not by every command."""
    tokens = {name: secrets.token_urlsafe() for name in (USER, APPROVER)}
    roles = {USER: "admin", APPROVER: "approver"}
    users = [
        {"subject": name, "sha256": hashlib.sha256(token.encode()).hexdigest(), "roles": [roles[name]]}
        for name, token in tokens.items()
    ]
    port = free_port()
    env = {**sandbox.env, "FEDREG_CONFIG": str(sandbox.config), "FEDREG__AUTH__TOKENS": json.dumps(users)}
    (sandbox.directory / LINK_FILE).write_text(LINK)
    with ExitStack() as stack:
        hub = sandbox.urls["Hugging Face stand-in"]
        relay = Relay(sandbox.directory, stack, free_port(), urlsplit(hub).port or 0)
        relay.up()
        sandbox.config.write_text(sandbox.config.read_text().replace(hub, f"http://127.0.0.1:{relay.port}"))
        tour = Tour(sandbox, f"http://127.0.0.1:{port}", tokens, relay)
        serve = [*FEDREG, "serve", "--port", str(port)]
        server = start_server("gateway", serve, sandbox.directory, stack, env)
        wait_until(server, lambda: answers(f"{tour.url}/healthz"))
        yield tour


def _show(tour: Tour, title: str, command: str) -> None:
    if title:
        click.echo(f"\n# {title}")
    command = command.replace("$PROMOTION", tour.promotion)
    user, colon, rest = command.partition(": ")
    asked = rest if colon and user == APPROVER else command
    program, *arguments = shlex.split(asked)
    if program in ("down", "up"):
        getattr(tour.hub, program)()
        click.echo(f"({arguments[0]} is {program})")
    elif program == "native":
        click.echo(f"$ python -m fedreg.sandbox.native {shlex.join(arguments)}")
        click.echo(run_module("fedreg.sandbox.native", tour.sandbox, *arguments).rstrip())
    else:
        click.echo(f"$ {asked}")
        _run(tour, asked, arguments, APPROVER if asked != command else USER)


def _run(tour: Tour, command: str, arguments: list[str], user: str) -> None:
    """Run a command as a user; a promotion that waits is remembered."""
    sys.stdout.flush()
    done = subprocess.run(
        [*FEDREG, *arguments],
        cwd=tour.sandbox.directory,
        env={**own_environment(), **tour.variables(user)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    click.echo(done.stdout, nl=False)
    waits = re.search(r"^operation +(promotion-\w+)$(?s:.*)^state +waiting$", done.stdout, re.MULTILINE)
    if waits is not None:
        tour.promotion = waits[1]
    if done.returncode and not (done.returncode == DIFFERENCES and arguments[0] == "drift"):
        raise RegistryError(f"`{command}` ended with exit code {done.returncode}", cure="its message is above")


def _stay(tour: Tour) -> None:
    exports = "\n".join(f"  export {name}={value}" for name, value in tour.variables().items())
    width = max(map(len, tour.sandbox.urls))
    places = "\n".join(f"{name:{width}} {url}" for name, url in tour.sandbox.urls.items())
    click.echo(
        f"""
The sandbox stays up until Ctrl-C. Try, in another shell:

{exports}
  fedreg inventory

The gateway's API is described at {tour.url}/docs; {tour.sandbox.config} is its configuration.

{places}"""
    )
    threading.Event().wait()
