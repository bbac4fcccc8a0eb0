# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
"""Supervised fine-tuning of a Hugging Face checkpoint on pairs of prompt and reply.

    learner = FineTuner.load("HuggingFaceTB/SmolLM2-135M-Instruct")
    await learner.fit([("What is 2 + 2?", "Four.")], seed=0)
    await learner.model.complete(Request((user("What is 2 + 2?"),), Sampling(temperature=0)))
    learner.save(Path("tuned"))                                      # then: load_model("hf:tuned")

Prompts stand in the checkpoint's chat template, as they will when it is asked; only the reply and the end token are
learned. With `peft` installed low-rank adapters are trained (LoRA, Hu et al. 2021, 2106.09685), else all weights.
Every fit hands out a merged copy of the weights, so a model still in use costs its own memory. Extra: `train`.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlrl.core import UserError, user
from nlrl.learning._fits import Fit, check_lengths, require
from nlrl.learning.learner import FitReport, OnProgress, Pair, Recipe, counted

if TYPE_CHECKING:
    import torch

    from nlrl.learning.text.fit import Example
    from nlrl.models.transformers import TransformersModel

LORA = Recipe(epochs=3, least_steps=20, batch=8, learning_rate=5e-4)
FULL = Recipe(epochs=3, least_steps=20, batch=8, learning_rate=5e-5)
_UNKNOWN_CONTEXT = 4096  # tokens, where the checkpoint does not say how many it takes


class FineTuner:
    """A checkpoint that learns from texts; see `learner.TextLearner`. Use `load` or `from_pretrained_pair`.

    rank    of the adapters; 0 trains all weights. None: 16 where `peft` is installed, else 0
    recipe  of every fit; None: LORA or FULL
    """

    def __init__(self, model: Any, tokenizer: Any, *, rank: int | None = None, recipe: Recipe | None = None):
        require("torch", "Fine-tuning")
        require("transformers", "Fine-tuning")
        if rank is None:
            rank = 16 if importlib.util.find_spec("peft") else 0
        if rank:
            require("peft", "Fine-tuning with adapters (rank > 0)")
        if tokenizer.eos_token_id is None:
            raise UserError("The tokenizer has no end token, so the model could not learn where a reply ends.")
        self.recipe = recipe or (LORA if rank else FULL)
        self._tokenizer, self._rank = tokenizer, rank
        self._trained = model
        self._model = self._served(model)
        self._fitting = False

    @classmethod
    def load(
        cls, checkpoint: str, *, rank: int | None = None, recipe: Recipe | None = None, **options: Any
    ) -> FineTuner:
        """A checkpoint as `models.transformers` loads it (`options`: device, dtype, ...). Raises as that does."""
        from nlrl.models.transformers.load import Source, load

        settings = {"device": "auto", "dtype": "auto", "trust_remote_code": False, "local_files_only": False} | options
        return cls(*load(Source.parse(checkpoint), **settings), rank=rank, recipe=recipe)

    @property
    def name(self) -> str:
        """Identity of the weights as they are now."""
        return self._model.name

    @property
    def model(self) -> TransformersModel:
        """Answers as of the last fit; a later fit leaves it alone."""
        return self._model

    async def fit(
        self,
        pairs: Sequence[Pair],
        *,
        seed: int,
        recipe: Recipe | None = None,
        on_progress: OnProgress | None = None,
    ) -> FitReport:
        """Learn to answer each prompt with its reply; see `TextLearner.fit`. Training runs in a thread.

        Raises UserError (nothing to learn, a pair beyond the context), ModelError (the loss diverged).
        """
        if self._fitting:
            raise UserError("This checkpoint is being fine-tuned; wait for that to end.")
        weights = counted(pairs)
        examples = self._examples(weights)
        context = getattr(self._trained.config.get_text_config(), "max_position_embeddings", None)
        check_lengths(examples, list(weights), context or _UNKNOWN_CONTEXT)
        fit = Fit(recipe or self.recipe, len(examples), seed, on_progress)

        def work() -> Any:
            import torch

            from nlrl.learning.text.fit import adamw

            with torch.random.fork_rng():  # adapters and dropout draw from the global generator
                torch.manual_seed(seed)
                net = self._trainable()
                net.train()
                learned = (weight for weight in net.parameters() if weight.requires_grad)
                fit.learn([adamw(learned, fit.recipe.learning_rate)], lambda rows: self._loss(net, rows), examples)
            return (net.merge_and_unload() if self._rank else net).eval().requires_grad_(False)

        self._fitting = True
        try:
            self._trained = await fit.run(work)
            self._model = self._served(self._trained)
        finally:
            self._fitting = False
        return fit.report(self.name, pairs, examples)

    def save(self, directory: Path) -> None:
        """Write a checkpoint (safetensors, tokenizer) that `load_model("hf:DIRECTORY")` opens."""
        self._trained.save_pretrained(directory)
        self._tokenizer.save_pretrained(directory)

    def _served(self, model: Any) -> TransformersModel:
        from nlrl.models.transformers import TransformersModel

        return TransformersModel.from_pretrained_pair(model, self._tokenizer)

    def _trainable(self) -> Any:
        """A copy of the weights, with fresh adapters where adapters are trained. The merged ones stay merged: what was
        learned before is part of the weights."""
        net = copy.deepcopy(self._trained).requires_grad_(True)
        if not self._rank:
            return net
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=self._rank,
            lora_alpha=2 * self._rank,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        return get_peft_model(net, config)

    def _examples(self, weights: dict[Pair, int]) -> list[Example]:
        from nlrl.learning.text.fit import weighed
        from nlrl.models.transformers.prompts import Prompts

        prompts, end = Prompts(self._tokenizer), self._tokenizer.eos_token_id

        def said(reply: str) -> list[int]:
            return [*self._tokenizer.encode(reply, add_special_tokens=False), end]

        return weighed((prompts.ids((user(p),)), said(r), n) for (p, r), n in weights.items())

    def _loss(self, net: Any, rows: Sequence[Example]) -> torch.Tensor:
        import torch.nn.functional as F

        from nlrl.learning.text.fit import padded

        ids, learned, weight = (tensor.to(net.device) for tensor in padded(rows, self._tokenizer.eos_token_id))
        # padding stands on the right, where nothing that is learned can see it: no mask is needed
        logits = net(input_ids=ids[:, :-1], use_cache=False).logits[learned[:, 1:]].float()
        each = F.cross_entropy(logits, ids[learned], reduction="none")
        return (each * weight).mean()
