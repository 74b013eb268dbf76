"""Every case on every surface: how it ends, what it names, what it leaves."""

from __future__ import annotations

import pytest

from .cases import CASES, LINKS, ORDER, WEBHOOKS, Case
from .page import Row, Said, is_writing, read_rows
from .sagemaker import SageMaker
from .verdict import compare, judge
from .world import COMMAND, HTTP, PYTHON, REMOTE, URL, World, family

# They differ from the rest in what is said, not in how it is carried: a gateway for each is for the long run.
CARRIED_ALIKE = {(case.name, surface) for case in (*LINKS, *WEBHOOKS) for surface in (URL, REMOTE)}
TABLE = [
    pytest.param(
        case,
        surface,
        id=f"{case.name}-{surface}",
        marks=(pytest.mark.soak,) if (case.name, surface) in CARRIED_ALIKE and not is_writing() else (),
    )
    for case in CASES
    for surface in case.surfaces
]


@pytest.mark.parametrize(("case", "surface"), TABLE)
def test_bad_input(world: World, sagemaker: SageMaker, page: dict[Row, Said], case: Case, surface: str) -> None:
    case.prepare(world, sagemaker)
    before = world.state()
    if family(surface) == COMMAND:
        given = [part.replace("{home}", str(world.home)) for part in case.cli or ()]
        outcome = world.cli(*given, surface=surface)
    elif surface == HTTP:
        outcome = world.http(*case.http)
    else:
        assert case.python is not None
        outcome = world.python(case.python, surface=surface)
    ending = {COMMAND: f"exit {case.exit}", HTTP: str(case.status), PYTHON: case.error}[family(surface)]
    judge(outcome, ending, case.names, case.cure)
    after = world.state()
    kept = {"requests"} if case.touches else set()  # the key that a client sends with a POST
    assert {name for name in after if after[name] != before.get(name)} <= {*case.touches, *kept}
    compare(page, case.name, surface, outcome, world.home)


@pytest.mark.skipif(is_writing(), reason="the page is written at the end of this run")
def test_the_page_has_every_case_and_no_other() -> None:
    assert list(read_rows()) != [] and set(read_rows()) == set(ORDER)
    assert len(ORDER) == len(set(ORDER))
