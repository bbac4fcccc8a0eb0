"""What is kept can be found, counted, handed out, and is gone when it is deleted: from the bytes of the file too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import UserError
from nlrl.server.observe.labels import panel_lines
from nlrl.server.observe.recent import MOST, Recent
from nlrl.server.observe.records import Attempt, Record, Records, without_texts


def made(id: str, **fields: object) -> Record:
    attempts = [Attempt("s0", 5, "stop", answer="42", text=f"secret of {id}", chosen=True)]
    given = {"at": time.time(), "question": f"question of {id}", "answer": "42", "attempts": attempts, **fields}
    return Record(id=id, **given)  # type: ignore[arg-type]


def bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))


def test_a_record_comes_back_as_it_was_also_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with Records(path) as records, Records(path) as elsewhere:
        records.put(made("a", prompt_tokens=3, cost=0.5, thumb=1))
        records.put(made("a", prompt_tokens=3, completion_tokens=9, cost=0.5))
        assert elsewhere.get("a") == records.get("a")
        assert elsewhere.totals().completion_tokens == 9 and elsewhere.totals().requests == 1
        assert elsewhere.get("b") is None
    assert path.stat().st_mode & 0o077 == 0


@pytest.fixture(params=["file", "memory"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records | Recent]:
    """Both stores: what is true of one is true of the other."""
    if request.param == "memory":
        yield Recent()
        return
    with Records(tmp_path / "requests.sqlite") as found:
        yield found


def test_pages_are_whole_and_in_order(records: Records | Recent) -> None:
    for n in range(25):
        records.put(made(f"r{n}", key="a" if n % 2 else "b"))
    assert [r.id for r in records.list(limit=3)] == ["r24", "r23", "r22"]
    seen: list[str] = []
    before = None
    while page := records.list(limit=4, before=before, key="a"):
        seen += [r.id for r in page]
        before = page[-1].id
    assert seen == [f"r{n}" for n in range(23, 0, -2)]
    assert records.list(limit=5, before="unknown") == []


def test_memory_is_bounded_and_keeps_the_newest() -> None:
    records = Recent()
    for n in range(MOST + 20):
        records.put(made(f"r{n}"))
    assert records.totals().requests == MOST and records.get("r0") is None
    assert records.list(limit=1)[0].id == f"r{MOST + 19}"


def test_what_is_erased_is_gone_from_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with Records(path) as records:
        for n in range(300):
            records.put(made(f"r{n}", user="u1" if n % 3 else "u2", key=f"k{n % 2}"))
        assert b"secret of r1" in bytes_of(path)
        assert [r.id for r in records.each(user="u2")] == [f"r{n}" for n in range(0, 300, 3)]
        assert records.erase(user="u1") == 200 and records.count() == 100
        assert b'secret of r1"' not in bytes_of(path) and b"question of r299" not in bytes_of(path)
        assert b'secret of r3"' in bytes_of(path)
        assert records.erase(user="u1") == 0


def test_old_records_are_purged_and_texts_can_go_first(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    now = time.time()
    with Records(path) as records:
        records.put(made("old", at=now - 100))
        records.put(made("new", at=now))
        assert records.forget_texts(before=now - 50) == 1
        assert records.get("old") == without_texts(made("old", at=now - 100))
        assert b"secret of old" not in bytes_of(path) and b"secret of new" in bytes_of(path)
        assert records.forget_texts(before=now - 50) == 0
        assert records.erase(before=now - 50) == 1 and [r.id for r in records.each()] == ["new"]


def test_sums_are_of_what_is_there(records: Records | Recent) -> None:
    day = time.time()
    records.put(made("a", key="x", at=day, prompt_tokens=1, completion_tokens=2, state="failed"))
    records.put(made("b", key="x", at=day, prompt_tokens=10, cost=0.25))
    records.put(made("c", key="y", at=day - 86_400 * 40, completion_tokens=7))
    assert {key: (s.requests, s.failed, s.tokens, s.cost) for key, s in records.by_key().items()} == {
        "x": (2, 1, 13, 0.25),
        "y": (1, 0, 7, 0.0),
    }
    assert list(records.by_key("y")) == ["y"] and records.totals("x").tokens == 13
    assert records.by_day() == [
        {"day": time.strftime("%Y-%m-%d", time.gmtime(day)), "key": "x", "requests": 2, "tokens": 13}
    ]


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There are no records"):
        Records(tmp_path / "nothing.sqlite", create=False)
    (tmp_path / "x.sqlite").write_text("not a database, but long enough to be looked at as one" * 20)
    with pytest.raises(UserError, match="cannot be used"):
        Records(tmp_path / "x.sqlite")


@given(st.text(st.characters(exclude_categories=("Cs",))), st.none() | st.integers(-1, 1))
def test_any_text_survives(text: str, thumb: int | None) -> None:
    record = made("a", question=text, thumb=thumb, user=text)
    with TemporaryDirectory() as beside, Records(Path(beside) / "r.sqlite") as records:
        records.put(record)
        assert records.get("a") == record
        assert [r.id for r in records.each(user=text)] == ["a"]


def test_labels_are_questions_with_a_known_answer() -> None:
    told = made("up", thumb=1, question="q1", task="math")
    corrected = made("down", thumb=-1, question="q2", reference="43")
    only_down = made("down alone", thumb=-1, question="q3")
    bare = without_texts(made("bare", thumb=1))
    again = made("again", thumb=-1, question="q1", reference="41")
    rows, left_out = panel_lines([told, corrected, only_down, bare, made("nobody said")])
    lines = [msgspec.json.decode(row) for row in rows]
    assert [(line["question"], line["reference"]) for line in lines] == [("q1", "42"), ("q2", "43")]
    assert lines[0]["samples"][0] == {"answer": "42", "tokens": 5, "text": "secret of up", "finish": "stop"}
    assert left_out == 2
    rows, _ = panel_lines([told, again])
    assert [msgspec.json.decode(row)["reference"] for row in rows] == ["41"]


def test_a_list_is_in_short_whatever_the_records_hold(records: Records | Recent) -> None:
    records.put(made("a", question="q" * 5000, text="t" * 5000, notes=["n" * 5000]))
    (short,) = records.list()
    assert len(short.question or "") == 301 and short.text is None and not short.attempts and not short.notes
    assert len((records.get("a") or short).text or "") == 5000


def test_without_texts_nothing_is_left_that_may_quote_one() -> None:
    attempts = [Attempt("s0", 5, "error", error="bad prompt: my secret"), Attempt("s1", 5, "stop", text="my secret")]
    told = made("a", question="my secret", error="refused: my secret", notes=["1 of 2 failed: my secret"])
    told = msgspec.structs.replace(told, attempts=attempts, text="my secret", reference="my secret", answer="my secret")
    bare = without_texts(told)
    assert b"secret" not in msgspec.json.encode(bare) and [a.tokens for a in bare.attempts] == [5, 5]
