"""What is kept of language policy iteration: every iteration as a line, what was learned, a picture and a page.

runs/umaze/
    iterations.jsonl   one line for each seed and iteration: returns, changes with their evaluations, calls, tokens
    learned.json       for each seed, what is said of every state and what is decided there
    curve.png          mean return over iterations, with intervals
    page.html          each state opens to its evaluations, and to what changed and why
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from nlrl.core import BudgetExhausted, MissingExtra
from nlrl.core.kept_files import make_folder, write_whole
from nlrl.environments.finite import FiniteEnvironment, State
from nlrl.learning.language.acting.boundary import describe
from nlrl.learning.language.acting.desk import Desk
from nlrl.learning.language.acting.episodes import Played
from nlrl.learning.language.acting.gpi import Iteration
from nlrl.learning.language.acting.page import save_page
from nlrl.learning.language.acting.plot import save_png
from nlrl.learning.language.acting.policies import ActionPolicy
from nlrl.learning.language.acting.values import LanguageValue, Retrieve, Store

Line: TypeAlias = dict[str, Any]  # one iteration in plain values


def line(env: FiniteEnvironment, seed: int, iteration: Iteration) -> Line:
    """One iteration in plain values."""
    total = iteration.usage.total
    return {
        "seed": seed,
        "iteration": iteration.number,
        **played_line(iteration.played),
        "states": iteration.states,
        "moved": iteration.moved,
        "changes": [
            {
                "state": describe(env, c.state).strip(),
                "before": c.before,
                "after": c.after,
                "text": c.text,
                "evaluations": [list(pair) for pair in c.evaluations],
            }
            for c in iteration.changes
        ],
        "calls": {str(role): n for role, n in iteration.calls.items()},
        "heard": dict(iteration.heard),
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "seconds": round(iteration.seconds, 3),
    }


def start_line(seed: int, played: Played | None, desk: Desk) -> Line:
    """How the policy did before the first iteration, and what it cost to find out."""
    total = desk.ledger.usage().total
    return {
        "seed": seed,
        "iteration": 0,
        **played_line(played),
        "states": 0,
        "moved": None,
        "changes": [],
        "calls": {str(role): n for role, n in desk.calls.items()},
        "heard": dict(played.heard) if played else {},
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "seconds": 0.0,
    }


async def learned_row(
    env: FiniteEnvironment, value: LanguageValue, policy: ActionPolicy, state: State
) -> tuple[str, str, str]:
    """A state, what is said of it, and what is decided there. A model is asked once more; what the budget no longer
    allows is left empty."""
    about = describe(env, state).strip()
    try:
        decided = (await policy.draws(state, 1))[0].text
        if isinstance(value, Store | Retrieve):  # what was written down, and not what a model makes of it
            return about, value.known(state), decided
        return about, await value.read(state), decided
    except BudgetExhausted:
        return about, "", ""


def played_line(played: Played | None) -> Line:
    """Test episodes in plain values."""
    if played is None:
        return {"returns": [], "success": None}
    return {"returns": [e.total for e in played.episodes], "success": played.success_rate}


def write_report(
    title: str,
    facts: Mapping[str, str],
    lines: Sequence[Line],
    learned: Mapping[int, Sequence[tuple[str, str, str]]],
    out: Path,
) -> list[Path]:
    """Write all files and return their paths; the picture only where matplotlib is installed.

    learned  for each seed: (state, what is said of it, what is decided there)
    """
    make_folder(out)
    written = [out / "iterations.jsonl", out / "learned.json"]
    _write(written[0], "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines))
    table = {
        str(seed): [{"state": s, "value": value, "decision": decision} for s, value, decision in rows]
        for seed, rows in learned.items()
    }
    _write(written[1], json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    picture = None
    try:
        picture = save_png(title, lines, out / "curve.png")
        written.append(picture)
    except MissingExtra:
        pass  # the table on the page holds the same
    written.append(save_page(title, facts, lines, learned, out / "page.html", picture))
    return written


def _write(path: Path, text: str) -> None:
    write_whole(path, text.encode("utf-8", "replace"))  # a model may say what no encoding can hold
