"""A language policy: how to answer, in words, and what each word rests on.

    policy = LanguagePolicy(principles=(Principle("State the unit of every number.", (Evidence("3f0c...", "wrong"),)),))
    compute = Compute(model, prompt=policy.messages)      # every strategy now spends under this policy

The base policy, `LanguagePolicy()`, is the prompt of `nlrl.tasks`, to the letter. An instruction takes the place of its
first sentences, principles follow as a numbered list, and worked examples take the place of its own. What the
extraction relies on (the answer line, the code block) is said by the policy's frame and cannot be edited away.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nlrl.core import ANSWER_PHRASE, DataError, Message, Problem, TaskType, assistant, system, user
from nlrl.tasks.classify import classify_task
from nlrl.tasks.prompts import messages_for

MOST_PRINCIPLES, MOST_EXAMPLES = 8, 4
LONGEST_LINE, LONGEST_INSTRUCTION, LONGEST_EXAMPLE = 300, 1600, 1500  # characters
_VERSION = 1
_CONTROL = re.compile(r"<\|[^<>|]{1,40}\|>|<</?SYS>>|\[/?INST\]|</?s>|[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")

_CONTRACT = {
    TaskType.MATH: f"End with one line: {ANSWER_PHRASE} <the result>",
    TaskType.COMMONSENSE: f"End with one line: {ANSWER_PHRASE} <the answer>",
    TaskType.CODING: "Reply with one ```python code block that holds the whole function.",
    TaskType.WRITING: "Reply with the text only.",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A rollout that something was learned from: the problem's id and the verdict on the attempt."""

    problem: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Principle:
    """One rule, on one line."""

    text: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example: an attempt of the model's own that was judged right.

    question  as the model was shown it
    task      shown for problems of this kind only; None for all
    """

    question: str
    answer: str
    task: TaskType | None = None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class LanguagePolicy:
    """An instruction, numbered principles, and worked examples.

    instruction  None: that of the problem's kind (`nlrl.tasks`)
    examples     None: those of `nlrl.tasks`; an empty tuple: none
    """

    instruction: str | None = None
    principles: tuple[Principle, ...] = ()
    examples: tuple[Example, ...] | None = None

    @property
    def id(self) -> str:
        """12 hex digits over what the policy says; what it rests on does not change it."""
        examples = None if self.examples is None else [[e.question, e.answer, e.task] for e in self.examples]
        said = msgspec.json.encode([self.instruction, [p.text for p in self.principles], examples])
        return hashlib.sha256(said).hexdigest()[:12]

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """Chat messages for an attempt: what `Compute(prompt=...)` takes."""
        own = self._shown(problem)
        first, *turns, question = messages_for(problem, examples=None if own is None else 0)
        if own is not None:
            turns = [turn for e in own for turn in (user(e.question), assistant(e.answer))]
        return (system(self._system(problem, first.content)), *turns, question)

    def _shown(self, problem: Problem) -> list[Example] | None:
        """The examples for a problem, never one that is the problem itself; None for those of `nlrl.tasks`."""
        if self.examples is None or problem.context:
            return None
        kind = _kind(problem)
        fitting = [e for e in self.examples if e.task in (None, kind)]
        if self.examples and not fitting:
            return None  # learned on another kind of problem
        asked = messages_for(problem, examples=0)[-1].content
        return [e for e in fitting if e.question != asked]

    def _system(self, problem: Problem, base: str) -> str:
        text = base
        if self.instruction is not None:
            parts = [self.instruction]
            if problem.choices:
                parts.append("Choose one of the options and give its text, not its letter.")
            text = " ".join([*parts, _CONTRACT[_kind(problem)]])
        rules = [f"{i}. {p.text}" for i, p in enumerate(self.principles, 1)]
        return "\n".join([text, "Rules:", *rules]) if rules else text

    def to_json(self) -> bytes:
        """The policy as one JSON object, readable by people and by `from_json`."""
        plain = {"v": _VERSION, "id": self.id, "policy": self}
        return msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"

    @classmethod
    def from_json(cls, data: bytes | str, *, path: str = "") -> LanguagePolicy:
        """What `to_json` wrote. Raises DataError for anything else."""
        try:
            found = msgspec.json.decode(data, type=_File)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise DataError(f"this is no language policy: {error}", path=path) from error
        if found.v != _VERSION:
            raise DataError(f"a policy of version {found.v}; this program reads version {_VERSION}", path=path)
        if problem := found.policy.objection():
            raise DataError(f"the policy cannot be used: {problem}", path=path)
        return found.policy

    def objection(self) -> str | None:
        """Why these words must not be put before a model; None if they may."""
        if self.instruction is not None and not fit_to_say(self.instruction, LONGEST_INSTRUCTION):
            return "its instruction is empty, too long, or holds control text"
        if len(self.principles) > MOST_PRINCIPLES or len(self.examples or ()) > MOST_EXAMPLES:
            return f"more than {MOST_PRINCIPLES} principles or {MOST_EXAMPLES} examples"
        for p in self.principles:
            if "\n" in p.text or not fit_to_say(p.text, LONGEST_LINE):
                return f"the principle {p.text[:60]!r} is empty, too long, or holds control text"
        for e in self.examples or ():
            if not (fit_to_say(e.question, LONGEST_EXAMPLE) and fit_to_say(e.answer, LONGEST_EXAMPLE)):
                return f"the example {e.question[:60]!r} is empty, too long, or holds control text"
        return None


class _File(msgspec.Struct):
    v: int
    policy: LanguagePolicy
    id: str = ""


def _kind(problem: Problem) -> TaskType:
    return problem.task_type or classify_task(problem.question).label


def fit_to_say(text: str, longest: int) -> bool:
    """Whether a text may become part of a prompt: not empty, not too long, no chat template markers or control
    characters, with which a hostile text could pretend to be another turn."""
    return bool(text.strip()) and len(text) <= longest and not _CONTROL.search(text)


def load_language_policy(path: str | Path) -> LanguagePolicy:
    """A policy file. Raises DataError if it is not there or is none."""
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise DataError(f"the policy cannot be read: {error.strerror}", path=str(path)) from error
    return LanguagePolicy.from_json(data, path=str(path))


def diff(old: LanguagePolicy, new: LanguagePolicy) -> list[str]:
    """What changed, one line each: "+ rule 2: ... (from 3 wrong)", "- rule 1: ...", "~ instruction: ...".

    Empty where nothing did.
    """
    lines = []
    if old.instruction != new.instruction:
        lines += [f"- instruction: {old.instruction or '(that of the task)'}"]
        lines += [f"+ instruction: {new.instruction or '(that of the task)'}"]
    before, after = [p.text for p in old.principles], [p.text for p in new.principles]
    lines += [f"- rule {i}: {text}" for i, text in enumerate(before, 1) if text not in after]
    lines += [
        f"+ rule {i}: {p.text}{_source(p.evidence)}" for i, p in enumerate(new.principles, 1) if p.text not in before
    ]
    if old.examples is None and new.examples is not None:
        lines.append("- examples: (those of the task)")
    if old.examples is not None and new.examples is None:
        lines.append("+ examples: (those of the task)")
    shown, showing = ([(e.question, e.answer) for e in p.examples or ()] for p in (old, new))
    lines += [f"- example: {_short(q)} -> {_short(a)}" for q, a in shown if (q, a) not in showing]
    for e in new.examples or ():
        if (e.question, e.answer) not in shown:
            lines.append(f"+ example: {_short(e.question)} -> {_short(e.answer)}{_source(e.evidence)}")
    return lines


def _source(evidence: Sequence[Evidence]) -> str:
    counts = Counter(e.verdict for e in evidence)
    return f" (from {', '.join(f'{n} {verdict}' for verdict, n in counts.most_common())})" if counts else ""


def _short(text: str, most: int = 100) -> str:
    line = " / ".join(part.strip() for part in text.splitlines() if part.strip())
    return line if len(line) <= most else line[: most - 3] + "..."
