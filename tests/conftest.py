"""The suite's plugin serves tests/adapters; its option `--kind` has to be known from the start."""

import signal

# Whoever starts the tests in the background may have Ctrl-C ignored, and children inherit that: some are interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["fedreg.testing.plugin"]
