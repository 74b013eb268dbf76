"""`fedreg copy` that gets a Ctrl-C: `interrupted_copy.py CONFIG SOURCE TARGET LOG WHERE`.

WHERE is as in `killed_copy.py`, whose watch on steps this uses; here the process sends itself SIGINT and goes on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import killed_copy

from fedreg.cli.main import run


def main(config: str, source: str, target: str, log: str, where: str) -> int:
    """Returns the exit code of the command."""
    killed_copy._die = interrupt
    kind, _, amount = where.partition(":")
    killed_copy._watch_steps(log, kind, int(amount) if kind in ("after", "within") else 0)
    if kind == "time":
        threading.Timer(float(amount), interrupt).start()
    code = run(["copy", source, target, "--config", config])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as `fedreg.cli.start` does
    return code


def interrupt() -> None:
    """What a terminal does on Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
