"""The worker's line protocol, spoken by hand."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_worker_answers_line_by_line_and_ends_with_its_input() -> None:
    lines = [["\\frac{1}{2}", "0.5"], ["2", "3"], ["{{{", "1"], "not a pair", ["", ""]]
    done = subprocess.run(
        [sys.executable, "-m", "nlrl.rewards._symbolic_worker"],
        input="\n".join(json.dumps(line) for line in lines) + "\nnot json\n",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[:3] == ["ready", True, False]
    assert len(answers) == 1 + len(lines) + 1
    assert answers[-3] is None and answers[-1] is None  # what is no pair cannot be told
