"""Fixtures of the folder. gRPC's own log lines on closed connections are left out."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from .fixtures import adapter as adapter
from .fixtures import backend as backend
from .fixtures import start as start
