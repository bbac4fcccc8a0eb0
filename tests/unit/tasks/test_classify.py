import copy
import json
import pickle
import re
import time
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.core import TaskType
from nlrl.tasks import classify_task
from nlrl.tasks.classify import LABELS, features, learned, read

# Written for this test; all but a few that everyone writes first are unknown to the weights.
MATH = (
    "Solve for x: 2x + 3 = 7",
    "What is 17 + 25?",
    "Calculate the sum of 5 and 3",
    "What is the derivative of x^2?",
    "2+2",
    "7 * 8",
    "Find the area of a circle with radius 5",
    "If a train travels 60 miles in 2 hours, what is its speed?",
    "What's 15% of 80?",
    "Prove that sqrt(2) is irrational.",
    "Integrate x^2 dx",
    "What is the probability of getting heads twice?",
    "A store sells 3 apples for $2. How much do 12 apples cost?",
    "If 5 pencils cost 40 cents, what do 8 pencils cost?",
    "A waiter had 14 customers. After some left he still had 9. How many left?",
    "Each chapter has 12 pages and the book has 7 chapters; how many pages is that?",
    "Sarah's recipe calls for three eggs per cake. How many eggs does she need for five cakes?",
    "Four years ago Tom was half as old as he is now. How old is he?",
    "If $x+\\frac1x=3$, compute $x^3+\\frac1{x^3}$.",
    "Compute $\\cos 300^\\circ$.",
    "The sides of a triangle measure 5, 12, and 13. What is its area?",
    "Let P(x) be a monic cubic with roots 1, 2 and 4. What is P(5)?",
    "Find the number of ways to tile a 2 by 10 board with dominoes.",
    "What is log base 2 of 64?",
    "In triangle ABC, AB = AC and angle A is 40 degrees. Find angle B.",
    "convert 3/8 to a decimal",
    "What is the sum of the interior angles of a heptagon?",
)
CODING = (
    "Write a Python function to reverse a string",
    "Implement a binary search algorithm",
    "Debug this code: for i in range(10) print(i)",
    "Write a SQL query to get all users",
    "def fib(n):",
    "Write a function to calculate the sum of a list",
    "Write a program to calculate the area of a circle",
    "Create a class for a binary tree",
    "Fix the bug in my program",
    "reverse a linked list",
    "Given a list of integers, return True if any two of them sum to zero.",
    "Fix the off-by-one error in the code below.\n\nfor i in range(len(a)-1):\n    total += a[i]",
    "You are given a 0-indexed integer array nums. Return the maximum difference between two elements.",
    "How do I connect to a MySQL database from PHP?",
    "Write a Java program that prints a pyramid of stars.",
    "What does `git stash` do?",
    "Why does my code throw an IndexError?",
    "Each test contains several test cases. The first line of each contains n and k. Print the minimum cost.",
    "function add(a, b) { return a + b }",
    "Find all employees whose salary is above the average of their department using SQL.",
    "I have a pandas dataframe with missing values; how can I fill them with the column mean?",
    "Translate this C code to Rust: int square(int x) { return x * x; }",
    "Given the head of a linked list, remove the nth node from the end of the list and return its head.",
    "Vasya has n sticks. He wants to make a square. \n\nInput\nThe first line contains n.\n\nOutput\nPrint YES.",
    "Write a method that returns the nth triangular number.",
)
COMMONSENSE = (
    "Why do people use umbrellas when it rains?",
    "What would happen if you drop a glass?",
    "Is the sky blue?",
    "Hello",
    "Who wrote Hamlet?",
    "What is the capital of France?",
    "What do you use to cut bread?",
    "Do birds consume insects in summer?",  # "sum" hides in two of these words
    "Who consumes the most chocolate in the world?",
    "What number of moons does Jupiter have?",
    "What would you use to dry your hands?",
    "Which US state has the longest coastline?",
    "The boy put on his boots. What was the cause? (a) It was snowing. (b) He was asleep.",
    "Which of the following is a mammal? A. shark B. whale C. trout D. frog",
    "To get rid of a squeaky door, you can use oil or sand.",
    "is salt water heavier than fresh water",
    "She opened the oven and smoke came out. What happens next?",
    "How many stomachs does a cow have?",
    "What year did the Second World War begin?",
    "Which actor played in both the 1999 film and its 2003 sequel?",
    "A student adds 10 g of salt to 100 ml of water. What is the solution called?",
    "Are there more than 100 countries in the United Nations?",
    "The capital city of Canada is",
    "He picked up the guitar and began to",
    "Did the 2010 World Cup take place in Africa?",
)


@pytest.mark.parametrize(
    ("label", "prompt"),
    [(label, p) for label, ps in zip(LABELS, (MATH, CODING, COMMONSENSE), strict=True) for p in ps],
)
def test_plain_prompts_keep_their_label(label, prompt):
    kind = classify_task(prompt)
    assert kind == label, kind.evidence[:6]


@pytest.mark.parametrize("prompt", ["", " ", "\n\t", "?", "😀" * 50, "你好"])
def test_without_evidence_it_is_commonsense(prompt):
    assert classify_task(prompt) == "commonsense"


def test_the_label_is_a_string_with_reasons():
    kind = classify_task("What is 17 + 25?")
    assert kind == "math" and isinstance(kind, str) and kind.label is TaskType.MATH
    assert {"math": 1}[kind] == 1
    assert json.dumps(kind) == '"math"'
    assert abs(sum(kind.scores.values()) - 1) < 1e-9
    assert kind.scores[TaskType.MATH] == max(kind.scores.values())
    assert ("<# op #>", learned().weights["<# op #>"][0]) in kind.evidence
    sizes = [abs(weight) for _, weight in kind.evidence]
    assert sizes == sorted(sizes, reverse=True)
    for twin in (copy.deepcopy(kind), pickle.loads(pickle.dumps(kind))):
        assert twin == kind and twin.evidence == kind.evidence and twin.scores == kind.scores


def test_evidence_adds_up_to_the_scores():
    known = learned()
    for prompt in (*MATH, *CODING, *COMMONSENSE):
        kind = classify_task(prompt)
        if not kind.evidence:
            assert kind == "commonsense"
            continue
        sums = [known.bias[i] + sum(known.weights[f][i] for f, _ in kind.evidence) for i in range(3)]
        assert LABELS[sums.index(max(sums))] == kind
        assert {f for f, _ in kind.evidence} == features(prompt) & known.weights.keys()


def test_words_are_bounded():
    words, _ = read("They consume a classic codeine program_x 3rd 1,250.75 in 1999")
    assert not {"sum", "class", "code", "program"} & set(words)
    assert words.count("#") == 1 and "@" in words


def test_a_keyword_inside_a_word_is_no_evidence():
    found = {f for f, _ in classify_task("Birds consume insects").evidence}
    assert "sum" not in found and "sum" in learned().words


def test_the_shipped_file_is_small_sorted_and_readable():
    text = files("nlrl.tasks").joinpath("classifier.json").read_text("utf-8")
    raw = json.loads(text)
    assert raw["classes"] == [label.value for label in LABELS]
    assert len(text) < 40_000
    assert list(raw["weights"]) == sorted(raw["weights"])
    assert max(len(line) for line in text.splitlines()) < 120
    for weights in raw["weights"].values():
        assert len(weights) == 3 and abs(sum(weights)) < 0.02  # only differences between classes matter


@given(
    st.text(st.characters(), max_size=2000)
    | st.binary(max_size=500).map(lambda b: b.decode("utf-8", "surrogateescape"))
)
@settings(max_examples=200, deadline=None)
def test_any_string_gets_a_label(prompt):
    kind = classify_task(prompt)
    assert kind.label in LABELS
    assert kind.scores[kind.label] == max(kind.scores.values())


@given(st.sampled_from(MATH + CODING + COMMONSENSE), st.sampled_from([" ", "\n", "  "]))
@settings(max_examples=50, deadline=None)
def test_case_of_plain_words_and_outer_spaces_change_nothing(prompt, space):
    assert classify_task(space + prompt) == classify_task(prompt) or "\n" in space


def test_a_huge_prompt_costs_no_more_than_a_long_one():
    huge = "Why do people like the sea? " * 400_000  # 11 MB
    best = min(_seconds(huge) for _ in range(5))
    assert best < 0.01, best
    assert classify_task(huge) == "commonsense"


def _seconds(prompt: str) -> float:
    start = time.perf_counter()
    classify_task(prompt)
    return time.perf_counter() - start


SEEDS = Path(__file__).parents[3] / "scripts" / "data" / "classifier_seed.jsonl"


@pytest.mark.skipif(not SEEDS.is_file(), reason="the learning script is not part of this installation")
def test_what_it_was_taught_it_knows_and_these_tests_were_not_among_it():
    seeds = [json.loads(line) for line in SEEDS.read_text("utf-8").splitlines()]
    texts = {seed["text"] for seed in seeds}
    assert len(texts) == len(seeds)
    taught = {"Solve for x: 2x + 3 = 7", *(p for p in (*MATH, *CODING, *COMMONSENSE) if p in texts)}
    assert len(taught) <= 12, taught  # the examples that everyone writes first are in both
    prompts = [
        s for s in seeds if s["style"] != "terms" and not re.search(r"\{(n|w|y|name|things|person)\}", s["text"])
    ]
    wrong = [s["text"] for s in prompts if classify_task(s["text"]) != s["label"]]
    assert len(wrong) < 0.02 * len(prompts), wrong
