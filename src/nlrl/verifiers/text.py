"""The grader of short text: the rules of `short_text`; and normalised exact match and F1, as HotpotQA defines them.

Yang et al. 2018 (hotpotqa.github.io, hotpot_evaluate_v1.py): lower case, punctuation removed, articles removed, spaces
squeezed; F1 over the bags of words; "yes", "no" and "noanswer" share nothing with any other answer.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from nlrl.answers.choices import match_choice
from nlrl.answers.short_text import same_answer
from nlrl.core import ANSWER_PHRASE, Candidate, Finish, Problem, Score, Verdict
from nlrl.verifiers._verdicts import NO_REFERENCE, unparsed

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SPECIAL = frozenset(("yes", "no", "noanswer"))
_BOOLEAN = {"true": "yes", "false": "no"}


def normalise(answer: str) -> str:
    """HotpotQA's normal form: "The Eiffel Tower!" -> "eiffel tower"."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, reference: str) -> bool:
    """Whether the normal forms are equal."""
    return normalise(prediction) == normalise(reference)


def f1(prediction: str, reference: str) -> float:
    """Harmonic mean of word precision and recall, in [0, 1]."""
    one, two = normalise(prediction), normalise(reference)
    if one != two and (one in _SPECIAL or two in _SPECIAL):
        return 0.0
    words_one, words_two = one.split(), two.split()
    common = sum((Counter(words_one) & Counter(words_two)).values())
    if not common:
        return 0.0
    precision, recall = common / len(words_one), common / len(words_two)
    return 2 * precision * recall / (precision + recall)


class TextVerifier:
    """Right where a rule says that the answer is the reference or an alias; the value of a wrong one is its best F1.

    exact  only the exact match of HotpotQA's script counts, and answers are not read out of statements

    The rules are those of `short_text`; the reason names the one that held. They may also accept a short text as a
    whole, where no answer was read out of it, or only a yes or no that was not asked for. Where the problem offers
    options, the option that the answer names decides, and the value is 0 or 1. A reference of "true" or "false"
    counts as "yes" or "no", and then only the exact match counts.
    """

    def __init__(self, *, exact: bool = False) -> None:
        self.exact = exact

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        references = [r for r in (problem.reference, *problem.aliases) if r is not None and r.strip()]
        return [self._grade(problem, candidate, references) for candidate in candidates]

    def _grade(self, problem: Problem, candidate: Candidate, references: Sequence[str]) -> Score:
        by_rules = bool(references) and not (self.exact or problem.choices or _asks_yes_or_no(references))
        text = _statement(candidate) if by_rules else None
        reason = same_answer(problem.question, text, references) if text else None
        if reason:
            return Score(1.0, Verdict.RIGHT, reason=reason)
        answer = candidate.answer
        if answer is None or not answer.strip():
            return unparsed()
        if not references:
            return NO_REFERENCE
        if problem.choices:
            right = {match_choice(r, problem.choices) for r in references} - {None}
            if right:
                named = match_choice(answer, problem.choices)
                if named is None:
                    return Score(0.0, Verdict.UNPARSED, reason="the answer names none of the options, or several")
                verdict = Verdict.RIGHT if named in right else Verdict.WRONG
                return Score(float(named in right), verdict, reason=f"option {problem.choices[named]!r}")
        said = _boolean(answer, references)
        if any(exact_match(said, r) or exact_match(said, _BOOLEAN.get(normalise(r), r)) for r in references):
            return Score(1.0, Verdict.RIGHT, reason="exact match")
        reason = same_answer(problem.question, answer, references) if by_rules else None
        if reason:
            return Score(1.0, Verdict.RIGHT, reason=reason)
        best = max(f1(said, r) for r in references)
        return Score(best, Verdict.WRONG, reason=f"no exact match; F1 {best:.2f}")


def _statement(candidate: Candidate) -> str | None:
    """All of a short text out of which no answer, or only a yes or no, was read; None where an answer was read."""
    if candidate.answer is not None and normalise(candidate.answer) not in ("yes", "no"):
        return None
    text = candidate.text.rsplit("</think>", 1)[-1].strip()
    unfinished = candidate.completion.finish is Finish.LENGTH
    return None if unfinished or ANSWER_PHRASE.lower() in text.lower() else text


def _asks_yes_or_no(references: Sequence[str]) -> bool:
    return any(normalise(r) in ("yes", "no", "true", "false") for r in references)


def _boolean(answer: str, references: Sequence[str]) -> str:
    """ "true" for "yes" where yes or no was asked for."""
    return _BOOLEAN.get(normalise(answer), answer) if _asks_yes_or_no(references) else answer
