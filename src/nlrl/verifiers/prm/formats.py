"""How reward models want to be shown a solution: what stands before it, and what ends a step.

    shown = layout("qwen").show(problem, ["2 + 2 = 4", "So it is 4."])
    shown.pieces        text pieces; the value of step k is read where piece k + 1 ends

qwen       Qwen2.5-Math-PRM and its kin: the chat template, "<extra_0>" after each step (model card)
shepherd   Math-Shepherd: "QUESTION Step 1: ... ки" and a line break, a step each (model card)
lines      Skywork-o1-Open-PRM and TRL's PRMs: the question, then a line a step; read at the line break (their sources)
plain      as `lines`, for models of which nothing more is known

A mark inside of a step's own text would be a step too many, and a control token worse: both are taken apart first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nlrl.core import Problem, UnknownName

EXTRA = "<extra_0>"
KI = "ки"
QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
_CONTROL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", EXTRA, "<s>", "</s>", "[INST]", "[/INST]")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a reward model reads: `pieces[0]` stands before the steps, `pieces[k]` ends with the mark of step k, counted
    from 1, and `tail` closes the text."""

    pieces: tuple[str, ...]
    tail: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces) + self.tail

    def prefix(self, k: int) -> str:
        """The text up to and with the mark of step k, counted from 1."""
        return "".join(self.pieces[: k + 1])


@dataclass(frozen=True, slots=True)
class Layout:
    """mark: what ends a step; `show` lays out a problem and steps."""

    name: str
    mark: str
    _show: Callable[[str, Sequence[str]], Shown]

    def show(self, problem: Problem, steps: Sequence[str], control: Iterable[str] = ()) -> Shown:
        """The pieces. `control`: the tokenizer's own special tokens, beside those known here."""
        bad = {*_CONTROL, *control, *({self.mark} if self.mark.strip() else set())}
        return self._show(neutral(question_of(problem), bad), [neutral(step, bad) for step in steps])


def layout(name: str) -> Layout:
    """The layout of that name. Raises UnknownName."""
    if name not in _LAYOUTS:
        raise UnknownName("reward model layout", name, _LAYOUTS)
    return _LAYOUTS[name]


def question_of(problem: Problem) -> str:
    """What is asked, with its context and options."""
    context = f"{problem.context}\n\n" if problem.context else ""
    return context + problem.question + "".join(f"\n- {choice}" for choice in problem.choices)


def neutral(text: str, marks: Iterable[str]) -> str:
    """The text with every mark broken by a space, so that no tokenizer takes it for one."""
    for mark in sorted((m for m in marks if len(m) > 1), key=len, reverse=True):
        text = text.replace(mark, f"{mark[0]} {mark[1:]}")
    return text


def _qwen(question: str, steps: Sequence[str]) -> Shown:
    turns = f"<|im_start|>system\n{QWEN_SYSTEM}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n"
    return Shown((turns + "<|im_start|>assistant\n", *(step + EXTRA for step in steps)), "<|im_end|>\n")


def _shepherd(question: str, steps: Sequence[str]) -> Shown:
    named = [step if step.lower().startswith("step") else f"Step {k}: {step}" for k, step in enumerate(steps, 1)]
    joined = [f"{' ' if k == 0 else chr(10)}{step} {KI}" for k, step in enumerate(named)]
    return Shown((question, *joined))


def _lines(question: str, steps: Sequence[str]) -> Shown:
    return Shown((question + "\n", *(step + "\n" for step in steps)))


_LAYOUTS = {
    "qwen": Layout("qwen", EXTRA, _qwen),
    "shepherd": Layout("shepherd", KI, _shepherd),
    "lines": Layout("lines", "\n", _lines),
    "plain": Layout("plain", "\n", _lines),
}
