"""One row of a data file becomes one problem, whatever set it comes from.

    reader = Reader(rows)                              # looks at all of them first
    reader.problem(rows[0])                            # -> Problem; DataError for a row that cannot be used
    reader.columns                                     # -> {"question": "Problem", "reference": "Ground Truth"}

Sets of programming problems have shapes of their own (`programs.SHAPES`); all others are read by the names of their
columns (`columns.NAMES`), with options, chat messages and worked solutions as people write them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nlrl.core import CodeTests, DataError, Problem, TaskType, UserError
from nlrl.tasks.chats import chat_of, messages_in
from nlrl.tasks.classify import classify_task
from nlrl.tasks.collie import COLUMNS, collie
from nlrl.tasks.columns import (
    Row,
    empty_columns,
    folded,
    is_missing,
    likely_answer,
    likely_question,
    plain,
    shown,
    text_of,
    texts_of,
)
from nlrl.tasks.options import Counting, Options, list_in, listed_in, options_of, right_option
from nlrl.tasks.pairs import own_calls
from nlrl.tasks.programs import SHAPES
from nlrl.tasks.worked import result

_LONG_REFERENCE = 200  # characters; beyond it a reference is a text to be compared whole, which is seldom wanted
NO_QUESTION = "no question found"


def problem_of(fields: Mapping[str, Any], *, source: str = "", task_type: TaskType | None = None) -> Problem:
    """The problem in a single row. `task_type` is used where the row and its shape do not say."""
    return Reader([fields], task_type=task_type).problem(fields, source=source)


def as_problem(given: Problem | Mapping[str, Any] | str) -> Problem:
    """Whatever a caller calls a problem, as one: a row as an object with named fields, or the question alone.

    Tests of a row that is no coding problem by its question and names no function are left out; one that is, and names
    none, is told to call it `solution`. Raises UserError for an empty question, DataError for a row without one.
    """
    if isinstance(given, Problem):
        problem = given
    elif isinstance(given, Mapping):
        problem = _problem_of_row(given)
    elif isinstance(given, str):
        problem = Problem(given, task_type=classify_task(given).label)
    else:
        raise UserError(f"{type(given).__name__} is no problem. Give a question, a row (named fields), or a Problem.")
    if not problem.question.strip():
        raise UserError("The question is empty; ask something.")
    return problem


def _problem_of_row(row: Mapping[str, Any]) -> Problem:
    try:
        return problem_of(row)
    except DataError:
        asked = row.get("question") or row.get("problem")
        if is_missing(row.get("test_cases")) or not isinstance(asked, str) or row.get("entry_point"):
            raise
        if classify_task(asked).label is not TaskType.CODING:
            return problem_of({name: value for name, value in row.items() if name != "test_cases"})
        return problem_of({**row, "entry_point": "solution"})


def expanded(fields: Any) -> Iterator[Any]:
    """The rows in a row: SQuAD nests its questions in paragraphs, and some servers wrap every row."""
    if isinstance(fields, Mapping) and isinstance(paragraphs := fields.get("paragraphs"), Sequence):
        for paragraph in paragraphs:
            if isinstance(paragraph, Mapping) and isinstance(questions := paragraph.get("qas"), Sequence):
                for question in questions:
                    yield (
                        {"context": paragraph.get("context"), **question} if isinstance(question, Mapping) else question
                    )
        return
    if isinstance(fields, Mapping) and isinstance(inner := fields.get("row"), Mapping) and "row_idx" in fields:
        yield inner
        return
    yield fields


class Reader:
    """Reads the rows of one file, alike: which column holds what, and how the numbers of its answers are meant.

    chosen  role ("question", "reference") -> column, where the user says which
    """

    def __init__(
        self, rows: Sequence[Any], chosen: Mapping[str, str] | None = None, *, task_type: TaskType | None = None
    ):
        self.rows = [fields for fields in rows if isinstance(fields, Mapping)]
        self.chosen = chosen or {}
        self.task_type = task_type
        self.counting = Counting()
        self._taken: dict[str, Counter[str]] = {}
        self._read: set[str] = set()
        self._nothing: Counter[tuple[str, str]] = Counter()
        self._long = 0
        for fields in self.rows:
            self._count(fields)

    # --- what was read -----------------------------------------------------------------------------------------------

    @property
    def columns(self) -> dict[str, str]:
        """Role -> the column that held it, the most frequent one first if there were several."""
        return {role: " or ".join(c for c, _ in counts.most_common()) for role, counts in self._taken.items()}

    @property
    def unread(self) -> tuple[str, ...]:
        """Columns that hold something and were not looked at, in their order."""
        seen = dict.fromkeys(
            n for fields in self.rows for n, v in fields.items() if isinstance(n, str) and not is_missing(v)
        )
        return tuple(name for name in seen if name and name not in self._read)

    @property
    def notes(self) -> tuple[str, ...]:
        """What may not be what was meant."""
        notes = [
            f"{times} of {len(self.rows)} rows have {text!r} in {column!r}; that is read as no answer"
            for (column, text), times in self._nothing.items()
        ]
        if self._long:
            notes.append(
                f"{self._long} of the references in {self.columns.get('reference')!r} are longer than "
                f"{_LONG_REFERENCE} characters; answers are compared with the whole of them"
            )
        return (*notes, *filter(None, [self.counting.note()]))

    def to_type(self, *, reference: bool = False) -> str:
        """Which columns there are, and the options that would name question and answer."""
        names = list(dict.fromkeys(n for fields in self.rows[:100] for n in fields if isinstance(n, str)))
        question = self.columns.get("question") or likely_question(self.rows)
        answer = likely_answer(self.rows, [*self._read, question] if question else self._read)
        seen = f"Its columns: {', '.join(names) or 'none'}."
        wanted = [("answer", answer)] if reference else [("question", question), ("answer", answer)]
        wanted = [(what, name) for what, name in wanted if name]
        if not wanted:
            empty = empty_columns(self.rows)
            without = f" There is nothing in {', '.join(map(repr, empty))}." if empty else ""
            return f"{seen}{without} None of them looks like an answer: add a column with the right answers."
        if any("?" in name or len(name) > 60 or name.isdigit() for name in names):
            return f"{seen} If that is a row already, put a first line with the names of the columns before it."
        typed = " ".join(f"--{what}-column {_quoted(name)}" for what, name in wanted)
        python = ", ".join(f"{what}_column={name!r}" for what, name in wanted)
        return f"{seen} Say which to take, for example: {typed} (in Python: {python})."

    # --- reading -----------------------------------------------------------------------------------------------------

    def problem(self, fields: Any, *, source: str = "") -> Problem:
        """The problem in a row. Raises DataError for one that cannot be used."""
        if not isinstance(fields, Mapping):
            raise DataError(f"a row must be an object with named fields, not {type(fields).__name__}")
        row = Row(_unnested(fields), self.chosen)
        shape = next((read for names, read in (*SHAPES, (COLUMNS, collie)) if row.has(*names)), None)
        problem = shape(row, source) if shape and not self.chosen else self._general(row, source)
        if (group := row.take("group")) is not None:
            problem = replace(problem, group=str(group))
        for role, column in row.taken.items():
            self._taken.setdefault(role, Counter())[column] += 1
        self._read |= row.read
        return problem if problem.task_type else replace(problem, task_type=_by_content(problem))

    def _general(self, row: Row, source: str) -> Problem:
        question, context, reply = self._question(row)
        task_type = self._kind(row)
        options = options_of(row)
        tests = _tests(row)
        if tests is None and (own := _own_calls(row, question)) is not None:
            question, tests = own
            task_type = task_type or TaskType.CODING
        answer, aliases, mathematics = self._reference(row, options, reply, worked=tests is None)
        if task_type is None and mathematics:
            task_type = TaskType.MATH
        if task_type is None and options is None and isinstance(row.take("reference"), bool):
            task_type = TaskType.COMMONSENSE  # yes or no
        constraints = list_in(row.take("constraints")) or ()
        if not isinstance(constraints, Sequence) or not all(isinstance(c, Mapping) for c in constraints):
            raise DataError(f"constraints must be a list of objects, not {shown(constraints)}")
        return Problem(
            question=question,
            reference=answer,
            task_type=task_type,
            choices=tuple(dict.fromkeys(options.texts)) if options else (),
            context=context,
            tests=tests,
            constraints=tuple(constraints),
            aliases=aliases,
            source=source,
        )

    def _question(self, row: Row) -> tuple[str, str, str | None]:
        """What is asked, what is to be read before, and a reply where a chat has one."""
        value = row.take("question")
        if value is None and (
            named := row.columns("question") or [c for r, c in self.chosen.items() if r == "question"]
        ):
            raise DataError(f"the question (column {named[0]!r}) is empty")
        role = "question, if nothing else is"
        if value is None and (value := row.take(role)) is not None:
            row.note("question", row.taken.pop(role))
        if value is None:
            raise DataError(f"{NO_QUESTION}. {self.to_type()}")
        column = row.taken["question"]
        context = _context(row)
        if (messages := messages_in(value)) is not None:
            chat = chat_of(messages)
            return chat.question, "\n\n".join(filter(None, [context, chat.context])), chat.reply
        question = text_of(value, column)
        if folded(column) == "instruction" and not is_missing(row.get("input")):
            question = f"{question}\n\n{text_of(row.use('input'), 'input')}"  # Alpaca keeps what it is about apart
        if row.has("premise", "choice1", "choice2") and question in ("cause", "effect"):  # COPA
            question = f"{text_of(row.use('premise'), 'premise')} What was the {question} of this?"
        return question, context, None

    def _kind(self, row: Row) -> TaskType | None:
        stated = row.take("kind")
        if stated is not None:
            if not isinstance(stated, str) or stated.strip().lower() not in list(TaskType):
                raise DataError(f"unknown task_type {stated!r}; use one of {', '.join(TaskType)}")
            return TaskType(stated.strip().lower())
        if self.task_type is not None:
            return self.task_type
        if row.has("stem") or row.has("supporting_facts") or row.get("type") in ("bridge", "comparison"):
            return TaskType.COMMONSENSE
        if row.has("Short Answer") or row.has("level"):
            return TaskType.MATH
        return None

    def _reference(
        self, row: Row, options: Options | None, reply: str | None, *, worked: bool
    ) -> tuple[str | None, tuple[str, ...], bool]:
        """The answer, others that count as right, and whether it is written like mathematics."""
        value, column = _answer(row, options)
        if value is None:
            value, column = (reply, row.taken["question"]) if reply else (options.right if options else None, column)
            self._see_nothing(row)
        if value is None:
            return None, (), False
        if options is not None:
            return right_option(options, value, self.counting, column), (), False
        answers = _answers(value, column)
        read = [result(answer) if worked else None for answer in answers]
        texts = [found.text if found else answer.strip() for found, answer in zip(read, answers, strict=True)]
        more = [text for name in row.columns("aliases") for text in _answers(plain(row.fields[name]), name)]
        texts = list(dict.fromkeys(text for text in [*texts, *more] if not is_missing(text)))
        if not texts:
            return None, (), False
        self._long += len(texts[0]) > _LONG_REFERENCE and worked
        mathematics = any(found is not None and found.mathematics for found in read)
        return texts[0], tuple(texts[1:]), mathematics

    def _see_nothing(self, row: Row) -> None:
        """Texts that say "nothing" in a column of answers are told of: they may be answers after all."""
        for column in row.columns("reference"):
            value = row.fields[column]
            if isinstance(value, str) and value.strip():
                self._nothing[column, value.strip()] += 1
                return

    def _count(self, fields: Mapping[str, Any]) -> None:
        """What the numbers of the answers may mean."""
        try:
            row = Row(_unnested(fields), self.chosen)
            options = options_of(row)
            if options is not None:
                value, column = _answer(row, options)
                self.counting.see(options, value[0] if isinstance(value, list) and len(value) == 1 else value, column)
        except DataError:
            return  # it is said where the row is read


def _unnested(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """CommonsenseQA and OpenBookQA keep question and options in one object."""
    inner = fields.get("question")
    if isinstance(inner, Mapping) and "stem" in inner:
        return {**fields, "question": inner["stem"], "stem": None, **{k: v for k, v in inner.items() if k == "choices"}}
    return fields


def _context(row: Row) -> str:
    """A passage to be read before the question; one in another form than text (HotpotQA's) is left closed."""
    for column in row.columns("context"):
        value = plain(row.fields[column])
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            value = "\n\n".join(value)
        if isinstance(value, str) and not is_missing(value):
            row.note("context", column)
            return value
    return ""


def _answer(row: Row, options: Options | None) -> tuple[Any, str]:
    """What the row has as the answer, and its column; a column that holds an option is none."""
    besides = options.columns if options and options.right is None else ()
    if options is None and row.has("b"):
        besides = (*besides, *(row.by_name[name] for name in ("a",) if name in row.by_name))
    value = row.take("reference", besides, options.texts if options else ())
    return value, row.taken.get("reference", "")


_LISTS = frozenset(("answers", "possibleanswers", "correctanswers", "acceptableanswers", "aliases", "answeraliases"))


def _answers(value: Any, column: str) -> list[str]:
    """The answers in a value: one text, several, or an object that holds them."""
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, str) and folded(column) in _LISTS:
        value = listed_in(value)
    if (messages := messages_in(value)) is not None:
        value = [text for role, text in messages if role == "assistant"][-1:]
    if isinstance(value, Mapping):
        return _answers_of_object(value, column)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [text for item in value for text in _answers(plain(item), column)]
    return [text_of(value, column)] if not is_missing(value) else []


def _answers_of_object(value: Mapping[str, Any], column: str) -> list[str]:
    """SQuAD {"text": [...]}, TriviaQA {"value": ..., "aliases": [...]}, DROP {"spans": [...]}, ..."""
    named = {folded(str(name)): plain(v) for name, v in value.items()}
    for name in ("value", "text", "spans", "groundtruth", "answer", "content", "number"):
        if name in named:
            found = _answers(named[name], column) if not is_missing(named[name]) else []
            if found or name != "spans":
                return [*found, *_answers(named.get("aliases") or [], column)]
    raise DataError(f"no answer is found in the object in {column!r}, whose fields are: {', '.join(map(str, value))}")


def _by_content(problem: Problem) -> TaskType:
    """The kind of a problem that nobody states: decided here once, so that prompting and grading agree."""
    if problem.tests is not None:
        return TaskType.CODING
    if problem.constraints:
        return TaskType.WRITING
    return TaskType.COMMONSENSE if problem.choices else classify_task(problem.question).label


def _tests(row: Row) -> CodeTests | None:
    checks = texts_of(list_in(row.take("checks")), "checks")
    if not checks:
        return None
    entry, setup = row.take("entry_point"), row.take("setup")
    return CodeTests(
        checks,
        texts_of(list_in(row.take("public")), "public"),
        None if entry is None else text_of(entry, "entry_point"),
        "" if setup is None else text_of(setup, "setup"),
    )


def _own_calls(row: Row, question: str) -> tuple[str, CodeTests] | None:
    cases = row.get("test_cases")
    if is_missing(cases):
        return None
    entry, solution = row.take("entry_point"), row.get("answer") or row.get("solution") or row.get("canonical_solution")
    row.note("tests", row.by_name["testcases"])
    name = None if entry is None else text_of(entry, "entry_point")
    return own_calls(cases, question, name, solution if isinstance(solution, str) else None)


def _quoted(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() else repr(name)
