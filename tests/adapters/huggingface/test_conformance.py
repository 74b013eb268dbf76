"""The Hugging Face adapter keeps what it declares, on the stand-in."""

from __future__ import annotations

from fedreg.testing.suite import *  # noqa: F403
from fedreg_adapters.huggingface.manifest import MANIFEST as MANIFEST
