"""Pictures of the dashboard, and what an accessibility checker says of every view.

    python benchmarks/dashboard_shots.py                   # pictures into docs/img
    python benchmarks/dashboard_shots.py --out DIR         # into DIR, of every view
    python benchmarks/dashboard_shots.py --quick           # no pictures: only the check

A real server with keys stands before two simulated models. Its clients ask through several strategies, a benchmark and
a calibration are run on the same models, and a headless Chromium looks at every view at 1280 and 390 pixels, in light
and in dark. axe-core checks each. Requests of earlier days are copies of today's.

Mark: no finding of axe, of whatever weight; nothing wider than its window; nothing on the console.
Needs `pip install playwright axe-playwright-python` and a Chromium (Debian: apt-get install chromium).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
from msgspec.structs import replace

from equipment.marks import Marks
from nlrl.bank import Bank
from nlrl.core import Prices, Problem, Request
from nlrl.evaluation.config import RunConfig
from nlrl.evaluation.run import run_benchmark
from nlrl.scaling.calibrate import calibrate
from nlrl.scaling.report import write_report
from nlrl.server import App, Catalog, Journal, KeyStore, Records, serving
from nlrl.testing.scripted import Reply, ScriptedModel, StochasticModel

DOCS = Path(__file__).resolve().parent.parent / "docs" / "img"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTHS = {"desktop": (1280, 860), "phone": (390, 844)}
STRATEGIES = (
    "self_consistency(n=8)", "best_of_n(n=8)", "adaptive_consistency(n=12)", "self_refine", "direct",
    "self_consistency(n=16)", "best_of_n(n=4)", "until_good",
)  # fmt: skip
GOODS = (("pencils", 12), ("apples", 7), ("tickets", 23), ("tiles", 9), ("books", 31), ("bottles", 6))


@dataclass(frozen=True)
class Scene:
    """A running server with something to see.

    secret  an admin's key
    client  another's
    chosen  the id of a request worth opening
    """

    url: str
    secret: str
    client: str
    chosen: str


def problems(count: int) -> list[Problem]:
    """Little sums in words; every third is harder."""
    found = []
    for i in range(count):
        (what, price), boxes, more = GOODS[i % len(GOODS)], 3 + i % 11, 5 + 2 * i
        question = f"A shop sells {what} in boxes of {price}. Ada buys {boxes} boxes and {more} more. How many has she?"
        if i % 3 == 2:
            question += " She then gives every fourth one away; count what is left, rounded down."
        number = price * boxes + more
        found.append(Problem(question, reference=str(number - number // 4 if i % 3 == 2 else number)))
    return found


def models(known: list[Problem]) -> dict[str, Any]:
    """Two that are right by chance and differ in strength, and a slow one whose thoughts can be watched."""
    rng = random.Random(3)
    chance = {p.id: rng.betavariate(1.1, 1.1) for p in known}
    small = StochasticModel(known, chance, tokens=70, p_fix=0.3, p_break=0.1, seed=2, name="sim-small",
                            parameters=1_000_000_000, prices=Prices(0.05, 0.2))  # fmt: skip
    large = StochasticModel(known, {id: p**0.5 for id, p in chance.items()}, tokens=90, seed=4, name="sim-large",
                            parameters=8_000_000_000, prices=Prices(0.3, 1.2))  # fmt: skip
    return {"sim-small": small, "sim-large": large, "thinker": ScriptedModel(think, token_seconds=0.02)}


def think(request: Request, index: int) -> Reply:
    """A chain of thought, line by line; one in four miscounts."""
    boxes = 96 if index % 4 else 86
    lines = [
        "Let me read the question once more: boxes of 12, eight of them, and 17 single pencils.",
        f"First the boxes: 8 times 12. Eight tens are 80, eight twos are 16, so {boxes} pencils.",
        f"Then the single ones: {boxes} + 17 = {boxes + 17}.",
        "Is anything given away? No, so this is all.",
        f"To be sure I go backwards: {boxes + 17} - 17 = {boxes}, and {boxes} / 12 is "
        + ("8, as it should be." if index % 4 else "not a whole number, which is strange."),
    ]
    return Reply("\n".join([*lines, *(["I check each step again, slowly."] * 4), f"Final Answer: {boxes + 17}"]))


async def measure(known: list[Problem], served: dict[str, Any], runs: Path) -> None:
    """A benchmark run and a policy on the disk."""
    config = RunConfig(strategies=("direct", "self_refine", "adaptive_consistency(n=16)"), data="word sums", samples=16)
    for name in ("sim-small", "sim-large"):
        with Bank(runs / f"{name}.sqlite") as bank:
            await run_benchmark(config, served[name], known, bank=bank, out_dir=runs / f"word-sums-{name}")
    with Bank(runs / "sim-small.sqlite") as bank:
        done = await calibrate(
            known, served["sim-small"], bank=bank, samples=16, caps=(300, 800, 2000, 5000), bins=4,
            strategies=("direct", "self_consistency(n=8)", "self_consistency(n=16)", "best_of_n(n=8)"),
        )  # fmt: skip
    write_report(done, runs / "policy-small")


def ask(url: str, secret: str, model: str, question: str, **fields: Any) -> httpx.Response:
    """One request of a client."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], **fields}
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60, verify=False)


@contextmanager
def scene(folder: Path, quick: bool) -> Iterator[Scene]:
    """The server and its history."""
    known = problems(16 if quick else 40)
    served = models(known)
    (folder / "runs").mkdir()
    asyncio.run(measure(known, served, folder / "runs"))
    keys, records = KeyStore(folder / "keys.sqlite"), Records(folder / "records.sqlite")
    limits = {"search team": 60_000, "tutor app": 200_000, "old laptop": 5000}
    secrets = {name: keys.create(name, tokens=limit)[1] for name, limit in limits.items()}
    admin = keys.create("ada", scopes=("admin",))[1]
    with serving(App(Catalog(served), keys=keys, journal=Journal(records, "keep"), runs=folder / "runs")) as url:
        rng = random.Random(5)
        askers = ["search team"] * 3 + ["tutor app"] * 2 + ["old laptop"]
        for i in range(12 if quick else 40):
            name = ("sim-small", "sim-large")[i % 3 == 0]
            ask(url, secrets[rng.choice(askers)], f"{STRATEGIES[i % 8]}@{name}", known[i % len(known)].question)
        keys.revoke("old laptop")
        days_before(records, rng)
        last = ask(url, secrets["search team"], "best_of_n(n=8)@sim-large", known[2].question)
        yield Scene(url, admin, secrets["search team"], last.headers["x-request-id"])
    keys.close()


def days_before(records: Records, rng: random.Random) -> None:
    """Copies of today's records, on the days before."""
    today = list(records.each())
    for day in range(9, 0, -1):
        for i, record in enumerate(rng.sample(today, rng.randint(len(today) // 4, len(today)))):
            records.put(replace(record, id=f"{record.id}-{day}-{i}", at=record.at - 86400 * day))


def look(page: Any, stage: Scene, name: str, width: str, scheme: str, out: Path | None) -> list[tuple[str, ...]]:
    """Every view in this window: its findings, and its pictures in `out`."""
    from axe_playwright_python.sync_playwright import Axe

    found = []
    views = {"requests": "tbody tr", "curves": "svg.chart", "policy": "table.policy", "spend": "table.spend"}
    for view, sign in {**views, f"requests/{stage.chosen}": ".attempt"}.items():
        page.goto(f"{stage.url}/#/{view}")
        page.wait_for_selector(sign)
        short = view.split("/")[0] if "/" not in view else "request"
        if out is not None:
            page.screenshot(path=out / f"{short}_{width}_{scheme}.png", full_page=short != "requests")
        for violation in Axe().run(page).response["violations"]:
            where = str(violation["nodes"][0]["target"])
            found.append((f"{short} {name}", violation["id"], violation["impact"], where))
        if (wider := page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
            found.append((f"{short} {name}", "wider than its window", f"{wider} px", ""))
    return found


def watch_one(page: Any, stage: Scene, path: Path) -> None:
    """A picture of a request at work."""
    page.goto(f"{stage.url}/#/requests")
    page.wait_for_selector("#live[data-state=live]")
    body = "self_consistency(n=4)@thinker", "A shop sells pencils in boxes of 12. Ada buys 8 and 17 more. How many?"
    asking = threading.Thread(target=ask, args=(stage.url, stage.client, *body))
    asking.start()
    page.locator("tr", has=page.locator("[data-state=running]")).get_by_role("link").click()
    page.locator(".gists p", has_text="this is all").last.wait_for()
    page.screenshot(path=path)
    asking.join()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="all pictures into this folder; else the two of the docs")
    parser.add_argument("--quick", action="store_true", help="a smaller history, and no pictures")
    options = parser.parse_args()
    marks = Marks("dashboard_shots", options.quick)
    browser_path = os.environ.get("NLRL_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if browser_path is None or not find_spec("playwright") or not find_spec("axe_playwright_python"):
        return marks.skip("needs a Chromium (apt-get install chromium), playwright and axe-playwright-python")
    from playwright.sync_api import sync_playwright

    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    found: list[tuple[str, ...]] = []
    complaints: list[str] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stage = stack.enter_context(scene(Path(folder), options.quick))
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=browser_path)
        stack.callback(browser.close)
        for width, (across, down) in WIDTHS.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": across, "height": down}, color_scheme=scheme)
                page = context.new_page()
                page.goto(stage.url)
                page.get_by_label("API key").fill(stage.secret)
                page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
                page.on("pageerror", lambda error: complaints.append(str(error)))
                page.get_by_role("button", name="Log in").click()
                page.wait_for_selector("tbody tr")
                found += look(page, stage, f"{across} {scheme}", width, scheme, options.out)
                picture = {"desktop light": "dashboard.png", "phone dark": "dashboard_phone.png"}
                if not options.quick and (name := picture.get(f"{width} {scheme}")):
                    watch_one(page, stage, (options.out or DOCS) / name)
                context.close()
        version = browser.version
    for view, rule, impact, where in found:
        print(f"{view:24} {rule:28} {impact:10} {where}")
    print(f"{len(found)} findings in 5 views at 1280 and 390 pixels, light and dark; {len(complaints)} on the console")
    for complaint in complaints:
        print(f"  {complaint}")
    marks.exact("findings of axe", len(found), equal_to=0)
    marks.exact("complaints on the console", len(complaints), equal_to=0)
    return marks.result(chromium=version)


if __name__ == "__main__":
    sys.exit(main())
