"""How much of the engine's speed is left after this package has been put around it?

    python benchmarks/throughput.py [--quick] [--model qwen2.5-coder-0.5b]

16 attempts on one 200-token question, four ways:
- ours    `LlamaModel.complete(Request(..., n=16))`: templates, streams, counts, gists and all
- bare    the same engine (the very same server object), driven directly: `handle_chat_completions`, n=16, no stream
- naive   the loop one writes first: a whole forward pass for every token, nothing kept. By the same engine (a request
          for one token, prompt cache off), at the beginning, in the middle and at the end of an attempt
- loop    the loop one writes next: still a request for each token of one attempt after the other, but what has been
          computed stays in the engine's prompt cache. This, and not the naive one, is what a sceptic compares with

Ours and bare take turns, each time on a new question that both get. Tokens are counted by the engine's own counter.
Mark: ours / bare >= 0.95, median over the turns. Beside it stands the same ratio in processor seconds, which other
processes on the machine disturb much less.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

from equipment.marks import Marks
from nlrl.core import Completion, NlrlError, Request, Sampling, user
from nlrl.models import LlamaModel, load_model

MARK = 0.95
ATTEMPTS = 16
PROMPT_TOKENS = 200
CONTEXT_TOKENS = 1024
WORDS = ["river", "stone", "lantern", "garden", "winter", "copper", "violin", "harbor", "meadow", "thunder", "paper"]


def question(turn: int, words: int) -> str:
    """A question of so many words, different from its first word on, so that no prompt cache helps."""
    listed = " ".join(WORDS[(turn * 7 + i * i) % len(WORDS)] for i in range(words))
    return f"Number {turn}. Write a long story, as long as you can, in which these words occur in order: {listed}"


class Took(NamedTuple):
    """What a run took; `cpu` are processor seconds of all threads."""

    tokens: int
    seconds: float
    cpu: float


def timed(model: LlamaModel, act: Callable[[], None]) -> Took:
    before, started, cpu = model.tokens_generated(), time.perf_counter(), time.process_time()
    act()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Took(model.tokens_generated() - before, seconds, cpu)


def ask_ours(model: LlamaModel, text: str, max_tokens: int, turn: int) -> Took:
    sampling = Sampling(temperature=0.8, top_p=0.95, max_tokens=max_tokens, seed=turn)
    draws: list[Completion] = []

    def act() -> None:
        draws.extend(asyncio.run(model.complete(Request((user(text),), sampling, n=ATTEMPTS))))

    took = timed(model, act)
    if sum(draw.completion_tokens for draw in draws) != took.tokens:
        raise SystemExit("The completions' token counts differ from the engine's.")
    return took


def ask_engine(model: LlamaModel, route: str, **request: Any) -> Took:
    """Drive the engine itself."""
    answers: list[dict[str, Any]] = []
    took = timed(model, lambda: getattr(model._loaded()._server, route)(request, answers.append))
    if "error" in answers[0]:
        raise SystemExit(f"The engine refused: {answers[0]['error']}")
    return took


def ask_bare(model: LlamaModel, text: str, max_tokens: int, turn: int) -> Took:
    messages = [{"role": "user", "content": text}]
    drawn = {"n": ATTEMPTS, "temperature": 0.8, "top_p": 0.95, "max_tokens": max_tokens, "seed": turn}
    return ask_engine(model, "handle_chat_completions", messages=messages, **drawn, stream=False, cache_prompt=False)


def ask_naive(model: LlamaModel, prompt: list[int], max_tokens: int, passes: int) -> Took:
    """Single forward passes over the prompt and what would have been written so far."""
    took = []
    filler = [prompt[50 + i % 100] for i in range(max_tokens + passes)]
    for written in (0, max_tokens // 2, max_tokens):
        for extra in range(passes):
            seen = prompt + filler[: written + extra]
            took.append(ask_engine(model, "handle_completions", prompt=seen, max_tokens=1, cache_prompt=False))
    return Took(*(sum(parts) for parts in zip(*took, strict=True)))


def ask_loop(model: LlamaModel, prompt: list[int], tokens: int) -> Took:
    """One attempt, a request a token, each continuing from what the cache holds of the one before."""
    seen, took = list(prompt), list[Took]()
    for at in range(tokens):
        took.append(ask_engine(model, "handle_completions", prompt=seen, max_tokens=1, cache_prompt=True))
        seen = [*seen, prompt[50 + at % 100]]
    return Took(*(sum(parts) for parts in zip(*took, strict=True)))


def measure(model: LlamaModel, turns: int, max_tokens: int, passes: int) -> dict[str, Any]:
    words = fitting_words(model)
    prompt = question(0, words)
    n_prompt = asyncio.run(model.count_prompt_tokens((user(prompt),)))
    print(f"prompt: {n_prompt} tokens; {ATTEMPTS} attempts of at most {max_tokens} tokens; {turns} turns")
    ways: list[tuple[str, Callable[[str, int], Took]]] = [
        ("ours", lambda text, turn: ask_ours(model, text, max_tokens, turn)),
        ("bare", lambda text, turn: ask_bare(model, text, max_tokens, turn)),
    ]
    for _, ask in ways:
        ask(question(99, 10), 99)  # the first request of an engine touches its memory for the first time
    took: dict[str, list[Took]] = {"ours": [], "bare": []}
    for turn in range(turns):
        for name, ask in ways if turn % 2 == 0 else ways[::-1]:
            one = ask(question(turn + 1, words), turn + 1)
            took[name].append(one)
            print(
                f"  turn {turn + 1}  {name}  {one.tokens:5d} tokens  {one.seconds:6.2f} s  {one.cpu:6.2f} cpu s"
                f"  {one.tokens / one.seconds:7.1f} tokens/s"
            )
    ids = model._loaded().ask("/tokenize", {"content": prompt})["tokens"]
    slow = ask_naive(model, ids, max_tokens, passes)
    first, kept = ask_loop(model, ids, 1), ask_loop(model, ids, max_tokens)  # the prompt once, and then in the cache
    kept = Took(kept.tokens, kept.seconds + first.seconds, kept.cpu + first.cpu)
    naive, loop = slow.tokens / slow.seconds, kept.tokens / kept.seconds
    by_cpu = median(one.tokens / one.cpu for one in took["ours"])
    pairs = list(zip(took["ours"], took["bare"], strict=True))
    ratios = [(ours.tokens / ours.seconds) / (bare.tokens / bare.seconds) for ours, bare in pairs]
    cpu_ratios = [(ours.tokens / ours.cpu) / (bare.tokens / bare.cpu) for ours, bare in pairs]
    ours, alone = (median(one.tokens / one.seconds for one in took[name]) for name in ("ours", "bare"))
    print(f"\n{'way':<8}{'tokens/s':>10}{'against bare':>14}{'against loop':>14}{'against naive':>15}")
    print(f"{'ours':<8}{ours:>10.1f}{median(ratios):>14.3f}{ours / loop:>13.1f}x{ours / naive:>14.0f}x")
    print(f"{'bare':<8}{alone:>10.1f}{1:>14.3f}{alone / loop:>13.1f}x{alone / naive:>14.0f}x")
    print(f"{'loop':<8}{loop:>10.2f}{loop / alone:>14.3f}{1:>13}x{loop / naive:>14.0f}x")
    print(f"{'naive':<8}{naive:>10.2f}{naive / alone:>14.3f}{naive / loop:>13.2f}x{1:>14}x")
    print("loop: a request a token with a prompt cache; naive: a whole forward pass a token, nothing kept")
    return {
        "ours_tokens_per_s": round(ours, 1),
        "bare_tokens_per_s": round(alone, 1),
        "loop_with_cache_tokens_per_s": round(loop, 2),
        "naive_tokens_per_s": round(naive, 2),
        "ours_to_bare": round(median(ratios), 3),
        "ours_to_bare_each": [round(ratio, 3) for ratio in ratios],
        "ours_to_bare_by_cpu_seconds": round(median(cpu_ratios), 3),
        "ours_to_loop_with_cache": round(ours / loop, 1),
        "ours_to_loop_with_cache_by_cpu_seconds": round(by_cpu / (kept.tokens / kept.cpu), 2),
        "ours_to_naive": round(ours / naive, 1),
        "prompt_tokens": n_prompt,
    }


def fitting_words(model: LlamaModel) -> int:
    """The number of words that makes the prompt 200 tokens long, or as near as whole words come."""

    def tokens(words: int) -> int:
        return asyncio.run(model.count_prompt_tokens((user(question(0, words)),)))

    return max((words for words in range(20, PROMPT_TOKENS) if tokens(words) <= PROMPT_TOKENS), default=20)


def load() -> float:
    """Processes that wanted a core in the last minute; more than there are cores, and the turns vary."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--quick", action="store_true", help="fewer turns, shorter attempts")
    options = parser.parse_args()
    marks = Marks("throughput", options.quick)
    try:
        model = load_model(options.model, slots=ATTEMPTS, context_tokens=CONTEXT_TOKENS)
    except NlrlError as error:
        return marks.skip(str(error))
    if not isinstance(model, LlamaModel):
        print(f"{options.model} does not run on the embedded engine.", file=sys.stderr)
        return 2
    try:
        turns, max_tokens, passes = (3, 8, 1) if options.quick else (15, 64, 4)
        result = measure(model, turns, max_tokens, passes)
    finally:
        asyncio.run(model.aclose())
    met = marks.timing("tokens a second, ours / bare", result["ours_to_bare"], at_least=MARK)
    print(f"\nby processor seconds: {result['ours_to_bare_by_cpu_seconds']}; load of the machine: {load():.1f}")
    print(f"mark: ours / bare >= {MARK}: {'met' if met else 'NOT met'} ({result['ours_to_bare']})")
    return marks.result(model=model.name, **result)


if __name__ == "__main__":
    sys.exit(main())
