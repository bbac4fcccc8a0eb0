"""Servers with something to see, and a headless Chromium that looks at them."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from nlrl.bank import Bank
from nlrl.core import Delta, Problem, Request
from nlrl.evaluation.config import RunConfig
from nlrl.evaluation.run import run_benchmark
from nlrl.scaling.calibrate import calibrate
from nlrl.scaling.report import write_report
from nlrl.server import App, Catalog, Journal, KeyStore, Texts, serving
from nlrl.testing.scripted import ScriptedModel, StochasticModel

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = os.environ.get("NLRL_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
DESKTOP = {"width": 1280, "height": 860}
HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\u202e\u0000\U0001f600 {{7*7}} "
THOUGHTS = "Let me see what is asked.\n17 + 25 is 42.\nThat was easy.\n" * 4 + "Final Answer: 42"
post = functools.partial(httpx.post, verify=False, timeout=30)
get = functools.partial(httpx.get, verify=False, timeout=30)


class Gated(ScriptedModel):
    """Stops in the middle of its answer until it is told to go on."""

    gate = threading.Event()

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """See Model."""
        count = 0
        async for delta in super().stream(request):
            yield delta
            count += 1
            if count == 20:
                await asyncio.to_thread(self.gate.wait, 30)


def hostile(request: Request, index: int) -> str:
    return f"{HOSTILE}\n{'x' * 20_000}\n{'word ' * 5000}\nFinal Answer: {HOSTILE}"


@dataclass
class Site:
    """A server, and what was seen of the pages that looked at it."""

    url: str
    keys: KeyStore | None = None
    secret: str = ""
    seen: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def ask(self, model: str, question: str = "What is 17 + 25?", **fields: Any) -> str:
        """Send a request; its id."""
        body = {"model": model, "messages": [{"role": "user", "content": question}], **fields}
        headers = {"Authorization": f"Bearer {self.secret}"} if self.secret else {}
        answer = post(f"{self.url}/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-request-id"]

    def api(self, path: str) -> Any:
        """What the page reads."""
        return get(f"{self.url}/api/{path}").json()

    def newest(self, model: str) -> str:
        """The id of the last request under that name."""
        return next(r["id"] for r in self.api("requests")["requests"] if r["model"] == model)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While a request is in the middle of its answer."""
        Gated.gate.clear()
        asking = threading.Thread(target=self.ask, args=("self_consistency(n=2)@slow", "Think aloud: what is 17 + 25?"))
        asking.start()
        try:
            yield
        finally:
            Gated.gate.set()
            asking.join()


def make_app(runs: Path | None = None, keys: KeyStore | None = None, texts: Texts = "live") -> App:
    known = problems()
    models = {
        "chance": StochasticModel(known, 0.6, seed=1, parameters=1000),
        "slow": Gated(
            ["Let me see what is asked.\n17 + 25 is 42.\nThat was easy.\n" * 4 + "Final Answer: 42"], cycle=True
        ),
        "hostile": ScriptedModel(hostile),
    }
    return App(Catalog(models), keys=keys, journal=Journal(texts=texts), runs=runs)


def problems() -> list[Problem]:
    return [Problem(f"What is {i} + {2 * i + 7}?", reference=str(3 * i + 7)) for i in range(12)]


async def measure(runs: Path) -> None:
    known = problems()
    model = StochasticModel(known, lambda p: 0.1 + 0.07 * (int(p.reference or 0) % 12), seed=1, name="chance")
    with Bank(runs / "bank.sqlite") as bank:
        config = RunConfig(strategies=("direct", "self_refine"), data="sums", samples=8)
        await run_benchmark(config, model, known, bank=bank, out_dir=runs / "sums")
        done = await calibrate(known, model, bank=bank, samples=8, strategies=("direct", "self_consistency(n=4)"),
                               caps=(300, 900), bins=2)  # fmt: skip
    write_report(done, runs / "policy")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a benchmark run and a policy."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium, or set NLRL_CHROMIUM")
    folder = tmp_path_factory.mktemp("runs")
    asyncio.run(measure(folder))
    return folder


@pytest.fixture(scope="module")
def browser(runs: Path) -> Iterator[Any]:
    """One for all tests. It comes after the runs: from then on its driver holds this thread's event loop."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser's driver: pip install playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_site(runs: Path) -> Iterator[Site]:
    """Without keys, on loopback, with a run, a policy and a few requests."""
    with serving(make_app(runs)) as url:
        site = Site(url)
        site.ask("best_of_n(n=4)@chance", "What is 3 + 13?")
        site.ask("self_refine@chance", "What is 5 + 17?", user="someone with a long name, at a place with a longer one")
        site.ask("self_consistency(n=2)@hostile", HOSTILE + "y" * 100_000)
        yield site


@pytest.fixture(scope="module")
def closed_site(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With keys, where texts are not kept."""
    keys = KeyStore(tmp_path_factory.mktemp("keys") / "keys.sqlite")
    _, secret = keys.create("ada", scopes=("admin",), tokens=100_000)
    with serving(make_app(keys=keys, texts="none")) as url:
        site = Site(url, keys, secret)
        site.ask("self_consistency(n=2)@chance", "What is 3 + 13?")
        yield site
    keys.close()


@pytest.fixture
def new_site() -> Callable[..., Any]:
    """A server without history: `with serving(...)` of the same application."""

    @contextmanager
    def start(port: int = 0) -> Iterator[Site]:
        with serving(make_app(), port=port) as url:
            yield Site(url)

    return start


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages, each with a profile of its own, and notes what they ask for and complain about."""
    contexts = []

    def start(site: Site, address: str = "", size: dict[str, int] = DESKTOP, scheme: str = "light") -> Any:
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        site.seen.clear()
        site.wrong.clear()
        page.on("request", lambda request: site.seen.append(request.url))
        page.on("pageerror", lambda error: site.wrong.append(str(error)))
        page.on("console", lambda m: site.wrong.append(m.text) if m.type in ("error", "warning") else None)
        page.goto(f"{site.url}/{address}")
        return page

    yield start
    for context in contexts:
        context.close()
