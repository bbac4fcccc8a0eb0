"""From `Sampling` to the parameters of llama.cpp, and the grammar that ends a draw after its answer line.

n draws run as one call, and llama.cpp cannot stop one of them from outside. So `stop_after` is given to the engine as
a *lazy grammar*: nothing is constrained until the phrase has been generated; from there on the engine may only write
the answer line, at most two line breaks, and the end token. Text up to the end of the answer line is the same token
for token as without the grammar (measured), and what a draw would have rambled on is never generated.

    root ::= [fF] [iI] [nN] [aA] [lL] " " ... ":" rest          # starts where the phrase starts
    rest ::= the rest of the line, or an empty rest and the next line, or a block in ``` ... ```, $$ ... $$, \\[ ... \\]
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from nlrl.core import Request, Sampling, UserError

SEEDS = 2**32 - 2**20  # 2**32 - 1 means "random" to the engine; the distance lets the n draws of a call count upwards
MAX_LOGPROBS = 1000

# Blocks first opened on the answer line run to the line that closes them, as in `streams.answer_line_end`.
_REST = r"""
rest ::= (blank "\n")* answer
blank ::= [ \t\r*_#>:]*
answer ::= line | blank fence | blank dollars | blank brackets
line ::= [^\n]* end
fence ::= "```" ([^`] | "`" [^`] | "``" [^`])* "```" line
dollars ::= "$$" ([^$] | "$" [^$])* "$$" line
brackets ::= "\\[" ([^\\] | "\\" [^\]])* "\\]" line
end ::= ("\n" "\n"?)?
"""


def parameters(
    request: Request, *, n: int, first: int, seed: int, answer_open: bool, prompt_cache: bool
) -> dict[str, Any]:
    """The engine's parameters for draws `first` .. `first + n - 1` of a request, all but the prompt.

    seed         of draw 0
    prompt_cache take what is known of the prompt from earlier requests
    answer_open  the prefill ends in an answer line that is still open, so the grammar holds from the first token
    Raises UserError where a value makes no sense.
    """
    sampling = request.sampling
    check(sampling)
    wanted: dict[str, Any] = {
        "n": n,
        "stream": True,
        "timings_per_token": True,  # carries the exact number of tokens of a draw so far
        "return_progress": True,  # calls back during a long prompt too, so that it can be cancelled there
        "cache_prompt": prompt_cache,
        "seed": draw_seed(seed, first),  # the engine counts up from here, one for each further draw
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "max_tokens": sampling.max_tokens,
        "stop": [stop for stop in sampling.stop if stop] or None,
        "n_probs": None if sampling.logprobs is None else max(1, sampling.logprobs),
        "grammar": sampling.grammar,
        "json_schema": None if sampling.json_schema is None else json.loads(sampling.json_schema),
    }
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if sampling.stop_after and "grammar" not in wanted and "json_schema" not in wanted:
        wanted |= answer_grammar(sampling.stop_after, answer_open)
    return wanted


def draw_seed(seed: int, index: int) -> int:
    """The seed of draw `index`; any whole number will do as `seed`."""
    return (seed + index) % SEEDS


def answer_grammar(phrase: str, answer_open: bool = False) -> dict[str, Any]:
    """Parameters that make the engine end a draw after its answer line; {} where a grammar cannot say it.

    Then (a phrase that is not plain ASCII on one line) the text is only cut where it arrives, as everywhere.
    """
    if not phrase.isascii() or not phrase.isprintable():
        return {}
    if answer_open:
        return {"grammar": "root ::= rest" + _REST}
    letters = " ".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else json.dumps(c) for c in phrase)
    pattern = "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else re.escape(c) for c in phrase)
    return {
        "grammar": f"root ::= {letters} rest" + _REST,
        "grammar_lazy": True,
        "grammar_triggers": [{"type": _PATTERN, "value": pattern}],
    }


_PATTERN = 2  # common_grammar_trigger_type: a regular expression, searched for in what was generated


def check(sampling: Sampling) -> None:
    """Raise UserError, naming the field and what it may be, where a value makes no sense."""
    ranges = {
        "temperature": (0.0, 100.0),
        "top_p": (0.0, 1.0),
        "top_k": (0, 2**31 - 1),
        "min_p": (0.0, 1.0),
        "max_tokens": (1, 2**31 - 1),
        "logprobs": (0, MAX_LOGPROBS),
    }
    for name, (low, high) in ranges.items():
        value = getattr(sampling, name)
        if value is None:
            continue
        if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
            raise UserError(f"Sampling.{name} must lie between {low} and {high}, got {value!r}.")
        if isinstance(low, int) and value != int(value):
            raise UserError(f"Sampling.{name} must be a whole number, got {value!r}.")
    if sampling.grammar is not None and sampling.json_schema is not None:
        raise UserError("Sampling.grammar and Sampling.json_schema exclude each other: set one of them.")
    if sampling.grammar is not None and not sampling.grammar.strip():
        raise UserError("Sampling.grammar is empty: write a GBNF grammar, or leave it None.")
    if sampling.json_schema is not None:
        _check_schema(sampling.json_schema)


def _check_schema(text: str) -> None:
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise UserError(f"Sampling.json_schema is not JSON: {error}.") from error
    if not isinstance(schema, dict):
        raise UserError(f"Sampling.json_schema must be a JSON object, got {type(schema).__name__}.")
