"""Recorded traces of a reasoning model, published with a repository, as panels that `stopping.py` reads.

    python benchmarks/equipment/recorded_traces.py --repository DIR --out DIR      # writes gemma-a.jsonl, gemma-b.jsonl

DIR is a clone of github.com/tobypullan/logit_cot_overthinking: traces of gemma-4-12B-it with thinking on questions of
MMLU-Pro and GPQA Diamond with up to ten options, ten seeds each, and for every trace what it would have answered at
each tenth of its length (2601.23163's protocol). The repository has no licence, so its files are read where they are
and nothing of them is kept here.

What to know of them: the questions were *chosen*, as ones on which a trace was once right and ended wrong and others
matched to them, so that they are no sample of either data set. Tenths of a trace's own length cannot be known while it
runs, and would tell how long it will be: the answers are therefore put on a grid of `GRID` tokens, where each point has
the last answer looked at before it. A look where less than half of the next token's probability is on options counts as
no answer. Questions are put into the two files by a hash of their text.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nlrl.core import Finish
from nlrl.evaluation.panels import Probe, Row, Sample

FOLDERS = (
    "outputs/candidate_reruns_gemma4_12b_extended/mmlu_pro",
    "outputs/candidate_reruns_gemma4_12b_extended/gpqa_diamond",
    "outputs/matched_controls_gemma4_12b_extended/mmlu_pro",
)
SEEDS = range(10)
GRID = 500  # tokens between two looks
MASS = 0.5
CHARS_A_TOKEN = 4  # prompts were published as text alone


def looks(tenths: Sequence[dict[str, Any]], length: int) -> tuple[Probe, ...]:
    """The answers on the grid, by the last tenth looked at before."""
    known = sorted(tenths, key=lambda row: row["prefix_token_count"])
    found = []
    for at in range(GRID, length, GRID):
        before = [row for row in known if row["prefix_token_count"] <= at]
        last = before[-1] if before else None
        sure = last is not None and last["choice_probability_mass"] >= MASS
        found.append(Probe(at, last["prediction"] if last and sure else None))
    return tuple(found)


def rows(repository: Path) -> Iterator[Row]:
    """A panel for each question that has all seeds."""
    import pyarrow.parquet as parquet

    for folder in FOLDERS:
        traces: dict[str, list[dict[str, Any]]] = {}
        tenths: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for seed in SEEDS:
            here = repository / folder / f"seed_{seed}"
            if not (here / "traces.jsonl").exists():
                continue
            for line in (here / "traces.jsonl").read_bytes().splitlines():
                trace = msgspec.json.decode(line)
                traces.setdefault(trace["question_id"], []).append(trace)
            columns = ["question_id", "prefix_token_count", "choice_probability_mass", "prediction"]
            for row in parquet.read_table(here / "trajectory.parquet", columns=columns).to_pylist():
                tenths.setdefault((row["question_id"], seed), []).append(row)
        for question, some in traces.items():
            if len(some) == len(SEEDS):
                yield Row(
                    question=f"{some[0]['question']}\n" + "\n".join(some[0]["options"]),
                    problem_id=f"{folder.split('/')[1].split('_gemma')[0]}/{folder.split('/')[2]}/{question}",
                    reference=some[0]["answer"],
                    source=folder,
                    prompt_tokens=len(some[0]["prompt"]) // CHARS_A_TOKEN,
                    samples=tuple(
                        Sample(
                            tokens=trace["generated_token_count"],
                            answer=trace["generated_answer"],
                            finish=Finish.LENGTH if trace["truncated"] else Finish.STOP,
                            probes=looks(tenths.get((question, trace["run_seed"]), []), trace["trace_token_count"]),
                        )
                        for trace in some
                    ),
                )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    halves: dict[str, list[Row]] = {"a": [], "b": []}
    seen = set()
    for row in rows(args.repository):
        if row.question not in seen:  # a question may stand among the candidates and the controls
            seen.add(row.question)
            halves["ab"[hashlib.sha256(row.question.encode()).digest()[0] % 2]].append(row)
    for half, some in halves.items():
        (args.out / f"gemma-{half}.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in some))
        right = sum(s.answer == row.reference for row in some for s in row.samples)
        tokens = sum(s.tokens for row in some for s in row.samples)
        every = sum(len(row.samples) for row in some)
        print(
            f"gemma-{half}: {len(some)} questions, {every} traces, {100 * right / every:.1f} % right, "
            f"{tokens / every:.0f} tokens each"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
