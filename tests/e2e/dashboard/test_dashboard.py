"""The dashboard in a real headless Chromium, against the real server.

Needs the packages playwright and axe-playwright-python, and a Chromium of the system (Debian: apt-get install
chromium; NLRL_CHROMIUM may name one). Without them these tests are skipped.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the browser's driver: pip install playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")

expect = playwright.expect
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
VIEWS = {
    "requests": "tbody tr", "curves": "svg.chart", "policy": "table.policy", "spend": "table.spend",
    "requests/best": ".attempt", "requests/hostile": ".attempt",
}  # fmt: skip


def visit(page: Any, site: Any, view: str) -> None:
    """Go to a view and wait for what it shows."""
    address = view.replace("best", site.newest("best_of_n(n=4)@chance"))
    address = address.replace("hostile", site.newest("self_consistency(n=2)@hostile"))
    page.goto(f"{site.url}/#/{address}")
    expect(page.locator(VIEWS[view]).first).to_be_visible()


def log_in(page: Any, secret: str) -> None:
    page.get_by_label("API key").fill(secret)
    page.get_by_role("button", name="Log in").click()


def test_every_view_loads_from_this_server_alone_and_without_a_complaint(open_site: Any, open_page: Any) -> None:
    page = open_page(open_site)
    for view in VIEWS:
        visit(page, open_site, view)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.locator("#live")).to_have_text("live")
    assert open_site.wrong == []
    assert {"/".join(url.split("/")[:3]) for url in open_site.seen} == {open_site.url}
    assert page.evaluate("window.hacked") is None


def test_the_thoughts_of_a_running_request_come_in_live_and_end_as_its_attempts(open_site: Any, open_page: Any) -> None:
    page = open_page(open_site)
    expect(page.locator("#live")).to_have_text("live")
    with open_site.at_work():
        expect(page.locator("tr .thought").first).to_contain_text("Let me see")
        expect(page.locator(".load")).to_have_text("1 running, 0 waiting")
        page.locator("tr", has=page.locator("[data-state=running]")).get_by_role("link").click()
        expect(page.locator(".gists p").first).to_have_text("Let me see what is asked.")
        expect(page.locator(".standing .state")).to_have_text("running")
    expect(page.locator(".standing .state")).to_have_text("done")
    expect(page.locator(".attempt")).to_have_count(2)
    expect(page.locator(".attempt.chosen .text")).to_contain_text("Final Answer: 42")
    other = page.locator(".attempt:not(.chosen)")
    expect(other.locator(".text")).to_have_count(0)
    other.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(other.locator(".text")).to_contain_text("That was easy.")
    expect(page.locator("#said")).to_have_text("Think aloud: what is 17 + 25?: done")
    assert open_site.wrong == []


def test_a_judgement_is_kept_and_can_be_taken_back(open_site: Any, open_page: Any) -> None:
    id = open_site.ask("best_of_n(n=2)@chance", "What is 4 + 15?")
    page = open_page(open_site, f"#/requests/{id}")
    good, bad = (page.get_by_role("button", name=name, exact=True) for name in ("Good", "Bad"))
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(good).to_be_focused()
    assert open_site.api(f"requests/{id}")["thumb"] == 1
    bad.click()
    page.get_by_label("The right answer").fill("19")
    page.get_by_role("button", name="Keep").click()
    expect(page.locator("#said")).to_have_text("Stored: the answer is bad.")
    page.reload()
    expect(bad).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("The right answer")).to_have_value("19")
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "false")
    assert open_site.api(f"requests/{id}")["thumb"] is None


def test_the_door_opens_to_a_key_and_closes_with_its_end(closed_site: Any, open_page: Any) -> None:
    assert closed_site.keys is not None
    key, secret = closed_site.keys.create("guest", scopes=("read",))
    page = open_page(closed_site, "#/spend")
    log_in(page, "nlrl_00000000_wrong")
    expect(page.get_by_role("alert")).to_have_text("This API key is not valid.")
    expect(page.get_by_label("API key")).to_have_value("")
    log_in(page, secret)
    expect(page.get_by_role("heading", level=1)).to_have_text("Spend")
    expect(page.locator(".top .facts")).to_contain_text("guest")
    for where in (
        "document.documentElement.outerHTML",
        "document.cookie",
        "JSON.stringify([localStorage, sessionStorage])",
    ):
        assert secret[:20] not in page.evaluate(where) and "session=" not in page.evaluate(where)
    assert all(secret[:20] not in url for url in closed_site.seen)
    closed_site.keys.revoke(key.id)
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged out")
    page.get_by_role("link", name="Log in again").click()
    expect(page.get_by_label("API key")).to_be_focused()


def test_without_texts_the_page_says_so_and_logging_out_leads_to_the_door(closed_site: Any, open_page: Any) -> None:
    page = open_page(closed_site)
    log_in(page, closed_site.secret)
    page.get_by_role("link", name="self_consistency(n=2)@chance").first.click()
    expect(page.locator("main")).to_contain_text("Texts are not kept on this server; start it with --texts live")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("API key")).to_be_visible()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1280", "390"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible_and_fits(open_site: Any, open_page: Any, size: dict[str, int], scheme: str) -> None:
    page = open_page(open_site, size=size, scheme=scheme)
    for view in VIEWS:
        visit(page, open_site, view)
        found = axe.Axe().run(page).response["violations"]
        assert [(v["id"], v["nodes"][0]["target"]) for v in found] == [], view
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, view


def test_the_door_is_accessible(closed_site: Any, open_page: Any) -> None:
    for scheme, size in (("light", DESKTOP), ("dark", PHONE)):
        page = open_page(closed_site, size=size, scheme=scheme)
        assert axe.Axe().run(page).response["violations"] == []


def test_hostile_texts_stay_texts(open_site: Any, open_page: Any) -> None:
    page = open_page(open_site, size=PHONE)
    visit(page, open_site, "requests/hostile")
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_label("The whole message")).to_contain_text("<script>window.hacked = 1</script>")
    page.locator(".attempt summary").first.click()
    expect(page.locator(".attempt .text").first).to_contain_text("<img src=x")
    assert page.evaluate("document.querySelectorAll('main script, main img').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    for address in ("#/requests/<img src=x onerror=window.hacked=3>", "#/curves/%E0%A4%A/..%2F..%2Fetc", "#/__proto__"):
        page.goto(f"{open_site.url}/{address}")
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
    assert page.evaluate("window.hacked") is None


def test_everything_is_reached_by_the_keyboard(open_site: Any, open_page: Any) -> None:
    page = open_page(open_site)
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Filter")).to_be_focused()
    page.keyboard.type("best_of_n 3 + 13")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement.closest('tr')).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.go_back()
    expect(page.get_by_label("Filter")).to_have_value("best_of_n 3 + 13")
    page.get_by_label("Filter").fill("nothing like this")
    expect(page.locator("main")).to_contain_text("loaded requests matches")


def test_tens_of_thousands_of_lines_neither_freeze_the_page_nor_pile_up(open_site: Any, open_page: Any) -> None:
    page = open_page(open_site)
    expect(page.locator("#live")).to_have_text("live")
    with open_site.at_work():
        page.locator("tr", has=page.locator("[data-state=running]")).get_by_role("link").click()
        expect(page.locator(".gists").first).to_be_visible()
        longest = page.evaluate(FLOOD, page.url.rsplit("/", 1)[-1])
        expect(page.locator(".gists").first).to_contain_text("line 29999")
        assert page.locator(".gists").first.locator("p").count() == 300
        assert page.locator(".gists").first.inner_text().startswith("line 29700")
    assert longest < 2000, f"a frame took {longest:.0f} ms"


FLOOD = """async (id) => {
  const { gist } = await import("/assets/store.js");
  let last = performance.now(), longest = 0, running = true;
  const frame = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (running) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  for (let i = 0; i < 30000; i += 1) {
    for (const attempt of ["s0", "s1"]) gist({ id, attempt, text: `line ${i}` });
    if (i % 1000 === 0) await new Promise((go) => setTimeout(go));
  }
  await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
  running = false;
  return longest;
}"""


def test_the_page_comes_back_after_its_server_did(open_page: Any, new_site: Any) -> None:
    with new_site() as site:
        page = open_page(site)
        expect(page.locator("main")).to_contain_text("No request yet.")
        expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#live")).to_have_text("reconnecting")
    began = time.monotonic()
    with new_site(port=int(site.url.rsplit(":", 1)[1])) as again:
        again.ask("direct@chance", "What is 4 + 15?")
        expect(page.locator("#live")).to_have_text("live", timeout=15_000)
        expect(page.locator("tbody tr")).to_have_count(1)
        page.goto("about:blank")  # lets go of the connection, so that the server need not wait for it
    assert time.monotonic() - began < 15
