"""Scores programs by running the problem's tests in the sandbox.

    verifier = CodeVerifier()
    await verifier.score(problem, candidates)
    -> [Score(1.0, RIGHT), Score(0.0, WRONG, reason="assert add(2, 2) == 4: got 0, expected == 4"), ...]

`candidate.answer` is the whole program. Verdicts: RIGHT where every test passed, TIMEOUT where time ran out in the
first test that did not, UNPARSED where there is no program, ABSTAIN where there are no tests or the tests themselves
are broken, else WRONG. Where the machine offers no isolation, `SandboxUnavailable` is raised and nothing is run.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from nlrl.answers.code_text import blocks, undressed
from nlrl.core import Candidate, CodeTests, Problem, Score, Verdict
from nlrl.sandbox import Limits, Sandbox, TestOutcome, TestReport, default_sandbox
from nlrl.sandbox.languages import foreign_language
from nlrl.sandbox.sandbox import Which

_CACHED_REPORTS = 4096  # about a kilobyte each


class CodeVerifier:
    """Judges candidates by `problem.tests`.

    which    "all" tests, or only the "public" ones that the question shows (an honest verifier before the grading)
    partial  give the share of tests passed as the value of a program that is not right, instead of 0
    sandbox  where to run; None takes the one of this process
    limits   bounds of one program's run; None takes the sandbox's own

    The same program is judged once per problem, in one call and over the last few thousand.
    """

    def __init__(
        self,
        which: Which = "all",
        sandbox: Sandbox | None = None,
        *,
        partial: bool = False,
        limits: Limits | None = None,
    ):
        if which not in ("all", "public"):
            raise ValueError(f"which must be 'all' or 'public', got {which!r}")
        self._which: Which = which
        self._sandbox, self._partial, self._limits = sandbox, partial, limits
        self._reports: OrderedDict[tuple[str, CodeTests], TestReport] = OrderedDict()

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score a candidate, in order; different programs run at once, as many as the sandbox allows."""
        tests = problem.tests
        if tests is None or not (tests.public if self._which == "public" else tests.checks):
            kind = "public tests" if self._which == "public" else "tests"
            return [Score(0.5, Verdict.ABSTAIN, reason=f"the problem has no {kind}")] * len(candidates)
        programs = dict.fromkeys(c.answer for c in candidates if c.answer is not None)
        running: dict[str, asyncio.Task[TestReport]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for program in programs:
                    running[program] = group.create_task(self._report(program, tests))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # one reason (no isolation, a closed sandbox) for all of them
        return [
            self._score(running[c.answer].result()) if c.answer is not None else _unread(c.completion.text)
            for c in candidates
        ]

    async def _report(self, program: str, tests: CodeTests) -> TestReport:
        key = (program, tests)
        report = self._reports.get(key)
        if report is None:
            sandbox = self._sandbox or default_sandbox()
            report = await sandbox.run_tests(program, tests, which=self._which, limits=self._limits)
            self._reports[key] = report
            if len(self._reports) > _CACHED_REPORTS:
                self._reports.popitem(last=False)
        else:
            self._reports.move_to_end(key)
        return report

    def _score(self, report: TestReport) -> Score:
        if report.passed:
            return Score(1.0, Verdict.RIGHT, reason=f"all {len(report.results)} tests passed")
        broken = next((r for r in report.results if r.outcome is TestOutcome.INVALID), None)
        if broken is not None:
            return Score(0.5, Verdict.ABSTAIN, reason=f"the test {broken.name!r} cannot run: {broken.message}")
        failure = report.first_failure
        if failure is None:
            return Score(0.5, Verdict.ABSTAIN, reason="no test gave a result")
        verdict = Verdict.TIMEOUT if failure.outcome is TestOutcome.TIMEOUT else Verdict.WRONG
        known = failure.message.startswith(failure.name)
        reason = failure.message if known else f"{failure.name}: {failure.message or failure.outcome}"
        return Score(report.fraction if self._partial else 0.0, verdict, reason=reason)


def _unread(text: str) -> Score:
    languages = (foreign_language(source) for _, source in reversed(blocks(undressed(text))))
    language = next(filter(None, languages), "")
    reason = f"the answer is {language}, and only Python is run" if language else "no program in the answer"
    return Score(0.0, Verdict.UNPARSED, reason=reason)
