"""An answer in words: how sure, why it stopped, and the ledger as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlrl.cli.live import printable
from nlrl.core import Answer, Phase, Problem, Spend, Stopped, Usage

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# What each strategy's confidence is; a number without its meaning misleads.
_CONFIDENCE = {
    "self_consistency": "the share of the attempts that reached this answer",
    "adaptive_consistency": "the share of the attempts behind this answer, times how sure it is that they lead",
    "best_of_n": "this answer's part of all the verifier's scores",
    "weighted_vote": "this answer's part of all the verifier's scores",
    "self_refine": "the verifier's score of this answer",
}

_STOPPED = {
    Stopped.DONE: "",
    Stopped.SETTLED: "It stopped early: more compute would not change the answer.",
    Stopped.NO_GAIN: "It stopped because the last revision was no better.",
    Stopped.TOKENS: "The token budget is spent; this is the best so far.",
    Stopped.CALLS: "The budget of calls is spent; this is the best so far.",
    Stopped.FLOPS: "The FLOPs budget is spent; this is the best so far.",
    Stopped.SECONDS: "The time is up; this is the best so far.",
    Stopped.COST: "The money budget is spent; this is the best so far.",
    Stopped.FAILED: "No attempt succeeded.",
}


def confidence_in_words(answer: Answer, strategy: str) -> str:
    """The confidence and what it means, for people."""
    if answer.confidence is None:
        return "not estimated: one attempt says nothing about how sure the model is"
    if answer.calibrated:
        return (
            f"{answer.confidence:.2f} (calibrated: the share that was right on problems like those of the calibration)"
        )
    meaning = _CONFIDENCE.get(strategy, "the strategy's own estimate")
    return f"{answer.confidence:.2f} ({meaning}; not a calibrated probability)"


def stopped_in_words(answer: Answer) -> str:
    """Why it stopped, empty if it just was done."""
    if not answer.candidates and answer.stopped in (Stopped.TOKENS, Stopped.CALLS, Stopped.FLOPS, Stopped.COST):
        return f"The budget of {answer.stopped} does not hold a single attempt. Raise it, or lower --max-tokens."
    return _STOPPED[answer.stopped]


def ledger_table(usage: Usage, *, sized: bool, priced: bool) -> Table:
    """Every phase's tokens. `sized`, `priced`: whether FLOPs and money are known for this model."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="Ledger", title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("phase")
    for name in ("calls", "prompt", "(cached)", "generated", "(dropped)", "tokens"):
        table.add_column(name, justify="right", no_wrap=True)
    if sized:
        table.add_column("FLOPs", justify="right", no_wrap=True)
    if priced:
        table.add_column("cost", justify="right", no_wrap=True)
    unsure = usage.total.estimated_tokens > 0
    if unsure:
        table.add_column("(estimated)", justify="right", no_wrap=True)
        table.caption = "estimated: what no server told, charged by an upper bound"
    rows = [(phase.value, usage.phases[phase]) for phase in Phase if phase in usage.phases]
    for name, spend in [*rows, ("total", usage.total)] if len(rows) > 1 else rows:
        estimated = [f"{spend.estimated_tokens:,}"] if unsure else []
        table.add_row(name, *_cells(spend, sized, priced), *estimated)
    return table


def _cells(s: Spend, sized: bool, priced: bool) -> list[str]:
    counts = (s.calls, s.prompt_tokens, s.cached_tokens, s.completion_tokens, s.cancelled_tokens, s.tokens)
    cells = [f"{c:,}" for c in counts]
    if sized:
        cells.append(f"{s.flops:.2g}")
    if priced:
        cells.append(f"{s.cost:.4f}")
    return cells


def speed_line(usage: Usage) -> str:
    """Latency and speed in one line."""
    rate = usage.total.completion_tokens / usage.seconds if usage.seconds > 0 else 0.0
    return (
        f"{usage.seconds:.1f} s, {rate:.0f} generated tokens/s; "
        f"critical path {usage.critical_path_tokens:,} tokens (the longest chain of calls that waited for each other)"
    )


@dataclass(frozen=True)
class Solved:
    """An answer with what is said about it.

    verdict  of the reference, None if none was given
    failed   errors of draws that failed
    """

    problem: Problem
    strategy: str
    answer: Answer
    model: str
    sized: bool
    priced: bool
    verdict: str | None = None
    failed: tuple[str, ...] = ()


def show(solved: Solved, console: Console) -> None:
    """Answer, confidence, notes and ledger, for people."""
    from nlrl.strategies import parse_strategy

    answer = solved.answer

    def say(text: str, **style: Any) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True, **style)

    if answer.value is None:
        say("Answer: none could be read out of the attempts", style="bold yellow")
    else:
        value = printable(answer.value)
        say("Answer:", style="bold", end="\n" if "\n" in value else " ")
        say(value, style="bold green")
    if solved.verdict:
        say(f"Against the reference {printable(solved.problem.reference or '')!r}: {solved.verdict}")
    say(f"Confidence: {confidence_in_words(answer, parse_strategy(solved.strategy).name)}")
    say(f"Strategy: {solved.strategy}   Model: {solved.model}")
    for line in filter(None, [stopped_in_words(answer), *answer.notes]):
        say(f"Note: {printable(line)}")
    for error in dict.fromkeys(solved.failed):
        say(f"Failed draw: {printable(error)}", style="yellow")
    console.print()
    console.print(ledger_table(answer.usage, sized=solved.sized, priced=solved.priced))
    say(speed_line(answer.usage), style="dim")


def as_json(solved: Solved) -> str:
    """All of it as one JSON object."""
    import msgspec

    answer = solved.answer
    attempts = [
        {
            "id": c.id,
            "answer": c.answer,
            "text": c.text,
            "tokens": c.completion.completion_tokens,
            "finish": c.completion.finish,
            "score": c.score,
            "parents": c.parents,
        }
        for c in answer.candidates
    ]
    plain = {
        "question": solved.problem.question,
        "task": solved.problem.task_type,
        "strategy": solved.strategy,
        "model": solved.model,
        "answer": answer.value,
        "text": answer.text,
        "confidence": answer.confidence,
        "verdict": solved.verdict,
        "stopped": answer.stopped,
        "notes": answer.notes,
        "tokens": answer.usage.tokens,
        "usage": answer.usage,
        "chosen": answer.chosen,
        "attempts": attempts,
        "failed": solved.failed,
    }
    return msgspec.json.encode(plain, enc_hook=str).decode()
