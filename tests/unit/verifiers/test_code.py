"""The code verifier: verdicts, order, partial credit, judging each program once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from nlrl.core import Candidate, CodeTests, Completion, Finish, Problem, SandboxUnavailable, Score, Verdict
from nlrl.sandbox import Limits, Sandbox, bubblewrap
from nlrl.verifiers.code import CodeVerifier

TESTS = CodeTests(
    ("assert add(1, 2) == 3", "assert add(2, 2) == 4", "assert add(0, 0) == 0"), public=("assert add(0, 0) == 0",)
)
PROBLEM = Problem("Write add(a, b).", tests=TESTS)

RIGHT = "def add(a, b): return a + b"
WRONG = "def add(a, b): return a * b"
LOOPS = "def add(a, b):\n    while a: pass\n    return a + b"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(wall_s=10, cpu_s=1)) as opened:
        try:
            opened.isolation()
        except SandboxUnavailable as error:
            pytest.skip(str(error))
        yield opened


def candidates(*programs: str | None) -> list[Candidate]:
    return [
        Candidate(f"s{i}", Completion(program or "", Finish.STOP, 1), answer=program)
        for i, program in enumerate(programs)
    ]


def scores(verifier: CodeVerifier, *programs: str | None, problem: Problem = PROBLEM) -> list[Score]:
    return asyncio.run(verifier.score(problem, candidates(*programs)))


def test_verdicts_in_the_order_of_the_candidates(sandbox: Sandbox) -> None:
    found = scores(CodeVerifier(sandbox=sandbox), WRONG, None, RIGHT, LOOPS, "def add(:", "", WRONG)
    V = Verdict
    assert [s.verdict for s in found] == [V.WRONG, V.UNPARSED, V.RIGHT, V.TIMEOUT, V.WRONG, V.WRONG, V.WRONG]
    assert [s.value for s in found] == [0, 0, 1, 0, 0, 0, 0]
    assert found[0].reason == "assert add(1, 2) == 3: got 2, expected == 3"
    assert "SyntaxError" in found[4].reason
    assert found[2].reason == "all 3 tests passed"
    assert found[0] == found[6]


def test_partial_credit_is_the_share_of_tests(sandbox: Sandbox) -> None:
    found = scores(CodeVerifier(sandbox=sandbox, partial=True), WRONG, RIGHT, "def add(a, b): return 99")
    assert [s.value for s in found] == [pytest.approx(2 / 3), 1.0, 0.0]
    assert [s.verdict for s in found] == [Verdict.WRONG, Verdict.RIGHT, Verdict.WRONG]


def test_only_the_public_tests(sandbox: Sandbox) -> None:
    assert scores(CodeVerifier("public", sandbox), WRONG)[0].verdict is Verdict.RIGHT
    hidden_only = Problem("q", tests=CodeTests(TESTS.checks))
    (score,) = scores(CodeVerifier("public", sandbox), RIGHT, problem=hidden_only)
    assert (score.verdict, score.value) == (Verdict.ABSTAIN, 0.5)
    assert "public" in score.reason


def test_no_tests_and_broken_tests_abstain(sandbox: Sandbox) -> None:
    for problem in (
        Problem("q"),
        Problem("q", tests=CodeTests(())),
        Problem("q", tests=CodeTests(("assert add(1, 2) ==",))),
        Problem("q", tests=CodeTests(("assert add(1, 2) == 3",), setup="import no_such_module")),
    ):
        (score,) = scores(CodeVerifier(sandbox=sandbox), RIGHT, problem=problem)
        assert (score.verdict, score.value) == (Verdict.ABSTAIN, 0.5)
        assert score.reason


def test_no_candidates(sandbox: Sandbox) -> None:
    assert scores(CodeVerifier(sandbox=sandbox)) == []


class Counting(Sandbox):
    """Counts runs; all else is real."""

    runs = 0

    async def run_tests(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        Counting.runs += 1
        return await super().run_tests(*args, **kwargs)


def test_the_same_program_is_judged_once() -> None:
    with Counting() as counting:
        try:
            counting.isolation()
        except SandboxUnavailable as error:
            pytest.skip(str(error))
        verifier = CodeVerifier(sandbox=counting)
        assert len(scores(verifier, RIGHT, RIGHT, WRONG, RIGHT)) == 4
        assert Counting.runs == 2
        scores(verifier, RIGHT, WRONG)
        assert Counting.runs == 2
        other = Problem("Another.", tests=CodeTests(("assert add(5, 5) == 10",)))
        assert scores(verifier, RIGHT, problem=other)[0].verdict is Verdict.RIGHT
        assert Counting.runs == 3


def test_a_forged_pass_is_wrong(sandbox: Sandbox) -> None:
    forged = "class Yes:\n    def __eq__(self, other): return True\ndef add(a, b): return Yes()"
    early = "import os\nos._exit(0)"
    assert {s.verdict for s in scores(CodeVerifier(sandbox=sandbox), forged, early)} == {Verdict.WRONG}


def test_no_isolation_is_an_error_and_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "bwraps", lambda: iter(["/bin/false"]))
    with Sandbox(isolation="bubblewrap") as refused, pytest.raises(SandboxUnavailable):
        scores(CodeVerifier(sandbox=refused), RIGHT, WRONG)


def test_cancelling_the_scoring_cancels_the_runs(sandbox: Sandbox) -> None:
    async def run() -> None:
        task = asyncio.create_task(CodeVerifier(sandbox=sandbox).score(PROBLEM, candidates(LOOPS, RIGHT)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert scores(CodeVerifier(sandbox=sandbox), RIGHT)[0].verdict is Verdict.RIGHT


def test_which_must_be_known() -> None:
    with pytest.raises(ValueError, match="which"):
        CodeVerifier("some")  # type: ignore[arg-type]
