"""The page and the picture of an improvement run: complete, escaped, self-contained."""

import asyncio
import re

import pytest

from nlrl.core import Budget, Problem, TaskType
from nlrl.learning.language.asking.improve_policy import improve_policy
from nlrl.learning.language.asking.page import save_page
from nlrl.learning.language.asking.plot import curve, incumbent_values, save_png
from nlrl.learning.language.asking.turn import AskingSettings
from nlrl.testing import ScriptedModel

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">'
PROBLEMS = [Problem(f"What is {i} + 1? {EVIL}", reference=str(i + 1), task_type=TaskType.MATH) for i in range(20)]


def reply(request, index):
    first, last = request.messages[0].content, request.messages[-1].content
    if first.startswith("You improve"):
        return "ADD: Count on. </pre><script>"
    if first.startswith(("You review", "You read")):
        return f"It did not count. {EVIL}"
    number = int(re.search(r"is (\d+)", last).group(1)) + 1
    return f"{EVIL}\nFinal Answer: {number if 'Count on' in first else 0}"


@pytest.fixture(scope="module")
def run():
    settings = AskingSettings(iterations=3, kinds=("critic", "bare"))
    return asyncio.run(improve_policy(ScriptedModel(reply), PROBLEMS, settings=settings))


def test_every_iteration_opens_to_its_evaluations_and_what_changed(run, tmp_path):
    picture = save_png("adding <b> $5", [run.iterations], tmp_path / "learning.png")
    problems = {p.id: p for p in PROBLEMS}
    page = save_page("adding", {"model": EVIL}, [run.iterations], problems, tmp_path / "p.html", picture).read_text()
    assert "1. critic: accepted" in page and "0. start: accepted" in page
    assert "+ rule 1: Count on. &lt;/pre&gt;&lt;script&gt;" in page
    assert "Evaluations" in page and "It did not count." in page and "What they have in common" in page
    assert page.count('class="problem"') == len({r.problem for i in run.iterations for r in i.rollouts})
    assert "data:image/png;base64," in page
    assert "<script" not in page and "onerror=" not in page.replace("onerror=&quot;", "")
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


def test_the_curve_is_that_of_the_incumbent(run):
    points = curve([run.iterations])
    assert [p.iteration for p in points] == [0, 1, 2, 3]
    assert points[0].accuracy.mean == 0.0 and points[1].accuracy.mean == 1.0
    assert points[-1].tokens == run.tokens
    assert incumbent_values(run.iterations[:1]) == [0.0] * 10


def test_a_run_that_ended_early_stays_in_the_curve_where_it_ended(run):
    short = run.iterations[:1]
    both = curve([run.iterations, short])
    assert [p.accuracy.mean for p in both] == [0.0, 0.5, 0.5, 0.5]
    assert both[3].tokens == (run.tokens + short[0].tokens) / 2


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("tokens", [10, 900])
def test_a_budget_that_ends_at_the_start_leaves_a_page(run, runs, tokens, tmp_path):
    ended = asyncio.run(improve_policy(ScriptedModel(reply), PROBLEMS, budget=Budget(tokens=tokens)))
    assert [i.decision for i in ended.iterations] == ["stopped"]
    shown = [ended.iterations] * runs
    picture = save_png("small", shown, tmp_path / "learning.png")
    page = save_page("small", {}, shown, {}, tmp_path / "p.html", picture).read_text()
    assert "0. start: stopped" in page and "The prompt of the task, unchanged." in page
    assert ("not measured" in page) == (runs == 2 or tokens == 10) and "nan" not in page
    beside = curve([run.iterations, ended.iterations])
    assert beside[1].accuracy.mean == 1.0  # what was never measured is no zero


def test_several_runs_and_an_empty_proposal_have_their_page(run, tmp_path):
    page = save_page("two", {}, [run.iterations, run.iterations[:1]], {}, tmp_path / "p.html").read_text()
    assert "Run 2" in page and "The prompt of the task, unchanged." in page
