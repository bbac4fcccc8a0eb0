# pyright: reportMissingImports=false
"""From logits to tokens, a whole batch at once, each row with its own random numbers.

The filters follow `transformers`: temperature, then top-k, then top-p (Holtzman et al. 2020), then min-p (Nguyen et al.
2024). A token is found by inverting the cumulative distribution at one uniform number per row and step. The numbers
come from the row's own generator on the host, so a draw depends on its seed, not on its batch, device or torch version.

Shapes: R rows, V vocabulary, K candidates that survive a sort.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from nlrl.core import Sampling, UserError

NUCLEUS = 1024  # candidates sorted for top-p; only where their mass falls short, all are (7x slower for 49,152)

_BELOW_ONE = 1 - 2**-23  # the largest factor that is sure to make a positive float32 smaller


@dataclass(frozen=True, slots=True)
class Policy:
    """What a request's sampling comes to: temperature 0 is greedy; top_k 0, top_p 1 and min_p 0 are off."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UserError(f"temperature must be zero or more, got {self.temperature!r}.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must lie in (0, 1], got {self.top_p!r}; 1 switches it off.")
        if not 0 <= self.min_p <= 1:
            raise UserError(f"min_p must lie in [0, 1], got {self.min_p!r}; 0 switches it off.")

    @classmethod
    def of(cls, sampling: Sampling, defaults: Mapping[str, Any]) -> Policy:
        """The request's values, and where it sets none, those the checkpoint ships in `generation_config.json`."""

        def value(name: str, otherwise: float) -> float:
            asked = getattr(sampling, name)
            shipped = defaults.get(name)
            return asked if asked is not None else (shipped if shipped is not None else otherwise)

        unset = 1.0 if defaults.get("do_sample") else 0.0  # without do_sample, the checkpoint's own default is greedy
        if sampling.temperature is None and not defaults.get("do_sample"):
            return cls()
        return cls(
            temperature=float(value("temperature", unset)),
            top_p=float(value("top_p", 1.0)),
            top_k=max(0, int(value("top_k", 0))),
            min_p=float(value("min_p", 0.0)),
        )


def choose(logits_RV: torch.Tensor, policy: Policy, uniforms: list[float]) -> torch.Tensor:
    """One token id per row. `uniforms` holds a number in [0, 1) for each row; greedy rows do not use it."""
    if policy.temperature == 0:
        return logits_RV.argmax(dim=-1)
    probs_RK, ids_RK = distribution(logits_RV, policy)
    cumulative_RK = probs_RK.cumsum(dim=-1)
    total_R1 = cumulative_RK[:, -1:]
    u_R1 = torch.tensor(uniforms, dtype=probs_RK.dtype, device=probs_RK.device).unsqueeze(1)
    # strictly below the total, so that the place found has a probability above zero
    mass_R1 = u_R1.clamp(max=_BELOW_ONE) * total_R1
    place_R1 = torch.searchsorted(cumulative_RK, mass_R1, right=True)
    place_R1 = place_R1.clamp(max=probs_RK.shape[-1] - 1)  # only a row of NaN goes past the end
    return (place_R1 if ids_RK is None else ids_RK.gather(1, place_R1)).squeeze(1)


def distribution(logits_RV: torch.Tensor, policy: Policy) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Probabilities (not normalised) of the candidates and their ids; ids None means the whole vocabulary in order."""
    scaled_RV = logits_RV / max(policy.temperature, 1e-5)  # colder than that is greedy, and would overflow float32
    if not policy.top_k and policy.top_p == 1:
        probs_RK, ids_RK = scaled_RV.softmax(dim=-1), None
    else:
        probs_RK, ids_RK = _sorted_candidates(scaled_RV, policy)
    if policy.min_p:
        probs_RK = probs_RK.masked_fill(probs_RK < policy.min_p * probs_RK.amax(dim=-1, keepdim=True), 0.0)
    return probs_RK, ids_RK


def _sorted_candidates(scaled_RV: torch.Tensor, policy: Policy) -> tuple[torch.Tensor, torch.Tensor]:
    vocabulary = scaled_RV.shape[-1]
    size = min(policy.top_k or NUCLEUS, vocabulary)
    values_RK, ids_RK = scaled_RV.topk(size, dim=-1)
    if policy.top_k:
        probs_RK = values_RK.softmax(dim=-1)
    else:
        normaliser_R1 = scaled_RV.logsumexp(dim=-1, keepdim=True)
        probs_RK = (values_RK - normaliser_R1).exp()
        if size < vocabulary and bool((probs_RK.sum(dim=-1) < policy.top_p).any()):
            values_RK, ids_RK = scaled_RV.sort(dim=-1, descending=True)
            probs_RK = (values_RK - normaliser_R1).exp()
    if policy.top_p < 1:
        mass_above_RK = probs_RK.cumsum(dim=-1) - probs_RK
        probs_RK = probs_RK.masked_fill(mass_above_RK >= policy.top_p, 0.0)
    return probs_RK, ids_RK
