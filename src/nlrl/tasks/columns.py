"""Which column of a data file holds what: the names that people use, and how a row is asked for them.

    row = Row({"Ground Truth": "5", "Problem": "2+3?"})
    row.take("question")        -> "2+3?"
    row.taken                   -> {"question": "Problem"}

Names are compared without case, spaces and signs: "Ground Truth", "ground_truth" and "groundTruth" are one name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from nlrl.core import DataError

# What a column may be called, by what it holds; of several in one row, the first of this list that is not empty counts.
NAMES: dict[str, str] = {
    "question": "question problem prompt query question_text problem_text problem_statement question_content "
    "question_stem word_problem exercise task user_input user_prompt stem q goal ctx messages conversations "
    "conversation instruction",
    "question, if nothing else is": "input inputs text description sentence content",
    "reference": "answer reference ground_truth expected_answer gold gold_answer gold_label target targets "
    "final_answer correct_answer right_answer correct_result expected_result ideal reference_answer "
    "short_answer answers answer_key correct_option correct_choice correct expected expected_output "
    "best_answer possible_answers answers_spans answer_index answer_idx correct_index cop label output "
    "response completion result truth solution reward_model a",
    "options": "choices options answer_choices answer_options multiple_choices endings alternatives mc1_targets "
    "target_scores",
    "wrong options": "incorrect_answers wrong_answers distractors incorrect_options",
    "context": "context passage article body story paragraph document system_prompt",
    "aliases": "aliases answer_aliases correct_answers possible_answers acceptable_answers",
    "checks": "checks tests",
    "public": "public",
    "entry_point": "entry_point fn_name func_name function_name",
    "setup": "setup",
    "constraints": "constraints",
    "kind": "task_type",
    "group": "group",
}
# Columns that hold the answer as a letter or a number of an option, if there are options: a text is looked for later.
KEYS = "answer_key correct_option correct_choice answer_index answer_idx correct_index cop label"

_SIGNS = re.compile(r"[\W_]+")


@lru_cache(maxsize=65536)
def folded(name: str) -> str:
    """A name without case, spaces and signs."""
    return _SIGNS.sub("", name).casefold()


def _names(role: str) -> tuple[str, ...]:
    return tuple(folded(name) for name in NAMES[role].split())


_BY_ROLE = {role: _names(role) for role in NAMES}
IS_KEY = frozenset(folded(name) for name in KEYS.split())
_MISSING_TEXTS = frozenset(("", "nan", "null", "<na>", "#n/a", "n.a."))


def is_missing(value: Any) -> bool:
    """Nothing, however it is written: null, NaN, an empty text or list, and the text "None"."""
    if isinstance(value, str):
        text = value.strip()
        return text == "None" or text.lower() in _MISSING_TEXTS
    if isinstance(value, float | Decimal):
        return value != value  # not a number
    return value is None or (isinstance(value, list | tuple | dict) and not value)


_REMARK = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")


def names_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """Folded name -> column; "Answer (A-D)" is also known as "answer" where no other column is."""
    names = [name for name in fields if isinstance(name, str)]
    known = {folded(name): name for name in reversed(names)}
    short = [(folded(_REMARK.sub("", name)), name) for name in names if _REMARK.search(name)]
    alone = [key for key, _ in short]
    return known | {key: name for key, name in short if key and key not in known and alone.count(key) == 1}


class Row:
    """One row: its fields by the names of `NAMES`, and which of them were taken for what.

    chosen  role -> column, where the user says which; "a.b" is b within a. Raises DataError if there is no such column.
    """

    def __init__(self, fields: Mapping[str, Any], chosen: Mapping[str, str] | None = None):
        self.fields = fields
        self.by_name = names_of(fields)
        self.taken: dict[str, str] = {}
        self.read: set[str] = set()
        self.chosen = {role: _named(fields, column) for role, column in (chosen or {}).items()}

    def has(self, *names: str) -> bool:
        """Whether there are columns of all these names."""
        return all(folded(name) in self.by_name for name in names)

    def get(self, name: str) -> Any:
        """The value of the column of that name; None if there is none."""
        column = self.by_name.get(folded(name))
        return None if column is None else plain(self.fields[column])

    def use(self, name: str) -> Any:
        """The same, and the column is noted as taken."""
        if (column := self.by_name.get(folded(name))) is not None:
            self.note(name, column)
        return self.get(name)

    def note(self, role: str, *columns: str) -> None:
        """These columns hold what the role says."""
        self.taken[role] = ", ".join(columns)
        self.read.update(column.partition(".")[0] for column in columns)

    def take(self, role: str, besides: Collection[str] = (), kept: Collection[str] = ()) -> Any:
        """The value for a role, None if there is none; the column is noted as taken.

        besides  columns that hold something else
        kept     texts that are values here, though they look like nothing ("None" among the options)
        """
        if role in self.chosen:
            column, value = self.chosen[role]
            self.note(role, column)
            return None if is_missing(value) and not (isinstance(value, str) and value in kept) else value
        for column in self.columns(role):
            value = plain(self.fields[column])
            if column not in besides and (not is_missing(value) or (isinstance(value, str) and value in kept)):
                self.note(role, column)
                return value
        return None

    def columns(self, role: str) -> list[str]:
        """The columns that may hold what the role says, the likeliest first."""
        return [self.by_name[name] for name in _BY_ROLE[role] if name in self.by_name]


def plain(value: Any) -> Any:
    """A value without the types of arrays and tables; dates as text. Raises DataError for bytes that are no text."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(f"a value is no text: {shown(value, 40)}") from None
    if isinstance(value, date):
        return value.isoformat().removesuffix("T00:00:00")
    return value.tolist() if hasattr(value, "tolist") else value


def text_of(value: Any, name: str) -> str:
    """A text or number as text; 5.0 is "5". Raises DataError for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"the column {name!r} must hold text, not {type(value).__name__}: {shown(value)}")


def texts_of(value: Any, name: str) -> tuple[str, ...]:
    """A list of texts; one text is a list of one. Raises DataError for anything else."""
    value = plain(value)
    if is_missing(value):
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence):
        return tuple(text_of(v, name) for v in value)
    raise DataError(f"the column {name!r} must hold a list of texts, not {type(value).__name__}: {shown(value)}")


def shown(value: Any, most: int = 80) -> str:
    """A value for people, on one line."""
    text = " ".join(value.split()) if isinstance(value, str) else repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


# --- columns that the user names -------------------------------------------------------------------------------------


def _named(fields: Mapping[str, Any], wanted: str, path: str = "") -> tuple[str, Any]:
    """A column and its value; "a.b" is b within a."""
    column = _column(fields, wanted)
    if column is not None:
        return path + column, plain(fields[column])
    head, _, tail = wanted.partition(".")
    column = _column(fields, head)
    if tail and column is not None and isinstance(inner := plain(fields[column]), Mapping):
        return _named(inner, tail, f"{path}{column}.")
    names = [n for n in fields if isinstance(n, str)]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
    hint = f"Did you mean: {', '.join(near)}?" if near else f"Its columns: {', '.join(names)}."
    raise DataError(f"there is no column {path + wanted!r}. {hint}")


def _column(fields: Mapping[str, Any], wanted: str) -> str | None:
    if wanted in fields:
        return wanted
    return next((n for n in fields if isinstance(n, str) and folded(n) == folded(wanted)), None)


def likely_question(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The column that looks most like questions, to be proposed: the one with the longest texts."""
    sizes = {name: sum(map(len, values)) for name, values in _texts_by_column(rows).items()}
    return max(sizes, key=lambda name: sizes[name], default=None)


def likely_answer(rows: Sequence[Mapping[str, Any]], besides: Iterable[str]) -> str | None:
    """The column that looks most like answers: values that differ, numbers before texts, short before long, the last
    before the first. One that only counts the rows is none."""
    skip = {folded(name) for name in besides}
    columns = {name: values for name, values in _texts_by_column(rows).items() if folded(name) not in skip}

    def counts(name: str) -> bool:
        values = columns[name]
        if folded(name).endswith("id") or folded(name) in ("nr", "no", "number", "index", "row", ""):
            return True
        return len(values) > 3 and values in ([str(i) for i in range(n, n + len(values))] for n in (0, 1))

    def likeness(name: str) -> tuple[bool, bool, int]:
        values = columns[name]
        return len(values) < 2 or len(set(values)) > 1, _numbers(values), -sum(map(len, values))

    return max((name for name in reversed(columns) if not counts(name)), key=likeness, default=None)


def empty_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns without any value."""
    filled = _texts_by_column(rows)
    names = dict.fromkeys(name for row in rows[:50] for name in row if isinstance(name, str) and name)
    return [name for name in names if name not in filled]


def _texts_by_column(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    for row in rows[:50]:
        for name, value in row.items():
            if isinstance(name, str) and name and isinstance(value, str | int | float) and not is_missing(value):
                columns.setdefault(name, []).append(str(value).strip())
    return columns


def _numbers(values: Sequence[str]) -> bool:
    return all(re.fullmatch(r"[-+$€£]?[\d.,/ ]+%?\w{0,3}", value) for value in values)
