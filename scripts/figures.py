#!/usr/bin/env python3
"""Run the benchmarks, keep what they print, and say what changed since the last build. Sets itself up, as ./test does.

    scripts/figures.py               the quick forms that are due: exact marks each time, the rest by turns
    scripts/figures.py --training    only those that train models with torch, 15 minutes at most
    scripts/figures.py NAME ...      these, whoever's turn it is
    scripts/figures.py --full NAME   the full form, with what follows `--` as further options of the script
    scripts/figures.py --keep        make what was run here the last build: into benchmarks/results.jsonl

The exit code is 1 where an exact mark is missed that benchmarks/known_misses.toml does not list, where a listed one is
met, and where a script broke. Whole results are in build/results/NAME.quick.json and build/results/NAME.json.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bootstrap
import figure_marks
from figure_marks import Finding

BENCHMARKS = bootstrap.ROOT / "benchmarks"
KNOWN_MISSES, LAST = BENCHMARKS / "known_misses.toml", BENCHMARKS / "results.jsonl"
RESULTS = bootstrap.ROOT / "build" / "results"
TURNS = 3  # a script without an exact mark runs in every third build
LIMIT_S, TRAINING_S, DAY_S = 600, 900, 86_400  # of one quick form; of the training lane; of a full form
QUICK_CPU_S = 20  # what a quick form may take of the processor


@dataclass(frozen=True)
class Script:
    """A benchmark, and what it says that it needs: "data" (NLRL_DATA), "torch" (the training lane)."""

    path: Path
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass
class Build:
    """What came of the scripts that ran."""

    results: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def find_scripts(folder: Path) -> list[Script]:
    """All benchmarks by name. What they need stands in their own `NEEDS = ("torch",)`."""
    return [Script(path, needs_of(path)) for path in sorted(folder.glob("*.py"))]


def needs_of(path: Path) -> tuple[str, ...]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [t.id for t in node.targets if isinstance(t, ast.Name)] == ["NEEDS"]:
            return tuple(ast.literal_eval(node.value))
    return ()


def due(scripts: Sequence[Script], last: dict[tuple[str, bool], Any], build: int) -> list[Script]:
    """Those of this build's turn: all whose last result has an exact mark or is not known, and a third of the rest."""
    by_turns = [s for s in scripts if (row := last.get((s.name, True))) and not _has_exact(row)]
    waiting = {s.name for at, s in enumerate(by_turns) if (at - build) % TURNS}
    return [s for s in scripts if s.name not in waiting]


def _has_exact(result: dict[str, Any]) -> bool:
    return any(mark["exact"] for mark in result.get("marks", {}).values())


def build_number() -> int:
    """Commits so far: turns come round as the project goes on, and the same commit has the same turn."""
    done = subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=bootstrap.ROOT, capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 else 0


def run_script(script: Script, options: Sequence[str], limit_s: float) -> tuple[dict[str, Any] | None, str]:
    """(its result, "") or (None, why there is none). Its lines are shown as they come, but for the RESULT."""
    python = bootstrap.prepare(*((".venv-hf", "hf") if "torch" in script.needs else (".venv", "dev")))
    command = [python, str(script.path), *options]
    print(f"\n== benchmarks/{script.path.name} {' '.join(options)}", flush=True)
    before, began, last = _children_cpu_s(), time.monotonic(), ""
    with subprocess.Popen(
        command, cwd=bootstrap.ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace",
        start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        late = threading.Timer(limit_s, os.killpg, (process.pid, signal.SIGKILL))
        late.start()
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("RESULT "):
                last = line
            else:
                print(line, end="", flush=True)
        code = process.wait()
        late.cancel()
    if not last:
        why = f"ended after {time.monotonic() - began:.0f} s with code {code} and without a RESULT line"
        return None, why + (f" ({limit_s:.0f} s are allowed)" if code == -signal.SIGKILL else "")
    result = json.loads(last.removeprefix("RESULT "))
    return result | {"processor_seconds": round(_children_cpu_s() - before, 1)}, ""


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_all(scripts: Sequence[Script], options: Sequence[str], limit_s: float, whole_s: float) -> Build:
    """Run them one after the other, keep their results, and judge them."""
    misses, last = figure_marks.read_misses(KNOWN_MISSES), figure_marks.read_results(LAST)
    build, end = Build(), time.monotonic() + whole_s
    RESULTS.mkdir(parents=True, exist_ok=True)
    for script in scripts:
        if "data" in script.needs and not os.environ.get("NLRL_DATA"):
            text = "SKIPPED: set NLRL_DATA to a folder with the data sets (docs/how-to/datasets.md)"
            build.findings.append(Finding(script.name, text))
            continue
        if end - time.monotonic() < 1:
            build.findings.append(Finding(script.name, f"SKIPPED: the {whole_s:.0f} s of this lane are over"))
            continue
        result, why = run_script(script, options, min(limit_s, end - time.monotonic()))
        if result is None:
            # training takes minutes of both processors: on a busy machine it may well not get to its end
            late = "torch" in script.needs and "are allowed" in why
            build.findings.append(Finding(script.name, f"{'NOT DONE' if late else 'BROKEN'}: it {why}", not late))
            continue
        name = f"{script.name}.quick.json" if result.get("quick") else f"{script.name}.json"
        (RESULTS / name).write_text(json.dumps(result) + "\n", encoding="utf-8")
        before = last.get(figure_marks.form(result))
        for line in figure_marks.changes(result, before):
            print(f"   against the last build: {line}")
        if result.get("quick") and result["processor_seconds"] > QUICK_CPU_S:
            text = f"--quick took {result['processor_seconds']:.0f} s of processor time; {QUICK_CPU_S} are allowed"
            build.findings.append(Finding(script.name, text))
        build.results.append(result)
        build.findings += figure_marks.judge(result, before, misses)
    return build


def tell(build: Build) -> int:
    """Say what was found, what fails last; the exit code."""
    print("\n== Figures")
    for finding in sorted(build.findings, key=lambda f: f.fails):
        print(f"{'FAILS  ' if finding.fails else '       '}{finding.script}: {finding.text}")
    marks = [mark for result in build.results for mark in result.get("marks", {}).values()]
    exact = [mark for mark in marks if mark["exact"]]
    timings = len(marks) - len(exact)
    print(
        f"{len(build.results)} scripts; exact marks: {sum(m['met'] for m in exact)} of {len(exact)} met; "
        f"timings: {sum(m['met'] for m in marks) - sum(m['met'] for m in exact)} of {timings} met (reported, no more)"
    )
    return 1 if any(f.fails for f in build.findings) else 0


def keep() -> int:
    """Make the results in build/results the last build; forms that were not run stay as they were."""
    kept = figure_marks.read_results(LAST)
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if result.get("skipped") and figure_marks.form(result) in kept:
            print(f"{path.name}: left as it was; here it could not be measured whole ({result['skipped']})")
        else:
            kept[figure_marks.form(result)] = result
    names = {script.name for script in find_scripts(BENCHMARKS)}
    figure_marks.write_results(LAST, [row for (name, _), row in kept.items() if name in names])
    print(f"{LAST.relative_to(bootstrap.ROOT)}: {len(kept)} results. Look at the difference and commit it.")
    return 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks by name")
    parser.add_argument("--training", action="store_true", help="those that need torch")
    parser.add_argument("--full", action="store_true", help="not the quick form")
    parser.add_argument("--keep", action="store_true", help="make this build the last one")
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    wish, options = parser.parse_args(arguments[:cut]), arguments[cut + 1 :]
    if wish.keep:
        return keep()
    scripts = find_scripts(BENCHMARKS)
    if unknown := set(wish.names) - {script.name for script in scripts}:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if wish.full and not wish.names:
        parser.error("--full takes hours in all: name the benchmarks")
    if wish.names:
        chosen = [script for script in scripts if script.name in wish.names]
    else:
        chosen = [script for script in scripts if ("torch" in script.needs) == wish.training]
        if not wish.training:
            chosen = due(chosen, figure_marks.read_results(LAST), build_number())
    if not wish.full:
        options = ["--quick", *options]
    limit_s = DAY_S if wish.full else LIMIT_S
    return tell(run_all(chosen, options, limit_s, TRAINING_S if wish.training else DAY_S))


if __name__ == "__main__":
    bootstrap.need_python()
    sys.exit(main(sys.argv[1:]))
