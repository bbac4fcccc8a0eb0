"""Loops, threads, cancelling, closing, killing: nothing is left behind and nothing gets stuck."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nlrl.core import CodeTests
from nlrl.sandbox import Limits, Outcome, Sandbox, default_sandbox, run_code_tests
from nlrl.sandbox.attacks import Range

TESTS = CodeTests(("assert f(1) == 2",))
RIGHT = "def f(x): return x + 1"


def alive(pids: set[int]) -> set[int]:
    """Those of `pids` that still run (a zombie waits for somebody else, and runs no more)."""
    found: set[int] = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z":
            found.add(pid)
    return found


def wait_until_gone(pids: set[int], seconds: float = 5.0) -> set[int]:
    deadline = time.monotonic() + seconds
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return alive(pids)


def test_one_sandbox_from_many_loops_and_threads(sandbox: Sandbox) -> None:
    for _ in range(3):
        assert asyncio.run(sandbox.run_tests(RIGHT, TESTS)).passed
    passed: list[bool] = []

    def work() -> None:
        passed.append(asyncio.run(sandbox.run_tests(RIGHT, TESTS)).passed)
        passed.append(run_code_tests(RIGHT, TESTS, sandbox=sandbox).passed)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == [True] * 8


def test_the_default_sandbox_is_one() -> None:
    assert default_sandbox() is default_sandbox()
    assert run_code_tests(RIGHT, "assert f(1) == 2")


def test_cancelling_kills_at_once(sandbox: Sandbox) -> None:
    range_ = Range()
    run_code_tests(RIGHT, TESTS, sandbox=sandbox)
    before = range_.descendants()

    async def run() -> None:
        for coroutine in (
            sandbox.run_python("while True: pass"),
            sandbox.run_tests("while True: pass", TESTS),
            sandbox.run_tests("def f(x):\n    while True: pass", TESTS),
        ):
            task = asyncio.create_task(coroutine)
            await asyncio.sleep(0.15)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sandbox.run_python("import time; time.sleep(99)"), 0.1)
        assert not await range_.left_over(before)
        assert (await sandbox.run_tests(RIGHT, TESTS)).passed  # every place in the queue is free again

    asyncio.run(run())


def test_cancelling_before_the_start(sandbox: Sandbox) -> None:
    async def run() -> None:
        tasks = [asyncio.create_task(sandbox.run_tests(RIGHT, TESTS)) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(r, "passed", None) for r in results[1::2]] == [True] * 10
        assert all(isinstance(r, asyncio.CancelledError) for r in results[::2])

    asyncio.run(run())


def test_no_descriptor_thread_or_process_is_left() -> None:
    range_ = Range()

    def counts() -> tuple[int, int, set[int]]:
        return len(os.listdir("/proc/self/fd")), threading.active_count(), range_.descendants()  # noqa: PTH208

    before = counts()

    async def run() -> None:
        async with Sandbox(Limits(wall_s=0.5)) as sandbox:
            await sandbox.run_tests(RIGHT, TESTS)
            between = counts()
            for program in (RIGHT, "import os; os._exit(0)", "import time; time.sleep(9)", "("):
                await sandbox.run_tests(program, TESTS)
                await sandbox.run_python(program)
            assert not await range_.left_over(between[2])
            assert counts()[:2] == between[:2]

    with asyncio.Runner() as runner:
        runner.run(run())
        time.sleep(0.05)
    after = counts()
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 1  # asyncio.to_thread's own worker may idle
    assert after[2] <= before[2]


def test_closing_kills_what_runs_and_refuses_what_comes(opened: Callable[..., Sandbox]) -> None:
    async def run() -> None:
        sandbox = opened()
        task = asyncio.create_task(sandbox.run_python("while True: pass"))
        await asyncio.sleep(0.6)
        await sandbox.aclose()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(RuntimeError, match="closed"):
            await sandbox.run_python("")
        await sandbox.aclose()

    asyncio.run(run())


def test_closing_what_was_never_used(opened: Callable[..., Sandbox]) -> None:
    sandbox = opened()
    sandbox.close()
    with pytest.raises(RuntimeError, match="closed"):
        sandbox.wait_for_tests(RIGHT, TESTS)


def test_a_killed_zygote_is_replaced(opened: Callable[..., Sandbox]) -> None:
    sandbox = opened()
    assert run_code_tests(RIGHT, TESTS, sandbox=sandbox).passed
    for side in ("worker", "judge"):
        sandbox._engine._zygotes[side].box.process.kill()
        assert run_code_tests(RIGHT, TESTS, sandbox=sandbox).passed


def test_a_zygote_killed_in_the_middle_of_a_run(opened: Callable[..., Sandbox]) -> None:
    sandbox = opened()
    run_code_tests(RIGHT, TESTS, sandbox=sandbox)

    async def run() -> Outcome:
        task = asyncio.create_task(sandbox.run_python("import time; time.sleep(0.5)"))
        await asyncio.sleep(0.2)
        sandbox._engine._zygotes["worker"].box.process.kill()
        return (await task).outcome

    assert asyncio.run(run()) is Outcome.OK  # run again in a new box


def _in_a_child(queue: multiprocessing.Queue[bool]) -> None:
    queue.put(run_code_tests(RIGHT, TESTS).passed)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python 3.12 warns of forking with threads")
def test_a_forked_child_gets_boxes_of_its_own_and_leaves_the_parents_alone() -> None:
    assert run_code_tests(RIGHT, TESTS).passed
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_a_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30)
    child.join()
    assert run_code_tests(RIGHT, TESTS).passed


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
def test_a_killed_host_leaves_no_process_behind(kind: str) -> None:
    source = f"""
import asyncio
from nlrl.sandbox import Sandbox
from nlrl.core import CodeTests
sandbox = Sandbox(workers=4, isolation={kind!r})
async def main():
    await sandbox.run_tests("def f(x): return 1", CodeTests(("assert f(1) == 1",)))
    runs = [asyncio.create_task(sandbox.run_python("import time\\nwhile True: time.sleep(1)")) for _ in range(2)]
    runs.append(asyncio.create_task(sandbox.run_tests("while True: pass", CodeTests(("assert f(1) == 1",)))))
    await asyncio.sleep(0.5)
    print("running", flush=True)
    await asyncio.gather(*runs)
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as host:
        assert host.stdout is not None
        assert host.stderr is not None
        if host.stdout.readline() != "running\n":
            pytest.skip(host.stderr.read()[-300:])
        ours = Range().descendants()
        started = {pid for pid in ours if _has_ancestor(pid, host.pid)}
        assert len(started) >= 4
        os.kill(host.pid, signal.SIGKILL)
        host.wait()
    assert not wait_until_gone(started)


def _has_ancestor(pid: int, ancestor: int) -> bool:
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return False
        if pid == ancestor:
            return True
    return False
