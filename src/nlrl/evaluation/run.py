"""Run a benchmark, and go on with it after whatever stopped it.

    config = RunConfig(strategies=("direct", "self_consistency(n=8)"), budget=Budget(tokens=4000), samples=16)
    run = await run_benchmark(config, model, problems, bank=Bank("samples.db"), out_dir="runs/first")

Resuming is running again with the same settings and directory: records that are there are skipped, and the rest finds
its samples in the bank, so nothing is paid for twice. Several problems are in flight at once; the strategies of one
problem run one after the other and in the same order, so that they share its samples: same bytes, same fight.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlrl.bank import Bank
from nlrl.compute.machine import MachineUse
from nlrl.core import Model, Problem, Spend, UserError, Verifier
from nlrl.evaluation.config import RECORDS, RunConfig, locked, make_directory, note_use, open_run
from nlrl.evaluation.record_log import Outcome, RecordLog, outcome
from nlrl.evaluation.records import PANEL, Record
from nlrl.evaluation.trial import Prompter, Trials


@dataclass
class Standing:
    """One strategy so far. For the panel, `right` and `judged` count attempts."""

    right: int = 0
    judged: int = 0
    failed: int = 0
    tokens: int = 0

    @property
    def accuracy(self) -> float | None:
        """Right of judged; None before the first verdict."""
        return self.right / self.judged if self.judged else None

    def add(self, result: Outcome) -> None:
        """Count one more record."""
        self.right += result.right
        self.judged += result.judged
        self.failed += result.failed
        self.tokens += result.tokens


@dataclass(frozen=True)
class Progress:
    """Where a run is; given to `on_event` at the start, after every record, and at the end.

    done, total  records; `resumed` of them were there before
    tokens       by the ledgers of all records
    paid         what this process really generated: less, where the bank served
    standing     by strategy, the panel first
    record       the one just written; None at the start and the end
    seconds      since this process began the run
    """

    done: int
    total: int
    resumed: int
    tokens: int
    paid: Spend
    standing: Mapping[str, Standing]
    record: Record | None
    seconds: float


@dataclass(frozen=True)
class Run:
    """What a run came to.

    path         its directory
    interrupted  it was asked to stop (Ctrl-C, SIGTERM) before it was done; run it again to go on
    duplicates   problems left out because an equal one came before
    torn_bytes   length of a half-written record that a killed process had left, and that was redone
    used         what this process has taken of its machine for it (`MachineUse.taken`)
    """

    path: Path
    progress: Progress
    used: Mapping[str, Any]
    interrupted: bool = False
    duplicates: int = 0
    torn_bytes: int = 0


@dataclass(eq=False)
class _Tally:
    total: int
    standing: dict[str, Standing]
    on_event: Callable[[Progress], None] | None
    begun: float = field(default_factory=time.monotonic)
    done: int = 0
    resumed: int = 0
    paid: Spend = field(default_factory=Spend)

    def add(self, strategy: str, result: Outcome) -> None:
        self.done += 1
        self.standing[strategy].add(result)

    def pay(self, spend: Spend) -> None:
        self.paid = self.paid + spend

    def tell(self, record: Record | None = None) -> Progress:
        tokens = sum(s.tokens for s in self.standing.values())
        seconds = time.monotonic() - self.begun
        now = Progress(self.done, self.total, self.resumed, tokens, self.paid, self.standing, record, seconds)
        if self.on_event:
            self.on_event(now)
        return now


async def run_benchmark(
    config: RunConfig,
    model: Model,
    problems: Sequence[Problem],
    *,
    bank: Bank,
    out_dir: str | Path,
    on_event: Callable[[Progress], None] | None = None,
    grader: Verifier | None = None,
    prompt: Prompter | None = None,
    handle_signals: bool = True,
) -> Run:
    """Every strategy (and the panel) on every problem; what is already recorded in `out_dir` is not done again.

    grader          judges by the reference; the standard one if not given. What it asks a model is charged apart
    prompt          turns a problem into messages; that of `nlrl.tasks` if not given
    handle_signals  on SIGINT and SIGTERM, stop cleanly and return with `interrupted`; main thread only

    One strategy failing on one problem is a record with an error, tried again when the run is resumed. Raises
    UserError if the directory holds a run with other settings, is in use or cannot be used, DataError for a
    damaged record, BankError when the bank or the disk fails; all leave a run that can be resumed.
    """
    path = Path(out_dir)
    unique = list({p.id: p for p in problems}.values())
    if not unique:
        raise UserError("There are no problems to run. Check --data and its filters.")
    make_directory(path)
    with locked(path):
        open_run(path, config, model.name, unique)
        names = ([PANEL] if config.samples else []) + list(config.strategies)
        with RecordLog(path / RECORDS) as log:
            tally = _Tally(len(unique) * len(names), {name: Standing() for name in names}, on_event)
            for (_, strategy), result in log.done.items():
                tally.add(strategy, result)
            tally.resumed = tally.done
            trials = Trials(config, model, bank, grader or _grader(), prompt, tally.pay)
            used = MachineUse()
            tally.tell()
            work = _work(trials, unique, names, log, tally, used)
            finished = await _until_stopped(work) if handle_signals else bool(await work)
            if tally.done > tally.resumed:
                note_use(path, used.taken())
            return Run(path, tally.tell(), used.taken(), not finished, len(problems) - len(unique), log.dropped)


async def _work(
    trials: Trials,
    problems: Sequence[Problem],
    names: Sequence[str],
    log: RecordLog,
    tally: _Tally,
    used: MachineUse,
) -> bool:
    """All that is missing, a few problems at a time. True when done."""
    waiting = iter(enumerate(problems))

    async def worker() -> None:
        for row, problem in waiting:
            grades = trials.grades()
            for name in names:
                if (problem.id, name) not in log.done:
                    record = await trials.run(row, problem, name, grades)
                    log.append(record)
                    tally.add(name, outcome(record))
                    tally.tell(record)
                    used.look()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(trials.config.concurrency, len(problems))):
                group.create_task(worker())
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    return True


async def _until_stopped(work: Awaitable[bool]) -> bool:
    """`work`'s result, or False if a signal ended it first."""
    task = asyncio.ensure_future(work)
    with _stop_on_signal(task) as caught:
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if caught and not (current and current.cancelling()):
                return False
            raise


@contextmanager
def _stop_on_signal(task: asyncio.Future[bool]) -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM cancels the task; a second one acts as it would have without us."""
    loop = asyncio.get_running_loop()
    before = {}
    caught: list[int] = []

    def restore() -> None:
        while before:
            number, handler = before.popitem()
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def stop(number: int) -> None:
        caught.append(number)
        restore()
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        try:
            loop.add_signal_handler(number, stop, number)
        except (ValueError, RuntimeError, NotImplementedError):
            break  # not the main thread, or not Unix: whoever runs us handles signals
        before[number] = handler
    try:
        yield caught
    finally:
        restore()


def _first(failures: BaseExceptionGroup) -> BaseException:
    inner = failures.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _grader() -> Verifier:
    from nlrl.verifiers.reference import ReferenceVerifier

    return ReferenceVerifier()
