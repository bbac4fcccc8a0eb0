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
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlrl.core import Candidate, DataError, Problem, Score, Verdict
from nlrl.verifiers._verdicts import unparsed
from nlrl.verifiers.prose import (
    Word,
    is_abbreviation,
    paragraphs,
    placed_words,
    sentences,
    with_plain_newlines,
    words,
)

Constraint = Mapping[str, Any]
Check = Callable[[str, Constraint], tuple[bool, str]]

_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


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
    return text.casefold().replace("’", "'").replace("‘", "'")


def _key(word: str) -> str:
    """What of a word is compared: its case and the full stop of an abbreviation are not."""
    return _folded(word).rstrip(".")


def _strings(constraint: Constraint, name: str) -> list[str]:
    value = _parameter(constraint, name, (list, tuple))
    if not value or not all(isinstance(v, str) and v.strip() for v in value):
        raise DataError(f"Constraint {dict(constraint)!r}: {name!r} must be a list of strings, not empty.")
    return list(value)


def _occurrences(text: str, wanted: str) -> int:
    """How often a word or phrase occurs, as whole words, in any case, with the signs that it has.

    Within a sentence: the words of a phrase are not sought across a full stop or a comma that it does not have itself.
    """
    wanted = wanted.strip()
    there = placed_words(wanted)
    if not there:
        return _folded(text).count(_folded(wanted))
    here = placed_words(text)
    n = len(there)
    return sum(_stands_at(text, here[i : i + n], wanted, there) for i in range(len(here) - n + 1))


def _stands_at(text: str, here: Sequence[Word], wanted: str, there: Sequence[Word]) -> bool:
    if not all(_same_word(one.text, other.text) for one, other in zip(here, there, strict=True)):
        return False
    for i in range(len(here) - 1):
        gap, wanted_gap = text[here[i].end : here[i + 1].start], wanted[there[i].end : there[i + 1].start]
        if "\n\n" in gap or _signs(gap, here[i]) != _signs(wanted_gap, there[i]):
            return False
    ahead, behind = _signs(wanted[: there[0].start]), _signs(wanted[there[-1].end :], there[-1])
    room = 2 * len(wanted) + 8
    left, right = max(0, here[0].start - room), here[-1].end + room
    return _signs(text[left : here[0].start]).endswith(ahead) and _signs(
        text[here[-1].end : right], here[-1]
    ).startswith(behind)


def _same_word(here: str, wanted: str) -> bool:
    """Also "100%" has the word "100", but "C++" is another word than "C"."""
    one, other = _key(here), _key(wanted)
    return one == other or one.lstrip("$€£¥₹#@").rstrip("%‰°") == other


def _signs(between: str, word: Word | None = None) -> str:
    """The signs that count: no spaces, quotation marks, emphasis, and no full stop of the abbreviation before them."""
    signs = re.sub(r"[\s\"“”‘’'*_]", "", between)
    return signs.removeprefix(".") if word and is_abbreviation(word.text) else signs


def _scope(text: str, constraint: Constraint) -> str | None:
    """The text, or its paragraph, sentence and word of given numbers (from 1, or from the end if negative).

    None if there is no such part.
    """
    part: str | None = text
    for name, cut in (("paragraph", paragraphs), ("sentence", sentences), ("word", words)):
        if constraint.get(name) is not None and part is not None:
            part = _at(cut(part), _parameter(constraint, name, int), constraint)
    return part


def _at(parts: Sequence[str], position: int, constraint: Constraint) -> str | None:
    if position == 0:
        raise DataError(f"Constraint {dict(constraint)!r}: positions count from 1, or from -1 backwards.")
    index = position - 1 if position > 0 else position
    return parts[index] if -len(parts) <= index < len(parts) else None


def _count(measure: Callable[[str], Sequence[str]]) -> Check:
    def check(text: str, constraint: Constraint) -> tuple[bool, str]:
        return _compare(constraint, len(measure(text)))

    return check


def _character_count(text: str, constraint: Constraint) -> tuple[bool, str]:
    return _compare(constraint, len(text if constraint.get("spaces", True) else re.sub(r"\s", "", text)))


def _each(parts: Callable[[str], list[str]], size: Callable[[str], int]) -> Check:
    def check(text: str, constraint: Constraint) -> tuple[bool, str]:
        verdicts = [_compare(constraint, size(part)) for part in parts(text)] or [(False, _compare(constraint, 0)[1])]
        failed = [why for met, why in verdicts if not met]
        return not failed, failed[0] if failed else f"{len(verdicts)} of {len(verdicts)}"

    return check


def _include_words(text: str, constraint: Constraint) -> tuple[bool, str]:
    least = constraint.get("count", 1)
    if isinstance(least, bool) or not isinstance(least, int):
        raise DataError(f"Constraint {dict(constraint)!r}: 'count' must be a number.")
    missing = [w for w in _strings(constraint, "words") if _occurrences(text, w) < least]
    return not missing, f"missing: {', '.join(missing)}" if missing else "all there"


def _exclude_words(text: str, constraint: Constraint) -> tuple[bool, str]:
    found = [w for w in _strings(constraint, "words") if _occurrences(text, w)]
    return not found, f"forbidden: {', '.join(found)}" if found else "none there"


def _exclude_letters(text: str, constraint: Constraint) -> tuple[bool, str]:
    letters = _folded(_parameter(constraint, "letters", str))
    found = sorted(set(letters) & set(_folded(text)) - {" "})
    return not found, f"forbidden letters: {''.join(found)}" if found else "none there"


def _letter_count(text: str, constraint: Constraint) -> tuple[bool, str]:
    return _compare(constraint, _folded(text).count(_folded(_parameter(constraint, "letter", str))))


def _letter_at(text: str, constraint: Constraint) -> tuple[bool, str]:
    wanted = _parameter(constraint, "value", str)
    if len(wanted) != 1 or not wanted.isalnum():
        raise DataError(f"Constraint {dict(constraint)!r}: 'value' must be one letter.")
    letters = [c for c in text if c.isalnum()]
    found = _at(letters, _parameter(constraint, "position", int), constraint)
    return found is not None and _folded(found) == _folded(wanted), f"{found!r}, wanted {wanted!r}"


def _word_at(text: str, constraint: Constraint) -> tuple[bool, str]:
    wanted = _parameter(constraint, "value", str)
    found = _at(words(text), _parameter(constraint, "position", int), constraint)
    return found is not None and _key(found) == _key(wanted), f"{found!r}, wanted {wanted!r}"


def _edge_words(parts: Callable[[str], list[str]], edge: int) -> Check:
    def check(text: str, constraint: Constraint) -> tuple[bool, str]:
        wanted = [_key(w) for w in _strings(constraint, "values")]
        found = [_key(found[edge]) for part in parts(text) if (found := words(part))]
        return found == wanted, f"{found}, wanted {wanted}"

    return check


def _every_sentence_starts_with(text: str, constraint: Constraint) -> tuple[bool, str]:
    wanted = [_key(w) for w in words(_parameter(constraint, "value", str))]
    if not wanted:
        raise DataError(f"Constraint {dict(constraint)!r}: 'value' must be a word or several.")
    starts = [[_key(w) for w in words(sentence)[: len(wanted)]] for sentence in sentences(text)]
    other = next((start for start in starts if start != wanted), None)
    if other is not None:
        return False, f"one begins with {' '.join(other)!r}, wanted {' '.join(wanted)!r}"
    return bool(starts), f"{len(starts)} sentences"


def _paragraph_last_sentences(text: str, constraint: Constraint) -> tuple[bool, str]:
    wanted = [_bare(sentence) for sentence in _strings(constraint, "values")]
    found = [_bare(last[-1]) for paragraph in paragraphs(text) if (last := sentences(paragraph))]
    return found == wanted, f"{found}, wanted {wanted}"


def _bare(sentence: str) -> str:
    """A sentence without the signs around it, with single spaces, in lower case."""
    return re.sub(r"^\W+|\W+$", "", " ".join(_folded(sentence).split()))


def _starts_with(text: str, constraint: Constraint) -> tuple[bool, str]:
    wanted = _parameter(constraint, "value", str)
    return _folded(text.strip()).startswith(_folded(wanted)), f"wanted the start {wanted!r}"


def _ends_with(text: str, constraint: Constraint) -> tuple[bool, str]:
    wanted = _parameter(constraint, "value", str)
    ends = _folded(text.strip())
    met = ends.endswith(_folded(wanted)) or ends.rstrip(".!?\"'”’").endswith(_folded(wanted))
    return met, f"wanted the end {wanted!r}"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of constraint is checked, and the parameters that it takes beside those of `PARTS`."""

    check: Check
    parameters: tuple[str, ...]


PARTS = ("paragraph", "sentence", "word")  # narrow any constraint to one part of the text
_SIZE = ("op", "value")

KINDS: dict[str, Kind] = {
    "word_count": Kind(_count(words), _SIZE),
    "sentence_count": Kind(_count(sentences), _SIZE),
    "paragraph_count": Kind(_count(paragraphs), _SIZE),
    "character_count": Kind(_character_count, (*_SIZE, "spaces")),
    "letter_count": Kind(_letter_count, (*_SIZE, "letter")),
    "words_per_sentence": Kind(_each(sentences, lambda s: len(words(s))), _SIZE),
    "words_per_paragraph": Kind(_each(paragraphs, lambda p: len(words(p))), _SIZE),
    "sentences_per_paragraph": Kind(_each(paragraphs, lambda p: len(sentences(p))), _SIZE),
    "word_length": Kind(_each(words, len), _SIZE),
    "include_words": Kind(_include_words, ("words", "count")),
    "exclude_words": Kind(_exclude_words, ("words",)),
    "exclude_letters": Kind(_exclude_letters, ("letters",)),
    "letter_at": Kind(_letter_at, ("position", "value")),
    "word_at": Kind(_word_at, ("position", "value")),
    "every_sentence_starts_with": Kind(_every_sentence_starts_with, ("value",)),
    "sentence_first_words": Kind(_edge_words(sentences, 0), ("values",)),
    "sentence_last_words": Kind(_edge_words(sentences, -1), ("values",)),
    "paragraph_first_words": Kind(_edge_words(paragraphs, 0), ("values",)),
    "paragraph_last_words": Kind(_edge_words(paragraphs, -1), ("values",)),
    "paragraph_last_sentences": Kind(_paragraph_last_sentences, ("values",)),
    "starts_with": Kind(_starts_with, ("value",)),
    "ends_with": Kind(_ends_with, ("value",)),
}


def check(text: str, constraint: Constraint) -> tuple[bool, str]:
    """Whether a text meets one constraint, and what was found. Raises DataError for one that makes no sense."""
    name = constraint.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise DataError(f"Unknown constraint kind {name!r} in {dict(constraint)!r}. Known: {', '.join(sorted(KINDS))}.")
    known = {"kind", *kind.parameters, *PARTS}
    unknown = [key for key, value in constraint.items() if key not in known and value is not None]
    if unknown:  # a mistyped "op" must not count as "=="
        raise DataError(
            f"Constraint {dict(constraint)!r}: {name} has no parameter {unknown[0]!r}. "
            f"It takes {', '.join(sorted(known))}."
        )
    text = unicodedata.normalize("NFC", with_plain_newlines(text))
    part = _scope(text, constraint)
    if part is None:
        kind.check("", constraint)  # its parameters are checked all the same
        where = ", ".join(f"{name} {constraint[name]}" for name in PARTS if constraint.get(name) is not None)
        return False, f"the text has no {where}"
    return kind.check(part, constraint)


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
