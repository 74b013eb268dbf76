"""A stand-in of the Hugging Face Hub with writers, whose every answer is late: `--delay SECONDS`."""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.servers.standin import serve
from fedreg_adapters.huggingface.standin import create_app

TOKEN, NAMESPACES = "hf_writer", ("acme", "acme-eu")


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    writer = {"user": "benchmark", "orgs": list(NAMESPACES), "role": "write"}
    await serve(create_app(tokens={TOKEN: writer}), parser.parse_args().delay)


if __name__ == "__main__":
    asyncio.run(main())
