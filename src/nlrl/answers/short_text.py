"""Whether an answer to a question of knowledge says what the reference says: rules, tried in order.

    same_answer("Who wrote Emma?", "It was written by Jane Austen in 1815.", ["Jane Austen"])
    ->  "stated: the words of the reference"
    same_answer("Who wrote Emma?", "Ann Austen", ["Jane Austen"])  ->  None

The answer as a whole is compared with each reading of each reference by the rules of `RULES`; then, where it is a
statement, what it states is (`_statements`). A rule answers for one answer and one reference and knows the question.
No rule looks for the reference just anywhere: a list of candidates, a negated or corrected one, a question repeated
and a longer name that contains the reference ("New York" for "York") are no match. What rules cannot know, they
refuse: a synonym that is no alias, a place inside another, a rare nickname.
"""

from __future__ import annotations

from collections.abc import Sequence

from nlrl.answers._fact_rules import MAX_LENGTH, RULES, all_readings, compare, question_of
from nlrl.answers._phrases import phrase
from nlrl.answers._statements import stated

__all__ = ["MAX_LENGTH", "RULES", "same_answer"]


def same_answer(question: str, answer: str, references: Sequence[str]) -> str | None:
    """The reason why an answer is right, None where no rule says so."""
    if not 0 < len(answer) <= MAX_LENGTH:
        return None
    asked = question_of(question)
    wanted = all_readings(tuple(references), asked.several)
    said = phrase(answer)
    reason = compare(asked, said, wanted)
    if reason is None:
        found = stated(asked, said, wanted)
        reason = f"stated: {found}" if found else None
    return reason
