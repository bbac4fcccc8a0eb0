"""Generation token by token, with early stopping: the guide's `generate_with_gist`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from nlrl.core import ANSWER_PHRASE, Message, Problem, Sampling, UserError
from nlrl.core.sync import run_sync
from nlrl.functions.texts import open_model
from nlrl.models.gists import GistResult, StopRules, stream_gists
from nlrl.tasks.prompts import messages_for
from nlrl.tasks.rows import as_problem

STOP_PHRASES = (ANSWER_PHRASE, "Done.", "###")
_PAUSE_S = 0.05  # between pieces that are shown, so that they can be read


def generate_with_gist(
    model: Any,
    tokenizer: Any,
    prompt: str | Message | Sequence[Message] | Problem | dict[str, Any],
    debug_mode: bool = False,
    max_steps: int = 200,
    *,
    stop_phrases: Sequence[str] = STOP_PHRASES,
    seconds: float | None = None,
    sampling: Sampling | None = None,
    on_gist: Callable[[str], None] | None = None,
) -> tuple[str, list[str]]:
    """The text a model writes, and its gists: the pieces in which it came, usually single tokens.

    debug_mode    print each gist as it comes
    max_steps     tokens at most
    stop_phrases  generation ends with the first of them, which stays in the text. They are looked for in what is
                  generated, never in the prompt. After "Final Answer:" the answer is finished first: its line, or the
                  code block that it opens
    seconds       stop after so long, with what there is by then
    sampling      default: greedy, as in the guide
    on_gist       called with each gist as it comes

    Together the gists are the text. Raises UserError for an empty prompt or limits that make no sense, ModelError where
    the model fails, but for a text that had begun: that is returned.
    """
    if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
        raise UserError(f"max_steps must be a whole number of at least 1, got {max_steps!r}.")
    if isinstance(stop_phrases, str):
        stop_phrases = (stop_phrases,)
    answer_after = next((phrase for phrase in stop_phrases if phrase == ANSWER_PHRASE), None)
    through = tuple(phrase for phrase in stop_phrases if phrase != ANSWER_PHRASE)
    rules = StopRules(answer_after, through=through, max_tokens=max_steps, seconds=seconds)
    printed = show_gist(max_steps) if debug_mode else None

    def show(piece: str) -> None:
        for listener in (printed, on_gist):
            if listener is not None:
                listener(piece)

    if isinstance(prompt, Problem | dict):
        known: Problem | None = as_problem(prompt)
        asked: str | Message | Sequence[Message] = messages_for(known)
    else:
        known, asked = Problem(prompt) if isinstance(prompt, str) else None, prompt

    async def run() -> GistResult:
        opened, ours = open_model(model, tokenizer, [known] if known else None)
        try:
            greedy = sampling or Sampling(temperature=0.0)
            return await stream_gists(opened, asked, sampling=greedy, rules=rules, on_piece=show)
        finally:
            if ours:
                await opened.aclose()

    result = run_sync(run())
    return result.text, [piece for piece in result.pieces if piece]


def show_gist(max_steps: int) -> Callable[[str], None]:
    """Prints each gist with its number, slowly enough to be read."""
    numbers = count(1)

    def show(piece: str) -> None:
        print(f"Gist [{next(numbers)}/{max_steps}]: {piece}", flush=True)
        time.sleep(_PAUSE_S)

    return show
