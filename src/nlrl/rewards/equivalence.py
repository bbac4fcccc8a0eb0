"""When two answers are the same answer.

    Equivalence().equal_sync("1/2", "50%")               True, in microseconds
    await Equivalence().classes(["70", "70 dollars", None, "71"])   [0, 0, -1, 1]

First the fast way, in this process: both answers are read (`nlrl.rewards.forms`) and compared by exact arithmetic,
fingerprints and a few floating point values. What that cannot decide, and looks like mathematics, goes to a symbolic
engine in a process that is killed when it is late (`_symbolic.py`). What is still not shown equal counts as different.
The rules, with examples, are in docs/reference/rewards.md.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from nlrl.core import Problem, TaskType
from nlrl.rewards._classes import ClassIndex
from nlrl.rewards._symbolic import START_S, SymbolicPool
from nlrl.rewards.choices import match_choice
from nlrl.rewards.forms import Form, read, same
from nlrl.rewards.forms.program import program_key

MAX_SYMBOLIC = 300  # characters; longer formulas are not sent to the symbolic engine
MAX_SYMBOLIC_CALLS = 64  # in one call of `classes`: 64 hostile answers make 2,016 pairs
LATE_COST = 16  # calls that a comparison without a verdict counts for


@dataclass(slots=True)
class EquivalenceStats:
    """How comparisons were decided: in this process, by the engine, from the cache, or not at all in time."""

    fast: int = 0
    symbolic: int = 0
    cached: int = 0
    undecided: int = 0


def canonical(answer: str | None, problem: Problem | TaskType | None = None) -> str | None:
    """A key: equal keys mean equal answers (different keys mean nothing). None for no answer or a blank one.

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
    return read(answer).key


class Equivalence:
    """Compares answers; remembers what was hard to decide. Safe in threads and over several event loops.

    limit_s     processor time for one symbolic comparison
    patience_s  time to wait for the engine to be free, or to start, in `equal` and `equal_sync`; together with
                limit_s the longest that one pair can take. With ``wait=True`` a start is waited for, and the clock may
                run on while other programs hold the processor: the verdict does not depend on them
    workers     engine processes, started when first needed
    cache_size  pairs remembered; symmetric
    """

    def __init__(
        self, *, limit_s: float = 0.6, patience_s: float = 0.3, workers: int = 1, cache_size: int = 50_000
    ) -> None:
        self.patience_s = patience_s
        self.stats = EquivalenceStats()
        self._pool = SymbolicPool(limit_s=limit_s, size=workers)
        self._cache: OrderedDict[tuple[str, str], bool | None] = OrderedDict()
        self._cache_size = cache_size
        self._lock = threading.Lock()

    canonical = staticmethod(canonical)

    def equal_sync(self, a: str, b: str, *, task_type: TaskType | None = None, wait: bool = False) -> bool:
        """Whether two answers are the same. At most limit_s + patience_s, unless `wait`."""
        return self.decide_sync(a, b, task_type=task_type, wait=wait) is True

    async def equal(self, a: str, b: str, *, task_type: TaskType | None = None, wait: bool = False) -> bool:
        """Whether two answers are the same; other tasks go on while the engine thinks."""
        return await self.decide(a, b, task_type=task_type, wait=wait) is True

    def decide_sync(self, a: str, b: str, *, task_type: TaskType | None = None, wait: bool = False) -> bool | None:
        """True, False, or None where the engine ran out of time."""
        verdict, pair = self._fast(a, b, task_type)
        return self._slow(pair, wait) if pair else verdict

    async def decide(self, a: str, b: str, *, task_type: TaskType | None = None, wait: bool = False) -> bool | None:
        """True, False, or None where the engine ran out of time."""
        verdict, pair = self._fast(a, b, task_type)
        return await asyncio.to_thread(self._slow, pair, wait) if pair else verdict

    async def classes(self, answers: Sequence[str | None], *, problem: Problem | None = None) -> list[int]:
        """The class of each answer, numbered in order of appearance; -1 for None and blank answers.

        An answer joins the first class whose representative, its first member, it equals.
        """
        out: list[int] = []
        by_text: dict[str, int] = {}
        index = ClassIndex()
        calls_left = MAX_SYMBOLIC_CALLS
        for answer in answers:
            if answer is None:
                out.append(-1)
                continue
            found = by_text.get(answer)
            if found is None:
                key = canonical(answer, problem)
                found = -1 if key is None else index.by_key.get(key)
                if found is None and key is not None:
                    found, calls = await self._place(answer, key, index, calls_left)
                    calls_left -= calls
                    index.by_key[key] = found
                by_text[answer] = -1 if found is None else found
            out.append(by_text[answer])
        return out

    async def _place(self, answer: str, key: str, index: ClassIndex, calls_left: int) -> tuple[int, int]:
        """The class of an answer with a new key, old or new, and the engine calls it took."""
        if key[:2] in ("o:", "p:", "w:", "h:"):  # options, programs, texts: equal keys or nothing
            return index.open(key, None), 0
        form = read(answer)
        calls = 0
        for candidate, head in index.candidates(form):
            verdict = same(form, head)
            if verdict is None and calls < calls_left and (pair := _pair(form, head)):
                verdict = await asyncio.to_thread(self._slow, pair, True)
                calls += 1 if verdict is not None else LATE_COST
            if verdict:
                return candidate, calls
        return index.open(key, form), calls

    def warm(self, wait_s: float = START_S) -> bool:
        """Start the symbolic engine now; whether it was ready in time."""
        return self._pool.warm(wait_s)

    def close(self) -> None:
        """End the engine's processes. Comparing again starts them again."""
        self._pool.close()

    def _fast(self, a: str, b: str, task_type: TaskType | None) -> tuple[bool | None, tuple[str, str] | None]:
        """The verdict, or the pair to send to the engine."""
        if a == b and a.strip():
            self.stats.fast += 1
            return True, None
        one, two = canonical(a, task_type), canonical(b, task_type)
        if one is None or two is None:
            return False, None
        if one == two or task_type in (TaskType.CODING, TaskType.WRITING):
            self.stats.fast += 1
            return one == two, None
        form_a, form_b = read(a), read(b)
        verdict = same(form_a, form_b)
        pair = _pair(form_a, form_b) if verdict is None else None
        if pair is None:
            self.stats.fast += 1
            return verdict is True, None
        return None, pair

    def _slow(self, pair: tuple[str, str], wait: bool) -> bool | None:
        with self._lock:
            if pair in self._cache:
                self._cache.move_to_end(pair)
                self.stats.cached += 1
                return self._cache[pair]
        killed = self._pool.killed
        verdict = self._pool.ask(*pair, wait_s=START_S if wait else self.patience_s, patient=wait)
        with self._lock:
            if verdict is None:
                self.stats.undecided += 1
                if self._pool.killed == killed:  # no engine was there in time: ask again another time
                    return None
            else:
                self.stats.symbolic += 1
            self._cache[pair] = verdict
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        return verdict


def _pair(a: Form, b: Form) -> tuple[str, str] | None:
    """What the engine is asked, in one order; None where asking is useless."""
    if not (a.evident and b.evident) or max(len(a.text), len(b.text)) > MAX_SYMBOLIC:
        return None
    one, two = sorted((_source(a), _source(b)))
    return one, two


_BACK = {
    "⦃": r"\{", "⦄": r"\}", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∈": r"\in ", "∪": r"\cup ", "∩": r"\cap ",
    "∖": r"\setminus ", "∞": r"\infty ", "±": r"\pm ", "∓": r"\mp ", "√": r"\sqrt ", "∅": r"\emptyset ",
    "π": r"\pi ", "…": r"\ldots ", "°": r"^\circ ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ",
    "⌉": r"\rceil ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "%": r"\%",
}  # fmt: skip
_BACK_TABLE = str.maketrans(_BACK)


def _source(form: Form) -> str:
    """The cleaned notation as LaTeX again."""
    return form.text.translate(_BACK_TABLE).replace("*", r" \cdot ").replace("$", r"\$")


@functools.cache
def default_equivalence() -> Equivalence:
    """The one instance of this process, shared by all verifiers and strategies."""
    return Equivalence()
