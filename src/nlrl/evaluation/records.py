"""The file a benchmark leaves behind: one JSON line per (problem, strategy), only ever appended to.

    {"row":0,"problem":{"id":"3f0c...","question":"What is 17 + 25?",...},"strategy":"weighted_vote(n=8)",...,"v":1}

A line is written by one `write`, so a killed process leaves whole lines and at most one torn end, which is cut off
when the run is resumed. A strategy that failed leaves a record with `error`; when it is run again, the later line
counts. The fields are described in docs/reference/records.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from nlrl.core import DataError, UserError

SCHEMA = 1
PANEL = "panel"  # the strategy name of the attempts that were drawn for the curves

Key = tuple[str, str]


class ProblemRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The problem as asked. `domain` is what tables and plots group by, `group` the cluster that intervals go by."""

    id: str
    question: str
    reference: str | None = None
    task_type: str | None = None
    source: str = ""
    choices: tuple[str, ...] = ()
    group: str = ""

    @property
    def domain(self) -> str:
        """The task type, or "unknown"."""
        return self.task_type or "unknown"


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One candidate with its two judgements.

    gists    pieces of the text as it streamed: (length in characters of the next piece of `text`, tokens, mean
             logprob, seconds since the request); the piece itself instead of its length where they do not join to it
    strict   whether the answer stood where the prompt asked for it; None where there is no text to look at
    score    of the strategy's own verifier, which never saw the reference
    verdict  of the grader, which did
    by       who turned the grader's no into a yes: "second look", a model; "" where its rules decided
    """

    id: str
    text: str = ""
    answer: str | None = None
    strict: bool | None = None
    verdict: str = ""
    reason: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    path_tokens: int = 0
    finish: str = "stop"
    score: float | None = None
    score_verdict: str = ""
    score_reason: str = ""
    parents: tuple[str, ...] = ()
    reasoning: str = ""
    gists: tuple[tuple[int | str, int, float | None, float], ...] = ()
    by: str = ""

    def pieces(self) -> Iterator[tuple[str, int, float | None, float]]:
        """The gists with their texts."""
        at = 0
        for piece, tokens, logprob, seconds in self.gists:
            if isinstance(piece, int):
                piece, at = self.text[at : at + piece], at + piece
            yield piece, tokens, logprob, seconds


class AnswerRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the strategy answered, and the grader's verdict on it; `by` as in `Attempt`."""

    value: str | None = None
    text: str = ""
    confidence: float | None = None
    chosen: str | None = None
    stopped: str = "done"
    notes: tuple[str, ...] = ()
    strict: bool | None = None
    verdict: str = ""
    reason: str = ""
    by: str = ""


class SpendRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """Counts of one phase or of everything; the fields of `nlrl.core.Spend`."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cancelled_tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    cost: float = 0.0
    estimated_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


class UsageRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ledger; the fields of `nlrl.core.Usage`."""

    total: SpendRecord = SpendRecord()
    phases: dict[str, SpendRecord] = {}
    critical_path_tokens: int = 0
    seconds: float = 0.0


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a strategy ended without an answer: the name of the error and what it said."""

    kind: str
    message: str
    where: str = ""


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One strategy (or the panel) on one problem.

    row       place of the problem in the data, from 0
    classes   which attempts agree: one class number per attempt, -1 for unparsed
    messages  the chat prompt of a plain attempt, as (role, content)
    failures  draws that failed, counted by name
    grading   what the grader paid a model for second looks at these attempts, as verification; no strategy bought it,
              so it is no part of `usage`. None where the grader asks no model
    time      when the record was written, seconds since 1970
    v         version of this format, SCHEMA when it is written now
    """

    row: int
    problem: ProblemRecord
    strategy: str
    model: str
    messages: tuple[tuple[str, str], ...] = ()
    attempts: tuple[Attempt, ...] = ()
    classes: tuple[int, ...] = ()
    answer: AnswerRecord | None = None
    failures: dict[str, int] = {}
    usage: UsageRecord = UsageRecord()
    grading: SpendRecord | None = None
    error: Failure | None = None
    sampling: dict[str, float | int | str | tuple[str, ...]] = {}
    budget: dict[str, float] = {}
    version: str = ""
    time: float = 0.0
    v: int = 0  # not SCHEMA: what equals its default is not written

    @property
    def key(self) -> Key:
        """What must be done once: (problem id, strategy)."""
        return self.problem.id, self.strategy


_decode = msgspec.json.Decoder(Record).decode
_encoder = msgspec.json.Encoder()


def encode(record: Record) -> bytes:
    """The record as one line, newline included. Lone surrogates, which JSON cannot hold, become U+FFFD."""
    try:
        return _encoder.encode(record) + b"\n"
    except UnicodeEncodeError:
        return _encoder.encode(_readable(msgspec.to_builtins(record))) + b"\n"


def _readable(value):
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_readable(k): _readable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(v) for v in value]
    return value


def read_records(path: str | Path) -> Iterator[Record]:
    """The records of a file, superseded ones included. A torn last line, left by a killed process, is skipped.

    Raises DataError with the line number for a line that cannot be read, UserError if there is no such file.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                yield parse(line, path, number)
    except FileNotFoundError:
        raise UserError(f"There are no records at {path}. Name the directory of a run; `nlrl ls` lists them.") from None


def latest(records: Iterator[Record] | Sequence[Record]) -> list[Record]:
    """The record that counts for each (problem, strategy), in the order of the data, then of the file."""
    kept: dict[Key, Record] = {}
    for record in records:
        kept[record.key] = record
    return sorted(kept.values(), key=lambda r: r.row)


def parse(line: bytes, path: Path, number: int) -> Record:
    """One line of a record file. Raises DataError with its number."""
    try:
        record = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"this is not a benchmark record ({error}). Remove the line; running the benchmark again redoes it.",
            path=str(path),
            line=number,
        ) from None
    if record.v > SCHEMA:
        raise DataError(f"written by a newer nlrl (schema {record.v}); upgrade nlrl.", path=str(path), line=number)
    return record
