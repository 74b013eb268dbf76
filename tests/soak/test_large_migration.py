"""3,000 versions from a real MLflow server to SageMaker with `fedreg migrate`, killed three times on the way.

What arrived is counted with boto3, memory is sampled from outside, and every figure is printed (`pytest -s`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from re import compile as pattern
from typing import Any

import boto3
import psutil
import pytest

from fedreg.sandbox.sandbox import Sandbox, boot_sandbox
from fedreg.sandbox.servers import BUCKET, CREDENTIALS, REGION

from ..e2e.mlflow_models import make_small_versions, small_files

MODELS, VERSIONS = 300, 10
ALL = MODELS * VERSIONS
# Settled versions after which the process dies; memory is judged on the stretch between the last two.
KILLS = (100, 300, 2700)
# By how much memory may grow from version WARM on: resident, and without the files that are mapped.
WARM = 500
MIB = 1 << 20
GROWTH, OWN_GROWTH = 64 * MIB, 32 * MIB
JOBS = 8
EVERY = 0.5  # seconds between two samples
PREFIX = "large"
_DONE = pattern(r": (\d+) of \d+ versions")

pytestmark = pytest.mark.soak


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with boot_sandbox(tmp_path) as booted:
        yield booted


@dataclass(frozen=True)
class Sample:
    """Seconds since the start, settled versions, resident bytes, and those of them that no file is mapped to.

    SQLite maps its files, so that the resident bytes hold as much of the store as was read lately.
    """

    seconds: float
    settled: int
    resident: int
    own: int


@dataclass
class Run:
    """One process: its exit code, what it printed, and samples over its life."""

    code: int = 0
    out: str = ""
    samples: list[Sample] = field(default_factory=list)

    def since(self, settled: int) -> list[Sample]:
        """Samples from the moment that so many versions were settled."""
        return [sample for sample in self.samples if sample.settled >= settled]


def migrate(sandbox: Sandbox, report: Path, *, kill_at: int | None) -> Run:
    """`fedreg migrate` in a process of its own, killed once so many versions are settled."""
    command = [sys.executable, "-m", "fedreg.cli.main", "--config", str(sandbox.config), "migrate"]
    command += [
        "mlflow-prod",
        "sm-eu",
        "--model",
        f"{PREFIX}-*",
        "--jobs",
        str(JOBS),
        "--report",
        str(report),
        "--json",
    ]
    log = report.with_suffix(".log")
    run, started, seen = Run(), time.monotonic(), 0
    with log.open("w") as errors, report.with_suffix(".out").open("w+") as out:
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        try:
            memory = psutil.Process(process.pid)
            while process.poll() is None:
                told = _DONE.findall(log.read_text())
                seen = int(told[-1]) if told else seen
                used = memory.memory_info()
                run.samples.append(Sample(time.monotonic() - started, seen, used.rss, used.rss - used.shared))
                if kill_at is not None and seen >= kill_at:
                    process.kill()
                time.sleep(EVERY)
        finally:
            process.kill()
            run.code = process.wait()
        out.seek(0)
        run.out = out.read()
    return run


async def test_three_thousand_versions_arrive_once_through_three_kills(sandbox: Sandbox, tmp_path: Path) -> None:
    started = time.monotonic()
    await make_small_versions(sandbox.mlflow_url, PREFIX, MODELS, VERSIONS)
    print(f"\nseeded {ALL} versions in {time.monotonic() - started:.0f} s")
    runs = []
    for kill_at in (*KILLS, None):
        runs.append(migrate(sandbox, tmp_path / "report.jsonl", kill_at=kill_at))
        tell(runs[-1])
    assert [run.code for run in runs] == [-9, -9, -9, 0], (tmp_path / "report.log").read_text()[-2000:]

    numbers = range(1, VERSIONS + 1)
    made = [small_files(f"{PREFIX}-{model:03}", number) for model in range(MODELS) for number in numbers]
    assert read_arrived(sandbox) == Counter(files["model.bin"] for files in made), "each stands there exactly once"

    report: dict[str, Any] = json.loads(runs[-1].out)
    print("phases", report["seconds"])
    assert (report["source_versions"], report["missing"], report["failed"], report["complete"]) == (ALL, 0, 0, True)
    assert report["moved"] + report["lossy"] == ALL, "killed or not, it is one migration"
    rows = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert len({row["source"] for row in rows}) == len({row["target"] for row in rows}) == len(rows) == ALL

    first, *later = runs[len(KILLS) - 1].since(WARM)
    grown, own = (max(getattr(s, of) - getattr(first, of) for s in later) for of in ("resident", "own"))
    print(f"grown from version {WARM} to {KILLS[-1]}: {grown / MIB:.0f} MiB, {own / MIB:.0f} MiB without mapped files")
    assert grown <= GROWTH
    assert own <= OWN_GROWTH


def tell(run: Run) -> None:
    """The pace and the memory of a process, every 250 versions."""
    print(f"ended with {run.code} after {run.samples[-1].seconds:.0f} s, {run.samples[-1].settled} settled")
    shown = 1
    for sample in run.samples:
        if sample.settled >= shown:
            resident, own = sample.resident / MIB, sample.own / MIB
            print(f"  {sample.seconds:6.1f} s {sample.settled:5} versions {resident:6.0f} MiB, {own:.0f} unmapped")
            shown = sample.settled + 250


def read_arrived(sandbox: Sandbox) -> Counter[bytes]:
    """Content of `model.bin` -> ready versions that have it: read with boto3 alone."""
    session = boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    sagemaker = session.client("sagemaker", endpoint_url=sandbox.sagemaker_url)
    s3 = session.client("s3", endpoint_url=sandbox.s3_url)

    def read(arn: str) -> bytes:
        package = sagemaker.describe_model_package(ModelPackageName=arn)
        assert package["ModelPackageStatus"] == "Completed"
        [container] = package["InferenceSpecification"]["Containers"]
        place = container["ModelDataSource"]["S3DataSource"]["S3Uri"].removeprefix(f"s3://{BUCKET}/")
        content: bytes = s3.get_object(Bucket=BUCKET, Key=f"{place}model.bin")["Body"].read()
        return content

    groups = sagemaker.get_paginator("list_model_package_groups").paginate()
    names = [group["ModelPackageGroupName"] for page in groups for group in page["ModelPackageGroupSummaryList"]]
    pages = sagemaker.get_paginator("list_model_packages")
    arns = [
        package["ModelPackageArn"]
        for name in names
        for page in pages.paginate(ModelPackageGroupName=name)
        for package in page["ModelPackageSummaryList"]
    ]
    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(read, arns))
