"""What a step is, and what every process verifier answers with.

    steps_of("2 + 2 = 4\\n\\nSo it is 4.")  ->  ["2 + 2 = 4", "So it is 4."]

A step is a non-empty line of the text, stripped. A process verifier gives one value in [0, 1] a step, for whole and
for partial texts alike; the value of the text is that of its last step. What it cannot judge it abstains from, with a
reason that begins with a word to count by: `no_steps`, `wrong_count`, `not_a_number`, `out_of_range`, `too_long`, ...
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nlrl.core import Score, Verdict

_ROUNDING = 1e-6  # how far outside of [0, 1] half precision arithmetic may land


def steps_of(text: str) -> list[str]:
    """The steps of a text, in order; none for a blank one."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def step_ends(text: str) -> list[int]:
    """For each step where the next line begins: `text[:end]` is the text up to and with that step."""
    ends, at = [], 0
    for line in text.splitlines(keepends=True):
        at += len(line)
        if line.strip():
            ends.append(at)
    return ends


def step_score(values: Sequence[float], steps: int, reason: str) -> Score:
    """The score of a text with so many steps from the values given for them; abstains where they make no sense."""
    if not steps:
        return no_steps()
    if len(values) != steps:
        return abstained("wrong_count", f"{len(values)} values for {steps} steps")
    if bad := [v for v in values if not math.isfinite(v)]:
        return abstained("not_a_number", f"{len(bad)} of {steps} step values are {bad[0]}")
    if bad := [v for v in values if not -_ROUNDING <= v <= 1 + _ROUNDING]:
        return abstained(
            "out_of_range", f"{len(bad)} of {steps} step values lie outside of [0, 1], such as {bad[0]:.4g}"
        )
    held = tuple(min(1.0, max(0.0, float(v))) for v in values)
    return Score(held[-1], Verdict.ABSTAIN, steps=held, reason=reason)


def abstained(kind: str, detail: str) -> Score:
    """No opinion, and why."""
    return Score(0.5, Verdict.ABSTAIN, reason=f"{kind}: {detail}")


def no_steps() -> Score:
    """The score of a text in which nothing has been said yet."""
    return abstained("no_steps", "the text has no step yet")
