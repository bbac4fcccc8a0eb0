"""The data that a command works on: which sets and files, which of a file's columns, what its tests may import.

@data_options
def bench(data: DataFiles, ...):         # nlrl bench --data my.csv --question-column Aufgabe --answer-column Zahl
    problems = open_problems(data, ...)
"""

from __future__ import annotations

import functools
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click

from nlrl.core import Problem, UserError

_DATA = "A data set by name or path; may be repeated."


@dataclass(frozen=True)
class DataFiles:
    """What --data, --question-column and --answer-column say; as text, what a page says of it."""

    names: tuple[str, ...]
    question_column: str | None = None
    answer_column: str | None = None

    def __str__(self) -> str:
        chosen = [("question", self.question_column), ("answer", self.answer_column)]
        told = ", ".join(f"{what} from {column}" for what, column in chosen if column is not None)
        return " ".join(self.names) + (f" ({told})" if told else "")

    @property
    def typed(self) -> str:
        """The options as they are typed, for the first set."""
        chosen = {"--question-column": self.question_column, "--answer-column": self.answer_column}
        return shlex.join(["--data", self.names[0], *(w for o, c in chosen.items() if c is not None for w in (o, c))])


def data_options(command: Callable[..., Any] | None = None, *, required: bool = True, about: str = _DATA) -> Any:
    """Adds the options to a command, whose parameter `data` is then a `DataFiles`."""
    if command is None:
        return functools.partial(data_options, required=required, about=about)

    @click.option("-d", "--data", multiple=True, required=required, help=about)
    @click.option("--question-column", help="Of a file: the column that holds the question.  [default: found by name]")
    @click.option(
        "--answer-column", help="Of a file: the column that holds the right answer.  [default: found by name]"
    )
    @click.option(
        "--sandbox-packages",
        metavar="NAMES",
        callback=_show_packages,
        expose_value=False,
        help="Installed packages, such as numpy,pandas, that programs and their tests may import.  [default: none]",
    )
    @functools.wraps(command)
    def with_data(
        *args: Any, data: tuple[str, ...], question_column: str | None, answer_column: str | None, **options: Any
    ) -> Any:
        return command(*args, data=DataFiles(data, question_column, answer_column), **options)

    return with_data


def _show_packages(context: click.Context, parameter: click.Parameter, names: str | None) -> None:
    if names:
        from nlrl.sandbox import show_packages

        show_packages([name.strip() for name in names.split(",") if name.strip()])


def check_imports(problems: Iterable[Problem]) -> None:
    """Raises UserError where tests import packages that the sandbox does not show: before a model is asked."""
    tested = [problem.tests for problem in problems if problem.tests is not None]
    if not tested:
        return
    from nlrl.sandbox import default_sandbox

    missing = Counter(name for tests in tested for name in default_sandbox().missing_imports(tests))
    if missing:
        told = ", ".join(f"{name} ({count} of {len(tested)} problems)" for name, count in missing.most_common())
        raise UserError(
            f"The tests import what the sandbox does not show: {told}. No program could pass them. "
            f"Next step: --sandbox-packages {','.join(missing)} (each must be installed beside nlrl)."
        )
