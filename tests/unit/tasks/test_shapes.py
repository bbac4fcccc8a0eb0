"""Data files in other people's shapes: read right, or refused with the next step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import DataError, Problem, TaskType
from nlrl.tasks import Dataset, load_problems

FOUR = ["red", "green", "blue", "gold"]
Q = "Which colour?"


def load(folder: Path, rows: list[dict[str, Any]] | str, name: str = "rows.jsonl", **options: Any) -> Dataset:
    path = folder / name
    text = rows if isinstance(rows, str) else "\n".join(json.dumps(row) for row in rows)
    path.write_text(text, encoding="utf-8", newline="")
    return load_problems(path, **options)


def first(folder: Path, row: dict[str, Any] | str, name: str = "rows.jsonl", **options: Any) -> Problem:
    data = load(folder, row if isinstance(row, str) else [row], name, **options)
    assert not data.errors
    return data.problems[0]


# --- options ---------------------------------------------------------------------------------------------------------

LISTED = [{"label": "A", "text": "red"}, {"label": "B", "text": "green"}]


@pytest.mark.parametrize(
    ("row", "right"),
    [
        ({"choices": FOUR, "answer": 0}, "red"),
        ({"choices": FOUR, "answer": 2.0}, "blue"),
        ({"choices": FOUR, "answer": "3"}, "gold"),
        ({"choices": FOUR, "answer": 4}, "gold"),  # cannot count from 0
        ({"choices": FOUR, "answer": "c"}, "blue"),
        ({"choices": FOUR, "answer": "(C)"}, "blue"),
        ({"choices": FOUR, "answer": "C. blue"}, "blue"),
        ({"choices": FOUR, "answer": "Option C"}, "blue"),
        ({"choices": FOUR, "answer": "BLUE"}, "blue"),
        ({"choices": FOUR, "answer": " blue. "}, "blue"),
        ({"choices": FOUR, "answer": ["C"]}, "blue"),
        ({"choices": FOUR, "answer": "The sky is blue. The answer is (C)."}, "blue"),
        ({"options": FOUR, "answer": "I", "answer_index": 2}, None),
        ({"options": FOUR, "answer_index": 2}, "blue"),
        ({"choices": ["3", "1", "2"], "answer": "1"}, "1"),
        ({"choices": [3, 1, 2], "answer": 1}, "1"),
        ({"choices": ["yes", "no"], "answer": True}, "yes"),
        ({"choices": ["True", "False"], "answer": False}, "False"),
        ({"choices": LISTED, "answerKey": "B"}, "green"),
        ({"choices": {"text": FOUR, "label": ["1", "2", "3", "4"]}, "answerKey": "3"}, "blue"),
        ({"options": {"A": "red", "B": "green", "C": None}, "answer": "green", "answer_idx": "B"}, "green"),
        ({"choices": ["A) red", "B) green"], "answer": "B"}, "green"),
        ({"options": ["(A)red", "(B)green"], "label": "B"}, "green"),
        ({"option_a": "red", "option_b": "green", "correct_option": "b"}, "green"),
        ({"Option A": "red", "Option B": "green", "Correct Answer": "B"}, "green"),
        ({"opa": "red", "opb": "green", "opc": "blue", "opd": "gold", "cop": 0}, "red"),
        ({"option1": "red", "option2": "green", "answer": "2"}, "green"),
        ({"option1": "red", "option2": "green", "answer": "1"}, "red"),
        ({"choice1": "red", "choice2": "green", "label": 0}, "red"),
        ({"choice1": "red", "choice2": "green", "label": 1}, "green"),
        ({"sol1": "red", "sol2": "green", "label": 1}, "green"),
        ({"ans0": "red", "ans1": "green", "ans2": "blue", "label": 1}, "green"),
        ({"answerA": "red", "answerB": "green", "answerC": "blue", "label": "3"}, "blue"),
        ({"endings": FOUR, "label": "2"}, "blue"),
        ({"correct_answer": "red", "distractor1": "green", "distractor2": "blue", "distractor3": "gold"}, "red"),
        ({"Correct Answer": "red\n", "Incorrect Answer 1": "green", "Incorrect Answer 2": "blue"}, "red"),
        ({"correct_answer": "red", "incorrect_answers": ["green", "blue"]}, "red"),
        ({"mc1_targets": {"choices": FOUR, "labels": [0, 0, 1, 0]}}, "blue"),
    ],
)
def test_the_right_option(tmp_path: Path, row: dict[str, Any], right: str | None) -> None:
    if right is None:
        with pytest.raises(DataError, match=r"'I' is none of the 4 options"):
            load(tmp_path, [{"question": Q, **row}])
        return
    problem = first(tmp_path, {"question": Q, **row})
    assert (problem.question, problem.reference) == (Q, right)
    assert right in problem.choices
    assert len(set(problem.choices)) == len(problem.choices) >= 2


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("Which?,red,green,blue,B", "green"),
        ("Which?,red,green,,2", "green"),
        ("Which?,1,2,3,C", "3"),
        ("Which?,red,green,blue,blue", "blue"),
    ],
)
def test_columns_a_to_c(tmp_path: Path, line: str, right: str) -> None:
    problem = first(tmp_path, f"Question,A,B,C,Answer\n{line}\n", "q.csv")
    assert problem.reference == right


@pytest.mark.parametrize(
    "cell",
    [
        '["red", "green"]',
        "['red', 'green']",
        "['red' 'green']",  # as numpy writes an array
        "red|green",
        "red; green",
        "A) red\nB) green",
        "(A) red (B) green",
        "A. red B. green",
        "a ) red , b ) green",
        '{"A": "red", "B": "green"}',
    ],
)
def test_options_in_one_cell(tmp_path: Path, cell: str) -> None:
    quoted = cell.replace('"', '""')
    problem = first(tmp_path, f'question,options,answer\nWhich?,"{quoted}",B\n', "q.csv")
    assert (problem.choices, problem.reference) == (("red", "green"), "green")


def test_positions_are_counted_the_same_way_in_the_whole_file(tmp_path: Path) -> None:
    from_one = load(tmp_path, [{"question": Q, "choices": FOUR, "answer": n} for n in (1, 4, 2)])
    assert [p.reference for p in from_one] == ["red", "gold", "green"]
    assert any("counted from 1" in note for note in from_one.notes)
    from_zero = load(tmp_path, [{"question": Q, "choices": FOUR, "answer": n} for n in (1, 0, 3)])
    assert [p.reference for p in from_zero] == ["green", "red", "gold"]
    numbers = [{"question": Q, "choices": ["0", "2", "1", "5"], "answer": n} for n in (1, 2)]
    words = [{"question": Q, "choices": FOUR, "answer": 0}]
    assert [p.reference for p in load(tmp_path, numbers + words)] == ["2", "1", "red"]
    both = load(tmp_path, [{"question": Q, "choices": FOUR, "answer": n} for n in (0, 4, 1)])
    assert [p.reference for p in both] == ["red", "green"]
    assert "4" in str(both.errors[0])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"choices": FOUR, "answer": "E"}, r"'E' is none of the 4 options.*red.*text.*letter"),
        ({"choices": FOUR, "answer": "pink"}, "'pink' is none of the 4 options"),
        ({"choices": FOUR, "answer": "B) red"}, "none of the 4 options"),
        ({"choices": FOUR, "answer": 17}, "17 is none of the 4 options"),
        ({"choices": FOUR, "answer": -1}, "-1 is none"),
        ({"choices": FOUR, "answer": ["A", "B"]}, "several"),
        ({"choices": "red", "answer": "red"}, "choices.*list"),
        ({"choices": [{"a": 1}], "answer": "A"}, "choices"),
    ],
)
def test_a_reference_that_is_none_of_the_options_is_an_error(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)rows\.jsonl:1: .*{says}"):
        load(tmp_path, [{"question": Q, **row}])


def test_right_options_do_not_all_stand_first(tmp_path: Path) -> None:
    rows = [{"question": f"{Q} {i}", "correct_answer": "red", "distractor1": "green"} for i in range(20)]
    data = load(tmp_path, rows)
    assert {p.choices.index("red") for p in data} == {0, 1}
    assert [p.choices for p in load(tmp_path, rows)] == [p.choices for p in data]


# --- references ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        (r"Add: $2+3=\boxed{5}$.", "5"),
        (r"Add: $\fbox{5}$", "5"),
        (r"So $\boxed 7$.", "7"),
        (r"First \boxed{1}, then $\boxed{\frac{1}{\sqrt{2}}}$", r"\frac{1}{\sqrt{2}}"),
        (r"So $x=\boxed{1}$ or $x=\boxed{2}$.", "1, 2"),
        ("We add.\n#### 1,250", "1250"),
        ("We add.\n#### 5 apples\n", "5 apples"),
        ("We add. The answer is: 5", "5"),
        ("We add.\nThe answer is 5.", "5"),
        ("We add. So the final answer is **3.5**.", "3.5"),
        ("Final Answer: The final answer is $12$. I hope it is correct.", "12"),
        ("We add.\nAnswer: 12 m", "12 m"),
        ("<think>2+3</think>\n<answer>5</answer>", "5"),
        ("<think>The answer is 4?</think>5", "5"),
        ("5", "5"),
        ("#hashtag", "#hashtag"),
        ("There is an answer in the book.", "There is an answer in the book."),
    ],
)
def test_a_worked_solution_gives_up_its_result(tmp_path: Path, answer: str, reference: str) -> None:
    for column in ("answer", "solution", "output"):
        assert first(tmp_path, {"problem": "What is it?", column: answer}).reference == reference


@pytest.mark.parametrize(
    ("row", "reference", "aliases"),
    [
        ({"ground_truth": 5}, "5", ()),
        ({"Ground Truth": "5"}, "5", ()),
        ({"groundTruth": "5"}, "5", ()),
        ({"expected_answer": "5"}, "5", ()),
        ({"expected_output": "5"}, "5", ()),
        ({"ideal": "5"}, "5", ()),
        ({"ideal": ["5", "five"]}, "5", ("five",)),
        ({"gold_answer": "5"}, "5", ()),
        ({"output": "5"}, "5", ()),
        ({"response": "5"}, "5", ()),
        ({"answers": ["5", "five", "5"]}, "5", ("five",)),
        ({"answers": {"text": ["5", "five"], "answer_start": [1, 2]}}, "5", ("five",)),
        ({"answers": [{"text": "5", "answer_start": 1}, {"text": "five", "answer_start": 9}]}, "5", ("five",)),
        ({"answer": {"value": "5", "aliases": ["five"], "normalized_aliases": ["5"]}}, "5", ("five",)),
        ({"possible_answers": '["5", "five"]'}, "5", ("five",)),
        ({"reward_model": {"style": "rule", "ground_truth": "5"}}, "5", ()),
        ({"best_answer": "5", "correct_answers": ["5", "five"]}, "5", ("five",)),
        ({"answer": 5.0}, "5", ()),
        ({"answer": 0}, "0", ()),
        ({"answer": 2.5}, "2.5", ()),
        ({"answer": "None"}, None, ()),
        ({"answer": "[1, 2]"}, "[1, 2]", ()),
        ({"answer": None}, None, ()),
        ({"answer": ""}, None, ()),
        ({"answer": "  "}, None, ()),
        ({"answer": "nan"}, None, ()),
        ({"answer": float("nan")}, None, ()),
        ({"answer": []}, None, ()),
        ({"answer": None, "solution": r"\boxed{5}"}, "5", ()),
    ],
)
def test_names_and_forms_of_references(
    tmp_path: Path, row: dict[str, Any], reference: str | None, aliases: tuple[str, ...]
) -> None:
    problem = first(tmp_path, {"question": "What is 2+3?", **row})
    assert (problem.reference, problem.aliases) == (reference, aliases)


# --- questions -------------------------------------------------------------------------------------------------------

USER = {"role": "user", "content": "What is 2+3?"}


@pytest.mark.parametrize(
    ("row", "question", "context"),
    [
        ({"instruction": "Add.", "input": "2 and 3", "output": "5"}, "Add.\n\n2 and 3", ""),
        ({"instruction": "What is 2+3?", "input": "", "output": "5"}, "What is 2+3?", ""),
        ({"prompt": [USER], "answer": "5"}, "What is 2+3?", ""),
        ({"input": [{"role": "system", "content": "Be brief."}, USER], "ideal": "5"}, "What is 2+3?", "Be brief."),
        ({"messages": [USER, {"role": "assistant", "content": "5"}]}, "What is 2+3?", ""),
        (
            {"conversations": [{"from": "human", "value": "What is 2+3?"}, {"from": "gpt", "value": "5"}]},
            "What is 2+3?",
            "",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is 2+3?"}]}], "answer": 5},
            "What is 2+3?",
            "",
        ),
        (
            {"prompt": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}, USER], "gold": 5},
            "What is 2+3?",
            "User: Hi\nAssistant: Yes?",
        ),
        ({"prompt": json.dumps([USER]), "answer": "5"}, "What is 2+3?", ""),
        ({"Body": "Tom has 2.", "Question": "He gets 3. How many?", "Answer": 5}, "He gets 3. How many?", "Tom has 2."),
        ({"article": "Long.", "question": "Why?", "answer": "5"}, "Why?", "Long."),
        ({"question_stem": "Why?", "answer": "5"}, "Why?", ""),
        ({"question": {"stem": "Why?"}, "answer": "5"}, "Why?", ""),
        ({"question": None, "problem": "Why?", "answer": "5"}, "Why?", ""),
        ({"Q": "Why?", "A": "5"}, "Why?", ""),
        ({"premise": "It rained.", "question": "effect", "choice1": "5", "choice2": "6", "label": 0},
         "It rained. What was the effect of this?", ""),
    ],
)  # fmt: skip
def test_names_and_forms_of_questions(tmp_path: Path, row: dict[str, Any], question: str, context: str) -> None:
    problem = first(tmp_path, row)
    assert (problem.question, problem.context, problem.reference) == (question, context, "5")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question": "", "text": "A passage.", "answer": "5"}, "question.*is empty"),
        ({"question": "Why?", "task_type": "maths", "answer": "5"}, "task_type 'maths'"),
        ({"prompt": [{"role": "system", "content": "x"}], "answer": "5"}, "no message of a user"),
        ({"prompt": [{"role": "user", "content": [{"type": "image_url"}]}], "answer": "5"}, "only text"),
        ({"question": "Why?", "answer": {"x": 1}}, "'answer'.*x"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        load(tmp_path, [row])


def test_nested_squad(tmp_path: Path) -> None:
    qas = [
        {"id": "1", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 0}]},
        {"id": "2", "question": "When?", "answers": [], "is_impossible": True},
    ]
    whole = {"version": "2.0", "data": [{"title": "T", "paragraphs": [{"context": "Ann ran.", "qas": qas}]}]}
    data = load(tmp_path, json.dumps(whole), "squad.json")
    assert [(p.question, p.reference, p.context) for p in data] == [
        ("Who?", "Ann", "Ann ran."), ("When?", None, "Ann ran."),
    ]  # fmt: skip


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.csv", "question;answer\nWhat, then?;5\nAnd, so?;6\n"),
        ("q.csv", "question;note, or hint;answer\nWhat, then?;a, b;5\nAnd, so?;c, d;6\n"),
        ("q.csv", "question\tanswer\nWhat, then?\t5\nAnd, so?\t6\n"),
        ("q.csv", "question|answer\nWhat, then?|5\nAnd, so?|6\n"),
        ("q.tsv", 'question,answer\n"What, then?",5\n"And, so?",6\n'),
        ("q.csv", "sep=;\nquestion;answer\nWhat, then?;5\nAnd, so?;6\n"),
        ("q.csv", 'QUESTION , ANSWER\n"What, then?",5\n"And, so?",6\n'),
        ("q.txt", 'question,answer\n"What, then?",5\n"And, so?",6\n'),
        ("q.csv", '"question (a; b)","answer"\n"What, then?","5"\n"And, so?","6"\n'.replace(" (a; b)", "")),
        ("q.jsonl", '[{"question": "What, then?", "answer": 5},\n {"question": "And, so?", "answer": 6}]'),
        ("q.json", '{"question": ["What, then?", "And, so?"], "answer": [5, 6]}'),
        ("q.json", '{"question": {"0": "What, then?", "1": "And, so?"}, "answer": {"0": 5, "1": 6}}'),
        ("q.json", '{"columns": ["question", "answer"], "data": [["What, then?", 5], ["And, so?", 6]]}'),
        ("q.json", '{"n": ["x"], "rows": [{"question": "What, then?", "answer": 5},'
         ' {"question": "And, so?", "answer": 6}]}'),
        ("q.json", '{"a1": {"question": "What, then?", "answer": 5}, "a2": {"question": "And, so?", "answer": 6}}'),
        ("q.json", '{"rows": [{"row_idx": 0, "row": {"question": "What, then?", "answer": 5}},'
         ' {"row_idx": 1, "row": {"question": "And, so?", "answer": 6}}]}'),
    ],
)  # fmt: skip
def test_separators_and_containers(tmp_path: Path, name: str, text: str) -> None:
    data = load(tmp_path, text, name)
    assert [(p.question, p.reference) for p in data] == [("What, then?", "5"), ("And, so?", "6")]
    assert not data.errors


def test_one_object_is_one_row(tmp_path: Path) -> None:
    row = {"question": Q, "choices": LISTED, "answer": "B"}
    assert first(tmp_path, json.dumps(row), "q.json").reference == "green"
    assert first(tmp_path, json.dumps(row, indent=2), "q.jsonl").reference == "green"


def test_several_lists_in_one_file_are_not_chosen_between(tmp_path: Path) -> None:
    row = {"question": Q, "answer": 5}
    with pytest.raises(DataError, match=r"train \(2 rows\), test \(1 rows?\)"):
        load(tmp_path, json.dumps({"train": [row, row], "test": [row]}), "q.json")


def test_a_byte_that_is_no_text_costs_its_row_only(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_bytes(b'question,answer\nOne?,1\nCaf\xe9?,2\n"Two\nlines?",3\n')
    data = load_problems(path)
    assert [p.reference for p in data] == ["1", "3"]
    assert "q.csv:3:" in str(data.errors[0]) and "0xe9" in str(data.errors[0]) and "iconv" in str(data.errors[0])
    path.write_bytes("question,r\u00e9ponse\nOne?,1\n".encode("latin-1"))
    assert load_problems(path, answer_column="r\u00e9ponse").problems[0].reference == "1"
    path.write_bytes("question,answer\nOne\u00e9?,1\n".encode("utf-16"))
    assert load_problems(path).problems[0].question == "One\u00e9?"
    path = tmp_path / "q.json"
    path.write_bytes(b'[{"question": "One?", "answer": 1},\n {"question": "Caf\xe9?", "answer": 2}]')
    data = load_problems(path)
    assert [p.reference for p in data] == ["1"]
    assert "q.json:2:" in str(data.errors[0])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("q.xlsx", b"PK\x03\x04rest", "save it as CSV"),
        ("q.txt", b"What is 2+3?\n", r"JSON lines.*CSV"),
        ("q.csv", b"What is 2+3?,5\nWhat is 3+3?,6\n", "first line.*names"),
        ("q.csv", b"question,answer\n", "no usable row"),
    ],
)
def test_files_that_cannot_be_used_say_what_to_do(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"(?s){name}.*{says}"):
        load_problems(tmp_path / name)


def test_names_with_remarks_twice_and_quotation_marks_left_open(tmp_path: Path) -> None:
    text = "Question (English),A,B,Answer (A-B)\nWhich?,red,green,B\n"
    assert first(tmp_path, text, "q.csv").reference == "green"
    data = load(tmp_path, "question,answer,answer\nWhat?,5,6\n", "q.csv")
    assert data.problems[0].reference == "5" and data.unread == ("answer (2)",)
    data = load(tmp_path, 'question,answer\nOne?,1\n"Two?,2\nThree?,3\n', "q.csv")
    assert [p.question for p in data] == ["One?"]
    assert "q.csv:3: a quotation mark is not closed" in str(data.errors[0])
    row = {"question": Q, "options": {"A": "red", "B": "green"}, "answer": {"label": "B", "text": "green"}}
    assert first(tmp_path, row).reference == "green"


def test_too_few_and_too_many_values(tmp_path: Path) -> None:
    data = load(tmp_path, "question,answer\nWhat?\nHow much is 1,000 + 1?,1001\nOne?,1\n", "q.csv")
    assert [(p.question, p.reference) for p in data] == [("What?", None), ("One?", "1")]
    assert "more values than columns" in str(data.errors[0]) and "quot" in str(data.errors[0])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.floats()
    | st.sampled_from(["A", "red", "B) x", "", "None", "[1]"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "label", "role", "content", "stem", "choices", "A"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
COLUMNS = st.sampled_from(
    [
        "question",
        "prompt",
        "instruction",
        "input",
        "messages",
        "choices",
        "options",
        "A",
        "B",
        "C",
        "answer",
        "answers",
        "ideal",
        "label",
        "answerKey",
        "cop",
        "output",
        "correct_answer",
        "distractor1",
        "incorrect_answers",
        "reward_model",
        "context",
        "aliases",
        "premise",
        "choice1",
        "choice2",
        "tests",
        "public",
        "test_list",
        "test",
        "entry_point",
        "test_cases",
        "public_test_cases",
        "private_test_cases",
        "input_output",
        "public_tests",
        "paragraphs",
        "target_scores",
        "constraints",
        "task_type",
    ]
)


@given(st.lists(st.dictionaries(COLUMNS, VALUES, max_size=6), max_size=4))
def test_law_any_rows_are_problems_or_errors(rows: list[dict[str, Any]]) -> None:
    try:
        data = load_problems(rows)
    except DataError:
        return
    assert repr(data)
    for problem in data:
        assert problem.question.strip()
        assert not problem.choices or problem.reference is None or problem.reference in problem.choices
        assert problem.reference is None or isinstance(problem.reference, str)


# --- which column was taken ------------------------------------------------------------------------------------------

OWN = "Aufgabe;Loesung;Thema\nWas ist 2+3?;5;Summen\nWas ist 3+3?;6;Summen\n"


def test_columns_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, OWN, "q.csv")
    for part in ("Aufgabe, Loesung, Thema", "--question-column Aufgabe", "--answer-column Loesung", "question_column="):
        assert part in str(caught.value)
    data = load(tmp_path, OWN, "q.csv", question_column="Aufgabe", answer_column="loesung")
    assert [(p.question, p.reference) for p in data] == [("Was ist 2+3?", "5"), ("Was ist 3+3?", "6")]
    assert (data.columns["question"], data.columns["reference"]) == ("Aufgabe", "Loesung")
    assert data.unread == ("Thema",)
    with pytest.raises(DataError, match=r"no column 'Aufgaben'.*Did you mean.*Aufgabe"):
        load(tmp_path, OWN, "q.csv", question_column="Aufgaben")
    counted = "Nr;Aufgabe;Ergebnis;Klasse\n1;Was ist 2+3?;5;4\n2;Was ist 3+3?;6;4\n"
    with pytest.raises(DataError, match=r"no question found in any of its 2 rows.*--answer-column Ergebnis"):
        load(tmp_path, counted, "q.csv")
    nested = {"task": {"text": "What?"}, "meta": {"gold": "5"}}
    assert first(tmp_path, nested, question_column="task.text", answer_column="meta.gold").reference == "5"
    chosen = {"question": "No", "mine": "Yes", "answer": "1", "other": "2"}
    problem = first(tmp_path, chosen, question_column="mine", answer_column="other")
    assert (problem.question, problem.reference) == ("Yes", "2")


def test_what_was_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = load(tmp_path, "question,answer,topic\nOne?,1,x\nTwo?,,x\nThree?,None,y\n", "q.csv")
    told = repr(data)
    for part in ("3 problems", "1 of them with a reference", "'question'", "'answer'", "not read: topic", "One?", "1"):
        assert part in told
    assert any("'None'" in note for note in data.notes)
    data = load(tmp_path, "question,result\nOne?,1\nTwo?,2\n", "r.csv")
    assert data.problems[0].reference is not None or "--answer-column" in caplog.text
    data = load(tmp_path, "question,zahl\nOne?,1\nTwo?,2\n", "s.csv")
    assert [p.reference for p in data] == [None, None]
    assert "--answer-column zahl" in caplog.text
    with pytest.raises(DataError, match=r"(?s)none of its 2 problems.*question, zahl.*--answer-column zahl"):
        data.require_references()
    assert load_problems("builtin:writing").require_references() is None


def test_options_count_as_read_and_lists_may_be_cells(tmp_path: Path) -> None:
    data = load(tmp_path, "Question,A,B,Answer,Source\nWhich?,red,green,B,x\n", "q.csv")
    assert data.columns["options"] == "A, B" and data.unread == ("Source",)
    text = "Question,Best Answer,Correct Answers,Incorrect Answers\nWhich?,red,red; crimson,green; blue\n"
    data = load(tmp_path, text, "q.csv")
    assert sorted(data.problems[0].choices) == ["blue", "green", "red"]
    text = "Question,Answer,Aliases\nWhich?,red,crimson; scarlet\n"
    assert load(tmp_path, text, "q.csv").problems[0].aliases == ("crimson", "scarlet")


def test_types_of_tables(tmp_path: Path) -> None:
    import datetime
    import decimal

    for value, text in (
        (b"5", "5"), (datetime.date(2020, 1, 2), "2020-01-02"), (datetime.datetime(2020, 1, 2), "2020-01-02"),
        (decimal.Decimal("5.50"), "5.50"), (decimal.Decimal("NaN"), None),
    ):  # fmt: skip
        assert load_problems([{"question": "What?", "answer": value}]).problems[0].reference == text
    with pytest.raises(DataError, match="no text"):
        load_problems([{"question": "What?", "answer": b"\xff"}])


def test_rows_in_python(tmp_path: Path) -> None:
    data = load_problems([{"problem": "What is 2+3?", "answer": "5"}, {"problem": 7}, "x"])
    assert [p.reference for p in data] == ["5", None]
    assert data.errors[0].line == 3


def test_kinds_are_read_from_what_the_row_says(tmp_path: Path) -> None:
    rows = [
        {"question": "Why?", "answer": "x", "Task_Type": "Math"},
        {"question": "Why?", "answer": "x", "task_type": None},
    ]
    assert [p.task_type for p in load(tmp_path, rows)] == [TaskType.MATH, TaskType.COMMONSENSE]  # classified
    constraints = '[{"kind": "word_count", "value": 3}]'.replace('"', '""')
    problem = first(tmp_path, f'prompt,constraints\nWrite.,"{constraints}"\n', "w.csv")
    assert problem.constraints == ({"kind": "word_count", "value": 3},)
