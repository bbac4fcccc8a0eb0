"""An upstream that tells everything it was told, our key among it, wherever an answer has room for it.

Equipment of `server_security`. What it does is asked for by the last message: "ok", "status 401", "event", "body", ...
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAYS = ("status 400", "status 401", "status 429", "status 500", "plain 500", "html 502", "location 302", "event",
        "body")  # fmt: skip


class EchoUpstream:
    """Serves until the `with` block ends. keys: every value of Authorization it was sent."""

    def __enter__(self) -> EchoUpstream:
        self.keys: set[str] = set()
        keys = self.keys

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
                keys.add(self.headers.get("authorization", ""))
                self._answer(body, body["messages"][-1]["content"])

            def _answer(self, body: dict[str, Any], way: str) -> None:
                echo = f"you sent {dict(self.headers)}"
                error = json.dumps({"error": {"message": echo, "type": echo, "code": echo}}).encode()
                kind, _, status = way.partition(" ")
                if kind == "status":
                    self._say(int(status), "application/json", error)
                elif kind in ("plain", "html"):
                    self._say(int(status), f"text/{kind}", f"<h1>{echo}</h1>".encode())
                elif kind == "location":
                    self._say(302, "text/plain", echo.encode(), Location=f"http://127.0.0.1:9/?{echo}")
                elif kind == "event":
                    self._say(200, "text/event-stream", b"data: " + error + b"\n\n")
                elif kind == "body":
                    self._say(200, "application/json", error)
                else:
                    choice = {"index": 0, "message": {"role": "assistant", "content": "42"}, "finish_reason": "stop"}
                    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
                    said = {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}
                    self._say(200, "application/json", json.dumps(said).encode())

            def _say(self, status: int, kind: str, body: bytes, **more: str) -> None:
                self.send_response(status)
                echo = self.headers.get("authorization", "")
                headers = {"Content-Type": kind, "Content-Length": str(len(body)), "X-Echo": echo, **more}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
