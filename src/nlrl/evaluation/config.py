"""What a benchmark run was asked to do, and the directory that remembers it.

runs/gsm8k-qwen/
    config.json     the settings; running again with others is refused. And the software, also that which went on,
                    and what each process has taken of its machine
    records.jsonl   what came out, appended line by line
    summary.json    figures made from the records; can always be made again
    .lock           held while a process writes here
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from nlrl.core import Budget, Problem, Sampling, UserError
from nlrl.core.kept_files import make_folder, open_kept, write_whole
from nlrl.evaluation.software import software
from nlrl.strategies import get_strategy, parse_strategy

CONFIG, RECORDS, SUMMARY = "config.json", "records.jsonl", "summary.json"


@dataclass(frozen=True)
class RunConfig:
    """The settings of a run.

    strategies   what is compared, each as one string such as "weighted_vote(n=8)"; kept in canonical form
    data, model  how the user named them; for people
    budget       per problem and strategy; the panel is not under it
    samples      size of the panel: attempts per problem drawn first and graded, which the strategies then share.
                 None draws no panel
    verifier     what scores the panel for the best-of-k curves; a registered name
    second_look  the model that looks again where the grader says no; none where empty
    seed         draw i uses seed + i where the backend takes seeds
    prompt       identity of the language policy that asks, where it is not the prompt of the task
    concurrency  problems in flight; does not change any result

    Raises UnknownName for an unknown strategy or parameter, UserError for nothing to do.
    """

    strategies: tuple[str, ...] = ()
    name: str = ""
    data: str = ""
    model: str = ""
    budget: Budget = field(default_factory=Budget)
    samples: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    seed: int | None = None
    verifier: str = "auto"
    second_look: str = ""
    prompt: str = ""
    concurrency: int = 4

    def __post_init__(self) -> None:
        named = []
        for text in self.strategies:
            spec = parse_strategy(text)
            get_strategy(spec)  # a mistyped name must fail now, and not once per problem
            named.append(str(spec))
        if repeated := sorted({n for n in named if named.count(n) > 1}):
            raise UserError(f"The strategy {repeated[0]} is named twice. Name each once.")
        if not named and not self.samples:
            raise UserError("Nothing to do: name at least one strategy, or a number of samples for the panel.")
        if self.samples is not None and self.samples < 1:
            raise UserError(f"samples must be at least 1, got {self.samples}.")
        if self.concurrency < 1:
            raise UserError(f"concurrency must be at least 1, got {self.concurrency}.")
        object.__setattr__(self, "strategies", tuple(named))

    @property
    def drawing(self) -> Sampling:
        """`sampling` with the seed in it."""
        return self.sampling if self.seed is None else replace(self.sampling, seed=self.seed)

    def settings(self) -> dict[str, Any]:
        """Everything that shapes the results beside the problems and the model, as plain data."""
        return {
            "strategies": list(self.strategies),
            "budget": given(self.budget),
            "samples": self.samples,
            "sampling": given(self.sampling),
            "seed": self.seed,
            "verifier": self.verifier,
            "second_look": self.second_look or None,
            "prompt": self.prompt or None,
        }


def given(thing: Budget | Sampling) -> dict[str, Any]:
    """The fields that are set."""
    values = {f.name: getattr(thing, f.name) for f in fields(thing)}
    return {name: value for name, value in values.items() if value not in (None, ())}


def machine() -> dict[str, Any]:
    """Where this runs: what a reader needs to judge the seconds."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def make_directory(path: Path) -> None:
    """The directory of a run, and those above it. Raises UserError where that is not possible."""
    try:
        make_folder(path)
    except OSError as error:
        raise UserError(f"The run directory {path} cannot be made: {error.strerror}. Name another one.") from error


def open_run(path: Path, config: RunConfig, model_name: str, problems: Sequence[Problem]) -> None:
    """Write the settings of a new run, or check that they are those of the run that is already there.

    Raises UserError naming every setting that differs.
    """
    digest = hashlib.sha256("\n".join(p.id for p in problems).encode()).hexdigest()[:16]
    wanted = config.settings() | {"problems": {"count": len(problems), "digest": digest}, "model_name": model_name}
    file = path / CONFIG
    if not file.exists():
        about = {"name": config.name or path.name, "data": config.data, "model": config.model}
        about |= {"version": software()["nlrl"], "software": software(), "machine": machine()}
        _write_config(file, about | wanted)
        return
    found = read_config(path)
    wanted = msgspec.json.decode(msgspec.json.encode(wanted, enc_hook=str))
    if (known := found.get("problems")) and known.get(
        "digest"
    ) == "":  # some were erased: what is left is what it is of
        found |= {"problems": wanted["problems"]}
        _write_config(file, found)
    different = list(_differences(wanted, found))
    if different:
        raise UserError(
            f"The run in {path} was made with other settings: {'; '.join(different)}. "
            "Give the same settings to go on with it, or another directory for a new run."
        )
    # other software may go on with a run, but not unseen: its records are graded by more than one version then
    if software() not in (known := [found.get("software"), *found.get("went_on_with", [])]):
        _write_config(file, found | {"went_on_with": [*known[1:], software()]})


def note_use(path: Path, taken: Mapping[str, Any]) -> None:
    """Write into a run's settings what one more process has taken of its machine for it (`MachineUse.taken`)."""
    found = read_config(path)
    _write_config(path / CONFIG, found | {"used": [*found.get("used", []), taken]})


def forget_problems(path: Path, count: int) -> None:
    """Some of a run's problems are gone for good: it is one of those that are left, whichever it goes on with."""
    found = read_config(path)
    problems = found.get("problems") or {}
    left = max(0, int(problems.get("count", 0)) - count)
    _write_config(path / CONFIG, found | {"problems": {"count": left, "digest": ""}})


def _write_config(file: Path, content: dict[str, Any]) -> None:
    write_whole(file, msgspec.json.format(msgspec.json.encode(content, enc_hook=str)) + b"\n")


def read_config(path: Path) -> dict[str, Any]:
    """The settings of the run in a directory. Raises UserError if there is none, or it cannot be read."""
    try:
        found = msgspec.json.decode((path / CONFIG).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} holds no benchmark run: it has no {CONFIG}. `nlrl ls` lists the runs.") from None
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"{path / CONFIG} cannot be read: {error}. Use another directory for a new run.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path / CONFIG} is not a run's settings. Use another directory for a new run.")
    return found


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in wanted.items():
        other = found.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            every = {key: value.get(key) for key in {**other, **value}}
            yield from _differences(every, other, f"{above}{name}.")
        elif value != other:
            yield f"{above}{name} was {_shown(other)} and is now {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    return "not set" if value in (None, "") else str(value)


def write_summary(path: Path, summary: msgspec.Struct) -> Path:
    """Write summary.json into a run's directory and return its path."""
    file = path / SUMMARY
    write_whole(file, msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    return file


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Held while a process writes a run. The system lets go of it when the process ends, however it ends.

    Raises UserError if another process holds it.
    """
    file = open_kept(path / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            _lock(file)
        except OSError:
            raise UserError(
                f"Another process is writing the run in {path}. Wait for it to end, or use another directory."
            ) from None
        yield
    finally:
        os.close(file)


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
