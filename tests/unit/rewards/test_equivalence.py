"""Equivalence as a whole: the rules, the engine that cannot hang, classes, speed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nlrl.core import Problem, TaskType, VerifierError
from nlrl.rewards import _symbolic
from nlrl.rewards.equivalence import Equivalence, canonical, default_equivalence

PAIRS = Path(__file__).parents[3] / "benchmarks" / "data" / "equivalence_pairs.jsonl"


@pytest.mark.skipif(not PAIRS.exists(), reason="the labelled pairs are part of a source checkout")
def test_labelled_pairs() -> None:
    """Every labelled pair but one in a hundred, without the engine; benchmarks/equivalence.py tells more."""
    fast = Equivalence(patience_s=0.0, limit_s=0.01)
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    assert len(rows) >= 200
    wrong = [r for r in rows if fast.equal_sync(r["a"], r["b"]) != r["equal"]]
    fast.close()
    assert len(wrong) <= len(rows) // 100, wrong[:5]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("50%", "0.5", True),
        ("50%", "50", True),
        ("0.25%", "25%", False),
        ("70 dollars", "70", True),
        ("70 dollars", "70 cents", False),
        ("1 km", "1000 m", True),
        ("3.14", r"\pi", False),
        ("3.1416", r"\pi", True),
        ("0.333", "1/3", False),
        ("0.3333", "1/3", True),
        ("x^2 + C", "x^2", False),
        ("x^2 + C", "K + x**2", True),
        ("10**10**10", "10**10**10 + 1", False),
        ("(1,2)", "{1,2}", False),
        ("x = 5", "y = 5", False),
        ("", "", False),
        (" ", "0", False),
    ],
)
def test_documented_rules(a: str, b: str, equal: bool) -> None:
    assert default_equivalence().equal_sync(a, b) is equal
    assert default_equivalence().equal_sync(b, a) is equal


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (r"\int_0^1 x\,dx", r"\frac{1}{2}", True),
        (r"\sum_{k=1}^{10} k", "55", True),
        (r"\sum_{k=1}^{10} k", "54", False),
    ],
)
def test_the_engine_decides_what_the_fast_way_cannot(equivalence: Equivalence, a: str, b: str, equal: bool) -> None:
    before = equivalence.stats.symbolic + equivalence.stats.cached
    assert equivalence.equal_sync(a, b, wait=True) is equal
    assert equivalence.stats.symbolic + equivalence.stats.cached == before + 1
    assert asyncio.run(equivalence.equal(b, a)) is equal  # from the cache: the pair is symmetric


def test_a_hanging_comparison_is_killed_and_the_next_one_works(equivalence: Equivalence) -> None:
    start = time.perf_counter()
    assert equivalence.decide_sync(r"\sum_{k=1}^{10^9} k^k", r"\int_0^1 x^{x^x} dx", wait=True) is None
    assert time.perf_counter() - start < 5
    assert equivalence.equal_sync(r"\sum_{k=1}^{4} k", "10", wait=True)


def test_a_crashed_worker_is_replaced() -> None:
    shared = Equivalence()
    try:
        assert shared.warm()
        (worker,) = shared._pool._all
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
        assert shared.equal_sync(r"\sum_{k=1}^{5} k", "15", wait=True)
    finally:
        shared.close()
    assert not shared._pool._all


def test_an_impatient_comparison_stays_under_a_second_while_the_engine_starts() -> None:
    cold = Equivalence()
    try:
        start = time.perf_counter()
        cold.equal_sync(r"\sum_{k=1}^{6} k", "21")
        assert time.perf_counter() - start < 1.0
        assert cold.equal_sync(r"\sum_{k=1}^{6} k", "21", wait=True)  # an undecided pair is not remembered
    finally:
        cold.close()


def test_several_event_loops_and_threads_share_one_instance(equivalence: Equivalence) -> None:
    async def many(offset: int) -> list[bool]:
        pairs = [(rf"\sum_{{k=1}}^{{{n}}} k", str(n * (n + 1) // 2)) for n in range(offset, offset + 3)]
        return await asyncio.gather(*(equivalence.equal(a, b, wait=True) for a, b in pairs))

    for offset in (20, 30):
        assert asyncio.run(many(offset)) == [True] * 3
    results: list[list[bool]] = []
    threads = [threading.Thread(target=lambda o=o: results.append(asyncio.run(many(o)))) for o in (40, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[True] * 3] * 2


def test_a_program_without_main_guard_works_and_leaves_nothing_behind(tmp_path: Path) -> None:
    script = tmp_path / "no_guard.py"
    script.write_text(
        textwrap.dedent(
            r"""
            from nlrl.rewards import default_equivalence
            shared = default_equivalence()
            print(shared.equal_sync(r"\sum_{k=1}^{7} k", "28", wait=True))
            print(next(iter(shared._pool._all)).process.pid)
            """
        ),
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    verdict, pid = done.stdout.split()
    assert verdict == "True"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_a_missing_engine_is_an_error_with_the_next_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "math_verify.py").write_text("raise ImportError('not here')")
    pool = _symbolic.SymbolicPool()
    monkeypatch.setattr(_symbolic._Worker, "__init__", _worker_with_path(str(tmp_path)))
    with pytest.raises(VerifierError, match="pip install"):
        pool.ask("1", "2")
    pool.close()


def _worker_with_path(first: str) -> Callable[..., None]:
    def init(self: _symbolic._Worker, cpu_s: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "nlrl.rewards._symbolic_worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([first, *(p for p in sys.path if p)])},
        )  # fmt: skip

    return init


def test_classes() -> None:
    shared = default_equivalence()
    answers = ["70", "70 dollars", None, "71", "70.0", "$71", "", "1/2", "0.5", "50%", "seventy"]
    assert asyncio.run(shared.classes(answers)) == [0, 0, -1, 1, 0, 1, -1, 2, 2, 2, 0]
    assert asyncio.run(shared.classes([])) == []


def test_classes_of_rounded_numbers_and_far_ones() -> None:
    answers = ["2/3", "0.6667", "0.66666667", "0.67", "1000000000000001", "1000000000000002", "9" * 5000, "9" * 5000]
    assert asyncio.run(default_equivalence().classes(answers)) == [0, 0, 0, 1, 2, 3, 4, 4]


def test_classes_with_options_and_with_code() -> None:
    shared = default_equivalence()
    quiz = Problem("?", choices=("London", "Paris"), task_type=TaskType.COMMONSENSE)
    assert asyncio.run(shared.classes(["B", "paris", "(b) Paris", "A", "Rome"], problem=quiz)) == [0, 0, 0, 1, 2]
    code = Problem("?", task_type=TaskType.CODING)
    sources = ["def f(x):\n    return x", "def f(x):\n  # same\n  return x\n", "def f(x):\n    return -x"]
    assert asyncio.run(shared.classes(sources, problem=code)) == [0, 0, 1]


def test_classes_agree_with_pairwise_comparison_for_numbers() -> None:
    """For plain numbers the shortcuts of `classes` must not change what comparing each with each would give."""
    shared = default_equivalence()
    draw = random.Random(5)
    for _ in range(30):
        answers = [
            draw.choice(["{}", "{}.0", "{}.5", "{}/3", "{}.3333", "{}.33333333", "-{}"]).format(draw.randint(0, 3))
            for _ in range(20)
        ]
        heads: list[str] = []
        wanted = []
        for answer in answers:
            found = next((i for i, head in enumerate(heads) if shared.equal_sync(head, answer)), None)
            if found is None:
                found = len(heads)
                heads.append(answer)
            wanted.append(found)
        assert asyncio.run(shared.classes(answers)) == wanted


def test_canonical_keys() -> None:
    assert canonical("1/2") == canonical("0.50") == canonical(r"\frac{1}{2}")
    assert canonical(None) is None and canonical("  ") is None
    assert canonical("x + 1") == canonical("1+x")
    assert canonical("-0") == canonical("0")
    quiz = Problem("?", choices=("a", "b"))
    assert canonical("(B)", quiz) == canonical("b", quiz)


def test_a_thousand_problems_of_64_numbers_take_less_than_two_seconds() -> None:
    draw = random.Random(1)
    problems = [[str(draw.randint(0, 400)) for _ in range(64)] for _ in range(1000)]
    shared = Equivalence()

    async def all_of_them() -> int:
        return sum([max(await shared.classes(answers)) for answers in problems])

    start = time.perf_counter()
    assert asyncio.run(all_of_them()) > 40_000
    assert time.perf_counter() - start < 2.0
    shared.close()


def test_hostile_answers_do_not_buy_engine_time_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    shared = Equivalence()
    monkeypatch.setattr(shared._pool, "ask", lambda a, b, **_: asked.append((a, b)) or False)
    answers = [rf"\sum_{{k=1}}^{{{n}}} a_k" for n in range(64)]
    assert asyncio.run(shared.classes(answers)) == list(range(64))
    assert 0 < len(asked) <= 64
