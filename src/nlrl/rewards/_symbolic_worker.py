"""The process in which `math-verify` runs: one JSON line in, one out, until the input ends.

    -> ["\\\\frac{1}{2}", "0.5"]        <- true

It is started by `_symbolic.py` with ``python -m``, needs no guard in anybody's main module, and may be killed at any
moment. Its memory is limited, and so is the processor time of one comparison (first argument, seconds): when that is
used up the kernel ends the process, also if the parent has died meanwhile. Processor time, because a verdict must not
hang on what else the machine is doing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
from functools import lru_cache
from typing import Any

MEMORY_BYTES = 1 << 30
DEFAULT_CPU_S = 0.6


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(cpu_s: float) -> None:
    """Processor time until the kernel ends this process; 0 takes the limit off."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_s)  # SIGPROF ends a process that does not handle it


def main() -> None:
    """Answer lines until the input ends."""
    _limit_memory()
    logging.disable(logging.CRITICAL)
    answers, sys.stdout = sys.stdout, sys.stderr  # a stray print must not look like an answer
    try:
        from math_verify import parse, verify
    except ImportError as error:
        answers.write(json.dumps({"error": str(error)}) + "\n")
        answers.flush()
        return

    @lru_cache(maxsize=512)
    def parsed(text: str) -> list[Any]:
        # the parent keeps the time; math-verify's own alarm would clash with ours
        return parse(f"${text}$", parsing_timeout=None)  # type: ignore[arg-type]

    cpu_s = float(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_CPU_S

    def same(a: str, b: str) -> bool:
        one, two = parsed(a), parsed(b)
        return bool(one and two) and (
            verify(one, two, timeout_seconds=None) or verify(two, one, timeout_seconds=None)  # it is not symmetric
        )

    same(r"\frac{x}{2} + \sqrt{3}", r"0.5x + \sqrt{3}")  # loads grammars that would otherwise cost the first pair
    answers.write('"ready"\n')
    answers.flush()
    for line in sys.stdin:
        _limit_time(cpu_s)
        try:
            a, b = json.loads(line)
            verdict: bool | None = same(a, b)
        except (KeyboardInterrupt, SystemExit):
            return
        except BaseException:  # the engine raises all kinds, RecursionError and MemoryError too: "cannot tell"
            verdict = None
        _limit_time(0)
        answers.write(json.dumps(verdict) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
