"""Benchmark runs and calibrated policies on the disk, as the dashboard shows them.

list_runs(Path("runs")), curves_of(Path("runs"), "first"), list_policies(Path("runs"))
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from nlrl.core import NlrlError
from nlrl.evaluation.run_list import find_runs
from nlrl.server.http.errors import ApiError

_MOST = 200  # of each kind


def list_runs(directory: Path | None) -> list[dict[str, Any]]:
    """Name, time, model and size of every run, the latest first."""
    return [
        {"name": _name(directory, run["path"]), "at": _when(run["date"]), "model": run["model"], "data": run["data"],
         "problems": run["problems"]}
        for run in (find_runs(directory)[:_MOST] if directory else ())
    ]  # fmt: skip


def curves_of(directory: Path | None, name: str) -> dict[str, Any]:
    """What strategies of a run reached at which tokens, for every task. Raises ApiError 404."""
    paths = {_name(directory, run["path"]): run for run in (find_runs(directory) if directory else ())}
    if name not in paths:
        raise ApiError(404, f"There is no run {name[:80]!r}.", code="unknown_run")
    run = paths[name]
    curves = [curve for domain in _domains(Path(run["path"])) for curve in _curves(domain)]
    return {"name": name, "model": run["model"], "curves": curves}


def list_policies(directory: Path | None) -> list[dict[str, Any]]:
    """Every calibrated policy: per bin of difficulty, what it chooses from which budget on."""
    from nlrl.scaling.policy import load_policy

    files = sorted(directory.glob("**/policy.json"))[:_MOST] if directory else []
    found = []
    for file in files:
        try:
            policy = load_policy(file)
        except (NlrlError, OSError):
            continue  # the policy of something else; the list goes on past what it cannot read
        bins = [
            {"difficulty": f"{_range(at, policy.borders)}", "problems": bin.problems, "pass_at_1": bin.pass_at_1,
             "budgets": [{"tokens": o.tokens, "strategy": o.strategy, "accuracy": o.accuracy, "low": o.low,
                          "high": o.high} for o in bin.options]}
            for at, bin in enumerate(policy.bins)
        ]  # fmt: skip
        found.append({"name": _name(directory, str(file.parent)), "model": policy.model,
                      "made": policy.provenance.created if policy.provenance else "", "bins": bins})  # fmt: skip
    return found


def _domains(run: Path) -> list[dict[str, Any]]:
    """The domains of the run's summary, which is made here where no report has been asked for yet."""
    try:
        return msgspec.json.decode((run / "summary.json").read_bytes())["domains"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        from nlrl.evaluation.records import read_records
        from nlrl.evaluation.summary import summarise

        return msgspec.to_builtins(summarise(read_records(run / "records.jsonl")).domains)


def _curves(domain: dict[str, Any]) -> list[dict[str, Any]]:
    task, panel = domain["name"], domain.get("panel") or {"curves": {}}
    found = []
    for name, line in panel["curves"].items():
        points = [_point(k, t, a) for k, t, a in zip(panel["k"], panel["tokens"], line, strict=True)]
        found.append({"task": task, "strategy": name, "points": points})
    for one in domain["strategies"]:
        point = _point(None, one["tokens"], one["accuracy"])
        found.append({"task": task, "strategy": one["name"], "points": [point]})
    for curve in found:  # where nothing could be judged there is no point
        curve["points"] = [point for point in curve["points"] if point["accuracy"] is not None]
    return [curve for curve in found if curve["points"]]


def _point(n: int | None, tokens: float, accuracy: Any) -> dict[str, Any]:
    mean, low, high = accuracy if isinstance(accuracy, list | tuple) else (accuracy[k] for k in ("mean", "low", "high"))
    return {"n": n, "tokens": tokens, "accuracy": mean, "low": low, "high": high}


def _range(at: int, borders: tuple[float, ...]) -> str:
    """Which chances of one attempt fall into the bin; bin 0 is the easiest."""
    if not borders:
        return "all problems"
    high = 1.0 if at == 0 else borders[at - 1]
    low = 0.0 if at == len(borders) else borders[at]
    ends = " (easiest)" if at == 0 else " (hardest)" if at == len(borders) else ""
    return f"{low:.2f} to {high:.2f}{ends}"


def _name(directory: Path | None, path: str) -> str:
    relative = Path(path).relative_to(directory or ".")
    return relative.as_posix() if relative.parts else "."


def _when(date: str) -> float:
    return time.mktime(time.strptime(date, "%Y-%m-%d %H:%M"))
