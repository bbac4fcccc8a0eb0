"""Every attack, under every isolation that this machine offers. Contained: no pass, no breach, no canary touched,
no process left, and the sandbox still judges afterwards."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
from pathlib import Path

import pytest

from nlrl.core import CodeTests, SandboxUnavailable
from nlrl.sandbox import Limits, Sandbox
from nlrl.sandbox.attacks import ESCAPES, EXHAUSTIONS, FORGERIES, Attack, Range

PATIENT = Limits(wall_s=8.0, cpu_s=1.0, memory_bytes=256 << 20, scratch_bytes=4 << 20, output_bytes=1 << 18)
FAIR = Limits(wall_s=0.6, cpu_s=1.0, memory_bytes=256 << 20)
HASTY = Limits(wall_s=0.35, cpu_s=1.0, memory_bytes=256 << 20, scratch_bytes=4 << 20, output_bytes=1 << 18)


def breaches(kind: str, attacks: tuple[Attack, ...], limits: Limits) -> dict[str, str]:
    """What each attack achieved, by name; those that achieved nothing are left out."""

    async def run() -> dict[str, str]:
        with Range() as target:
            async with Sandbox(isolation=kind, workers=4) as sandbox:  # type: ignore[arg-type]
                right = CodeTests(("assert f(1) == 2",))
                try:
                    assert (await sandbox.run_tests("def f(x): return x + 1", right)).passed
                except SandboxUnavailable as error:
                    pytest.skip(str(error))
                walled = sandbox.isolation().walled
                tried = [a for a in attacks if walled or a.processes == 1]
                before = target.descendants()
                found = await asyncio.gather(*(target.attempt(sandbox, attack, limits) for attack in tried))
                left = await target.left_over(before)
                assert not left, f"left behind: {left}"
                assert (await sandbox.run_tests("def f(x): return x + 1", right)).passed
                assert not (await sandbox.run_tests("def f(x): return x", right)).passed
                return {attack.name: breach for attack, breach in zip(tried, found, strict=True) if breach}

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
def test_no_forgery_passes_a_single_test(kind: str) -> None:
    assert len(FORGERIES) >= 40
    assert breaches(kind, FORGERIES, FAIR) == {}


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
def test_no_escape_reaches_anything(kind: str) -> None:
    assert len(ESCAPES) >= 40
    assert breaches(kind, ESCAPES, PATIENT) == {}


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
def test_nothing_is_exhausted_or_outlives_its_time(kind: str) -> None:
    assert len(EXHAUSTIONS) >= 30
    assert breaches(kind, EXHAUSTIONS, HASTY) == {}


def test_the_range_notices_what_it_is_there_to_notice() -> None:
    """The attacks would be no proof if the canaries were dead."""
    with Range() as target:
        assert target.touched() == ""
        target._canary.write_text("changed")
        assert "changed" in target.touched()
    with Range() as target:
        (target._canary.parent / "new").touch()
        assert "made" in target.touched()
        (target._canary.parent / "new").unlink()
        with socket.create_connection(("127.0.0.1", int(target._words["port"]))):
            assert "arrived" in target.touched()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", f"\0{target._name}-datagram")
        assert "arrived" in target.touched()
        target._victim.kill()
        target._victim.wait()
        assert "killed" in target.touched()


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
def test_humaneval_reference_solutions_pass(kind: str) -> None:
    path = Path(os.environ.get("NLRL_DATA", "data")) / "humaneval" / "HumanEval.jsonl.gz"
    if not path.is_file():
        pytest.skip("set NLRL_DATA to a folder with humaneval/HumanEval.jsonl.gz")
    with gzip.open(path, "rt") as file:
        rows = [json.loads(line) for line in file]

    async def run() -> list[str]:
        async with Sandbox(isolation=kind) as sandbox:  # type: ignore[arg-type]
            reports = await asyncio.gather(
                *(
                    sandbox.run_tests(
                        row["prompt"] + row["canonical_solution"],
                        CodeTests((row["test"],), entry_point=row["entry_point"], setup=row["prompt"]),
                    )
                    for row in rows
                )
            )
        return [f"{row['task_id']}: {r.results}" for row, r in zip(rows, reports, strict=True) if not r.passed]

    assert asyncio.run(run()) == []
