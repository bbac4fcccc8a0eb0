"""The flat face: every name exists, costs nothing until used, and the plain functions do the real thing."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

import nlrl
from nlrl import Budget, Problem, UserError
from nlrl.models.scripted import ScriptedModel

REQUIRED = (
    "classify_task", "get_dynamic_prompt", "divide_and_conquer", "self_refine", "self_consistency_selection",
    "best_of_n_generate", "generate_with_gist", "run_tests", "save_results_to_json", "setup_logging",
)  # fmt: skip


def test_every_public_name_is_there_once():
    assert set(REQUIRED) <= set(nlrl.__all__)
    assert len(nlrl.__all__) == len(set(nlrl.__all__))
    for name in nlrl.__all__:
        assert callable(getattr(nlrl, name)) or getattr(nlrl, name) is not None
    assert set(nlrl.__all__) <= set(dir(nlrl))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = nlrl.no_such_name


def test_importing_loads_nothing_heavy():
    heavy = ("numpy", "httpx", "rich", "sympy", "torch", "click")
    code = f"import nlrl, nlrl.cli, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_best_of_n_with_a_plain_reward_function():
    model = ScriptedModel(["Final Answer: 1", "Final Answer: 22", "Final Answer: 3"])
    answer = nlrl.best_of_n_generate("What is 11 + 11?", model, n=3, reward_model=lambda prompt, text: len(text) / 20)
    assert (str(answer), answer.usage.total.calls) == ("22", 3)


def test_strategies_as_functions_take_budgets_and_named_verifiers():
    model = ScriptedModel(["Final Answer: 1", "It is wrong.", "Final Answer: 2"])
    answer = nlrl.self_refine("What is 1 + 1?", model, reward_model="mock", budget=Budget(calls=3))
    assert answer.value in ("1", "2")
    model = ScriptedModel(["1. What?", "Final Answer: 5", "Final Answer: 5"])
    assert nlrl.divide_and_conquer(Problem("What is 2 + 3?"), model).value == "5"


def test_selection_by_meaning():
    texts = ["Final Answer: 3", "so 1/2\nFinal Answer: 0.5", "Final Answer: 1/2"]
    assert nlrl.self_consistency_selection(texts) == texts[1]
    assert nlrl.self_consistency_selection([]) == ""


@pytest.mark.parametrize("bad", ["", "   ", "\n"])
def test_an_empty_prompt_is_refused(bad):
    with pytest.raises(UserError, match="empty"):
        nlrl.best_of_n_generate(bad, ScriptedModel("x"))


def test_what_is_no_model_is_refused():
    with pytest.raises(UserError, match="not a model"):
        nlrl.best_of_n_generate("q", object())


@dataclass
class Point:
    x: int
    tags: tuple[str, ...] = ()


def test_results_are_saved_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "results.json"
    nlrl.save_results_to_json({"a": Point(1, ("ü",)), "b": {2}}, path)
    assert json.loads(path.read_text("utf-8")) == {"a": {"x": 1, "tags": ["ü"]}, "b": [2]}
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="Circular"):
        nlrl.save_results_to_json(loop, path)
    assert json.loads(path.read_text("utf-8"))["b"] == [2]
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]
    with pytest.raises(UserError, match="Cannot write"):
        nlrl.save_results_to_json({}, path / "below-a-file.json")
