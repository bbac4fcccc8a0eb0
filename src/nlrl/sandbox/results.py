"""What a run in the sandbox came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Isolation:
    """How code is kept apart on this machine.

    kind    "bubblewrap" (namespaces: nothing of the machine is visible) or "landlock" (Landlock and seccomp: nothing
            of it can be opened, signalled or changed, but names and process ids of it can be told)
    walled  every job has namespaces and a scratch directory of its own; False: jobs have no scratch and no threads
    reason  for people: why this kind
    """

    kind: str
    walled: bool
    reason: str


class Outcome(StrEnum):
    """How a program ended."""

    OK = "ok"  # exit code 0
    ERROR = "error"  # another exit code
    TIMEOUT = "timeout"  # out of wall or processor time
    MEMORY = "memory"  # it asked for more than it may have
    OUTPUT = "output"  # it wrote more than it may
    KILLED = "killed"  # by a signal: a crash, or the machine's own memory killer


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run of a whole program.

    exit     exit code; minus the signal's number where a signal ended it
    seconds  wall clock
    """

    stdout: str
    stderr: str
    exit: int
    outcome: Outcome
    seconds: float


class TestOutcome(StrEnum):
    """How one test ended. Only PASSED is a pass."""

    __test__ = False  # these names begin with "Test" and are no tests: for pytest

    PASSED = "passed"
    FAILED = "failed"  # an assertion did not hold
    ERROR = "error"  # an exception, an exit, a crash, nonsense from the program
    TIMEOUT = "timeout"  # out of time during this test or an earlier one
    MEMORY = "memory"  # the program ran out of the memory it may have
    INVALID = "invalid"  # the test itself cannot run: its setup or its syntax is broken


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test: its statement (the first line of a block) and what happened."""

    __test__ = False

    name: str
    outcome: TestOutcome
    message: str = ""


@dataclass(frozen=True, slots=True)
class TestReport:
    """All tests of one program. True in a condition where every one passed."""

    __test__ = False

    passed: bool
    results: tuple[TestResult, ...]
    seconds: float
    isolation: str

    def __bool__(self) -> bool:
        return self.passed

    @property
    def fraction(self) -> float:
        """Share of tests that passed, 0.0 where there are none."""
        return sum(r.outcome is TestOutcome.PASSED for r in self.results) / max(1, len(self.results))

    @property
    def first_failure(self) -> TestResult | None:
        """The first test that did not pass."""
        return next((r for r in self.results if r.outcome is not TestOutcome.PASSED), None)
