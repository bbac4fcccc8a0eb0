"""What a GGUF file says about itself, read without loading it.

Only the header is read (a few megabytes): the metadata needed to size a context, and the shapes of the
tensors, which give the number of weights. A file that is cut off or is something else is refused here, before the
engine, which runs inside this process, gets to see it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from nlrl.core import ModelMissing

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_COUNT = 10_000_000  # entries of a list, bytes of a string: more than that is a broken file, not a large one
_TENSOR_TYPES = 64  # type ids in use are below this


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """The part of the header that is used here.

    parameters      number of weights that every token is multiplied with (for FLOPs). An embedding table beside a
                    separate output matrix is only looked up, and does not count
    context_tokens  the context it was trained with, 0 if the file does not say
    kv_bytes        bytes of key-value cache per token of context, in 16 bits
    size            of the file, in bytes
    """

    architecture: str
    name: str
    parameters: int
    context_tokens: int
    kv_bytes: int
    size: int


def read_header(path: Path) -> GGUFHeader:
    """Read the header of the GGUF file at `path`.

    Raises ModelMissing if there is no such file, if it is not GGUF, or if it is cut off.
    """
    try:
        size = path.stat().st_size
        with path.open("rb", buffering=1 << 20) as file:
            return _Reader(file, size).header()
    except OSError as error:
        raise ModelMissing(
            f"The weights {path} cannot be read ({error.strerror}). Check the path, or run: nlrl models list"
        ) from error
    except ValueError as error:
        raise ModelMissing(
            f"{path} is not a usable GGUF file: {error}. It may be cut off or of another format: fetch it again."
        ) from error


class _Reader:
    """One pass over a header. Every count is checked before it is believed."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def header(self) -> GGUFHeader:
        if self.file.read(4) != b"GGUF":
            raise ValueError("it does not begin with the letters GGUF")
        version = self.scalar("<I")
        if version not in (2, 3):
            raise ValueError(f"its GGUF version is {version}, and versions 2 and 3 are known")
        n_tensors, n_pairs = self.count(), self.count()
        metadata = {}
        for _ in range(n_pairs):
            key = self.string()
            metadata[key] = self.value(self.scalar("<I"))
        weights: dict[str, int] = {}
        last = 0
        for _ in range(n_tensors):
            name, count, offset = self.tensor()
            weights[name] = count
            last = max(last, offset)
        if self.file.tell() + last >= self.size:
            raise ValueError(f"it ends after {self.size} bytes, before its last tensor begins")
        looked_up = weights.get("token_embd.weight", 0) if "output.weight" in weights else 0
        return _describe(metadata, sum(weights.values()) - looked_up, self.size)

    def scalar(self, form: str) -> Any:
        data = self.file.read(struct.calcsize(form))
        if len(data) < struct.calcsize(form):
            raise ValueError("it ends within its header")
        return struct.unpack(form, data)[0]

    def count(self) -> int:
        count = self.scalar("<Q")
        if count > min(_MAX_COUNT, self.size):
            raise ValueError(f"it claims {count} entries, which cannot be")
        return count

    def string(self) -> str:
        data = self.file.read(length := self.count())
        if len(data) < length:
            raise ValueError("it ends within its header")
        return data.decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            raise ValueError(f"it holds a value of the unknown type {kind}")
        inner, count = self.scalar("<I"), self.count()
        if inner == _ARRAY:
            raise ValueError("it holds lists of lists")
        if inner in _SCALARS:
            data = self.file.read(wanted := count * struct.calcsize(_SCALARS[inner]))
            if len(data) < wanted:
                raise ValueError("it ends within its header")
            # head counts may be a list, one per layer; token scores and types are not needed
            return list(struct.unpack(f"<{count}{_SCALARS[inner][1]}", data)) if count <= 4096 else None
        for _ in range(count):
            self.value(inner)  # vocabularies: read over, not kept
        return None

    def tensor(self) -> tuple[str, int, int]:
        name = self.string()
        n_dims = self.scalar("<I")
        if not 1 <= n_dims <= 8:
            raise ValueError(f"a tensor has {n_dims} dimensions")
        shape = [self.scalar("<Q") for _ in range(n_dims)]
        if self.scalar("<I") >= _TENSOR_TYPES:
            raise ValueError("a tensor is of an unknown type")
        return name, math.prod(shape), self.scalar("<Q")


def _describe(metadata: dict[str, Any], parameters: int, size: int) -> GGUFHeader:
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise ValueError("it does not name its architecture")

    def number(key: str, default: int = 0) -> int:
        value = metadata.get(f"{architecture}.{key}", default)
        if isinstance(value, list):
            value = max(value, default=default)
        return value if isinstance(value, int) else default

    heads = max(1, number("attention.head_count", 1))
    kv_heads = number("attention.head_count_kv", heads)
    width = number("embedding_length") // heads
    key, val = number("attention.key_length", width), number("attention.value_length", width)
    return GGUFHeader(
        architecture=architecture,
        name=str(metadata.get("general.name") or ""),
        parameters=parameters,
        context_tokens=number("context_length"),
        kv_bytes=2 * number("block_count") * kv_heads * (key + val),
        size=size,
    )
