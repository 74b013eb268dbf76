"""The benchmarks run, at sizes that say nothing about speed, and compute what they claim to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TINY = [
    "--size",
    "9MiB",
    "--rows",
    "200",
    "--rounds",
    "1",
    "--seconds",
    "0.05",
    "--promotions",
    "3",
    "--kept-promotions",
    "6",
    "--models",
    "1",
    "--json",
]
ROWS = {
    "keyed-read": 2,
    "live-read": 2,
    "isolation": 4,
    "loop-lag": 1,
    "inventory": 4,
    "lineage": 1,
    "copy": 2,
    "migration": 2,
    "promotions": 1,
    "linked-promotions": 1,
    "promotion-latency": 1,
    "promotion-resume": 1,
    "promotion-memory": 1,
    "help": 1,
    "footprint": 7,
}
SAMPLE = ("keyed-read", "promotions", "help")  # the others start more servers, or write more


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROOT / "gateway"), str(ROOT / "adapters")))
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SAMPLE else [pytest.mark.soak]) for name in ROWS]
)
def test_each_benchmark_runs(name: str) -> None:
    done = run(name, *TINY)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["failed"] == {}
    assert len(found["rows"]) == ROWS[name]
    for row in found["rows"]:
        assert row["figure"]
        assert row["target"]
        assert isinstance(row["met"], bool)
        assert row["ratio"] is None or row["ratio"] > 0


def test_the_table_names_every_benchmark() -> None:
    from benchmarks.__main__ import BENCHMARKS

    assert list(BENCHMARKS) == list(ROWS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "no benchmark 'nothing'"),
        (["copy", "--size", "huge"], "--size"),
        (["copy", "--rounds", "0"], "--rounds"),
        (["live-read", "--seconds", "-1"], "--seconds"),
    ],
)
def test_a_wrong_word_is_a_usage_error(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_failing_benchmark_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import __main__ as command
    from benchmarks import lineage, starting
    from benchmarks.options import Options
    from benchmarks.table import Row

    row = Row(name="well", figure="1 s", value=1.0, unit="s")

    def fail(_: Options) -> list[Row]:
        raise OSError("no disk")

    monkeypatch.setattr(lineage, "measure", fail)
    monkeypatch.setattr(starting, "measure", lambda _: [row])
    rows, failed = command.run(["lineage", "help"], Options())
    assert rows == [row]
    assert failed == {"lineage": "OSError: no disk"}
    assert command.main(["lineage", "--json"]) == 1
    assert command.main(["help", "--json"]) == 0


def test_a_quantile_of_the_loop_lag_is_linear_within_a_bucket() -> None:
    from benchmarks.loop_lag import quantile, read_buckets
    from benchmarks.processes import BenchmarkFailed

    text = """\
# TYPE fedreg_event_loop_lag_seconds histogram
fedreg_event_loop_lag_seconds_bucket{le="0.01"} 90.0
fedreg_event_loop_lag_seconds_bucket{le="0.03"} 98.0
fedreg_event_loop_lag_seconds_bucket{le="0.05"} 100.0
fedreg_event_loop_lag_seconds_bucket{le="+Inf"} 100.0
fedreg_event_loop_lag_seconds_count 100.0
"""
    buckets = read_buckets(text)
    assert [quantile(buckets, share) for share in (0.45, 0.98, 0.99)] == pytest.approx([0.005, 0.03, 0.04])
    assert quantile({0.01: 0.0, float("inf"): 4.0}, 0.99) == 0.01  # beyond the last bound that bound
    for nothing in ("", text.replace("90.0", "0").replace("98.0", "0").replace("100.0", "0")):
        with pytest.raises(BenchmarkFailed):
            quantile(read_buckets(nothing), 0.99)


def test_the_footprint_knows_every_kind_with_an_sdk() -> None:
    from benchmarks.footprint import CEILINGS
    from benchmarks.kinds import SDKS, make_registries

    from fedreg.registries.manifests import list_manifests

    kinds = {kind for kind, manifest in list_manifests().items() if manifest.standin or kind != "memory"}
    assert set(SDKS) == set(CEILINGS) == set(make_registries()) == kinds


def test_a_verdict_is_about_the_value() -> None:
    from benchmarks.table import at_least, at_most

    assert at_least(0.5, 0.5) == {"target": ">= 0.5", "met": True}
    assert at_least(0.49, 0.5)["met"] is False
    assert at_most(8.0, 8.0) == {"target": "<= 8", "met": True}
    assert at_most(8.1, 8.0)["met"] is False


def test_the_ratio_of_a_copy_is_the_plain_time_over_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import copying
    from benchmarks.copying import Copied
    from benchmarks.processes import Child

    plain = Child("plain", None, None)  # type: ignore[arg-type]
    ours = Child("ours", None, None)  # type: ignore[arg-type]
    seconds = {"plain": iter((1.0, 3.0, 2.0)), "ours": iter((2.0, 4.0, 5.0))}

    class Grown:
        bytes = 65 << 20

        def __init__(self, _: int) -> None: ...

        def __enter__(self) -> Grown:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(copying, "_copy", lambda child, size, s3: Copied(next(seconds[child.module]), 0.5))
    monkeypatch.setattr(copying, "Growth", Grown)
    monkeypatch.setattr(Child, "pid", 0)
    speed, memory = copying._measure_size(ours, plain, 4 << 20, "", 3, judged=True)
    assert speed.ratio == 0.5  # the median of 1/2, 3/4 and 2/5
    assert speed.met is True
    assert speed.figure.startswith("4.00 s, 1 MiB/s")
    assert (memory.figure, memory.met) == ("+65 MiB", False)


@pytest.mark.parametrize(("text", "size"), [("1GiB", 1 << 30), ("64 mib", 64 << 20), ("3KiB", 3 << 10), ("17", 17)])
def test_sizes(text: str, size: int) -> None:
    from benchmarks.sizes import parse_size

    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1GB", "MiB", "1.5GiB"])
def test_no_sizes(text: str) -> None:
    from benchmarks.sizes import parse_size

    with pytest.raises(ValueError, match="64MiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([3.0], 0.5, 3.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([4.0, 1.0], 0.99, 4.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
    ],
)
def test_percentiles(values: list[float], share: float, expected: float) -> None:
    from benchmarks.sizes import percentile

    assert percentile(values, share) == expected


@pytest.mark.parametrize(
    ("header", "expected"), [(None, (0, 10)), ("bytes=3-", (3, 10)), ("bytes=2-4", (2, 5)), ("bytes=8-99", (8, 10))]
)
def test_ranges(header: str | None, expected: tuple[int, int]) -> None:
    from benchmarks.servers.http import byte_range

    assert byte_range(header, 10) == expected


async def test_the_s3_of_the_benchmarks_gives_back_what_obstore_put() -> None:
    import obstore
    from benchmarks.processes import start_server
    from obstore.store import S3Store

    content = os.urandom(3 << 20)
    with start_server("benchmarks.servers.s3") as (_, url):
        store = S3Store(
            "bench",
            endpoint=url,
            access_key_id="a",
            secret_access_key="b",
            region="x",
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )
        await obstore.put_async(store, "parts", content, use_multipart=True, chunk_size=1 << 20)
        await obstore.put_async(store, "one", b"one", use_multipart=False)
        assert bytes(await (await obstore.get_async(store, "parts")).bytes_async()) == content
        assert (
            bytes(await obstore.get_range_async(store, "parts", start=5, end=(2 << 20) + 7))
            == content[5 : (2 << 20) + 7]
        )
        listed = [meta["path"] async for page in obstore.list(store) for meta in page]
        assert listed == ["one", "parts"]
        await obstore.delete_async(store, ["one", "parts"])
        with pytest.raises(FileNotFoundError):
            await obstore.head_async(store, "one")
