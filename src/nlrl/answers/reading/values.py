r"""The value in a statement: without the words before it, and without the reason behind it.

    value("It takes 5 days for 3 workers.")                      ->  "5 days"
    value("The final answer is $\frac12$. I hope it is right.")  ->  "\frac12"
    value("x = 3 or x = 4")                                      ->  "x = 3 or x = 4"
    value("1/2 or 0.5")                                          ->  "1/2"

A statement is cut down to a head: what stands before "since", "not", a dash, a second sentence. One of the head's runs,
whole, with its unit and what is joined to it by "and", is the value. A statement has a bounded length, and a fixed
number of its heads are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import NamedTuple

from nlrl.answers.reading import vocabulary
from nlrl.answers.reading.heads import EDGES, LATIN, REMARK, Head, Run, trimmed
from nlrl.answers.reading.one_value import simplest
from nlrl.answers.reading.pieces import LONGEST, PIECE, boxes, mask, plain, without_ornaments
from nlrl.answers.reading.vocabulary import PREPOSITIONS, TURNS, word_set
from nlrl.answers.reading.whole import joined, whole

# --- heads -----------------------------------------------------------------------------------------------------------

_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}>>")  # GSM8K writes 3*5=<<3*5=15>>15
_EMPTY_BOX = re.compile(r"\\(?:f|frame)?box(?:ed)?(?![a-z])\s*\{?")
_PART = re.compile(r"^\s*\((?:[a-h]|i{1,3}|iv|v)\)\s+(?=[^\s+*/=^-])")  # "(a) 5"
SENTENCE_END = re.compile(
    r"(?<![A-Z])(?<!\b[A-Z]\.[A-Z])(?<!\bMr)(?<!\bDr)(?<!\bMs)(?<!\bMrs)(?<!\bSt)(?<!\bvs)(?<!\bapprox)(?<!\bNo(?=\.\s?\d))"
    r"(?<!\bi\.e)(?<!\be\.g)(?<!\bp\.m)(?<!\ba\.m)(?<!\bJr)(?<!\bSr)(?<!\bMt)(?<!\bProf)(?<!\bEq)(?<!\betc)(?<!\.)"
    r"[.!?][\"”’)\]*_]{0,3}(?=\s|$)|(?<=[A-Z\ue000])\.[\"”’*_]{0,3}(?=\s+[A-Z]|\s*$)|[。！？।؟]|\.(?=[\u3041-\u9fff])"
)
_NOT_BUT = re.compile(r"\bnot\s[^.,;]{1,40}?[,\s]\s*but\b", re.I)
_CONSEQUENCE = r"so|hence|thus|therefore|making|giving|leaving|which (?:makes|gives|leaves|brings|yields|totals)"
_THEN = re.compile(rf"[,;.]?\s+(?:and\s+)?(?:{_CONSEQUENCE}|(?P<but>but))\b", re.I)
_CONCLUDES = re.compile(r"\W{0,4}(?:so|hence|thus|therefore|we get|in total|in all|altogether|overall)\b", re.I)
_SAYS = r"\b(?:would|is|are|was|were|has|have|holds?|gives?|fails|does|too)\b"
_CLAUSE = (  # behind a dash: not "x - 3", but "x - the ..." or "5 - 4 buses would ..."
    rf"(?=[{LATIN}]{{2}}|(?:[^=,;—(\s]|,(?=\d))+\s(?:(?!because|since|as|which|for)[a-z]+\s){{0,2}}{_SAYS})"
)
_REMARK = rf"(?=[{LATIN}]{{2}}|(?:(?!because|since|where)[^;]){{0,400}}?{_SAYS})"  # behind a semicolon: not "2; 3"
_REASON = re.compile(
    rf"(?:[,;，；]\s{{0,3}}|\s|{vocabulary.START}(?![a-z]))(?:{vocabulary.words('reason')}|{_CONSEQUENCE}|but"
    rf"|rather than|instead of|in contrast to|contrary to|as opposed to|unlike|i\.\s?e\.|e\.\s?g\.){vocabulary.END}"
    r"|,\s{0,3}(?:found|obtained|computed|calculated|derived|without|(?:did|do|does)n['’]t)\b"
    r"|,\s{0,3}(?:that is|(?:and |but )?not)\b|\s(?:and |but )?not\s(?=[\d$\\(-])"
    r"|(?P<hedge>[,，]?\s{0,3}(?:\bor\s|\()?(?:≈|\\approx\b|\b(?:approximately|approx\.?|about|roughly|equivalently)\s))"
    rf"|\s[-–]{{1,3}}\s{_CLAUSE}|(?<={PIECE})\s[-–]\s|\s?—|\s--+\s|\s?;\s{_REMARK}|\s\|\|?\s"
    r"|(?-i:\s(?:Explanation|Reason|Solution|Because)\b)",
    re.I,
)
_LEADING = re.compile(  # "Since 4 buses hold 160, ..."
    rf"\s*(?:{vocabulary.words('reason')}|after|with|for|in|at|by){vocabulary.END}"
    r"(?:[^,()]|\([^()]*\))*,\s(?=\s*\S)",
    re.I,
)
_UNIT = r"(?:\s?[A-Za-z]{2,15}(?:/[A-Za-z]+)?|\s[mghsL]\b(?:/[a-z]+)?)(?:[²³]|\^\d)?"
_AMOUNT = rf"[-−]?[$€£]?\s?\d+(?:[.,]\d+)*(?:/\d+)?\s?%?(?:{_UNIT}){{0,2}}"
_WORKED = re.compile(  # "Distance: 80 km/h * 3 hours = 240 km": what it comes to
    rf"(?:[A-Za-z][\w ]{{0,30}}[:=]\s*)?(?:[A-Za-z]{{2,15}}\s){{0,4}}?"
    rf"(?P<left>{_AMOUNT}(?:\s[-+*/x×·÷]\s{_AMOUNT})+)\s=\s(?P<last>{_AMOUNT})\s*[.!]?"
)
_MOST_STOPS = 4
_MOST_SENTENCES = 8


class Pick(NamedTuple):
    """A value; whether its head begins with it; whether it is more than a name."""

    value: str
    at_start: bool = False
    sure: bool = True


def value(statement: str, *, marked: bool = True) -> str | None:
    """The value that a statement makes. `marked`: the text says that it is the answer, so that words may be it too."""
    text = _PART.sub("", _CALCULATOR.sub("", without_ornaments(statement[:LONGEST]))).strip()
    if "box" in text:
        if content := boxed(text):
            return content
        text = _EMPTY_BOX.sub("", text)
    masked = _NOT_BUT.sub(lambda m: REMARK * len(m.group()), mask(text))
    ends = [0, *(m.end() for m in SENTENCE_END.finditer(masked)), len(text)]
    best: Pick | None = None
    for start, end in [(a, b) for a, b in pairwise(ends) if text[a:b].strip(EDGES)][:_MOST_SENTENCES]:
        found = _of_sentence(text[start:end], masked[start:end], marked)
        if found and (best is None or (_CONCLUDES.match(masked, start, end) and not best.at_start)):
            best = found
        if best and best.at_start:
            break
    return best.value.strip() or None if best else None


def _of_sentence(text: str, masked: str, marked: bool) -> Pick | None:
    """The first head with a value that is more than a name; else the first name."""
    name: Pick | None = None
    worked = _WORKED.fullmatch(text.strip())
    if worked and re.search(r"[A-Za-z]{2}|\s[mghsL]\b", worked["left"]):
        return Pick(worked["last"], at_start=True)
    for start, stop in _heads(masked, marked):
        if text[start:stop].strip(EDGES):
            found = _pick(Head(text[start:stop], masked[start:stop]), marked)
            if found and found.sure:
                return found if start == 0 else found._replace(at_start=False)
            name = name or found
    return name


def _heads(masked: str, marked: bool) -> Iterator[tuple[int, int]]:
    """Where the value may stand, best first: behind "..., so" (unless the answer comes first), and before "since"."""
    turns = [(m.start(), m.end()) for m in _THEN.finditer(masked) if not m["but"] or not _CONCLUDES.match(masked)]
    turns = [] if marked else turns
    reasons = [
        match.start()
        for match in islice(_REASON.finditer(masked), 2 * _MOST_STOPS)
        if not match["hedge"] or Head(masked[: match.start()], masked[: match.start()]).runs
    ]
    lead = _LEADING.match(masked)
    starts = [end for _, end in turns[: -_MOST_STOPS - 1 : -1]] + ([lead.end()] if lead else []) + [0]
    for start in starts:
        last = min((stop for stop, _ in turns if stop >= start), default=len(masked))
        stops = [stop for stop in reasons if start < stop < last][:_MOST_STOPS]
        yield from ((start, stop) for stop in (*stops, last))


# --- one of the runs -------------------------------------------------------------------------------------------------

_VERBS = re.compile(rf"{vocabulary.START}(?:{vocabulary.words('verb')}){vocabulary.END}|(?=\bdoes not exist)", re.I)
_FIRST_WORDS = re.compile(  # what may stand before an answer that comes first
    r"(?:(?:(?:about|approximately|exactly|precisely|just|only|simply|equal to|given by|as follows|indeed|the|then|that"
    r"|clearly|now|also|therefore|thus|it is|it's|there are|there is|a total of|at (?:least|most))\b|[:：*_~\"“])"
    r"[\s,:]*)*",
    re.I,
)
_RESULTS = word_set(  # a name behind one of these is what the sentence comes to: "we get $G$"
    "is are was were equals get gets obtain obtains have yields gives be becomes to solution it's that's then hence so "
    "therefore thus leaves with conclusion donc"
)
_LABELS = word_set(
    "step case equation eq part question problem example figure fig table line option theorem lemma section chapter "
    "item page round equations steps cases number no schritt fall étape paso caso 步 第"
)
_LABEL = re.compile(r"\(?(?:\d+[a-z]?|[a-zA-Z]|[IVX]+)\)?")


def _pick(head: Head, marked: bool) -> Pick | None:
    runs = head.runs
    if not runs:
        return _maybe(_in_words(head), at_start=True) if marked else None
    first_words = _FIRST_WORDS.match(head.mask)
    comes_first = first_words is not None and runs[0].start <= first_words.end() + 1
    alone = len(runs) == 1 or head.mask[runs[0].end : runs[0].end + 1] in (",", ";")  # "G, matching the case n = 2"
    if marked and comes_first and (alone or not head.is_name(runs[0])):
        return Pick(whole(head, 0), at_start=True)
    named = [i for i, run in enumerate(runs) if not _is_label(head, run)]
    free = [i for i in named if not head.is_name(runs[i]) or _RESULTS.intersection(runs[i].before[-1:])]
    if not free:
        if marked and (words := _in_words(head, behind=runs[-1].end) if named else _in_words(head)):
            return Pick(words)
        return Pick(whole(head, named[-1]), sure=False) if named and (marked or not head.prose) else None
    best = [i for i in free if not _is_governed(runs[i])]
    if marked and comes_first and not best:  # "F for x = 41"
        return Pick(whole(head, 0), at_start=True)
    if not best:
        best = ([i for i in free if i > 0] or free)[:1]
    best = [i for i in best if runs[i].formula] or best
    chosen = best[-1]
    while chosen > 0 and chosen - 1 in free and joined(head, chosen - 1):
        chosen -= 1
    return Pick(whole(head, chosen))


def _maybe(words: str | None, *, at_start: bool) -> Pick | None:
    return Pick(words, at_start) if words else None


def _is_label(head: Head, run: Run) -> bool:
    """Whether it only says which one: "step 3", "equation (2)"."""
    label = _LABEL.fullmatch(head.between(run.start, run.end))
    return label is not None and bool(_LABELS.intersection(run.before[-1:]))


def _is_governed(run: Run) -> bool:
    """Whether it only belongs to a preposition: "for 3 workers", "out of 20"; but not "a total of 42"."""
    words = run.before
    for k in range(1, min(3, len(words)) + 1):
        if words[-k] in TURNS:
            return False
        if words[-k] in PREPOSITIONS:
            return not (
                words[-k] == "of" and (words[-k - 1 :][:1] == ("total",) or words[-k - 2 :][:1] in (("a",), ("an",)))
            )
    return False


def _in_words(head: Head, behind: int = 0) -> str | None:
    """An answer in words: what follows the last verb (and this place), or all of a head without one."""
    verbs = [m.end() for m in _VERBS.finditer(head.mask) if head.text[m.end() :].strip(EDGES)]
    start = verbs[-1] if verbs and (behind or len(head.prose) > 3) else 0
    if behind and start < behind:
        return None
    remark = head.mask.find(REMARK, start)
    text = plain(head.text[start : remark if remark > start else len(head.text)])
    left, right = trimmed(text, 0, len(text))
    return text[left:right] or None


# --- boxes -----------------------------------------------------------------------------------------------------------

PLACEHOLDER = re.compile(
    r"(?:\\text\w*\{)?[\[<({\"'*_]*(?:your |the |final |insert )*(?:final )?"
    r"(?:answer|number|result|option|letter|\.\.\.|…|\\[lc]?dots)(?: here)?[\]>)}\"'*_.]*\}?",
    re.I,
)
_SEVERAL = re.compile(  # between the boxes of one answer
    r"(?:\s|\$|\\[()\[\]]|[,;&{}、，]|\\\\|\\(?:text|quad|qquad|mathrm)\b|\\[,; ]|和|或|与"
    r"|\b(?:and|or|und|oder|et|ou|y|o|e)\b|[A-Za-z](?:_\{?\w\}?)?\s*=)*"
)
_SPEECH = 3  # so many words, with a verb, are a sentence


def formula(text: str) -> str | None:
    """The value in what is meant to be nothing but an answer: the content of a box, a tag, a JSON string."""
    text = without_ornaments(text).strip()
    head = Head(text)
    words = [m.group().lower() for m in head.prose if m.group().isascii()]
    speaks = len(words) >= _SPEECH and _VERBS.search(head.mask)
    explains = REMARK in head.mask or (words and _REASON.search(head.mask))
    if speaks or explains or any(word in PREPOSITIONS for word in words):
        return value(text)
    left, right = trimmed(text, 0, len(text))
    return simplest(plain(text[left:right])) or None


def boxed(text: str) -> str | None:
    """The last box; with those before it where nothing but "and", "or", commas and names stand between."""
    found = [box for box in boxes(text) if not PLACEHOLDER.fullmatch(box.content)]
    found = [box for box in found if box.closed or len(Head(box.content).prose) < 2]
    if not found:
        return None
    contents = [formula(found[-1].content)]
    for one, two in reversed(list(pairwise(found))):
        if not _SEVERAL.fullmatch(text, one.end, two.start):
            break
        if (content := formula(one.content)) not in contents:
            contents.insert(0, content)
    return ", ".join(content for content in contents if content) or None
