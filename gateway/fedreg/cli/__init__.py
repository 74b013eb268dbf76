"""The command line: one module per command group, built on the client. `main` loads a group on first use."""

from __future__ import annotations

import signal
import sys


def start() -> None:
    """The console script. Ctrl-C ends it without a traceback from its first line to its last."""
    try:
        from fedreg.cli.main import run
    except KeyboardInterrupt:  # nothing was begun
        sys.stderr.write("fedreg: interrupted\n")
        sys.exit(130)
    code = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while the interpreter ends its threads, it has nothing to add
    sys.exit(code)
