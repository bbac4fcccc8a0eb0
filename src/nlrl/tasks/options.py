"""The options of a question, in whatever shape a file has them, and which of them is right.

    {"choices": ["red", "blue"], "answer": 1}                             MMLU
    {"choices": {"text": ["red", "blue"], "label": ["A", "B"]}, "answerKey": "B"}    ARC, OpenBookQA
    {"A": "red", "B": "blue", "answer": "B"}                               a table with columns A to D
    {"Correct Answer": "blue", "Incorrect Answer 1": "red"}                GPQA, SciQ

A number says at which place the right option stands; whether the places are counted from 0 or from 1 is decided once
for a file, by all of its rows (`Counting`). An answer that is none of the options is a DataError.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlrl.core import DataError
from nlrl.tasks.columns import IS_KEY, Row, folded, is_missing, plain, shown, text_of, texts_of
from nlrl.tasks.worked import result

_MOST = 26


@dataclass(frozen=True, slots=True)
class Options:
    """Options in order, their labels, and the columns that hold them.

    first     the number of the first option where the columns are numbered ("option1": 1)
    right     the place of the right option, where the shape itself says which it is
    typed     whether the options are numbers in the file, and not texts
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    first: int | None = None
    right: int | None = None
    typed: bool = False


def options_of(row: Row) -> Options | None:
    """The options of a row; None if it has none. Raises DataError for options that cannot be read."""
    value = row.take("options")
    if value is not None:
        listed = _listed(value, row.taken["options"])
        return listed if listed.texts else None  # [null] lists nothing
    options = _from_columns(row) or _with_distractors(row)
    if options is not None:
        row.note("options" if options.right is None else "wrong options", *options.columns)
    return options


# --- shapes ----------------------------------------------------------------------------------------------------------


def _listed(value: Any, column: str) -> Options:
    """Options in one column."""
    if isinstance(value, str):
        value = _in_one_text(value, column)
    if isinstance(value, Mapping):
        return _mapped(value, column)
    if not isinstance(value, Sequence):
        raise DataError(f"the choices in {column!r} must be a list of texts, not {shown(value)}")
    if all(isinstance(option, Mapping) for option in value):
        return _labelled(value, column)
    typed = all(isinstance(option, int | float) for option in value)
    texts = [_option(option, column) for option in value if not is_missing(option) or isinstance(option, str)]
    bare = _without_labels(texts)
    return Options(bare, _letters(len(bare)), (column,), typed=typed)


def _mapped(value: Mapping[str, Any], column: str) -> Options:
    """{"text": [...], "label": [...]}, {"choices": [...], "labels": [0, 1, ...]} or {"A": "...", "B": "..."}."""
    texts = next((value[name] for name in ("text", "texts", "choices") if name in value), None)
    labels = next((plain(value[name]) for name in ("label", "labels") if name in value), None)
    if texts is None:
        kept = {str(label): text for label, text in value.items() if not is_missing(text)}
        if folded(column) == "targetscores":  # BIG-bench: the options with their scores
            return _mapped({"choices": list(kept), "labels": [int(score == 1) for score in kept.values()]}, column)
        return Options(tuple(_option(text, column) for text in kept.values()), tuple(kept), (column,))
    found = texts_of(texts, column)
    marks = list(labels) if isinstance(labels, Sequence) else []
    if len(marks) == len(found) and all(mark in (0, 1) and not isinstance(mark, str) for mark in marks) and 1 in marks:
        if sum(marks) != 1:
            raise DataError(f"several options of {column!r} are marked as right; one must be")
        return Options(found, _letters(len(found)), (column,), right=marks.index(1))
    named = tuple(str(mark) for mark in marks)
    return Options(found, named if len(named) == len(found) else _letters(len(found)), (column,))


def _labelled(value: Sequence[Mapping[str, Any]], column: str) -> Options:
    """[{"label": "A", "text": "red"}, ...]"""
    texts, labels = [], []
    for option, letter in zip(value, _letters(len(value)), strict=True):
        fields = {folded(str(name)): v for name, v in option.items()}
        text = next(
            (fields[n] for n in ("text", "content", "value", "option", "choice", "answer") if n in fields), None
        )
        if text is None:
            raise DataError(f"the choices in {column!r} must be a list of texts, or of objects with label and text")
        texts.append(_option(text, column))
        labels.append(str(next((fields[n] for n in ("label", "key", "id", "letter") if n in fields), letter)))
    return Options(tuple(texts), tuple(labels), (column,))


_COLUMN = re.compile(
    r"(?P<stem>option|choice|opt|op|answer|ans|ending|sol|solution|alternative|candidate|hypothesis|)"
    r"(?P<mark>[a-j]|\d)"
)


def _from_columns(row: Row) -> Options | None:
    """Columns A to D, option_a to option_d, choice1 and choice2, sol1 and sol2, ..."""
    stems: dict[str, dict[str, str]] = {}
    for name, column in row.by_name.items():
        if match := _COLUMN.fullmatch(name):
            stems.setdefault(match["stem"], {})[match["mark"]] = column
    for marks in stems.values():
        run = next((run for first in "a01" if len(run := _run(marks, first)) >= 2), None)
        if run is None:
            continue
        kept = [mark for mark in run if not is_missing(row.fields[marks[mark]])]
        if not kept:
            continue
        texts = tuple(_option(plain(row.fields[marks[mark]]), marks[mark]) for mark in kept)
        return Options(
            texts,
            tuple(mark.upper() for mark in kept) if run[0] == "a" else tuple(kept),
            tuple(marks[mark] for mark in run),
            first=int(run[0]) if run[0].isdigit() else None,
        )
    return None


def _run(marks: Mapping[str, str], first: str) -> list[str]:
    """a, b, c as long as they follow each other."""
    found = []
    while first in marks:
        found.append(first)
        first = chr(ord(first) + 1)
    return found


_WRONG = re.compile(r"(?:incorrect|wrong|false)(?:answer|option|choice)?\d*|distractor\d*")


def _with_distractors(row: Row) -> Options | None:
    """One column holds the right answer, others the wrong ones."""
    listed = row.take("wrong options")
    columns = [column for name, column in row.by_name.items() if _WRONG.fullmatch(name)]
    wrong = texts_of(listed_in(listed), row.taken["wrong options"]) if listed is not None else ()
    if wrong:
        columns = [row.taken["wrong options"]]
    if not wrong:
        columns = sorted(columns, key=folded)
        wrong = tuple(_option(plain(row.fields[c]), c) for c in columns if not is_missing(row.fields[c]))
    right = row.take("reference")
    if not wrong or not isinstance(right, str | int | float):
        return None
    answer = text_of(right, row.taken["reference"]).strip()
    others = [text for text in dict.fromkeys(wrong) if text != answer]
    salt = f"{row.take('question')}{answer}{others}"
    # in an order that follows from the texts: at a place of its own, the right one would be known by it
    texts = sorted(
        [answer, *others], key=lambda text: hashlib.sha256(f"{salt}{text}".encode("utf-8", "replace")).digest()
    )
    return Options(tuple(texts), _letters(len(texts)), tuple(columns), right=texts.index(answer))


# --- one cell --------------------------------------------------------------------------------------------------------

_LABEL = re.compile(r"\s*(?:\(?([A-Za-z]|\d{1,2})[).:]|\[([A-Za-z])\])\s*")
_INLINE_LABEL = re.compile(r"(?:(?<=\s)|(?<=^))\(?([A-Ja-j])\s?[).:]\s*")


def _in_one_text(text: str, column: str) -> Any:
    """Options that are written in one cell of a table."""
    value = list_in(text)
    if not isinstance(value, str):
        return value
    marks: list[re.Match[str]] = []
    for match in _INLINE_LABEL.finditer(text):
        if match[1].upper() == _letters(len(marks) + 1)[-1]:
            marks.append(match)
    if len(marks) >= 2 and not text[: marks[0].start()].strip():
        ends = [m.start() for m in marks[1:]] + [len(text)]
        return [text[m.end() : end].strip(" \n\t;,|") for m, end in zip(marks, ends, strict=True)]
    if isinstance(parts := listed_in(text), list):
        return parts
    raise DataError(
        f"the choices in {column!r} must be a list of texts; seen: {shown(text)}. "
        'Write them as ["red", "blue"], as red | blue, or in columns of their own: A, B, C'
    )


def list_in(text: Any) -> Any:
    """A list or mapping that is written as JSON, as Python does, or as an array of texts prints itself."""
    if not isinstance(text, str) or text.strip()[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(re.sub(r"""(?<=['"])\s+(?=['"])""", ", ", text.strip()))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def listed_in(text: Any) -> Any:
    """The same, or texts that are separated by lines, | or ;"""
    value = list_in(text)
    if isinstance(value, str):
        for separator in ("\n", "|", ";"):
            if separator in value.strip():
                return [part.strip() for part in value.split(separator) if part.strip()]
    return value


def _without_labels(texts: Sequence[str]) -> tuple[str, ...]:
    """ "A) red", "B) blue" -> "red", "blue", where all are labelled in order."""
    matches = [_LABEL.match(text) for text in texts]
    labels = [(m[1] or m[2]).upper() for m in matches if m]
    orders = (list(_letters(len(texts))), [str(i) for i in range(1, len(texts) + 1)])
    if (
        len(texts) < 2
        or labels not in orders
        or any(m and m.end() == len(t) for m, t in zip(matches, texts, strict=True))
    ):
        return tuple(texts)
    return tuple(text[m.end() :].strip() for text, m in zip(texts, matches, strict=True) if m)


def _option(value: Any, column: str) -> str:
    if isinstance(value, bool):
        return str(value)
    try:
        return text_of(value, column).strip()
    except DataError:
        raise DataError(f"the choices in {column!r} must be a list of texts, not of {shown(value)}") from None


def _letters(n: int) -> tuple[str, ...]:
    return tuple(chr(ord("A") + i) if i < _MOST else str(i + 1) for i in range(n))


# --- which is right --------------------------------------------------------------------------------------------------


class Counting:
    """Whether the numbers of a file's answers are texts of options, or places counted from 0 or from 1.

    Every row is a witness: 0 can only be counted from 0, the number of options only from 1, and a number that is no
    text of its options is a place.
    """

    def __init__(self) -> None:
        self.rows = self.texts = self.labels = self.places = self.zeros = self.lasts = 0
        self.typed_apart = False
        self.first: int | None = None
        self.column = ""

    def see(self, options: Options, answer: Any, column: str) -> None:
        """One row of the file."""
        number = _number(answer)
        if number is None or options.right is not None:
            return
        self.rows += 1
        self.column = column
        self.texts += _by_text(options.texts, str(number)) is not None
        self.labels += str(number) in options.labels and options.first is None
        self.places += 0 <= number <= len(options.texts)
        self.zeros += number == 0
        self.lasts += number == len(options.texts)
        self.first = options.first
        self.typed_apart |= not isinstance(answer, str) and not options.typed

    @property
    def by_label(self) -> bool:
        """ARC has labels "1" to "4" beside "A" to "D"."""
        return self.labels > 0

    @property
    def by_text(self) -> bool:
        """All numbers are texts of options; but numbers beside options that are texts are places if they can be."""
        return self.texts == self.rows and not (self.typed_apart and self.places == self.rows)

    @property
    def start(self) -> int:
        """The number of the first place."""
        if self.zeros:
            return 0
        if self.lasts:
            return 1
        return self.first if self.first is not None and folded(self.column) != "label" else 0

    def note(self) -> str | None:
        """What is to be said about it."""
        if not self.rows or self.by_label or self.by_text:
            return None
        doubt = "" if self.zeros or self.lasts else "; no row shows it: give letters or texts if that is wrong"
        return f"the numbers in {self.column!r} are places of options counted from {self.start}{doubt}"


def right_option(options: Options, answer: Any, counting: Counting, column: str) -> str:
    """The text of the option that an answer names. Raises DataError if it names none, or several."""
    if options.right is not None:
        return options.texts[options.right]
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        if len(answer) != 1:
            raise DataError(f"{column!r} names several options: {shown(list(answer))}; one must be right")
        answer = answer[0]
    if isinstance(answer, Mapping):  # {"label": "B", "text": "green"}
        answer = next((answer[name] for name in ("text", "value", "label", "key") if name in answer), answer)
    index = _index(options, answer, counting, is_key=folded(column) in IS_KEY)
    if index is None:
        raise DataError(_none_of(options, answer, counting, column))
    return options.texts[index]


def _index(options: Options, answer: Any, counting: Counting, *, is_key: bool) -> int | None:
    number = _number(answer)
    if number is not None:
        if counting.by_label and str(number) in options.labels:
            return options.labels.index(str(number))
        if counting.by_text:
            return _by_text(options.texts, str(number))
        place = number - counting.start
        return place if 0 <= place < len(options.texts) else None
    if isinstance(answer, bool):
        said = ("yes", "true") if answer else ("no", "false")
        return next((i for i, text in enumerate(options.texts) if text.lower() in said), None)
    if not isinstance(answer, str):
        return None
    ways = [_by_label, _by_whole_text] if is_key else [_by_whole_text, _by_label]
    for way in ways:
        if (index := way(options, answer)) is not None:
            return index
    stated = result(answer)
    return _index(options, stated.text, counting, is_key=is_key) if stated and stated.text != answer else None


def _by_whole_text(options: Options, answer: str) -> int | None:
    return _by_text(options.texts, answer)


def _by_text(texts: Sequence[str], answer: str) -> int | None:
    """The place of an option by its text: to the letter, or else without case, spaces and a full stop."""
    if answer in texts:
        return texts.index(answer)
    loose = [" ".join(text.split()).rstrip(".").casefold() for text in texts]
    wanted = " ".join(answer.split()).rstrip(".").casefold()
    return loose.index(wanted) if wanted and loose.count(wanted) == 1 else None


_ANSWER_LABEL = re.compile(
    r"\s*(?:(?:option|choice|answer)\s+)?[(\[]?\s*(?P<label>[A-Za-z]|\d{1,2})\s*(?:[)\].:]\s*(?P<text>.*))?",
    re.DOTALL | re.IGNORECASE,
)


def _by_label(options: Options, answer: str) -> int | None:
    """The place of an option by its label, "B", "(B)", "Option B" or "B) blue"; a text behind it must be its own."""
    match = _ANSWER_LABEL.fullmatch(answer)
    if not match:
        return None
    label = match["label"].casefold()
    places = [i for i, known in enumerate(options.labels) if known.casefold() == label]
    if not places and options.labels[0].isdigit() and label in "abcdefghij"[: len(options.texts)]:
        places = [ord(label) - ord("a")]  # options that are numbered can be named by letters all the same
    if len(places) != 1:
        return None
    text = (match["text"] or "").strip()
    return places[0] if not text or _by_text(options.texts, text) == places[0] else None


def _number(answer: Any) -> int | None:
    if isinstance(answer, bool):
        return None
    if isinstance(answer, int) or (isinstance(answer, float) and answer.is_integer()):
        return int(answer)
    if isinstance(answer, str) and re.fullmatch(r"\s*-?\d{1,9}(?:\.0)?\s*", answer):
        return int(float(answer))
    return None


def _none_of(options: Options, answer: Any, counting: Counting, column: str) -> str:
    n = len(options.texts)
    listed = "; ".join(shown(text, 30) for text in options.texts[:6]) + ("; ..." if n > 6 else "")
    label = f"its label ({options.labels[0]} to {options.labels[-1]})"
    label = label.replace("label", "letter") if options.labels[0].isalpha() else label
    start = counting.start
    seen = repr(shown(answer)) if isinstance(answer, str) else shown(answer)
    return (
        f"the answer {seen} is none of the {n} options ({listed}). "
        f"Give in {column!r} an option's text, {label}, or its place ({start} to {n - 1 + start})"
    )
