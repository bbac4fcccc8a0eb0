"""Answers read out of completions: the contract, the fallbacks, and text of any size."""

from __future__ import annotations

import json
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.answers.equivalence import default_equivalence
from nlrl.answers.extraction import Extraction, extract_answer
from nlrl.core import ANSWER_PHRASE, CodeTests, Problem, TaskType

MATH = Problem("?", task_type=TaskType.MATH)
TEXT = Problem("?", task_type=TaskType.COMMONSENSE)
QUIZ = Problem("?", task_type=TaskType.COMMONSENSE, choices=("bank", "library", "department store", "mall"))
PLAIN = Problem("?")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so it is.\nFinal Answer: 70", "70"),
        ("**Final Answer:** $18.", "$18"),
        ("**Final Answer**: 18", "18"),
        ("**Final Answer: 70 dollars**", "70 dollars"),
        ("final answer:\n\n\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("Final Answer:\n\\[\n x = 5 \n\\]", "x = 5"),
        ("FINAL ANSWER: The total cost is $70.", "$70"),
        ("Final Answer: 7\nwait\nFinal Answer: 9\nand on it rambles 12", "9"),
        ("Final Answer: Janet makes 9 * 2 = $18 every day at the market", "$18"),
        ("Final Answer: x = 3 or x = 4", "x = 3 or x = 4"),
        ("Final Answer:\n$$\\frac{1}{2}$$", "\\frac{1}{2}"),
        ("<think>Final Answer: 3</think>\nFinal Answer: 4", "4"),
        ("Final Answer: 5\nFinal Answer: <the result>", "5"),
        ("Final Answer: \\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
    ],
)
def test_contract_line_of_mathematics(text: str, answer: str) -> None:
    assert extract_answer(text, MATH) == Extraction(answer, strict=True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("thus \\boxed{\\frac{1}{\\sqrt{2}}}.", "\\frac{1}{\\sqrt{2}}"),
        ("first \\boxed{1}, in the end \\boxed{2}", "2"),
        ("She has 3.\n#### 1,234", "1,234"),
        ("The answer is 18 dollars. Then we check 3.", "18 dollars"),
        ("So the answer is: **12**", "12"),
        ("17 + 25 = 42", "42"),
        ("there are 3 cats and 4 dogs, which makes 7", "7"),
        ("42", "42"),
        ("\\boxed{never closed", None),
        ("Final Answer:", None),
        ("I cannot say.", None),
        ("", None),
        ("   \n\n ", None),
    ],
)
def test_fallbacks_of_mathematics(text: str, answer: str | None) -> None:
    assert extract_answer(text, MATH) == Extraction(answer, strict=False)


@pytest.mark.parametrize(
    ("text", "answer", "strict"),
    [
        ("Final Answer: B", "library", True),
        ("Final Answer: (b)", "library", True),
        ("Final Answer: the department store", "department store", True),
        ("Final Answer: B) library", "library", True),
        ("Final Answer: B) mall", None, False),
        ("The answer is (C) department store.", "department store", False),
        ("I think a mall.", "mall", False),
        ("**A**", "bank", False),
        ("A library is not right. The correct answer is bank.", "bank", False),
        ("It could be the bank or the library.", None, False),
        ("Z", None, False),
    ],
)
def test_options_by_letter_and_text(text: str, answer: str | None, strict: bool) -> None:
    assert extract_answer(text, QUIZ) == Extraction(answer, strict)


@pytest.mark.parametrize(
    ("text", "answer", "strict"),
    [
        ("Final Answer: Yes", "yes", True),
        ("Final Answer: Yes, because it is.", "yes", True),
        ("Final Answer: No Country for Old Men", "No Country for Old Men", True),
        ("Final Answer: Chief of Protocol.", "Chief of Protocol", True),
        ("Yes, they are.", "yes", False),
        ("So the answer is no.", "no", False),
        ("Albany is small. Therefore, yes", "yes", False),
        ("Paris", "Paris", False),
        ("The answer is Greenwich Village, New York City.", "Greenwich Village, New York City", False),
        ("Nobody knows who did it, because the records were lost in a fire long ago.", None, False),
    ],
)
def test_words_and_yes_no(text: str, answer: str | None, strict: bool) -> None:
    assert extract_answer(text, TEXT) == Extraction(answer, strict)


def test_writing_is_the_whole_text() -> None:
    task = Problem("?", task_type=TaskType.WRITING)
    assert extract_answer("  One line.\nTwo lines. ", task).answer == "One line.\nTwo lines."
    assert extract_answer("Let me think.\nFinal Answer: The sea is wide.\nAnd deep.", task).answer == (
        "The sea is wide.\nAnd deep."
    )
    assert extract_answer(" \n", task) == Extraction(None)


def test_without_a_task_type_the_problem_decides() -> None:
    assert extract_answer("Final Answer: 5", PLAIN) == Extraction("5", strict=True)
    assert extract_answer("B", Problem("?", choices=("x", "y"))).answer == "y"
    code = Problem("?", tests=CodeTests(("assert f(1) == 1",), entry_point="f"))
    assert extract_answer("```python\ndef f(x):\n    return x\n```", code).answer == "def f(x):\n    return x\n"
    assert extract_answer("A sentence as short as this", PLAIN).answer == "A sentence as short as this"


def _rows(table: str) -> list[tuple[str, str]]:
    """(text, answer) of lines "text => answer"; ⏎ is a line break."""
    rows = (line.rsplit(" => ", 1) for line in table.strip().splitlines() if line.strip())
    return [(text.replace("⏎", "\n"), answer) for text, answer in rows]


REASONS = r"""
Final Answer: 14 (we round up from 13.2) => 14
Final Answer: 14, as 13 tables seat only 104 => 14
Final Answer: 14. The last table has 3 free seats. => 14
Final Answer: 14 because 13 * 8 = 104 => 14
Final Answer: 14 – since 13 would leave 6 people standing => 14
Final Answer: 14; the other 6 seats stay empty => 14
Final Answer: 14 [13 are too few] => 14
Final Answer: 14, which is more than 13 => 14
Final Answer: 14, leaving 2 seats free => 14
Final Answer: 14 out of 20 tables => 14
Final Answer: 14 rather than 13 => 14
The answer is not 13 but 14. => 14
The answer is 14, with 2 seats left over. => 14
The answer is 14 tables - 13 would be too few. => 14 tables
They need 14 tables for 110 people. => 14
Since 13 tables seat 104, they need 14. => 14
The final price after the 15% discount is $34. => $34
The 3 sisters have a total of 27 shells. => 27
13 tables seat 104, so they need 14 tables. => 14
Antwort: 14, denn 13 reichen nicht => 14
La réponse est 14 car 13 ne suffisent pas. => 14
答案是14，因为13不够。 => 14
"""

FORMULAS = r"""
Hence the volume is $\frac{4}{3}\pi r^3$ cubic units. => \frac{4}{3}\pi r^3
Thus $a = 2$ and $b = -7$. => a = 2 and b = -7
The roots are $-1$, $0$ and $4$. => -1, 0 and 4
The value of $x$ is 9. => 9
The value of $x$ with $x^2 = 81$ that we want is $9$. => 9
We find that $2\sqrt{2}$ is the minimum, attained at $x = 1$. => 2\sqrt{2}
So the domain is (-\infty, 3) \cup (3, \infty). => (-\infty, 3) \cup (3, \infty)
We get 4x - 3y = 12. => 4x - 3y = 12
Hence we get \begin{bmatrix} 1 \\ 5 \end{bmatrix}. => \begin{bmatrix} 1 \\ 5 \end{bmatrix}
It simplifies to \dfrac{x+2}{x-5}, where x is not 5. => \dfrac{x+2}{x-5}
We get 3, 6, 9. => 3, 6, 9
We get x in [0, 4). => x in [0, 4)
The answer is (1, 8) because both lines meet there. => (1, 8)
**y = 3x - 2** => y = 3x - 2
$$ 7 $$ => 7
It is $Q$. => Q
"""

QUANTITIES = r"""
So it lasts 1 3/4 hours. => 1 3/4 hours
The star is 4.2 x 10^13 km away. => 4.2 x 10^13 km
They leave at 7:45 am. => 7:45 am
It drives 60 miles per hour. => 60 miles per hour
The town has 2.5 million people. => 2.5 million
The mixture is 3:5. => 3:5
The pond is 12 m^2. => 12 m^2
The share is 35 percent. => 35 percent
The chance is 5/36. => 5/36
So he pays $1,250.50. => $1,250.50
It takes 1 hour and 20 minutes. => 1 hour and 20 minutes
The circumference is 6π cm. => 6π cm
"""

ONE_VALUE = r"""
Final Answer: $\frac{2}{7} \approx 0.2857$ => \frac{2}{7}
Final Answer: $\sqrt{5}$, or about 2.236 => \sqrt{5}
Final Answer: $\frac{7}{4}$ (or $1.75$) => \frac{7}{4}
Final Answer: 7/4, i.e. 1.75 => 7/4
Final Answer: 2/3 or 0.667 => 2/3
Final Answer: 0.25 (25%) => 0.25
Final Answer: x = 1 or x = 6 => x = 1 or x = 6
Final Answer: 6 * 7 = 42 => 42
Final Answer: $x \approx 2.09$ => x \approx 2.09
"""

MARKERS = r"""
### Answer⏎42 => 42
**Final Answer**⏎⏎\[ 42 \] => 42
# Final Result⏎---⏎42 => 42
The final answer is:⏎⏎$42$ => 42
The answer to part (b) is 42. => 42
The answer, rounded to an integer, is 42. => 42
So $42$ is the final answer, found in 3 steps. It was fun: 1, 2, 3. => 42
<answer>⏎\boxed{42}⏎</answer> => 42
<final_answer>42 => 42
[ANSWER] 42 [/ANSWER] => 42
{"result": 42, "steps": ["6 * 7"]} => 42
{'answer': '42 apples, since 6 * 7 = 42'} => 42 apples
{"answer": "\frac{3}{4}"} => \frac{3}{4}
{"answer": [3, 5]} => 3, 5
#### 42⏎⏎#### Explanation⏎There are 6 rows of 7. => 42
\textbf{Answer:} $42$ => 42
【答案】42 => 42
答えは 42 です。 => 42
정답은 42입니다. => 42
Ответ: 42. => 42
الجواب: 42 => 42
उत्तर 42 है। => 42
La respuesta final es $42$. => 42
Réponse finale : $42$ => 42
Het antwoord is 42. => 42
Câu trả lời là 42. => 42
คำตอบคือ 42 => 42
"""

BOXES = r"""
\boxed{3} or \boxed{7} => 3, 7
$p = \boxed{3}$, $q = \boxed{7}$ => 3, 7
First the width is \boxed{3}. Then the height is \boxed{7}. => 7
\boxed{7} and again: \boxed{7} => 7
Hence $\boxed{\frac{7}{3}$. => \frac{7}{3}
\framebox{7} => 7
Put it in \boxed{answer}: the answer is 7. => 7
\boxed{The answer is 7} => 7
"""

RUN_ONS = r"""
#### 42⏎⏎Problem: Ann has 3 hats.⏎Solution: #### 3 => 42
#### 42⏎### Question 2⏎Ann has 3 hats.⏎#### 3 => 42
#### 42⏎⏎Human: And 3 hats?⏎Assistant: #### 3 => 42
#### 42⏎⏎**Example 2:** Ann has 3 hats.⏎#### 3 => 42
#### 42⏎⏎###⏎Ann has 3 hats.⏎#### 3 => 42
#### 42⏎⏎Ann has 3 boxes with 4 hats each. How many hats are there?⏎#### 12 => 42
#### 42⏎⏎---⏎Ann has 3 boxes with 4 hats each. How many hats are there?⏎#### 12 => 42
#### 42⏎[INST] And 3 hats? [/INST] #### 3 => 42
#### 42<|endoftext|>#### 3 => 42
The answer is 42.⏎⏎Aufgabe: Und 3 Hüte?⏎Antwort: 3 => 42
答案是42。⏎⏎问题：3顶帽子？⏎答案：3 => 42
42⏎⏎Q: And 3 hats?⏎A: 3 => 42
So there are 42.⏎⏎Problem 2: And 3 hats?⏎So there are 3. => 42
Final Answer: The final answer is $42$. I hope it is correct.⏎⏎Problem:⏎Find 3.⏎⏎Final Answer: $3$ => 42
<|im_start|>assistant⏎The answer is 42.<|im_end|> => 42
Question: Ann has 3 boxes with 4 hats each. How many?⏎Answer: 3 * 4 = 12. The answer is 12. => 12
**Problem:** Ann has 3 boxes.⏎**Question:** How many hats?⏎**Solution:** 3 * 4 = 12 => 12
The answer is 42. Wait, 3 are torn. So the answer is 39. => 39
The answer is 42.⏎⏎Is that right? We forgot 3. The answer is 39. => 39
\boxed{42}. Hmm, let me check: 39 + 3 = 42. Yes. => 42
"""


@pytest.mark.parametrize(
    ("text", "answer"),
    [row for table in (REASONS, FORMULAS, QUANTITIES, ONE_VALUE, MARKERS, BOXES, RUN_ONS) for row in _rows(table)],
)
def test_kinds_of_mathematics(text: str, answer: str) -> None:
    assert extract_answer(text, MATH).answer == answer


CHOICES = r"""
I would go with C => department store
Final Answer: C, since banks are closed => department store
Final Answer: the department store, not the mall => department store
The answer is not B but C. => department store
A and B are wrong, so C. => department store
Although B looks right, C is correct. => department store
Die richtige Antwort ist C, weil A geschlossen ist. => department store
正确答案是C。 => department store
{"answer": "C"} => department store
The answer is C.⏎⏎Question: And now?⏎Answer: A => department store
The answer might be A. Wait, it is closed. The answer is C. => department store
A library is a quiet place. It is not the answer. I pick D. => mall
"""


@pytest.mark.parametrize(("text", "answer"), _rows(CHOICES))
def test_kinds_of_choice(text: str, answer: str) -> None:
    assert extract_answer(text, QUIZ).answer == answer


FRAMES = [
    "Final Answer: The final answer is ${}$. I hope it is correct.",
    "Final Answer: {}",
    "Hence we get {}.",
    "## Answer\n{}",
    "The answer is ${}$, since 3 would be too small.",
    "<answer>{}</answer>",
    "So the answer is \\boxed{{{}}} (see step 3).",
    "The answer is {}.\n\nQuestion: What is 3 + 4?\nAnswer: 7",
    "Thus:\n\\[\n{}\n\\]\nas 3 steps show.",
]
GOLDS = [
    "17", "-3.5", "12{,}000", r"\frac{7}{9}", r"-\frac{\sqrt{3}}{2}", "2x^2-5x+1", "(0, 4]", r"\{2, 3\}", "1, 4, 7",
    "y = 4x - 3", r"x \le -2", r"45^\circ", r"12\%", r"\begin{pmatrix} 1 & 0 \\ 0 & 2 \end{pmatrix}", "3-2i",
    r"\text{odd}",
]  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES)
def test_answers_are_read_back_out_of_frames(frame: str) -> None:
    texts = [frame.format(gold) for gold in GOLDS]
    assert [extract_answer(text, MATH).answer for text in texts] == GOLDS


PROBLEMS = [
    MATH, TEXT, QUIZ, PLAIN, Problem("?", task_type=TaskType.WRITING),
    Problem("def f(x):\n", task_type=TaskType.CODING, tests=CodeTests(("assert f(1)",), entry_point="f")),
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [ANSWER_PHRASE, "\n", " ", "**", "\\boxed{", "}", "```", "```python\n", "def f(x):\n", "    return 1\n",
             "(B)", "####", "12", "$", "the answer is ", "yes", "</think>", "\ud800", "\x00", "İ", "```\n", "$$", "\\["]
        )
        | st.text(max_size=5),
        max_size=25,
    ).map("".join)
)  # fmt: skip
def test_extraction_never_raises(text: str) -> None:
    for problem in PROBLEMS:
        found = extract_answer(text, problem)
        assert found.answer is None or found.answer.strip()
        assert found.answer is not None or not found.strict


N = 1_000_000


@pytest.mark.parametrize(
    "unit", ["a", "\n", " ", ANSWER_PHRASE + " ", "\\boxed{", "{", "```python\n", "```\nx\n", "9", "1,", "**", "a=\n",
             "the answer is ", "(B) ", "\ud800", "</think>", "def f(x):\n",
             "(", "$", "answer is", "Question: 5?\n", "≈ ", "#### 5\n", "\\[", "5; "]
)  # fmt: skip
def test_a_megabyte_is_read_in_linear_time(unit: str) -> None:
    """Two tenths of a second at most; what looks at each place from each place takes a quarter of an hour."""
    text = unit * (N // len(unit))
    for problem in (MATH, QUIZ, PROBLEMS[-1]):
        start = time.process_time()
        extract_answer(text, problem)
        assert time.process_time() - start < 20


DATA = Path(os.environ["NLRL_DATA"]) if os.environ.get("NLRL_DATA") else None


@pytest.mark.skipif(
    DATA is None or not (DATA / "gsm8k" / "test.jsonl").exists(), reason="set NLRL_DATA to run on GSM8K"
)
def test_gsm8k_references_are_read_and_told_apart() -> None:
    assert DATA is not None
    rows = [json.loads(line) for line in (DATA / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    references = [row["answer"].split("####")[1].strip() for row in rows]
    shared = default_equivalence()
    for row, reference in zip(rows, references, strict=True):
        found = extract_answer(row["answer"], MATH).answer
        assert found is not None and shared.equal_sync(found, reference), reference
    for one, two in pairwise(references):
        assert shared.equal_sync(one, two) == (float(one.replace(",", "")) == float(two.replace(",", "")))
