"""What every search over steps does: grow texts by a step, score them as far as they are, and choose at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from nlrl.compute import Compute
from nlrl.compute.handle import STEP_TOKENS
from nlrl.core import (
    Answer,
    BudgetExhausted,
    Candidate,
    Finish,
    Problem,
    Sampling,
    Stopped,
    TaskType,
    UserError,
    Verdict,
    Verifier,
)
from nlrl.strategies.best_of_n import sampling_for
from nlrl.strategies.selection import check_selection, select_answer, worth
from nlrl.strategies.step_scores import check_aggregate, score_steps

_CLOSING_TOKENS = 40  # the answer phrase and the 32 tokens that `Compute.force` may take
Stem = Candidate | None  # None: nothing written yet


@dataclass
class StepSearch:
    """One search: `grow` and `score` until there are finished texts, then `answer`."""

    problem: Problem
    compute: Compute
    aggregate: str
    select: str
    verifier: str
    steps: int
    judge: Verifier = field(init=False)
    sampling: Sampling | None = field(init=False)
    _longest: int = 0  # tokens of a step, as far as seen
    _cut: Stopped | None = None  # the budget that made a round narrower than it was to be
    _greedy: dict[str, Candidate] = field(default_factory=dict)  # a text and its greedy next step: drawn once

    def __post_init__(self) -> None:
        check_aggregate(self.aggregate)
        check_selection(self.select)
        self.judge = self.compute.verifier(self.verifier)
        self.sampling = sampling_for(self.judge, self.problem, self.compute)

    async def grow(self, stems: Sequence[Stem], ways: int, *, rollout: int = 0) -> list[list[Candidate]]:
        """The next steps of every stem, not yet scored; fewer where the budget ends or draws fail.

        rollout  greedy steps that each of them will need on top
        """
        kept, ways = self._affordable(stems, ways, rollout)
        grown = await self._branch(stems[:kept], ways, self.sampling) if kept else []
        for siblings in grown:
            self._longest = max([self._longest, *(c.completion.completion_tokens for c in siblings)])
        return grown + [[] for _ in stems[kept:]]

    async def _branch(self, stems: Sequence[Stem], ways: int, sampling: Sampling | None) -> list[list[Candidate]]:
        """`Compute.branch`, which takes an empty step for the end: but it may be a blank line, as many models put
        between steps, and the two look alike. Such a text is given its blank line and asked once more."""
        grown = await self.compute.branch(self.problem, stems, ways, sampling=sampling)
        places = [
            (i, j)
            for i, (stem, siblings) in enumerate(zip(stems, grown, strict=True))
            for j, c in enumerate(siblings)
            if is_over(c)
            and not c.text[len(before := stem.text if stem else "") :].strip()
            and not before.endswith("\n\n")
        ]
        if places:
            blank = [_with_blank_line(grown[i][j]) for i, j in places]
            open_again = {c.id: c for c in blank}
            self.compute.candidates = [open_again.get(c.id, c) for c in self.compute.candidates]
            for (i, j), again in zip(
                places, await self.compute.branch(self.problem, blank, 1, sampling=sampling), strict=True
            ):
                grown[i][j] = again[0] if again else grown[i][j]
        in_order(self.compute)
        return grown

    def _affordable(self, stems: Sequence[Stem], ways: int, rollout: int) -> tuple[int, int]:
        """How many of the stems, and how many ways, leave enough to bring one text to an answer: as a budget ends,
        the rounds grow narrower (the first stems stay longest), instead of breaking off with nothing finished."""
        left = self.compute.remaining
        reaches = [s.completion.prompt_tokens + s.completion.completion_tokens + 2 for s in stems if s is not None]
        prompt, step = max(reaches, default=0), self._longest
        each = step + rollout * (prompt + step * (rollout + 1))

        def reason(kept: int, ways: int) -> Stopped | None:
            if left.calls is not None and kept * ways * (1 + rollout) > left.calls - 1:
                return Stopped.CALLS
            if left.tokens is None:
                return None
            if not reaches:  # nothing is known yet: half is kept for the rounds to come
                return Stopped.TOKENS if ways > 1 and 2 * ways * STEP_TOKENS > left.tokens else None
            # what does not fit by its upper bound is drawn in parts, and every part pays for the prompt
            at_once = self.compute.model.can.n and kept * (prompt + ways * STEP_TOKENS) <= left.tokens
            cost = kept * (ways * each + prompt * (1 if at_once else ways))
            closing = prompt + step + _CLOSING_TOKENS
            return Stopped.TOKENS if cost > left.tokens - closing else None

        kept = len(stems)
        while kept and ways and (why := reason(kept, ways)):
            self._cut = self._cut or why
            kept, ways = (kept - 1, ways) if kept > 1 else (kept, ways - 1)
        return (kept, ways) if ways else (0, 0)

    async def score(self, texts: Sequence[Candidate]) -> list[Candidate]:
        """The texts with their step value as score. Equal texts are scored once."""
        first = distinct(texts)
        scored = await score_steps(self.problem, self.compute, first, self.judge, self.aggregate)
        blind = [c for c in scored if c.score and c.score.verdict is Verdict.UNPARSED and not c.score.steps]
        if any(not is_over(c) for c in blind):
            self.compute.note(
                f"{type(self.judge).__name__} does not judge unfinished texts, so the search had nothing to go by "
                "before answers were there. Use a process reward model."
            )
        score = {c.text: c.score for c in scored}
        return [replace(c, score=score[c.text]) for c in texts]

    async def score_groups(self, groups: Sequence[Sequence[Candidate]]) -> list[list[Candidate]]:
        """As `score`, all groups at once."""
        scored = iter(await self.score([c for group in groups for c in group]))
        return [[next(scored) for _ in group] for group in groups]

    async def look(self, texts: Sequence[Candidate], k: int) -> list[Candidate]:
        """The texts as they are, with the scores of their rollouts by k greedy steps."""
        ahead = await self.score(await self.rollout(texts, k))
        return [replace(c, score=far.score) for c, far in zip(texts, ahead, strict=True)]

    async def rollout(self, texts: Sequence[Candidate], k: int) -> list[Candidate]:
        """Every text continued by up to k greedy steps, or to its end."""
        ahead = {c.text: c for c in texts}
        greedy = replace(self.sampling or Sampling(), temperature=0.0)
        for _ in range(k):
            going = [c for c in ahead.values() if not is_over(c)]
            fresh = [c for c in distinct(going) if c.text not in self._greedy]
            for stem, grown in zip(fresh, await self._branch(fresh, 1, greedy), strict=True):
                self._greedy.update((stem.text, c) for c in grown)
            ahead = {text: self._greedy.get(c.text, c) if not is_over(c) else c for text, c in ahead.items()}
        return [ahead[c.text] for c in texts]

    async def answer(self, finished: Sequence[Candidate], others: Iterable[Candidate] = ()) -> Answer:
        """The selection among the finished texts. Where none of them has an answer, the best text is brought to one.

        others  unfinished texts, for that case
        """
        compute = self.compute
        if not any(c.answer is not None for c in finished):
            best = max([*finished, *others], key=worth, default=None)
            closed = best and await self._closed(best)
            finished = [*finished, closed] if closed else finished
        chosen = await select_answer(self.problem, finished, self.select)
        if chosen.tied:
            compute.note("The first two answers weigh the same; the earlier one was taken.")
        in_order(compute)
        best = chosen.best or max(finished, key=worth, default=None)  # without an answer, still a text
        return compute.answer(best, confidence=chosen.sureness, stopped=self._cut or Stopped.DONE)

    async def _closed(self, text: Candidate) -> Candidate:
        """The text brought to an answer: by going on with it alone, as far as the budget goes, and else by force."""
        score = text.score
        for _ in range(self.steps):
            if is_over(text) or not (grown := (await self.grow([text], 1))[0]):
                break
            text = grown[0]
        if text.answer is None and self.problem.task_type not in (TaskType.CODING, TaskType.WRITING):
            with suppress(BudgetExhausted):
                text = await self.compute.force(self.problem, text)
        self.compute.note("No text of the search had come to an answer; the best was brought to one.")
        return replace(text, score=score)


def is_over(candidate: Candidate) -> bool:
    """Whether a text that `Compute.branch` has grown has come to its end."""
    return candidate.completion.finish is not Finish.LENGTH


def _with_blank_line(candidate: Candidate) -> Candidate:
    whole = replace(candidate.completion, text=candidate.text + "\n", finish=Finish.LENGTH)
    return replace(candidate, completion=whole, answer=None)


def distinct(texts: Iterable[Candidate]) -> list[Candidate]:
    """The first candidate of every text: a beam of equal texts is one text, not several."""
    return list({c.text: c for c in reversed(list(texts))}.values())[::-1]


def best_of(texts: Iterable[Candidate], count: int) -> list[Candidate]:
    """The `count` texts with the best scores; the earlier among equals."""
    return sorted(texts, key=lambda c: -worth(c))[:count]


def after_the_round(stems: Iterable[Candidate], compute: Compute) -> list[Candidate]:
    """The stems, which could not go on before the slowest text of their round was there: that is where their
    critical path starts."""
    return [replace(c, path_tokens=compute.path_tokens) for c in stems]


def in_order(compute: Compute) -> None:
    """Candidates drawn side by side arrive as they end; a replay must list them in the same order."""
    compute.candidates.sort(key=lambda c: int(c.id[1:]))


def check_width(name: str, n: int, width: int) -> None:
    """Raises UserError where n texts do not make one group of `width`."""
    if width > n:
        raise UserError(f"{name}: width={width} is more than n={n}. The n texts are grown from n / width; lower width.")
