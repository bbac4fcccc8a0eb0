"""How states, transitions, values and decisions are written and read.

    Transition:                                   Evaluation of where it led:
    State: You stand on ...                       The goal is near. Worth: 0.62
    Action: right
    What happened: you slip down
    Reward: 0
    Next state: You stand on ...

A value is a text. Whoever writes one is asked to close it with "Worth: <number>", which makes values comparable for
people and plots; a text without that line is still a value, and is counted as one without a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nlrl.environments.finite import FiniteEnvironment, Outcome, State
from nlrl.learning.language.acting.boundary import describe, legal_actions, parse

UNKNOWN = "Nothing is known about this state yet."
TERMINAL = "The episode is over; nothing follows."
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_WORTH = re.compile(rf"worth[\s:=*_`]{{0,8}}([-+]?)\s?[$€£]?({_NUMBER})", re.IGNORECASE)
_DASHES = str.maketrans("−–‐‑", "----")
_ASK_WORTH = 'Reply with one or two sentences and close with "Worth: <number>".'


@dataclass(frozen=True, slots=True)
class Step:
    """One transition that was seen or imagined."""

    state: State
    action: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy said for a state. `action` is None where none could be read out of the text."""

    text: str
    action: str | None
    legal: bool


def worth(text: str) -> float | None:
    """The number a value closes with; None if it has none.

    >>> worth("The goal is near. Worth: 0.62")
    0.62
    """
    found = _WORTH.findall(text.translate(_DASHES))
    if not found:
        return None
    sign, digits = found[-1]
    number = float(sign + digits.replace(",", ""))
    return number if math.isfinite(number) else None


def decide(env: FiniteEnvironment, state: State, text: str) -> Decision:
    """Read a decision out of a policy's text. Nothing is put in the place of what cannot be read or is not allowed."""
    action = parse(env, text)
    return Decision(text, action, action is not None and action in legal_actions(env, state))


# --- descriptions


def step_text(env: FiniteEnvironment, step: Step) -> str:
    """d(s, a, r, s'): one transition in words."""
    outcome = step.outcome
    lines = [f"State: {describe(env, step.state).strip()}", f"Action: {step.action}"]
    if outcome.event:
        lines.append(f"What happened: {outcome.event}")
    lines.append(f"Reward: {outcome.reward:g}")
    lines.append(
        "The episode ends here." if outcome.terminal else f"Next state: {describe(env, outcome.state).strip()}"
    )
    return "\n".join(lines)


def path_text(env: FiniteEnvironment, steps: Sequence[Step]) -> str:
    """d(s_t ... s_t+n): a stretch of an episode in words. Every step has its reward; states between stand once."""
    if len(steps) == 1:
        return step_text(env, steps[0])
    lines = [f"State: {describe(env, steps[0].state).strip()}"]
    for number, step in enumerate(steps, 1):
        event = f" ({step.outcome.event})" if step.outcome.event else ""
        lines.append(f"Step {number}: {step.action}{event}. Reward: {step.outcome.reward:g}")
        if not step.outcome.terminal:
            lines.append(f"State: {describe(env, step.outcome.state).strip()}")
    lines.append("The episode ends here." if steps[-1].outcome.terminal else "Here it was cut off.")
    return "\n".join(lines)


def state_text(env: FiniteEnvironment, state: State, action: str | None = None) -> str:
    """A state, or a state and what is done there, and nothing else: all that a trained model needs to be told."""
    taken = f"\nAction: {action}" if action is not None else ""
    return f"State: {describe(env, state).strip()}{taken}"


# --- prompts, one for each role


def policy_prompt(env: FiniteEnvironment, state: State) -> str:
    """pi(reasoning, action | s)"""
    return (
        f"State: {describe(env, state).strip()}\n"
        f"Legal actions: {', '.join(legal_actions(env, state))}\n"
        'Think in one or two sentences, then close with "Action: <one of the legal actions>".'
    )


def value_prompt(env: FiniteEnvironment, state: State) -> str:
    """V(s)"""
    return (
        f"How good is this state for you, from here to the end of the episode?\nState: {describe(env, state).strip()}\n"
        f"{_ASK_WORTH} The number is the sum of the rewards you expect, each counted {env.discount:g} times as much "
        "for every step it lies ahead."
    )


def join_prompt(description: str, future: str, steps: int, discount: float) -> str:
    """G2: r + gamma V"""
    later = discount**steps
    return (
        f"Join what happened with the evaluation of where it led.\n\n{description}\n\n"
        f"Evaluation of where it led: {future}\n\n"
        f"A reward t steps later counts {discount:g}^t times; the evaluation of where it led counts {later:.9g} times. "
        + _ASK_WORTH
    )


def aggregate_prompt(variations: Sequence[tuple[float, str]], discount: float) -> str:
    """G1: the expectation over (chance, text)"""
    listed = "\n\n".join(f"Variation {i} (chance {p:.9g}): {text}" for i, (p, text) in enumerate(variations, 1))
    return (
        f"Merge these {len(variations)} variations into one evaluation: their expectation, each counted with its "
        f"chance. Where a variation tells only rewards, one t steps later counts {discount:g}^t times.\n\n{listed}\n\n"
        + _ASK_WORTH
    )


def improve_prompt(env: FiniteEnvironment, state: State, evaluations: Sequence[tuple[str, str]]) -> str:
    """I: the evaluations of the candidate actions side by side"""
    listed = "\n".join(f"- {action}: {evaluation}" for action, evaluation in evaluations)
    return (
        f"Choose the best action by what is known of each.\nState: {describe(env, state).strip()}\n"
        f"Evaluations of the actions:\n{listed}\n"
        'Reply with a short reasoning, then close with "Action: <the best action>".'
    )


def successor_prompt(env: FiniteEnvironment, state: State, action: str) -> str:
    """What the future holds after an action, as a summary"""
    return (
        "Tell what will follow if you take this action and go on as you usually do.\n"
        f"State: {describe(env, state).strip()}\nAction: {action}\n{_ASK_WORTH}"
    )


def refine_prompt(env: FiniteEnvironment, state: State, action: str, future: str) -> str:
    """A better action than the one whose future is told; the others are not tried out"""
    return (
        f"State: {describe(env, state).strip()}\nLegal actions: {', '.join(legal_actions(env, state))}\n"
        f"You meant to do: {action}\nWhat would follow: {future}\n"
        'If that is the best you can do, keep it; else name a better action. Close with "Action: <action>".'
    )
