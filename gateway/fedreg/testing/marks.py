"""Marks by which the suite says what a test proves; the plugin reads them at collection."""

from __future__ import annotations

from typing import Any

import pytest

from fedreg.domain.capabilities import Operation


def proves(capability: str) -> pytest.MarkDecorator:
    """The test or class counts towards a capability in the summary."""
    return pytest.mark.fedreg_proves(capability)


def injects_faults(test: Any) -> Any:
    """The test or class puts faults between adapter and registry; it can't run on a live one."""
    return pytest.mark.fedreg_faults(test)


def needs(*operations: Operation) -> pytest.MarkDecorator:
    """The test or class runs only where all these operations are declared."""
    return pytest.mark.fedreg_needs(*operations)


def needs_field(*names: str) -> pytest.MarkDecorator:
    """The test runs only where all these are declared: `fields.metrics`, `model_fields.tags`, `editable.…`."""
    return pytest.mark.fedreg_needs_field(*names)
