"""Which tokens belong to which step.

The text and its tokens need not spell the same: stop strings carry no token, servers trim, and byte tokens show as
"\\ufffd". So both are read without their white space; a token that does not fit is looked for a little further on.
"""

from __future__ import annotations

from collections.abc import Sequence

from nlrl.core import TokenLogprob
from nlrl.verifiers.prm.steps import steps_of

_LOOK_AHEAD = 64  # characters that may be missing from the tokens before a token is given up


def tokens_by_step(text: str, tokens: Sequence[TokenLogprob]) -> list[list[TokenLogprob]]:
    """The tokens of each step, in order; those of white space between steps belong to the step before."""
    steps = steps_of(text)
    found: list[list[TokenLogprob]] = [[] for _ in steps]
    if not steps:
        return found
    solid = ["".join(step.split()) for step in steps]
    whole = "".join(solid)
    ends, total = [], 0
    for part in solid:
        total += len(part)
        ends.append(total)
    at = step = 0
    for token in tokens:
        said = "".join(token.token.split())
        if said:
            place = whole.find(said, at, at + _LOOK_AHEAD + len(said))
            if place < 0:
                continue  # a special token, or a piece of a character
            while step < len(ends) - 1 and place >= ends[step]:
                step += 1
            at = place + len(said)
        found[step].append(token)
    return found
