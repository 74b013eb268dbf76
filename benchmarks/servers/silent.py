"""A server that takes every connection and never says a word: a firewall that drops packets, or a hung process."""

from __future__ import annotations

import socket
import sys


def main() -> None:
    """Listen on a free loopback port, say `listening URL` on stdout, and keep silent until killed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    sys.stdout.write(f"listening http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    kept = []
    while True:
        kept.append(listener.accept())  # one that nobody holds would be closed


if __name__ == "__main__":
    main()
