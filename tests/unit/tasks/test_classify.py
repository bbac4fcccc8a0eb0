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
from nlrl.tasks.classify import LABELS, as_feature, learned
from nlrl.tasks.evidence import FOR_CODING, FOR_MATH, features

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


# What is asked decides, not single words, options, answer formats, rules of writing, or the language.
ASKED_MATH = (
    "A fisherman caught eleven trout and let five go. How many trout did he take home?",
    "Mia poured 0.4166666666666667 cup of milk and 0.25 cup of cream. How much did she pour in all?",
    "I have a lemon, two limes, an orange, and five kiwis. How many citrus fruits do I have?",
    "I have a sofa, a lamp, a rug, and a stool. How many pieces of furniture do I have?",
    "The sum of two numbers is 40 and one is three times the other. What are the numbers?",
    "a boat goes 24 km upstream in 6 hours and the same distance downstream in 4 hours . the speed of the stream is",
    "Express 0.125 as a common fraction.",
    "Show that every group of prime order is cyclic.",
    "Explain why the determinant of an orthogonal matrix is 1 or -1.",
    "Write the equation of the line through (1, 2) with slope 3.",
    "Write the function g(t) = 3t^2 + 6t in vertex form.",
    "Write a function to evaluate the integral of cos x dx.",
    "Given the function h(x) = 4 - x, what is h(-2)?",
    "How many binary strings of length 8 have no two adjacent ones?",
    "A stone is thrown upward at 14 m/s. How high does it rise?",
    "Calculate the molarity of a solution with 4 g of NaOH in 250 mL of water.",
    "A star emits at a peak wavelength of 450 nm. Estimate its surface temperature.",
    "What is the pH of a 0.01 M solution of HCl?",
    "Find a 95% confidence interval for the mean if n = 36, the sample mean is 12 and s = 3.",
    "Our class collected 48 cans and shared them among 6 boxes. How many cans are in each box?",
    "Priya had 31 files on her phone and deleted 12. How many files are left?",
    "Is the series sum of 1/n^2 convergent?",
    "What is 3/8 of 64? Answer Choices: (A) 20 (B) 24 (C) 28",
    "Solve for y: 3y - 7 = 11. Answer in JSON format.",
    "A shirt costs $18 after a 25% discount. What was its price before? Your response must contain exactly 2 "
    "paragraphs.",
    "¿Cuántos litros caben en 6 botellas de 2 litros?",
    "Combien font 12 fois 7 ?",
    "Wie viele Tage haben 9 Wochen?",
    "小华有15支铅笔，送给同学6支，还剩几支？",
    "求函数 f(x)=x^2-4x+1 的最小值。",
)
ASKED_CODING = (
    "How would you detect a cycle in a linked list?",
    "Find the product of the first 12 odd numbers in Python.",
    "Given two sorted arrays, find their median.",
    "Given a temperature in Celsius as input, print it in Fahrenheit.",
    "Use recursion to compute the greatest common divisor of two integers in C++.",
    "Write a program that computes the roots of a quadratic equation.",
    "Implement a function that returns the nth prime number.",
    "What does this code print?\n\nfor i in range(3):\n    print(i ** 2)",
    "Does this function have a bug?\n\ndef area(r):\n    return 3.14 * r",
    "regex for hex colors",
    "SQL to list customers without orders",
    "kotlin read file into list",
    "Create an HTML page with a table of five cities.",
    "Design a class ParkingLot with methods park, leave and free_spots.",
    "I'm parsing a large CSV with pandas and it runs out of memory. What can I do?",
    "Write a Python function to sum a list. Your answer must contain exactly 3 bullet points.",
    "Which of these is the right way to declare an array in Java? (A) int[] a; (B) array a; (C) a int;",
    "You are given n boxes. Output the fewest moves.\n\nInput\nThe first line contains n (1 <= n <= "
    "100).\n\nOutput\nPrint one integer.",
    "Explain the difference between an abstract class and an interface in Java.",
    "Escribe una función en Python que cuente las vocales de una cadena.",
    "Écris un script bash qui renomme des fichiers.",
    "Schreibe ein Java-Programm, das eine Datei einliest.",
    "用Java写一个方法，判断一个字符串是否是回文。",
    "请编写一个程序，读取文件并输出每一行的长度。",
)
ASKED_COMMONSENSE = (
    "Write a limerick about a baker in exactly 5 lines.",
    "Write a 250-word essay about winter. Do not use any commas.",
    "Write an email to my teacher. Wrap the whole output in JSON format. You can use markdown ticks such as ```.",
    "Write a resume for a Python developer. Use at least 300 words.",
    "Write a script for a short film about two brothers.",
    "Write a product description of a kettle. Highlight at least 3 sections, i.e. *highlighted section*.",
    "List three lakes in Finland.",
    "Describe the life cycle of a frog.",
    "Explain how vaccines protect the body.",
    "What is the function of the kidneys?",
    "What are the functions of a central bank?",
    "Given the premise that all birds can fly, is it valid to conclude that penguins fly?\nOptions:\n- valid\n- "
    "invalid",
    "Please answer the following question with true or false, question: do bees sleep at night?\n\nAnswer "
    "format: true/false",
    "Please choose the correct answer to the question: Kim lost 20 dollars on the bus. How does Kim "
    "feel?\n\nAnswer1: sad Answer2: glad Answer3: hungry\n\nAnswer format: answer1/answer2/answer3",
    "Which word does not belong with the others?\nrose, tulip, oak, daisy",
    "Who wrote the first program for a computer?",
    "Who invented the Java programming language?",
    "How old was Beethoven when he died?",
    "How many rings does Saturn have?",
    "In 1969, 600 million people watched the landing. Who walked on the Moon first?",
    "Read the reviews and say which phone people like best.\n1. I paid $300 and love it.\n2. It broke after 14 "
    "days.\n3. The third one is fine.",
    "Extract the names of the people: On 3 May 2021 Ann Lee met Bo Chen at 10 Elm Street.",
    "Classify the sentiment of this review as positive or negative: The soup was cold.",
    "Sort the following words alphabetically: plum cherry apple",
    "Today is 4/9/2011. What is the date one week from today in MM/DD/YYYY?",
    "If you follow these instructions, do you return to the starting point? Take 4 steps. Turn around. Take 4 steps.",
    "Ann, Ben and Cy each hold a ball. Ann and Ben swap. Then Ben and Cy swap. Who holds Ann's ball?",
    "Imagine you are a lighthouse keeper in 1850. Describe a storm.",
    "Act as a tour guide and tell me about Rome.",
    "Translate into French: The library closes at six.",
    "What happens to the pressure of a gas when it is heated in a closed can?",
    "Our class visited a farm with 30 cows. What do cows eat?",
    "How do I return a dress to a shop?",
    "What can you hold without ever touching it?",
    "¿Por qué lloran los bebés?",
    "Écris un poème sur la pluie.",
    "Warum schwimmt Eis auf Wasser?",
    "请写一篇关于春天的短文。",
)


@pytest.mark.parametrize(
    ("label", "prompt"),
    [(label, p) for label, ps in zip(LABELS, (ASKED_MATH, ASKED_CODING, ASKED_COMMONSENSE), strict=True) for p in ps],
)
def test_what_is_asked_decides(label, prompt):
    kind = classify_task(prompt)
    assert kind == label, kind.evidence[:8]


@pytest.mark.parametrize(
    "frame",
    [
        "{}\n\nAnswer format: true/false",
        "{}\nOptions:\n- Yes\n- No",
        "{}\nAnswer Choices: (A) 12 (B) 15 (C) 20",
        "{} Your response must contain at least 300 words.",
        "{} Write exactly 4 paragraphs, separated by ***.",
        "{} Put your final answer in \\boxed{{}}.",
        "Question: {}\nAnswer:",
        "{} Wrap the output in JSON. You can use markdown ticks such as ```.",
    ],
)
def test_formats_and_rules_of_writing_are_evidence_of_nothing(frame):
    for label, prompt in (
        ("math", "A box holds 12 eggs. How many eggs are in 7 boxes?"),
        ("coding", "Write a Python function that reverses a list."),
        ("commonsense", "Why do leaves fall in autumn?"),
        ("commonsense", "Describe the sea in winter."),
    ):
        kind = classify_task(frame.format(prompt))
        assert kind == label, (prompt, kind.evidence[:8])


def test_without_a_word_of_programs_nothing_is_coding_and_without_one_of_mathematics_nothing_is_math():
    known = learned()
    for feature, (math_, coding, commonsense) in known.weights.items():
        parts = {feature.removeprefix("?")} if isinstance(feature, str) else set(feature)
        if not isinstance(feature, str) or not feature.startswith("<"):
            assert coding <= commonsense + 0.011 or parts & FOR_CODING, feature
            assert math_ <= commonsense + 0.011 or parts & FOR_MATH, feature
    assert known.bias[2] >= max(known.bias[:2])


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
        found = {as_feature(name) for name, _ in kind.evidence}
        sums = [known.bias[i] + sum(known.weights[f][i] for f in found) for i in range(3)]
        assert LABELS[sums.index(max(sums))] == kind
        assert found == features(prompt, known.lexicon) & known.weights.keys()


def test_words_are_bounded():
    found = features("They consume a classic codeine program_x in 1999. Is it?", learned().lexicon)
    assert not {"quantity", "class", "script", "program", "#"} & found


def test_a_keyword_inside_a_word_is_no_evidence():
    assert "sum" in learned().lexicon.words
    assert not any("quantity" in f for f, _ in classify_task("Do birds consume insects?").evidence)


@pytest.mark.parametrize("number", ["7", "0.16666666666666666", "1,250.75", "12,000", "sixteen"])
def test_a_number_is_one_number_however_it_is_written(number):
    found = features(f"Jo has {number} pounds of nuts. How many are left?", learned().lexicon)
    assert "<numbers 1>" in found


def test_a_question_behind_a_long_text_and_before_its_options_is_read():
    text = "The river rose in the night and the bridge was closed. " * 40
    options = "".join(f"\n({letter}) {'a road along the river ' * 6}" for letter in "ABCDE")
    assert "?how-many" in features(f"{text}\nHow many bridges are left?{options}", learned().lexicon)


def test_the_shipped_file_is_small_sorted_and_readable():
    text = files("nlrl.tasks").joinpath("classifier.json").read_text("utf-8")
    raw = json.loads(text)
    assert raw["classes"] == [label.value for label in LABELS]
    assert len(text) < 50_000
    assert list(raw["weights"]) == sorted(raw["weights"])
    assert max(len(line) for line in text.splitlines()) <= 120
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


@pytest.mark.alone
def test_a_huge_prompt_costs_no_more_than_a_long_one():
    huge = "Why do people like the sea? " * 400_000  # 11 MB
    best = min(_seconds(huge) for _ in range(5))
    assert best < 0.05, best
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
        s
        for s in seeds
        if s["style"] != "terms" and not re.search(r"\{(n|w|y|name|things|person|topic|place|figure)\}", s["text"])
    ]
    wrong = [s["text"] for s in prompts if classify_task(s["text"]) != s["label"]]
    assert len(wrong) < 0.06 * len(prompts), wrong
