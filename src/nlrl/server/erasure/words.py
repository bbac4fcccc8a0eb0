"""What of a text is a person's: by where it says it came from, by the problem that it is about, or word for word.

    words = Words(Who(user="u-17"))
    words.learn(record)                    # what they asked, what was answered, and the right answer they told
    words.spare("What is 17 + 25 and 3?")  # somebody else asked this: their words, though ours are among them
    words.made(origin), words.asked(question), words.in_text(text)

A question counts as found where it stands whole, however its spaces are set, unless it is a part of a longer question
that somebody else asked. Questions of a word or two would be found anywhere: they count only as questions (`asked`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

from nlrl.server.observe.origin import Origin
from nlrl.server.observe.records import Record

_CHARS = 16  # of a phrase that is looked for inside of others
_FEW = 100  # questions that are looked for one by one
_CUT = 300  # characters after which a long phrase is believed: prompts and reports cut what they quote
_TRACE_CHARS = 60  # of an attempt's line that tells whose it was: "Final Answer: 42" is everybody's


@dataclass(frozen=True)
class Who:
    """Whose words: those of a user, of an API key (its id), or of the user of a key."""

    user: str | None = None
    key: str | None = None

    def made(self, origin: Origin) -> bool | None:
        """Whether it is theirs; None where the origin does not tell enough."""
        told = [(mine, its) for mine, its in ((self.user, origin.user), (self.key, origin.key)) if mine is not None]
        if origin.key is None:  # as version 0.1 wrote it: the request alone
            return None
        return all(mine == its for mine, its in told)


@dataclass
class Words:
    """See the module. `traces` are pieces of text by which a file's bytes are searched when all is done."""

    who: Who
    requests: set[str] = field(default_factory=set)
    problems: set[str] = field(default_factory=set)
    questions: set[str] = field(default_factory=set)
    traces: set[str] = field(default_factory=set)
    _starts: dict[str, list[str]] = field(default_factory=dict)  # their long questions, by how they begin
    _others: list[str] = field(default_factory=list)  # longer questions of other people that hold one of theirs
    _shared: set[str] = field(default_factory=set)  # asked word for word by somebody else too
    _strangers: set[str] = field(default_factory=set)  # requests that are somebody else's

    def learn(self, record: Record) -> None:
        """A request of theirs."""
        self.requests.add(record.id)
        asked = [m["content"] for m in record.messages or () if m.get("role") == "user"]
        for text in {record.question or "", *asked}:
            self.learn_question(text)
        if len(record.reference or "") >= _CHARS:  # else it is a number, or a name that many say
            self.learn_question(record.reference or "")
        for text in (record.answer or "", record.text or "", *(a.text or "" for a in record.attempts)):
            self.traces |= {line for line in _lines(text) if len(line) >= _TRACE_CHARS}

    def learn_question(self, text: str) -> None:
        """Words of theirs that may be quoted."""
        if (plain := collapse(text.removesuffix("…"))) and plain not in self.questions:
            self.questions.add(plain)
            if len(plain) >= _CHARS:
                self._starts.setdefault(plain[:_CHARS], []).append(plain)
            self.traces |= {line for line in _lines(text) if len(line) >= _CHARS}

    def know_stranger(self, record: Record) -> None:
        """A request of somebody else's."""
        self._strangers.add(record.id)
        asked = [m["content"] for m in record.messages or () if m.get("role") == "user"]
        for text in {record.question or "", *asked}:
            self.spare(text)
        texts = [
            record.answer or "",
            record.text or "",
            record.reference or "",
            *(a.text or "" for a in record.attempts),
        ]
        self.traces -= {line for text in texts for line in _lines(text)}

    def spare(self, text: str, *, whole: bool = False) -> None:
        """A question of somebody else's. whole: what is kept of theirs quotes it, so equal words stay there as well."""
        plain = collapse(text)
        if any(mine in plain and mine != plain for mine in self._may_stand_in(plain)):
            self._others.append(plain)
            self.traces -= {trace for trace in self.traces if trace in text}
        if whole and plain in self.questions:
            self._shared.add(plain)
            self.traces -= set(_lines(text))

    def made(self, origin: Origin | None) -> bool | None:
        """Whether what came from there is theirs; None where nobody knows."""
        if origin is None:
            return None
        if origin.request in self.requests:
            return True
        if origin.request in self._strangers:
            return False
        return self.who.made(origin)

    def asked(self, question: str) -> bool:
        """Whether it is a question of theirs and of nobody else."""
        plain = collapse(question)
        return plain in self.questions and plain not in self._shared

    def in_text(self, text: str) -> bool:
        """Whether words of theirs stand in it."""
        plain = collapse(text)
        return any(mine not in self._shared and self._stands(mine[:_CUT], plain) for mine in self._may_stand_in(plain))

    def _may_stand_in(self, plain: str) -> Iterable[str]:
        """Long questions of theirs whose first characters are somewhere in a text: a busy key has asked thousands."""
        if len(self._starts) < _FEW:
            starts = [start for start in self._starts if start in plain]
        else:
            starts = {plain[at : at + _CHARS] for at in range(len(plain) - _CHARS + 1)} & self._starts.keys()
        return [mine for start in starts for mine in self._starts[start]]

    def _stands(self, mine: str, plain: str) -> bool:
        at = plain.find(mine)
        spared: list[tuple[int, int]] | None = None
        while at >= 0:
            end = at + len(mine)
            if not (plain[at - 1 : at].isalnum() and mine[0].isalnum()) and not (
                plain[end : end + 1].isalnum() and mine[-1].isalnum() and len(mine) < _CUT
            ):
                if spared is None:
                    spared = [place for o in self._others for part in (o, o[:_CUT]) for place in _places(part, plain)]
                if not any(first <= at and end <= last for first, last in spared):
                    return True
            at = plain.find(mine, at + 1)
        return False

    def in_value(self, value: Any) -> bool:
        """Whether words of theirs stand anywhere in what JSON or MessagePack held."""
        return any(self.in_text(text) for text in texts_of(value))

    def in_bytes(self) -> list[bytes]:
        """The traces as files write them: plain, in JSON, in HTML."""
        forms = {form for t in self.traces for form in (t, json.dumps(t)[1:-1], escape(t), escape(t, quote=False))}
        forms |= {json.dumps(t, ensure_ascii=False)[1:-1] for t in self.traces}
        return sorted(form.encode("utf-8", "replace") for form in forms)


def collapse(text: str) -> str:
    """On one line, with single spaces."""
    return " ".join(text.split())


def texts_of(value: Any) -> Iterator[str]:
    """Every text in plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from texts_of(name)
            yield from texts_of(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_of(inner)


def _lines(text: str) -> Iterable[str]:
    return [line.strip()[:_CUT] for line in text.splitlines() if line.strip()]


def _places(part: str, whole: str) -> Iterator[tuple[int, int]]:
    at = whole.find(part)
    while at >= 0:
        yield at, at + len(part)
        at = whole.find(part, at + 1)
