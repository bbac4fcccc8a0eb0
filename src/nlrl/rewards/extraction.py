"""Reading the answer out of a completion.

    "... so she earns 9 * 2 = $18.\\n**Final Answer:** $18"   ->  Extraction("$18", strict=True)
    "... The answer is 18 dollars."                            ->  Extraction("18 dollars", strict=False)
    "I cannot say."                                            ->  Extraction(None, strict=False)

Strict is what stands behind the contract phrase (`core.ANSWER_PHRASE`), at its last occurrence; for code, whose
contract is a fenced block, what stands between fences; writing is its own contract. Everything else is flexible: boxes,
"#### 70", "the answer is ...", the last number, an option's letter or text, unfenced code. The reference is never
looked at. Nothing here raises or takes more than linear time, whatever the text.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from nlrl.core import ANSWER_PHRASE, Problem, TaskType
from nlrl.rewards._spans import (
    MAX_LINE,
    PLACEHOLDER,
    after_is,
    first_line,
    from_sentence,
    last_boxed,
    last_number,
    said,
    short_formula,
    undress,
)
from nlrl.rewards.choices import match_choice, mentioned
from nlrl.rewards.code_extraction import extract_code, has_closed_block

TAIL = 20_000  # flexible patterns look at this much of the end of a text


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was read: the answer, None if there is none, and whether it stood behind the contract phrase."""

    answer: str | None
    strict: bool = False


_PHRASE = re.compile(
    re.escape(ANSWER_PHRASE.rstrip(":")).replace(r"\ ", r"[ \t]{1,4}") + r"[ \t]{0,4}[*_]{0,3}[ \t]{0,4}[:：]", re.I
)
_HASHES = re.compile(r"####[ \t]*([^\n]+)")
_YES_NO = re.compile(r"[\s*_\"'`>(]{0,8}(yes|no|true|false)\b(?![-'])", re.I)
_LAST_YES_NO = re.compile(r"\b(?:answer|so|thus|therefore|hence)\b[^\n.]{0,60}?\b(yes|no)\b", re.I)
_OPTION = re.compile(
    r"(?:\b(?:answer|option|choice)\b[^\n]{0,20}?[\s:*(\[]|^[\s*_>(\[]{0,6}|\()([A-J])(?=[).:\]*]|\s*$)", re.M
)
_THINK_END = "</think>"


def extract_answer(text: str, problem: Problem) -> Extraction:
    """The answer in a completion, by the problem's task type; where that is not set, by what the problem holds."""
    cut = text.rfind(_THINK_END)
    if cut >= 0 and text[cut + len(_THINK_END) :].strip():
        text = text[cut + len(_THINK_END) :]
    task = problem.task_type
    if task is TaskType.CODING or (task is None and problem.tests is not None):
        code = extract_code(text, problem)
        return Extraction(code, strict=code is not None and has_closed_block(text))
    if task is TaskType.WRITING or (task is None and problem.constraints):
        return _writing(text)
    found = _contract_line(text)
    if found is not None:
        answer = _refine(found, problem)
        if answer is not None:
            return Extraction(answer, strict=True)
    tail = text[-TAIL:]
    if problem.choices:
        return Extraction(_choice(tail, problem))
    if task is TaskType.MATH:
        return Extraction(_math(text, tail))
    if task is TaskType.COMMONSENSE:
        return Extraction(_words(tail))
    return Extraction(_boxed_orsaid(text, tail) or _short(tail) or last_number(tail))


# --- the contract ----------------------------------------------------------------------------------------------------


def _contract_line(text: str) -> str | None:
    """What stands behind the last contract phrase that has an answer behind it."""
    for match in reversed(_matches(text)):
        rest = text[match.end() : match.end() + MAX_LINE]
        line = first_line(rest)
        if line and not PLACEHOLDER.fullmatch(line):
            return line
    return None


def _matches(text: str) -> list[re.Match[str]]:
    """The last few occurrences of the phrase; the whole text is searched only if its end has none."""
    if len(text) > TAIL:
        near = deque(_PHRASE.finditer(text, len(text) - TAIL), maxlen=5)
        if near:
            return list(near)
    return list(deque(_PHRASE.finditer(text), maxlen=5))


def _refine(line: str, problem: Problem) -> str | None:
    """The answer in a contract line, which may be a sentence."""
    box = last_boxed(line)
    if box:
        line = box
    if problem.choices:
        index = match_choice(line, problem.choices)
        if index is None and not mentioned(line, problem.choices):
            index = _option_letter(line, problem)
        return problem.choices[index] if index is not None else None
    if problem.task_type is TaskType.MATH:
        return from_sentence(line)
    if problem.task_type is TaskType.COMMONSENSE:
        yes = _YES_NO.match(line)
        if yes and (
            len(line) <= yes.end() + 1 or (line[yes.end()] in ",.;:!)*_ -—" and _starts_reason(line[yes.end() :]))
        ):
            return _as_yes_no(yes.group(1))
        return after_is(line)
    return line


def _starts_reason(rest: str) -> bool:
    return rest[:1] in ",.;:!)*_—" or rest.lstrip().lower().startswith(("because", "since", "as ", "- "))


def _as_yes_no(word: str) -> str:
    return "yes" if word.lower() in ("yes", "true") else "no"


# --- flexible --------------------------------------------------------------------------------------------------------


def _boxed_orsaid(text: str, tail: str) -> str | None:
    box = last_boxed(text)
    if box:
        return box
    hashes = _HASHES.findall(tail)
    if hashes and undress(hashes[-1]):
        return undress(hashes[-1])
    return said(tail)


def _math(text: str, tail: str) -> str | None:
    found = _boxed_orsaid(text, tail)
    if found:
        return from_sentence(found)
    return short_formula(tail) or last_number(tail)


def _short(tail: str) -> str | None:
    """The whole text, where it is one short line."""
    line = tail.strip()
    return undress(line) or None if "\n" not in line and len(line) <= 200 and len(line.split()) <= 12 else None


def _words(tail: str) -> str | None:
    """Free text: "the answer is ...", a leading or concluding yes or no, or a completion that is just an answer."""
    found = last_boxed(tail) or said(tail)
    if found:
        yes = _YES_NO.match(found)
        if yes and (len(found) == yes.end() or _starts_reason(found[yes.end() :])):
            return _as_yes_no(yes.group(1))
        return found
    start = _YES_NO.match(tail)
    if start and (len(tail.strip()) <= start.end() or (not tail[start.end()].isalnum() and tail[start.end()] != " ")):
        return _as_yes_no(start.group(1))
    ends = _LAST_YES_NO.findall(tail)
    if ends:
        return _as_yes_no(ends[-1])
    line = tail.strip()
    if line and "\n" not in line and len(line) <= 120 and len(line.split()) <= 10:
        return undress(line) or None
    return None


def _option_letter(text: str, problem: Problem) -> int | None:
    """The option of the last letter that stands like a choice: "(B)", "answer: B", "B) ..."."""
    letters = [m.group(1) for m in _OPTION.finditer(text[-MAX_LINE:])]
    index = ord(letters[-1]) - ord("A") if letters else -1
    return index if 0 <= index < len(problem.choices) else None


def _choice(tail: str, problem: Problem) -> str | None:
    """The text of the option that a completion names."""
    spoken = last_boxed(tail) or said(tail)
    for part in (spoken, tail.strip()):
        if part:
            index = match_choice(part, problem.choices)
            if index is None and not (part is spoken and mentioned(part, problem.choices)):
                index = _option_letter(part, problem)
            if index is not None:
                return problem.choices[index]
    lines = [line for line in tail.strip().splitlines() if line.strip()]
    for line in (lines[-1:] + lines[:1]) if lines else []:
        index = match_choice(undress(line), problem.choices)
        if index is not None:
            return problem.choices[index]
    return None


def _writing(text: str) -> Extraction:
    """All of the text, or all that follows the contract phrase."""
    matches = _matches(text)
    if matches:
        rest = text[matches[-1].end() :].strip().strip("*_").strip()
        if rest:
            return Extraction(rest, strict=True)
    return Extraction(text.strip() or None, strict=bool(text.strip()))
