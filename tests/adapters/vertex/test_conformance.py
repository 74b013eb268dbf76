"""The Vertex AI adapter keeps what it declares, on the stand-in and its GCS."""

from __future__ import annotations

from fedreg.testing.suite import *  # noqa: F403
from fedreg_adapters.vertex.manifest import MANIFEST as MANIFEST

from .fixtures import backend as backend
from .fixtures import start as start
