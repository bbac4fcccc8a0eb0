"""A verifier that is any command, in the sandbox."""

from __future__ import annotations

import asyncio

import pytest

from nlrl.core import Candidate, Completion, Finish, Problem, SandboxUnavailable, Score, UserError, Verdict
from nlrl.sandbox import Limits
from nlrl.verifiers.command import CommandVerifier
from nlrl.verifiers.registry import get_verifier


def scores(verifier: CommandVerifier, *texts: str) -> list[Score]:
    candidates = [Candidate(f"s{i}", Completion(text, Finish.STOP, 1), answer=None) for i, text in enumerate(texts)]
    try:
        return asyncio.run(verifier.score(Problem("q"), candidates))
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def test_the_exit_code_decides() -> None:
    found = scores(
        CommandVerifier("grep -q 'by norm_num' {file}", suffix=".lean"), "So:\n```lean\nby norm_num\n```", "sorry", ""
    )
    assert [s.verdict for s in found] == [Verdict.RIGHT, Verdict.WRONG, Verdict.UNPARSED]
    assert [s.value for s in found] == [1.0, 0.0, 0.0]
    assert found[1].reason == "exit code 1"


def test_what_the_command_says_is_the_reason_and_the_file_has_the_answer() -> None:
    shell = "sh -c 'echo in $0; cat $0; exit 3' {file}"
    (found,) = scores(CommandVerifier(shell, suffix=".v"), "```coq\nQed.\n```")
    assert found.reason == "exit code 3: in answer.v"


def test_without_a_file_the_answer_is_on_standard_input() -> None:
    found = scores(CommandVerifier("grep -q yes"), "yes", "no")
    assert [s.verdict for s in found] == [Verdict.RIGHT, Verdict.WRONG]


def test_children_are_allowed_and_nothing_outside_is() -> None:
    code = "sh -c 'ls | wc -l | grep -q 1 && ! cat /etc/passwd && ! touch /usr/bin/x && touch here' {file}"
    assert scores(CommandVerifier(code), "x")[0].verdict is Verdict.RIGHT


def test_time_is_bounded() -> None:
    verifier = CommandVerifier("sleep 99", limits=Limits(wall_s=0.5, processes=4))
    assert scores(verifier, "x")[0].verdict is Verdict.TIMEOUT


def test_by_name_and_mistakes() -> None:
    assert isinstance(get_verifier("command:grep -q yes {file}"), CommandVerifier)
    for wrong in ("no-such-command {file}", "grep 'a", ""):
        with pytest.raises(UserError):
            CommandVerifier(wrong)
