"""What a benchmark promises and what it reached: the marks, and the RESULT line that every script ends with.

    marks = Marks("replay", quick=args.quick)
    marks.exact("budgets held", within)                              # a law: it must be True
    marks.exact("vote over one attempt, low end", gain.low, above=0)
    marks.timing("processor seconds", worked, below=60)
    return marks.result(solves=solves, rows=rows)                    # prints; the exit code

An exact mark (exactness, loss, counts, anything drawn with a seed) comes out the same on every machine, however busy,
so it decides continuous integration. A timing (seconds, memory, what waits for a clock) is reported and decides
nothing. `scripts/figures.py` reads the line.
"""

from __future__ import annotations

import json
import os
import platform
import time
from typing import Any

Figure = float | int | str | bool | None

_HOLDS = {
    "at least": lambda figure, bound: figure >= bound,
    "at most": lambda figure, bound: figure <= bound,
    "above": lambda figure, bound: figure > bound,
    "below": lambda figure, bound: figure < bound,
    "equal to": lambda figure, bound: figure == bound,
}


class Marks:
    """The marks of one run of one script, in the order in which they were told."""

    def __init__(self, benchmark: str, quick: bool = False) -> None:
        self.benchmark, self.quick = benchmark, quick
        self.began = time.monotonic()
        self.marks: dict[str, dict[str, Any]] = {}
        self.lines: list[dict[str, Any]] = []

    def exact(self, name: str, figure: Figure, **bounds: Figure) -> bool:
        """A mark that depends on no clock. Bounds: at_least, at_most, above, below, equal_to; without any, True."""
        return self._mark(name, figure, bounds, exact=True)

    def timing(self, name: str, figure: Figure, **bounds: Figure) -> bool:
        """The same for a mark that a busy or slow machine may miss."""
        return self._mark(name, figure, bounds, exact=False)

    def line(self, name: str, ok: bool, seen: str, exact: bool = True) -> bool:
        """One of many single things to be as it must be: print what was seen, and mark it."""
        self.lines.append({"name": name, "ok": ok, "seen": seen})
        print(f"  {'ok ' if ok else 'FAILED'} {name:46} {seen}", flush=True)
        return self._mark(name, ok, {}, exact=exact)

    def _mark(self, name: str, figure: Figure, bounds: dict[str, Figure], *, exact: bool) -> bool:
        if name in self.marks:
            raise ValueError(f"{self.benchmark} tells the mark {name!r} twice; give each its own name")
        if isinstance(figure, float):
            figure = round(float(figure), 6)  # of numpy's floats too, which JSON does not know
        kinds = {key.replace("_", " "): bound for key, bound in bounds.items()}
        # "not (a > b)" and not "a <= b": a figure that is no number meets no mark
        met = all(figure is not None and _HOLDS[kind](figure, bound) for kind, bound in kinds.items())
        if not kinds:
            met = bool(figure) is True and figure is not None
        mark = " and ".join(f"{kind} {bound}" for kind, bound in kinds.items()) or "holds"
        self.marks[name] = {"met": bool(met), "exact": exact, "figure": _plain(figure), "mark": mark}
        return bool(met)

    def result(self, **more: Any) -> int:
        """Print what was missed and the RESULT line; the exit code: 0 where every mark is met, else 1."""
        met = all(mark["met"] for mark in self.marks.values())
        for name, mark in self.marks.items():
            if not mark["met"]:
                print(f"MISSED  {name}: {mark['figure']}; mark: {mark['mark']}")
        found = {"benchmark": self.benchmark, "quick": self.quick, "met": met, "marks": self.marks, **more}
        if self.lines:
            found["lines"] = self.lines
        self._print(found)
        return 0 if met else 1

    def skip(self, reason: str) -> int:
        """Say that nothing could be measured, and why; the exit code, 2."""
        print(f"!! SKIPPED: {reason}", flush=True)
        self._print({"benchmark": self.benchmark, "quick": self.quick, "marks": {}, "skipped": reason})
        return 2

    def _print(self, found: dict[str, Any]) -> None:
        machine = {
            "cpus": os.cpu_count(), "python": platform.python_version(), "processor": platform.machine(),
            "load": round(os.getloadavg()[0], 1),
        }  # fmt: skip
        seconds = round(time.monotonic() - self.began, 1)
        print("RESULT " + json.dumps(found | {"seconds": seconds, "machine": machine}, default=_plain), flush=True)


def _plain(thing: Any) -> Any:
    """JSON's own type of a number of numpy's, and None for what is no number."""
    if hasattr(thing, "item"):
        thing = thing.item()
    if isinstance(thing, float) and thing != thing:
        return None
    return thing
