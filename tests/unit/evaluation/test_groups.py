"""A `group` in the data reaches the intervals, by every way that problems travel."""

from __future__ import annotations

import asyncio
import json

from nlrl.bank import Bank
from nlrl.core import Problem, blind
from nlrl.evaluation import RunConfig, export_panels, import_panels, latest, read_records, run_benchmark
from nlrl.evaluation.config import RECORDS
from nlrl.evaluation.summary import summarise
from nlrl.scaling.cells import replay_cells
from nlrl.tasks import load_problems
from nlrl.testing.scripted import StochasticModel


def test_a_column_named_group_is_the_cluster_and_no_part_of_what_is_asked(tmp_path):
    rows = [{"question": f"What is {i} + 1?", "answer": str(i + 1), "group": i // 2} for i in range(4)]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in [*rows, {"question": "What is 9 + 9?", "answer": "18"}]))
    problems = list(load_problems(str(path)))
    assert [p.group for p in problems] == ["0", "0", "1", "1", ""]
    plain = [{name: value for name, value in row.items() if name != "group"} for row in rows]
    path.write_text("\n".join(map(json.dumps, plain)))
    assert [p.id for p in load_problems(str(path))] == [p.id for p in problems[:4]]
    assert blind(problems[2]).group == "1"


def test_runs_calibrations_and_panels_keep_it(tmp_path):
    problems = [Problem(f"What is {i} + 1?", str(i + 1), group=f"g{i // 2}") for i in range(4)]
    model = StochasticModel(problems, p_correct=0.7)

    async def run():
        with Bank() as bank:
            config = RunConfig(strategies=("direct",), samples=2)
            await run_benchmark(config, model, problems, bank=bank, out_dir=tmp_path / "run", handle_signals=False)
            cells = await replay_cells(problems, model, bank, ["direct"])
            await export_panels(bank, tmp_path / "run", tmp_path / "panel.jsonl")
            await import_panels(tmp_path / "panel.jsonl", bank, "again")
            return cells, bank.problems("again")

    cells, again = asyncio.run(run())
    assert cells.groups == ("g0", "g0", "g1", "g1")
    assert cells.columns([1, 2]).groups == ("g0", "g1")
    assert [p.group for p in again] == ["g0", "g0", "g1", "g1"]
    records = latest(read_records(tmp_path / "run" / RECORDS))
    assert {r.problem.id: r.problem.group for r in records} == {p.id: p.group for p in problems}
    assert summarise(records).domains[0].clusters == 2
