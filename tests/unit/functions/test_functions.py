"""What the plain functions do beyond the guide: real models, real refinement, any row, any place."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nlrl
from nlrl import Budget, Problem, UserError
from nlrl.core import Sampling, VerifierError
from nlrl.functions.texts import AnswerText
from nlrl.testing.scripted import Reply, ScriptedModel


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# ---- attempts


def test_best_of_n_takes_what_the_reward_likes_best():
    model = ScriptedModel(["Final Answer: 1", "Final Answer: 22", "Final Answer: 3"])
    text = nlrl.best_of_n_generate(model, None, "What is 11 + 11?", n=3, reward_model=lambda text: len(text) / 20)
    assert (text, text.value, text.usage.total.calls) == ("Final Answer: 22", "22", 3)
    assert [m.content for m in model.requests[0].messages] == ["What is 11 + 11?"]  # as it stands
    assert (model.requests[0].sampling.temperature, model.requests[0].sampling.top_p) == (0.7, 0.95)


def test_a_problem_or_a_row_is_asked_with_the_instructions_of_its_kind():
    for question in (Problem("What is 1 + 1?"), {"problem": "What is 1 + 1?", "answer": "2"}):
        model = ScriptedModel("Final Answer: 2")
        nlrl.best_of_n_generate(model, None, question, n=1)
        assert model.requests[0].messages[0].role == "system"


def test_texts_without_an_answer_are_still_texts():
    text = nlrl.best_of_n_generate(ScriptedModel([""] * 2), None, "Write a function f.", n=2, self_consistency=True)
    assert text == "" and text.value is None
    text = nlrl.best_of_n_generate(ScriptedModel("no code"), None, "Write a Python function f.", n=2)
    assert (text, text.value) == ("no code", None)


def test_an_answer_text_is_a_str_that_keeps_its_answer():
    text = nlrl.best_of_n_generate(ScriptedModel("Final Answer: 2"), None, "What is 1 + 1?", n=1)
    assert isinstance(text, str) and text.upper() == "FINAL ANSWER: 2"
    for other in (pickle.loads(pickle.dumps(text)), copy.deepcopy(text)):
        assert other == text and isinstance(other, AnswerText) and other.value == "2"


def test_a_stochastic_model_by_name_knows_the_row_it_is_asked():
    row = {"question": "What is 17 + 25?", "answer": "42"}
    assert nlrl.best_of_n_generate("stochastic:1", None, row, n=2).value == "42"
    assert nlrl.best_of_n_generate("stochastic:0", None, row, n=2).value != "42"
    model = nlrl.load_model("stochastic:0.6", problems=[nlrl.as_problem(row)])
    text, _ = nlrl.generate_with_gist(model, None, "What is 17 + 25?")
    assert "Final Answer:" in text
    for bad in ("stochastic:7", "stochastic:often", "stochastic:nan"):
        with pytest.raises(UserError, match="not a chance"):
            nlrl.load_model(bad)
    with pytest.raises(UserError, match="as_problem"):
        nlrl.load_model("stochastic:0.6", problems=[row])


def test_the_functions_work_where_a_loop_runs():
    async def notebook() -> list[Any]:
        model = ScriptedModel("Final Answer: 2")
        return [
            nlrl.best_of_n_generate(model, None, "What is 1 + 1?", n=2),
            nlrl.self_consistency_selection(["Final Answer: 2"]),
            nlrl.generate_with_gist(model, None, "What is 1 + 1?")[0],
            nlrl.self_refine("x", lambda text: 1.0),
            nlrl.run_tests(model, None, {"one": ["What is 1 + 1?"]})[0]["answer"],
        ]

    assert asyncio.run(notebook()) == ["Final Answer: 2", "Final Answer: 2", "Final Answer: 2", "x", "2"]


def test_budgets_hold():
    text = nlrl.best_of_n_generate(ScriptedModel("Final Answer: 2"), None, "1 + 1?", n=8, budget=Budget(calls=3))
    assert text.usage.total.calls == 3


# ---- refining, dividing


def test_a_model_refines_what_it_is_given():
    model = ScriptedModel(["1 and 1 is not 3.", "Final Answer: 2", "It is cut off.", "Final Answer: 9"])
    reward = {"math": lambda text: 0.8 if text.endswith("2") else 0.1}
    refined = nlrl.self_refine("Final Answer: 3", reward, model=model, prompt="What is 1 + 1?")
    assert refined == "Final Answer: 2"
    asked = [m.content for m in model.requests[1].messages]
    assert asked[:2] == ["What is 1 + 1?", "Final Answer: 3"] and "1 and 1 is not 3." in asked[-1]
    assert len(model.requests) == 4  # the second revision is no better, so it is not kept


def test_what_is_good_enough_or_cannot_be_paid_stays():
    model = ScriptedModel("Final Answer: 9")
    question = "What is 1 + 1?"
    assert nlrl.self_refine("Final Answer: 2", lambda text: 0.95, model=model, prompt=question) == "Final Answer: 2"
    assert not model.requests
    poor = nlrl.self_refine("Final Answer: 2", lambda t: 0.1, model=model, prompt=question, budget=Budget(calls=1))
    assert poor == "Final Answer: 2"


def test_keywords_reach_the_reward_of_a_refining_model_too():
    seen: list[Any] = []

    def reward(text: str, test_cases: list[Any]) -> float:
        seen.append(test_cases)
        return 1.0

    nlrl.self_refine("x", reward, model=ScriptedModel("y"), prompt="Write f.", test_cases=[1])
    assert seen == [[1]]


def test_keywords_of_any_name_reach_the_reward():
    def by_reference(output: str, reference: str) -> float:
        return float(output == reference)

    def by_prompt(output: str, prompt: str) -> float:
        return float((output, prompt) == ("TEXT", "Q"))

    assert nlrl.self_refine("4", by_reference, reference="4") == "4"
    assert nlrl.self_refine("TEXT", by_prompt, prompt="Q") == "TEXT"
    with pytest.raises(TypeError, match="answer"):
        nlrl.self_refine("4", lambda output, answer: 1.0)
    with pytest.raises(UserError, match="passed on to a reward function"):
        nlrl.self_refine("4", "mock", reference="4")


def test_a_model_divides_and_conquers():
    model = ScriptedModel(["1. What?", "Final Answer: 5", "Final Answer: 5"])
    text = nlrl.divide_and_conquer("What is 2 + 3?", 2, model=model)
    assert isinstance(text, AnswerText) and text.value == "5"


def test_selection_by_meaning():
    texts = ["Final Answer: 3", "so 1/2\nFinal Answer: 0.5", "Final Answer: 1/2"]
    assert nlrl.self_consistency_selection(texts) == texts[1]
    assert nlrl.self_consistency_selection([]) == ""


# ---- gists


def test_gists_are_the_pieces_and_together_the_text(capsys: pytest.CaptureFixture[str]):
    seen: list[str] = []
    model = ScriptedModel(["17 + 25 = 42\nFinal Answer: 42\nBecause"])
    text, gists = nlrl.generate_with_gist(model, None, "What is 17 + 25?", debug_mode=True, on_gist=seen.append)
    assert text == "17 + 25 = 42\nFinal Answer: 42"
    assert "".join(gists) == text and seen == gists and len(gists) > 5
    assert capsys.readouterr().out.startswith(f"Gist [1/200]: {gists[0]}\n")
    assert model.requests[0].sampling.temperature == 0.0


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("I am Done. And more", "I am Done."),
        ("first ### second", "first ###"),
        ("Done", "Done"),
        ("a\nFinal Answer:\n\n4\nb", "a\nFinal Answer:\n\n4"),
        ("final answer: 4 Done. b", "final answer: 4 Done."),
        ("Final Answer:\n```python\n# ###\nx = 1\n```\nb", "Final Answer:\n```python\n# ###"),
    ],
)
def test_stop_phrases_stay_and_are_looked_for_in_what_is_generated(written: str, text: str):
    model = ScriptedModel([written])
    assert nlrl.generate_with_gist(model, None, "Final Answer: Done. ### Go on.")[0] == text


def test_other_stop_phrases():
    assert (
        nlrl.generate_with_gist(ScriptedModel(["a ### b STOP c"]), None, "q", stop_phrases="STOP")[0] == "a ### b STOP"
    )
    assert nlrl.generate_with_gist(ScriptedModel(["a ### b"]), None, "q", stop_phrases=())[0] == "a ### b"


def test_a_text_that_broke_off_is_what_had_arrived_and_limits_must_make_sense():
    assert nlrl.generate_with_gist(ScriptedModel([Reply("one\ntwo", error="dead")]), None, "q")[0] == "one\ntwo"
    assert nlrl.generate_with_gist(ScriptedModel(["one two three"]), None, "q", max_steps=2)[0] == "one two"
    for wrong in ({"max_steps": 0}, {"max_steps": True}, {"seconds": -1.0}):
        with pytest.raises(UserError):
            nlrl.generate_with_gist(ScriptedModel(["x"]), None, "q", **wrong)  # type: ignore[arg-type]


def test_a_row_is_asked_as_the_other_functions_ask_it():
    row = {"question": "What is 1 + 1?", "answer": "2"}
    for question in (row, nlrl.as_problem(row)):
        model = ScriptedModel("Final Answer: 2")
        assert nlrl.generate_with_gist(model, None, question)[0] == "Final Answer: 2"
        assert model.requests[0].messages[0].role == "system"
    assert "What is 1 + 1?" in nlrl.get_dynamic_prompt("math", row)


# ---- allocation


def test_allocation_takes_samples_and_says_that_nothing_was_calibrated():
    model = ScriptedModel("Final Answer: 2")
    text = nlrl.compute_optimal_scaling("What is 1 + 1?", "hard", 4, model, None)
    assert text == "Final Answer: 2" and text.usage.total.calls == 4
    assert any("calibrated" in note for note in text.answer.notes)
    for wrong in (0, True, 1.5, "4"):
        with pytest.raises(UserError, match="compute_budget"):
            nlrl.compute_optimal_scaling("What is 1 + 1?", "hard", wrong, model, None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="difficulty"):
        nlrl.compute_optimal_scaling("What is 1 + 1?", "extreme", 4, model, None)


# ---- benchmarking


def test_a_benchmark_judges_by_meaning_and_by_tests(capsys: pytest.CaptureFixture[str]):
    sets = {
        "Math": [{"problem": "What is 1/4 + 1/4?", "answer": "1/2"}, Problem("What is 2 + 2?", reference="5")],
        "Code": [
            {
                "problem": "Write a Python function to reverse a string.",
                "answer": "def reverse_string(s): return s[::-1]",
                "test_cases": [{"input": "hello", "expected": "olleh"}],
            }
        ],
        "Open": ["Why is the sky blue?"],
    }
    replies = {
        "1/4": "Final Answer: 0.5",
        "2 + 2": "Final Answer: 4",
        "reverse": "```python\ndef reverse_string(s):\n    return ''.join(reversed(s))\n```",
        "sky": "Final Answer: light",
    }
    rows = nlrl.run_tests(ScriptedModel(replies), None, sets)
    assert [r["is_correct"] for r in rows] == [True, False, True, None]
    assert all(r["tokens"] > 0 and r["error"] is None for r in rows)
    printed = capsys.readouterr().out
    assert "Math Accuracy: 50.00%" in printed and "Code Accuracy: 100.00%" in printed
    assert "Open Accuracy: unknown" in printed
    assert json.loads(Path("cache/benchmark_results.json").read_text("utf-8")) == rows


def test_a_benchmark_refines_where_a_reward_says_so():
    model = ScriptedModel(["Final Answer: 3", "It is wrong.", "Final Answer: 2"])
    reward = {"math": lambda text: float(text.endswith("2"))}
    (row,) = nlrl.run_tests(model, None, {"one": [{"question": "What is 1 + 1?", "answer": "2"}]}, reward)
    assert (row["model_output"], row["is_correct"]) == ("Final Answer: 2", True)
    (row,) = nlrl.run_tests(ScriptedModel(["Final Answer: x"]), None, {"one": ["Why is the sky blue?"]}, reward)
    assert row["answer"] == "x"  # no reward model for its kind: left as it is


def test_a_text_without_a_program_is_kept_and_wrong():
    row = {"problem": "Write a Python function f.", "entry_point": "f", "test_cases": [{"input": [1], "expected": 1}]}
    (one,) = nlrl.run_tests(ScriptedModel("I cannot."), None, {"code": [row]})
    assert (one["model_output"], one["answer"], one["is_correct"]) == ("I cannot.", None, False)


def test_a_row_that_fails_is_told_and_the_rest_goes_on():
    def reply(request: Any, index: int) -> str | Exception:
        return nlrl.core.ModelError("no luck") if "bad" in request.messages[-1].content else "Final Answer: 2"

    rows = nlrl.run_tests(ScriptedModel(reply), None, {"two": ["bad?", {"question": "1 + 1?", "answer": "2"}]})
    assert [(r["error"], r["is_correct"]) for r in rows] == [("no luck", None), (None, True)]


def test_an_interrupted_benchmark_keeps_what_it_has():
    def reply(request: Any, index: int) -> str:
        if "second" in request.messages[-1].content:
            raise KeyboardInterrupt
        return "Final Answer: 2"

    with pytest.raises(KeyboardInterrupt):
        nlrl.run_tests(ScriptedModel(reply), None, {"two": ["the first?", "the second?"]})
    assert len(json.loads(Path("cache/benchmark_results.json").read_text("utf-8"))) == 1


def test_wrong_calls_say_what_to_do():
    model = ScriptedModel("x")
    with pytest.raises(UserError, match="is empty"):
        nlrl.run_tests(model, None, {"none": []})
    with pytest.raises(UserError, match="not a model"):
        nlrl.best_of_n_generate(object(), None, "q")
    with pytest.raises(UserError, match="empty"):
        nlrl.best_of_n_generate(model, None, " \n")
    with pytest.raises(UserError, match="no reward model"):
        nlrl.self_refine("What is 1 + 1?", model)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="prompt="):
        nlrl.self_refine("x", lambda text: 0.0, model=model)
    with pytest.raises(VerifierError, match="number from 0 to 1"):
        nlrl.self_refine("x", lambda text: None)  # type: ignore[arg-type, return-value]
    for n in (0, True, 1.5):
        with pytest.raises(UserError, match="at least 1"):
            nlrl.best_of_n_generate(model, None, "q", n=n)  # type: ignore[arg-type]
        with pytest.raises(UserError, match="at least 1"):
            nlrl.divide_and_conquer("q", n)  # type: ignore[arg-type]


# ---- files


@dataclass
class Point:
    x: int
    tags: tuple[str, ...] = ()


def test_results_are_saved_whole_or_not_at_all(tmp_path: Path):
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


@pytest.fixture
def _logging_as_before():
    root, ours = logging.getLogger(), logging.getLogger("nlrl")
    before = (root.level, list(root.handlers), ours.level, list(ours.handlers), ours.propagate)
    client = logging.getLogger("httpx").level
    yield
    for handler in root.handlers:
        if handler not in before[1]:
            handler.close()
    root.setLevel(before[0])
    logging.getLogger("httpx").setLevel(client)
    root.handlers[:], ours.level, ours.handlers[:], ours.propagate = before[1], before[2], before[3], before[4]


@pytest.mark.usefixtures("_logging_as_before")
def test_the_log_file_grows_and_holds_no_secret():
    for _ in range(2):
        nlrl.setup_logging("debug")
    logging.getLogger("nlrl.models").warning("429 for Bearer %s", "abcdefgh12345678")
    logging.getLogger("my.app").info("hello")
    nlrl.setup_logging()
    logging.debug("not this")
    log = Path("cache/system.log")
    first, second = log.read_text("utf-8").splitlines()
    assert first.endswith("- WARNING - nlrl.models 429 for Bearer [secret]") and "- INFO - my.app hello" in second
    assert first[:2] == "20" and log.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UserError, match="log level"):
        nlrl.setup_logging("LOUD")
    with pytest.raises(UserError, match="Cannot write"):
        nlrl.setup_logging(folder="cache/system.log")


def test_tokens_are_kept_for_each_tokenizer():
    class Tokenizer:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, text: str, return_tensors: str) -> list[str]:
            self.calls += 1
            return text.split()

    first, second = Tokenizer(), Tokenizer()
    for tokenizer in (first, second):
        assert [nlrl.tokenize_with_cache(tokenizer, "a b") for _ in range(3)] == [["a", "b"]] * 3
        assert tokenizer.calls == 1
    for i in range(2000):
        nlrl.tokenize_with_cache(first, str(i))
    nlrl.tokenize_with_cache(first, "a b")
    assert first.calls == 2002
    assert nlrl.tokenize_with_cache(lambda text, return_tensors: [text], "x") == ["x"]
    with pytest.raises(UserError, match="no tokenizer"):
        nlrl.tokenize_with_cache(None, "x")


def test_sampling_of_ones_own_counts():
    model = ScriptedModel("Final Answer: 2")
    nlrl.best_of_n_generate(model, None, "1 + 1?", n=1, sampling=Sampling(temperature=0.1))
    assert (model.requests[0].sampling.temperature, model.requests[0].sampling.top_p) == (0.1, 0.95)
