"""Prompts per domain: what is asked changes with the kind, the difficulty and the steps wanted.

    messages_for(Problem("What is 17 + 25?", task_type=TaskType.MATH))
    -> system "Solve the problem. ...", two worked examples as chat turns, then the question

Every answer ends with the contract line "Final Answer: ..." (code: one fenced block), which the stop rules and the
extraction know. A problem is a value that is filled in, never a template: braces and percent signs in it do no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nlrl.core import ANSWER_PHRASE, InputOutput, Message, Problem, TaskType, UserError, assistant, system, user
from nlrl.tasks.classify import classify_task
from nlrl.tasks.rows import as_problem
from nlrl.tasks.templates import EXAMPLE_MATH_PROBLEM, PROMPT_TEMPLATES
from nlrl.tasks.worked_examples import nearest_examples

DEFAULT_EXAMPLES = 2

_ROLE = {
    TaskType.MATH: "Solve the problem. Write short steps, one calculation per line.",
    TaskType.CODING: "You write correct Python. Reply with one ```python code block that holds the whole function, "
    "and nothing else.",
    TaskType.COMMONSENSE: "Answer the question with as few words as possible.",
    TaskType.WRITING: "Write the text that is asked for. It must meet every constraint exactly. Reply with the text "
    "only.",
}
_ENDING = {
    TaskType.MATH: f"End with one line: {ANSWER_PHRASE} <the result>",
    TaskType.COMMONSENSE: f"End with one line: {ANSWER_PHRASE} <the answer>",
}
_BY_LEVEL = {
    "easy": {
        TaskType.MATH: "It is easy: at most two short steps.",
        TaskType.CODING: "It is easy: a few lines are enough.",
        TaskType.COMMONSENSE: "Answer at once.",
        TaskType.WRITING: "Keep it short and plain.",
    },
    "medium": {},
    "hard": {
        TaskType.MATH: "It is hard: first write a plan, then carry it out, then check the result against the question.",
        TaskType.CODING: "It is hard: think of the edge cases (empty, one element, negative, repeated) before you "
        "write, and handle them.",
        TaskType.COMMONSENSE: "It is hard: first write the facts that matter, one per line, then conclude.",
        TaskType.WRITING: "It is hard: plan the words for each constraint before you write; reply with the final text "
        "only.",
    },
}


def messages_for(
    problem: Problem,
    *,
    difficulty: str | float | None = None,
    steps: int | None = None,
    examples: int | None = None,
) -> tuple[Message, ...]:
    """Chat messages for an attempt at a problem: instructions, worked examples as turns, the question.

    difficulty  "easy", "medium" or "hard", a share in [0, 1], or a level 1 to 5
    steps       how many steps the solution is to have
    examples    number of worked examples; default 2, none for problems with context or for writing

    Raises UserError for a difficulty or number of steps that makes no sense.
    """
    task_type = problem.task_type or classify_task(problem.question).label
    if examples is None:
        examples = 0 if problem.context or difficulty_level(difficulty) == "hard" else DEFAULT_EXAMPLES
    shown = nearest_examples(task_type, problem.question, max(examples, 0))
    turns = [turn for e in shown for turn in (user(e.question), assistant(e.solution))]
    return (system(_instructions(task_type, difficulty, steps, problem)), *turns, user(_body(problem)))


def get_dynamic_prompt(
    task_type: str,
    problem: str | Problem | Mapping[str, Any],
    difficulty: str | float | None = "medium",
    steps: int | None = 3,
    *,
    examples: int | None = None,
    as_messages: bool = False,
) -> str | tuple[Message, ...]:
    """The prompt for a problem of a given kind as one text (`templates.PROMPT_TEMPLATES`).

    as_messages  as chat messages instead, with `examples` worked examples as turns: what strategies send
    Parameters and errors as in `messages_for`; an unknown task type is a UserError.
    """
    kinds = [t.value for t in TaskType]
    if task_type not in kinds:
        raise UserError(f"Unknown task type {task_type!r}. Use one of: {', '.join(kinds)}.")
    kind = TaskType(task_type)
    asked = Problem(problem) if isinstance(problem, str) else as_problem(problem)
    asked = replace(asked, task_type=kind, id="")
    if as_messages:
        return messages_for(asked, difficulty=difficulty, steps=steps, examples=examples)
    _check_steps(steps)
    context = f"{EXAMPLE_MATH_PROBLEM.strip()}\n\n" if kind is TaskType.MATH and examples != 0 else ""
    return PROMPT_TEMPLATES[kind].format(
        context=context,
        problem=_body(asked).strip(),
        difficulty=difficulty_level(difficulty),
        steps="as many as it takes" if steps is None else steps,
    )


def difficulty_level(difficulty: str | float | None) -> str:
    """ "easy", "medium" or "hard" for any way to say it; "medium" for None.

    Shares in [0, 1] and levels 1 to 5 are told apart by type and size: 1 is the level, 1.0 the share.
    """
    if difficulty is None:
        return "medium"
    if isinstance(difficulty, str) and difficulty.lower() in _BY_LEVEL:
        return difficulty.lower()
    if isinstance(difficulty, int) and not isinstance(difficulty, bool) and 1 <= difficulty <= 5:
        return ("easy", "easy", "medium", "hard", "hard")[difficulty - 1]
    if isinstance(difficulty, int | float) and not isinstance(difficulty, bool) and 0 <= difficulty <= 1:
        return "easy" if difficulty < 1 / 3 else "medium" if difficulty <= 2 / 3 else "hard"
    raise UserError(
        f"A difficulty is easy, medium, hard, a share from 0.0 to 1.0 or a level 1 to 5, not {difficulty!r}."
    )


def _instructions(task_type: TaskType, difficulty: str | float | None, steps: int | None, problem: Problem) -> str:
    parts = [_ROLE[task_type]]
    if how := _BY_LEVEL[difficulty_level(difficulty)].get(task_type):
        parts.append(how)
    if steps is not None:
        _check_steps(steps)
        plural = "" if steps == 1 else "s"
        where = " as comments in the code" if task_type is TaskType.CODING else ""
        parts.append(f"Use exactly {steps} numbered step{plural}{where}.")
    if problem.choices:
        parts.append("Choose one of the options and give its text, not its letter.")
    if task_type in _ENDING:
        parts.append(_ENDING[task_type])
    return " ".join(parts)


def _check_steps(steps: int | None) -> None:
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise UserError(f"The number of steps must be a whole number of at least 1, got {steps!r}.")


def _body(problem: Problem) -> str:
    parts = [problem.context, problem.question]
    if problem.choices:
        parts.append("Options:\n" + "\n".join(f"- {choice}" for choice in problem.choices))
    if problem.tests and problem.tests.public:
        shown = [str(test) for test in problem.tests.public if not _is_shown(test, problem.question)]
        if shown:
            parts.append("It must pass:\n" + "\n".join(shown))
    if problem.constraints:
        parts.append("Constraints:\n" + "\n".join(f"- {constraint_in_words(c)}" for c in problem.constraints))
    return "\n\n".join(part for part in parts if part)


def _is_shown(test: str | InputOutput, question: str) -> bool:
    """Whether the question has the test in it; samples of contests are laid out in many ways."""
    if isinstance(test, str):
        return test in question
    return test.stdin.strip() in question and test.stdout.strip() in question


_UNITS = {
    "word_count": "words",
    "sentence_count": "sentences",
    "paragraph_count": "paragraphs",
    "character_count": "characters",
    "words_per_sentence": "words in every sentence",
    "words_per_paragraph": "words in every paragraph",
    "sentences_per_paragraph": "sentences in every paragraph",
    "word_length": "letters in every word",
}
_OPS = {"==": "exactly", ">=": "at least", "<=": "at most", ">": "more than", "<": "fewer than", "!=": "not"}


def constraint_in_words(constraint: Mapping[str, Any]) -> str:
    """A constraint as an instruction, with the part of the text it is about; an unknown kind is given as it stands."""
    parts = [f"{name} {constraint[name]}" for name in ("word", "sentence", "paragraph") if constraint.get(name)]
    instruction = _instruction(constraint)
    return f"in {' of '.join(parts)}: {instruction}" if parts else instruction


def _instruction(constraint: Mapping[str, Any]) -> str:
    kind, value = constraint.get("kind"), constraint.get("value")
    how_many = f"{_OPS.get(constraint.get('op') or '==', 'exactly')} {value}"
    if kind in _UNITS:
        return f"{how_many} {_UNITS[kind]}" + ("" if constraint.get("spaces", True) else ", white space not counted")
    named = constraint.get("words") or constraint.get("values") or ()
    listed = ", ".join(repr(w) for w in named)
    times = constraint.get("count") or 1
    simple = {
        "include_words": f"use the words {listed}" + (f", each at least {times} times" if times != 1 else ""),
        "exclude_words": f"do not use the words {listed}",
        "exclude_letters": f"do not use the letters {constraint.get('letters')!r}",
        "letter_at": f"letter number {constraint.get('position')} is {value!r}",
        "word_at": f"word number {constraint.get('position')} is {value!r}",
        "every_sentence_starts_with": f"every sentence begins with {value!r}",
        "sentence_first_words": f"the sentences begin with {listed}, in this order",
        "sentence_last_words": f"the sentences end with {listed}, in this order",
        "paragraph_first_words": f"the paragraphs begin with {listed}, in this order",
        "paragraph_last_words": f"the paragraphs end with {listed}, in this order",
        "paragraph_last_sentences": f"the last sentences of the paragraphs are {listed}, in this order",
        "starts_with": f"begin with {value!r}",
        "ends_with": f"end with {value!r}",
        "letter_count": f"{how_many} times the letter {constraint.get('letter')!r}",
    }
    return simple.get(str(kind), str(dict(constraint)))
