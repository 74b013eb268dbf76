"""Booting a sandbox: registries, a configuration over them, and the models a data scientist would have made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from importlib.util import find_spec
from operator import or_
from pathlib import Path

from fedreg.domain.errors import ConfigError, RegistryUnavailable
from fedreg.sandbox.processes import ServerProcess, own_environment, start_server
from fedreg.sandbox.servers import QUIET, STARTS, Booted

KINDS = tuple(STARTS)
# kind -> what the sandbox imports for it, beyond what fedreg itself needs
NEEDED: Mapping[str, tuple[str, ...]] = {
    "mlflow": ("mlflow", "sklearn"),
    "sagemaker": ("boto3", "moto", "flask", "numpy"),
    "vertex": ("google.cloud.aiplatform_v1", "grpc"),
    "azureml": ("azure.ai.ml", "azure.mgmt.machinelearningservices", "trustme"),
    "huggingface": ("huggingface_hub",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A booted sandbox: its kinds, addresses by name, the configuration over it, and what vendors' SDKs need."""

    directory: Path
    config: Path
    kinds: tuple[str, ...]
    urls: Mapping[str, str]
    sdk_env: Mapping[str, str]

    @property
    def mlflow_url(self) -> str:
        return self.urls["MLflow"]

    @property
    def sagemaker_url(self) -> str:
        return self.urls["SageMaker stand-in"]

    @property
    def s3_url(self) -> str:
        return self.urls["S3 (moto)"]

    @property
    def env(self) -> dict[str, str]:
        """What vendor SDKs need to talk to the sandbox, and to nothing else."""
        kept = str(self.directory)  # mlflow and huggingface_hub leave there what they download
        return {**QUIET, **self.sdk_env, "TMPDIR": kept, "HF_HOME": f"{kept}/huggingface"}


@contextmanager
def boot_sandbox(directory: Path, kinds: Sequence[str] = ("mlflow", "sagemaker")) -> Iterator[Sandbox]:
    """Start the servers of these kinds side by side, write `fedreg.yaml`, and stop everything at the end.

    Raises ConfigError where a package is missing, RegistryUnavailable where a server does not start.
    """
    missing = sorted({module for kind in kinds for module in NEEDED[kind] if not _is_installed(module)})
    if missing:
        raise ConfigError(f"the sandbox needs {', '.join(missing)}", cure="pip install 'fedreg[demo]'")
    with ExitStack() as stack:
        booted = _boot(directory, kinds, stack)
        config = directory / "fedreg.yaml"
        sections = "".join(each.config for each in booted)
        config.write_text(f'store: {{url: "sqlite:///fedreg.db"}}\nregistries:\n{sections}')
        yield Sandbox(
            directory=directory,
            config=config,
            kinds=tuple(kinds),
            urls=reduce(or_, (dict(each.urls) for each in booted)),
            sdk_env=reduce(or_, (dict(each.env) for each in booted)),
        )


def _boot(directory: Path, kinds: Sequence[str], stack: ExitStack) -> list[Booted]:
    with ThreadPoolExecutor(len(kinds)) as pool:
        starts = [pool.submit(STARTS[kind], directory, stack) for kind in kinds]
        try:
            return [start.result() for start in starts]
        except BaseException:  # the threads are waited for, and they wait for servers
            stack.close()
            raise


def seed(sandbox: Sandbox) -> list[str]:
    """Make models with the vendors' own SDKs, a process for each kind; returns what they said."""
    with seeding(sandbox) as wait:
        return wait()


@contextmanager
def seeding(sandbox: Sandbox) -> Iterator[Callable[[], list[str]]]:
    """The same in the background: what it gives waits for the end. RegistryUnavailable where one fails."""
    with ExitStack() as stack:
        running = []
        for kind in sandbox.kinds:
            command = [sys.executable, "-m", "fedreg.sandbox.seed", kind]
            running.append(start_server(f"seed-{kind}", command, sandbox.directory, stack, sandbox.env))
        yield lambda: [_wait_for(each) for each in running]


def _wait_for(seed: ServerProcess) -> str:
    failed, text = seed.process.wait(), seed.log.read_text(errors="replace").strip()
    if failed:
        raise RegistryUnavailable(f"{seed.name} failed:\n{text[-2000:]}", cure="see the message above")
    return text.rpartition("\n")[2]


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


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package above it
        return False
