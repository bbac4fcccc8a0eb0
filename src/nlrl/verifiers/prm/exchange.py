"""One JSON question to a reward model's server: retried with growing pauses, bounded in time and size, keys redacted.

It shares connections, limits and the names of failures with the models that talk to servers (`nlrl.models`).
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlrl.models.openai.model import Patience

_TOKENIZE_S = 5.0
_MAX_BYTES = 64 << 20


class Exchange:
    """Questions to one server.

    base      its address without a route
    patience  as for models; the default tries four times in all
    """

    def __init__(self, base: str, key: str, patience: Patience | None, max_concurrency: int) -> None:
        from nlrl.models.openai.model import Patience as Default

        self.base, self.key = base, key
        self.patience = patience or Default(read_s=120.0, try_s=300.0, total_s=600.0, retries=3)
        self.most = max_concurrency
        self.headers = {"Content-Type": "application/json"}
        if key:
            self.headers["Authorization"] = f"Bearer {key}"

    async def post(self, url: str, body: dict[str, Any]) -> Any:
        """The answer's JSON (a dict or list), or a text that says why there is none."""
        pause = self.patience.backoff_s
        failure = "no try was made"
        try:
            async with asyncio.timeout(self.patience.total_s):
                for attempt in range(self.patience.retries + 1):
                    said, failure, again, asked_s = await self._try(url, body)
                    if said is not None:
                        return said
                    if not again or attempt == self.patience.retries:
                        return failure
                    await asyncio.sleep(max(asked_s or 0.0, pause * random.uniform(0.5, 1.5)))
                    pause = min(2 * pause, self.patience.max_backoff_s)
        except TimeoutError:
            return f"timeout: no answer in {self.patience.total_s:g} s (last: {failure})"
        return failure

    async def count(self, model: str, text: str) -> int | None:
        """The tokens of a text as the server's /tokenize counts them (vLLM, SGLang); None where it does not."""
        server = await self._server()
        _, said = await server.ask(
            server.base.join(self.base + "/tokenize"),
            self.headers,
            {"model": model, "prompt": text},
            timeout_s=_TOKENIZE_S,
        )
        count = said.get("count") if isinstance(said, dict) else None
        return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None

    async def aclose(self) -> None:
        """Let go of the connections."""
        from nlrl.models.openai.server import leave

        await leave(self.base, self)

    async def _server(self) -> Any:
        from nlrl.models.openai.server import server

        return await server(self.base, self, self.most, self.patience)

    async def _try(self, url: str, body: dict[str, Any]) -> tuple[Any, str, bool, float | None]:
        """(JSON, failure, whether to try again, seconds the server asks to wait)."""
        import json

        import httpx

        from nlrl.transport.failures import CallFailed, from_status, from_transport

        place = await self._server()
        client: httpx.AsyncClient = place._client
        began = False
        content = json.dumps(body).encode()  # in ASCII: a text read from a broken file may hold lone surrogates
        try:
            async with asyncio.timeout(self.patience.try_s):
                async with client.stream("POST", url, content=content, headers=self.headers) as response:
                    began = True
                    data = bytearray()
                    async for part in response.aiter_bytes():
                        data += part
                        if len(data) > _MAX_BYTES:
                            return None, f"too_large: the answer is larger than {_MAX_BYTES} bytes", False, None
                    if response.status_code != 200:
                        raise from_status(response.status_code, response.headers, bytes(data), secret=self.key)
                said = json.loads(bytes(data))
        except CallFailed as failure:
            return None, str(failure), failure.transient, failure.retry_after_s
        except TimeoutError:
            return None, f"timeout: no answer in {self.patience.try_s:g} s", True, None
        except httpx.HTTPError as error:
            failure = from_transport(error, began=began, secret=self.key)
            return None, str(failure), failure.transient, None
        except (ValueError, RecursionError):
            return None, "not_json: the answer is no JSON", True, None
        if not isinstance(said, dict | list):
            return None, "wrong_schema: the answer is neither an object nor a list", False, None
        return said, "", False, None
