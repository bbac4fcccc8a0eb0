"""Panels: recorded samples as JSON lines, from anywhere into the bank and out of it again.

    {"problem_id": "q1", "question": "...", "reference": "70",
     "samples": [{"answer": "70", "tokens": 16391, "text": null, "logprob": null,
                  "probes": [{"tokens": 500, "answer": "12"}, {"tokens": 1000, "answer": "70"}]}]}

An imported panel is replayed by `ReplayModel("panel:NAME", is_panel=True)` over the problems `bank.problems(NAME)`:
any strategy, any budget, nothing generated. A row that cannot be used is named by its line; the rest goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from nlrl.bank import Bank, Draw, panel_key
from nlrl.core import CodeTests, Completion, DataError, Finish, Problem, TaskType, TokenLogprob, UserError
from nlrl.core.kept_files import open_kept
from nlrl.evaluation.config import CONFIG, RECORDS
from nlrl.evaluation.records import PANEL, Attempt, Record, latest, read_records

PREFIX = "panel:"  # of the model names under which imported draws are kept

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Answer = str | int | float | bool | None


class Probe(msgspec.Struct, frozen=True):
    """An answer that was forced after `tokens` tokens."""

    tokens: _Count
    answer: _Answer = None


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One draw. `logprob` is the mean natural-log probability of its tokens; `answer` absent means: read the text."""

    tokens: _Count
    answer: _Answer = None
    text: str | None = None
    logprob: float | None = None
    finish: Finish = Finish.STOP
    probes: tuple[Probe, ...] = ()


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One problem with its draws; what is not set is not needed. `prompt_tokens` are charged once per call."""

    question: str
    samples: tuple[Sample, ...]
    problem_id: str | int | None = None
    reference: _Answer = None
    task_type: TaskType | None = None
    choices: tuple[str, ...] = ()
    context: str = ""
    tests: CodeTests | None = None
    constraints: tuple[dict[str, Any], ...] = ()
    aliases: tuple[str, ...] = ()
    source: str = ""
    group: str = ""
    prompt_tokens: _Count = 0


@dataclass(frozen=True)
class Imported:
    """What came in. `errors` name the lines that could not be used."""

    name: str
    problems: int
    samples: int
    errors: tuple[DataError, ...]


_decode = msgspec.json.Decoder(Row).decode


async def import_panels(path: str | Path, bank: Bank, name: str) -> Imported:
    """Read a panel file into the bank under `name`. Importing the same file again changes nothing.

    Raises UserError if the file cannot be read or no line of it can be used.
    """
    path = Path(path)
    if not name.strip():
        raise UserError("A panel needs a name, such as the name of its model.")
    errors: list[DataError] = []
    seen: dict[str, int] = {}
    samples = 0
    for number, line in _lines(path):
        try:
            row = _read(line)
            problem = _problem(row)
            if problem.id in seen:
                raise ValueError(f"the problem {problem.id!r} was already on line {seen[problem.id]}")
            await _store(bank, name, number, problem, row)
        except (msgspec.DecodeError, UnicodeError, ValueError) as error:
            errors.append(DataError(str(error), path=str(path), line=number))
            continue
        seen[problem.id] = number
        samples += len(row.samples)
    if not seen:
        first = f" The first: {errors[0]}" if errors else " It is empty."
        raise UserError(f"{path} holds no panel: {len(errors)} of {len(errors)} lines cannot be used.{first}")
    return Imported(name, len(seen), samples, tuple(errors))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise UserError(f"The panel file {path} cannot be read: {error.strerror}. Check the path.") from error


def _read(line: bytes) -> Row:
    row = _decode(line)
    if not row.question.strip():
        raise ValueError("the question is empty")
    if not row.samples:
        raise ValueError("there are no samples")
    return row


def _problem(row: Row) -> Problem:
    return Problem(
        question=row.question,
        reference=_text(row.reference),
        task_type=row.task_type,
        choices=row.choices,
        context=row.context,
        tests=row.tests,
        constraints=row.constraints,
        aliases=row.aliases,
        source=row.source,
        group=row.group,
        id="" if row.problem_id is None else str(row.problem_id),
    )


async def _store(bank: Bank, name: str, number: int, problem: Problem, row: Row) -> None:
    """Draws are never replaced, so other draws under the same name and problem are an error, not an update."""
    model = PREFIX + name
    key = panel_key(model, problem)
    draws = {i: _draw(sample, row.prompt_tokens) for i, sample in enumerate(row.samples)}
    known = await bank.get(key, range(len(draws) + 1))
    if any(draws.get(i) != draw for i, draw in known.items()):
        raise ValueError(
            f"the bank already holds other samples of {problem.id!r} in the panel {name!r}; choose another name"
        )
    if len(known) < len(draws):
        await bank.put(key, draws, model=model, problem_id=problem.id, request={"panel": name})
    await bank.put_problems(name, {number: problem})


def _draw(sample: Sample, prompt_tokens: int) -> Draw:
    text = sample.text or ""
    # one token that stands for all: verifiers that read mean confidence then work on imported samples too
    sure = None if sample.logprob is None else (TokenLogprob("", sample.logprob),)
    completion = Completion(text, sample.finish, sample.tokens, prompt_tokens=prompt_tokens, logprobs=sure)
    probes = tuple((p.tokens, _text(p.answer)) for p in sample.probes)
    return Draw(completion, shared=True, answer=_text(sample.answer), probes=probes)


def _text(answer: _Answer) -> str | None:
    """Answers are strings here; files often hold numbers."""
    if answer is None or isinstance(answer, str):
        return answer
    return msgspec.json.encode(answer).decode()


async def export_panels(
    bank: Bank, source: str | Path, path: str | Path, *, problems: Iterable[Problem] = ()
) -> tuple[int, int]:
    """Write a panel file; returns the numbers of problems and samples.

    source    the directory of a run (its panel, or else each problem's largest set of independent attempts),
              "panel:NAME" for an imported panel, or a model's name: then each problem's largest family of draws
    problems  for a model's name: what its draws were made for, as the bank keeps only their ids

    Raises UserError where there is nothing to export, or the file cannot be written.
    """
    source_text = str(source)
    if (Path(source_text) / CONFIG).is_file():
        rows = list(_rows_of_run(Path(source_text)))
    elif source_text.startswith(PREFIX):
        rows = list(_rows_of_model(bank, source_text, bank.problems(source_text.removeprefix(PREFIX))))
    else:
        rows = list(_rows_of_model(bank, source_text, list(problems)))
    if not rows:
        known = ", ".join([*bank.models()][:8]) or "it is empty"
        raise UserError(
            f"Nothing to export for {source_text!r}: it is neither a run nor does the bank hold its draws on the "
            f"problems given. In the bank: {known}."
        )
    _write(Path(path), rows)
    return len(rows), sum(len(row.samples) for row in rows)


def _write(path: Path, rows: Sequence[Row]) -> None:
    encode = msgspec.json.Encoder().encode
    try:
        with os.fdopen(open_kept(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), "wb") as file:
            for row in rows:
                file.write(encode(row) + b"\n")
    except OSError as error:
        raise UserError(f"The panel file {path} cannot be written: {error.strerror}. Name another one.") from error


def _rows_of_run(path: Path) -> Iterator[Row]:
    best: dict[str, Record] = {}
    for record in latest(read_records(path / RECORDS)):
        there = best.get(record.problem.id)
        if there is None or (record.strategy == PANEL, _independent(record)) > (
            there.strategy == PANEL,
            _independent(there),
        ):
            best[record.problem.id] = record
    for record in best.values():
        p, attempts = record.problem, [a for a in record.attempts if not a.parents]
        if attempts:
            yield Row(
                question=p.question,
                samples=tuple(_sample_of_attempt(a) for a in attempts),
                problem_id=p.id,
                reference=p.reference,
                task_type=None if p.task_type is None else TaskType(p.task_type),
                choices=p.choices,
                source=p.source,
                group=p.group,
                prompt_tokens=max(a.prompt_tokens for a in attempts),
            )


def _independent(record: Record) -> int:
    return sum(not a.parents for a in record.attempts)


def _sample_of_attempt(a: Attempt) -> Sample:
    sure = [(tokens, logprob) for _, tokens, logprob, _ in a.gists if logprob is not None]
    return Sample(tokens=a.tokens, answer=a.answer, text=a.text or None, logprob=_mean(sure), finish=Finish(a.finish))


def _rows_of_model(bank: Bank, model: str, problems: Sequence[Problem]) -> Iterator[Row]:
    largest: dict[str, list[Draw]] = {}
    for _, problem_id, draws in bank.families(model):
        if problem_id is not None and len(draws) > len(largest.get(problem_id, ())):
            largest[problem_id] = draws
    for problem in problems:
        draws = largest.get(problem.id)
        if draws:
            yield Row(
                question=problem.question,
                samples=tuple(_sample_of_draw(draw) for draw in draws),
                problem_id=problem.id,
                reference=problem.reference,
                task_type=problem.task_type,
                choices=problem.choices,
                context=problem.context,
                tests=problem.tests,
                constraints=tuple(_plain(c) for c in problem.constraints),
                aliases=problem.aliases,
                source=problem.source,
                group=problem.group,
                prompt_tokens=max(draw.completion.prompt_tokens for draw in draws),
            )


def _plain(constraint: Mapping[str, Any]) -> dict[str, Any]:
    return dict(constraint)


def _sample_of_draw(draw: Draw) -> Sample:
    c = draw.completion
    sure = [(1, t.logprob) for t in c.logprobs or ()]
    sure = sure or [(g.tokens, g.logprob) for g in c.gists if g.logprob is not None]
    return Sample(
        tokens=c.completion_tokens,
        answer=draw.answer,
        text=c.text or None,
        logprob=_mean(sure),
        finish=c.finish,
        probes=tuple(Probe(tokens, answer) for tokens, answer in draw.probes),
    )


def _mean(weighted: Sequence[tuple[int, float]]) -> float | None:
    total = sum(weight for weight, _ in weighted)
    return sum(weight * value for weight, value in weighted) / total if total else None
