"""The adapter keeps what it declares of a workspace, on the stand-in."""

from __future__ import annotations

from fedreg.testing.suite import *  # noqa: F403
from fedreg_adapters.azureml.manifest import MANIFEST as MANIFEST

from .fixtures import backend as backend
from .fixtures import certificate as certificate
from .fixtures import start as start
