"""What people see of a run: the table, the picture and the page."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
import sys
from html.parser import HTMLParser

import msgspec
import pytest

from nlrl.core import DataError, UnknownName, UserError
from nlrl.evaluation.config import RECORDS
from nlrl.evaluation.details import detail_scripts
from nlrl.evaluation.page import page
from nlrl.evaluation.plot import picture
from nlrl.evaluation.records import AnswerRecord, Attempt, ProblemRecord, Record, SpendRecord, UsageRecord, encode
from nlrl.evaluation.report import report
from nlrl.evaluation.summary import summarise
from nlrl.evaluation.tables import tables

rich_console = pytest.importorskip("rich.console")
_HOSTILE = "</script><script>alert(1)</script><!-- <script> & \u2028 [bold red]x[/] \x00 {{7*7}} `${x}`"


def _printed(summary, width: int) -> str:
    console = rich_console.Console(file=io.StringIO(), width=width)
    console.print(*tables(summary, width=width), sep="\n")
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_fits_and_says_what_is_what(make_records, width):
    text = _printed(summarise(make_records(12)), width)
    assert max(map(len, text.splitlines())) <= width
    for said in ("self_consistency(n=8)", "accuracy", "pass@k", "oracle", "coding (4)", "95 % intervals", "Holm"):
        assert said in text
    assert "…" not in text


@pytest.mark.parametrize(
    ("verifier", "told"),
    [("auto", "public tests (coding)"), ("auto", "own certainty (math"), ("prm:x.json", "Scores: prm:x.json.")],
)
def test_the_report_says_what_weighs_the_votes(make_records, verifier, told):
    text = _printed(summarise(make_records(12), {"verifier": verifier}), 200)
    assert "weighted vote@k" in text
    assert told in text


def _right(row: int, right: bool, strategy: str, group: str = "") -> Record:
    word = "right" if right else "wrong"
    attempts = (Attempt("s0", "x", "x", True, word, tokens=5, prompt_tokens=3),)
    usage = UsageRecord(SpendRecord(1, 3, 0, 5))
    answer = AnswerRecord("x", "x", None, "s0", verdict=word)
    problem = ProblemRecord(f"id{row}", "?", "4", "math", group=group)
    return Record(row, problem, strategy, "m", attempts=attempts, answer=answer, usage=usage)


def _run_of(wins: dict[str, int], clusters: int = 0) -> list[Record]:
    rows = [(row, f"g{row % clusters}" if clusters else "") for row in range(30)]
    return [_right(row, row < won, name, group) for row, group in rows for name, won in {"direct": 0, **wins}.items()]


def _figure_texts(summary, monkeypatch) -> list[str]:
    """All words of the picture, the stars at its points included."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    drawn: list[str] = []
    kept = Figure.savefig

    def savefig(figure, *arguments, **named):
        drawn.extend(t.get_text() for t in figure.findobj(Text))
        return kept(figure, *arguments, **named)

    monkeypatch.setattr(Figure, "savefig", savefig)
    picture(summary, summary.domains)
    return drawn


@pytest.mark.parametrize(("wins", "stars"), [({"lucky": 2}, 0), ({"much": 15}, 1), ({"much": 15, "more": 20}, 2)])
def test_table_page_and_picture_star_the_same_and_say_by_which_rule(wins, stars, monkeypatch):
    records = _run_of(wins)
    summary = summarise(records)
    assert sum(s.pays for s in summary.domains[0].strategies) == stars
    table, html = _printed(summary, 140), page(summary, records)
    assert len(re.findall(r"\)\*", table)) == len(re.findall(r"\)\*", html)) == stars
    assert html.count('class="gain"') == stars
    rule = f"at most 5 % of reports star any of their {len(wins)} gains where none is"
    assert rule in " ".join(table.split()) and rule in html
    words = _figure_texts(summary, monkeypatch)
    assert words.count("*") == stars
    assert any("one rule for the whole report" in w for w in words) == bool(stars)


def test_a_sure_loss_is_starred_and_not_marked_as_gain():
    records = [_right(row, name == "direct", name) for row in range(30) for name in ("direct", "worse")]
    summary = summarise(records)
    assert re.search(r"-100.0 \(.*\)\*", _printed(summary, 140))
    assert 'class="gain"' not in page(summary, records)


def test_only_what_pays_is_green_in_the_terminal():
    """A sure loss has its star, and none of the colour."""

    def coloured(records):
        console = rich_console.Console(file=io.StringIO(), width=140, force_terminal=True, color_system="standard")
        console.print(*tables(summarise(records), width=140), sep="\n")
        return [line for line in console.file.getvalue().splitlines() if "\x1b[32m" in line]

    assert any("much" in line for line in coloured(_run_of({"much": 15})))
    assert not coloured([_right(row, name == "direct", name) for row in range(30) for name in ("direct", "worse")])


def test_eight_groups_are_enough_and_no_reason_is_given():
    text = " ".join(_printed(summarise(_run_of({"much": 15}, clusters=8)), 140).split())
    assert "No intervals" not in text and "(-)" not in text


def test_the_picture_stars_neither_a_sure_loss_nor_what_is_luck_among_many(monkeypatch):
    worse = [_right(row, name == "direct", name) for row in range(30) for name in ("direct", "worse")]
    assert summarise(worse).domains[0].strategies[1].sure
    assert "*" not in _figure_texts(summarise(worse), monkeypatch)
    many = summarise(_run_of({"s0": 6} | {f"s{i}": 0 for i in range(1, 20)}))
    lucky = next(s for s in many.domains[0].strategies if s.name == "s0")
    assert lucky.gain is not None and lucky.gain.low > 0 and not lucky.pays
    assert "*" not in _figure_texts(many, monkeypatch)


def test_too_few_groups_have_no_interval_and_the_reason_is_said():
    records = _run_of({"much": 15}, clusters=5)
    summary = summarise(records)
    reason = "No intervals for all: 30 problems in 5 groups"
    table, html = " ".join(_printed(summary, 140).split()), page(summary, records)
    assert reason in table and reason in html
    assert "50.0 (-)" in table and "+50.0 (-)" in table
    assert "nan" not in table and "nan" not in html.split("<section")[1].lower().replace("finance", "")
    assert "over groups of problems" in table
    enough = " ".join(_printed(summarise(_run_of({"much": 15}, clusters=10)), 140).split())
    assert "No intervals" not in enough and "over groups of problems" in enough
    assert "over problems" in " ".join(_printed(summarise(_run_of({"much": 15})), 140).split())


def test_what_could_not_be_judged_is_said():
    records = [_right(0, True, "direct"), _right(1, True, "other")]
    vague = msgspec.structs.replace(
        records[0],
        row=2,
        problem=ProblemRecord("id2", "?", None, "math"),
        attempts=(),
        answer=AnswerRecord("x", "x", verdict="abstain"),
    )
    text = " ".join(_printed(summarise([*records, vague]), 140).split())
    assert "Left out, because nothing on them could be judged: 1 of the problems." in text
    assert "They count as not right." in text
    assert "unjudged" not in _printed(summarise(records), 140)


def test_all_formats_are_written(make_run, tmp_path):
    console = rich_console.Console(file=io.StringIO(), width=100)
    summary, written = report(make_run(tmp_path / "run", 1, 4), console=console)
    assert [p.name for p in written] == ["summary.json", "report.png", "report.html"]
    assert msgspec.json.decode(written[0].read_bytes())["problems"] == summary.problems == 1
    width, height = struct.unpack(">II", written[1].read_bytes()[16:24])
    assert width > 700
    assert height > 500


def test_a_run_that_is_not_there_or_damaged(make_run, tmp_path):
    with pytest.raises(UserError, match="holds no benchmark run"):
        report(tmp_path)
    with pytest.raises(UnknownName, match="Did you mean: html"):
        report(tmp_path, ["htm"])
    path = make_run(tmp_path / "run", 3, 2)
    with (path / RECORDS).open("ab") as file:
        file.write(b"junk\n")
    with pytest.raises(DataError, match=r"records\.jsonl:13: "):
        report(path, [])


def test_a_run_that_has_only_begun(make_run, tmp_path):
    path = make_run(tmp_path / "run", 3, 2)
    (path / RECORDS).write_bytes(b"")
    console = rich_console.Console(file=io.StringIO())
    summary, written = report(path, console=console)
    assert summary.records == 0
    assert len(written) == 3


def test_without_matplotlib_the_page_has_tables_and_says_why(make_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    _, written = report(make_run(tmp_path / "run", 3, 2), ["html"])
    text = written[-1].read_text()
    assert "pip install &#x27;nlrl[plot]&#x27;" in text
    assert "<table>" in text


class _Outline(HTMLParser):
    """Tags with their attributes, and what stands inside scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.inside = False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
            self.inside = True

    def handle_endtag(self, tag):
        if tag == "script":
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data


def _outline(text: str) -> _Outline:
    parser = _Outline()
    parser.feed(text)
    return parser


def _hostile(records: list[Record]) -> list[Record]:
    """The same records with every text field replaced."""
    bad = []
    for r in records:
        p = ProblemRecord(r.problem.id, _HOSTILE, _HOSTILE, r.problem.task_type, _HOSTILE, (_HOSTILE,))
        attempts = tuple(
            msgspec.structs.replace(a, text=_HOSTILE, answer=_HOSTILE, reason=_HOSTILE, score_reason=_HOSTILE, gists=())
            for a in r.attempts
        )
        answer = r.answer and msgspec.structs.replace(
            r.answer, value=_HOSTILE, text=_HOSTILE, notes=(_HOSTILE,), reason=_HOSTILE
        )
        messages = (("user", _HOSTILE),)
        bad.append(msgspec.structs.replace(r, problem=p, attempts=attempts, answer=answer, messages=messages))
    return bad


def test_hostile_text_stays_text(make_records):
    records = _hostile(make_records(1, 3))
    names = {"direct": f"direct{_HOSTILE}"}
    records = [msgspec.structs.replace(r, strategy=names.get(r.strategy, r.strategy)) for r in records]
    summary = summarise(records, {"name": _HOSTILE, "model_name": _HOSTILE, "data": _HOSTILE})
    outline = _outline(page(summary, records))
    kinds = [attributes.get("type") for tag, attributes in outline.tags if tag == "script"]
    assert kinds == ["application/json"] * (len(kinds) - 1) + [None]  # one script that runs: ours
    assert "alert(1)" not in outline.scripts[-1]
    details = msgspec.json.decode(outline.scripts[1])
    assert details["question"] == _HOSTILE
    assert details["bodies"][0]["text"] == _HOSTILE
    assert "[bold red]x[/]" in _printed(summary, 200)


def test_the_page_needs_nothing_from_outside(make_records):
    records = make_records(1, 3)
    text = page(summarise(records), records)
    outline = _outline(text)
    policy = next(a["content"] or "" for tag, a in outline.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    for tag, attributes in outline.tags:
        assert tag != "link"
        for name in ("src", "href", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert not re.search(r"https?://", re.sub(r'"data:[^"]*"', "", text))


def test_every_control_has_a_name_and_every_picture_words(make_records):
    records = make_records(1, 3)
    outline = _outline(page(summarise(records), records))
    tags = [tag for tag, _ in outline.tags]
    assert tags.count("h1") == 1
    assert all(attributes.get("alt") for tag, attributes in outline.tags if tag == "img")
    assert tags.count("label") == tags.count("select") + tags.count("input")
    assert any(attributes.get("aria-live") == "polite" for _, attributes in outline.tags)
    assert ("html", {"lang": "en"}) in outline.tags


def test_a_text_that_strategies_share_is_stored_once(make_records):
    records = make_records(1, 16)
    scripts, note = detail_scripts(records)
    assert note == ""
    found = msgspec.json.decode(_outline(scripts).scripts[0])
    assert len(found["bodies"]) <= 16
    assert [len(run["attempts"]) for run in found["runs"]] == [1, 8, 8, 16]
    assert found["runs"][-1]["strategy"] == "panel"
    assert "attempts agree with it" in found["runs"][1]["why"]


@pytest.mark.parametrize("most", [600_000, 150_000, 20_000])
def test_a_big_run_makes_a_small_page_and_says_what_is_missing(make_records, most):
    records = make_records(40, 32, words=200)
    scripts, note = detail_scripts(records, most)
    inside = _outline(scripts).scripts
    assert sum(map(len, inside)) <= most
    assert "Everything is in records.jsonl" in note
    if most == 20_000:
        assert re.search(r"The last \d+ problems have no details", note)
    else:
        assert len(inside) == 40
    for text in inside:
        for run in msgspec.json.decode(text)["runs"]:
            shown = {a["id"] for a in run["attempts"]}
            assert run["chosen"] is None or run["chosen"] in shown


def test_records_with_broken_unicode_can_be_shown(make_records, tmp_path):
    record = make_records(1, 1)[1]
    problem = ProblemRecord("id", "half \ud83d", "1", "math")
    line = encode(msgspec.structs.replace(record, problem=problem))
    read = msgspec.json.decode(line, type=Record)
    assert "half" in page(summarise([read]), [read])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the chromium browser")
def test_a_browser_runs_the_page_under_its_own_policy(make_records, tmp_path):
    records = _hostile(make_records(6, 3))
    file = tmp_path / "page.html"
    file.write_text(page(summarise(records), records), encoding="utf-8", errors="replace")
    shown = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"{file.as_uri()}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert "6 of 6 problems" in shown
    assert shown.count('<details class="problem">') == 6
    assert _outline(shown).scripts[-1] == _outline(file.read_text("utf-8")).scripts[-1]
