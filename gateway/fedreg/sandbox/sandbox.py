"""Booting a sandbox: registries, a configuration over them, and the models a data scientist would have made."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template

from fedreg.domain.errors import ConfigError, RegistryUnavailable
from fedreg.registries.manifests import load_manifest
from fedreg.sandbox.processes import ServerProcess, answers, free_port, own_environment, start_server, wait_until

BUCKET = "models-eu"
REGION = "eu-west-1"
NEEDED = ("mlflow", "sklearn", "moto", "flask", "boto3")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONWARNINGS": "ignore",
}
# What boto3 and the S3 client of a sandbox sign with: there is nothing to protect, and no real key may be used.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "sandbox",
    "AWS_SECRET_ACCESS_KEY": "sandbox",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}

CONFIG = Template("""\
store: {url: "sqlite:///fedreg.db"}
registries:
  mlflow-prod:
    kind: mlflow
    url: "$mlflow"
    stages: {held_by: alias, map: {production: champion}}
  sm-eu:
    kind: sagemaker
    region: $region
    artifact_root: "s3://$bucket/fedreg"
    endpoint_url: "$sagemaker"
    s3_endpoint_url: "$s3"
    sts_endpoint_url: "$sagemaker"
    access_key_id: sandbox
    secret_access_key: sandbox
    inference: {image: "123456789012.dkr.ecr.$region.amazonaws.com/sklearn:1.5"}
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """Addresses of a booted sandbox, and the configuration over it."""

    directory: Path
    config: Path
    mlflow_url: str
    sagemaker_url: str
    s3_url: str

    @property
    def env(self) -> dict[str, str]:
        """What vendor SDKs need to talk to the sandbox, and to nothing else."""
        return {
            **QUIET,
            **CREDENTIALS,
            "TMPDIR": str(self.directory),  # mlflow leaves what it downloads there
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "AWS_ENDPOINT_URL_SAGEMAKER": self.sagemaker_url,
            "AWS_ENDPOINT_URL_S3": self.s3_url,
        }


@contextmanager
def boot_sandbox(directory: Path) -> Iterator[Sandbox]:
    """Start the servers side by side, write `fedreg.yaml`, and stop everything at the end.

    Raises ConfigError where a package is missing, RegistryUnavailable where a server does not start.
    """
    missing = [module for module in NEEDED if find_spec(module) is None]
    if missing:
        raise ConfigError(f"the sandbox needs {', '.join(missing)}", cure="pip install 'fedreg[demo]'")
    with ExitStack() as stack, ThreadPoolExecutor(3) as pool:
        starts = [pool.submit(start, directory) for start in (start_mlflow, start_s3, start_sagemaker)]
        errors = [error for start in starts if (error := start.exception()) is not None]
        for start in starts:
            if start.exception() is None:
                stack.callback(start.result()[0].stop)
        if errors:
            raise errors[0]
        mlflow_url, s3_url, sagemaker_url = (start.result()[1] for start in starts)
        create_bucket(s3_url, BUCKET)
        config = directory / "fedreg.yaml"
        config.write_text(
            CONFIG.substitute(mlflow=mlflow_url, sagemaker=sagemaker_url, s3=s3_url, region=REGION, bucket=BUCKET)
        )
        yield Sandbox(
            directory=directory, config=config, mlflow_url=mlflow_url, sagemaker_url=sagemaker_url, s3_url=s3_url
        )


def seed(sandbox: Sandbox) -> str:
    """Train and register models with the vendors' own SDKs, in a process of its own; returns what it said."""
    return run_module("fedreg.sandbox.seed", sandbox)


def run_module(module: str, sandbox: Sandbox, *arguments: str) -> str:
    """Run a module of the sandbox with the vendors' SDKs pointed at it. RegistryUnavailable where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**own_environment(), **sandbox.env},
        cwd=sandbox.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RegistryUnavailable(f"{module} failed:\n{done.stderr[-2000:]}", cure="see the message above")
    return done.stdout


def start_mlflow(directory: Path) -> tuple[ServerProcess, str]:
    """A real `mlflow server` with its artifact proxy, one worker, on SQLite."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./mlflow-artifacts"]
    env = {**QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = start_server("mlflow", command, directory, env)
    wait_until(server, lambda: answers(f"{url}/health"))
    return server, url


def start_s3(directory: Path) -> tuple[ServerProcess, str]:
    """moto's S3."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = start_server("s3", command, directory, CREDENTIALS)
    wait_until(server, lambda: answers(url))
    return server, url


def start_sagemaker(directory: Path) -> tuple[ServerProcess, str]:
    """The stand-in of the SageMaker registry, as its manifest names it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    module = (load_manifest("sagemaker").standin or "").partition(":")[0]
    command = [sys.executable, "-m", module, "--host", "127.0.0.1", "--port", str(port), "--region", REGION]
    server = start_server("sagemaker", command, directory)
    wait_until(server, lambda: answers(f"{url}/_standin/state"))
    return server, url


def create_bucket(s3_url: str, bucket: str) -> None:
    """Make a bucket at moto."""
    request = urllib.request.Request(f"{s3_url}/{bucket}", method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        return
