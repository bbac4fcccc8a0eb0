"""A small real HTTP server that speaks /v1/chat/completions, well or badly: equipment for tests and benchmarks.

    with StubServer(faults=lambda number, body: Fault("cut", after=3) if number == 0 else None) as server:
        model = OpenAIModel("stub", base_url=server.base_url)     # over a real socket of 127.0.0.1
        ...
    server.prompt_tokens + server.completion_tokens               # what it has spent, by its own count

It runs in a thread with an event loop of its own, so it also serves programs that call `asyncio.run` several times.
The text of choice i is a fixed function of the messages, the seed and i (`Manners.reply` replaces it).

What it counts, the definition that ledgers are held against:
- a call for each choice it gives, and the prompt once, when a request *begins*: it is read and not refused;
- a completion token, when its event is made to be sent, read by anybody or not (the end token, which has no text, goes
  with the event that carries finish_reason; a text that `max_tokens` has cut has none);
- of an answer that is not streamed, each token when its time (`token_seconds`) has come, read by anybody or not.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nlrl.testing.stub_http import Answer

_WORDS = ("first", "we", "take", "the", "number", "then", "add", "both", "parts", "so", "it", "is", "clear", "that")


def default_reply(body: Mapping[str, Any], choice: int) -> list[str]:
    """Tokens of choice `choice`: 6 to 21 words and an answer line."""
    said = json.dumps([body.get("messages"), body.get("seed")], sort_keys=True)
    digest = hashlib.sha256(f"{choice}|{said}".encode()).digest()
    words = [" " + _WORDS[digest[i % 32] % len(_WORDS)] for i in range(6 + digest[0] % 16)]
    return [*words, "\n", "Final", " Answer", ":", f" {digest[1]}", "\n"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail.

    kind    "status": answer with `status` and `body`. "hang": say nothing; after `after` tokens if that is not None.
            "cut": close the connection after `after` tokens, "reset": with a TCP reset. "drip": one byte every
            `seconds`. "body": answer 200 with `body`. "half": half of an answer that is not streamed.
            "error": an error object in the stream after `after` tokens.
    """

    kind: str
    after: int | None = None
    status: int = 500
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b'{"error": {"message": "the stub was told to fail", "type": "server_error"}}'
    content_type: str = "application/json"
    seconds: float = 0.05


@dataclass(frozen=True, slots=True)
class Manners:
    """How the server behaves when it does not fail. "yes", "ignored" or "refused" where servers differ.

    n                  or a number: the most choices it gives, refusing more
    continuous         stream_options.continuous_usage_stats
    end_token          counts one token more than the text has, as real servers do
    tokens_per_chunk   how many tokens one event carries
    capacity           more requests at a time get a 429
    token_seconds      between two events
    first_seconds      before the first one
    refusal            the message of a 400, which may or may not name the field
    """

    n: str | int = "yes"
    stream: str = "yes"
    stream_options: str = "yes"
    continuous: str = "yes"
    usage: bool = True
    end_token: bool = True
    tokens_per_chunk: int = 1
    newline: str = "\n"
    comments: bool = False
    done: bool = True
    compress: bool = False
    reasoning_field: str = ""
    capacity: int | None = None
    token_seconds: float = 0.0
    first_seconds: float = 0.0
    cached_tokens: int = 0
    refusal: str = "unsupported field: {field!r}"
    context_tokens: int | None = None
    tokenize: bool = False
    key: str = ""
    reply: Callable[[Mapping[str, Any], int], list[str]] = field(default=default_reply, repr=False)  # no address


class StubServer:
    """Serves until the `with` block ends. All counts may be read at any time.

    faults  called with the number of the request (0, 1, ... in the order of arrival) and its body
    """

    def __init__(
        self,
        manners: Manners = Manners(),
        faults: Callable[[int, Mapping[str, Any]], Fault | None] = lambda number, body: None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.manners = manners
        self.faults = faults
        self.host = host
        self.port = port
        self.requests = 0
        self.connections = 0
        self.calls = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.hung_up = 0  # answers the client did not wait for
        self.bodies: list[Mapping[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.struck: Counter[str] = Counter()
        self.routes: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._ready = threading.Event()

    @property
    def base_url(self) -> str:
        """For `OpenAIModel(base_url=...)`."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    def __enter__(self) -> StubServer:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def count_prompt(self, body: Mapping[str, Any]) -> int:
        """Tokens of a prompt: words and marks, and three for the frame of each message."""
        return sum(3 + _words(str(message.get("content"))) for message in body.get("messages", []))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                tasks.add(task)
            self.connections += 1
            try:
                await self._connection(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # the client hung up, or the server is being stopped
            finally:
                tasks.discard(task) if task is not None else None
                writer.close()

        server = await asyncio.start_server(connected, self.host, self.port, limit=64 << 20, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=0)  # drain() then waits until the system has taken every byte
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except asyncio.IncompleteReadError:
                return
            method, path, _ = head.split("\r\n", 1)[0].split(" ", 2)
            pairs = (line.partition(":") for line in head.split("\r\n")[1:] if line)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            raw = await reader.readexactly(int(headers.get("content-length", 0)))
            answer = Answer(reader, writer)
            self.routes[path] += 1
            if path.startswith("/v1/chat/completions") and method == "POST":
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    await self._completion(answer, headers, json.loads(raw))
                except ConnectionError:
                    self.hung_up += 1
                    raise
                finally:
                    self.in_flight -= 1
            elif path.startswith("/v1/models"):
                entry: dict[str, Any] = {"id": "stub", "object": "model"}
                if self.manners.context_tokens is not None:
                    entry["max_model_len"] = self.manners.context_tokens
                await answer.whole(200, json.dumps({"object": "list", "data": [entry]}).encode())
            elif path == "/tokenize" and self.manners.tokenize:
                await answer.whole(200, json.dumps({"count": self.count_prompt(json.loads(raw))}).encode())
            else:
                await answer.whole(404, b'{"error": {"message": "no such route"}}')

    async def _completion(self, answer: Answer, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        number, manners = self.requests, self.manners
        self.requests += 1
        self.bodies.append(body)
        self.headers.append(headers)
        fault = self.faults(number, body)
        if fault is not None:
            self.struck[fault.kind if fault.kind != "status" else str(fault.status)] += 1
            if fault.kind == "status":
                await answer.whole(fault.status, fault.body, fault.headers, fault.content_type)
                return
            if fault.kind == "body":
                await answer.whole(200, fault.body, fault.headers, fault.content_type)
                return
            if fault.kind == "hang" and fault.after is None:
                self._begin(body, int(body.get("n", 1)))
                await answer.until_hung_up()
            if fault.kind in ("hang", "reset") and fault.after is None:
                answer.reset()
                raise ConnectionResetError
        if manners.key and headers.get("authorization") != f"Bearer {manners.key}":
            echo = headers.get("authorization", "nothing")
            await answer.whole(401, json.dumps({"error": {"message": f"Incorrect API key: {echo}"}}).encode())
            return
        if manners.capacity is not None and self.in_flight > manners.capacity:
            self.struck["capacity"] += 1
            await answer.whole(429, b'{"error": {"message": "too many requests at a time"}}')
            return
        if (refused := self._refused_field(body)) is not None:
            message = manners.refusal.format(field=refused)
            await answer.whole(400, json.dumps({"error": {"message": message}}).encode())
            return
        n = 1 if manners.n == "ignored" else int(body.get("n", 1))
        texts = [manners.reply(body, choice)[: body.get("max_tokens") or None] for choice in range(n)]
        self._begin(body, n)
        await answer.pause(0.0)  # a client that has left meanwhile is not served
        if body.get("stream") and manners.stream == "yes":
            await self._stream(answer, body, texts, fault)
        else:
            await self._whole(answer, body, texts, fault)

    def _begin(self, body: Mapping[str, Any], n: int) -> None:
        """Count it. A client that has left by now has asked all the same; whoever reads its request has begun."""
        self.calls += n
        self.prompt_tokens += self.count_prompt(body)

    def _end_token(self, body: Mapping[str, Any], text: list[str]) -> int:
        return int(self.manners.end_token and self._finish_reason(body, text) == "stop")

    def _refused_field(self, body: Mapping[str, Any]) -> str | None:
        manners, options = self.manners, body.get("stream_options") or {}
        if body.get("stream") and manners.stream == "refused":
            return "stream"
        if options and manners.stream_options == "refused":
            return "stream_options"
        if "continuous_usage_stats" in options and manners.continuous == "refused":
            return "continuous_usage_stats"
        if body.get("n", 1) > (manners.n if isinstance(manners.n, int) else 1 if manners.n == "refused" else 1 << 30):
            return "n"
        return None

    def _usage(self, body: Mapping[str, Any], completion_tokens: int) -> dict[str, Any]:
        prompt = self.count_prompt(body)
        details = {"cached_tokens": self.manners.cached_tokens}
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt + completion_tokens,
            "prompt_tokens_details": details,
        }

    def _finish_reason(self, body: Mapping[str, Any], text: list[str]) -> str:
        return "length" if body.get("max_tokens") is not None and len(text) >= body["max_tokens"] else "stop"

    async def _whole(
        self, answer: Answer, body: Mapping[str, Any], texts: list[list[str]], fault: Fault | None
    ) -> None:
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": "".join(text)},
                "finish_reason": self._finish_reason(body, text),
                "logprobs": _logprobs(text) if body.get("logprobs") else None,
            }
            for index, text in enumerate(texts)
        ]
        sizes = [len(text) + self._end_token(body, text) for text in texts]
        completion_tokens = sum(sizes)
        said: dict[str, Any] = {"object": "chat.completion", "choices": choices}
        if self.manners.usage:
            said["usage"] = self._usage(body, completion_tokens)
        if self.manners.first_seconds:
            await answer.pause(self.manners.first_seconds)
        for at in range(max(sizes)):
            if self.manners.token_seconds:
                await answer.pause(self.manners.token_seconds)
            self.completion_tokens += sum(at < size for size in sizes)
        raw, headers = json.dumps(said).encode(), ()
        if self.manners.compress:
            raw, headers = gzip.compress(raw), (("Content-Encoding", "gzip"),)
        if fault is not None and fault.kind == "half":
            await answer.half(raw)
            raise ConnectionResetError
        await answer.whole(200, raw, headers)

    async def _stream(
        self, answer: Answer, body: Mapping[str, Any], texts: list[list[str]], fault: Fault | None
    ) -> None:
        manners = self.manners
        if manners.first_seconds:
            await answer.pause(manners.first_seconds)
        await answer.begin(compress=manners.compress)
        delivered = 0
        drip = fault.seconds if fault is not None and fault.kind == "drip" else 0.0
        for event, tokens in self._events(body, texts):
            if fault is not None and fault.after is not None and delivered + tokens > fault.after:
                await self._strike(answer, fault)
            text = f"data: {event}{manners.newline * 2}"
            if manners.comments:
                text = f": keep-alive{manners.newline * 2}event: message{manners.newline}{text}"
            delivered += tokens
            self.completion_tokens += tokens
            await answer.part(text.encode(), drip)
            if manners.token_seconds:
                await answer.pause(manners.token_seconds)
        if manners.done:
            await answer.part(f"data: [DONE]{manners.newline * 2}".encode(), drip)
        await answer.end()

    async def _strike(self, answer: Answer, fault: Fault) -> None:
        if fault.kind == "hang":
            await answer.until_hung_up()
        if fault.kind == "error":
            await answer.part(b'data: {"error": {"message": "the engine died", "code": 500}}\n\n', 0.0)
        if fault.kind == "reset":
            await asyncio.sleep(fault.seconds)  # let what was sent be read: a reset may overtake it
            answer.reset()
        raise ConnectionResetError

    def _events(self, body: Mapping[str, Any], texts: list[list[str]]) -> Iterator[tuple[str, int]]:
        """(JSON of an event, tokens in it), choices in turn, each one chunk at a time."""
        manners, options = self.manners, body.get("stream_options") or {}
        wants_usage = manners.usage and manners.stream_options == "yes" and options.get("include_usage")
        running = wants_usage and manners.continuous == "yes" and options.get("continuous_usage_stats")
        sent = [0] * len(texts)

        def event(index: int, delta: dict[str, Any], finish: str | None, tokens: list[str]) -> str:
            choice: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": finish}
            if body.get("logprobs") and tokens:
                choice["logprobs"] = _logprobs(tokens)
            said: dict[str, Any] = {"object": "chat.completion.chunk", "choices": [choice]}
            if running:
                said["usage"] = self._usage(body, sent[index])
            return json.dumps(said)

        for index in range(len(texts)):
            yield event(index, {"role": "assistant", "content": ""}, None, []), 0
        size = manners.tokens_per_chunk
        for at in range(0, max(map(len, texts)), size):
            for index, text in enumerate(texts):
                tokens = text[at : at + size]
                if not tokens:
                    continue
                sent[index] += len(tokens)
                thinks = manners.reasoning_field and at < len(text) // 2
                yield (
                    event(index, {manners.reasoning_field if thinks else "content": "".join(tokens)}, None, tokens),
                    len(tokens),
                )
                if at + size >= len(text):
                    ending = self._end_token(body, text)
                    sent[index] += ending
                    yield event(index, {}, self._finish_reason(body, text), []), ending
        if wants_usage:
            yield (
                json.dumps({"object": "chat.completion.chunk", "choices": [], "usage": self._usage(body, sum(sent))}),
                0,
            )


@functools.lru_cache(maxsize=1024)
def _words(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def _logprobs(tokens: list[str]) -> dict[str, Any]:
    return {"content": [{"token": t, "logprob": -0.1 * (1 + i % 3), "top_logprobs": []} for i, t in enumerate(tokens)]}
