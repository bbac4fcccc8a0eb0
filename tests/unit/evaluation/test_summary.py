"""Figures from records: by hand where it can be, and on awkward runs."""

from __future__ import annotations

import math

import msgspec
import pytest

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


def _usage(tokens: int, prompt: int = 10) -> UsageRecord:
    spend = SpendRecord(1, prompt, 0, tokens)
    return UsageRecord(spend, {"sample": spend}, tokens, 1.0)


def _answered(row: int, verdict: str, strategy: str = "direct", domain: str = "math", **more) -> Record:
    answer = AnswerRecord(
        "x", "x", more.pop("confidence", None), "s0", verdict=verdict, strict=more.pop("strict", True)
    )
    attempts = (Attempt("s0", "x", "x", True, verdict, tokens=5, prompt_tokens=10),)
    problem = ProblemRecord(f"id{row}", "What?", "42", domain)
    return Record(row, problem, strategy, "m", attempts=attempts, answer=answer, usage=_usage(5), **more)


def _panel(row: int, verdicts: str, scores: list[float] | None = None, domain: str = "math") -> Record:
    names = {"r": "right", "w": "wrong", "u": "unparsed", "a": "abstain"}
    attempts = tuple(
        Attempt(
            f"s{i}", "text", v, v == "r", names[v], tokens=10, prompt_tokens=20, score=scores[i] if scores else None
        )
        for i, v in enumerate(verdicts)
    )
    classes = tuple({"r": 0, "w": 1, "u": -1, "a": 2}[v] for v in verdicts)
    problem = ProblemRecord(f"id{row}", "What?", "42", domain)
    usage = _usage(10 * len(verdicts), 20)
    return Record(row, problem, PANEL, "m", attempts=attempts, classes=classes, usage=usage)


def test_rates_by_hand():
    records = [
        _answered(0, "right"),
        _answered(1, "right", strict=False),
        _answered(2, "wrong"),
        _answered(3, "unparsed", strict=False),
        _answered(4, "abstain"),
        _answered(5, "timeout"),
        _answered(6, "wrong", error=Failure("ModelUnavailable", "down")),
    ]
    summary = summarise(records)
    (only,) = summary.domains[0].strategies
    assert (only.problems, only.judged, only.abstained, only.failed, only.timeouts) == (7, 6, 1, 1, 1)
    assert only.accuracy.mean == pytest.approx(2 / 6)
    assert only.strict == pytest.approx(1 / 6)
    assert only.unparsed == pytest.approx(1 / 6)
    assert only.tokens == 15
    assert summary.failures == {"ModelUnavailable": 1}
    assert [d.name for d in summary.domains] == ["all"]  # one domain needs no second table


def test_gain_is_paired_with_the_mean_attempt_of_the_panel():
    records = []
    for row in range(20):
        records += [_panel(row, "rwww"), _answered(row, "right", "self_consistency(n=4)")]
    summary = summarise(records)
    (voted,) = summary.domains[0].strategies
    assert voted.gain is not None and voted.gain.mean == 0.75
    assert voted.gain.low < 0.6 and voted.gain.high <= 1  # the same on every problem, and yet there might be others
    assert summary.one_sample == "the mean attempt of the panel"


def test_without_a_panel_gain_is_over_direct_on_the_problems_both_have():
    records = [_answered(0, "wrong"), _answered(1, "right"), _answered(2, "right")]
    records += [_answered(row, "right", "best_of_n(n=2)") for row in (0, 1, 7)]
    direct, best = summarise(records).domains[0].strategies
    assert direct.gain is None
    assert best.gain is not None
    assert best.gain.mean == pytest.approx(0.5)  # id0: +1, id1: 0; id2 and id7 have no partner


def test_panel_curves_by_hand():
    panel = summarise([_panel(0, "rw", [0.9, 0.1]), _panel(1, "ww", [0.3, 0.2])]).domains[0].panel
    assert panel is not None
    assert panel.k == (1, 2)
    assert [p.mean for p in panel.curves["pass"]] == [0.25, 0.5]
    assert [p.mean for p in panel.curves["majority"]] == [0.25, 0.25]
    assert [p.mean for p in panel.curves["best"]] == [0.25, 0.5]
    assert [p.mean for p in panel.curves["weighted"]] == [0.25, 0.5]
    assert panel.tokens == (30, 40)  # the prompt once, ten tokens an attempt


def test_a_prompt_that_every_draw_paid_for_is_charged_per_draw():
    record = _panel(0, "rw")
    paid = msgspec.structs.replace(record, usage=_usage(20, prompt=40))
    panel = summarise([paid]).domains[0].panel
    assert panel is not None
    assert panel.tokens == (30, 60)


def test_short_failed_and_unjudged_panels():
    records = [_panel(0, "rrww"), _panel(1, "rw"), _panel(2, ""), _panel(3, "aaaa")]
    panel = summarise(records).domains[0].panel
    assert panel is not None
    assert (panel.problems, panel.short, panel.failed, panel.abstained) == (2, 1, 1, 1)
    assert panel.k == (1, 2, 4)
    assert "best" not in panel.curves  # nothing was scored
    assert summarise([_panel(0, "")]).domains[0].panel is None


def test_domains_and_order_of_strategies():
    records = [_answered(0, "right", "b"), _answered(0, "right", "a"), _answered(1, "wrong", "a", domain="coding")]
    summary = summarise(records, {"strategies": ["a", "b"]})
    assert [d.name for d in summary.domains] == ["all", "math", "coding"]
    assert [s.name for s in summary.domains[0].strategies] == ["a", "b"]


def test_calibration_uses_judged_answers_with_a_confidence():
    records = [_answered(0, "right", confidence=0.95), _answered(1, "wrong", confidence=0.95), _answered(2, "right")]
    records.append(_answered(3, "abstain", confidence=0.1))
    (only,) = summarise(records).domains[0].strategies
    assert only.calibration == pytest.approx(0.45)


def test_nothing_at_all():
    summary = summarise([])
    assert summary.problems == 0
    assert summary.domains[0].strategies == ()
    msgspec.json.encode(summary)


def test_only_unjudged_answers_give_no_accuracy():
    (only,) = summarise([_answered(0, "abstain")]).domains[0].strategies
    assert math.isnan(only.accuracy.mean)
    assert msgspec.json.decode(msgspec.json.encode(only))["accuracy"] == [None, None, None]


def test_a_made_up_run(make_records):
    summary = summarise(make_records(30))
    voted = next(s for s in summary.domains[0].strategies if s.name.startswith("self_consistency"))
    panel = summary.domains[0].panel
    assert panel is not None
    at = panel.k.index(8)
    assert panel.curves["pass"][at].mean >= panel.curves["majority"][at].mean
    assert voted.accuracy.mean == pytest.approx(panel.curves["majority"][at].mean, abs=0.1)


def test_a_vote_weighted_by_scores_is_shown_under_that_name():
    records = [_answered(0, "right", "best_of_n(n=2)"), _answered(0, "right", "best_of_n(n=2, select=best)")]
    names = [s.name for s in summarise(records).domains[0].strategies]
    assert names == ["weighted_vote(n=2)", "best_of_n(n=2, select=best)"]


def _against(gains: dict[str, int], n: int = 30, group=lambda row: "") -> list[Record]:
    """`direct` wrong everywhere; each strategy right on so many problems, and failing on none."""
    records = []
    for row in range(n):
        for name, won in {"direct": 0, **gains}.items():
            made = _answered(row, "right" if row < won else "wrong", name)
            records.append(msgspec.structs.replace(made, problem=_grouped(made.problem, group(row))))
    return records


def _grouped(problem: ProblemRecord, group: str) -> ProblemRecord:
    return msgspec.structs.replace(problem, group=group)


def test_a_strategy_pays_by_more_than_luck_not_by_its_mean():
    rows = {s.name: s for s in summarise(_against({"a little": 2, "much": 15})).domains[0].strategies}
    assert rows["a little"].gain.mean > 0 and not rows["a little"].pays
    assert rows["much"].pays and rows["much"].sure and rows["much"].gain.low > 0
    assert not rows["direct"].pays and rows["direct"].chance is None


def test_harm_is_sure_and_does_not_pay():
    records = [_answered(row, "right") for row in range(30)] + [_answered(row, "wrong", "worse") for row in range(30)]
    worse = summarise(records).domains[0].strategies[1]
    assert worse.sure and not worse.pays


def test_what_pays_alone_need_not_pay_among_many():
    """One rule for the whole report: 6 problems of 30 are beyond luck for one strategy, not for one of twenty."""
    (_, alone) = summarise(_against({"s0": 6})).domains[0].strategies
    assert alone.pays and alone.chance is not None and 0.05 / 20 < alone.chance < 0.05
    among = summarise(_against({"s0": 6} | {f"s{i}": 0 for i in range(1, 20)})).domains[0].strategies
    lucky = next(s for s in among if s.name == "s0")
    assert lucky.gain == alone.gain and lucky.chance == alone.chance
    assert lucky.gain.excludes_zero and not lucky.pays


def test_the_rule_is_over_all_tables_of_a_report():
    records = _against({"s0": 5})
    for i, domain in enumerate(("coding", "logic")):
        rows = range(30 + 30 * i, 60 + 30 * i)
        records += [_answered(row, "wrong", name, domain=domain) for row in rows for name in ("direct", "s0")]
    summary = summarise(records)
    assert [d.name for d in summary.domains] == ["all", "math", "coding", "logic"]
    chances = [s.chance for d in summary.domains for s in d.strategies if s.chance is not None]
    assert len(chances) == 4
    assert 0.05 / 4 < min(chances) < 0.05
    assert not any(s.pays for d in summary.domains for s in d.strategies)


def test_intervals_go_by_group_and_few_groups_have_none():
    alone = summarise(_against({"s0": 10})).domains[0]
    assert alone.clusters is None
    many = summarise(_against({"s0": 10}, group=lambda row: f"g{row // 3}")).domains[0]
    assert many.clusters == 10
    assert many.strategies[1].gain.mean == alone.strategies[1].gain.mean
    assert many.strategies[1].gain.high - many.strategies[1].gain.low > 0.05 + (
        alone.strategies[1].gain.high - alone.strategies[1].gain.low
    )
    assert many.strategies[1].accuracy.low < alone.strategies[1].accuracy.low
    few = summarise(_against({"s0": 30}, group=lambda row: f"g{row % 7}")).domains[0]
    assert few.clusters == 7
    assert few.strategies[1].accuracy.mean == 1.0
    assert not few.strategies[1].accuracy.known and not few.strategies[1].gain.known
    assert not few.strategies[1].pays and few.strategies[1].chance == 1.0


def test_curves_go_by_group_too():
    panels = [_panel(row, "rrww" if row % 2 else "rrrr") for row in range(32)]
    apart = summarise(panels).domains[0].panel
    pairs = [msgspec.structs.replace(p, problem=_grouped(p.problem, f"g{p.row // 4}")) for p in panels]
    grouped = summarise(pairs).domains[0].panel
    assert apart is not None and grouped is not None
    assert grouped.accuracy.mean == apart.accuracy.mean
    assert grouped.accuracy.low != apart.accuracy.low
    assert grouped.curves["majority"][0].low != apart.curves["majority"][0].low


def test_a_panel_without_a_verdict_is_no_one_sample():
    records = [_panel(0, "aaaa"), _panel(1, "rwww"), _answered(0, "abstain", "b"), _answered(1, "right", "b")]
    summary = summarise(records)
    assert summary.unjudged == 1
    (only,) = summary.domains[0].strategies
    assert only.gain is not None and only.gain.mean == 0.75
