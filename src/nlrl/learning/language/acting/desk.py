"""Where language operators get their texts: one model a role, one ledger, one bank.

    desk = Desk(model, bank=Bank("gpi.sqlite"), budget=Budget(tokens=200_000))
    text = await desk.say(Role.JOIN, "Rules ...", "Transition: ...")
    desk.calls[Role.JOIN], desk.ledger.usage().tokens

The same question to the same model has the same answer for ever, since the bank keeps it: a run that was interrupted
goes through what it had heard without paying again, and a finished one can be read back word for word.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from nlrl.bank import Bank
from nlrl.compute import Ledger, MeteredModel, Purse
from nlrl.core import Budget, Message, Model, ModelError, Phase, Request, Sampling, system, user

IN_FLIGHT = 256  # questions at once: engines batch them, servers have limits of their own below this
MAX_TOKENS = 256  # of one text; an evaluation is a short paragraph


class Role(StrEnum):
    """Who is asked. The letters are those of Feng et al. 2024."""

    POLICY = "policy"  # pi: reasoning and an action for a state
    VALUE = "value"  # V: what a state is worth, in words
    JOIN = "join"  # G2: one transition with the value of where it led
    AGGREGATE = "aggregate"  # G1: the expectation over variations
    IMPROVE = "improve"  # I: from the evaluations of candidate actions to a better decision
    SUCCESSOR = "successor"  # what the future holds after an action, as a summary
    REFINE = "refine"  # a better action than the one just judged


CRITIC_ROLES = (Role.JOIN, Role.AGGREGATE, Role.IMPROVE)  # whoever only reads and compares what it is shown
_PHASE = {Role.POLICY: Phase.SAMPLE, Role.IMPROVE: Phase.SAMPLE, Role.REFINE: Phase.SAMPLE}


@dataclass(frozen=True, slots=True)
class Heard:
    """One call, for the transcript."""

    role: Role
    prompt: str
    reply: str


class Desk:
    """Asks the model of each role, charges the ledger, and counts.

    model     of every role that `roles` does not name
    sampling  of the policy's draws; the other roles are asked at temperature 0, and share its seed and length
    on_heard  called with every exchange, in the order they end
    """

    def __init__(
        self,
        model: Model,
        *,
        roles: Mapping[Role, Model] | None = None,
        bank: Bank | None = None,
        budget: Budget | None = None,
        sampling: Sampling | None = None,
        on_heard: Callable[[Heard], None] | None = None,
    ) -> None:
        self.ledger = Ledger(budget or Budget())
        self.calls: Counter[Role] = Counter()
        self.failed: Counter[Role] = Counter()
        self._models = {role: (roles or {}).get(role, model) for role in Role}
        self._purse = Purse(model, bank or Bank())
        own = sampling or Sampling(temperature=0.8, top_p=0.95)
        self._sampling = own if own.max_tokens else replace(own, max_tokens=MAX_TOKENS)
        self._on_heard = on_heard
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    def model(self, role: Role) -> Model:
        """The model that speaks for a role."""
        return self._models[role]

    def employ(self, role: Role, model: Model) -> None:
        """Give a role another model, such as the one that has just been trained for it."""
        self._models[role] = model

    async def say(self, role: Role, rules: str, prompt: str) -> str:
        """One text. Raises BudgetExhausted, ModelError."""
        return (await self._ask(role, rules, prompt, 1))[0]

    async def draws(self, role: Role, rules: str, prompt: str, n: int) -> list[str]:
        """n texts of one prompt; fewer if draws fail, which `failed` counts. Raises BudgetExhausted, ModelError."""
        return await self._ask(role, rules, prompt, n)

    async def _ask(self, role: Role, rules: str, prompt: str, n: int) -> list[str]:
        messages: tuple[Message, ...] = (system(rules), user(prompt)) if rules else (user(prompt),)
        sampling = self._sampling
        if role not in (Role.POLICY, Role.REFINE) or n == 1:
            sampling = replace(sampling, temperature=0.0, top_p=None)
        request = Request(messages, sampling, n=n)
        metered = MeteredModel(self._purse, self.ledger, self._models[role], _PHASE.get(role, Phase.VERIFY))
        async with self._gate:
            self.calls[role] += n
            completions = await metered.complete(request)
        texts = [c.text for c in completions if c.ok]
        self.failed[role] += len(completions) - len(texts)
        if not texts:
            reason = completions[0].error if completions else "no draw"
            raise ModelError(f"{metered.name} gave no text as {role}: {reason}")
        if self._on_heard:
            for text in texts:
                self._on_heard(Heard(role, prompt, text))
        return texts
