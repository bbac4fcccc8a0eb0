"""From raw ends (exit status, judge's lines, clocks) to outcomes."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence

from nlrl.core import InputOutput
from nlrl.sandbox.jobs import JobEnd
from nlrl.sandbox.limits import Limits
from nlrl.sandbox.printed import complaint
from nlrl.sandbox.results import Outcome, RunResult, TestOutcome, TestResult

_NAME_CHARS = 200
_CPU_SHARE = 0.75  # the kernel counts ticks for the limit and time for the report; on a busy machine they differ


def run_outcome(end: JobEnd, limits: Limits, *, timed_out: bool, overflow: bool, stderr: str) -> Outcome:
    """How a whole program ended."""
    if overflow:
        return Outcome.OUTPUT
    if timed_out or _out_of_cpu(end, limits):
        return Outcome.TIMEOUT
    if end.status == 0:
        return Outcome.OK
    if end.status < 0:
        return Outcome.KILLED
    lines = stderr.rstrip().rsplit("\n", 1)
    return Outcome.MEMORY if lines[-1].startswith("MemoryError") else Outcome.ERROR


def test_results(
    checks: Sequence[str], report: bytes, worker: JobEnd, judge: JobEnd, limits: Limits, *, timed_out: bool
) -> tuple[TestResult, ...]:
    """One result a check. What the judge did not report is no pass, whatever the reason."""
    told = _told(report)
    results: list[TestResult] = []
    for index, check in enumerate(checks):
        outcome, message = told.get(index, ("missing", ""))
        if outcome == "gone" and timed_out and worker.status == -signal.SIGKILL and not _out_of_cpu(worker, limits):
            outcome = "missing"  # killed when the time was over, and the judge was quick enough to see it go
        if outcome == "gone":
            verdict, message = _how_it_went(worker, limits, "the program's process")
        elif outcome == "missing" and timed_out:
            verdict, message = TestOutcome.TIMEOUT, f"no result within {limits.wall_s:g} s"
        elif outcome == "missing":
            verdict, message = _how_it_went(judge, limits, "the tests' own process")
        else:
            verdict = TestOutcome(outcome)
        results.append(TestResult(_name(check), verdict, message))
    return tuple(results)


def invalid_results(checks: Sequence[str], message: str) -> tuple[TestResult, ...]:
    """The same for each check: it cannot be run."""
    return tuple(TestResult(_name(check), TestOutcome.INVALID, message) for check in checks)


def name_of(check: str | InputOutput) -> str:
    """What a test is called: its first line, or the beginning of its input."""
    if isinstance(check, str):
        return _name(check)
    pair = check
    return f"input {' '.join(pair.stdin[:_NAME_CHARS].split())[:60]!r}"


def printed_result(pair: InputOutput, run: RunResult, limits: Limits) -> TestResult:
    """Whether a whole program did what it must."""
    name = name_of(pair)
    match run.outcome:
        case Outcome.OK:
            wrong = complaint(run.stdout, pair)
            return TestResult(name, TestOutcome.FAILED if wrong else TestOutcome.PASSED, wrong)
        case Outcome.TIMEOUT:
            return TestResult(name, TestOutcome.TIMEOUT, f"no end within {limits.wall_s:g} s")
        case Outcome.MEMORY:
            return TestResult(name, TestOutcome.MEMORY, "MemoryError")
    last = (run.stderr.strip().splitlines() or [f"exit code {run.exit}"])[-1]
    said = "it printed too much" if run.outcome is Outcome.OUTPUT else f"program: {last[:_NAME_CHARS]}"
    return TestResult(name, TestOutcome.ERROR, said)


test_results.__test__ = False  # type: ignore[attr-defined]  # its name is no test's: for pytest


def _told(report: bytes) -> dict[int, tuple[str, str]]:
    told: dict[int, tuple[str, str]] = {}
    for line in report.splitlines():
        try:
            fields = json.loads(line)
            index, outcome, message = fields["index"], fields["outcome"], fields["message"]
            if outcome != "gone":
                TestOutcome(outcome)
            told.setdefault(int(index), (outcome, str(message)))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # the last line, a line cut by a kill, or a judge that a hostile data set has taken over
    return told


def _how_it_went(end: JobEnd, limits: Limits, who: str) -> tuple[TestOutcome, str]:
    if _out_of_cpu(end, limits):
        return TestOutcome.TIMEOUT, f"{who} used more than {limits.cpu_s:g} s of processor time"
    if end.status >= 0:
        return TestOutcome.ERROR, f"{who} ended itself with exit code {end.status}"
    if end.status == -signal.SIGKILL:  # by the host after the connection broke, or by the machine's memory killer
        return TestOutcome.ERROR, f"{who} broke off"
    try:
        name = signal.Signals(-end.status).name
    except ValueError:
        name = f"signal {-end.status}"
    return TestOutcome.ERROR, f"{who} was ended by {name}"


def _out_of_cpu(end: JobEnd, limits: Limits) -> bool:
    if end.status == -signal.SIGXCPU:
        return True
    return end.status == -signal.SIGKILL and end.cpu_s >= limits.cpu_s * _CPU_SHARE


def _name(check: str) -> str:
    lines = [line.strip() for line in check.strip().splitlines() if line.strip()]
    return (lines[0] if lines else "(empty)")[:_NAME_CHARS]
