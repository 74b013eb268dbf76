"""`python -m fedreg.sandbox.mlflow_server OPTION…`: the command `mlflow server`, in one process.

Their command starts uvicorn in a second process, which imports all of MLflow a second time: five seconds of a core.
Here uvicorn, with the arguments and variables that their command gives it, goes on in the process of the command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import mlflow.server
import uvicorn
from mlflow.cli import cli


def serve(command: Sequence[str], extra_env: Mapping[str, str], **_: Any) -> None:
    """Stands in for MLflow's start of `python -m uvicorn …`. Ends the process when the server ends."""
    os.environ.update(extra_env)
    uvicorn.main(list(command[command.index("uvicorn") + 1 :]))


def main() -> None:
    """Run `mlflow server`. An MLflow that starts its server in another way does as it always does."""
    vars(mlflow.server)["_exec_cmd"] = serve
    cli(["server", *sys.argv[1:]])


if __name__ == "__main__":
    main()
