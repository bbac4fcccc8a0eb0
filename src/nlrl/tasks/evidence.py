"""What a prompt says, as a set of readable features: the concepts of its words, what it asks for, marks of structure.

A word counts for the concept it belongs to ("triangle" and "radius" both for geometry), and words of no concept are
evidence of nothing. Concepts of mathematics are read only where a quantity, a proof or a formula is asked for or stands
there, and concepts of programs only where more than one of them, a plain one, or code is there; so numbers in a rule of
writing and the word "class" are no evidence. Options and answer formats are not read at all.

The features:

    calculate         a concept of the prompt
    ?quantity         a concept of its last question, or of the last sentence where that is left open
    write program     two concepts that follow each other in a sentence; "^ write": the first of a sentence
    <numbers 2>       marks in angle brackets: numbers, formulas, code, what is asked for
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from nlrl.tasks import notation

# The concepts that can be evidence of mathematics, and of a program; no others are.
FOR_MATH = frozenset(
    ("how-many", "how-much", "how-far", "quantity", "amount", "of", "share", "trade", "unit", "money", "#", "calculus",
     "algebra", "integers", "geometry", "function-of-x", "higher-math", "let", "chance", "physics", "calculate",
     "evaluate", "prove")
)  # fmt: skip
FOR_CODING = frozenset(
    ("implement", "language", "in-a-language", "program", "script", "function", "class", "software", "computing",
     "data", "items", "return", "contest", "sort")
)  # fmt: skip

_FORMAL = frozenset(("calculus", "algebra", "function-of-x", "higher-math"))  # hardly said outside of mathematics
_ASKS = frozenset(("calculate",))  # asks for a quantity wherever it stands
_QUANTITIES = _FORMAL | {"how-many", "how-much", "how-far", "quantity", "amount", "of", "unit", "money", "geometry",
                         "integers", "calculate"}  # fmt: skip
_TOLD = frozenset(("how-many", "how-much", "evaluate"))
_COUNTS = frozenset(("how-many", "how-much"))
_PROGRAMS = frozenset(("implement", "language", "in-a-language", "program", "script", "function", "software", "data"))
_HOW_MANY_OF_THEM = frozenset(("#", "amount", "share", "write"))
_STOPS = frozenset(".?!:;\n")
_LEFT_OPEN = frozenset(("is", "are", "be", "was", "were", "will", "would", "by", "in", "of", "to", "at", "for",
                        "equals", "equal", "approximately", "about", "than", "the", "a", "an"))  # fmt: skip
_QUESTIONS = frozenset(("what", "how_many", "how_much", "how_long", "how_far", "in", "at"))
_CONVERTED = frozenset(("unit", "quantity", "integers", "algebra"))
_FINDS = frozenset(("find", "prove"))
_FOUND = FOR_MATH - {"#", "share", "trade", "money", "prove"}  # what a quantity that is to be found has to do with
_MEASURES = frozenset(("unit", "money", "days"))  # behind a number, they are told and not asked
_PLAIN_PROGRAMS = frozenset(("implement", "program", "in-a-language"))  # mean a program without any other sign
_IN_A_LANGUAGE = frozenset(("implement", "in-a-language"))  # mean one whatever is asked
_OF_MATHEMATICS = frozenset(("calculus", "function-of-x"))  # what a function of mathematics is for
# No code when alone: names of mathematics, arrows, and what marks up a text look like it.
_LIKE_CODE = frozenset(("<call()>", "<snake_case>", "<->>", "<=>>", "<tag>"))
_PLAIN_CODE = frozenset(("<declaration>", "<SQL>", "<docstring>", "<doctest>", "<code fence>"))
_YES_OR_NO = frozenset(("is", "are", "was", "were", "do", "does", "did", "can", "could", "would", "should", "will",
                        "has", "have"))  # fmt: skip
_NO_QUANTITY = frozenset(("why-who", "who", "happen"))
_OTHERWISE = frozenset(("which", "judge", "text", "explain", "date", "yes-or-no"))  # a question for something else
_OTHERS = frozenset(("which", "who", "why-who", "judge"))
_TEXTS = frozenset(("text", "explain", "edit", "persona"))

_LETTERS = frozenset("bcdefghjklmnopqruvwxyz")  # "a" and "I" are words, "s" and "t" what an apostrophe leaves
_KINDS = (("mathematics", FOR_MATH), ("programs", FOR_CODING))

_TOKEN = re.compile(r"[a-z_\u00df-\u024f\u0400-\u04ff]+|[#.?!:;\n]")
_ASCII_TOKEN = re.compile(r"[a-z_]+|[#.?!:;\n]")
_TAG = re.compile(r"<[^<>]*>")


class Lexicon(NamedTuple):
    """The concepts.

    words    the concept of a word; "^" for a mark that ends a sentence
    phrases  the concept of two words in a row; "" for a number of words, lines and so on: a rule of writing
    pairs    the keys of `phrases`
    signs    finds words of languages that put no space between them
    """

    words: dict[str, str]
    phrases: dict[tuple[str, str], str]
    pairs: frozenset[tuple[str, str]]
    signs: re.Pattern[str]


def lexicon(concepts: Mapping[str, list[str]], rules: list[str]) -> Lexicon:
    """The concepts with their words, sorted as `features` looks them up; "_" joins the two words of a phrase."""
    words = dict.fromkeys(".?!:;\n", "^") | {"#": "#"}
    phrases = {("#", word): "" for word in " ".join(rules).split()}
    for concept, lines in concepts.items():
        for word in " ".join(lines).split():
            if "_" in word and "how_" not in word:  # "how " is one word with what follows it
                first, second = word.split("_", 1)
                phrases[first, second] = concept
            else:
                words[word] = concept
    signs = "|".join(sorted((re.escape(w) for w in words if w > "\u2e80"), key=len, reverse=True))
    return Lexicon(words, phrases, frozenset(phrases), re.compile(signs))


def features(prompt: str, known: Lexicon) -> set[str | tuple[str, str]]:
    """The features of a prompt; two concepts that follow each other are a pair."""
    part = notation.read_part(prompt)
    flat = notation.flattened(part)
    plain = flat.isascii()
    token, concepts, phrases = (_ASCII_TOKEN if plain else _TOKEN), known.words, known.phrases
    spoken = _TAG.sub(" ", flat) if "/" in flat and ("/>" in flat or "</" in flat) else flat
    tokens = token.findall(spoken)
    row = list(filter(None, map(concepts.get, tokens)))
    seen = set(row)
    numbers = row.count("#")
    hits = known.pairs.intersection(pairwise(tokens))
    if hits:
        seen.update([phrases[pair] for pair in hits])
        if "" in seen:
            seen.discard("")
            numbers -= sum(phrases.get(pair) == "" for pair in pairwise(tokens))
    signs = [] if plain else [concepts[sign] for sign in known.signs.findall(flat)]
    seen.update(signs)
    seen.discard("^")
    code = notation.code(flat)
    if "SELECT " in part or "CREATE TABLE" in part:
        code.append("<SQL>")
    if len(code) > 2 and "\\" not in flat:  # whatever is asked, it is about that code
        return {*code, *seen - FOR_MATH, *pairwise(["^", *row])}
    formulas = notation.formulas(flat, plain)
    if len(formulas) > 1 and "\\" in flat and _PROGRAMS.isdisjoint(seen):  # it is asked in formulas
        return {*formulas, *seen - FOR_CODING, *pairwise(["^", *row])}

    if len(code) == 1 and code[0] in _LIKE_CODE and FOR_CODING.isdisjoint(seen):
        code = []
    question = _question(tokens)
    asked = list(filter(None, map(concepts.get, question)))
    if hits and question:
        asked += [phrases[pair] for pair in hits.intersection(pairwise(question)) if phrases[pair]]
    lead = ""
    if (question and question[0] in _YES_OR_NO) or ", do you" in spoken:
        lead = "yes-or-no"
        asked.append(lead)
    elif asked:
        lead = next((concepts[word] for word in question[:4] if word in concepts), "")
    asked += signs
    is_question = bool(question) or "?" in spoken
    wanted = {concept for before, concept in pairwise(["", *asked]) if before != "#" or concept not in _MEASURES}
    thing = _first_object(row)
    for_text = thing in _TEXTS and _COUNTS.isdisjoint(asked)
    of_mathematics = thing == "function" and not formulas and not _OF_MATHEMATICS.isdisjoint(seen)
    asks_quantity = (
        is_question
        and not _QUANTITIES.isdisjoint(wanted)
        and (_IN_A_LANGUAGE.isdisjoint(seen) and (plain or "language" not in seen))
    )
    for_program = not _PLAIN_CODE.isdisjoint(code) or (
        not asks_quantity and _is_for_program(thing, seen, formulas, of_mathematics)
    )

    found: set[str | tuple[str, str]] = set(code)
    shut: frozenset[str] = frozenset()
    if lead in ("#", "share") and question[0] != "what":
        lead = ""
    is_told = ". " in spoken or lead in ("#", "share") or question[:1] == ["if"]
    told = numbers if is_told or "physics" in wanted else 0
    if numbers and "convert" in seen and not _CONVERTED.isdisjoint(seen):
        wanted.add("quantity")
    quantity = formulas not in ([], ["<^>"]) or (
        not for_text and _asks_for_a_quantity(seen, wanted, lead, told, is_question)
    )
    if quantity and not for_program:
        found.update(formulas)
        found.update(_numbers(flat, tokens, numbers, seen, asked))
    else:
        shut = FOR_MATH
    if not code and _is_no_program(seen, lead, for_text, concepts.get(tokens[0]) if tokens else ""):
        shut |= FOR_CODING
    if shut:
        row = [concept for concept in row if concept not in shut]
        seen -= shut
        asked = [concept for concept in asked if concept not in shut]
    if seen:
        found.update(seen)
        found.update(pairwise(["^", *row]))
        for name, those in _KINDS:
            kinds = len(those & seen)
            if kinds > 1:
                found.add(f"<{name} {kinds}>" if kinds < 4 else f"<{name} 4+>")
    if asked:
        found.update(["?" + concept for concept in asked])
    if for_text:
        found.add("<asks for a text>")
    if of_mathematics and len(_PROGRAMS & seen) == 1:
        found.add("<a function of mathematics>")
    return found


def _question(tokens: list[str]) -> list[str]:
    """The words of the last question; without one, of an open last sentence or one that begins like a question."""
    end = len(tokens)
    if "?" in tokens:
        while tokens[end - 1] != "?":
            end -= 1
        start = _sentence(tokens, end - 1)
        if end - start < 6:  # what follows "Mrs. " is no sentence
            start = _sentence(tokens, start - 1)
        return tokens[start : end - 1]
    while end and tokens[end - 1] in _STOPS:
        end -= 1
    start = _sentence(tokens, end)
    is_question = start < end and (tokens[start] in _QUESTIONS or tokens[end - 1] in _LEFT_OPEN)
    return tokens[start:end] if is_question else []


def _sentence(tokens: list[str], end: int) -> int:
    """Where the sentence begins that goes on up to `end`."""
    start = end
    while start > 0 and tokens[start - 1] not in _STOPS:
        start -= 1
    return max(start, 0)


def _first_object(row: list[str]) -> str:
    """What the first request to write or find something is for: the concept behind it, how many of them aside."""
    for i, concept in enumerate(row):
        if concept in ("write", "find"):
            if i and row[i - 1] != "^":
                return ""
            return next((wanted for wanted in row[i + 1 :] if wanted not in _HOW_MANY_OF_THEM), "")
    return ""


def _is_for_program(thing: str, seen: set[str], formulas: list[str], of_mathematics: bool) -> bool:
    """Whether a program is what is to be written, or is spoken of plainly, outside of mathematical text."""
    if "<\\command>" in formulas or "<$x$>" in formulas:
        return False
    if thing in _PROGRAMS and not (thing == "function" and (formulas or of_mathematics)):
        return True
    if not _PLAIN_PROGRAMS.isdisjoint(seen) or "language" in seen:
        return True
    return len(FOR_CODING & seen) > (2 if _PROGRAMS.isdisjoint(seen) else 1)


def _is_no_program(seen: set[str], lead: str, for_text: bool, first: str | None) -> bool:
    """Whether what is said of programs is nothing: one word of several meanings, a topic, a question for a person."""
    if lead == "who" or (for_text and _PLAIN_PROGRAMS.isdisjoint(seen)):
        return True
    return _PROGRAMS.isdisjoint(seen) and len(FOR_CODING & seen) < 2 and first != "return"


def _asks_for_a_quantity(seen: set[str], wanted: set[str], lead: str, told: int, question: bool) -> bool:
    """Whether the question is for one; without a question, whether anything is to be calculated or proved."""
    if lead in _NO_QUANTITY:
        return False
    if not (_QUANTITIES.isdisjoint(wanted) and _ASKS.isdisjoint(seen)):
        return True
    if not (_FINDS.isdisjoint(seen) or _FOUND.isdisjoint(seen)):
        return True
    if not question:
        return not _FORMAL.isdisjoint(seen) or (told > 0 and not _TOLD.isdisjoint(seen))
    if told > 0 and (lead in ("#", "share") or ("physics" in wanted and lead not in _OTHERWISE)):
        return True
    return told > 1 and lead not in _OTHERWISE and _OTHERS.isdisjoint(wanted)


def _numbers(flat: str, tokens: list[str], numbers: int, seen: set[str], asked: list[str]) -> list[str]:
    """How many numbers there are, and what is asked of them."""
    marks = []
    if numbers > 0:
        marks.append(f"<numbers {numbers}>" if numbers < 4 else "<numbers 4+>")
    told = "no number" if numbers < 1 else "a number" if numbers == 1 else "numbers"
    if numbers < 1 and ", a" in flat and flat.count(" a ") + flat.count(" an ") > 3:
        told = "things"
    if not _COUNTS.isdisjoint(seen):
        marks.append(f"<how many, {told}, told>" if ". " in flat else f"<how many, {told}>")
    elif not _QUANTITIES.isdisjoint(asked) or (numbers > 1 and "days" in asked):
        marks.append(f"<quantity, {told}, told>" if ". " in flat else f"<quantity, {told}>")
    elif "?" in flat:
        marks.append("<asks for no quantity>")
    if len(_LETTERS.intersection(tokens)) > 1:
        marks.append("<letters>")
    if "$#" in flat or "$ #" in flat:
        marks.append("<$#>")
    if "#%" in flat or "# %" in flat:
        marks.append("<#%>")
    return marks
