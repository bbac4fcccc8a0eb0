"""Worked examples of each domain, and the choice of those most like a question.

Small models copy the form of what they are shown far better than they follow a description of it: with two examples
as chat turns, Qwen2.5-Coder-0.5B keeps the answer contract and writes a fifth of the tokens.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from nlrl.core import ANSWER_PHRASE, TaskType


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A question and a solution in the form that is wanted."""

    question: str
    solution: str


def _math(question: str, steps: str, answer: str) -> WorkedExample:
    return WorkedExample(question, f"{steps}\n{ANSWER_PHRASE} {answer}")


def _fact(question: str, answer: str, thought: str = "") -> WorkedExample:
    return WorkedExample(question, f"{thought}\n{ANSWER_PHRASE} {answer}".strip())


_EXAMPLES: dict[TaskType, tuple[WorkedExample, ...]] = {
    TaskType.MATH: (
        _math(
            "A book costs 6 dollars and a pen costs 2 dollars. How much do 3 books and 2 pens cost, in dollars?",
            "3 books: 3 * 6 = 18\n2 pens: 2 * 2 = 4\nTogether: 18 + 4 = 22",
            "22",
        ),
        _math(
            "Tim has 20 marbles. He gives away half of them and then finds 3. How many marbles does he have?",
            "Half of 20: 20 / 2 = 10\nHe keeps: 20 - 10 = 10\nThen: 10 + 3 = 13",
            "13",
        ),
        _math(
            "A coat of 60 dollars is reduced by 20 percent. What is the new price in dollars?",
            "Reduction: 60 * 20 / 100 = 12\nNew price: 60 - 12 = 48",
            "48",
        ),
        _math(
            "A car drives 90 km at 45 km per hour and rests for 1 hour. How many hours does the trip take?",
            "Driving: 90 / 45 = 2\nWith the rest: 2 + 1 = 3",
            "3",
        ),
        _math("What is 8 * 12 - 6?", "8 * 12 = 96\n96 - 6 = 90", "90"),
        _math("Solve for x: 3x + 5 = 20", "3x = 20 - 5 = 15\nx = 15 / 3 = 5", "5"),
        _math(
            "Lea is 4 years older than Max. Together they are 20. How old is Lea?",
            "Max is m, Lea is m + 4\nm + m + 4 = 20, so 2m = 16 and m = 8\nLea: 8 + 4 = 12",
            "12",
        ),
        _math(
            "A rectangle is 5 m long and 3 m wide. What is its perimeter in metres?",
            "Length and width: 5 + 3 = 8\nPerimeter: 2 * 8 = 16",
            "16",
        ),
        _math(
            "Eggs come in boxes of 6. How many boxes does one need for 20 eggs?",
            "20 / 6 = 3.33\nOnly whole boxes can be bought, so round up to 4",
            "4",
        ),
        _math(
            "Find the derivative of f(x) = x^3 + 2x.",
            "The derivative of x^3 is 3x^2\nThe derivative of 2x is 2",
            "3x^2 + 2",
        ),
        _math(
            "What is the probability of rolling an even number with a fair die?",
            "Even numbers: 2, 4, 6, which is 3 of 6\n3 / 6 = 1/2",
            "1/2",
        ),
    ),
    TaskType.COMMONSENSE: (
        _fact("What is the capital of Italy?", "Rome"),
        _fact("How many wheels does a tricycle have?", "3"),
        _fact("Who wrote the novel Pride and Prejudice?", "Jane Austen"),
        _fact("Which gas do people need to breathe?", "oxygen"),
        _fact("What do you use to cut paper?", "scissors"),
        _fact("Which is the highest mountain on Earth?", "Mount Everest"),
        _fact("Could a fish live on the top of a dry mountain?", "no", "Fish need water. There is none there."),
        _fact("Is ice lighter than water?", "yes", "Ice floats on water, so it is lighter."),
    ),
    TaskType.CODING: (
        WorkedExample(
            "Write a Python function `double_all(numbers)`.\nReturn a list with every number doubled.",
            "```python\ndef double_all(numbers):\n    return [2 * number for number in numbers]\n```",
        ),
        WorkedExample(
            "Write a Python function `first_longest(words)`.\nReturn the first of the longest words, or None for an "
            "empty list.",
            "```python\ndef first_longest(words):\n    if not words:\n        return None\n"
            "    return max(words, key=len)\n```",
        ),
    ),
    TaskType.WRITING: (),
}

_WORD = re.compile(r"[a-z]+|\d+")


def _terms(text: str) -> Counter[str]:
    # numbers say that there are numbers, not which
    return Counter("#" if w.isdigit() else w for w in _WORD.findall(text[:4000].lower()))


def nearest_examples(task_type: TaskType, question: str, n: int) -> tuple[WorkedExample, ...]:
    """The n examples of the domain most like the question (TF-IDF cosine), the most similar last.

    An example that is the question itself is left out.
    """
    bank = [e for e in _EXAMPLES[task_type] if e.question.strip() != question.strip()]
    documents = [_terms(e.question) for e in bank]
    seen = Counter(word for document in documents for word in document)
    weight = {word: math.log((1 + len(bank)) / (1 + count)) + 0.1 for word, count in seen.items()}

    def vector(terms: Counter[str]) -> dict[str, float]:
        raw = {w: (1 + math.log(c)) * weight[w] for w, c in terms.items() if w in weight}
        length = math.sqrt(sum(v * v for v in raw.values())) or 1.0
        return {w: v / length for w, v in raw.items()}

    asked = vector(_terms(question))
    scores = [sum(v * asked.get(w, 0.0) for w, v in vector(document).items()) for document in documents]
    order = sorted(range(len(bank)), key=lambda i: (-scores[i], i))[:n]
    return tuple(bank[i] for i in reversed(order))
