"""The sandbox as others use it: an async face, a sync face, and one shared by the whole process.

    async with Sandbox() as sandbox:
        report = await sandbox.run_tests("def add(a, b): return a + b", CodeTests(("assert add(1, 2) == 3",)))
        result = await sandbox.run_python("print(input()[::-1])", stdin="abc")

    run_code_tests("def add(a, b): return a - b", "assert add(1, 2) == 3").first_failure

All work is done on one event loop in a thread of its own, so a sandbox may be used from any thread and any event
loop, one after the other or at once. The thread also keeps the boxes alive: they end with it.
"""

from __future__ import annotations

import ast
import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal, TypeVar

from nlrl.core import CodeTests
from nlrl.sandbox.engine import Engine
from nlrl.sandbox.limits import Limits
from nlrl.sandbox.packages import missing_imports, visible_packages
from nlrl.sandbox.results import Isolation, RunResult, TestReport

T = TypeVar("T")
Which = Literal["all", "public"]


class Sandbox:
    """Runs generated code apart from everything else.

    limits     default bounds of a run
    workers    runs at once (default: one a processor); more wait for their turn
    isolation  "bubblewrap" or "landlock" to insist on one; None takes the better one that works
    packages   what programs and tests may import beside the standard library, read-only: names of installed packages
               ("numpy"), or folders of modules; by default none
    preload    modules to import once instead of in each run; named packages are anyway
    programs   paths of programs for `run_command`, and of further files and folders that they need

    Boxes start at the first run. Close it (or use `with`, `async with`), or it ends with the process.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        workers: int | None = None,
        *,
        isolation: Literal["bubblewrap", "landlock"] | None = None,
        packages: Sequence[str] = (),
        preload: Sequence[str] = (),
        programs: Sequence[str] = (),
    ):
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        self.limits = limits or Limits()
        self._workers = workers or os.cpu_count() or 1
        self._settings = (isolation, visible_packages(packages, preload, programs))
        self._lock = threading.Lock()
        self._thread: _LoopThread | None = None
        self._engine = Engine(self._workers, *self._settings)
        self._closed = False

    def missing_imports(self, tests: CodeTests) -> list[str]:
        """Packages that the tests import and that this sandbox does not show: with these they cannot be run."""
        texts = [check for check in tests.checks if isinstance(check, str)]
        return missing_imports([tests.setup, *texts], self._settings[1])

    async def run_python(self, source: str, *, stdin: str = "", limits: Limits | None = None) -> RunResult:
        """Run a whole program as `__main__`. Raises SandboxUnavailable where there is no isolation."""
        return await self._here(self._started().run_python(source, stdin, limits or self.limits))

    async def run_command(
        self,
        words: Sequence[str],
        *,
        files: Mapping[str, str] | None = None,
        stdin: str = "",
        limits: Limits | None = None,
    ) -> RunResult:
        """Run one of the `programs`, with these files in its directory. Give it `Limits(processes=...)` above 1.

        Raises SandboxUnavailable where there are no walls around single jobs.
        """
        return await self._here(self._started().run_command(words, files or {}, stdin, limits or self.limits))

    async def run_tests(
        self, solution: str, tests: CodeTests, *, which: Which = "all", limits: Limits | None = None
    ) -> TestReport:
        """Judge a program by `tests.checks`, or by `tests.public` only.

        The program never sees the tests: it gets the arguments of its calls and gives plain data back. Raises
        SandboxUnavailable where there is no isolation. Without a single test the report has not passed.
        """
        return await self._here(self._tests(solution, tests, which, limits))

    def isolation(self) -> Isolation:
        """How code is kept apart on this machine; starts a box if there is none. Raises SandboxUnavailable."""
        return self._away(self._started().isolation()).result()

    async def aclose(self) -> None:
        """End all boxes; runs under way are killed."""
        await asyncio.to_thread(self.close)

    async def __aenter__(self) -> Sandbox:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """The same as `aclose`, for code that is not async."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None and thread.pid == os.getpid():
            thread.stop(self._engine)

    def wait_for_tests(
        self, solution: str, tests: CodeTests, *, which: Which = "all", limits: Limits | None = None
    ) -> TestReport:
        """`run_tests` for code that is not async; works inside a running event loop too (and blocks it)."""
        return self._away(self._tests(solution, tests, which, limits)).result()

    def _tests(
        self, solution: str, tests: CodeTests, which: Which, limits: Limits | None
    ) -> Coroutine[Any, Any, TestReport]:
        checks = tests.public if which == "public" else tests.checks
        return self._started().run_tests(solution, tests, checks, limits or self.limits)

    def _started(self) -> Engine:
        with self._lock:
            if self._closed:
                raise RuntimeError("this sandbox is closed")
            if self._thread is None or self._thread.pid != os.getpid():  # a forked child has no such thread
                if self._thread is not None:
                    _left_behind.append((self._thread, self._engine))
                    self._engine = Engine(self._workers, *self._settings)
                self._thread = _LoopThread()
                _in_use.add(self)
            return self._engine

    def _away(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        with self._lock:
            thread = self._thread
        if thread is None:
            work.close()
            raise RuntimeError("this sandbox is closed")
        return asyncio.run_coroutine_threadsafe(work, thread.loop)

    async def _here(self, work: Coroutine[Any, Any, T]) -> T:
        # Cancelling the awaiting task cancels the future, and that cancels the work on its own loop.
        return await asyncio.wrap_future(self._away(work))


class _LoopThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="nlrl-sandbox", daemon=True)
        self._thread.start()

    def stop(self, engine: Engine) -> None:
        """Cancel what runs, end the boxes, end the thread."""

        async def end() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            engine.close()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


_left_behind: list[Any] = []
"""In a forked child: the parent's loop and engine. Kept, since tidying them away would unregister its sockets too."""

_in_use: weakref.WeakSet[Sandbox] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for sandbox in list(_in_use):
        sandbox.close()


_shared: Sandbox | None = None
_shared_packages: tuple[str, ...] = ()
_shared_lock = threading.Lock()


def default_sandbox() -> Sandbox:
    """The sandbox of this process, made at the first call and closed at exit."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = Sandbox(packages=_shared_packages)
        return _shared


def show_packages(packages: Sequence[str]) -> None:
    """Let the programs and tests of `default_sandbox` import these. Raises UserError for what is not installed."""
    global _shared, _shared_packages
    visible_packages(packages)
    with _shared_lock:
        if tuple(packages) != _shared_packages and _shared is not None:
            _shared.close()
            _shared = None
        _shared_packages = tuple(packages)


def isolation() -> Isolation:
    """How generated code is kept apart on this machine. Raises SandboxUnavailable where it cannot be."""
    return default_sandbox().isolation()


def run_code_tests(
    code: str,
    tests: CodeTests | str | Sequence[str],
    *,
    entry_point: str | None = None,
    which: Which = "all",
    limits: Limits | None = None,
    sandbox: Sandbox | None = None,
) -> TestReport:
    """Judge generated code by tests, isolated; blocks until done. The report is true where all tests passed.

    tests  CodeTests, assert statements one by one, or one text of them (or of a HumanEval-style `check` function)
    Raises SandboxUnavailable where there is no isolation: code is never run bare.
    """
    if not isinstance(tests, CodeTests):
        tests = CodeTests(split_tests(tests) if isinstance(tests, str) else tuple(tests), entry_point=entry_point)
    return (sandbox or default_sandbox()).wait_for_tests(code, tests, which=which, limits=limits)


def split_tests(source: str) -> tuple[str, ...]:
    """A text of tests as single checks: each assert with the statements before it. With definitions it stays whole."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        body = ast.parse(source).body
        if any(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for node in body):
            return (source,)
        checks: list[str] = []
        pending = ""
        for node in body:
            pending += (ast.get_source_segment(source, node) or "") + "\n"
            if isinstance(node, ast.Assert):
                checks.append(pending.strip())
                pending = ""
        if pending.strip() and checks:
            checks[-1] += "\n" + pending.strip()  # what follows the last assert is no test by itself
        return tuple(checks) if checks or not source.strip() else (source,)
    return (source,)
