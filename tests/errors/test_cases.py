"""Every case on every surface: how it ends, what it names, what it leaves."""

from __future__ import annotations

import pytest

from .cases import CASES, Case
from .page import Row
from .sagemaker import SageMaker
from .verdict import compare, judge
from .world import World

TABLE = [(case, surface) for case in CASES for surface in case.surfaces]


@pytest.mark.parametrize(("case", "surface"), TABLE, ids=lambda part: getattr(part, "name", part))
def test_bad_input(world: World, sagemaker: SageMaker, page: dict[Row, str], case: Case, surface: str) -> None:
    case.prepare(world, sagemaker)
    before = world.state()
    if surface == "command line":
        outcome, ending = world.cli(*case.cli or ()), f"exit {case.exit}"
    elif surface == "HTTP":
        outcome, ending = world.http(*case.http), str(case.status)
    else:
        assert case.python is not None
        outcome, ending = world.python(case.python), case.error
    judge(outcome, ending, case.names, case.cure)
    after = world.state()
    assert {name for name in after if after[name] != before.get(name)} <= set(case.touches)
    compare(page, case.name, surface, outcome, world.home)
