"""The pytest plugin of the conformance suite.

Load it from the top conftest: `pytest_plugins = ["fedreg.testing.plugin"]`. A test module takes part by
importing the suite with `*` and a `MANIFEST`; a registry that narrows its manifest in `open()` also names
`CAPABILITIES`, what is left; a module for a real account says `LIVE = True`. The plugin parametrises by them, skips
what is not declared (each such operation is then tested for its Unsupported), refuses a suite test that was overridden
without `xfail(reason=…)`, and counts at the end what was proven of each kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from fedreg.domain.capabilities import Capabilities
from fedreg.domain.port import RegistryAdapter
from fedreg.testing.backend import Backend
from fedreg.testing.declared import PARAMETERS

SUITE = "fedreg.testing.conformance"
LIVE = "live: "  # opens the reason of a skip that a stand-in would not need; the summary counts these
MARKS = (
    "fedreg_proves(capability): what a conformance test counts towards",
    "fedreg_needs(*operations): runs only where these operations are declared",
    "fedreg_faults: puts faults between adapter and registry; skipped where the module says LIVE = True",
    "fedreg_needs_field(*names): runs only where these fields are declared",
)

pytest.register_assert_rewrite(SUITE)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fedreg", "conformance of registry adapters")
    group.addoption(
        "--kind", action="append", default=[], metavar="KIND", help="run the conformance suite of this kind only"
    )


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    config.pluginmanager.register(Summary(), "fedreg-conformance-summary")


# -- fixtures ------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def adapter(backend: Backend) -> AsyncIterator[RegistryAdapter]:
    """An opened adapter on the backend's registry."""
    opened = await backend.open_adapter()
    yield opened
    if backend.faults is not None:
        backend.faults.clear()
    await opened.aclose()


# -- collection ----------------------------------------------------------------------------------------


def capabilities_of(module: Any) -> Capabilities:
    """What the registry of a conformance module declares."""
    if not hasattr(module, "MANIFEST"):
        raise pytest.UsageError(f"{module.__name__}: import the adapter's MANIFEST beside the conformance suite")
    narrowed: Capabilities | None = getattr(module, "CAPABILITIES", None)
    ceiling: Capabilities = module.MANIFEST.capabilities
    return ceiling if narrowed is None else narrowed


def is_suite_class(found: Any) -> bool:
    return isinstance(found, type) and found.__module__.startswith(SUITE) and found.__name__.startswith("Test")


def suite_bases(found: type) -> list[type]:
    """The classes of the suite that a class is or inherits from."""
    return [base for base in found.__mro__ if is_suite_class(base)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.cls is None or not suite_bases(metafunc.cls):
        return
    capabilities = capabilities_of(metafunc.module)
    for name in PARAMETERS.keys() & set(metafunc.fixturenames):
        values = PARAMETERS[name](capabilities)
        if not values:
            nothing = pytest.mark.skip(reason=f"capability not declared: {name}")
            metafunc.parametrize(name, [pytest.param(None, marks=nothing, id="none")])
        else:
            metafunc.parametrize(name, values, ids=[str(value) for value in values])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    conformance = [item for item in items if suite_bases(getattr(item, "cls", None) or object)]
    for module in {id(item.module): item.module for item in conformance if isinstance(item, pytest.Function)}.values():
        check_whole(module)
    for item in conformance:
        prepare(item)
    chosen = set(config.getoption("--kind"))
    dropped = [item for item in conformance if chosen and kind_of(item) not in chosen]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        gone = set(map(id, dropped))
        items[:] = [item for item in items if id(item) not in gone]


def kind_of(item: Any) -> str:
    """The kind that a conformance test is about."""
    return str(item.module.MANIFEST.kind)


def prepare(item: Any) -> None:
    """Note what the item proves, and skip it where a needed capability is not declared."""
    missing = sorted(lacking(item, capabilities_of(item.module)))
    if missing:
        item.add_marker(pytest.mark.skip(reason=f"capability not declared: {', '.join(missing)}"))
    elif getattr(item.module, "LIVE", False) and item.get_closest_marker("fedreg_faults"):
        item.add_marker(pytest.mark.skip(reason=f"{LIVE}no fault can be put before a real registry"))
    proves = item.get_closest_marker("fedreg_proves")
    item.user_properties.append(("fedreg", f"{kind_of(item)}:{proves.args[0] if proves else 'other'}"))


def lacking(item: pytest.Item, capabilities: Capabilities) -> Iterator[str]:
    """Capabilities that a test needs and the registry does not declare."""
    for mark in item.iter_markers("fedreg_needs"):
        yield from (operation.value for operation in mark.args if operation not in capabilities.operations)
    for mark in item.iter_markers("fedreg_needs_field"):
        for name in mark.args:
            where, _, what = name.partition(".")
            if what not in getattr(capabilities, where):
                yield name


def check_whole(module: Any) -> None:
    """UsageError where a module leaves a class of the suite out or overrides a test without xfail(reason=…)."""
    from fedreg.testing import suite

    present = [found for found in vars(module).values() if isinstance(found, type)]
    for name in suite.__all__:
        wanted = getattr(suite, name)
        if is_suite_class(wanted) and not any(issubclass(found, wanted) for found in present):
            raise pytest.UsageError(
                f"{module.__name__}: {name} of the conformance suite is missing; override its tests"
            )
    for found in present:
        check_overrides(module.__name__, found)


def check_overrides(where: str, found: type) -> None:
    """UsageError for a test of the suite that is overridden without xfail(reason=…)."""
    inherited = {name for base in suite_bases(found) for name in vars(base) if name.startswith("test")}
    for base in found.__mro__:
        if is_suite_class(base):
            continue
        for name in inherited & vars(base).keys():
            if not has_reason(vars(base)[name]):
                raise pytest.UsageError(
                    f"{where}: {found.__name__}.{name} overrides a conformance test without "
                    "@pytest.mark.xfail(reason=...): say why the registry is exempt"
                )


def has_reason(function: Any) -> bool:
    marks: Iterable[pytest.Mark] = getattr(function, "pytestmark", [])
    return any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks)


# -- summary -------------------------------------------------------------------------------------------


class Summary:
    """Counts what was proven of each kind, by capability and outcome, and what could not be tried on a live one."""

    def __init__(self) -> None:
        self.kinds: dict[str, dict[str, Counter[str]]] = {}
        self.untried: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        label = next((value for name, value in report.user_properties if name == "fedreg"), None)
        if label is None or (report.when != "call" and report.passed):
            return
        kind, _, capability = str(label).partition(":")
        outcome = "xfailed" if report.skipped and hasattr(report, "wasxfail") else report.outcome
        self.kinds.setdefault(kind, {}).setdefault(capability, Counter())[outcome] += 1
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        if report.skipped and reason.startswith(LIVE):
            self.untried.setdefault(kind, Counter())[reason.removeprefix(LIVE)] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for kind, capabilities in sorted(self.kinds.items()):
            terminalreporter.section(f"conformance of {kind}")
            for capability, outcomes in sorted(capabilities.items()):
                counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
                terminalreporter.write_line(f"{capability:<24}{counts}")
            for reason, number in sorted(self.untried.get(kind, Counter()).items()):
                terminalreporter.write_line(f"not tried: {number:>4}  {reason}")
