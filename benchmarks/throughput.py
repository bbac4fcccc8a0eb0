"""How much of the engine's speed is left after this package has been put around it?

    python benchmarks/throughput.py [--quick] [--model qwen2.5-coder-0.5b]

16 attempts on one 200-token question, three ways:
- ours    `LlamaModel.complete(Request(..., n=16))`: templates, streams, counts, gists and all
- bare    the same engine with the same settings in a process of its own, `handle_chat_completions`, n=16, no stream.
          Its threads wait asleep, as ours do; `--spinning` leaves them as they are when nobody sets OMP_WAIT_POLICY:
          equal on an idle machine, but many times slower as soon as other processes want the same cores
- naive   the loop one writes first: a whole forward pass for every token, nothing kept. By the same engine (a request
          for one token, prompt cache off), at the beginning, in the middle and at the end of an attempt

Ours and bare take turns, each time on a new question that both get. Tokens are counted by the engine's own counter.
Mark: ours / bare >= 0.95, median over the turns. Beside it stands the same ratio in processor seconds, which other
processes on the machine disturb much less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from nlrl.core import NlrlError, Request, Sampling, user
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


# ---- the bare engine, in its own process: one JSON line in, one out


def bare_worker(path: str, threads: int) -> None:
    from nlrl.models._llama_load import import_xllamacpp

    xllamacpp = import_xllamacpp()
    wanted = xllamacpp.CommonParams()
    wanted.model.path = path
    wanted.n_parallel, wanted.n_ctx = ATTEMPTS, ATTEMPTS * CONTEXT_TOKENS
    wanted.kv_unified, wanted.warmup, wanted.fit_params = False, False, False
    wanted.n_batch = wanted.n_ubatch = 512
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = threads
    wanted.cache_ram_mib, wanted.verbosity, wanted.endpoint_metrics = 0, 0, True
    server = xllamacpp.Server(wanted)

    def generated() -> int:
        found = re.search(r"^llamacpp:tokens_predicted_total (\d+)$", server.handle_metrics(), re.MULTILINE)
        return int(found[1]) if found else 0

    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        before, started, cpu = generated(), time.perf_counter(), time.process_time()
        ask = server.handle_completions if "prompt" in asked else server.handle_chat_completions
        answers: list[dict[str, Any]] = []
        ask(asked, answers.append)
        seconds = time.perf_counter() - started
        cpu = time.process_time() - cpu
        error = answers[0].get("error")
        print(json.dumps({"tokens": generated() - before, "seconds": seconds, "cpu": cpu, "error": error}))
        sys.stdout.flush()


class Bare:
    """Talks to the worker."""

    def __init__(self, path: Path, threads: int, spinning: bool) -> None:
        command = [sys.executable, __file__, "--bare-worker", str(path), str(threads)]
        policy = {"OMP_WAIT_POLICY": "active" if spinning else "passive"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **policy}
        )

    def ask(self, **request: Any) -> Took:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("The bare engine died.")
        answer = json.loads(line)
        if answer["error"]:
            raise SystemExit(f"The bare engine refused: {answer['error']}")
        return Took(answer["tokens"], answer["seconds"], answer["cpu"])

    def close(self) -> None:
        self.process.communicate(timeout=60)


# ---- the three ways


def ask_ours(model: LlamaModel, text: str, max_tokens: int, turn: int) -> Took:
    sampling = Sampling(temperature=0.8, top_p=0.95, max_tokens=max_tokens, seed=turn)
    before, started, cpu = model.tokens_generated(), time.perf_counter(), time.process_time()
    draws = asyncio.run(model.complete(Request((user(text),), sampling, n=ATTEMPTS)))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    tokens = model.tokens_generated() - before
    if sum(draw.completion_tokens for draw in draws) != tokens:
        raise SystemExit("The completions' token counts differ from the engine's.")
    return Took(tokens, seconds, cpu)


def ask_bare(bare: Bare, text: str, max_tokens: int, turn: int) -> Took:
    messages = [{"role": "user", "content": text}]
    return bare.ask(
        messages=messages,
        n=ATTEMPTS,
        temperature=0.8,
        top_p=0.95,
        max_tokens=max_tokens,
        seed=turn,
        stream=False,
        cache_prompt=False,
    )


def ask_naive(bare: Bare, prompt: list[int], max_tokens: int, passes: int) -> Took:
    """Single forward passes over the prompt and what would have been written so far."""
    took = []
    filler = [prompt[50 + i % 100] for i in range(max_tokens)]
    for written in (0, max_tokens // 2, max_tokens):
        for extra in range(passes):
            took.append(bare.ask(prompt=prompt + filler[: written - extra], max_tokens=1, cache_prompt=False))
    return Took(*(sum(parts) for parts in zip(*took, strict=True)))


def measure(model: LlamaModel, bare: Bare, turns: int, max_tokens: int, passes: int) -> dict[str, Any]:
    words = fitting_words(model)
    prompt = question(0, words)
    n_prompt = asyncio.run(model.count_prompt_tokens((user(prompt),)))
    print(f"prompt: {n_prompt} tokens; {ATTEMPTS} attempts of at most {max_tokens} tokens; {turns} turns")
    ways: list[tuple[str, Callable[[str, int], Took]]] = [
        ("ours", lambda text, turn: ask_ours(model, text, max_tokens, turn)),
        ("bare", lambda text, turn: ask_bare(bare, text, max_tokens, turn)),
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
    slow = ask_naive(bare, ids, max_tokens, passes)
    naive = slow.tokens / slow.seconds
    pairs = list(zip(took["ours"], took["bare"], strict=True))
    ratios = [(ours.tokens / ours.seconds) / (bare.tokens / bare.seconds) for ours, bare in pairs]
    cpu_ratios = [(ours.tokens / ours.cpu) / (bare.tokens / bare.cpu) for ours, bare in pairs]
    ours, alone = (median(one.tokens / one.seconds for one in took[name]) for name in ("ours", "bare"))
    print(f"\n{'way':<8}{'tokens/s':>10}{'against bare':>14}{'against naive':>15}")
    print(f"{'ours':<8}{ours:>10.1f}{median(ratios):>14.3f}{ours / naive:>14.0f}x")
    print(f"{'bare':<8}{alone:>10.1f}{1:>14.3f}{alone / naive:>14.0f}x")
    print(f"{'naive':<8}{naive:>10.2f}{naive / alone:>14.3f}{1:>14}x")
    return {
        "ours_tokens_per_s": round(ours, 1),
        "bare_tokens_per_s": round(alone, 1),
        "naive_tokens_per_s": round(naive, 2),
        "ours_to_bare": round(median(ratios), 3),
        "ours_to_bare_each": [round(ratio, 3) for ratio in ratios],
        "ours_to_bare_by_cpu_seconds": round(median(cpu_ratios), 3),
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
    parser.add_argument("--quick", action="store_true", help="under a minute: fewer turns, shorter attempts")
    parser.add_argument("--spinning", action="store_true", help="let the bare engine's threads spin while they wait")
    parser.add_argument("--bare-worker", nargs=2, metavar=("PATH", "THREADS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare_worker:
        bare_worker(options.bare_worker[0], int(options.bare_worker[1]))
        return 0
    try:
        model = load_model(options.model, slots=ATTEMPTS, context_tokens=CONTEXT_TOKENS)
    except NlrlError as error:
        print(error, file=sys.stderr)
        return 2
    if not isinstance(model, LlamaModel):
        print(f"{options.model} does not run on the embedded engine.", file=sys.stderr)
        return 2
    bare = Bare(model.path, model._sizes.threads, options.spinning)
    try:
        turns, max_tokens, passes = (3, 32, 2) if options.quick else (7, 128, 4)
        result = measure(model, bare, turns, max_tokens, passes)
    finally:
        bare.close()
        asyncio.run(model.aclose())
    machine = {
        "load": round(load(), 1),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    met = result["ours_to_bare"] >= MARK
    print(f"\nby processor seconds: {result['ours_to_bare_by_cpu_seconds']}; load of the machine: {load():.1f}")
    print(f"mark: ours / bare >= {MARK}: {'met' if met else 'NOT met'} ({result['ours_to_bare']})")
    print("RESULT", json.dumps({"benchmark": "throughput", "model": model.name, **result, "met": met, **machine}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
