"""A verifier that is any command: the answer is a file in a box, and the exit code decides.

    verifier = CommandVerifier("lean -DwarningAsError=true {file}")      # or get_verifier("command:lean {file}")
    await verifier.score(problem, candidates)   ->  [Score(1.0, RIGHT), Score(0.0, WRONG, reason="exit code 1: ...")]

The file holds the last fenced block of the completion, whatever its language, else the whole answer. The command runs
where generated programs do: no network, no files but its own and the system's programs, within bounds.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from nlrl.answers.code_text import blocks, undressed
from nlrl.answers.reading.cut import thoughts_cut
from nlrl.core import Candidate, Problem, Score, UserError, Verdict
from nlrl.sandbox import Limits, Outcome, RunResult, Sandbox

_SUFFIXES = {
    "lean": ".lean", "coqc": ".v", "agda": ".agda", "isabelle": ".thy", "dafny": ".dfy", "z3": ".smt2", "cvc5": ".smt2",
    "node": ".js", "tsc": ".ts", "gcc": ".c", "cc": ".c", "g++": ".cpp", "rustc": ".rs", "ghc": ".hs", "ruby": ".rb",
    "lua": ".lua", "bash": ".sh", "sh": ".sh", "python3": ".py", "ocaml": ".ml", "swipl": ".pl", "Rscript": ".R",
}  # fmt: skip
_LIMITS = Limits(wall_s=60.0, cpu_s=60.0, memory_bytes=8 << 30, scratch_bytes=256 << 20, threads=64, processes=16)
_REASON_CHARS = 300


class CommandVerifier:
    """Runs a command on each answer: exit code 0 is right, every other one wrong.

    command  words as a shell splits them; {file} stands for the answer's file, and without it the answer is on stdin
    suffix   of that file; by default what the command's name suggests
    show     further files and folders that the command needs, read-only
    limits   bounds of one run; by default a minute, 8 GiB and 16 processes
    Raises UserError where there is no such command.
    """

    def __init__(
        self, command: str, *, suffix: str | None = None, show: Sequence[str] = (), limits: Limits = _LIMITS
    ) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UserError(f"The command {command!r} cannot be split into words: {error}.") from None
        program = shutil.which(self._words[0]) if self._words else None
        if program is None:
            raise UserError(f"There is no command {command!r} on this machine. Example: command:lean {{file}}")
        name = Path(program).name
        self._file = f"answer{suffix or _SUFFIXES.get(name, '.txt')}"
        self._words[0] = program
        self._sandbox = Sandbox(limits, programs=[program, *show])

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score a candidate, in order; the same text is run once."""
        texts = [_text(candidate) for candidate in candidates]
        unique = [text for text in dict.fromkeys(texts) if text]
        runs = dict(zip(unique, await asyncio.gather(*map(self._run, unique)), strict=True))
        return [_score(runs[text]) if text else Score(0.0, Verdict.UNPARSED, reason="no text") for text in texts]

    async def _run(self, text: str) -> RunResult:
        words = [word.replace("{file}", self._file) for word in self._words]
        stdin = "" if words != self._words else text
        return await self._sandbox.run_command(words, files={self._file: text}, stdin=stdin)


def _text(candidate: Candidate) -> str:
    found = blocks(undressed(thoughts_cut(candidate.completion.text)))
    return found[-1][1] if found else (candidate.answer or candidate.completion.text).strip()


def _score(run: RunResult) -> Score:
    if run.outcome is Outcome.OK:
        return Score(1.0, Verdict.RIGHT, reason="exit code 0")
    said = (run.stdout + run.stderr).strip().splitlines()
    reason = f"exit code {run.exit}" + (f": {said[0][:_REASON_CHARS]}" if said else "")
    return Score(0.0, Verdict.TIMEOUT if run.outcome is Outcome.TIMEOUT else Verdict.WRONG, reason=reason)
