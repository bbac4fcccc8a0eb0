"""What happens in a run, on the sandbox's own event loop.

    run_tests     worker box <-- calls, plain data --> judge box -- one line a result --> host
    run_python    box <-- source, stdin; stdout, stderr, exit code --> host, which compares what was printed

Two zygotes in two boxes: one forks all workers, the other all judges, so a program and its tests never share a
process table, a file system or a memory image.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from nlrl.core import CodeTests, InputOutput, SandboxUnavailable
from nlrl.sandbox.boxes import start_box
from nlrl.sandbox.jobs import BoxLost, Job, JobEnd, ZygoteClient
from nlrl.sandbox.languages import foreign_language
from nlrl.sandbox.limits import Limits
from nlrl.sandbox.memory_file import memory_file
from nlrl.sandbox.outcomes import invalid_results, name_of, printed_result, run_outcome, test_results
from nlrl.sandbox.packages import Visible, missing_imports, missing_message
from nlrl.sandbox.reader import PipeReader
from nlrl.sandbox.results import Isolation, RunResult, TestOutcome, TestReport, TestResult

_REPORT_BYTES = 4 << 20  # what a judge may say in all
_TRIES = 2  # a zygote may fall to the machine's memory killer; twice in a row is no accident
_END_S = 10.0  # a killed job is gone in milliseconds; after this long the box itself is given up

T = TypeVar("T")


class Engine:
    """Zygotes, and the runs in them. Belongs to one event loop."""

    def __init__(self, slots: int, kind: str | None, visible: Visible):
        self._kind, self._visible = kind, visible
        self._slots = asyncio.Semaphore(slots)
        self._zygotes: dict[str, ZygoteClient] = {}

    async def isolation(self) -> Isolation:
        """How code is kept apart; starts a box if there is none. Raises SandboxUnavailable."""
        return self._zygote("worker").box.isolation

    def close(self) -> None:
        """End every box."""
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()

    async def run_python(self, source: str, stdin: str, limits: Limits) -> RunResult:
        """One whole program."""
        return await self._run(lambda: self._python(source, stdin, limits))

    async def run_command(
        self, words: Sequence[str], files: Mapping[str, str], stdin: str, limits: Limits
    ) -> RunResult:
        """Any command, in walls; raises SandboxUnavailable where there are none."""
        if not self._zygote("worker").box.isolation.walled:
            raise SandboxUnavailable(
                "A command needs a scratch directory and processes of its own, and there are none here: "
                f"{self._zygote('worker').box.isolation.reason}. Next step: see python -m nlrl.sandbox."
            )
        order: dict[str, object] = {"words": list(words), "files": dict(files)}
        return await self._run(lambda: self._streamed("command", order, stdin, limits))

    async def run_tests(
        self, source: str, tests: CodeTests, checks: Sequence[str | InputOutput], limits: Limits
    ) -> TestReport:
        """All checks against one program, in order."""
        kind = self._zygote("worker").box.isolation.kind
        if language := foreign_language(source):
            foreign = TestOutcome.ERROR, f"the program is {language}, and only Python is run"
            return TestReport(False, tuple(TestResult(name_of(check), *foreign) for check in checks), 0.0, kind)
        if not checks:
            return TestReport(False, (), 0.0, kind)
        return await self._run(lambda: self._judged(source, tests, checks, limits, kind))

    async def _judged(
        self, source: str, tests: CodeTests, checks: Sequence[str | InputOutput], limits: Limits, kind: str
    ) -> TestReport:
        start = time.perf_counter()
        texts = [check for check in checks if isinstance(check, str)]
        pairs = [check for check in checks if isinstance(check, InputOutput)]
        stated = iter(await self._stated(source, tests, texts, limits) if texts else ())
        printed = iter(await self._pairs(source, tests.prelude, pairs, limits))
        results = tuple(next(stated if isinstance(check, str) else printed) for check in checks)
        passed = all(r.outcome is TestOutcome.PASSED for r in results)
        return TestReport(passed, results, time.perf_counter() - start, kind)

    async def _stated(self, source: str, tests: CodeTests, checks: list[str], limits: Limits) -> tuple[TestResult, ...]:
        if missing := missing_imports([tests.setup, *checks], self._visible):  # before anything is run
            return invalid_results(checks, missing_message(missing))
        if language := next(filter(None, map(foreign_language, [tests.setup, *checks])), ""):
            return invalid_results(checks, f"the tests are {language}, and only Python is run")
        order: dict[str, object] = {"setup": tests.setup, "checks": checks, "entry_point": tests.entry_point}
        program: dict[str, object] = {"source": source, "prelude": tests.prelude}
        return await self._tests(program, order, checks, limits)

    async def _pairs(
        self, source: str, prelude: str, pairs: list[InputOutput], limits: Limits
    ) -> tuple[TestResult, ...]:
        """One run of the whole program for each; the bounds hold for each, and what is out of time is not run again."""
        results: list[TestResult] = []
        late = False
        for pair in pairs:
            if late:
                results.append(TestResult(name_of(pair), TestOutcome.TIMEOUT, "not run: out of time before"))
                continue
            room = replace(limits, output_bytes=max(limits.output_bytes, 2 * len(pair.stdout)))
            result = printed_result(pair, await self._python(source, pair.stdin, room, prelude), limits)
            late = result.outcome is TestOutcome.TIMEOUT
            results.append(result)
        return tuple(results)

    async def _run(self, once: Callable[[], Awaitable[T]]) -> T:
        async with self._slots:
            why = ""
            for _ in range(_TRIES):
                try:
                    return await once()
                except BoxLost as lost:
                    why = str(lost)
            raise SandboxUnavailable(
                f"The sandbox failed {_TRIES} times in a row and the code was not judged: {why}. "
                "Next step: look for a lack of memory, processes or open files on this machine."
            )

    def _zygote(self, side: str) -> ZygoteClient:
        zygote = self._zygotes.get(side)
        if zygote is not None and zygote.lost:
            zygote.close()
            zygote = None
        if zygote is None:
            box = start_box(self._kind, self._visible)
            zygote = self._zygotes[side] = ZygoteClient(box, asyncio.get_running_loop())
        return zygote

    async def _python(self, source: str, stdin: str, limits: Limits, prelude: str = "") -> RunResult:
        return await self._streamed("script", {"source": source, "prelude": prelude}, stdin, limits)

    async def _streamed(self, kind: str, order: dict[str, object], stdin: str, limits: Limits) -> RunResult:
        """A job with standard streams."""
        start = time.perf_counter()
        zygote = self._zygote("worker")
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        given = memory_file(stdin.encode("utf-8", "surrogatepass"), "stdin")
        jobs: list[Job] = []
        timed_out = False
        with contextlib.closing(PipeReader([out, err], limits.output_bytes)) as reader:
            try:
                try:
                    jobs.append(await zygote.send(kind, order, limits, [given, out_end, err_end]))
                finally:
                    for fd in (given, out_end, err_end):
                        os.close(fd)
                with contextlib.suppress(TimeoutError):
                    timed_out = True
                    async with asyncio.timeout(limits.wall_s):
                        await reader.finished
                        if not reader.overflow:  # a program may close its streams and go on
                            await asyncio.shield(jobs[0].ended)
                    timed_out = False
            finally:
                ends = await self._end(jobs)
        outcome = run_outcome(ends[0], limits, timed_out=timed_out, overflow=reader.overflow, stderr=reader.text(1))
        return RunResult(reader.text(0), reader.text(1), ends[0].status, outcome, time.perf_counter() - start)

    async def _tests(
        self, program: dict[str, object], order: dict[str, object], checks: Sequence[str], limits: Limits
    ) -> tuple[TestResult, ...]:
        workers, judges = self._zygote("worker"), self._zygote("judge")
        worker_end, judge_end = socket.socketpair()
        report, report_end = os.pipe()
        jobs: list[Job] = []
        timed_out = False
        with contextlib.closing(PipeReader([report], _REPORT_BYTES)) as reader:
            try:
                with worker_end, judge_end:
                    try:
                        jobs.append(await workers.send("worker", program, limits, [worker_end.fileno()]))
                        jobs.append(await judges.send("judge", order, limits, [judge_end.fileno(), report_end]))
                    finally:
                        os.close(report_end)
                with contextlib.suppress(TimeoutError):
                    timed_out = True
                    async with asyncio.timeout(limits.wall_s):
                        await reader.finished
                    timed_out = False
            finally:
                ends = await self._end(jobs)
        return test_results(checks, bytes(reader.data[0]), ends[0], ends[1], limits, timed_out=timed_out)

    async def _end(self, jobs: list[Job]) -> list[JobEnd]:
        """Kill what still runs and wait until it is gone; also when the run was cancelled."""
        for job in jobs:
            job.kill()
        if not jobs:
            return []
        try:
            async with asyncio.timeout(_END_S):
                await asyncio.wait([job.ended for job in jobs])
                return [job.ended.result() for job in jobs]
        except TimeoutError:
            raise BoxLost(f"a killed job was not gone after {_END_S:g} s") from None
