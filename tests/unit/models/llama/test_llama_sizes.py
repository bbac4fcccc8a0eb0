"""How large an engine is made."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import ModelError
from nlrl.models.llama.gguf import GGUFHeader
from nlrl.models.llama.sizes import MEMORY_SHARE, Sizes, available_memory, physical_cores, sizes

SMALL = GGUFHeader("llama", "", 134_515_008, 8192, 23_040, 98_362_432)
GB = 10**9


def test_the_usual_size() -> None:
    assert sizes(SMALL, threads=2, available=16 * GB) == Sizes(16, 2048, 2)


def test_what_is_asked_for_is_given_up_to_what_the_model_was_trained_with() -> None:
    assert sizes(SMALL, slots=3, context_tokens=5000, threads=1, available=16 * GB) == Sizes(3, 5000, 1)
    assert sizes(SMALL, slots=1, context_tokens=10**6, threads=1, available=16 * GB).context_tokens == 8192
    short = GGUFHeader("llama", "", 1, 512, 100, 1)
    assert sizes(short, available=16 * GB).context_tokens == 512


def test_little_memory_takes_slots_first_and_then_context() -> None:
    assert sizes(SMALL, threads=1, available=GB) == Sizes(8, 2048, 1)
    assert sizes(SMALL, threads=1, available=200_000_000) == Sizes(1, 512, 1)
    with pytest.raises(ModelError, match=r"0\.2 GB .*nlrl models list"):
        sizes(SMALL, available=100_000_000)
    with pytest.raises(ModelError, match="fewer slots"):
        sizes(SMALL, slots=64, context_tokens=8192, available=GB)


@given(st.integers(10**8, 10**12), st.integers(1, 10**6), st.integers(1, 10**6))
def test_whatever_is_chosen_fits(available: int, kv_bytes: int, trained: int) -> None:
    header = GGUFHeader("x", "", 1, trained, kv_bytes, 10**7)
    try:
        chosen = sizes(header, threads=1, available=available)
    except ModelError:
        assert min(256, trained) * kv_bytes + header.size > MEMORY_SHARE * available / 2
    else:
        assert chosen.slots * chosen.context_tokens * kv_bytes + header.size <= MEMORY_SHARE * available
        assert 1 <= chosen.context_tokens <= trained


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"context_tokens": -1}, {"threads": 0}, {"slots": 1.5}])
def test_sizes_that_make_no_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(ModelError, match=next(iter(wrong))):
        sizes(SMALL, available=GB, **wrong)


def test_the_machine_has_cores_and_memory() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)
    assert available_memory() > 10**7
