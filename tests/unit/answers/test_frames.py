"""Answers in the sentences of models, written by people: each is read back, but for those that are listed.

python tests/unit/answers/test_frames.py        # lists anew what is not read back
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from nlrl.answers import default_equivalence, extract_answer
from nlrl.core import Problem, TaskType

ROOT = Path(__file__).parents[3] / "benchmarks" / "data" / "extraction"
MISSED = Path(__file__).parents[2] / "data" / "frames_not_read.json"
MATH = Problem("What is the answer?", task_type=TaskType.MATH)
PER_TAIL = 6  # golds tried behind each frame and tail


def lines(name: str) -> list[dict]:
    return [json.loads(line) for line in (ROOT / name).read_text("utf-8").splitlines()]


def texts():
    """(name, text, gold): a frame with one of its tails, and an answer that suits both."""
    golds = lines("others_golds.jsonl") + lines("own_golds.jsonl")
    for file in ("others_frames.jsonl", "others_frames_2.jsonl", "own_frames.jsonl"):
        for frame in lines(file):
            plain = "{plain}" in frame["frame"]
            kinds = frame.get("tail_kinds", {}) | {"unit": frame.get("unit_kinds", ())}
            for tail in [*frame["tails"], "run_on"]:
                if tail == "approximation":
                    continue
                suit = [g for g in golds if tail not in kinds or g["kind"] in kinds[tail]]
                order = random.Random(f"{frame['id']} {tail}")
                for gold in order.sample(suit, min(PER_TAIL, len(suit))):
                    answer = gold["plain" if plain else "latex"]
                    text = frame["frame"].replace("{plain}", answer).replace("{latex}", answer)
                    text = text.replace("{tail}", frame["tails"].get(tail, ""))
                    text = text.replace("{end}", frame["run_on"] if tail == "run_on" else "")
                    yield f"{frame['id']}, {tail}: {answer}", text, answer


def missed() -> list[str]:
    equal = default_equivalence().equal_sync
    out = []
    for name, text, gold in texts():
        found = extract_answer(text, MATH)
        if not equal(found.answer, gold) or found.strict != ("Final Answer:" in text):
            out.append(f"{name} -> {found.answer} ({found.strict})")
    return out


def test_what_people_wrote_is_read_back() -> None:
    kept = json.loads(MISSED.read_text("utf-8"))
    assert missed() == kept["not read"]
    assert sum(1 for _ in texts()) == kept["of"] > 50 * len(kept["not read"])


def test_two_spellings_of_an_answer_are_equal_and_wrong_answers_are_not() -> None:
    equal = default_equivalence().equal_sync
    golds = lines("others_golds.jsonl")
    apart = [g["plain"] for g in golds if not equal(g["latex"], g["plain"])]
    assert apart == ["0.363636...", "R \\ {0}", "7:30 p.m."]  # not read as the same yet
    wrong = [
        (g[to], w) for g in golds for to, of in (("latex", "wrong"), ("plain", "wrong_plain")) for w in g.get(of, ())
    ]
    assert len(wrong) == 699 and [pair for pair in wrong if equal(*pair)] == []


if __name__ == "__main__":
    MISSED.write_text(json.dumps({"of": sum(1 for _ in texts()), "not read": missed()}, indent=0), "utf-8")
