"""Set-up shared by the tests of the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nlrl.models.openai import OpenAIModel
from nlrl.models.openai import server as _openai_server
from nlrl.models.openai.model import Patience
from nlrl.server import App, Catalog, KeyStore, Settings, serving
from nlrl.testing.scripted import ScriptedModel
from nlrl.testing.stub_server import StubServer


class Lab:
    """A server in this process before a stub upstream, and what one asks it."""

    def __init__(self) -> None:
        self.question = [{"role": "user", "content": "What is 17 + 25?"}]
        self.secret = "sk-upstream-0123456789"
        self.quick = Patience(retries=1, backoff_s=0.02, connect_s=2, read_s=3, try_s=5, total_s=6)

    @contextmanager
    def running(
        self, stub: StubServer, settings: Settings | None = None, keys: KeyStore | None = None
    ) -> Iterator[str]:
        """Its URL. Models: `up` the stub, `here` slow and `quick` at once without one."""
        models = {
            "up": OpenAIModel("up", base_url=stub.base_url, api_key=self.secret, patience=self.quick),
            "here": ScriptedModel(lambda request, index: "word " * 200, token_seconds=0.02),
            "quick": ScriptedModel(lambda request, index: "Final Answer: 42"),
        }
        with serving(App(Catalog(models), settings, keys)) as url:
            yield url

    def body(self, model: str, **fields: Any) -> dict[str, Any]:
        """A request."""
        return {"model": model, "messages": self.question, **fields}

    def soon(self, true: Callable[[], bool], seconds: float = 1.0) -> float:
        """Seconds until it is true."""
        began = time.monotonic()
        while not true():
            assert time.monotonic() - began < seconds, "it took too long"
            time.sleep(0.01)
        return time.monotonic() - began


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A clean one: ports are used again, and what was learnt of one upstream must not be believed of the next."""
    monkeypatch.setattr(_openai_server, "_known", {})
    return Lab()
