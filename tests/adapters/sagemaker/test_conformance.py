"""The SageMaker adapter keeps what it declares, on the stand-in and moto's S3."""

from __future__ import annotations

from fedreg.testing.suite import *  # noqa: F403
from fedreg_adapters.sagemaker.manifest import MANIFEST as MANIFEST

from .fixtures import backend as backend
from .fixtures import s3 as s3
from .fixtures import start as start
