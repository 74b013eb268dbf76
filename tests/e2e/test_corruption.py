"""Bytes that change on their way, or at rest: the copy fails, nothing is registered, and a re-run succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from fedreg import aio
from fedreg.client.local import LocalClient
from fedreg.domain.errors import IntegrityError, NotFound, RegistryUnavailable
from fedreg.domain.refs import Ref
from fedreg.domain.reports import ModelView
from fedreg.sandbox.sandbox import Sandbox
from fedreg.sandbox.servers import BUCKET
from fedreg.testing.backend import Fault, FaultKind, Match
from fedreg.testing.faults import FaultProxy

SOURCE = "mlflow-prod:churn@version:2"
_serial = count(1)


class Between:
    """A client whose traffic with both registries passes fault proxies, and a target model of its own."""

    def __init__(self, sandbox: Sandbox, client: LocalClient, mlflow: FaultProxy, s3: FaultProxy) -> None:
        self.sandbox, self.client, self.mlflow, self.s3 = sandbox, client, mlflow, s3
        self.target = Ref("sm-eu", f"corrupt-{next(_serial)}")

    async def objects(self) -> list[str]:
        """Keys that the copy's target has in S3."""
        url = f"{self.sandbox.s3_url}/{BUCKET}?list-type=2&prefix=fedreg/{self.target.model}/"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return [part.split("</Key>")[0] for part in (await answer.text()).split("<Key>")[1:]]

    async def versions(self) -> list[str]:
        try:
            view = await self.client.show(self.target)
        except NotFound:
            return []
        assert isinstance(view, ModelView)
        return [version.version for version in view.versions]


@pytest_asyncio.fixture
async def between(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Between]:
    async with FaultProxy(sandbox.mlflow_url) as mlflow, FaultProxy(sandbox.s3_url) as s3:
        config = tmp_path / "fedreg.yaml"
        text = sandbox.config.read_text().replace(sandbox.s3_url, s3.url).replace(sandbox.mlflow_url, mlflow.url)
        config.write_text(text)
        async with aio.open(config) as client:
            yield Between(sandbox, client, mlflow, s3)


async def fails_then_succeeds(between: Between, words: str) -> None:
    """Nothing of the failed copy stays; the next one is good."""
    with pytest.raises(IntegrityError, match=words):
        await between.client.copy(SOURCE, between.target)
    assert await between.versions() == []
    assert await between.objects() == []
    between.s3.clear()
    between.mlflow.clear()
    report = await between.client.copy(SOURCE, between.target)
    assert report.moved and await between.versions() == ["1"]
    assert (await between.client.check(SOURCE, report.target, download=True)).same


async def test_a_byte_flipped_on_the_way_to_the_target(between: Between) -> None:
    between.s3.inject(Fault(kind=FaultKind.FLIP_UPLOAD, match=Match(method="PUT", path="model.skops"), at=100))
    await fails_then_succeeds(between, "'model.skops' has other bytes")


async def test_a_byte_flipped_at_the_destination(between: Between) -> None:
    """At rest: what S3 gives back is not what it was given, every time it is asked."""
    rule = Match(method="GET", path="model.skops")
    between.s3.inject(Fault(kind=FaultKind.FLIP_DOWNLOAD, match=rule, at=7, times=0))
    await fails_then_succeeds(between, "'model.skops' has other bytes")


async def test_an_artifact_truncated_once_is_read_on_from_there(between: Between) -> None:
    rule = Match(method="GET", path="model.skops")
    between.mlflow.inject(Fault(kind=FaultKind.TRUNCATE, match=rule, at=50))
    report = await between.client.copy(SOURCE, between.target)
    assert between.mlflow.fired == 1
    assert (await between.client.check(SOURCE, report.target, download=True)).same


async def test_an_artifact_that_always_ends_short_is_never_registered(between: Between) -> None:
    rule = Match(method="GET", path="model.skops")
    between.mlflow.inject(Fault(kind=FaultKind.TRUNCATE, match=rule, at=0, times=0))
    with pytest.raises((IntegrityError, RegistryUnavailable)):
        await between.client.copy(SOURCE, between.target)
    assert await between.versions() == []
    between.mlflow.clear()
    assert (await between.client.copy(SOURCE, between.target)).moved
    assert await between.versions() == ["1"]


async def test_a_source_that_gives_other_bytes_than_before(between: Between) -> None:
    await between.client.copy(SOURCE, Ref("sm-eu", f"{between.target.model}-first"))
    rule = Match(method="GET", path="model.skops")
    between.mlflow.inject(Fault(kind=FaultKind.FLIP_DOWNLOAD, match=rule, at=9, times=0))
    await fails_then_succeeds(between, "other bytes than when it was read before")


async def test_the_same_version_copied_twice_at_once_is_copied_once(between: Between) -> None:
    reports = await asyncio.gather(*(between.client.copy(SOURCE, between.target) for _ in range(4)))
    assert {report.target for report in reports} == {f"{between.target}@version:1"}
    assert await between.versions() == ["1"]


async def test_a_tar_gz_copy_has_the_same_payload(between: Between) -> None:
    report = await between.client.copy(SOURCE, between.target, packaging="tar.gz")
    assert (await between.client.check(SOURCE, report.target, download=True)).same
    # fedreg.json holds the metrics and params; nothing of what was staged is left
    assert sorted(key.rsplit("/", 1)[1] for key in await between.objects()) == ["fedreg.json", "model.tar.gz"]


async def test_a_copy_goes_back_to_mlflow_and_loads(between: Between, tmp_path: Path) -> None:
    """There and back again: what returns to MLflow has the bytes that left it."""
    there = await between.client.copy(SOURCE, between.target)
    back = await between.client.copy(there.target, Ref("mlflow-prod", f"{between.target.model}-back"))
    assert back.digest == there.digest
    assert (await between.client.check(SOURCE, back.target, download=True)).same
