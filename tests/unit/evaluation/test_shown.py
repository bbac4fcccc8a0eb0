"""What a page and a terminal show of a run, figure by figure."""

from __future__ import annotations

import io
import re

import msgspec
import pytest
from rich.console import Console

from nlrl.evaluation.details import detail_scripts, in_script, problem_index
from nlrl.evaluation.intervals import Interval
from nlrl.evaluation.page import page
from nlrl.evaluation.records import (
    PANEL,
    AnswerRecord,
    Attempt,
    Failure,
    ProblemRecord,
    Record,
    SpendRecord,
    UsageRecord,
)
from nlrl.evaluation.summary import summarise
from nlrl.evaluation.tables import gain, percent, second_look, tables

LONG = "x" * 5000
PROBLEM = ProblemRecord("p1", "How many? " + "q" * 1200, "42" * 50, "math", "a source", ("41", "42"))
ATTEMPTS = (
    Attempt("s0", "one", "41", True, "wrong", "41 against 42", 10, 20, 10, score=0.25, score_reason="r" * 400),
    Attempt("s1", "two", "42", False, "right", "42 against 42", 11, 20, 31, "length", 0.50049, parents=("s0",)),
    Attempt("s2", "two", "42", False, "right", "42 against 42", 11, 20, 11, score=0.75,
            gists=((2, 1, -0.5, 0.1), (1, 1, None, 0.2))),
)  # fmt: skip


def record(strategy, attempts=ATTEMPTS, answer=None, **more):
    spend = SpendRecord(len(attempts), 20, 0, sum(a.tokens for a in attempts), cancelled_tokens=3)
    usage = UsageRecord(spend, {"sample": spend}, 31, 1.26)
    classes = more.pop("classes", (0, 1, 1)[: len(attempts)])
    return Record(
        7, PROBLEM, strategy, "m", (("user", "prompt"),), attempts, classes, answer=answer, usage=usage, **more
    )


ANSWER = AnswerRecord("42", "two", 0.666, "s1", "settled", ("a note",), False, "right", "42 against 42")
RECORDS = [record(PANEL), record("self_consistency(n=3)", answer=ANSWER)]


def details(records, most_bytes=10**9):
    text, note = detail_scripts(records, most_bytes)
    return [msgspec.json.decode(body) for body in re.findall(r">(\{.*?\})</script>", text)], note


def test_the_list_has_one_entry_a_problem():
    failed = record("direct", (), error=Failure("ModelUnavailable", "down"))
    assert problem_index([*RECORDS, failed]) == [
        {
            "row": 7,
            "domain": "math",
            "q": PROBLEM.question[:999] + "…",
            "ref": ("42" * 50)[:59] + "…",
            "v": [["self_consistency(n=3)", "right"], ["direct", "failed"]],
        }
    ]


def test_what_opens_under_a_problem():
    ((problem,), note) = details(RECORDS)
    assert note == ""
    body = {"cut": 0, "reasoning": "", "finish": "stop"}
    assert problem["bodies"] == [
        body | {"text": "one", "answer": "41", "verdict": "wrong", "reason": "41 against 42", "tokens": 10,
                "strict": True, "gists": []},
        body | {"text": "two", "answer": "42", "verdict": "right", "reason": "42 against 42", "tokens": 11,
                "strict": False, "finish": "length", "gists": []},
    ]  # fmt: skip
    attempts = [
        {"id": "s0", "body": 0, "score": 0.25, "why": "r" * 300, "parents": []},
        {"id": "s1", "body": 1, "score": 0.5, "why": "", "parents": ["s0"]},
        {"id": "s2", "body": 1, "score": 0.75, "why": "", "parents": []},
    ]
    spent = "Spent: 52 tokens on 3 draws, longest chain 31 tokens, 1.3 s here"
    common = {"attempts": attempts, "left": 0, "error": "", "spent": spent}
    assert problem["runs"] == [
        common | {
            "strategy": "self_consistency(n=3)", "answered": True, "verdict": "right", "value": "42",
            "reason": "42 against 42", "notes": ["a note"], "chosen": "s1",
            "why": "Chosen: s1; 2 of 3 attempts agree with it; its score 0.50 is number 2; confidence 0.67; "
            "stopped: settled.",
        },
        common | {
            "strategy": "panel", "answered": False, "verdict": "", "value": None, "reason": "", "notes": [],
            "chosen": None, "why": "",
        },
    ]  # fmt: skip
    rest = {k: v for k, v in problem.items() if k not in ("bodies", "runs")}
    assert rest == {
        "id": "p1", "source": "a source", "question": PROBLEM.question, "choices": ["41", "42"],
        "reference": "42" * 50, "prompt": [["user", "prompt"]],
    }  # fmt: skip


def why(answer, **more):
    ((problem,), _) = details([record("direct", answer=answer, **more)])
    return problem["runs"][0]["why"]


def test_why_an_answer_was_given():
    assert why(AnswerRecord(None, "", None, None, "failed")) == "No attempt was chosen; stopped: failed."
    assert why(AnswerRecord("9", "", None, "s9", "done")) == "Chosen: s9; stopped: done."
    alone = why(AnswerRecord("41", "one", 0.5, "s0"), attempts=ATTEMPTS[:1])
    assert alone == "Chosen: s0; confidence 0.50; stopped: done."
    unread = why(AnswerRecord(None, "one", None, "s0"), classes=(-1, 1, 1))
    assert unread == "Chosen: s0; its score 0.25 is number 3; stopped: done."
    best = why(AnswerRecord("42", "two", None, "s2"))
    assert best == "Chosen: s2; 2 of 3 attempts agree with it; its score 0.75 is number 1; stopped: done."


def test_one_draw_is_one_draw_and_an_error_is_told():
    ((problem,), _) = details([record("direct", ATTEMPTS[:1], error=Failure("ModelUnavailable", "down"))])
    (run,) = problem["runs"]
    assert run["spent"].startswith("Spent: 30 tokens on 1 draw, longest")
    assert (run["error"], run["verdict"], run["answered"]) == ("ModelUnavailable: down", "failed", False)


def test_pieces_are_shown_with_their_texts():
    ((problem,), _) = details([record("direct", ATTEMPTS[2:])])
    assert problem["bodies"][0]["gists"] == [["tw", 1, -0.5, 0.1], ["o", 1, None, 0.2]]


def test_a_page_that_would_be_too_big_loses_the_least_first():
    """Gists, then the ends of texts, then attempts; the chosen one stays."""
    gist = ((5000, 10, -0.5, 0.1),) * 400
    attempts = tuple(
        Attempt(f"s{i}", f"{i:04}" + LONG, "1", True, "wrong", reasoning=LONG, gists=gist) for i in range(30)
    )
    records = [record("direct", attempts, AnswerRecord("1", "", None, "s29"), classes=(0,) * 30)]
    ((whole,), note) = details(records)
    assert note == "" and len(whole["bodies"][0]["gists"]) == 400
    seen = []
    for most in (500_000, 280_000, 120_000, 50_000, 20_000, 6_000):
        ((problem,), note) = details(records, most)
        (run,), body = problem["runs"], problem["bodies"][0]
        assert run["attempts"][-1]["id"] == "s29" and body["gists"] == []
        assert run["left"] == 30 - len(run["attempts"])
        assert body["cut"] == 5004 + 5000 - len(body["text"]) - len(body["reasoning"])
        seen.append((len(body["text"]), len(run["attempts"]), note))
    end = "Everything is in records.jsonl."
    start = "To keep this page small it leaves out: gists"
    assert seen == [
        (5004, 30, f"{start}. {end}"),
        (4000, 30, f"{start}, text beyond 4000 characters. {end}"),
        (1000, 30, f"{start}, text beyond 1000 characters. {end}"),
        (1000, 17, f"{start}, text beyond 1000 characters, all but 16 attempts of each strategy. {end}"),
        (400, 9, f"{start}, text beyond 400 characters, all but 8 attempts of each strategy. {end}"),
        (200, 3, f"{start}, text beyond 200 characters, all but 2 attempts of each strategy. {end}"),
    ]
    other = msgspec.structs.replace(records[0], row=8, problem=msgspec.structs.replace(PROBLEM, id="p2"))
    text, note = detail_scripts([*records, other], 3_000)
    assert text.count("<script") == 1 and 'id="p7"' in text
    assert note.endswith("The last 1 problems have no details here at all.")
    assert detail_scripts([*records, other], 10)[0] == ""


def test_data_cannot_end_its_script():
    assert in_script("</script>&") == '"\\u003c/script\\u003e\\u0026"'


# --- figures


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Interval(0.625, 0.5, 0.75), "62.5 (50-75)"),
        (Interval(1.0, 1.0, 1.0), "100 (100-100)"),
        (Interval(float("nan"), 0.0, 1.0), "-"),
    ],
)
def test_a_share_with_its_interval(value, shown):
    assert percent(value) == shown


@pytest.mark.parametrize(
    ("value", "sure", "shown"),
    [
        (None, False, ""),
        (Interval(float("nan"), 0.0, 1.0), False, ""),
        (Interval(0.125, 0.04, 0.21), True, "+12.5 (+4,+21)*"),
        (Interval(-0.125, -0.21, -0.04), True, "-12.5 (-21,-4)*"),
        (Interval(0.125, -0.04, 0.21), False, "+12.5 (-4,+21) "),
        (Interval(0.125, 0.04, 0.21), False, "+12.5 (+4,+21) "),  # beyond luck alone, and not among all of the report
        (Interval(0.125, float("nan"), float("nan")), False, "+12.5 (-) "),
    ],
)
def test_a_gain_has_a_star_where_it_is_sure_among_all_of_the_report(value, sure, shown):
    made = summarise(a_run()).domains[0].strategies[0]
    assert gain(msgspec.structs.replace(made, gain=value, sure=sure)) == shown


def printed(summary, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(*tables(summary, width=width), sep="\n")
    return console.file.getvalue()


def a_run():
    """Twelve problems: `direct` is wrong on each, a vote is right on all but one failure and one unjudged."""
    records = []
    for i in range(12):
        problem = ProblemRecord(f"p{i}", "?", "42", ("math", "coding")[i % 2])
        vote = AnswerRecord("42", "two", 0.9, "s1", verdict="abstain" if i == 0 else "right", strict=i % 3 > 0)
        error = Failure("ModelUnavailable", "down") if i == 1 else None
        for name, answer, why in (
            (PANEL, None, None),
            ("direct", AnswerRecord("41", "one", None, "s0", verdict="unparsed" if i == 2 else "wrong"), None),
            ("self_consistency(n=3)", None if error else vote, error),
        ):
            made = record(name, answer=answer, error=why)
            records.append(msgspec.structs.replace(made, problem=problem, row=i))
    return records


def test_the_terminal_shows_every_figure_that_there_is():
    summary = summarise(a_run(), {"name": "first", "model_name": "m", "strategies": ["direct"]})
    text = printed(summary, 160)
    assert "first: m, 12 problems" in text and "all (12)" in text and "math (6)" in text and "coding (6)" in text
    row = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    head = next(line for line in text.splitlines() if "accuracy" in line)
    wide = [
        "strategy",
        "accuracy",
        "gain",
        "tokens",
        "strict",
        "unparsed",
        "longest chain",
        "calls",
        "calibration error",
    ]
    assert [c for c in re.split(r"\s{2,}", head.strip()) if c] == [*wide, "failed", "unjudged"]
    votes = [line for line in text.splitlines() if "self_consistency" in line]
    assert len(votes) == 3
    cells = [c for c in re.split(r"\s{2,}", votes[0].strip()) if c]
    assert cells[0] == "self_consistency(n=3)" and cells[1].startswith(
        "83.3 ("
    )  # 10 of 12: neither the failed nor the unjudged one
    assert cells[3:] == ["52", "58", "0", "31", "3.0", "10", "1", "1"]
    assert row["direct"][1] == "0.0"
    assert "pass@k is an oracle: it needs to know the answer." in " ".join(text.split())
    assert "gain: points over the mean attempt of the panel, paired by problem" in " ".join(text.split())
    assert "Failures: 1 x ModelUnavailable" in text
    narrow = printed(summary, 80)
    assert "longest chain" not in narrow and "failed" in narrow and "unjudged" in narrow
    whole = printed(summarise([r for r in a_run() if r.row > 1 and r.strategy != PANEL]), 80)
    assert "failed" not in whole and "unjudged" not in whole and "pass@k" not in whole
    assert "gain: points over direct" in " ".join(whole.split())


def test_the_shares_of_a_panel_by_hand():
    """Of three attempts one is right and strictly so, one right, and one could not be read."""
    attempts = tuple(
        Attempt(f"s{i}", "x", answer, strict, verdict)
        for i, (answer, strict, verdict) in enumerate(
            [("42", True, "right"), ("42", False, "right"), (None, False, "unparsed")]
        )
    )
    panel = summarise([record(PANEL, attempts, classes=(0, 0, -1))]).domains[0].panel
    assert [share.mean for share in (panel.accuracy, panel.strict, panel.unparsed)] == pytest.approx(
        [2 / 3, 1 / 3, 1 / 3]
    )


def test_the_curves_of_the_terminal():
    text = printed(summarise(a_run()), 120)
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert ["samples", "tokens", "pass@k", "majority@k", "best-of-k", "weighted vote@k"] in lines
    at = lines.index(next(line for line in lines if line[0] == "samples"))
    ks = {line[0]: line for line in lines[at + 1 : at + 8]}
    assert ks["1"][1] == "31" and ks["1"][2].startswith("66.7 (")
    assert ks["2"][1] == "41" and ks["2"][2].startswith("100 (")
    assert ks["3"][1] == "52" and ks["3"][3].startswith("100 (")


def test_the_page_shows_every_figure_that_there_is():
    run = {
        "name": "first <b>", "model_name": "m", "data": "d", "strategies": ["direct", "x"], "samples": 3,
        "budget": {"tokens": 9}, "sampling": {"temperature": 0.5}, "seed": 4, "verifier": "auto",
        "machine": {"cores": 2}, "version": "0.1",
    }  # fmt: skip
    text = page(summarise(a_run(), run), a_run())
    settings = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert settings["spent"] == "1,872 tokens in 36 records" and settings["budget per problem"] == "tokens 9"
    assert settings["data"] == "d, 12 problems" and settings["machine"] == "cores 2" and settings["seed"] == "4"
    assert settings["sampling"] == "temperature 0.5" and settings["strategies"] == "direct, x"
    bare = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page(summarise(a_run()), a_run())))
    assert bare["data"] == "not named, 12 problems"
    assert (bare["budget per problem"], bare["sampling"]) == ("none", "defaults")
    assert "seed" not in bare and "second look" not in bare
    assert "<title>first &lt;b&gt;: nlrl benchmark</title>" in text
    heads = re.findall(r'<th scope="col">(.*?)</th>', text)
    assert heads[:12] == [
        "strategy", "accuracy", "gain", "tokens", "strict", "unparsed", "longest chain", "calls", "calibration error",
        "failed", "unjudged", "samples",
    ]  # fmt: skip
    rows = re.findall(r'<tr( class="gain")?><th scope="row">(.*?)</th>(.*?)</tr>', text)
    votes = [(mark, re.findall(r"<td>(.*?)</td>", cells)) for mark, name, cells in rows if name.startswith("self_con")]
    assert [bool(mark) for mark, _ in votes] == [
        False,
        False,
        False,
    ]  # a third more on ten problems, two thirds less on two
    assert votes[0][1][2:] == ["52", "58", "0", "31", "3.0", "10", "1", "1"]
    plain = [(mark, re.findall(r"<td>(.*?)</td>", cells)) for mark, name, cells in rows if name == "direct"]
    assert plain[0][0] == "" and plain[0][1][-1] == "" and plain[0][1][4] == "8"
    assert "all: one of 3 samples is right 66.7 (" in text
    assert "pass@k is an oracle: it needs to know the answer." in text
    assert "gain: points over the mean attempt of the panel, paired by problem" in text
    assert "<p>Failures: 1 x ModelUnavailable</p>" in text
    options = re.findall(r'<option value="(.*?)">', text)
    assert options == [
        "", "math", "coding", "", "direct", "self_consistency(n=3)", "", "right", "wrong", "unparsed", "abstain",
        "timeout", "failed",
    ]  # fmt: skip
    assert (
        'alt="Accuracy against tokens per problem, all. direct 0 % at 52 tokens; self_consistency(n=3) 83 % at 52'
        in text
    )


def test_a_run_of_which_nothing_is_recorded_shows_no_table():
    text = page(summarise([], {"name": "empty"}), [])
    assert "<table" not in text and 'id="figures">Figures</h2>\n\n' in text


def test_what_a_second_look_gave_and_cost():
    assert second_look(summarise(a_run())) == ""
    records = [
        msgspec.structs.replace(
            r,
            grading=SpendRecord(1, 100, 0, 20),
            attempts=tuple(msgspec.structs.replace(a, by="second look") if a.id == "s1" else a for a in r.attempts),
        )
        for r in a_run()
    ]
    told = second_look(summarise(records, {"second_look": "big"}))
    assert (
        "by the word of big alone" in told and "33.3 % of the samples" in told and "cost 120 tokens per problem" in told
    )
    alone = second_look(summarise([r for r in records if r.strategy == "direct"], {"second_look": "big"}))
    assert "of the samples" not in alone and "cost 120 tokens per problem" in alone
    assert "cost 0 tokens" in second_look(summarise([], {"second_look": "big"}))
