"""Ways to change a language policy: what its own rollouts show, and what a critic says of them.

    successes  worked examples from the policy's own right attempts       no critic is asked
    format     a rule against mistakes of form: cut off, nothing to read   no critic is asked
    bare       no worked examples at all                                   no critic is asked
    critic     evaluations of the rollouts, one lesson, one edit           a language model proposes (the operator I)
    merge      two specialists of the pool in one

Each returns a `Proposal`; its policy is None where there is nothing to propose, or where a model's reply was not one
of the four edits it may make: an unparsed reply is counted, and never used in part.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import msgspec

from nlrl.core import (
    ANSWER_PHRASE,
    Message,
    ModelError,
    ModelRefused,
    Problem,
    Sampling,
    TaskType,
    assistant,
    system,
    user,
)
from nlrl.learning.language.asking.critique import Assessment, Critic, Note, cut
from nlrl.learning.language.asking.policy import (
    LONGEST_EXAMPLE,
    LONGEST_INSTRUCTION,
    LONGEST_LINE,
    MOST_PRINCIPLES,
    Evidence,
    Example,
    LanguagePolicy,
    Principle,
    fit_to_say,
)
from nlrl.learning.language.asking.rollouts import Rollout
from nlrl.tasks.prompts import messages_for

KINDS = ("successes", "format", "bare", "critic", "merge")
EXAMPLES = 3  # worked examples proposed at a time
EDIT_SAMPLING = Sampling(temperature=0.7, max_tokens=120, stop=("\n\n",))

Judged = tuple[Problem, Rollout]


class Proposal(msgspec.Struct, frozen=True):
    """A changed policy, or None and why.

    raw      what a model said, where one was asked
    notes    its evaluations of single rollouts; `lesson` is what they were aggregated to
    unparsed a model was asked, and its reply was no edit, or none came
    """

    kind: str
    policy: LanguagePolicy | None
    why: str = ""
    raw: str = ""
    notes: tuple[Note, ...] = ()
    lesson: str = ""
    unparsed: bool = False


def successes(parent: LanguagePolicy, judged: Sequence[Judged], rng: random.Random) -> Proposal:
    """Worked examples from right attempts: of different answers, so that none is suggested, and of different lengths,
    so that no number of steps is. Lengths that are right less often than attempts are on the whole come last: a lucky
    guess is right too, but its like are not.
    """
    found = [(p, r) for p, r in judged if may_be_shown(p, r)]
    known = {e.question for e in parent.examples or ()}
    found = list({p.id: (p, r) for p, r in found if asked(p) not in known}.values())
    if not found:
        return Proposal("successes", None, "no attempt was right in the form that is wanted")
    tried = Counter(_lines(r) for _, r in judged)
    right = Counter(_lines(r) for _, r in judged if r.value == 1.0)
    usual = right.total() / tried.total()
    rng.shuffle(found)
    chosen: list[Judged] = []
    while found and len(chosen) < EXAMPLES:
        answers, lengths = {_said(r) for _, r in chosen}, {_lines(r) for _, r in chosen}

        def worth(j: Judged, answers: set[str] = answers, lengths: set[int] = lengths) -> tuple[bool, bool, bool]:
            length = _lines(j[1])
            return right[length] / tried[length] >= usual, _said(j[1]) not in answers, length not in lengths

        chosen.append(max(found, key=worth))
        found.remove(chosen[-1])
    examples = tuple(worked_example(p, r) for p, r in chosen)
    return Proposal("successes", replace(parent, examples=examples), f"{len(examples)} of its own right attempts")


def may_be_shown(problem: Problem, rollout: Rollout) -> bool:
    """Whether an attempt can be a worked example: right, in the form that is wanted, whole, and fit for a prompt."""
    right = rollout.value == 1.0 and rollout.strict and not rollout.cut and not problem.context
    return bool(right) and all(fit_to_say(text, LONGEST_EXAMPLE) for text in (asked(problem), rollout.text))


def worked_example(problem: Problem, rollout: Rollout) -> Example:
    """An attempt as an example, and what it rests on."""
    return Example(asked(problem), rollout.text.strip(), problem.task_type, (rollout.evidence,))


def _said(rollout: Rollout) -> str:
    return (rollout.answer or "").strip().lower()


def _lines(rollout: Rollout) -> int:
    return len(rollout.text.strip().splitlines())


def asked(problem: Problem) -> str:
    """The question as the model is shown it."""
    return messages_for(problem, examples=0)[-1].content


def mistakes_of_form(parent: LanguagePolicy, judged: Sequence[Judged]) -> Proposal:
    """The rule against the most frequent mistake of form that the policy does not have yet."""
    right = [len(r.text.split()) for _, r in judged if r.value == 1.0]
    brief = f"Write at most {max(5, round(1.5 * median(right)))} words." if right else "Be brief."
    texts = {r.text for _, r in judged}
    cases: list[tuple[str, list[Evidence]]] = [(brief, [r.evidence for _, r in judged if r.cut])]
    code = [(p, r) for p, r in judged if p.task_type is TaskType.CODING]
    plain = [(p, r) for p, r in judged if p.task_type in (TaskType.MATH, TaskType.COMMONSENSE) and not r.cut]
    cases += [
        (
            f"The last line must be '{ANSWER_PHRASE}' and then the answer, nothing else.",
            [r.evidence for p, r in plain if not p.choices and not r.strict],
        ),
        (
            f"The last line must be '{ANSWER_PHRASE}' and then one of the options, copied exactly.",
            [r.evidence for p, r in plain if p.choices and not r.strict],
        ),
        ("Put the code between ```python and ```.", [r.evidence for _, r in code if not r.strict]),
        (
            "Name the function exactly as the tests call it, with the same arguments.",
            [r.evidence for _, r in code if re.search(r"NameError|not defined|positional argument", r.reason)],
        ),
    ]
    have = {p.text for p in parent.principles}
    rule, evidence = max(((t, e) for t, e in cases if t not in have), key=lambda c: len(c[1]), default=("", []))
    if not evidence or len(parent.principles) >= MOST_PRINCIPLES:
        return Proposal("format", None, f"no mistake of form in {len(texts)} attempts that a rule is missing for")
    changed = replace(parent, principles=(*parent.principles, Principle(rule, tuple(evidence))))
    return Proposal("format", changed, f"{len(evidence)} of {len(judged)} attempts broke the form")


def bare(parent: LanguagePolicy) -> Proposal:
    """No worked examples: a shorter prompt, and the model's own way to answer."""
    if parent.examples == ():
        return Proposal("bare", None, "it shows no examples already")
    return Proposal("bare", replace(parent, examples=()), "what the examples are worth")


async def from_critic(
    parent: LanguagePolicy, judged: Sequence[Judged], critic: Critic, assessment: Assessment | None = None
) -> Proposal:
    """Evaluate each rollout, aggregate, and ask for one edit. Raises BudgetExhausted, and ModelError for an outage.

    assessment  of the parent, where there is one already: then it is not made again
    """
    if not judged:
        return Proposal("critic", None, "there is no judged rollout to read")
    found = assessment or await critic.assess([r for _, r in judged], judged)
    if found.error or not found.lesson:
        why = found.error or "the critic said nothing"
        return Proposal("critic", None, why, notes=found.notes, unparsed=True)
    try:
        grammar = edit_grammar(parent) if critic.model.can.grammar else None
        raw = await critic.ask(edit_prompt(parent, found.lesson), sampling=replace(EDIT_SAMPLING, grammar=grammar))
    except ModelRefused:
        raise
    except ModelError as failure:  # it has just answered, so this is no outage
        why = cut(f"the critic failed: {failure}", 300)
        return Proposal("critic", None, why, notes=found.notes, lesson=found.lesson, unparsed=True)
    changed = parse_edit(raw, parent, tuple(n.evidence for n in found.notes if n.text))
    why = "the reply was no edit" if changed is None else "the critic's edit"
    return Proposal("critic", changed, why, raw, found.notes, found.lesson, unparsed=changed is None)


_EDITS = (
    "You improve the rules that a solver follows. Reply with one line, one of:\nADD: <a new rule>\n"
    "REPLACE <number>: <a better rule>\nDROP <number>\nINSTRUCTION: <a new instruction>"
)


def edit_prompt(parent: LanguagePolicy, lesson: str) -> tuple[Message, ...]:
    """The policy, the lesson, and the four edits that are possible."""
    rules = "\n".join(f"{i}. {p.text}" for i, p in enumerate(parent.principles, 1)) or "(none)"
    return (
        system(_EDITS),
        user("Instruction: (that of the task)\nRules:\n(none)\nLesson: It often mixes up hours and minutes."),
        assistant("ADD: Convert all times to the same unit before you calculate."),
        user(f"Instruction: {cut(parent.instruction or '(that of the task)', 400)}\nRules:\n{rules}\nLesson: {lesson}"),
    )


def edit_grammar(parent: LanguagePolicy) -> str:
    """The edits that are possible, in GBNF: where the critic's engine can be held to a grammar, it is."""
    verbs = ['"ADD: " line', '"INSTRUCTION: " line'] if len(parent.principles) < MOST_PRINCIPLES else []
    if parent.principles:
        verbs += ['"REPLACE " number ": " line', '"DROP " number']
    numbers = " | ".join(f'"{i}"' for i in range(1, len(parent.principles) + 1)) or '"1"'
    return f"root ::= {' | '.join(verbs)}\nnumber ::= {numbers}\nline ::= [A-Z] [^\\n<>]{{8,240}}\n"


_EDIT = re.compile(r"(ADD|DROP[ \t]+(\d+)|REPLACE[ \t]+(\d+)|INSTRUCTION)[ \t]*(?::[ \t]*(\S[^\n]*))?[ \t]*")


def parse_edit(reply: str, parent: LanguagePolicy, evidence: Sequence[Evidence] = ()) -> LanguagePolicy | None:
    """The policy after the edit that a reply holds. None unless the reply is exactly one edit that changes something:

    an edit with a second line, of a rule that does not exist, too long, or with control text in it is no edit.
    """
    match = _EDIT.fullmatch(reply.strip())
    if match is None:
        return None
    verb, text, rules = match.group(1).split()[0], match.group(4), list(parent.principles)
    at = int(match.group(2) or match.group(3) or 0) - 1
    if verb in ("DROP", "REPLACE") and not 0 <= at < len(rules):
        return None
    if (verb == "DROP") != (text is None):
        return None
    longest = LONGEST_INSTRUCTION if verb == "INSTRUCTION" else LONGEST_LINE
    # a rule that holds the answer phrase could be copied as an answer
    if text is not None and (ANSWER_PHRASE.lower() in text.lower() or not fit_to_say(text, longest)):
        return None
    if verb == "INSTRUCTION":
        changed = replace(parent, instruction=text)
    elif verb == "ADD":
        if len(rules) >= MOST_PRINCIPLES:
            return None
        changed = replace(parent, principles=(*rules, Principle(text or "", tuple(evidence))))
    elif verb == "REPLACE":
        rules[at] = Principle(text or "", tuple(evidence))
        changed = replace(parent, principles=tuple(rules))
    else:
        changed = replace(parent, principles=tuple(rules[:at] + rules[at + 1 :]))
    return changed if changed.id != parent.id and changed.objection() is None else None
