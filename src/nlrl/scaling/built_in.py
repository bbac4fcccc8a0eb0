"""What `auto` does without a calibration: revisions where a problem is easy, best of N where it is harder.

    ways(HARD, lengths_of(attempts), judged=True, heads=4)     # [Way("best_of_n(n=8, select=best)", 1450.0, 1810), ...]
    strategy_for(HARD, 8, judged=True)                         # "best_of_n(n=8, select=best)": by a number of attempts

It follows what Snell et al. 2024 (2408.03314, sections 5.3 and 6.2) found: sequential revisions gain on easy problems,
where the first attempt is about right; on harder ones only breadth finds a right one. How much is spent depends on
what the budget holds at the lengths of this model's own first attempts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nlrl.core import Candidate

EASY, MEDIUM, HARD = range(3)
LONGEST_CHAIN = 4  # attempts, as many as a revision has in view
MIXED = 5  # attempts at a problem that is neither easy nor hard, where a number of attempts is the budget
_LADDERS = {MEDIUM: (4, 8, 16), HARD: (4, 8, 16, 32)}  # attempts


@dataclass(frozen=True)
class Lengths:
    """Tokens of a model on a problem: of the prompt, of an attempt on the mean, and of the longest one seen."""

    prompt: int
    attempt: float
    longest: int

    def __str__(self) -> str:
        return f"{self.prompt} tokens of prompt and {self.attempt:.0f} an attempt"


ASSUMED = Lengths(prompt=200, attempt=150, longest=500)  # until a model is seen to write


def lengths_of(attempts: Sequence[Candidate]) -> Lengths | None:
    """The lengths of attempts; None without any, or where the model does not tell them."""
    written = [c.completion.completion_tokens for c in attempts]
    if not any(written):
        return None
    return Lengths(max(c.completion.prompt_tokens for c in attempts), sum(written) / len(written), max(written))


@dataclass(frozen=True)
class Way:
    """A strategy, and what it takes on the mean and at most: in tokens, with the attempts that there are already."""

    strategy: str
    tokens: float
    most: int


def ways(bin_at: int, lengths: Lengths, *, judged: bool, heads: int) -> list[Way]:
    """What can be done with a problem of a bin, the cheapest first; each is worth more than those before it.

    judged  a verifier, tests or constraints can tell a good attempt: best of N then takes the one with the highest
            score. Where only the model's own certainty could, it is the vote weighted by it, which does better
    heads   attempts that there are already: more than one are those of a probe. Where it found the problem easy, they
            agree, and two of them are revised: a chain of its own for each, so that one bad revision does not decide
    """

    def way(strategy: str, more: Sequence[int]) -> Way:
        """more: for each further call, the attempts that it reads and writes."""
        mean, most = (
            (1 + len(more)) * lengths.prompt + (heads + sum(more)) * each for each in (lengths.attempt, lengths.longest)
        )
        return Way(strategy, mean, round(most))

    made = [way(f"self_consistency(n={heads})" if heads > 1 else "direct", [])]  # nothing more than there is
    if bin_at == EASY and heads > 1:
        made += [way(revisions(4, 2, judged), [2, 2])]
    elif bin_at == EASY:
        made += [way(revisions(n, 1, judged), range(2, n + 1)) for n in (2, LONGEST_CHAIN)]
    else:
        made += [way(best_of(n, judged), [n - heads]) for n in _LADDERS[bin_at] if n > heads]
    return made


def strategy_for(bin_at: int, samples: int, *, judged: bool, heads: int = 0) -> str:
    """How a number of attempts is spent: a chain of revisions on an easy problem, best of all of them on a hard one,
    and in between a few attempts side by side. `heads` of them are there already, of a probe."""
    if bin_at == EASY and heads < 2:
        return revisions(min(samples, LONGEST_CHAIN), 1, judged)
    if bin_at == EASY:
        chains = min(2, samples - heads)
        return revisions(2 * chains, chains, judged) if chains > 0 else f"self_consistency(n={heads})"
    return best_of(samples if bin_at == HARD else max(heads, MIXED if samples > MIXED else 1), judged)


def best_of(n: int, judged: bool) -> str:
    """n attempts side by side, the best of them."""
    return "direct" if n == 1 else f"best_of_n(n={n}, select=best)" if judged else f"weighted_vote(n={n})"


def revisions(n: int, chains: int, judged: bool) -> str:
    """n attempts, in chains in which each revises those before it."""
    return "direct" if n == 1 else f"revisions(chains={chains}, n={n}{', select=best' if judged else ''})"
