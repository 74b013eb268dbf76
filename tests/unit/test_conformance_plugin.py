"""The suite's plugin: it refuses a weakened suite, skips by capability only, and counts; and the suite finds faults."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

MODULE = """
import pytest
from fedreg.testing.suite import *
from fedreg_adapters.memory.adapter import MemoryAdapter
from fedreg_adapters.memory.manifest import MANIFEST, MemoryOptions
from fedreg_adapters.memory.standin import drop_space
from fedreg.testing.backend import Backend

class Adapter(MemoryAdapter):
    pass

class Memory(Backend):
    manifest = MANIFEST
    async def open_adapter(self, calls=None):
        return Adapter(self.registry, MemoryOptions(space="plugin"), calls or self.make_calls())

@pytest.fixture
def backend():
    yield Memory()
    drop_space("plugin")
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest('pytest_plugins = ["fedreg.testing.plugin"]')
    pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider\nasyncio_mode = strict")
    return pytester


def run(suite: pytest.Pytester, added: str, *arguments: str) -> pytest.RunResult:
    suite.makepyfile(test_it=MODULE + added)
    return suite.runpytest(*arguments)


def test_passes_and_counts(suite: pytest.Pytester) -> None:
    result = run(suite, "", "-k", "TestAliases or TestModels")
    result.assert_outcomes(passed=12, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(["*conformance of memory*", "models*4 passed", "set_alias*8 passed"])


@pytest.mark.parametrize("mark", ["", "@pytest.mark.skip", "@pytest.mark.xfail", "@pytest.mark.xfail(strict=True)"])
def test_refuses_an_override_without_a_reason(suite: pytest.Pytester, mark: str) -> None:
    override = f"""
_suite = TestAliases
class TestAliases(_suite):
    {mark}
    async def test_moves(self): ...
"""
    result = run(suite, override, "-k", "TestModels")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*TestAliases.test_moves overrides a conformance test without*"])


def test_refuses_a_test_taken_away(suite: pytest.Pytester) -> None:
    result = run(suite, "\n_suite = TestAliases\nclass TestAliases(_suite):\n    test_moves = None\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_refuses_a_class_taken_away(suite: pytest.Pytester) -> None:
    result = run(suite, "\ndel TestAliases\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*TestAliases of the conformance suite is missing*"])


def test_asks_for_the_manifest(suite: pytest.Pytester) -> None:
    result = run(suite, "\ndel MANIFEST\n")
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*import the adapter's MANIFEST*"])


def test_an_override_with_a_reason_is_counted(suite: pytest.Pytester) -> None:
    override = """
_suite = TestAliases
class TestAliases(_suite):
    @pytest.mark.xfail(reason="the vendor forgets aliases on Sundays", strict=True)
    async def test_moves(self): raise AssertionError
"""
    result = run(suite, override, "-k", "TestAliases")
    result.assert_outcomes(passed=7, xfailed=1, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(["set_alias*7 passed, 1 xfailed"])


def test_kind_chooses(suite: pytest.Pytester) -> None:
    result = run(suite, "\ndef test_other(): pass\n", "--kind", "mlflow")
    result.assert_outcomes(passed=1, deselected=result.parseoutcomes()["deselected"])
    chosen = run(suite, "\ndef test_other(): pass\n", "--kind", "memory", "-k", "TestModels")
    chosen.assert_outcomes(passed=4, deselected=chosen.parseoutcomes()["deselected"])


def test_on_a_real_registry_faults_are_not_tried_and_counted(suite: pytest.Pytester) -> None:
    result = run(suite, "\nLIVE = True\n", "-k", "TestReadFaults or TestModels")
    faults = result.parseoutcomes()["skipped"]
    assert faults > 40 and result.parseoutcomes()["passed"] == 4 and "failed" not in result.parseoutcomes()
    result.stdout.fnmatch_lines([f"faults: reads*{faults} skipped", f"not tried:*{faults}  no fault can be put *"])


DEFECTS = {
    "forgets the offset": (
        "def defect(self, model, version, file, offset=0):\n    return good(self, model, version, file, 0)\n",
        "open_file",
        "TestFiles and any_offset",
    ),
    "moves production too far": (
        "async def defect(self, target, stage, expected=None):\n    return await good(self, target, stage)\n",
        "set_stage",
        "TestStages and expected_lost",
    ),
    "makes twins": (
        "async def defect(self, state):\n"
        "    given = {'upload': state.data['upload'], 'fields': dict(state.data['fields'])}\n"
        "    await self._client.tell('finish', 'release.publish', state.model, token=state.key, **given)\n"
        "    return await self.find_version(state.model, state.key)\n",
        "finish",
        "TestUploads and finish_twice",
    ),
    "accepts any path": (
        "async def defect(self, state, file):\n"
        "    from fedreg.domain.models import FileReceipt\n"
        "    return FileReceipt(path=file.path, size=file.size)\n",
        "put_file",
        "TestUploads and path_that_leads_outside",
    ),
    "keeps no comment": (
        "async def defect(self, target, decision, comment=None):\n    return await good(self, target, decision)\n",
        "set_approval",
        "TestApproval and comment",
    ),
    "sees no change": (
        "async def defect(self, cursor):\n"
        "    from dataclasses import replace\n"
        "    batch = await good(self, cursor)\n"
        "    return batch if batch.full else replace(batch, models=(), versions=())\n",
        "scan",
        "TestIncrementalScan and sees",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_the_suite_finds(suite: pytest.Pytester, defect: str) -> None:
    code, method, where = DEFECTS[defect]
    added = f"\ngood = MemoryAdapter.{method}\n{code}\nAdapter.{method} = defect\n"
    result = run(suite, added, "-k", where)
    assert result.parseoutcomes().get("failed", 0) >= 1, f"an adapter that {defect} passes"


@pytest.mark.parametrize(
    ("narrowed", "where"),
    [
        ("operations=MANIFEST.capabilities.operations - {Operation.SET_ALIAS}", "TestUnsupported and set_alias"),
        ("limits=replace(MANIFEST.capabilities.limits, alias=40)", "TestLimits and alias"),
        ("limits=replace(MANIFEST.capabilities.limits, alias=80)", "TestLimits and alias"),
        ("custom_stages=None", "TestUnsupported and test_stage"),
        ("approvals=frozenset()", "TestDeclaration and agree"),
    ],
)
def test_the_suite_finds_a_wrong_declaration(suite: pytest.Pytester, narrowed: str, where: str) -> None:
    """Declared too little, or too much."""
    added = f"""
from dataclasses import replace
from fedreg.domain.capabilities import Operation
CAPABILITIES = replace(MANIFEST.capabilities, {narrowed})
Adapter.capabilities = property(lambda self: CAPABILITIES)
"""
    result = run(suite, added, "-k", where)
    assert result.parseoutcomes().get("failed", 0) >= 1
