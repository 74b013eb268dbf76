"""Marks by which the suite says what a test proves; the plugin reads them at collection."""

from __future__ import annotations

import pytest

from fedreg.domain.capabilities import Operation


def proves(capability: str) -> pytest.MarkDecorator:
    """The test or class counts towards a capability in the summary."""
    return pytest.mark.fedreg_proves(capability)


def needs(*operations: Operation) -> pytest.MarkDecorator:
    """The test or class runs only where all these operations are declared."""
    return pytest.mark.fedreg_needs(*operations)


def needs_field(*names: str) -> pytest.MarkDecorator:
    """The test runs only where all these are declared: `fields.metrics`, `model_fields.tags`, `editable.…`."""
    return pytest.mark.fedreg_needs_field(*names)
