# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
"""The heads of reward models: what makes a number in [0, 1] of a hidden state.

What a checkpoint is shows in the names of its tensors: `v_head.summary.*` is a value head, `score.*` or `classifier.*`
classes per token, and a language model without either is asked for "+" or "-".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlrl.core import ModelMissing, UserError
from nlrl.verifiers.prm.formats import KI

if TYPE_CHECKING:
    from nlrl.verifiers.prm.trees import HeadData


def family_of(names: Sequence[str]) -> str:
    """The family that a checkpoint's tensors speak of."""
    if any(name.startswith("v_head.") for name in names):
        return "value_head"
    return "token_classes" if any(name.startswith(("score.", "classifier.")) for name in names) else "score_token"


def tensor_names(folder: str) -> list[str]:
    """Names of all tensors of a checkpoint, without reading them. Raises ModelMissing for one without safetensors."""
    from safetensors import safe_open

    index = Path(folder, "model.safetensors.index.json")
    if index.is_file():
        return list(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise ModelMissing(
            f"There are no .safetensors weights in {folder!r}. Pickled weights (.bin) can run code and are not read; "
            "convert them with transformers: AutoModel.from_pretrained(...).save_pretrained(...)"
        )
    names: list[str] = []
    for file in files:
        with safe_open(str(file), framework="pt") as tensors:
            names += tensors.keys()
    return names


def sign_head(model: Any, tokenizer: Any, path: str) -> Callable[[Any], Any]:
    """The part of "+" against "-" in the next token's distribution."""
    import torch

    ids = [tokenizer.encode(f"{sign}", add_special_tokens=False) for sign in ("+", "-")]
    if not all(ids) or ids[0][-1] == ids[1][-1] or not tokenizer.encode(KI, add_special_tokens=False):
        raise UserError(f"The tokenizer of {path!r} has no tokens for '+' and '-'. Say which family it is: family=...")
    out = model.get_output_embeddings()
    rows = torch.tensor([ids[0][-1], ids[1][-1]], device=out.weight.device)
    weight = out.weight[rows]
    bias = out.bias[rows] if getattr(out, "bias", None) is not None else None
    return lambda hidden: torch.nn.functional.linear(hidden, weight, bias).float().softmax(-1)[:, 0]


def no_head(hidden: Any) -> Any:
    raise UserError("A bare model has no head, so it has no step values. Train one: nlrl train prm --head PATH")


def tensor_head(
    folder: str, names: Sequence[str], family: str, model: Any, path: str
) -> tuple[Callable[[Any], Any], int]:
    """A head of one or more linear layers with ReLU between them, from the checkpoint's tensors."""
    import torch

    start = "v_head.summary." if family == "value_head" else ("score.", "classifier.")
    weights = sorted(n for n in names if n.startswith(start) and n.endswith("weight"))
    if not weights:
        raise UserError(
            f"The checkpoint {path!r} has no head of the family {family!r} (tensors named {start}...). "
            "Say another family, or none."
        )
    layers, size = [], 0
    wanted = next(model.parameters())
    for name in weights:
        weight = _tensor(folder, name).to(wanted.device, torch.float32)
        bias_name = name.removesuffix("weight") + "bias"
        bias = _tensor(folder, bias_name).to(wanted.device, torch.float32) if bias_name in names else None
        layers.append((weight, bias))
        size += weight.numel() + (0 if bias is None else bias.numel())
    classes = layers[-1][0].shape[0]
    if classes != (1 if family == "value_head" else 2):
        raise UserError(f"The head of {path!r} has {classes} outputs; the family {family!r} has another number.")

    def head(hidden: Any) -> Any:
        x = hidden.float()
        for i, (weight, bias) in enumerate(layers):
            x = torch.nn.functional.linear(torch.relu(x) if i else x, weight, bias)
        return x.sigmoid()[:, 0] if family == "value_head" else x.softmax(-1)[:, 1]

    return head, size


def given_head(given: HeadData, model: Any) -> Callable[[Any], Any]:
    import torch

    device = next(model.parameters()).device
    weight = torch.tensor(given.weight, dtype=torch.float32, device=device)
    if weight.shape[0] != model.config.hidden_size:
        raise UserError(
            f"The head has {weight.shape[0]} weights, the model a hidden size of {model.config.hidden_size}."
        )
    return lambda hidden: (hidden.float() @ weight + given.bias).sigmoid()


def _tensor(folder: str, name: str) -> Any:
    from safetensors import safe_open

    index = Path(folder, "model.safetensors.index.json")
    if index.is_file():
        files = [Path(folder, json.loads(index.read_text(encoding="utf-8"))["weight_map"][name])]
    else:
        files = sorted(Path(folder).glob("*.safetensors"))
    for file in files:
        with safe_open(str(file), framework="pt") as tensors:
            if name in tensors.keys():  # noqa: SIM118 - not a dict
                return tensors.get_tensor(name)
    raise ModelMissing(f"The tensor {name!r} is missing in {folder!r}.")
