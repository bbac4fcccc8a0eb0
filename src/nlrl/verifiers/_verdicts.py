"""Scores that every verifier gives for the same reasons."""

from __future__ import annotations

from nlrl.core import Score, Verdict

NO_REFERENCE = Score(0.5, Verdict.ABSTAIN, reason="the problem has no reference answer")


def unparsed() -> Score:
    """The score of a candidate without an answer: not wrong, and not dropped."""
    return Score(0.0, Verdict.UNPARSED, reason="no answer could be read out of the text")
