"""From the words on the command line to a model, a bank and problems.

Beside what `nlrl.models` knows, two kinds of model can be named here, since they need problems or a bank:

    stochastic:0.6    no weights: right with that chance, for trying things out; costs nothing
    replay:MODEL      only what the bank recorded of a model; nothing is generated
    panel:NAME        the same of an imported panel, whose problems are --data panel:NAME
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlrl.core import BankError, Budget, DataError, Model, Prices, Problem, Sampling, UnknownName, UserError

if TYPE_CHECKING:
    from nlrl.bank import Bank
    from nlrl.cli.datafiles import DataFiles

PANEL = "panel:"  # before the name of an imported panel, as data and as model
_SHOWN = 10  # rows with a mistake that are named; the rest is counted


def open_bank(given: str | None, default: Path | None = None) -> Bank:
    """The bank that --bank or NLRL_BANK names, else `default`; "none" (and no default) is one in memory."""
    from nlrl.bank import Bank

    named = _named(given) or default
    return Bank(None if named == "none" else named)


def open_existing_bank(given: str | None) -> Bank:
    """As `open_bank`, for reading: a file that is not there is a mistake, not a new bank. Raises BankError."""
    path = bank_path(given)
    if not path.is_file():
        raise BankError(f"There is no sample bank at {path}. Check the path.")
    return open_bank(str(path))


def bank_path(given: str | None) -> Path:
    """The file that --bank or NLRL_BANK names. Raises UserError if there is none."""
    named = _named(given)
    if named in ("", "none"):
        raise UserError("Which bank? Give its file, or set NLRL_BANK. A run keeps its own: runs/NAME/bank.sqlite")
    return Path(named)


def _named(given: str | None) -> str:
    return given or os.environ.get("NLRL_BANK", "")


def open_model(spec: str | None, problems: Sequence[Problem], bank: str | None, prices: str | None = None) -> Model:
    """The model that --model (or NLRL_MODEL, or else the default) names; its owner closes it."""
    from nlrl.models import load_model

    options: dict[str, Any] = {} if prices is None else {"prices": parse_prices(prices)}
    kind = (spec or "").partition(":")[0]
    if kind == "stochastic":
        options["problems"] = problems
    if kind in ("replay", "panel"):
        return _recorded(spec or "", bank)
    return load_model(spec, **options) if spec else load_model(**options)


def check_measurable(budget: Budget, model: Model) -> None:
    """Raises UserError for a budget in something that cannot be counted for this model."""
    if budget.cost is not None and model.can.prices is None:
        raise UserError(f"A cost budget needs the prices of {model.name}. Give them, such as --prices 0.15,0.60")
    if budget.flops is not None and model.can.parameters is None:
        raise UserError(f"A FLOPs budget needs the size of {model.name}, which is not known. Give a token budget.")


def _recorded(spec: str, bank: str | None) -> Model:
    from nlrl.bank import ReplayModel

    is_panel = spec.startswith(PANEL)
    name = spec if is_panel else spec.partition(":")[2]
    with open_existing_bank(bank) as recorded:
        if name not in recorded.models():
            raise UnknownName(f"model in the bank {recorded.path}", name, recorded.models())
    return ReplayModel(name, is_panel=is_panel)


def open_problems(
    data: DataFiles,
    limit: int | None,
    bank: str | None,
    tell: Callable[[str], None] = lambda text: None,
    *,
    graded: bool = True,
) -> list[Problem]:
    """The problems of every data set, at most `limit` of each; those of an imported panel come from the bank.

    tell    is told what was read, with the first problem of each set, and of every row that is left out
    graded  whether answers are to be graded: a set in which no problem has anything to grade by is then a DataError
    """
    from nlrl.cli.datafiles import check_imports
    from nlrl.tasks.datasets import as_read, read_problems

    problems: list[Problem] = []
    for name in data.names:
        if name.startswith(PANEL):
            with open_existing_bank(bank) as recorded:
                found = recorded.problems(name.removeprefix(PANEL))
                if not found:
                    raise UnknownName(f"panel in the bank {recorded.path}", name, map(PANEL.__add__, recorded.panels()))
            problems += found[:limit]
            continue
        loaded = read_problems(
            name, limit=limit, question_column=data.question_column, answer_column=data.answer_column
        )  # fmt: skip
        if graded:
            loaded.require_references()
        for problem in loaded:
            _check_constraints(problem)
        for line in (loaded.about(), as_read(loaded.problems[0]), *(f"note: {note}" for note in loaded.notes)):
            tell(line)
        for error in loaded.errors[:_SHOWN]:
            tell(f"left out: {error}")
        if len(loaded.errors) > _SHOWN:
            tell(f"left out: {len(loaded.errors) - _SHOWN} more rows of {name}")
        problems += loaded.problems
    if graded:
        check_imports(problems)
    return problems


def _check_constraints(problem: Problem) -> None:
    """A constraint that nobody can check is refused before a run, and not at its first answer."""
    from nlrl.verifiers.constraints import check

    for constraint in problem.constraints:
        try:
            check("", constraint)
        except DataError as error:
            raise DataError(f"{problem.source}: {error}") from None


def sampling(temperature: float | None, max_tokens: int | None, top_p: float | None = None) -> Sampling:
    """What was set on the command line. Raises UserError for values no model takes."""
    if temperature is not None and not 0 <= temperature <= 100:
        raise UserError(f"The temperature must lie between 0 and 100, got {temperature}.")
    if max_tokens is not None and max_tokens < 1:
        raise UserError(f"--max-tokens must be at least 1, got {max_tokens}.")
    if top_p is not None and not 0 < top_p <= 1:
        raise UserError(f"--top-p must lie above 0 and at most at 1, got {top_p}.")
    return Sampling(temperature=temperature, max_tokens=max_tokens, top_p=top_p)


def parse_prices(text: str) -> Prices:
    """Money per million prompt, completion and (optional) cached prompt tokens: "0.15,0.60". Raises UserError."""
    try:
        parts = [float(part) for part in text.split(",")]
        prompt, completion, *cached = parts
    except ValueError:
        parts, prompt, completion, cached = [], 0.0, 0.0, []
    if not parts or len(cached) > 1 or not all(math.isfinite(p) and p >= 0 for p in parts):
        raise UserError(
            f"Cannot read the prices {text[:50]!r}. Give money per million prompt and completion tokens, "
            "such as --prices 0.15,0.60"
        )
    return Prices(prompt, completion, cached[0] if cached else None)
