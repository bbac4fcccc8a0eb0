"""What people have said of answers, as a panel: questions with their right answers and the attempts at them.

rows, left_out = panel_lines(records.each())          # lines for `nlrl bank import`

A thumb up says that the answer was right, so it is the reference; a person may also have told the right answer. A
thumb down alone tells no reference. Liked answers are not a fair sample of questions: calibrate on them what you serve
to those who gave them, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nlrl.server.observe.origin import origin_text
from nlrl.server.observe.records import Record


def panel_lines(records: Iterable[Record]) -> tuple[list[bytes], int]:
    """The lines, one a question (the latest label counts), and how many labels could not be used."""
    found: dict[str, bytes] = {}
    left_out = 0
    for record in records:
        if record.thumb is None and record.reference is None:
            continue
        right = record.reference or (record.answer if record.thumb == 1 else None)
        samples = [
            {"answer": a.answer, "tokens": a.tokens, "text": a.text, "finish": a.finish}
            for a in record.attempts
            if a.error is None and a.text is not None
        ]
        if right is None or not record.question or not samples:
            left_out += 1
            continue
        row = {
            "question": record.question, "reference": right, "task_type": record.task, "source": origin_text(record),
            "samples": samples,
        }  # fmt: skip
        found[record.question] = msgspec.json.encode(row) + b"\n"
    return list(found.values()), left_out
