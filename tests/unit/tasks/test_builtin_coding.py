"""Every built-in coding task can be solved, and a wrong solution is found out. The solutions are our own."""

import inspect
import itertools
import math
import re
from collections import Counter

import pytest

from nlrl.core import Problem
from nlrl.tasks import load_problems


class Solutions:
    """One static method per task, named as the task's function."""

    def add_all(numbers):
        return sum(numbers)

    def is_even(n):
        return n % 2 == 0

    def reverse_words(text):
        return " ".join(reversed(text.split()))

    def count_vowels(text):
        return sum(c in "aeiou" for c in text.lower())

    def is_palindrome(text):
        kept = [c.lower() for c in text if c.isalnum()]
        return kept == kept[::-1]

    def factorial(n):
        if n < 0:
            raise ValueError("negative")
        return math.factorial(n)

    def unique_in_order(items):
        out = []
        for item in items:
            if item not in out:
                out.append(item)
        return out

    def run_length(text):
        return [(c, len(list(group))) for c, group in itertools.groupby(text)]

    def second_largest(numbers):
        ordered = sorted(set(numbers))
        return ordered[-2] if len(ordered) > 1 else None

    def flatten(nested):
        out, stack = [], [iter(nested)]
        while stack:
            for item in stack[-1]:
                if isinstance(item, list):
                    stack.append(iter(item))
                    break
                out.append(item)
            else:
                stack.pop()
        return out

    def digit_sum(n):
        return sum(map(int, str(abs(n))))

    def roman(n):
        values = (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1)
        signs = ("M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I")
        out = ""
        for value, sign in zip(values, signs, strict=True):
            out += sign * (n // value)
            n %= value
        return out

    def merge_sorted(a, b):
        return sorted(a + b)

    def balanced(text):
        closing, stack = {")": "(", "]": "[", "}": "{"}, []
        for c in text:
            if c in "([{":
                stack.append(c)
            elif c in closing and (not stack or stack.pop() != closing[c]):
                return False
        return not stack

    def caesar(text, shift):
        def move(c):
            base = ord("a") if "a" <= c <= "z" else ord("A") if "A" <= c <= "Z" else None
            return c if base is None else chr((ord(c) - base + shift) % 26 + base)

        return "".join(map(move, text))

    def fibonacci(n):
        out, a, b = [], 0, 1
        for _ in range(n):
            out.append(a)
            a, b = b, a + b
        return out

    def is_prime(n):
        return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))

    def chunk(items, size):
        return [list(items[i : i + size]) for i in range(0, len(items), size)]

    def transpose(matrix):
        return [list(row) for row in zip(*matrix, strict=True)]

    def most_common(text):
        return max(text, key=text.count) if text else None

    def to_binary(n):
        return format(n, "b")

    def rotate(items, k):
        cut = len(items) - k % len(items) if items else 0
        return items[cut:] + items[:cut]

    def gcd_list(numbers):
        return math.gcd(*numbers)

    def word_lengths(text):
        return {word: len(word) for word in text.split()}

    def title_case(text):
        return " ".join(word[:1].upper() + word[1:].lower() for word in text.split(" "))

    def moving_average(numbers, size):
        return [sum(numbers[i : i + size]) / size for i in range(len(numbers) - size + 1)]

    def common_prefix(words):
        same = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))
        return "".join(column[0] for column in same)

    def two_sum(numbers, target):
        pairs = itertools.combinations(range(len(numbers)), 2)
        return next((p for p in pairs if numbers[p[0]] + numbers[p[1]] == target), None)

    def valid_ip(text):
        parts = text.split(".")
        return len(parts) == 4 and all(re.fullmatch("0|[1-9][0-9]{0,2}", p) and int(p) < 256 for p in parts)

    def spiral(matrix):
        rows, out = [list(row) for row in matrix], []
        while rows:
            out += rows.pop(0)
            rows = [list(row) for row in zip(*rows, strict=True)][::-1]
        return out

    def decode_runs(text):
        return "".join(c * int(n) for n, c in re.findall(r"(\d+)(.)", text))

    def count_words(text):
        return dict(Counter(re.sub("[.,!?;:]", "", text.lower()).split()))

    def binary_search(items, target):
        low, high = 0, len(items)
        while low < high:
            middle = (low + high) // 2
            if items[middle] < target:
                low = middle + 1
            else:
                high = middle
        return low if low < len(items) and items[low] == target else -1

    def clamp(value, low, high):
        return max(low, min(high, value))

    def anagrams(words):
        groups = {}
        for word in words:
            groups.setdefault("".join(sorted(word)), []).append(word)
        return list(groups.values())

    def time_text(seconds):
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    def longest_run(items):
        return max((len(list(group)) for _, group in itertools.groupby(items)), default=0)

    def parse_pairs(text):
        pairs = (part.split("=") for part in text.split(";") if part.strip())
        return {name.strip(): int(value) for name, value in pairs}

    def triangle_kind(a, b, c):
        a, b, c = sorted((a, b, c))
        if a <= 0 or a + b <= c:
            return "invalid"
        return {1: "equilateral", 2: "isosceles", 3: "scalene"}[len({a, b, c})]

    def missing_numbers(numbers):
        return sorted(set(range(min(numbers), max(numbers))) - set(numbers)) if numbers else []

    def remove_comments(line):
        quote = ""
        for i, c in enumerate(line):
            if quote:
                quote = "" if c == quote else quote
            elif c in "'\"":
                quote = c
            elif c == "#":
                return line[:i].rstrip(" ")
        return line


TASKS = load_problems("builtin:coding").problems


def name_of(problem: Problem) -> str:
    assert problem.tests and problem.tests.entry_point
    return problem.tests.entry_point


def failures(problem: Problem, solution) -> list[str]:
    assert problem.tests
    failed = []
    for check in problem.tests.checks:
        try:
            exec(check, {name_of(problem): solution})  # noqa: S102 - our own checks, run on our own solutions
        except Exception:
            failed.append(check)
    return failed


@pytest.mark.parametrize("problem", TASKS, ids=name_of)
def test_the_reference_solution_passes(problem):
    assert failures(problem, getattr(Solutions, name_of(problem))) == []


@pytest.mark.parametrize("problem", TASKS, ids=name_of)
def test_constant_answers_and_the_shown_example_alone_do_not_pass(problem):
    shown = []
    for public in problem.tests.public:
        exec(public, {name_of(problem): lambda *a: shown.append(a) or _Equal()})  # noqa: S102
    for constant in (None, True, False, 0, "", []):
        assert failures(problem, lambda *a, constant=constant: constant)
    right = getattr(Solutions, name_of(problem))
    memorised = failures(problem, lambda *a: right(*a) if a in shown else None)
    assert len(memorised) >= 2, "the hidden checks do not go beyond the shown one"


class _Equal:
    def __eq__(self, other):
        return True

    __hash__ = None


@pytest.mark.parametrize("problem", TASKS, ids=name_of)
def test_the_question_names_the_function_and_its_parameters(problem):
    parameters = ", ".join(inspect.signature(getattr(Solutions, name_of(problem))).parameters)
    assert f"`{name_of(problem)}({parameters})`" in problem.question
