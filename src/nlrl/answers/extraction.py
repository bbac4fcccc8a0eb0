"""Reading the answer out of a completion.

    "... so she earns 9 * 2 = $18.\\n**Final Answer:** $18"   ->  Extraction("$18", strict=True)
    "... The answer is 18 dollars, since 9 * 2 = 18."          ->  Extraction("18 dollars", strict=False)
    "I cannot say."                                            ->  Extraction(None, strict=False)

A short pipeline, each step a file of `nlrl.answers.reading`: *cut* what is no longer the answer, *find* the statement,
*take* the value out of it; where nothing is stated, *conclude* from the last sentence. Strict is what stands behind the
contract phrase (`core.ANSWER_PHRASE`); for code, whose contract is a fenced block, what stands between fences; writing
is its own contract. The reference is never looked at. Nothing here raises or takes more than linear time, whatever the
text. docs/reference/answers.md has the order, with examples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nlrl.answers.code_extraction import extract_code, has_closed_block
from nlrl.answers.reading import options, sentences, statements, texts, values
from nlrl.answers.reading.cut import cut, thoughts_cut
from nlrl.answers.reading.statements import Statement
from nlrl.core import Problem, TaskType


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was read: the answer, None if there is none, and whether it stood behind the contract phrase."""

    answer: str | None
    strict: bool = False


def extract_answer(text: str, problem: Problem) -> Extraction:
    """The answer in a completion, by the problem's task type; where that is not set, by what the problem holds."""
    text = thoughts_cut(text)
    task = problem.task_type
    if task is TaskType.CODING or (task is None and problem.tests is not None):
        code = extract_code(text, problem)
        return Extraction(code, strict=code is not None and has_closed_block(text))
    if task is TaskType.WRITING or (task is None and problem.constraints):
        return _writing(text)
    take, conclude = _readers(problem)
    text = cut(text, take)
    statement = statements.find(text, take)
    if statement:
        return Extraction(take(statement), strict=statement.strict)
    return Extraction(conclude(text))


def _readers(problem: Problem) -> tuple[Callable[[Statement], str | None], Callable[[str], str | None]]:
    """How an answer is taken out of a statement, and how it is concluded from a text without one."""
    if problem.choices:
        return (
            lambda statement: _text_of(options.chosen(statement.text, problem.choices, stated=True), problem),
            lambda text: _text_of(options.choose(text, problem.choices), problem),
        )
    if problem.task_type is TaskType.MATH:
        return _value, sentences.concluded
    if problem.task_type is TaskType.COMMONSENSE:
        return lambda statement: texts.answer(statement.text), texts.concluded
    return _any, lambda text: texts.short(text) or sentences.concluded(text)


def _value(statement: Statement) -> str | None:
    if not statement.bare:
        return values.value(statement.text)
    inner = statements.find(statement.text, _spoken)  # <answer>The answer is 42.</answer>
    return _spoken(inner) if inner else values.formula(statement.text)


def _spoken(statement: Statement) -> str | None:
    return None if statement.bare else values.value(statement.text)


def _any(statement: Statement) -> str | None:
    """The answer in a statement of which nothing is known."""
    words = texts.answer(statement.text)
    return _value(statement) if words and any(c.isdigit() or c in "\\$" for c in words) else words


def _text_of(index: int | None, problem: Problem) -> str | None:
    return problem.choices[index] if index is not None else None


def _writing(text: str) -> Extraction:
    """All of the text, or all that follows the contract phrase."""
    phrases = statements.last_phrases(text)
    if phrases:
        rest = text[phrases[-1].end() :].strip().strip("*_").strip()
        if rest:
            return Extraction(rest, strict=True)
    return Extraction(text.strip() or None, strict=bool(text.strip()))
