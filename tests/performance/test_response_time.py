"""Response time as far as it is no matter of the machine's mood: what waits beside what, and how the work grows.

Seconds decide nothing here but a bound that a stuck program would miss; figures are in `benchmarks/latency.py`,
`server_latency.py` and `server_throughput.py`, load is made by `locustfile.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from nlrl import run_tests
from nlrl.server import App, Catalog, serving
from nlrl.testing.scripted import Reply, ScriptedModel

WAIT_S, CLIENTS = 0.3, 24


@pytest.fixture
def url() -> Iterator[str]:
    """A server whose model takes its time for every answer, and no processor."""
    model = ScriptedModel(lambda request, index: Reply("Final Answer: 42", seconds=WAIT_S))
    with serving(App(Catalog({"slow": model}))) as address:
        yield address


def ask(url: str, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "What is 17 + 25?"}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60, verify=False)
    return answer.raise_for_status().json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("model", ["slow", "self_consistency(n=8)@slow"])
def test_clients_do_not_wait_for_each_other(url: str, model: str) -> None:
    """One after the other these would take 7 seconds, and a vote's eight draws in turn 58."""
    assert "42" in ask(url, model)
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda _: ask(url, model), range(CLIENTS)))
    assert time.monotonic() - began < CLIENTS * WAIT_S / 2
    assert all("42" in answer for answer in answers)


def test_fifty_rows_take_their_time_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requirement 9.4's example: fifty sums, all right, far within its minute; by processor time."""
    monkeypatch.chdir(tmp_path)
    rows = [{"problem": "Solve 2 + 2.", "answer": "4"}] * 50
    model = ScriptedModel(lambda request, index: "2 + 2 = 4\nFinal Answer: 4")
    began = time.process_time()
    results = run_tests(model, None, {"MathTest": rows}, {"math": lambda text: 1.0 if "4" in text else 0.0})
    assert time.process_time() - began < 20
    assert [row["is_correct"] for row in results] == [True] * 50
