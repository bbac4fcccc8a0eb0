"""From records to figures: what each strategy reached, what it cost, and how sure that is.

    summary = summarise(read_records("runs/first/records.jsonl"))
    summary.domains[0].strategies[1].accuracy      # Interval(mean=0.62, low=0.50, high=0.74)

Every interval is over problems, or over their groups where a data set has some. A strategy that failed on a problem has
not solved it, and an answer that could not be judged is not right: both stay in the denominator (`outcomes`). Whether a
strategy pays is said of the whole table at once: `pays` is right for all of its rows in 95 of 100 reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from nlrl.core import Verdict
from nlrl.evaluation.estimators import best_of_k, majority_at_k, pass_at_k, weighted_at_k
from nlrl.evaluation.intervals import (
    Interval,
    beyond_luck,
    calibration_error,
    clusters_of,
    gain_chance,
    gain_interval,
    intervals,
    mean_interval,
)
from nlrl.evaluation.outcomes import outcomes, silent
from nlrl.evaluation.records import PANEL, AnswerRecord, Attempt, Record, latest
from nlrl.strategies import todays_name

ALL = "all"


class StrategySummary(msgspec.Struct, frozen=True):
    """One strategy on the problems of one domain; rates are in [0, 1], tokens are means per problem.

    name         as it is called today; a record may have an older spelling
    problems     records; `judged` of them are in the denominator, all but those on which nothing could be judged;
                 `failed` ended with an error, `abstained` has no verdict
    accuracy     what the answers count, on the judged problems (what other harnesses call flexible)
    strict       right, and the answer stood where the prompt asked for it
    unparsed     no answer could be read
    second       right by a second look alone: the grader's rules said no, and a model was believed that it is right
    gain         accuracy minus that of one sample, paired over the same problems; None if there is nothing to compare
    chance       of a gain at least as large, either way, where there is none; None with `gain`
    sure         whether the gain differs from zero by more than luck, of all gains in the report together
    pays         whether it is sure and above zero
    calibration  expected calibration error of the stated confidence; None where none is stated
    """

    name: str
    problems: int
    judged: int
    failed: int
    abstained: int
    timeouts: int
    accuracy: Interval
    strict: float
    unparsed: float
    tokens: float
    completion_tokens: float
    cancelled_tokens: float
    verifier_tokens: float
    critical_path_tokens: float
    calls: float
    seconds: float
    gain: Interval | None
    chance: float | None
    calibration: float | None
    stopped: dict[str, int]
    second: float = 0.0
    grading_tokens: float = 0.0
    sure: bool = False

    @property
    def pays(self) -> bool:
        """Whether more compute paid: above one sample, by more than luck."""
        return self.sure and self.gain is not None and self.gain.mean > 0


class PanelSummary(msgspec.Struct, frozen=True):
    """The attempts that were drawn up front, and what any k of them would have reached.

    attempts  per problem, on average; `short` problems have fewer than were asked for (failed draws)
    second    share of the attempts that are right by a second look alone; grading_tokens is what such looks cost
    k         the sizes of the curves; curves are by name: pass, majority, best, weighted
    tokens    mean tokens per problem of k attempts, prompt and verifier included
    """

    problems: int
    attempts: float
    short: int
    failed: int
    abstained: int
    accuracy: Interval
    strict: Interval
    unparsed: Interval
    k: tuple[int, ...]
    tokens: tuple[float, ...]
    curves: dict[str, tuple[Interval, ...]]
    second: float = 0.0
    grading_tokens: float = 0.0


class DomainSummary(msgspec.Struct, frozen=True):
    """The problems of one task type, or `all`. `clusters` is how many groups they come in, and problems that stand
    alone; None where all do."""

    name: str
    problems: int
    clusters: int | None
    panel: PanelSummary | None
    strategies: tuple[StrategySummary, ...]


class Summary(msgspec.Struct, frozen=True):
    """A whole run. `run` is its config.json; `one_sample` names what gains are measured against; on `unjudged` problems
    the grader could not tell even once, and they are in no figure but the tokens."""

    run: dict[str, Any]
    problems: int
    records: int
    tokens: int
    seconds: float
    one_sample: str
    failures: dict[str, int]
    unjudged: int
    domains: tuple[DomainSummary, ...]


def summarise(records: Iterable[Record], run: Mapping[str, Any] | None = None) -> Summary:
    """The figures of a run, by domain and for all."""
    kept = latest(list(records))
    run = dict(run or {})
    domains: dict[str, list[Record]] = {}
    for record in kept:
        domains.setdefault(record.problem.domain, []).append(record)
    groups = {ALL: kept} | (domains if len(domains) > 1 else {})
    unknown = silent(kept)
    curves = _Curves([r for r in kept if r.strategy == PANEL and r.problem.id not in unknown])
    failures = Counter(r.error.kind for r in kept if r.error)
    failures.update({name: n for r in kept if not r.error for name, n in r.failures.items()})
    base = PANEL if any(r.strategy == PANEL for r in kept) else "direct"
    return Summary(
        run=run,
        problems=len({r.problem.id for r in kept}),
        records=len(kept),
        tokens=sum(r.usage.total.tokens for r in kept),
        seconds=sum(r.usage.seconds for r in kept),
        one_sample="the mean attempt of the panel" if base == PANEL else base,
        failures=dict(failures),
        unjudged=len(unknown),
        domains=_sure(
            [_domain(name, group, run.get("strategies"), base, curves, unknown) for name, group in groups.items()]
        ),
    )


def _sure(domains: Sequence[DomainSummary]) -> tuple[DomainSummary, ...]:
    """The same, with `sure` decided for all gains of the report together: whoever reads many rows finds a lucky one."""
    chances = [s.chance for d in domains for s in d.strategies if s.chance is not None]
    held = iter(beyond_luck(chances))
    return tuple(
        msgspec.structs.replace(
            d,
            strategies=tuple(
                s if s.chance is None else msgspec.structs.replace(s, sure=next(held)) for s in d.strategies
            ),
        )
        for d in domains
    )


def _domain(
    name: str, records: Sequence[Record], order: Sequence[str] | None, base: str, curves: _Curves, unknown: set[str]
) -> DomainSummary:
    by_strategy: dict[str, list[Record]] = {}
    for record in records:
        by_strategy.setdefault(record.strategy, []).append(record)
    panel = by_strategy.pop(PANEL, None)
    one = _one_sample(panel, curves) if base == PANEL else outcomes(by_strategy.get(base, []), unknown)
    groups = [r.problem.group for r in {r.problem.id: r for r in records}.values()]
    names = [n for n in order or () if n in by_strategy] + [n for n in by_strategy if n not in (order or ())]
    return DomainSummary(
        name=name,
        problems=len(groups),
        clusters=int(clusters_of(groups).max()) + 1 if any(groups) else None,
        panel=_panel(panel, curves) if panel else None,
        strategies=tuple(_strategy(n, by_strategy[n], None if n == base else one, unknown) for n in names),
    )


def _one_sample(panel: Sequence[Record] | None, curves: _Curves) -> dict[str, float]:
    return {r.problem.id: _share(r, Verdict.RIGHT) for r in panel or () if r.problem.id in curves.rows}


def _share(record: Record, verdict: Verdict) -> float:
    return sum(a.verdict == verdict for a in record.attempts) / len(record.attempts)


def _strategy(
    name: str, records: Sequence[Record], one: Mapping[str, float] | None, unknown: set[str]
) -> StrategySummary:
    right = outcomes(records, unknown)
    group = {r.problem.id: r.problem.group for r in records}
    answers = [r.answer for r in records if r.answer and not r.error]
    judged = max(len(right), 1)
    sure = [(a.confidence, a.verdict == Verdict.RIGHT) for a in answers if a.confidence is not None and _told(a)]
    common = [p for p in right if one and p in one]
    ours, theirs, clusters = [right[p] for p in common], [(one or {})[p] for p in common], [group[p] for p in common]

    def mean(values: Iterable[float]) -> float:
        return float(np.mean(list(values)))

    return StrategySummary(
        name=todays_name(name),
        problems=len(records),
        judged=len(right),
        failed=sum(r.error is not None for r in records),
        abstained=sum(not _told(a) for a in answers),
        timeouts=sum(a.verdict == Verdict.TIMEOUT for a in answers),
        accuracy=mean_interval(list(right.values()), groups=[group[p] for p in right]),
        strict=sum(a.verdict == Verdict.RIGHT and bool(a.strict) for a in answers) / judged,
        unparsed=sum(a.verdict == Verdict.UNPARSED for a in answers) / judged,
        tokens=mean(r.usage.total.tokens for r in records),
        completion_tokens=mean(r.usage.total.completion_tokens for r in records),
        cancelled_tokens=mean(r.usage.total.cancelled_tokens for r in records),
        verifier_tokens=mean(_verify_tokens(r) for r in records),
        critical_path_tokens=mean(r.usage.critical_path_tokens for r in records),
        calls=mean(r.usage.total.calls for r in records),
        seconds=mean(r.usage.seconds for r in records),
        gain=gain_interval(ours, theirs, groups=clusters) if common else None,
        chance=gain_chance(ours, theirs, groups=clusters) if common else None,
        calibration=calibration_error([c for c, _ in sure], [r for _, r in sure]) if sure else None,
        stopped=dict(Counter(a.stopped for a in answers)),
        second=sum(_by_second_look(a) for a in answers) / judged,
        grading_tokens=mean(_grading_tokens(r) for r in records),
    )


def _told(answer: AnswerRecord) -> bool:
    return answer.verdict != Verdict.ABSTAIN


def _by_second_look(judged: Attempt | AnswerRecord) -> bool:
    return judged.verdict == Verdict.RIGHT and bool(judged.by)


def _grading_tokens(record: Record) -> int:
    return record.grading.tokens if record.grading else 0


def _verify_tokens(record: Record) -> int:
    spent = record.usage.phases.get("verify")
    return spent.tokens if spent else 0


class _Curves:
    """The curves of every usable panel record, computed once for all domains."""

    def __init__(self, records: Sequence[Record]):
        usable = [r for r in records if r.attempts]
        self.size = max((len(r.attempts) for r in usable), default=0)
        powers = [2**i for i in range(self.size.bit_length()) if 2**i <= self.size]
        self.k = tuple(dict.fromkeys([*powers, self.size]))
        scored = all(a.score is not None for r in usable for a in r.attempts)
        self.names = ("pass", "majority", "best", "weighted") if scored else ("pass", "majority")
        self.rows = {r.problem.id: np.concatenate(_curves(r, self.k, scored)) for r in usable}


def _panel(records: Sequence[Record], curves: _Curves) -> PanelSummary | None:
    usable = [r for r in records if r.problem.id in curves.rows]
    if not usable:
        return None
    ks = curves.k
    table = np.array([[*_rates(r), *curves.rows[r.problem.id]] for r in usable])
    spreads = intervals(table, groups=[r.problem.group for r in usable])
    at = {name: spreads[3 + i * len(ks) : 3 + (i + 1) * len(ks)] for i, name in enumerate(curves.names)}
    return PanelSummary(
        problems=len(usable),
        attempts=float(np.mean([len(r.attempts) for r in usable])),
        short=sum(len(r.attempts) < curves.size for r in usable),
        failed=sum(not r.attempts for r in records),
        abstained=sum(bool(r.attempts) and r.problem.id not in curves.rows for r in records),
        accuracy=spreads[0],
        strict=spreads[1],
        unparsed=spreads[2],
        k=ks,
        tokens=tuple(float(np.mean([_tokens_of(r, k) for r in usable])) for k in ks),
        curves={name: tuple(points) for name, points in at.items()},
        second=float(np.mean([sum(_by_second_look(a) for a in r.attempts) / len(r.attempts) for r in usable])),
        grading_tokens=float(np.mean([_grading_tokens(r) for r in usable])),
    )


def _rates(record: Record) -> list[float]:
    """Shares of the attempts that are right, right where asked for, and unparsed."""
    strict = sum(a.verdict == Verdict.RIGHT and bool(a.strict) for a in record.attempts) / len(record.attempts)
    return [_share(record, Verdict.RIGHT), strict, _share(record, Verdict.UNPARSED)]


def _curves(record: Record, ks: Sequence[int], scored: bool) -> list[np.ndarray]:
    """One row per curve; a problem with fewer attempts than k counts with all that it has."""
    right = [a.verdict == Verdict.RIGHT for a in record.attempts]
    labels = record.classes or [-1] * len(right)
    n = len(right)
    sizes = [min(k, n) for k in ks]
    rows = [
        np.array([pass_at_k(n, sum(right), k) for k in sizes]),
        np.array([majority_at_k(labels, right, k) for k in sizes]),
    ]
    if scored:
        scores = [a.score or 0.0 for a in record.attempts]
        rows.append(np.array([best_of_k(scores, right, k) for k in sizes]))
        rows.append(weighted_at_k(labels, scores, right, sizes))
    return rows


def _tokens_of(record: Record, k: int) -> float:
    """Tokens of k of a panel's attempts: the prompt as it was charged, and the mean attempt and verification."""
    n = len(record.attempts)
    k = min(k, n)
    length = max(a.prompt_tokens for a in record.attempts)
    charged = sum(s.prompt_tokens for phase, s in record.usage.phases.items() if phase != "verify")
    prompt = charged if charged <= length else charged * k / n  # shared by all draws, or paid by each
    verify = _verify_tokens(record) * k / n
    return prompt + verify + k * sum(a.tokens for a in record.attempts) / n
