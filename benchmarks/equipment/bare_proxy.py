"""A pass-through proxy with nothing else to it: what uvicorn, httptools and aiohttp leave of a machine.

    python benchmarks/equipment/bare_proxy.py PORT http://127.0.0.1:9000/v1

Each request's body is read whole and sent on, the whole answer is read and sent back. It checks nothing, counts
nothing, streams nothing and recovers from nothing. The event loop is uvloop where that is installed, as it is with
`nlrl serve`.
"""

from __future__ import annotations

import sys
from typing import Any

import aiohttp
import uvicorn


class Proxy:
    """An ASGI application in front of `base`."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.session.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if self.session is None:
            raise RuntimeError("the application was not started")
        url = self.base + scope["path"].removeprefix("/v1")
        async with self.session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            said, status = await answer.read(), answer.status
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(said)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": said})


if __name__ == "__main__":
    proxy = Proxy(sys.argv[2])
    uvicorn.run(proxy, port=int(sys.argv[1]), http="httptools", ws="none", log_level="error", access_log=False)
