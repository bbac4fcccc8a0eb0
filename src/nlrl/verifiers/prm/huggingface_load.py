# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
"""From a checkpoint to step values: the backbone by its library class, the head by its tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlrl.core import ModelError, ModelMissing, UserError
from nlrl.models.transformers.load import Source, fingerprint, require
from nlrl.verifiers.prm.formats import Shown
from nlrl.verifiers.prm.huggingface_heads import family_of, given_head, no_head, sign_head, tensor_head, tensor_names

if TYPE_CHECKING:
    import torch

    from nlrl.verifiers.prm.trees import HeadData

_LAYOUTS = {"score_token": "shepherd", "value_head": "lines", "token_classes": "lines", "bare": "plain"}
_FILES = ["*.json", "*.safetensors", "tokenizer*", "*.model", "*.txt"]
_LONGEST = 32_768  # where the configuration names no limit, or an absurd one


@dataclass
class Loaded:
    """A reward model in memory.

    layout      the family's own way to show a solution
    control     the tokenizer's special tokens
    parameters  of the backbone and the head: what a token costs
    """

    name: str
    family: str
    layout: str
    backbone: Any
    tokenizer: Any
    head: Callable[[torch.Tensor], torch.Tensor]
    parameters: int
    context_tokens: int
    whole: bool  # the text is encoded in one piece: where a step ends is found by its place

    @property
    def control(self) -> list[str]:
        return [t for t in self.tokenizer.all_special_tokens if t.strip()]

    def encode(self, shown: Shown) -> tuple[list[int], list[int]]:
        """Token ids, and the index of the token at which each step is read."""
        if self.whole:
            return self._encode_whole(shown)
        ids = list(self.tokenizer.encode(shown.pieces[0], add_special_tokens=True))
        eos = self.tokenizer.eos_token_id  # some tokenizers close every text; ours goes on
        sep = self.tokenizer.sep_token_id
        while len(ids) > 1 and ids[-1] in {t for t in (eos, sep) if t is not None}:
            ids.pop()
        bos = self.tokenizer.bos_token_id
        if bos is not None and ids[:1] != [bos] and self.layout != "qwen":
            ids.insert(0, bos)  # as Skywork's and TRL's own code does, whatever the tokenizer would
        ends = []
        for piece in shown.pieces[1:]:
            ids += self._piece(piece)
            ends.append(len(ids) - 1)
        return ids + (self._piece(shown.tail) if shown.tail else []), ends

    def _piece(self, text: str) -> list[int]:
        """A step and its mark. The mark is a token of its own: merged into the word before it, it would not be read."""
        if text.endswith("\n"):
            step, mark = text[:-1], "\n"
            return self._plain(step) + (self._plain(mark) or self._plain(" "))
        return self._plain(text)

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []

    def _encode_whole(self, shown: Shown) -> tuple[list[int], list[int]]:
        coded = self.tokenizer(shown.text, return_offsets_mapping=True)
        ids, spans = list(coded["input_ids"]), coded["offset_mapping"]
        ends, at, token = [], len(shown.pieces[0]), 0
        for piece in shown.pieces[1:]:
            at += len(piece)
            while token < len(spans) and spans[token][1] < at:
                token += 1
            ends.append(min(token, len(ids) - 1))
        return ids, ends

    def step_values(self, ids: Sequence[Sequence[int]], ends: Sequence[Sequence[int]]) -> list[list[float]]:
        """The values of a batch of texts at the given places, each in [0, 1] or NaN."""
        hidden = self.hidden(ids, ends)
        import torch

        with torch.inference_mode():
            values = self.head(torch.cat(hidden)).float().cpu().tolist()
        out, start = [], 0
        for each in ends:
            out.append(values[start : start + len(each)])
            start += len(each)
        return out

    def hidden(self, ids: Sequence[Sequence[int]], ends: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """Last hidden states at the given places: (places, hidden size) a text."""
        import torch

        from nlrl.models.transformers.decode import out_of_memory

        longest = max(map(len, ids))
        device = next(self.backbone.parameters()).device
        batch = torch.zeros((len(ids), longest), dtype=torch.long)
        mask = torch.zeros_like(batch)
        for row, each in enumerate(ids):  # padded on the right: what comes after cannot change a causal model's values
            batch[row, : len(each)] = torch.tensor(each)
            mask[row, : len(each)] = 1
        try:
            with torch.inference_mode():
                states = self.backbone(input_ids=batch.to(device), attention_mask=mask.to(device)).last_hidden_state
        except Exception as error:
            if out_of_memory(error):
                raise ModelError(
                    f"The reward model {self.name} ran out of memory on {len(ids)} texts of up to {longest} tokens. "
                    "Give it a smaller batch_tokens."
                ) from error
            raise
        return [states[row, torch.tensor(list(each), device=states.device)] for row, each in enumerate(ends)]


def load_prm_model(
    path: str,
    family: str,
    given: HeadData | None,
    *,
    device: str,
    dtype: str,
    trust_remote_code: bool,
    local_files_only: bool,
) -> Loaded:
    """The reward model at `path`. Raises MissingExtra, ModelMissing (not loadable) or UserError (no head)."""
    require("torch", "transformers")
    import torch
    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    folder = _folder(path, local_files_only)
    names = tensor_names(folder)
    if family == "auto":
        family = family_of(names)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if dtype == "auto" and device == "cpu":
        dtype = "float32"
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": True}
    loud = logging.get_verbosity()
    logging.set_verbosity_error()  # a head that the backbone's class does not know would be reported as a mistake
    kind: Any = AutoModelForCausalLM if family == "score_token" else AutoModel
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model, report = kind.from_pretrained(folder, dtype=dtype, output_loading_info=True, **options)
    except Exception as error:  # the many libraries beneath raise whatever they like about a bad file
        brief = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise ModelMissing(f"Cannot load the reward model {path!r}: {brief}") from error
    finally:
        logging.set_verbosity(loud)
    missing = [m for m in report.get("missing_keys") or () if "pooler" not in m]
    if missing:
        raise ModelMissing(f"The checkpoint {path!r} lacks {len(missing)} weights of its backbone ({missing[0]}, ...).")
    model = model.to(device).eval()
    backbone = model.base_model if family == "score_token" else model
    if given is not None:
        if given.fingerprint != fingerprint(model, tokenizer):
            raise UserError(f"This head was trained on another model than {path!r} is now. Train it again.")
        head, size = given_head(given, model), len(given.weight)
    elif family == "bare":
        head, size = no_head, 0
    elif family == "score_token":
        head, size = sign_head(model, tokenizer, path), 0
    else:
        head, size = tensor_head(folder, names, family, model, path)
    is_qwen = family == "token_classes" and {"score.0.weight", "score.2.weight"} <= set(names)
    shown = "qwen" if is_qwen else _LAYOUTS[family]
    config = model.config
    context = getattr(config, "max_position_embeddings", None) or _LONGEST
    if shown == "shepherd" and not tokenizer.is_fast:
        raise UserError(f"The tokenizer of {path!r} tells no offsets; this layout needs a fast one (tokenizer.json).")
    return Loaded(
        name=Path(path).name or path,
        family=family,
        layout=shown,
        backbone=backbone,
        tokenizer=tokenizer,
        head=head,
        parameters=sum(p.numel() for p in model.parameters()) + size,
        context_tokens=min(int(context), _LONGEST),
        whole=shown == "shepherd",
    )


def _folder(path: str, local_files_only: bool) -> str:
    source = Source.parse(path)
    if source.gguf_file:
        raise UserError(f"{path!r} is a GGUF file; reward models are read from a Hugging Face directory or hub id.")
    if Path(source.place).is_dir():
        return source.place
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(
            source.place, revision=source.revision, allow_patterns=_FILES, local_files_only=local_files_only
        )
    except Exception as error:  # many kinds: no network, no such repository, no permission
        brief = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise ModelMissing(f"Cannot fetch the reward model {path!r}: {brief} Give a directory, or a hub id.") from error
