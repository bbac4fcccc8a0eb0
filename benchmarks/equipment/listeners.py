"""Many clients of streams in one process: each asks once, reads to the end, and checks every word.

    python benchmarks/equipment/listeners.py PORT MODEL STREAMS START_SECONDS TOKENS MOST_SECONDS

They begin one after the other over START_SECONDS. A line says that each has had its first word (or has ended), and a
second one, in JSON, what came of them (`report`). See `dripping_upstream.py` for the text that is expected.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import aiohttp
from dripping_upstream import text

ATTEMPTS = 16  # as many as a strategy may have


@dataclass
class Heard:
    """What one stream has said so far."""

    content: list[str] = field(default_factory=list)
    gists: dict[int, list[str]] = field(default_factory=dict)  # by attempt
    first_s: float = 0.0
    events: int = 0
    done: bool = False
    finish: str | None = None
    error: str | None = None

    def take(self, event: dict[str, Any], seconds: float) -> None:
        if "error" in event:
            self.error = str(event["error"].get("message"))
            return
        self.events += 1
        for choice in event["choices"]:
            delta = choice["delta"]
            if content := delta.get("content"):
                self.content.append(content)
            for line in (delta.get("reasoning") or "").splitlines():  # "[s3] words"
                name, _, words = line.partition("] ")
                self.gists.setdefault(int(name.removeprefix("[s")), []).append(words)
            if not self.first_s and (content or delta.get("reasoning")):
                self.first_s = seconds
            self.finish = choice.get("finish_reason") or self.finish

    def wrong(self, stream: str, tokens: int, gists: bool) -> str | None:
        """What is not as it should be, None if all is."""
        if self.error or not self.done or self.finish != "stop":
            return self.error or ("no [DONE]" if not self.done else f"finish_reason {self.finish}")
        said = "".join(self.content)
        if said not in {text(stream, attempt, tokens) for attempt in (range(ATTEMPTS) if gists else (0,))}:
            return "another text"
        if bool(self.gists) != gists:
            return "no gists" if gists else "gists"
        for attempt, lines in self.gists.items():
            if " ".join(lines).split() != text(stream, attempt, tokens).split():
                return "other gists"
        return None


class Listeners:
    """All streams of one measurement."""

    def __init__(self, url: str, model: str, tokens: int) -> None:
        self.url, self.model, self.tokens = url, model, tokens
        self.streams = 0
        self.errors: Counter[str] = Counter()
        self.firsts: list[float] = []
        self.events = self.open = self.most_open = 0
        self.speaking: set[str] = set()  # those that have said something, or ended

    async def listen(self, session: aiohttp.ClientSession, at: int, start_s: float) -> None:
        await asyncio.sleep(start_s)
        stream, heard = f"n{at}", Heard()
        question = {"role": "user", "content": f"{stream} What is 17 + 25?"}
        body = {"model": self.model, "messages": [question], "stream": True, "max_tokens": self.tokens}
        began = time.perf_counter()
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            async with session.post(self.url, json=body) as answer:
                if answer.status != 200:
                    heard.error = f"status {answer.status}: {(await answer.text())[:200]}"
                async for line in answer.content:
                    if line.startswith(b"data: {"):
                        heard.take(json.loads(line[6:]), time.perf_counter() - began)
                        if heard.first_s:
                            self.speaks(stream)
                    elif line.startswith(b"data: [DONE]"):
                        heard.done = True
        except TimeoutError:
            heard.error = "no end in time"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            heard.error = f"{type(error).__name__}: {error}"
        finally:
            self.open -= 1
            self.speaks(stream)
        self.events += heard.events
        if wrong := heard.wrong(stream, self.tokens, "(" in self.model):
            self.errors[wrong] += 1
        else:
            self.firsts.append(heard.first_s)

    def speaks(self, stream: str) -> None:
        """A stream has had its first word."""
        before = len(self.speaking)
        self.speaking.add(stream)
        if before < len(self.speaking) == self.streams:
            print("all speak", flush=True)

    async def run(self, streams: int, start_s: float, most_s: float) -> dict[str, Any]:
        self.streams, timeout = streams, aiohttp.ClientTimeout(total=most_s)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            all_at = [asyncio.ensure_future(self.listen(session, i, start_s * i / streams)) for i in range(streams)]
            await asyncio.gather(*all_at)
        return self.report()

    def report(self) -> dict[str, Any]:
        """Streams that were right, what was wrong with the others, and seconds to the first word of an answer or a
        gist."""
        cut = quantiles(self.firsts, n=100, method="inclusive") if len(self.firsts) > 1 else [0.0] * 99
        return {
            "right": len(self.firsts),
            "errors": dict(self.errors),
            "events": self.events,
            "most_open": self.most_open,
            "first_p50_ms": cut[49] * 1e3,
            "first_p99_ms": cut[98] * 1e3,
            "cpu_s": time.process_time(),
        }


def main() -> None:
    port, model = int(sys.argv[1]), sys.argv[2]
    streams, start_s, tokens, most_s = int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])
    listeners = Listeners(f"http://127.0.0.1:{port}/v1/chat/completions", model, tokens)
    print(json.dumps(asyncio.run(listeners.run(streams, start_s, most_s))))


if __name__ == "__main__":
    main()
