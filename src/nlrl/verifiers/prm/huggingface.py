# pyright: reportMissingImports=false
"""Process reward models of the Hugging Face world, in this process.

    HuggingFacePRM("Qwen/Qwen2.5-Math-PRM-7B")          the family is read from the checkpoint
    HuggingFacePRM("/models/my-prm", family="value_head")

family         read where a step ends                                          such as
score_token    softmax over the logits of "+" and "-", the part of "+"         Math-Shepherd
value_head     sigmoid of a linear head (`v_head.summary`)                     Skywork-o1-Open-PRM
token_classes  softmax of a head with two classes, the part of the second      Qwen2.5-Math-PRM, TRL's PRMTrainer

bare           nothing: the backbone alone, for a head that is given              `nlrl train prm --head`

The backbone is loaded with the library's own classes and the head from the checkpoint's tensors, so that none of these
needs code from the hub: `trust_remote_code` is off unless you turn it on. Needs the extra `hf`.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from nlrl.core import Candidate, Problem, Score, Spend, UserError
from nlrl.verifiers.prm.formats import Layout, layout
from nlrl.verifiers.prm.steps import abstained, no_steps, step_score, steps_of

if TYPE_CHECKING:
    from nlrl.verifiers.prm.huggingface_load import Loaded
    from nlrl.verifiers.prm.trees import HeadData

Family = Literal["auto", "score_token", "value_head", "token_classes", "bare"]
FAMILIES = ("auto", "score_token", "value_head", "token_classes", "bare")
_REMEMBERED = 4_096  # encoded texts; `price` and `score` ask for the same ones


class HuggingFacePRM:
    """Step values by a reward model in this process; charged for exactly the tokens that it reads.

    path           a directory, or a hub id with "@REVISION" if wanted
    family         see above; "auto" looks at the checkpoint's tensors
    layout         how a solution is shown (`process_formats`); "auto" is the family's own
    batch_tokens   padded tokens in one forward pass
    max_tokens     longer texts are not read: they abstain and cost nothing. None: what the model was built for
    device, dtype  as for models: "auto" takes a GPU where there is one, and float32 on a CPU

    Loaded when first used, on a thread. Raises MissingExtra, ModelMissing or UserError then, for a checkpoint that does
    not hold what its family needs.
    """

    def __init__(
        self,
        path: str,
        *,
        family: Family = "auto",
        layout: str = "auto",
        batch_tokens: int = 8_192,
        max_tokens: int | None = None,
        device: str = "auto",
        dtype: str = "auto",
        trust_remote_code: bool = False,
        local_files_only: bool = False,
    ) -> None:
        if family not in FAMILIES:
            raise UserError(f"family must be one of {', '.join(FAMILIES)}, got {family!r}.")
        if batch_tokens < 1 or (max_tokens is not None and max_tokens < 1):
            raise UserError(f"batch_tokens and max_tokens must be at least 1, got {batch_tokens} and {max_tokens}.")
        self.path, self.family, self._layout_name = path, family, layout
        self.batch_tokens, self._max_tokens = batch_tokens, max_tokens
        self._options = {
            "device": device,
            "dtype": dtype,
            "trust_remote_code": trust_remote_code,
            "local_files_only": local_files_only,
        }
        self._head: HeadData | None = None
        self._loaded: Loaded | None = None
        self._lock = threading.Lock()  # one forward pass at a time, from whatever loop or thread
        self._encoded: OrderedDict[tuple[str, str], tuple[list[int], list[int]]] = OrderedDict()

    @classmethod
    def with_head(cls, head: HeadData, **options: Any) -> HuggingFacePRM:
        """A frozen model with a head that `nlrl train prm --head` trained."""
        prm = cls(head.encoder, family="bare", layout="plain", **options)
        prm._head = head
        return prm

    async def price(self, problem: Problem, candidates: Sequence[Candidate]) -> Spend:
        """The tokens that scoring reads, exactly; 2 FLOPs for each of them and parameter."""
        return await asyncio.to_thread(self._price, problem, [c.text for c in candidates])

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order. Too long, no steps and not a number are abstentions."""
        return await asyncio.to_thread(self.score_texts, problem, [c.text for c in candidates])

    def load(self) -> Loaded:
        """Load now, if it is not yet."""
        with self._lock:
            if self._loaded is None:
                from nlrl.verifiers.prm.huggingface_load import load_prm_model

                self._loaded = load_prm_model(self.path, self.family, self._head, **self._options)
            return self._loaded

    @property
    def max_tokens(self) -> int:
        """The longest text that is read."""
        return self._max_tokens or self.load().context_tokens

    def _layout(self) -> Layout:
        name = self._layout_name
        return layout(self.load().layout if name == "auto" else name)

    def _price(self, problem: Problem, texts: Sequence[str]) -> Spend:
        lengths = [len(ids) for ids in (self._encode(problem, text)[0] for text in texts) if ids]
        read = [n for n in lengths if n <= self.max_tokens]
        return Spend(calls=len(read), prompt_tokens=sum(read), flops=2.0 * self.load().parameters * sum(read))

    def score_texts(self, problem: Problem, texts: Sequence[str]) -> list[Score]:
        """As `score`, without an event loop."""
        loaded = self.load()
        scores: list[Score] = [no_steps()] * len(texts)
        waiting: list[tuple[int, list[int], list[int]]] = []
        for i, text in enumerate(texts):
            ids, ends = self._encode(problem, text)
            if len(ids) > self.max_tokens:
                scores[i] = abstained("too_long", f"{len(ids)} tokens; this reward model reads {self.max_tokens}")
            elif ends:
                waiting.append((i, ids, ends))
        waiting.sort(key=lambda item: len(item[1]))  # texts of one length need no padding
        for batch in _batches(waiting, self.batch_tokens):
            with self._lock:
                found = loaded.step_values([ids for _, ids, _ in batch], [ends for _, _, ends in batch])
            for (i, _, _), values in zip(batch, found, strict=True):
                scores[i] = step_score(values, len(steps_of(texts[i])), f"{loaded.family} of {loaded.name}")
        return scores

    def _encode(self, problem: Problem, text: str) -> tuple[list[int], list[int]]:
        """Token ids, and for each step the index of the token that it is read at; both empty without steps."""
        key = problem.id, text
        known = self._encoded.get(key)
        if known is None:
            steps = steps_of(text)
            loaded = self.load()
            known = ([], [])
            if steps:
                known = loaded.encode(self._layout().show(problem, steps, loaded.control))
            self._encoded[key] = known
            while len(self._encoded) > _REMEMBERED:
                self._encoded.popitem(last=False)
        return known


def _batches(
    items: Sequence[tuple[int, list[int], list[int]]], batch_tokens: int
) -> list[list[tuple[int, list[int], list[int]]]]:
    """Neighbours in groups of at most `batch_tokens` padded tokens, at least one item each."""
    out: list[list[tuple[int, list[int], list[int]]]] = []
    for item in items:
        longest = max(len(item[1]), max((len(o[1]) for o in out[-1]), default=0)) if out else math.inf
        if out and longest * (len(out[-1]) + 1) <= batch_tokens:
            out[-1].append(item)
        else:
            out.append([item])
    return out
