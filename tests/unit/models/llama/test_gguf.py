"""Headers of GGUF files: read what is there, believe nothing."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlrl.core import ModelMissing
from nlrl.models.llama.gguf import GGUFHeader, read_header


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...], offset: int) -> bytes:
    dims = b"".join(struct.pack("<Q", size) for size in shape)
    return string(name) + struct.pack("<I", len(shape)) + dims + struct.pack("<IQ", 0, offset)


PAIRS = [
    pair("general.architecture", 8, string("llama")),
    pair("general.name", 8, string("Tiny")),
    pair("llama.context_length", 4, struct.pack("<I", 4096)),
    pair("llama.block_count", 4, struct.pack("<I", 2)),
    pair("llama.embedding_length", 4, struct.pack("<I", 64)),
    pair("llama.attention.head_count", 4, struct.pack("<I", 4)),
    pair("llama.attention.head_count_kv", 9, struct.pack("<IQii", 5, 2, 1, 2)),
    pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + string("a") + string("bc")),
    pair("odd.float", 6, struct.pack("<f", 0.5)),
]
TENSORS = [
    tensor("token_embd.weight", (64, 10), 0),
    tensor("blk.0.weight", (8, 8), 2560),
    tensor("output.weight", (64, 10), 2816),
]


def gguf(pairs: list[bytes] = PAIRS, tensors: list[bytes] = TENSORS, version: int = 3, data: int = 6000) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    return head + b"".join(pairs) + b"".join(tensors) + bytes(data)


def read(data: bytes, folder: Path) -> GGUFHeader:
    path = folder / "model.gguf"
    path.write_bytes(data)
    return read_header(path)


def test_what_a_header_says(tmp_path: Path) -> None:
    header = read(gguf(), tmp_path)
    assert (header.architecture, header.name, header.context_tokens) == ("llama", "Tiny", 4096)
    assert header.parameters == 64 + 640  # the embedding table beside an output matrix is only looked up
    assert header.kv_bytes == 2 * 2 * 2 * (16 + 16)  # 2 layers, at most 2 heads, 16 wide, K and V, 2 bytes


def test_tied_embeddings_count(tmp_path: Path) -> None:
    assert read(gguf(tensors=TENSORS[:2]), tmp_path).parameters == 640 + 64


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "GGUF"),
        (b"GGML" + gguf()[4:], "GGUF"),
        (gguf(version=99), "version is 99"),
        (gguf(data=0), "before its last tensor begins"),
        (gguf()[:200], "within its header"),
        (gguf(pairs=PAIRS[1:]), "architecture"),
        (gguf(pairs=[*PAIRS, pair("x", 77, b"")]), "unknown type 77"),
        (gguf(pairs=[*PAIRS, pair("x", 9, struct.pack("<IQ", 9, 1))]), "lists of lists"),
        (gguf(pairs=[*PAIRS, pair("x", 8, struct.pack("<Q", 2**62))]), "cannot be"),
        (gguf(tensors=[tensor("t", (), 0)]), "0 dimensions"),
    ],
)
def test_what_cannot_be_is_refused(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=why):
        read(data, tmp_path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="cannot be read"):
        read_header(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(at=st.integers(4, 700), bytes_=st.binary(min_size=1, max_size=8), cut=st.booleans())
def test_damage_anywhere_gives_a_header_or_a_clear_error(at: int, bytes_: bytes, cut: bool, tmp_path: Path) -> None:
    good = gguf()
    damaged = good[:at] if cut else good[:at] + bytes_ + good[at + len(bytes_) :]
    try:
        header = read(damaged, tmp_path)
    except ModelMissing as error:
        assert "GGUF" in str(error)
    else:
        assert header.architecture
