"""Do the tests notice small faults? Puts them into copies of the code, one at a time, and runs the tests.

    python scripts/mutants map                        # once: which test runs which line (build/mutants/)
    python scripts/mutants run --seed mine            # draw 100 faults, print caught / survived by room
    python scripts/mutants run --seed HEAD            # the seed is the hash of the commit that is checked out
    python scripts/mutants run --seed a --rooms core,graders --count 40

Faults are made by mutmut's operators (`faults.py` says which are left out), the same number in every room. Each goes
into a fresh copy of the project, never into the working tree; the tests that run its line are tried, the fastest first,
until one fails (`trial.py`). A line that no test runs counts as survived. A fault that makes a test hang is a timeout,
and counts as noticed. At the end every test that caught a fault is run without one: it must pass.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cover
from trial import Verdict, copy, judge, run

from faults import ROOMS, draw

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "nlrl"
MAP = ROOT / "build" / "mutants"
EXEMPT = ROOT / "benchmarks" / "data" / "mutants_exempt.jsonl"
MARK = 0.85  # set before the first full run


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("map", help="run the tests once and note which lines each runs")
    making.add_argument("tests", nargs="*", default=["tests/unit", "tests/integration"])
    making.add_argument("--workers", type=int, default=2)
    making.add_argument("--add", action="store_true", help="only these tests anew; of all others what is known stays")
    running = verbs.add_parser("run", help="draw faults and run the tests on each")
    running.add_argument("--seed", required=True, help="any word; HEAD: the hash of the commit")
    running.add_argument("--count", type=int, default=100)
    running.add_argument("--rooms", default=",".join(ROOMS))
    running.add_argument("--workers", type=int, default=2)
    running.add_argument("--out", type=Path, help="write one JSON line a fault")
    options = parser.parse_args()
    if options.verb == "map":
        return cover.make(ROOT, MAP, options.tests, options.workers, add=options.add)
    if not (MAP / "coverage").exists():
        parser.error("no map of the tests: run `python scripts/mutants map` first")
    return measure(options)


def measure(options: argparse.Namespace) -> int:
    seed = options.seed
    if seed == "HEAD":
        seed = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    rooms = options.rooms.split(",")
    share, rest = divmod(options.count, len(rooms))
    began = time.monotonic()
    drawn = draw(PACKAGE, {room: share + (i < rest) for i, room in enumerate(rooms)}, seed, EXEMPT)
    known = cover.Cover(MAP, PACKAGE)
    print(f"seed {seed}: {sum(map(len, drawn.values()))} faults in {', '.join(rooms)}", flush=True)
    verdicts: dict[str, list[Verdict]] = {}
    with ThreadPoolExecutor(options.workers) as pool:
        for room, faults in drawn.items():
            for verdict in pool.map(lambda fault: judge(ROOT, fault, known), faults):
                verdicts.setdefault(room, []).append(verdict)
                fault = verdict.fault
                print(f"  {verdict.outcome:<8} {fault.path}:{fault.line} {verdict.by or verdict.note}", flush=True)
            print(
                room, dict(Counter(v.outcome for v in verdicts[room])), f"{time.monotonic() - began:.0f} s", flush=True
            )
    everything = [v for room in verdicts.values() for v in room]
    innocent = fails_without(sorted({v.by for v in everything if v.outcome == "caught" and v.by}))
    tell(verdicts, innocent)
    if options.out:
        lines = [json.dumps({"room": room, **as_row(v)}) for room, them in verdicts.items() for v in them]
        options.out.write_text("\n".join(lines) + "\n", "utf-8")
    total = len(everything)
    noticed = sum(v.outcome != "survived" and v.by not in innocent for v in everything)
    result = {
        "seed": seed,
        "faults": total,
        "caught": sum(v.outcome == "caught" and v.by not in innocent for v in everything),
        "timeouts": sum(v.outcome == "timeout" for v in everything),
        "survived": total - noticed,
        "seconds": round(time.monotonic() - began),
        "mark": MARK,
        "met": noticed >= MARK * total,
    }
    print("RESULT", json.dumps(result))
    return 0 if result["met"] else 1


def fails_without(tests: list[str]) -> set[str]:
    """Those of the tests that fail in a copy without any fault: what they caught is not counted."""
    wrong: set[str] = set()
    with copy(ROOT) as place:
        while left := [t for t in tests if t not in wrong]:
            code, failed = run(place, left, 900)
            if code == 0:
                break
            if failed is None:
                raise SystemExit(
                    f"pytest ended with {code} on the code without a fault; run it on {left[:3]} ... by hand"
                )
            wrong.add(failed)
    return wrong


def tell(verdicts: dict[str, list[Verdict]], innocent: set[str]) -> None:
    """The table, and the diff of each survivor."""
    for room, them in verdicts.items():
        for verdict in them:
            if verdict.outcome == "survived" or verdict.by in innocent:
                why = f"{verdict.by} fails without it" if verdict.by in innocent else verdict.note
                print(f"\n{room}: survived in src/nlrl/{verdict.fault.path}:{verdict.fault.line} ({why})")
                print(verdict.fault.diff((PACKAGE / verdict.fault.path).read_text("utf-8")))
    print(f"\n{'room':<12} {'faults':>6} {'caught':>6} {'timeout':>7} {'survived':>8}")
    for room, them in verdicts.items():
        counts = Counter("survived" if v.by in innocent else v.outcome for v in them)
        print(f"{room:<12} {len(them):>6} {counts['caught']:>6} {counts['timeout']:>7} {counts['survived']:>8}")


def as_row(verdict: Verdict) -> dict:
    fault = verdict.fault
    row = {"outcome": verdict.outcome, "file": fault.path.as_posix(), "line": fault.line}
    return row | {"old": fault.removed, "new": fault.added, "by": verdict.by, "note": verdict.note}


if __name__ == "__main__":
    sys.exit(main())
