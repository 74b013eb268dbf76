"""The suite's plugin serves tests/adapters; its option `--kind` has to be known from the start."""

pytest_plugins = ["fedreg.testing.plugin"]
