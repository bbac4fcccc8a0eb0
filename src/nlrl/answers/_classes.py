"""Sorting answers into equivalence classes without comparing each with each.

Equal keys need no comparison; a plain number is compared with those plain numbers only that lie so near that one may
round the other; the rest is compared with all representatives. 64 different integers cost 64 look-ups.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from nlrl.answers.forms import Form
from nlrl.answers.forms.scalars import MIN_DIGITS
from nlrl.answers.forms.shapes import Scalar

NEAR = 10.0 ** (1 - MIN_DIGITS)  # relative; a decimal of so many digits is off by at most half of this


def _plain(form: Form) -> Scalar | None:
    """The number, where a form is nothing but a number without unit."""
    only = form.readings[0] if len(form.readings) == 1 else None
    return only if isinstance(only, Scalar) and only.unit is None and only.exact is not None else None


class ClassIndex:
    """Classes in order of appearance, by key and by representative."""

    def __init__(self) -> None:
        self.by_key: dict[str, int] = {}
        self.heads: list[Form | None] = []  # None: only an equal key joins
        self._other: list[int] = []  # representatives that are no plain numbers
        self._numbers: list[tuple[float, int]] = []  # (value, class), sorted; those beyond all floats are left out

    def open(self, key: str, form: Form | None) -> int:
        """A new class with its first member."""
        index = len(self.heads)
        self.heads.append(form)
        self.by_key[key] = index
        if form is not None:
            number = _plain(form)
            if number is None:
                self._other.append(index)
            elif number.real is not None:
                insort(self._numbers, (number.real, index))
        return index

    def candidates(self, form: Form) -> list[tuple[int, Form]]:
        """Classes that a form without a known key may belong to, oldest first."""
        number = _plain(form)
        if number is None:
            chosen = range(len(self.heads))
        elif number.real is None:
            chosen = self._other
        else:
            reach = NEAR * abs(number.real)
            low = bisect_left(self._numbers, (number.real - reach, -1))
            high = bisect_right(self._numbers, (number.real + reach, len(self.heads)))
            chosen = sorted(self._other + [index for _, index in self._numbers[low:high]])
        return [(index, head) for index in chosen if (head := self.heads[index]) is not None]
