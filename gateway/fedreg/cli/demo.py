"""`fedreg demo`: a sandbox of registries, and the main job on it, each command printed before its output."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click

from fedreg.cli.output import note
from fedreg.cli.session import refuse_url
from fedreg.domain.errors import RegistryError
from fedreg.sandbox.processes import own_environment
from fedreg.sandbox.sandbox import Sandbox, boot_sandbox, run_module, seed

# (what it is about, command): `fedreg …` is run as a user would, `native …` asks the vendor's own SDK.
STEPS = (
    ("What there is, in both registries", "fedreg inventory --versions"),
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
    ("What is in production, everywhere", "fedreg inventory --versions --stage production --refresh -o wide"),
    ("Where the copy came from", "fedreg lineage sm-eu:churn@version:1"),
    ("What happened to it", "fedreg history sm-eu:churn@version:1"),
    ("The journal's chain", "fedreg audit --verify"),
    ("The copy predicts what the original predicts", "fedreg download sm-eu:churn@version:1 downloaded"),
    ("", "native predict models:/churn@champion downloaded"),
)


@click.command()
@click.option("--once", is_flag=True, help="End after the tour instead of staying up.")
@click.pass_context
def demo(ctx: click.Context, once: bool) -> None:
    """Boot a real MLflow server, a stand-in of SageMaker and S3, and run the main job on them.

    Everything is on loopback and in a temporary directory; nothing is left behind.
    """
    refuse_url(ctx)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as with Ctrl-C: everything is taken down
    with tempfile.TemporaryDirectory(prefix="fedreg-demo-") as directory:
        note("starting a real MLflow server, the SageMaker stand-in and S3 …")
        with boot_sandbox(Path(directory)) as sandbox:
            note("training scikit-learn models and registering them with mlflow and boto3 …")
            note(seed(sandbox).strip())
            for title, command in STEPS:
                _show(sandbox, title, command)
            if not once:
                _stay(sandbox)


def _show(sandbox: Sandbox, title: str, command: str) -> None:
    if title:
        click.echo(f"\n# {title}")
    program, *arguments = shlex.split(command)
    if program == "native":
        click.echo(f"$ python -m fedreg.sandbox.native {shlex.join(arguments)}")
        click.echo(run_module("fedreg.sandbox.native", sandbox, *arguments).rstrip())
        return
    click.echo(f"$ {command}")
    sys.stdout.flush()
    done = subprocess.run(
        [sys.executable, "-m", "fedreg.cli.main", *arguments],
        cwd=sandbox.directory,
        env={**own_environment(), "FEDREG_CONFIG": str(sandbox.config)},
        check=False,
    )
    if done.returncode:
        raise RegistryError(f"`{command}` ended with exit code {done.returncode}", cure="its message is above")


def _stay(sandbox: Sandbox) -> None:
    click.echo(
        f"""
The sandbox stays up until Ctrl-C. Try, in another shell:

  export FEDREG_CONFIG={sandbox.config}
  fedreg inventory
  fedreg serve                 # then open http://127.0.0.1:8080/docs

MLflow             {sandbox.mlflow_url}
SageMaker stand-in {sandbox.sagemaker_url}
S3 (moto)          {sandbox.s3_url}"""
    )
    threading.Event().wait()
