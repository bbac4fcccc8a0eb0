"""The first door: the command line. `main` is what the `nlrl` script calls; nothing here imports click before that."""

from __future__ import annotations

from collections.abc import Sequence

from nlrl.core.logs import log_context, setup_logging

__all__ = ["log_context", "main", "setup_logging"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line with `args` (default: sys.argv) and return the exit code."""
    from nlrl.cli.app import run

    return run(args)
