"""What rollouts teach, in words: one evaluation of each, and one lesson of bounded size out of many.

    critic = Critic(model, bank, ledger)
    notes = await critic.evaluate(problem, rollout)          # G2: what went right or wrong here, and why
    lesson = await critic.aggregate(notes)                   # G1: what they have in common
    value = await critic.assess(rollouts, judged)            # both: the language value of the policy

An episode has one step, so its language value joins the attempt with its judgement, and no future. Aggregation reads at
most `FAN_IN` notes at a time and then their summaries, so its context is bounded however many rollouts there are.
The prompts are short and show one worked turn each: models of half a billion weights copy a form, they do not follow a
description of one.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.compute.ledger import Ledger
from nlrl.core import (
    Budget,
    Message,
    Model,
    ModelError,
    ModelRefused,
    Phase,
    Problem,
    Sampling,
    Spend,
    assistant,
    system,
    user,
)
from nlrl.learning.language.asking.policy import Evidence
from nlrl.learning.language.asking.rollouts import Rollout
from nlrl.learning.language.side_by_side import side_by_side

FAN_IN = 6  # notes read at a time
_QUESTION, _ATTEMPT, _NOTE = 700, 900, 300  # characters kept of each; the end of an attempt is kept, since it answers
NOTE_SAMPLING = Sampling(temperature=0.7, max_tokens=80, stop=("\n",))


class Note(msgspec.Struct, frozen=True):
    """The language evaluation of one rollout. `text` is empty where the critic said nothing of use, or could not be
    asked: then `error` says why."""

    problem: str
    policy: str
    verdict: str
    text: str
    error: str = ""

    @property
    def evidence(self) -> Evidence:
        """The rollout behind it."""
        return Evidence(self.problem, self.verdict)


class Assessment(msgspec.Struct, frozen=True):
    """The language value of a policy: what came of its attempts, counted, and what they teach, in the critic's words.

    lesson  "" where the critic was not asked, or said nothing
    error   why there is no lesson, where the critic failed
    """

    counted: str
    lesson: str = ""
    notes: tuple[Note, ...] = ()
    error: str = ""

    def __str__(self) -> str:
        return f"{self.counted} {self.lesson}".strip()


@dataclass(eq=False)
class Critic:
    """A model that reads rollouts; it may be another one than the policy's. Charged to `ledger`, phase verify.

    seed  of what it says, where the model takes seeds; each prompt gets its own
    """

    model: Model
    bank: Bank
    ledger: Ledger
    sampling: Sampling = NOTE_SAMPLING
    seed: int | None = None
    _compute: Compute = field(init=False)

    def __post_init__(self) -> None:
        self._compute = Compute(self.model, bank=self.bank)
        self._compute.ledger = Ledger(parent=self.ledger)

    async def ask(self, messages: tuple[Message, ...], *, sampling: Sampling | None = None) -> str:
        """One reply. Raises BudgetExhausted, ModelError."""
        sampling = sampling or self.sampling
        if self.seed is not None and self.model.can.seed:
            own = zlib.crc32(messages[-1].content.encode("utf-8", "replace"))
            sampling = replace(sampling, seed=(self.seed + own) % 2**31)
        reply = await self._compute.ask(messages, phase=Phase.VERIFY, sampling=sampling)
        return reply.text.strip()

    async def evaluate(self, judged: Sequence[tuple[Problem, Rollout]]) -> list[Note]:
        """A note on each rollout, in order. Side by side only where the budget surely holds them all.

        A rollout on which the critic failed has an empty note; where it failed on all, it is an outage, and the
        ModelError is raised. Raises BudgetExhausted.
        """
        asks = [evaluation_prompt(problem, rollout) for problem, rollout in judged]
        if await self._fits(asks):
            replies = await side_by_side(self._try(ask) for ask in asks)
        else:
            replies = [await self._try(ask) for ask in asks]
        failed = [reply for reply in replies if isinstance(reply, ModelError)]
        if failed and len(failed) == len(replies):
            raise failed[0]
        notes = []
        for (problem, rollout), reply in zip(judged, replies, strict=True):
            said, error = ("", str(reply)) if isinstance(reply, ModelError) else (reply, "")
            notes.append(Note(problem.id, rollout.policy, rollout.verdict, cut(said, _NOTE), cut(error, _NOTE)))
        return notes

    async def _try(self, messages: tuple[Message, ...]) -> str | ModelError:
        try:
            return await self.ask(messages)
        except ModelError as failure:
            return failure

    async def aggregate(self, notes: Sequence[Note]) -> str:
        """One lesson out of many notes; "" if there is none. At most `FAN_IN` at a time, then the summaries."""
        texts = [n.text for n in notes if n.text]
        while len(texts) > 1:
            groups = [texts[i : i + FAN_IN] for i in range(0, len(texts), FAN_IN)]
            texts = [cut(await self.ask(lesson_prompt(g)), _NOTE) if len(g) > 1 else g[0] for g in groups]
            texts = [t for t in texts if t]
        return texts[0] if texts else ""

    async def assess(self, rollouts: Sequence[Rollout], judged: Sequence[tuple[Problem, Rollout]]) -> Assessment:
        """The language value of the policy that made these rollouts; `judged` are those of them to be read.

        Raises BudgetExhausted, and ModelError for an outage.
        """
        notes = tuple(await self.evaluate(judged))
        try:
            lesson = await self.aggregate([n for n in notes if n.verdict != "right"] or notes)
        except ModelRefused:
            raise
        except ModelError as failure:  # it has just answered, so this is no outage
            return Assessment(counted(rollouts), notes=notes, error=cut(f"the critic failed: {failure}", _NOTE))
        return Assessment(counted(rollouts), lesson, notes)

    async def _fits(self, asks: Sequence[tuple[Message, ...]]) -> bool:
        if self.ledger.budget == Budget():
            return True
        total = Spend()
        for ask in asks:
            length = await self.model.count_prompt_tokens(ask)
            if length is None:
                return False
            total += Spend(calls=1, prompt_tokens=length, completion_tokens=self.sampling.max_tokens or 0)
        return self.ledger.blocker(total) is None


def evaluation_prompt(problem: Problem, rollout: Rollout) -> tuple[Message, ...]:
    """The question, the attempt, the judgement, and what is wanted: why, in one sentence."""
    return (
        system("You review solutions. Say in one sentence why it is right or wrong, and what to do next time."),
        user(
            "Question: A shirt costs 20 dollars and is reduced by 10 percent. What does it cost?\n"
            "Solution: 20 - 10 = 10. Final Answer: 10\nJudgement: wrong, the right answer is 18"
        ),
        assistant("It took the percentage for dollars; next time compute the percentage of the price first."),
        user(
            f"Question: {cut(problem.question, _QUESTION)}\nSolution: {cut_start(rollout.text, _ATTEMPT)}\n"
            f"Judgement: {judgement(problem, rollout)}"
        ),
    )  # fmt: skip


def lesson_prompt(notes: Sequence[str]) -> tuple[Message, ...]:
    """Several notes, and what is wanted: the one thing that they teach."""
    listed = "\n".join(f"- {note}" for note in notes)
    return (
        system("You read reviews of solutions and write down, in one sentence, the one lesson that would help most."),
        user("Reviews:\n- It forgot to add the last item.\n- It left out one of the three people.\n- It was right."),
        assistant("Check that every item and person in the question is used."),
        user(f"Reviews:\n{listed}"),
    )


def counted(rollouts: Sequence[Rollout]) -> str:
    """What came of attempts, as a sentence: "11 of 20 right, 2 cut off, 1 without a readable answer." """
    judged = [r for r in rollouts if r.value is not None]
    right = [r.value == 1.0 if r.correct is None else r.correct for r in judged]
    parts = [f"{sum(right)} of {len(judged)} right"]
    values = [r.value or 0.0 for r in judged]
    if values != [float(one) for one in right]:
        parts.append(f"evaluated at {sum(values) / len(values):.2f} of 1")
    for number, what in (
        (sum(r.cut for r in judged), "cut off"),
        (sum(r.verdict == "unparsed" and not r.cut for r in judged), "without a readable answer"),
        (len(rollouts) - len(judged), "that nobody could judge"),
    ):
        parts += [f"{number} {what}"] if number else []
    return ", ".join(parts) + "."


def judgement(problem: Problem, rollout: Rollout) -> str:
    """The verdict in words, with the reference where the problem has one; code has the test that failed instead."""
    if rollout.cut:
        return "wrong, it was cut off before it came to an end"
    if rollout.verdict == "unparsed":
        return "wrong, no answer could be read out of it"
    if rollout.verdict == "right":
        return "right"
    if problem.tests is not None or problem.reference is None or rollout.correct:  # correct, and yet not rewarded
        return cut(f"{rollout.verdict}, {rollout.reason}" if rollout.reason else rollout.verdict, _NOTE)
    return f"{rollout.verdict}, the right answer is {cut(problem.reference, 80)}"


def cut(text: str, most: int) -> str:
    """The text on one line, its end cut off."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 4] + " ..."


def cut_start(text: str, most: int) -> str:
    """The text, its start cut off."""
    return text if len(text) <= most else "... " + text[-most + 4 :]
