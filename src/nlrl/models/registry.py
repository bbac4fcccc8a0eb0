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
from pathlib import Path
from typing import Any

from nlrl.core import Model, ModelMissing, Problem, UserError
from nlrl.core.offers import load, offered
from nlrl.models.weights.known import DEFAULT_MODEL, weight_file


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
    try:
        p_correct = float(chance or "0.5")
    except ValueError:
        p_correct = -1.0
    if not 0 <= p_correct <= 1:
        raise UserError(f"stochastic:{chance} is not a chance between 0 and 1. Example: stochastic:0.6")
    problems = options.pop("problems", ())  # without them it knows no answer, and says so
    if not all(isinstance(problem, Problem) for problem in problems):
        raise UserError("problems= must hold Problem objects. For rows and questions: [nlrl.as_problem(row), ...]")
    return _make(load(offered("model")["stochastic"]), problems, {"p_correct": p_correct, **options})


def _registered(name: str, options: dict[str, Any]) -> Model:
    from nlrl.models.weights import store as weights

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
