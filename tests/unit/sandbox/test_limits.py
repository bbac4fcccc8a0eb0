"""Limits refuse what cannot be meant."""

from __future__ import annotations

import math

import pytest

from nlrl.sandbox import Limits, Sandbox


@pytest.mark.parametrize(
    "field", ["wall_s", "cpu_s", "memory_bytes", "scratch_bytes", "output_bytes", "threads", "processes"]
)
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_every_limit_is_a_finite_number_above_zero(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Limits(**{field: value})  # type: ignore[arg-type]


def test_what_python_itself_needs() -> None:
    with pytest.raises(ValueError, match="64 MiB"):
        Limits(memory_bytes=10 << 20)
    with pytest.raises(ValueError, match="at least 16"):
        Limits(open_files=3)


def test_workers() -> None:
    with pytest.raises(ValueError, match="workers"):
        Sandbox(workers=0)
