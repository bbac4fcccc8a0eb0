"""Which models are served, and what a model id in a request means.

    qwen2.5-coder-0.5b                     the model, spent on as the server's default says
    weighted_vote(n=8)@qwen2.5-coder-0.5b  the model under a strategy, chosen for this request
    auto@qwen2.5-coder-0.5b                the calibrated policy decides

The id is the one place besides the request's `nlrl` object that names a strategy; nothing is read out of the prompt.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nlrl.core import Model, NlrlError
from nlrl.models.openai import OpenAIModel
from nlrl.server.http.errors import ApiError
from nlrl.strategies import StrategySpec, get_strategy, parse_strategy

# what /v1/models offers of each model, for menus
SHOWN = ("auto", "self_consistency(n=8)", "weighted_vote(n=8)", "best_of_n(n=8, select=best)")
_WORD = re.compile(r"[A-Za-z]\w{0,63}")
_PLACES = ("policy", "weights")  # parameters whose words are paths
_CHARS = 300  # of an id that is worth reading


def public_id(spec: str, model: Model) -> str:
    """What clients call the model that was opened as `spec`: as short as it can be."""
    if isinstance(model, OpenAIModel):
        return model.model
    if spec.endswith(".gguf"):
        return spec.rpartition("/")[2].removesuffix(".gguf")
    return spec.removeprefix("hf:") or model.name


@dataclass
class Catalog:
    """models: by public id. strategy: what a bare model id means."""

    models: Mapping[str, Model]
    strategy: str = "direct"
    _since: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.strategy = str(checked(self.strategy))

    def find(self, text: str) -> tuple[str, Model, str | None]:
        """(public id, model, strategy or None if the id names none). Raises ApiError 404 or 400."""
        if (model := self.models.get(text)) is not None:
            return text, model, None
        at = text.find("@")  # ids may hold an @ too: the first one behind which a known id stands is ours
        while 0 < at < _CHARS:
            name = text[at + 1 :]
            if (model := self.models.get(name)) is not None:
                return name, model, self.asked(text[:at], "model")
            at = text.find("@", at + 1)
        known = ", ".join(self.models)
        shown = text if len(text) <= 80 else text[:80] + "…"
        raise ApiError(
            404,
            f"The model {shown!r} is not served here. Served: {known}; each also as STRATEGY@MODEL.",
            param="model",
            code="model_not_found",
        )

    def asked(self, text: str, param: str) -> str:
        """The strategy that a client names. Raises ApiError 400.

        A client chooses among methods and their sizes. It does not name files of this machine, or addresses for it to
        call: where a strategy needs one (a policy, a reward model), whoever runs the server makes it the default.
        """
        try:
            spec = checked(text)
        except NlrlError as error:
            raise ApiError(400, str(error), param=param, code="unknown_strategy") from None
        for key, value in spec.parameters.items():
            names_a_place = isinstance(value, str) and (key in _PLACES or not _WORD.fullmatch(value))
            if names_a_place and str(spec) != self.strategy:
                said = f"{spec.name}: {key} may not name a file or an address over HTTP."
                raise ApiError(400, said, param=param, code="not_allowed")
        return str(spec)

    def listing(self) -> list[dict[str, Any]]:
        """The entries of /v1/models."""
        return [self.entry(name) for model in self.models for name in (model, *(f"{s}@{model}" for s in SHOWN))]

    def entry(self, name: str) -> dict[str, Any]:
        """One entry of /v1/models."""
        _, model, strategy = self.find(name)
        about = {
            "model": model.name,
            "strategy": strategy or self.strategy,
            "parameters": model.can.parameters,
            "logprobs": model.can.logprobs and "logprobs" not in model.can.ignores,
            "prefill": model.can.prefill,
        }
        said = {"id": name, "object": "model", "created": self._since, "owned_by": "nlrl", "nlrl": about}
        if model.can.context_tokens is not None:
            said["max_model_len"] = model.can.context_tokens
        return said


def checked(text: str) -> StrategySpec:
    """The strategy, known to exist with these parameters. Raises UserError, UnknownName."""
    spec = parse_strategy(text)
    get_strategy(spec)
    return spec
