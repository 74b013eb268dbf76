"""Shows a model as its registry's own SDK shows it: `python -m fedreg.sandbox.native KIND MODEL VERSION`.

`python -m fedreg.sandbox.native stage MODEL VERSION STAGE` sets a stage at SageMaker as boto3 does, past any gateway.

`python -m fedreg.sandbox.native predict MODEL_URI DIRECTORY` compares what two MLflow models predict.
"""

from __future__ import annotations

import sys
from importlib import import_module

if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    if kind == "predict":
        print(import_module("fedreg.sandbox.vendors.mlflow").compare_predictions(*arguments))  # noqa: T201
    elif kind == "stage":
        print(import_module("fedreg.sandbox.vendors.sagemaker").set_stage(*arguments))  # noqa: T201
    else:
        print(import_module(f"fedreg.sandbox.vendors.{kind}").show(*arguments))  # noqa: T201
