"""`python -m nlrl.sandbox`: how generated code is kept apart on this machine, tried out on the spot."""

from __future__ import annotations

import sys
import time

from nlrl.core import SandboxUnavailable
from nlrl.sandbox.sandbox import Sandbox, run_tests

_PROBES = {
    "a right program passes": ("def f(x): return x + 1", True),
    "a wrong program fails": ("def f(x): return x", False),
    "an early exit fails": ("import os\nos._exit(0)", False),
    "an always-equal object fails": ("class E:\n    def __eq__(self, o): return True\ndef f(x): return E()", False),
    "no files of this machine": ("open('/etc/hostname')\ndef f(x): return x + 1", False),
    "no network": ("import socket\nsocket.socket()\ndef f(x): return x + 1", False),
}


def main() -> int:
    """Print the isolation and the probes; 0 if all is as it should be, 1 if not, 2 where there is no isolation."""
    sandbox = Sandbox()
    try:
        found = sandbox.isolation()
    except SandboxUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(f"isolation: {found.kind}{'' if found.walled else ' (no walls around single jobs)'}")
    print(f"reason:    {found.reason}")
    bad = 0
    for name, (program, expected) in _PROBES.items():
        start = time.perf_counter()
        ok = run_tests(program, ["assert f(1) == 2"], sandbox=sandbox).passed is expected
        bad += not ok
        print(f"{'ok ' if ok else 'BAD'}  {name}  ({(time.perf_counter() - start) * 1e3:.0f} ms)")
    sandbox.close()
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
