"""The record file: torn ends, damaged lines, hostile text, a full disk."""

from __future__ import annotations

import errno
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import BankError, DataError, UserError
from nlrl.evaluation.record_log import RecordLog, outcome
from nlrl.evaluation.records import (
    SCHEMA,
    AnswerRecord,
    Attempt,
    Failure,
    ProblemRecord,
    Record,
    encode,
    latest,
    read_records,
)


def _record(row: int = 0, strategy: str = "direct", text: str = "hello", **more) -> Record:
    problem = ProblemRecord(f"id{row}", "What?", "42", "math")
    attempt = Attempt("s0", text, "42", True, "right", tokens=3, gists=((5, 2, -0.1, 0.5),))
    answer = AnswerRecord("42", text, 0.5, "s0", verdict="right")
    return Record(row, problem, strategy, "m", attempts=(attempt,), answer=answer, **more)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "records.jsonl"
    with RecordLog(path) as log:
        log.append(_record(0))
        log.append(_record(1))
        assert set(log.done) == {("id0", "direct"), ("id1", "direct")}
    assert list(read_records(path)) == [_record(0), _record(1)]


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text_makes_one_readable_line(text):
    line = encode(_record(text=text))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    read = msgspec.json.decode(line, type=Record).attempts[0].text
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert read == text


def test_a_torn_end_is_cut_off_and_the_record_redone(tmp_path):
    path = tmp_path / "records.jsonl"
    with RecordLog(path) as log:
        log.append(_record(0))
        log.append(_record(1))
    whole = path.read_bytes()
    for cut in [*range(1, len(encode(_record(1))), 9), len(encode(_record(1))) - 1]:
        path.write_bytes(whole[:-cut])
        assert [r.row for r in read_records(path)] == [0]
        with RecordLog(path) as log:
            assert log.dropped == len(encode(_record(1))) - cut
            assert set(log.done) == {("id0", "direct")}
            log.append(_record(1))
        assert path.read_bytes() == whole


@pytest.mark.parametrize("damage", [b"not json\n", b"{}\n", b'{"row": "x"}\n', b"\xff\xfe\n", b"\n", b"[1]\n"])
def test_a_damaged_line_in_the_middle_is_named(tmp_path, damage):
    path = tmp_path / "records.jsonl"
    path.write_bytes(encode(_record(0)) + damage + encode(_record(1)))
    with pytest.raises(DataError, match=r"records\.jsonl:2: .*Remove the line"):
        list(read_records(path))
    with pytest.raises(DataError, match=r":2: "):
        RecordLog(path)


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(encode(_record(0, v=SCHEMA + 1)))
    with pytest.raises(DataError, match="newer nlrl"):
        list(read_records(path))


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="no records"):
        list(read_records(tmp_path / "nothing.jsonl"))


def test_a_failed_record_is_not_done_and_a_later_one_counts(tmp_path):
    path = tmp_path / "records.jsonl"
    with RecordLog(path) as log:
        log.append(_record(0, error=Failure("ModelUnavailable", "down")))
        assert not log.done
    with RecordLog(path) as log:
        assert not log.done
        log.append(_record(0))
    kept = latest(read_records(path))
    assert len(kept) == 1
    assert kept[0].error is None


def test_outcomes_count_verdicts():
    assert outcome(_record())[1:] == (1, 1, False)
    assert outcome(_record(error=Failure("X", "y")))[1:] == (0, 1, True)
    unsure = msgspec.structs.replace(_record(), answer=AnswerRecord(verdict="abstain"))
    assert outcome(unsure)[1:] == (0, 0, False)
    panel = msgspec.structs.replace(_record(strategy="panel"), answer=None)
    assert outcome(panel)[1:] == (1, 1, False)


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "records.jsonl"
    real = os.write
    with RecordLog(path) as log:
        log.append(_record(0))
        calls = []

        def write(file, data):
            calls.append(len(data))
            if len(calls) > 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(file, data[: len(data) // 2])  # the kernel takes what still fits

        monkeypatch.setattr(os, "write", write)
        with pytest.raises(BankError, match=r"No space left.*1 are safe.*run the same command again"):
            log.append(_record(1))
        monkeypatch.undo()
    assert path.read_bytes() == encode(_record(0))


def test_gists_are_pieces_of_the_text():
    whole = Attempt("s0", "one\ntwo\n", gists=((4, 1, None, 0.1), (4, 1, -1.0, 0.2)))
    assert [piece for piece, *_ in whole.pieces()] == ["one\n", "two\n"]
    apart = Attempt("s0", "one", gists=(("other", 1, None, 0.1),))
    assert [piece for piece, *_ in apart.pieces()] == ["other"]
