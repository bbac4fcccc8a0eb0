"""Reading answers: numbers, units, formulas, regions; bounds that hostile text must not break."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.answers.forms import read, same
from nlrl.answers.forms.clean import clean
from nlrl.answers.forms.exact import CannotTell, exact
from nlrl.answers.forms.fingerprint import PRIME, _square_root_of_minus_one, fingerprint
from nlrl.answers.forms.numerals import in_words, numeral, whole_number
from nlrl.answers.forms.program import program_key
from nlrl.answers.forms.syntax import NotAFormula, parse
from nlrl.answers.forms.units import units
from nlrl.answers.forms.words import text_key


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.50", Fraction(2469, 2)),
        ("12,34,567", 1234567),
        ("1.234,56", Fraction(123456, 100)),
        ("2 1/2", Fraction(5, 2)),
        (r"3\frac{1}{4}", Fraction(13, 4)),
        ("0.(3)", Fraction(1, 3)),
        (r"0.1\overline{6}", Fraction(1, 6)),
        ("0.333...", Fraction(1, 3)),
        ("6.02*10^{23}", 602 * 10**21),
        ("1e-3", Fraction(1, 1000)),
        (".5", Fraction(1, 2)),
        ("3/4", Fraction(3, 4)),
        ("1_000_000", 10**6),
    ],
)
def test_numerals_are_read_exactly_and_to_their_end(text: str, value: Fraction) -> None:
    found = numeral(text)
    assert found is not None
    assert (found.value, found.end) == (value, len(text))


def test_a_power_of_ten_too_large_to_write_out_is_refused() -> None:
    assert numeral("1e999999999") is None


@given(st.integers(min_value=0, max_value=10**13))
def test_number_words_of_any_integer_are_read_back(n: int) -> None:
    found = in_words(_spelled(n).replace("-", " ").split())
    assert found is not None
    assert found[0] == n


def _spelled(n: int) -> str:
    """An independent speller of integers, for the round trip."""
    teens = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
    small = f"zero one two three four five six seven eight nine {teens}".split()
    tens = f"- - {'twenty thirty forty fifty sixty seventy eighty ninety'}".split()
    if n < 20:
        return small[n]
    if n < 100:
        return tens[n // 10] + (f"-{small[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{small[n // 100]} hundred" + (f" and {_spelled(n % 100)}" if n % 100 else "")
    for scale, name in ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if n >= scale:
            return f"{_spelled(n // scale)} {name}" + (f" {_spelled(n % scale)}" if n % scale else "")
    raise AssertionError(n)


@given(st.text(alphabet="0123456789", min_size=1, max_size=3000))
def test_integers_beyond_the_limit_of_python_are_read(digits: str) -> None:
    assert whole_number(digits) == int(digits)


@pytest.mark.parametrize(
    ("text", "dimensions", "factor"),
    [
        ("km/h", {"m": 1, "s": -1}, Fraction(1000, 3600)),
        ("square centimeters", {"m": 2}, Fraction(1, 10_000)),
        ("cm^2", {"m": 2}, Fraction(1, 10_000)),
        ("m s^{-2}", {"m": 1, "s": -2}, Fraction(1)),
        ("miles per hour", {"m": 1, "s": -1}, Fraction("0.44704")),
        ("kWh", {"kg": 1, "m": 2, "s": -2}, Fraction(3_600_000)),
        ("duck eggs", {"duck": 1, "egg": 1}, Fraction(1)),
        ("years old", {"month": 1}, Fraction(12)),
    ],
)
def test_units_are_exact(text: str, dimensions: dict[str, int], factor: Fraction) -> None:
    (unit,) = units(text)
    assert (dict(unit.dimensions), unit.factor) == (dimensions, factor)


def test_pounds_are_mass_and_money() -> None:
    assert {u.dimensions for u in units("pounds")} == {(("kg", 1),), (("GBP", 1),)}


@pytest.mark.parametrize("text", ["Paris", "", "x +", "(1", "2 3", r"\foo 1", "a word here", "x^", "1..2", "^2"])
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(NotAFormula):
        parse(text)


@pytest.mark.parametrize(
    "text", ["(" * 900 + "1" + ")" * 900, "-" * 1900 + "1", r"\sin" * 380 + " x", "1+" * 900 + "1"]
)
def test_depth_and_length_are_bounded(text: str) -> None:
    with pytest.raises(NotAFormula):
        parse(text)


def test_the_prime_is_what_its_comment_says() -> None:
    assert PRIME < 2**61 and PRIME % 4 == 1
    assert all(pow(a, PRIME - 1, PRIME) == 1 for a in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37))
    rest = PRIME - 1
    for factor in range(2, 1 << 13):
        while rest % factor == 0:
            rest //= factor
    assert rest == 1
    assert _square_root_of_minus_one() ** 2 % PRIME == PRIME - 1


def test_towers_of_powers_have_a_fingerprint_and_no_exact_value() -> None:
    tower = parse("10^{10^{10^{10}}}")
    start = time.process_time()
    assert fingerprint(tower) != fingerprint(parse("10^{10^{10^{10}}} + 1"))
    assert fingerprint(tower) == fingerprint(parse("10 * 10^{10^{10^{10}} - 1}"))
    with pytest.raises(CannotTell):
        exact(tower)
    assert time.process_time() - start < 0.5


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 9))
def test_exact_arithmetic_agrees_with_python(a: int, b: int, c: int, d: int) -> None:
    assert exact(parse(f"({a})*({b})-({c})/{d}")) == Fraction(a * b) - Fraction(c, d)
    assert exact(parse(f"({a})^{d}")) == a**d


@given(st.integers(-20, 20), st.integers(-20, 20))
def test_a_product_equals_its_expansion(p: int, q: int) -> None:
    expanded = f"x^2 + ({p + q})*x + ({p * q})"
    assert same(read(f"(x + ({p}))(x + ({q}))"), read(expanded)) is True
    assert same(read(f"(x + ({p}))(x + ({q}))"), read(expanded + " + 1")) is False


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("**42**", "42"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"$x = \text{Paris}$", "x = Paris"),
        ("The answer is: 5.", "5"),
        ("x²", "x^{2}"),
        ("½", "1/2"),
        ("−3", "-3"),
        ("１２", "12"),
        (r"90^{\circ}", "90°"),
        ("3*x**2", "3*x^2"),
        (r"\$5", "$5"),
        ("```python\n42\n```", "42"),
    ],
)
def test_markup_comes_off(raw: str, wanted: str) -> None:
    assert clean(raw).text == wanted


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("The Eiffel Tower", "eiffel tower!", True),
        ("Seven Years' War", "7 years war", True),
        ("twenty-first century", "21st century", True),
        ("U.S.A.", "usa", True),
        ("World War I", "World War II", False),
    ],
)
def test_words(a: str, b: str, equal: bool) -> None:
    assert (text_key(a) == text_key(b)) is equal


def test_programs_are_compared_by_their_syntax_trees() -> None:
    one = 'def f(x):\n    """Double."""\n    return x * 2  # twice\n'
    assert program_key(one) == program_key("def f( x ) :\n\n    return (x*2)\n")
    assert program_key(one) != program_key("def f(x):\n    return x * 3\n")
    for broken in ("def f(:", "\x00", "(" * 10_000, "x" * 300_000, "\\d = '\\d'"):
        assert program_key(broken) == program_key(broken)


HOSTILE = st.text(
    alphabet=st.sampled_from(list("0123456789xyab+-*/^_=<>()[]{}|!%$,.;:'\\ \n√π∞±≤∪°½²…⦃⦄\u202e\ud800")), max_size=80
)
PIECES = st.lists(
    st.sampled_from(
        [r"\frac", "{", "}", "(", ")", "x", "2", "10", "^", "**", "-", r"\sqrt", r"\begin{pmatrix}", "&", r"\\",
         " and ", "∪", "<", "five", " km", "B) ", "±", ",", "=", r"\text{", "9^9^9", "%", "1,234", "|", "$"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(HOSTILE | PIECES, HOSTILE | PIECES)
def test_comparison_never_raises_is_symmetric_and_reflexive(a: str, b: str) -> None:
    one, two = read(a), read(b)
    assert same(one, two) is same(two, one)
    assert same(one, read(a)) is True


@pytest.mark.parametrize(
    "text",
    ["9" * 19_000, "9" * 10_000_000, "a" * 10_000_000, "$" * 1_000_000, "**" * 500_000, "(" * 100_000, "1+" * 100_000,
     r"\frac" * 100_000, "B) " * 100_000, "x^" * 100_000, "1," * 100_000, "\ud800" * 1_000_000],
    ids=lambda t: f"{t[:4]!a} x {len(t)}",
)  # fmt: skip
def test_huge_answers_are_read_in_linear_time(text: str) -> None:
    start = time.process_time()
    assert same(read(text), read(text + " ")) is True
    assert same(read(text), read("1")) is False
    assert time.process_time() - start < 5
