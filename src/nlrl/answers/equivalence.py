"""When two answers are the same answer.

    default_equivalence().equal_sync("1/2", "50%")                              True, in microseconds
    await default_equivalence().classes(["70", "70 dollars", None, "71"])       [0, 0, -1, 1]

Both answers are read (`nlrl.answers.forms`) and compared by exact arithmetic, by fingerprints, and where neither can
tell by values at points that can. What is not shown equal is different: a piece that was not understood is compared as
text, and is never left out. Pure and bounded: no process, no model, no network. The rules, with examples, are in
docs/reference/answers.md.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from nlrl.answers._classes import ClassIndex
from nlrl.answers.choices import match_choice
from nlrl.answers.forms import read, same
from nlrl.answers.forms.program import program_key
from nlrl.core import Problem, TaskType


def canonical(answer: str | None, problem: Problem | TaskType | None = None) -> str | None:
    """A key: equal keys mean equal answers (different keys mean nothing). None for no answer, a blank one or "nan".

    With a problem that offers options, "B", "(b)" and the option's text have one key.
    """
    if answer is None or not answer.strip():
        return None
    task = problem.task_type if isinstance(problem, Problem) else problem
    if isinstance(problem, Problem) and problem.choices:
        index = match_choice(answer, problem.choices)
        if index is not None:
            return f"o:{index}"
    if task is TaskType.CODING:
        return program_key(answer)
    if task is TaskType.WRITING:
        return "w:" + " ".join(answer.split())
    return read(answer).key or None


class Equivalence:
    """Compares answers. It keeps nothing: one instance serves all threads and event loops."""

    canonical = staticmethod(canonical)

    def equal_sync(self, a: str, b: str, *, task_type: TaskType | None = None, wait: bool = True) -> bool:
        """Whether two answers are shown to be the same. `wait` is taken from older callers: nothing is waited for."""
        del wait
        one, two = canonical(a, task_type), canonical(b, task_type)
        if one is None or two is None:
            return False
        if one == two or task_type in (TaskType.CODING, TaskType.WRITING):
            return one == two
        return same(read(a), read(b)) is True

    async def equal(self, a: str, b: str, *, task_type: TaskType | None = None) -> bool:
        """The same, for callers that await it."""
        return self.equal_sync(a, b, task_type=task_type)

    async def classes(self, answers: Sequence[str | None], *, problem: Problem | None = None) -> list[int]:
        """The class of each answer, numbered in order of appearance; -1 for None and blank answers.

        An answer joins the first class whose representative, its first member, it equals.
        """
        out: list[int] = []
        by_text: dict[str, int] = {}
        index = ClassIndex()
        for answer in answers:
            if answer is None:
                out.append(-1)
                continue
            label = by_text.get(answer)
            if label is None:
                key = canonical(answer, problem)
                label = -1 if key is None else index.by_key.get(key)
                if label is None and key is not None:
                    label = index.by_key[key] = self._place(answer, key, index)
                by_text[answer] = -1 if label is None else label
            out.append(by_text[answer])
        return out

    def _place(self, answer: str, key: str, index: ClassIndex) -> int:
        """The class of an answer with a new key, old or new."""
        if key[:2] in ("o:", "p:", "w:", "h:"):  # options, programs, texts: equal keys or nothing
            return index.open(key, None)
        form = read(answer)
        for candidate, head in index.candidates(form):
            if same(form, head):
                return candidate
        return index.open(key, form)


@functools.cache
def default_equivalence() -> Equivalence:
    """The one instance of this process, shared by all verifiers and strategies."""
    return Equivalence()
