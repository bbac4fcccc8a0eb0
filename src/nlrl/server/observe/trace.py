"""One request on its way, and the record it becomes.

trace = Trace(call, ask, "3f0c9a1e", ledger, 20_000, write=..., shown=..., gist=...)
trace.admitted(); trace.solved(solved); trace.ended()
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from nlrl.compute import Ledger
from nlrl.core import Budget, Delta, Spend
from nlrl.server.api.ask import Ask
from nlrl.server.api.gists import Gists
from nlrl.server.api.said import Said
from nlrl.server.api.solving import Solved
from nlrl.server.http.call import Call
from nlrl.server.http.errors import ApiError
from nlrl.server.observe.records import Attempt, Record, kept_user

_MOST_MESSAGES = 50


class Trace:
    """`record` is what is known so far.

    ledger charged with all that the request spends
    most   characters of one text that are kept, 0 for no texts
    write  called with the record when it is complete, and again if more becomes known
    shown  called with the record when its state has changed
    gist   called with the record, the attempt's id and each line that it writes
    """

    def __init__(
        self,
        call: Call,
        ask: Ask,
        key: str,
        ledger: Ledger,
        most: int,
        *,
        write: Callable[[Record], None],
        shown: Callable[[Record], None],
        gist: Callable[[Record, str, str], None],
    ) -> None:
        self._call, self._ledger, self._most, self._gists = call, ledger, most, Gists()
        self._on_write, self._on_shown, self._on_gist = write, shown, gist
        self._written: Record | None = None
        self._said: Said | None = None
        user = ask.body.get("safety_identifier") or ask.body.get("user")
        self.record = Record(
            id=call.id,
            at=time.time() - call.seconds,
            key=key,
            user=kept_user(user) if isinstance(user, str) else None,
            model=ask.model_id,
            strategy=ask.strategy,
            task=str(ask.problem.task_type) if ask.problem.task_type else None,
            budget={name: v for name in Budget.__slots__ if (v := getattr(ask.budget, name)) is not None},
        )
        if most:
            asked = [m.content for m in ask.messages if m.role == "user"]
            self.record.question = self._cut(asked[-1]) if asked else None
            self.record.messages = [
                {"role": m.role, "content": self._cut(m.content)} for m in ask.messages[-_MOST_MESSAGES:]
            ]
            if ask.way == "forward":
                self._said = Said(most)
                call.seen = self._said.take
        call.closing = self._closing

    def now(self) -> Record:
        """The record as of this moment."""
        if self.record.state == "running":
            self._spent(self._ledger.paid)
        self.record.seconds = round(self._call.seconds, 3)
        return self.record

    def admitted(self) -> None:
        """It has left the queue."""
        self.record.state = "running"
        self._on_shown(self.now())

    def watch(self, name: str, delta: Delta) -> None:
        """Something was written by an attempt."""
        for line in self._gists.take(name, delta):
            self._on_gist(self.record, name, self._cut(line))

    def solved(self, solved: Solved) -> None:
        """The strategy has ended."""
        record, first = self.record, solved.choices[0]
        shown = self._most > 0
        self._spent(solved.spent)
        record.stopped, record.confidence = str(first.answer.stopped), first.answer.confidence
        record.agreement, record.notes = first.agreement, list(first.answer.notes)
        record.critical_path_tokens = solved.usage.critical_path_tokens
        record.phases = {str(phase): part.counts() for phase, part in solved.usage.phases.items()}
        chosen = {choice.answer.chosen for choice in solved.choices}
        tried = {c.id: c for choice in solved.choices for c in choice.answer.candidates}
        record.attempts = [
            Attempt(
                id=c.id,
                tokens=c.completion.completion_tokens,
                finish=str(c.completion.finish),
                parents=c.parents,
                score=c.score.value if c.score else None,
                answer=self._cut(c.answer) if shown and c.answer is not None else None,
                text=self._cut(c.text) if shown else None,
                chosen=c.id in chosen,
                error=c.completion.error,
            )
            for c in tried.values()
        ]
        if shown:
            record.text = self._cut(first.text)
            record.answer = None if first.answer.value is None else self._cut(first.answer.value)

    def failed(self, error: ApiError) -> None:
        """No answer came of it."""
        self.record.state, self.record.status, self.record.error = "failed", error.status, error.message

    def ended(self) -> None:
        """It is over, whatever came of it: the last word on what it cost."""
        self._call.closing = None
        self._call.tokens = self._ledger.paid.tokens
        self._spent(self._ledger.paid)
        if self.record.state not in ("done", "failed"):  # nobody waited for it
            self.record.state, self.record.status = "gone", 499
        self._write()

    def _closing(self) -> None:
        """The last byte is about to be sent."""
        self.record.state, self.record.status = "done", self._call.status
        self._spent(self._ledger.paid)
        if self._said is not None:
            self.record.text = self._cut(self._said.text)
        self._write()

    def _write(self) -> None:
        record = self.now()
        if self._written is not None:
            record.seconds = self._written.seconds  # until the answer's end, not until the books were closed
        if record != self._written:
            self._written = msgspec.structs.replace(record)
            self._on_write(record)

    def _spent(self, spent: Spend) -> None:
        record = self.record
        record.prompt_tokens, record.completion_tokens = spent.prompt_tokens, spent.completion_tokens
        record.calls, record.cost, record.estimated_tokens = spent.calls, spent.cost, spent.estimated_tokens

    def _cut(self, text: str) -> str:
        return _clean(text, self._most)


def _clean(text: str, most: int) -> str:
    """Of bounded length, and writable: half an emoji is replaced."""
    cut = text if len(text) <= most else text[:most] + "…"
    return cut.encode("utf-8", "replace").decode()
