"""Equal or not, where two texts take the rarer ways through the rules; each by what mathematics says."""

from __future__ import annotations

import pytest

from nlrl.answers import default_equivalence

PM2 = r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"
EQUAL = [
    # both signs at once
    (r"1 \pm 2", "3, -1"), (r"x = \pm 3", "x = 3 or x = -3"), (r"(\pm 1, \pm 2)", "(1, 2), (1, -2), (-1, 2), (-1, -2)"),
    (r"\frac{1 \pm \sqrt{5}}{2}", r"\frac{1+\sqrt5}{2}, \frac{1-\sqrt5}{2}"), (r"2 \pm i", "2+i, 2-i"),
    # matrices that are worked out
    (PM2 + r"\begin{pmatrix}1\\1\end{pmatrix}", r"\begin{pmatrix}3\\7\end{pmatrix}"),
    (PM2 + "+" + PM2, r"\begin{pmatrix}2&4\\6&8\end{pmatrix}"),
    (PM2 + "-" + PM2, r"\begin{pmatrix}0&0\\0&0\end{pmatrix}"),
    (PM2 + PM2, "[[7, 10], [15, 22]]"), (r"\begin{vmatrix}0&2\\3&4\end{vmatrix}", "-6"), ("[1 2; 3 4]", PM2),
    ("Matrix([1, 2])", r"\begin{pmatrix}1\\2\end{pmatrix}"), (r"\begin{vmatrix}1&2\\2&4\end{vmatrix}", "0"),
    # equations and inequalities that say the same
    ("2x + 4y = 6", "x + 2y = 3"), ("y = 2x + 1", "2x - y + 1 = 0"), ("x > 2", "-x < -2"), ("x - y > 0", "y - x < 0"),
    ("x^2 + y^2 = 4", "4 - x^2 - y^2 = 0"), (r"x \neq 3", r"3 \neq x"),
    # functions under another name of their argument, approximations, steps
    ("f(x) = x + 1", "f(t) = t + 1"), ("f(x) = 2x", "2x"),
    ("x = Paris", "Paris"), ("x = 5", "5"),
    # mixed numbers, sums, products, roots
    (r"3\frac{1}{4}", "13/4"), ("3 1/4", "3.25"), (r"\sum_{k=1}^{4} k^2", "30"), (r"\prod_{k=1}^{4} k", "24"),
    (r"\sum_{k=1}^{3} (2k+1)", "15"), (r"\sqrt[3]{27}", "3"), (r"\binom{5}{2}", "10"), ("5!", "120"),
    (r"\log_2 8", "3"),
    (r"\cos(\pi/3)", "1/2"), (r"\ln(e^2)", "2"), (r"|{-3}|", "3"), (r"\lfloor 2.7 \rfloor", "2"),
    (r"\lceil 2.1 \rceil", "3"),
    # cases, ratios, times, residues, bases, labels, words, regions
    (r"\begin{cases} 1 & x > 0 \\ 2 & x \le 0 \end{cases}", r"\begin{cases} 2 & x \le 0 \\ 1 & x > 0 \end{cases}"),
    ("2:3", "4:6"), ("2 to 3", "2/3"), ("2:30 pm", "14:30"), ("noon", "12:00 pm"), ("1:2:3", "2:4:6"),
    (r"x \equiv 3 \pmod 5", r"3 \pmod 5"), ("1010_2", "10_{10}"), ("B) Paris", "B"), ("(B)", "B) Paris"), ("A", "a) A"),
    (r"(-\infty, \infty)", r"\mathbb{R}"), ("x > 3", r"(3, \infty)"), (r"1 \le x \le 3", "[1, 3]"),
    (r"\emptyset", "{}"),
    (r"(1, 2) \cup (2, 3)", r"(2, 3) \cup (1, 2)"), ("{1, 2, 3}", "{3, 2, 1}"), ("{5}", "5"), ("twenty-one", "21"),
    ("one half", "0.5"), ("two thirds", "2/3"), ("three and a half", "3.5"), ("5 hours and 30 minutes", "330 minutes"),
    ("6 ft 2 in", "74 inches"), ("12°30'", "12.5 degrees"), ("2 million", "2000000"),
    ("$5 million", "5,000,000 dollars"),
    ("1st", "first"), (r"\frac{\pi}{4} + k\pi", r"\pi/4 + n\pi"), ("p or q", "q or p"),
    ("x(x+1)", "x^2 + x"), (r"\frac{x^2-1}{x-1}", "x+1"), (r"e^{i\pi}", "-1"), (r"\sin^2 x + \cos^2 x", "1"),
    ("x_1", "x1"),
]  # fmt: skip
DIFFERENT = [
    (r"1 \pm 2", "3, 1"), (r"x = \pm 3", "x = 3"), (r"(\pm 1, 2)", "(1, 2), (-1, 3)"), (r"2 \pm i", "2+i, 2-2i"),
    (PM2 + r"\begin{pmatrix}1\\1\end{pmatrix}", r"\begin{pmatrix}7\\3\end{pmatrix}"),
    (PM2 + "+" + PM2, PM2), (PM2 + "-" + PM2, PM2), (PM2 + PM2, "[[7, 10], [15, 23]]"),
    (r"\begin{vmatrix}0&2\\3&4\end{vmatrix}", "6"), ("[1 2; 3 4]", "[1 3; 2 4]"), ("Matrix([1, 2])", "[[1, 2]]"),
    ("2x + 4y = 6", "x + 2y = 4"), ("2x + 4y = 6", "x - 2y = 3"), ("x > 2", "x < 2"), ("x > 2", r"x \ge 2"),
    ("x > 2", "-x < 2"), ("x - y > 0", "x - y < 0"), ("x^2 + y^2 = 4", "x^2 + y^2 = 2"), ("a = b", "a = c"),
    ("f(x) = x + 1", "f(t) = t + 2"), ("f(x) = x + 1", "g(t) = t + 1"), (r"x \approx 3.14", r"x \approx 3.15"),
    (r"x \approx 3.14", r"y \approx 3.14"), ("x = Paris", "Rome"), ("x = 5", "6"), ("x = 5", "y = 5"),
    (r"3\frac{1}{4}", "3/4"), ("3 1/4", "31/4"), (r"\sum_{k=1}^{4} k^2", "29"), (r"\prod_{k=1}^{4} k", "10"),
    (r"\sqrt[3]{27}", "9"), (r"\binom{5}{2}", "20"), ("5!", "5"), (r"\log_2 8", "4"), (r"\cos(\pi/3)", r"\sqrt3/2"),
    (r"|{-3}|", "-3"), (r"\lfloor 2.7 \rfloor", "3"), (r"\lceil 2.1 \rceil", "2"),
    (r"\begin{cases} 1 & x > 0 \\ 2 & x \le 0 \end{cases}", r"\begin{cases} 2 & x > 0 \\ 1 & x \le 0 \end{cases}"),
    ("2:3", "3:2"), ("2:3", "2:3:4"), ("2:30 pm", "2:30 am"), ("5:00", "45:00"), ("1:2:3", "1:2:4"),
    (r"x \equiv 3 \pmod 5", r"4 \pmod 5"), (r"3 \pmod 5", r"3 \pmod 7"), ("1010_2", "11_{10}"), ("B) Paris", "C"),
    ("B) Paris", "A) Paris"), ("B) Paris", "B) Rome"), (r"(-\infty, 0)", r"\mathbb{R}"), ("x > 3", r"[3, \infty)"),
    (r"1 \le x \le 3", "(1, 3)"), (r"\emptyset", "{0}"), (r"(1, 2) \cup (2, 3)", "(1, 3)"), ("{1, 2, 3}", "{1, 2}"),
    ("(1, 2)", "(2, 1)"), ("[1, 2, 3]", "[3, 2, 1]"), ("twenty-one", "20"), ("two thirds", "3/2"),
    ("5 hours and 30 minutes", "5.3 hours"), ("6 ft 2 in", "62 inches"), ("12°30'", "12.3 degrees"), ("2 million", "2"),
    ("5 m", "5 s"), ("5 m", "5 km"), ("$5", "5 euros"), ("1st", "2nd"), ("1/3", "0.334"), ("1/3", "0.3"),
    (r"\frac{\pi}{4} + k\pi", r"\pi/4 + 2n\pi"), ("x(x+1)", "x^2 + 1"), ("x+1", "x-1"),
    (r"\sin^2 x - \cos^2 x", "1"), ("x_1", "x_2"), ("x", "y"), (r"\mathbb{Z}", r"\mathbb{Q}"), (r"\mathbb{N}", "{}"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "two"), EQUAL)
def test_the_same(one: str, two: str) -> None:
    equal = default_equivalence().equal_sync
    assert equal(one, two) and equal(two, one)


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_not_the_same(one: str, two: str) -> None:
    equal = default_equivalence().equal_sync
    assert not equal(one, two) and not equal(two, one)
