"""The command line: one module per command group, built on the client. `main` loads a group on first use."""

from __future__ import annotations

import signal
import sys


def start() -> None:
    """The console script. Ctrl-C ends it without a traceback from its first line to its last."""
    try:
        from fedreg.cli.main import INTERRUPTED, run
    except KeyboardInterrupt:  # nothing was begun
        sys.stderr.write("fedreg: interrupted\n")
        sys.exit(130)
    code = run(sys.argv[1:])
    if code == INTERRUPTED:  # a second one, while the interpreter ends its threads, has nothing to add
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)
