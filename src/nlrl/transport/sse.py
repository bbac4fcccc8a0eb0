"""Server-sent events, read as they arrive (WHATWG HTML, section 9.2).

    decoder = SseDecoder()
    for chunk in body:                       # bytes, cut anywhere: inside a line end, inside a character
        for event in decoder.feed(chunk):
            event.data                       # "data:" lines of one event, joined by line feeds
    last = decoder.close()                   # an event the server did not end with an empty line

Comments (keep-alives), CR, LF and CRLF, multi-line data, a byte order mark and UTF-8 split over chunks are all read as
the standard says. The one leniency: an event at the very end is given out although its empty line is missing.
Not covered: `id:` and `retry:`, since a broken completion is asked for again as a whole.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass


class EventTooLong(ValueError):
    """One event grew past the limit: this is not a stream of tokens."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `name` is "" unless the server named it ("error", "ping")."""

    data: str
    name: str = ""


class SseDecoder:
    """Bytes in, events out. `max_chars` bounds one event, so that a line without end cannot fill the memory."""

    def __init__(self, max_chars: int = 8 << 20) -> None:
        # "replace": a broken byte spoils one character of one piece, not the whole completion
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._max_chars = max_chars
        self._line: list[str] = []  # parts of a line whose end has not come yet
        self._line_chars = 0
        self._data: list[str] = []
        self._data_chars = 0
        self._name = ""
        self._first = True
        self._after_cr = False  # the last chunk ended in CR: a leading LF belongs to it

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk."""
        return self._take(self._utf8.decode(chunk))

    def close(self) -> Event | None:
        """The event that was left open, if it holds data."""
        events = self._take(self._utf8.decode(b"", final=True) + "\n\n")
        return events[0] if events else None

    def _take(self, text: str) -> list[Event]:
        if self._first and text:
            text = text.removeprefix("\ufeff")
            self._first = False
        if self._after_cr and text:
            text = text.removeprefix("\n")
            self._after_cr = False
        self._after_cr = self._after_cr or text.endswith("\r")
        events: list[Event] = []
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in lines[:-1]:
            self._line.append(line)
            whole = "".join(self._line)
            self._line, self._line_chars = [], 0
            if (event := self._read(whole)) is not None:
                events.append(event)
        if lines[-1]:
            self._line.append(lines[-1])
            self._line_chars += len(lines[-1])
        if self._line_chars + self._data_chars > self._max_chars:
            raise EventTooLong(f"one event is longer than {self._max_chars} characters")
        return events

    def _read(self, line: str) -> Event | None:
        if not line:
            event = Event("\n".join(self._data), self._name) if self._data else None
            self._data, self._data_chars, self._name = [], 0, ""
            return event
        field, _, value = line.partition(":")  # a comment has an empty field name
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._data_chars += len(value)
        elif field == "event":
            self._name = value
        return None
