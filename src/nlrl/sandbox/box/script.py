"""Runs one whole program as `__main__`, with the standard streams that the host gave it."""

from __future__ import annotations

import sys
import traceback

from nlrl.sandbox.box.worker import FILENAME, load


def run(source: str, prelude: str = "") -> int:
    """Run it; the exit code. A traceback goes to stderr and begins at the program's own first line."""
    sys.stdin, sys.stdout, sys.stderr = (
        open(fd, mode, encoding="utf-8", errors="surrogateescape" if fd == 0 else "backslashreplace", closefd=False)  # noqa: SIM115
        for fd, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["program.py"]
    module = load(source, "__main__")
    try:
        exec(compile(prelude, "<prelude>", "exec"), module.__dict__)  # noqa: S102  (this is what the box is for)
        exec(compile(source, FILENAME, "exec"), module.__dict__)  # noqa: S102  (this is what the box is for)
    except SystemExit as end:
        if isinstance(end.code, int) or end.code is None:
            return (end.code or 0) & 0xFF
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException as error:  # a boundary: the program's failure is its exit code and its stderr
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != FILENAME:
            trace = trace.tb_next
        traceback.print_exception(type(error), error, trace)
        return 1
    return 0
