import contextlib
import gzip
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.core import DataError, Problem, TaskType, UnknownName, UserError
from nlrl.tasks import load_problems
from nlrl.tasks.rows import problem_of

DATA = os.environ.get("NLRL_DATA", "")


@pytest.mark.parametrize("name", ["math", "coding", "commonsense", "writing"])
def test_builtin_sets_are_whole(name):
    data = load_problems(f"builtin:{name}")
    assert not data.errors
    assert len({p.id for p in data}) == len(data) >= 15
    for problem in data:
        assert problem.task_type == name
        assert problem.reference or problem.tests or problem.constraints
        if problem.tests:
            assert problem.tests.public
            assert set(problem.tests.public) < set(problem.tests.checks)
            assert problem.tests.entry_point in problem.question


def test_a_limit_offset_and_seed_choose_rows():
    whole = list(load_problems("builtin:math"))
    assert list(load_problems("builtin:math", limit=3, offset=2)) == whole[2:5]
    shuffled = list(load_problems("builtin:math", seed=1))
    assert shuffled != whole
    assert sorted(p.id for p in shuffled) == sorted(p.id for p in whole)
    with pytest.raises(UserError, match="at least 1"):
        load_problems("builtin:math", limit=0)


def test_malformed_rows_are_named_and_the_rest_goes_on(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text(
        '{"question": "1+1?", "answer": 2}\n{"question": \n\n[1]\n{"foo": 1}\n{"question": "ok", "answer": null}\n'
    )
    data = load_problems(path)
    assert [p.question for p in data] == ["1+1?", "ok"]
    assert data.problems[0].reference == "2"
    assert [e.line for e in data.errors] == [2, 4, 5]
    assert all(str(path) in str(e) for e in data.errors)


def test_files_of_every_kind_read_alike(tmp_path):
    rows = [{"question": "a, {b} %s?", "answer": "1"}, {"question": "c", "answer": "2"}]
    lines = "\n".join(json.dumps(r) for r in rows)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.json").write_text(lines)
    (tmp_path / "a.csv").write_text('question,answer\n"a, {b} %s?",1\nc,2\n')
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    expected = [("a, {b} %s?", "1"), ("c", "2")]
    for file in sorted(tmp_path.iterdir()):
        assert [(p.question, p.reference) for p in load_problems(file)] == expected, file.name


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="the data extra is not installed")
    import pyarrow.parquet

    table = arrow.Table.from_pylist(
        [{"question": "q", "answer": "B", "choices": {"label": ["A", "B"], "text": ["x", "y"]}}]
    )
    pyarrow.parquet.write_table(table, tmp_path / "q.parquet")
    (problem,) = load_problems(tmp_path / "q.parquet")
    assert (problem.choices, problem.reference) == (("x", "y"), "y")


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(UnknownName, match="builtin:math"):
        load_problems("builtin:maths")
    with pytest.raises(UnknownName, match="gsm8k"):
        load_problems("gsm8")
    (tmp_path / "near.csv").write_text("x")
    with pytest.raises(UserError, match=r"near\.csv"):
        load_problems(tmp_path / "neer.csv")
    with pytest.raises(UserError, match=r"is a directory\. Name a file in it: near\.csv"):
        load_problems(tmp_path)
    with pytest.raises(UserError, match="no directory"):
        load_problems(tmp_path / "nowhere" / "x.csv")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="no usable row"):
        load_problems(tmp_path / "empty.jsonl")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([".jsonl", ".json", ".csv", ".jsonl.gz"]))
def test_law_any_bytes_give_problems_or_a_data_error(tmp_path_factory, content, ending):
    path = tmp_path_factory.mktemp("any") / f"x{ending}"
    path.write_bytes(content)
    try:
        data = load_problems(path)
    except DataError:
        return
    assert all(isinstance(p, Problem) for p in data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["question", "answer", "choices", "prompt", "test", "entry_point", "test_list", "answerKey", "tests", "constraints",
     "checks", "public", "aliases", "task_type", "text", "level", "context"]
)  # fmt: skip


@given(st.dictionaries(names, json_values, max_size=6))
def test_law_any_row_is_a_problem_or_a_data_error(row):
    with suppress(DataError):
        assert isinstance(problem_of(row), Problem)


def test_humaneval_examples_become_public_tests():
    prompt = 'import math\n\ndef f(x):\n    """Half.\n    >>> f(4)\n    2\n    >>> f(g())\n    5\n    """\n'
    problem = problem_of({"prompt": prompt, "test": "def check(candidate): ...", "entry_point": "f"})
    assert problem.tests
    assert problem.tests.public[0] == "assert f(4) == 2"
    assert problem.tests.setup == "import math\n\n"


@pytest.mark.skipif(not Path(DATA, "gsm8k").is_dir(), reason="NLRL_DATA does not hold the original files")
@pytest.mark.parametrize(
    ("name", "size", "kind"),
    [
        ("gsm8k", 1319, TaskType.MATH), ("humaneval", 164, TaskType.CODING), ("mbpp", 974, TaskType.CODING),
        ("mbpp-sanitized", 427, TaskType.CODING), ("commonsenseqa", 1221, TaskType.COMMONSENSE),
        ("strategyqa", 229, TaskType.COMMONSENSE), ("hotpotqa", 7405, TaskType.COMMONSENSE),
        ("imo-answerbench", 400, TaskType.MATH),
    ],
)  # fmt: skip
def test_original_files_load_whole(name, size, kind):
    data = load_problems(name)
    assert (len(data), data.errors) == (size, ())
    assert all(p.task_type is kind for p in data)
    assert all(p.reference or p.tests for p in data)


def test_rows_of_a_json_list_carry_their_line_and_survive_a_broken_one(tmp_path):
    path = tmp_path / "q.json"
    path.write_text('[\n  {"question": "a", "answer": 1},\n  7,\n  {"question":\n   "b"},\n  {"question": oops}\n]')
    data = load_problems(path)
    assert [(p.question, p.source.rsplit(":", 1)[1]) for p in data] == [("a", "2"), ("b", "4")]
    assert [e.line for e in data.errors] == [3, 6]
    for text in ("[", "[,]", "[1 2]", '[{"question": "a"} {"question": "b"}]', "[" * 5000, '{"rows": 5', "{}"):
        path.write_text(text)
        with contextlib.suppress(DataError):
            assert [p.question for p in load_problems(path)] == ["a"]


def test_worked_solutions_give_up_their_result():
    math = problem_of({"problem": "p", "level": "Level 5", "solution": r"so \boxed{1}, no: \boxed{\frac{1}{2}} {"})
    assert (math.reference, math.task_type) == (r"\frac{1}{2}", TaskType.MATH)
    gsm = problem_of({"question": "q", "answer": "5 * 300 = 1,500\n#### 1,500"})
    assert (gsm.reference, gsm.task_type) == ("1500", TaskType.MATH)
    passage = problem_of({"question": "q", "passage": "It is so.", "answer": True})
    assert (passage.reference, passage.context, passage.task_type) == ("yes", "It is so.", TaskType.COMMONSENSE)


def test_the_function_under_test_is_found():
    row = {"text": "Write f.", "task_id": 1}
    for check, name in (
        ("assert set(f((1, 2))) == set((1, 2))", "f"), ("assert sum(10, 15) == 6", "sum"), ("assert not (", None),
        ("assert math.isclose(area(1), 2)", "area"),
    ):  # fmt: skip
        problem = problem_of({**row, "test_list": [check]})
        assert problem.tests and problem.tests.entry_point == name


def test_another_split_is_looked_for_beside_the_usual_file(tmp_path, monkeypatch):
    monkeypatch.delenv("NLRL_DATA", raising=False)
    (tmp_path / "gsm8k").mkdir()
    for split in ("test", "train"):
        (tmp_path / "gsm8k" / f"{split}.jsonl").write_text(json.dumps({"question": split, "answer": "#### 1"}))
    assert load_problems("gsm8k", data_root=tmp_path).problems[0].question == "test"
    assert load_problems("gsm8k", data_root=tmp_path, split="train").problems[0].question == "train"
    assert load_problems("gsm8k", data_root=tmp_path, split="test").problems[0].question == "test"
