"""Rows out of files."""

from nlrl.core import DataError
from nlrl.tasks.files import read_rows


def test_a_byte_that_is_no_text_spoils_its_line_only(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"question": "a"}\n{"question": "\xff"}\n{"question": "caf\xc3\xa9"}\n')
    rows = list(read_rows(file))
    assert rows[0] == (1, {"question": "a"}) and rows[2] == (3, {"question": "caf\u00e9"})
    assert isinstance(rows[1][1], DataError) and ".jsonl:2:" in str(rows[1][1]) and "UTF-8" in str(rows[1][1])
