"""The nouns: what stands in files and keys never changes by accident, and nothing is said that was not asked for."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace

import pytest

from nlrl import core
from nlrl.core import (
    ANSWER_PHRASE,
    NOTHING,
    Answer,
    Budget,
    BudgetExhausted,
    Candidate,
    Capabilities,
    CodeTests,
    Completion,
    DataError,
    Delta,
    Finish,
    InputOutput,
    Message,
    MissingExtra,
    Phase,
    Prices,
    Problem,
    Request,
    Sampling,
    Score,
    Spend,
    Stopped,
    TaskType,
    TokenLogprob,
    UnknownName,
    Usage,
    Verdict,
    assistant,
    blind,
    system,
    user,
)

# an unset field: `Sampling()` asks for nothing, a `Completion` claims nothing, `Capabilities` promise nothing
UNSET = {
    Sampling: {"stop": ()} | dict.fromkeys(
        ["temperature", "top_p", "top_k", "min_p", "max_tokens", "stop_after", "seed", "logprobs", "grammar"]
    )
    | {"json_schema": None},
    Request: {"sampling": Sampling(), "n": 1, "first_index": 0, "prefill": "", "again": None},
    TokenLogprob: {"top": ()},
    Completion: {
        "prompt_tokens": 0, "cached_tokens": 0, "reasoning": "", "logprobs": None, "gists": (), "seconds": 0.0,
        "seed": None, "error": None, "lost_prompt_tokens": 0, "lost_completion_tokens": 0,
        "estimated_tokens": 0, "calls": 1,
    },
    Delta: {"text": "", "reasoning": "", "tokens": 0, "logprobs": (), "completion": None},
    Prices: {"prompt_per_million": 0.0, "completion_per_million": 0.0, "cached_per_million": None},
    Capabilities: dict.fromkeys(["n", "logprobs", "prefill", "grammar", "json_schema", "seed"], False)
    | {"prompt_logprobs": False}
    | {"context_tokens": None, "parameters": None, "prices": None, "ignores": frozenset(), "n_most": None},
    InputOutput: {"compare": "numbers", "tolerance": 1e-6},
    CodeTests: {"public": (), "entry_point": None, "setup": "", "prelude": ""},
    Problem: {
        "reference": None, "task_type": None, "choices": (), "context": "", "tests": None, "constraints": (),
        "aliases": (), "source": "", "group": "", "id": "",
    },
    Score: {"verdict": Verdict.ABSTAIN, "steps": (), "reason": "", "by": ""},
    Candidate: {"answer": None, "score": None, "parents": (), "path_tokens": 0, "probes": ()},
    Answer: {
        "text": "", "confidence": None, "candidates": (), "chosen": None, "usage": Usage(), "stopped": Stopped.DONE,
        "notes": (), "calibrated": False,
    },
    Spend: dict.fromkeys(["calls", "prompt_tokens", "cached_tokens", "completion_tokens", "cancelled_tokens"], 0)
    | {"estimated_tokens": 0}
    | dict.fromkeys(["flops", "seconds", "cost"], 0.0),
    Usage: {"total": NOTHING, "phases": {}, "critical_path_tokens": 0, "seconds": 0.0},
    Budget: dict.fromkeys(["tokens", "calls", "flops", "seconds", "cost"]),
}  # fmt: skip


@pytest.mark.parametrize("noun", UNSET, ids=lambda noun: noun.__name__)
def test_an_unset_field_means_what_it_meant(noun):
    """Keys of the bank and lines of old files are read with these: a changed default is another sample or record."""
    unset = {
        f.name: f.default if f.default_factory is MISSING else f.default_factory()
        for f in fields(noun)
        if not (f.default is MISSING and f.default_factory is MISSING)
    }
    assert unset == UNSET[noun]
    assert {name: type(value) for name, value in unset.items()} == {n: type(v) for n, v in UNSET[noun].items()}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (Verdict, "right wrong unparsed abstain timeout"),
        (Stopped, "done settled no_gain tokens calls flops seconds cost failed"),
        (Finish, "stop rule length cancelled timeout content_filter error"),
        (TaskType, "math coding commonsense writing"),
    ],
    ids=lambda words: getattr(words, "__name__", ""),
)
def test_words_that_stand_in_files(words, values):
    assert " ".join(words) == values


def test_the_phases_stand_in_files_too():
    assert {"sleep", "probe", "sample", "verify"} <= set(Phase)


def test_the_phrase_that_prompts_stop_rules_and_readers_share():
    assert ANSWER_PHRASE == "Final Answer:"
    assert [system("a"), user("b"), assistant("c")] == [
        Message("system", "a"), Message("user", "b"), Message("assistant", "c")
    ]  # fmt: skip


# --- problems


def test_a_problem_has_the_id_that_it_had():
    """Golden: ids name problems in banks and records of earlier versions."""
    plain = Problem("What is 17 + 25?", "42", TaskType.MATH)
    assert plain.id == "ce8cb6e1aae5c1c6"
    code = Problem("Write f.", tests=CodeTests(("assert f(1) == 2", InputOutput("1", "2")), ("assert f(1) == 2",), "f"))
    assert code.id == "0e2e297a1bfd8505"
    assert Problem("half \ud83d pair").id == "de1510fc282b686a"


@pytest.mark.parametrize(
    "change",
    [
        {"question": "?"},
        {"reference": "43"},
        {"task_type": TaskType.COMMONSENSE},
        {"choices": ("1",)},
        {"context": "c"},
        {"tests": CodeTests(("assert f(1) == 2",))},
        {"tests": CodeTests(("assert f(1) == 2",), setup="import os")},
        {"tests": CodeTests(("assert f(1) == 2",), prelude="import os")},
        {"tests": CodeTests(("assert f(1) == 2",), public=("assert f(1) == 2",))},
        {"tests": CodeTests((InputOutput("1", "2"),))},
        {"tests": CodeTests((InputOutput("1", "2", tolerance=0.1),))},
        {"constraints": ({"kind": "word_count", "value": 3},)},
        {"aliases": ("forty-two",)},
    ],
    ids=str,
)
def test_another_question_or_another_judgement_is_another_problem(change):
    plain = Problem("What is 17 + 25?", "42", TaskType.MATH)
    assert replace(plain, id="", **change).id != plain.id


def test_where_it_comes_from_is_for_people_only():
    assert Problem("?", source="a").id == Problem("?", source="b").id
    assert Problem("?", group="a").id == Problem("?", group="b").id
    assert Problem("?", id="mine").id == "mine"
    assert Problem("?", id="mine") == Problem("?", id="yours")  # ids are made of the rest
    assert Problem("?", constraints=({"a": 1, "b": 2},)).id == Problem("?", constraints=({"b": 2, "a": 1},)).id


def test_a_test_of_a_whole_program_is_shown_as_a_contest_shows_it():
    assert str(InputOutput("1 2\n\n", "3\n")) == "input:\n1 2\noutput:\n3"


def test_blind_keeps_all_but_the_answers():
    tests = CodeTests(("assert f(1) == 2",))
    whole = Problem("?", "42", TaskType.MATH, ("a", "b"), "c", tests, ({"kind": "x"},), ("43",), "s")
    assert blind(whole) == replace(whole, reference=None, aliases=())
    assert blind(whole).id == whole.id


# --- answers


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 1, 1.0])
def test_a_score_may_lie_anywhere_between_nought_and_one(value):
    assert Score(value).value == value


def test_an_answer_prints_as_its_value_and_else_as_its_text():
    assert (str(Answer("42", "so it is 42")), str(Answer(None, "no idea")), str(Answer("", "x"))) == (
        "42",
        "no idea",
        "",
    )


def test_a_failed_draw_is_no_attempt():
    assert Completion("", Finish.STOP, 0).ok
    assert not Completion("half a text", Finish.ERROR, 3, error="Cut").ok
    assert not Completion("half a text", Finish.ERROR, 3, error="").ok


# --- what was spent


def test_spending_adds_up_field_by_field():
    one, two = Spend(1, 2, 3, 4, 5, 6.0, 7.0, 8.0, 9), Spend(10, 20, 30, 40, 50, 60.0, 70.0, 80.0, 90)
    assert one + two == Spend(11, 22, 33, 44, 55, 66.0, 77.0, 88.0, 99)
    assert two - one == Spend(9, 18, 27, 36, 45, 54.0, 63.0, 72.0, 81)
    assert one + NOTHING == NOTHING + one == one - NOTHING == one
    assert NOTHING - one == Spend(-1, -2, -3, -4, -5, -6.0, -7.0, -8.0, -9)
    assert one.tokens == 6  # prompt and completion; what is cached or cancelled is part of those
    assert list(one.counts().values()) == [1, 2, 3, 4, 5, 6.0, 7.0, 8.0, 9]
    assert one.counts()["cancelled_tokens"] == 5


def test_usage_is_its_total_and_knows_what_was_verified():
    sample, verify = Spend(1, 10, 0, 5), Spend(1, 3, 0, 4)
    usage = Usage(sample + verify, {Phase.SAMPLE: sample, Phase.VERIFY: verify})
    assert (usage.tokens, usage.verifier_tokens) == (22, 7)
    assert Usage().verifier_tokens == 0


@pytest.mark.parametrize("name", ["tokens", "calls", "flops", "seconds", "cost"])
def test_a_limit_is_zero_or_more(name):
    assert getattr(Budget(**{name: 0}), name) == 0
    for bad in (-1, -0.5, float("nan")):
        with pytest.raises(ValueError, match=f"Budget.{name} must be zero or more"):
            Budget(**{name: bad})


# --- errors: what, where and the next step


def test_an_unknown_name_gives_the_nearest_three_or_all():
    known = ["beam_search", "best_of_n", "direct", "best_of_m", "best_of_k", "best_of_l"]
    near = UnknownName("strategy", "best_of_x", known)
    assert len(near.near) == 3 and set(near.near) < {n for n in known if n.startswith("best")}
    assert str(near).startswith("Unknown strategy 'best_of_x'. Did you mean: best_of_")
    far = UnknownName("model", "zzz", ["b", "a"])
    assert (str(far), far.kind, far.name, far.near) == ("Unknown model 'zzz'. Known: a, b.", "model", "zzz", [])


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ({}, "bad row"),
        ({"path": "a.jsonl"}, "a.jsonl: bad row"),
        ({"path": "a.jsonl", "line": 3}, "a.jsonl:3: bad row"),
        ({"path": "a.jsonl", "line": 0}, "a.jsonl:0: bad row"),
    ],
)
def test_a_data_error_says_where(place, shown):
    error = DataError("bad row", **place)
    assert (str(error), error.path, error.line) == (shown, place.get("path", ""), place.get("line"))


def test_a_missing_package_comes_with_its_command():
    error = MissingExtra("torch", "hf", "Training")
    assert "pip install 'nlrl[hf]'" in str(error) and "'torch'" in str(error)
    assert (error.package, error.extra) == ("torch", "hf")
    assert BudgetExhausted("tokens").reason == "tokens" and "tokens" in str(BudgetExhausted("tokens"))


def test_every_error_is_caught_by_the_root():
    errors = [e for e in vars(core).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(errors) == 16 and all(issubclass(e, core.NlrlError) for e in errors)
    assert issubclass(core.NotInBank, core.BankError) and issubclass(core.ModelMissing, core.UserError)
