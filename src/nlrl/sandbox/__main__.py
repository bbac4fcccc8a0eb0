"""`python -m nlrl.sandbox`: how generated code is kept apart on this machine, tried out on the spot.

`--attacks` tries every attack that comes with the package (a minute); `--isolation landlock` insists on one kind.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from nlrl.core import CodeTests, SandboxUnavailable
from nlrl.sandbox.attacks import ALL, Range
from nlrl.sandbox.sandbox import Sandbox, run_code_tests

_PROBES = {
    "a right program passes": ("def f(x): return x + 1", True),
    "a wrong program fails": ("def f(x): return x", False),
    "an early exit fails": ("import os\nos._exit(0)", False),
    "an always-equal object fails": ("class E:\n    def __eq__(self, o): return True\ndef f(x): return E()", False),
    "no files of this machine": ("open('/etc/hostname')\ndef f(x): return x + 1", False),
    "no network": ("import socket\nsocket.socket()\ndef f(x): return x + 1", False),
}


def main() -> int:
    """Print the isolation and what was tried; 0 if all is well, 1 if not, 2 where there is no isolation."""
    parser = argparse.ArgumentParser(prog="python -m nlrl.sandbox", description=__doc__)
    parser.add_argument("--attacks", action="store_true", help="try every attack that comes with the package")
    parser.add_argument("--isolation", choices=["bubblewrap", "landlock"], help="insist on this kind")
    options = parser.parse_args()
    with Range() as target, Sandbox(isolation=options.isolation) as sandbox:
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
            ok = run_code_tests(program, ["assert f(1) == 2"], sandbox=sandbox).passed is expected
            bad += not ok
            print(f"{'ok ' if ok else 'BAD'}  {name}  ({(time.perf_counter() - start) * 1e3:.0f} ms)")
        if options.attacks:
            bad += asyncio.run(_attack(sandbox, target, walled=found.walled))
    return 1 if bad else 0


async def _attack(sandbox: Sandbox, target: Range, *, walled: bool) -> int:
    """How many attacks got through."""
    await sandbox.run_tests("", CodeTests(("assert True",)))  # both boxes are up before processes are counted
    before, bad = target.descendants(), 0
    for attack in ALL:
        if attack.processes > 1 and not walled:
            continue  # without walls no program may have children, so there is nothing to try
        breach = await target.attempt(sandbox, attack)
        left = await target.left_over(before)
        breach = breach or (f"left processes {sorted(left)}" if left else "")
        bad += bool(breach)
        print(f"{'BAD' if breach else 'ok '}  {attack.kind}: {attack.name}{': ' if breach else ''}{breach}", flush=True)
    return bad


if __name__ == "__main__":
    raise SystemExit(main())
