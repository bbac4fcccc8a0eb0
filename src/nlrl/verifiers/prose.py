"""Words, sentences and paragraphs, as a reader counts them.

    words("The U.S. paid $5,000 for C++.")            -> ["The", "U.S.", "paid", "$5,000", "for", "C++"]
    sentences('"Stop!" he said. Dr. Li left.')         -> ['"Stop!" he said.', "Dr. Li left."]
    paragraphs("One.\\r\\n\\r\\nTwo.")                 -> ["One.", "Two."]

A word is what stands between spaces, without the punctuation around it. A sentence ends at a full stop, a question or
an exclamation mark, unless what follows goes on with it. English abbreviations are known; where a text leaves it open
whether one ends its sentence ("in the U.S. Army", "in the U.S. It"), the next word decides. Nothing here raises, and
all of it is linear in the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

# --- paragraphs ------------------------------------------------------------------------------------------------------

_NEWLINE = re.compile(r"\r\n?|[\x85\u2028]")
_BLANK_LINE = re.compile(r"\n\s*\n")


def with_plain_newlines(text: str) -> str:
    """The same text with "\\n" for every way to end a line, and a blank line for the sign that ends a paragraph."""
    return _NEWLINE.sub("\n", text).replace("\u2029", "\n\n")


def paragraphs(text: str) -> list[str]:
    """Blocks of text between blank lines."""
    return [block.strip() for block in _BLANK_LINE.split(with_plain_newlines(text).strip()) if block.strip()]


# --- words -----------------------------------------------------------------------------------------------------------


class Word(NamedTuple):
    """One word, and where it stands in its text."""

    text: str
    start: int
    end: int


_ADDRESS = r"(?:https?://|www\.)[^\s<>\"]{1,2000}[\w/]|(?<![\w.+-])[\w.+-]{1,64}@\w[\w-]{0,62}(?:\.\w[\w-]{0,62})+"
_GROUPED = r"(?<![\d,])(?:\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3})(?!,?\d)"  # 5,000 and 12,34,567
_DECIMAL_COMMA = r"(?<![\d,])\d+,\d+(?!,?\d)"
_ATOM = re.compile(rf"(?P<address>{_ADDRESS})|{_GROUPED}|{_DECIMAL_COMMA}|[^\W_]+|(?<!\S)&(?!\S)")
_JOINTS = frozenset(
    "'’ʼ´`-‐‑–&@_°€£$\u00ad\u200b\u200c\u200d\u2060"
)  # between two atoms they make one word: don't, well-known, AT&T, 20°C
_CURRENCY = "$€£¥₹"


def words(text: str) -> list[str]:
    """Words without the punctuation around them; the signs that belong to a word stay: "C++", "100%", "$5", "U.S."."""
    return [word.text for word in placed_words(text)]


def placed_words(text: str) -> list[Word]:
    """The same, with their places."""
    shadow = _with_marks_as_letters(text)
    spans: list[list[int]] = []
    address = False
    for match in _ATOM.finditer(shadow):
        start, end = match.span()
        if spans and not address and not match["address"] and _joined(shadow, spans[-1], start, end):
            spans[-1][1] = end
            spans[-1][2] = start
        else:
            spans.append([start, end, start])
        address = match["address"] is not None
    floor, found = 0, []
    for start, end, _ in spans:
        start, end = _with_signs(shadow, start, end, floor)
        floor = end
        found.append(Word(text[start:end], start, end))
    return found


def _with_marks_as_letters(text: str) -> str:
    """Combining marks are parts of a word; `re` does not know that."""
    if text.isascii():
        return text
    return "".join("x" if unicodedata.category(c)[0] == "M" else c for c in text)


def _joined(text: str, before: list[int], start: int, end: int) -> bool:
    """Whether what stands between two atoms makes them one word."""
    gap, left, right = text[before[1] : start], text[before[2] : before[1]], text[start:end]
    if len(gap) != 1:
        return not gap
    if gap in _JOINTS:
        return right != "&" and left != "&"
    both_numbers = left[-1].isdigit() and right[0].isdigit()
    if gap == ".":  # "Node.js", "U.S", "Ph.D"; but "It ended.Then" lacks a space
        return not right[0].isupper() or (left.isalpha() and (len(left) <= 2 or left.isupper()))
    if gap == "/":
        return both_numbers or (left.isalpha() and right.isalpha() and min(len(left), len(right)) == 1)
    return gap == ":" and both_numbers


def _with_signs(text: str, start: int, end: int, floor: int) -> tuple[int, int]:
    """The word with the signs that belong to it, but none that belongs to the word before."""
    last = text[end - 1]
    if last.isdigit() and text[end : end + 1] in ("%", "‰", "°"):
        end += 1
    elif last.isalpha() and text[end : end + 1] in ("+", "#"):
        while text[end : end + 1] == text[end - 1] or text[end : end + 1] in ("+", "#"):
            end += 1
    elif last.isalpha() and text[end : end + 1] == "." and "." in text[max(start, end - 4) : end]:
        end += 1  # "U.S."
    if start > floor and (text[start - 1] in _CURRENCY or (text[start - 1] in "#@" and _begins(text, start - 1))):
        start -= 1
    if start > floor and text[start - 1] in "-−+" and _begins(text, start - 1) and _is_amount(text[start : start + 2]):
        start -= 1
    return start, end


def _begins(text: str, at: int) -> bool:
    return at == 0 or text[at - 1].isspace() or text[at - 1] in "([\"'“‘"


def _is_amount(text: str) -> bool:
    return text[:1].isdigit() or (text[:1] in _CURRENCY and text[1:2].isdigit())


# --- sentences -------------------------------------------------------------------------------------------------------

_RUN = re.compile(r"[.!?…\"'”’»›)\]*_“]+")  # a sentence's end, and what closes with it
_WIDE_RUN = re.compile(r"[。！？]+[」』”’）]*|।")  # scripts that put no space behind it
_OPENING = re.compile(r"[\s\"'“‘«‹(\[*_¿¡—–-]{0,20}")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘«—–]+$")
_NEXT_WORD = re.compile(r"[^\W_][^\W_’']*(?:['’][^\W_]+)?")
_LIST_MARK = re.compile(r"\(?(\d{1,3}|[A-Za-z])\)?")
_INITIALS = re.compile(r"[^\W\d_]{1,3}(?:\.[^\W\d_]{1,3})+")  # U.S, Ph.D, z.B
_ANY_WORD = re.compile(r"[^\W_]|(?<!\S)&(?!\S)")
_SAYING = re.compile(
    r"(?:[^\W_][\w'’-]*\.?\s+){1,4}?(?:said|says|asked|asks|cried|cries|shouted|shouts|yelled|replied|replies|answered|"
    r"whispered|exclaimed|called|added|demanded|screamed|wondered|muttered|snapped|begged|told|laughed|barked|insisted|"
    r"roared|gasped|sighed|murmured|repeated|announced|declared|thought)\b"
)


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLES = _words_of("mr mrs ms mx dr prof mt gen col maj capt lt sgt cpl rev hon sen rep gov pres messrs mme mlle")
_NEVER_LAST = _words_of("e.g i.e cf vs viz approx ca incl esp")
_BEFORE_NUMBERS = _words_of(
    "no nos vol vols p pp fig figs sec ch art eq ex al jan feb mar apr jun jul aug sep sept oct nov dec"
)
_MAY_END = _words_of("st inc ltd co corp llc bros jr sr ave blvd rd dept est etc al esq assn")
_LABELS = _words_of(
    "plan vitamin option grade type group class part section appendix team point answer choice exhibit figure schedule "
    "hepatitis model version category room gate line block level drive side step letter note"
)  # before a single letter that is no initial: "Plan B."
_STARTERS = _words_of(
    "he she it they we i you the a an this that these those there here in on at for from by with but and so then when "
    "while if as after before because what who why how where which my his her our their your its no not yes one some "
    "many most all each every both however therefore thus also now today yesterday tomorrow later soon once please let "
    "do does did is are was were can could would should have has had "
    "it's he's she's they're we're i'm you're don't that's there's"
)
_TIME_WORDS = _words_of(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december est edt pst pdt cst cet gmt utc eastern pacific"
)


_BEFORE_TIMES = _words_of("at by around about until till from before after since")  # "At 5 a.m. Tom woke."


def sentences(text: str) -> list[str]:
    """Sentences, in order; none goes beyond its paragraph, and what holds no word is none."""
    return [sentence for paragraph in paragraphs(text) for sentence in _of_paragraph(paragraph)]


def _of_paragraph(paragraph: str) -> list[str]:
    pieces: list[str] = []
    start, marks = 0, _Marks()
    for at, end in _ends(paragraph):
        if _goes_on(paragraph, start, at, end, marks):
            continue
        piece = paragraph[start:end].strip()
        if _ANY_WORD.search(piece):
            pieces.append(piece)
            start = end
    if _ANY_WORD.search(rest := paragraph[start:].strip()):
        pieces.append(rest)
    return pieces


def _ends(paragraph: str) -> list[tuple[int, int]]:
    """Where a sentence may end: the place of the first sign, and the place behind the last."""
    found = []
    for match in _RUN.finditer(paragraph):
        behind = paragraph[match.end() : match.end() + 1]
        if behind.isspace() and any(c in ".!?…" for c in match.group()):
            found.append(match.span())
    found += [match.span() for match in _WIDE_RUN.finditer(paragraph)]
    return sorted(found)


class _Marks:
    """The marks of a list within running text: "1. Buy milk. 2. Eat." """

    def __init__(self) -> None:
        self.last = ""

    def is_next(self, mark: str, *, begins_line: bool) -> bool:
        mark = mark.lower()
        follows = mark in ("1", "a", "i") if not self.last else mark == _successor(self.last)
        if follows or (begins_line and mark.isdigit()):
            self.last = mark
            return True
        return False


def _successor(mark: str) -> str:
    return str(int(mark) + 1) if mark.isdigit() else chr(ord(mark) + 1)


def _goes_on(text: str, start: int, at: int, end: int, marks: _Marks) -> bool:
    """Whether the sentence that began at `start` goes on behind the signs that stand from `at` to `end`."""
    signs = text[at:end]
    opening = _OPENING.match(text, end)
    ahead = opening.end() if opening else end
    if ahead >= len(text):
        return False
    follows = text[ahead]
    stops = [c for c in signs if c in ".!?…"]
    word = match.group() if (match := _LAST_WORD.search(text, max(start, at - 30), at)) else ""
    if stops == ["."] and _is_list_mark(text, start, at, marks):
        return True
    if follows.islower():
        lead = _NEXT_WORD.search(text, start, at)
        careless = lead is not None and lead.group()[0].islower()  # an author who writes no capitals
        quoted = any(c in signs for c in "\"'”’»")
        return not careless or quoted or len(stops) > 1 or is_abbreviation(word)
    if stops == ["."] and signs[0] == ".":
        return _goes_on_after(word, text, start, at, ahead)
    if signs[-1] in ")]" and text[start : start + 2].strip()[:1] not in ("(", "["):
        return "(" in text[max(start, at - 300) : at] and follows.isupper()
    return signs[-1] in "\"'”’»" and stops[-1:] != ["."] and _SAYING.match(text, ahead, ahead + 80) is not None


def _is_list_mark(text: str, start: int, at: int, marks: _Marks) -> bool:
    if at - start > 8:
        return False
    match = _LIST_MARK.fullmatch(text[start:at].strip())
    return match is not None and marks.is_next(match[1], begins_line=start == 0 or "\n" in text[start - 1 : at])


def is_abbreviation(word: str) -> bool:
    """Whether a full stop behind the word may belong to it."""
    key = word.lower()
    return (
        bool(_INITIALS.fullmatch(word))
        or key in _TITLES
        or key in _NEVER_LAST
        or key in _MAY_END
        or key in _BEFORE_NUMBERS
    )


def _goes_on_after(word: str, text: str, start: int, at: int, ahead: int) -> bool:
    """Whether the sentence goes on behind one full stop and before a word with a capital, a number or a sign."""
    key, follows = word.lower(), text[ahead]
    following = match.group().lower() if (match := _NEXT_WORD.match(text, ahead)) else ""
    if key in _TITLES or key in _NEVER_LAST:
        return True
    if key in _BEFORE_NUMBERS and follows.isdigit():
        return True
    if len(word) == 1 and word.isupper():
        return _is_initial(word, text, start, at, following)
    if key in ("a.m", "p.m"):
        begun = text[start:at].split()
        return following in _TIME_WORDS or (len(begun) <= 4 and begun[0].lower() in _BEFORE_TIMES)
    if key == "etc":
        return False
    return bool(_INITIALS.fullmatch(word) or key in _MAY_END) and following not in _STARTERS and follows.isupper()


def _is_initial(word: str, text: str, start: int, at: int, following: str) -> bool:
    """Whether a capital with a full stop is the first letter of a name: "J. K. Rowling", but not "Plan B. It"."""
    before = _LAST_WORD.search(text, max(start, at - 40), max(start, at - len(word) - 1))
    earlier = before.group().strip(",;:") if before else ""
    if following in _STARTERS or earlier.lower() in _LABELS:
        return False
    return word != "I" or not earlier or earlier[0].isupper()
