"""Divide and conquer (least-to-most prompting: Zhou et al. 2022, 2205.10625)."""

from __future__ import annotations

import re

from nlrl.compute import Compute
from nlrl.core import Answer, Problem, Sampling, user

_SPLIT = (
    "Split the following task into at most {parts} smaller questions whose answers lead to its solution. "
    "Write one question per line, numbered, nothing else.\n\nTask: {question}"
)
_PART = "Task: {question}\n\n{known}Answer only this part, in one or two sentences: {part}"
_WHOLE = "\n\nThese parts are already solved:\n{known}\nUse them if they are right."
_NUMBERED = re.compile(r"^\s*(?:\d+[.):]|[-*•])\s*(\S.*)$")


async def divide_and_conquer(problem: Problem, compute: Compute, *, parts: int = 3) -> Answer:
    """Let the model split the problem, answer the parts in order, and solve the whole with those answers in view.

    Each part sees the answers of the parts before it. If the model finds no parts, the problem is solved directly,
    and a note says so.

    One unit of budget buys one sub-question; the calls are sequential, so latency grows with them. Fails when the
    split is wrong: small models often restate the question, and a wrong part misleads the whole.
    """
    split = _SPLIT.replace("{parts}", str(parts)).replace("{question}", problem.question)
    plan = await compute.ask((user(split),), sampling=Sampling(max_tokens=200), problem=problem)
    known = ""
    questions = sub_questions(plan.text, parts)
    if not questions:
        compute.note("The model did not split the problem; it was solved directly.")
    for question in questions:
        text = _PART.replace("{known}", f"Known so far:\n{known}\n" if known else "").replace("{part}", question)
        part = await compute.ask(
            (user(text.replace("{question}", problem.question)),), sampling=Sampling(max_tokens=120), problem=problem
        )
        known += f"- {question} {' '.join(part.text.split())}\n"
    messages = compute.prompt(problem)
    if known:
        last = messages[-1]
        messages = (*messages[:-1], user(last.content + _WHOLE.replace("{known}", known)))
    attempts = await compute.sample(problem, 1, messages=messages)
    return compute.answer(attempts[0] if attempts else None)


def sub_questions(plan: str, most: int) -> list[str]:
    """The numbered or bulleted lines of a plan, at most `most`."""
    found = [m.group(1).strip() for line in plan.splitlines() if (m := _NUMBERED.match(line))]
    return found[:most]
