"""Checkers for constrained writing, in the manner of COLLIE (Yao et al. 2023, arXiv 2307.08689).

Each constraint of a problem is a mapping with a `kind` and its parameters:

    {"kind": "word_count", "op": "<=", "value": 12}
    {"kind": "word_at", "position": 3, "value": "fox"}            from 1; negative positions count from the end
    {"kind": "sentence_last_words", "values": ["night", "light"]}

`KINDS` lists all of them; docs/reference/rewards.md describes each. A kind that is not listed, or a parameter that is
missing or of the wrong type, is a DataError: a constraint nobody can check must not count as met.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nlrl.core import Candidate, DataError, Problem, Score, Verdict
from nlrl.rewards._verdicts import unparsed

Constraint = Mapping[str, Any]
Check = Callable[[str, Constraint], tuple[bool, str]]

_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\s.!?…])")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|No|Vol|[A-Z])\.$")


def words(text: str) -> list[str]:
    """Words without punctuation; "don't" and "well-known" are one word each."""
    return _WORD.findall(text)


def sentences(text: str) -> list[str]:
    """Sentences: up to a full stop, question or exclamation mark; not after an initial or a title ("Dr. Who")."""
    out: list[str] = []
    for paragraph in paragraphs(text):
        parts: list[str] = []
        start = 0
        for match in _SENTENCE_END.finditer(paragraph):
            piece = paragraph[start : match.start()]
            if _ABBREVIATION.search(piece[-12:]):
                continue
            parts.append(paragraph[start : match.end()])
            start = match.end()
        parts.append(paragraph[start:])
        out += [part.strip() for part in parts if words(part)]
    return out


def paragraphs(text: str) -> list[str]:
    """Blocks of text between blank lines."""
    return [block.strip() for block in re.split(r"\n[ \t]*\n", text.strip()) if block.strip()]


def _parameter(constraint: Constraint, name: str, kinds: type | tuple[type, ...]) -> Any:
    value = constraint.get(name)
    if (isinstance(value, bool) and kinds is int) or not isinstance(value, kinds):
        wanted = getattr(kinds, "__name__", "list")
        raise DataError(f"Constraint {dict(constraint)!r} needs {name!r} of type {wanted}, got {value!r}.")
    return value


def _compare(constraint: Constraint, n: int) -> tuple[bool, str]:
    op = constraint.get("op", "==")
    if op not in _OPS:
        raise DataError(f"Constraint {dict(constraint)!r}: unknown op {op!r}. Use one of {', '.join(_OPS)}.")
    value = _parameter(constraint, "value", int)
    return _OPS[op](n, value), f"{n}, wanted {op} {value}"


def _folded(text: str) -> str:
    return text.casefold().replace("’", "'")


def _strings(constraint: Constraint, name: str) -> list[str]:
    value = _parameter(constraint, name, (list, tuple))
    if not value or not all(isinstance(v, str) for v in value):
        raise DataError(f"Constraint {dict(constraint)!r}: {name!r} must be a list of strings, not empty.")
    return list(value)


def _occurrences(text: str, wanted: str) -> int:
    """How often a word or phrase occurs, as whole words, in any case."""
    here, there = [_folded(w) for w in words(text)], [_folded(w) for w in words(wanted)]
    n = len(there)
    return sum(here[i : i + n] == there for i in range(len(here) - n + 1)) if n else 0


def _scope(text: str, constraint: Constraint) -> str:
    """The text, or its sentence or paragraph of a given number (from 1, or from the end if negative)."""
    for name, cut in (("sentence", sentences), ("paragraph", paragraphs)):
        if name in constraint:
            parts = cut(text)
            return _at(parts, _parameter(constraint, name, int), constraint) or ""
    return text


def _at(parts: Sequence[str], position: int, constraint: Constraint) -> str | None:
    if position == 0:
        raise DataError(f"Constraint {dict(constraint)!r}: positions count from 1, or from -1 backwards.")
    index = position - 1 if position > 0 else position
    return parts[index] if -len(parts) <= index < len(parts) else None


def _count(measure: Callable[[str], Sequence[str]]) -> Check:
    def check(text: str, constraint: Constraint) -> tuple[bool, str]:
        return _compare(constraint, len(measure(_scope(text, constraint))))

    return check


def _character_count(text: str, constraint: Constraint) -> tuple[bool, str]:
    scope = _scope(text, constraint)
    return _compare(constraint, len(scope if constraint.get("spaces", True) else re.sub(r"\s", "", scope)))


def _each(parts: Callable[[str], list[str]], size: Callable[[str], int]) -> Check:
    def check(text: str, constraint: Constraint) -> tuple[bool, str]:
        verdicts = [_compare(constraint, size(part)) for part in parts(_scope(text, constraint))]
        failed = [why for met, why in verdicts if not met]
        return bool(verdicts) and not failed, failed[0] if failed else f"{len(verdicts)} of {len(verdicts)}"

    return check


def _include_words(text: str, constraint: Constraint) -> tuple[bool, str]:
    least = constraint.get("count", 1)
    if not isinstance(least, int):
        raise DataError(f"Constraint {dict(constraint)!r}: 'count' must be a number.")
    missing = [w for w in _strings(constraint, "words") if _occurrences(_scope(text, constraint), w) < least]
    return not missing, f"missing: {', '.join(missing)}" if missing else "all there"


def _exclude_words(text: str, constraint: Constraint) -> tuple[bool, str]:
    found = [w for w in _strings(constraint, "words") if _occurrences(_scope(text, constraint), w)]
    return not found, f"forbidden: {', '.join(found)}" if found else "none there"


def _exclude_letters(text: str, constraint: Constraint) -> tuple[bool, str]:
    letters = _folded(_parameter(constraint, "letters", str))
    found = sorted(set(letters) & set(_folded(_scope(text, constraint))) - {" "})
    return not found, f"forbidden letters: {''.join(found)}" if found else "none there"


def _letter_count(text: str, constraint: Constraint) -> tuple[bool, str]:
    letter = _folded(_parameter(constraint, "letter", str))
    return _compare(constraint, _folded(_scope(text, constraint)).count(letter))


def _word_at(text: str, constraint: Constraint) -> tuple[bool, str]:
    wanted = _parameter(constraint, "value", str)
    found = _at(words(_scope(text, constraint)), _parameter(constraint, "position", int), constraint)
    return found is not None and _folded(found) == _folded(wanted), f"{found!r}, wanted {wanted!r}"


def _edge_words(parts: Callable[[str], list[str]], edge: int) -> Check:
    def check(text: str, constraint: Constraint) -> tuple[bool, str]:
        wanted = [_folded(w) for w in _strings(constraint, "values")]
        found = [_folded(found[edge]) for part in parts(text) if (found := words(part))]
        return found == wanted, f"{found}, wanted {wanted}"

    return check


def _starts_with(text: str, constraint: Constraint) -> tuple[bool, str]:
    wanted = _parameter(constraint, "value", str)
    return _folded(text.strip()).startswith(_folded(wanted)), f"wanted the start {wanted!r}"


def _ends_with(text: str, constraint: Constraint) -> tuple[bool, str]:
    wanted = _parameter(constraint, "value", str)
    ends = _folded(text.strip())
    return ends.endswith(_folded(wanted)) or ends.rstrip(".!?\"'”’").endswith(
        _folded(wanted)
    ), f"wanted the end {wanted!r}"


KINDS: dict[str, Check] = {
    "word_count": _count(words),
    "sentence_count": _count(sentences),
    "paragraph_count": _count(paragraphs),
    "character_count": _character_count,
    "letter_count": _letter_count,
    "words_per_sentence": _each(sentences, lambda s: len(words(s))),
    "words_per_paragraph": _each(paragraphs, lambda p: len(words(p))),
    "sentences_per_paragraph": _each(paragraphs, lambda p: len(sentences(p))),
    "word_length": _each(words, len),
    "include_words": _include_words,
    "exclude_words": _exclude_words,
    "exclude_letters": _exclude_letters,
    "word_at": _word_at,
    "sentence_first_words": _edge_words(sentences, 0),
    "sentence_last_words": _edge_words(sentences, -1),
    "paragraph_first_words": _edge_words(paragraphs, 0),
    "paragraph_last_words": _edge_words(paragraphs, -1),
    "starts_with": _starts_with,
    "ends_with": _ends_with,
}


def check(text: str, constraint: Constraint) -> tuple[bool, str]:
    """Whether a text meets one constraint, and what was found. Raises DataError for one that makes no sense."""
    kind = constraint.get("kind")
    if kind not in KINDS:
        raise DataError(f"Unknown constraint kind {kind!r} in {dict(constraint)!r}. Known: {', '.join(sorted(KINDS))}.")
    return KINDS[kind](text, constraint)


class ConstraintVerifier:
    """Right if all constraints hold; the value is the share that does. Needs no reference, so it is no cheating to
    select by it. Abstains where a problem has no constraints."""

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order. Raises DataError for constraints that cannot be checked."""
        return [self._grade(problem, candidate.answer) for candidate in candidates]

    def _grade(self, problem: Problem, answer: str | None) -> Score:
        if not problem.constraints:
            return Score(0.5, Verdict.ABSTAIN, reason="the problem has no constraints")
        if answer is None or not answer.strip():
            for constraint in problem.constraints:
                check("", constraint)  # a constraint that makes no sense is an error, whatever the answers are
            return unparsed()
        results = [(constraint, *check(answer, constraint)) for constraint in problem.constraints]
        failed = [f"{constraint['kind']} ({why})" for constraint, met, why in results if not met]
        value = 1 - len(failed) / len(results)
        if failed:
            return Score(value, Verdict.WRONG, reason="; ".join(failed)[:500])
        return Score(1.0, Verdict.RIGHT, reason=f"all {len(results)} constraints hold")
