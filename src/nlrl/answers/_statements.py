"""What a sentence states as the answer, compared with the references.

    "The capital of France is Paris."            states Paris
    "It is Paris, not Lyon."                     states Paris
    "It is either Paris or Lyon."                states nothing: several candidates
    "The capital of France is Lyon, near Paris"  states Lyon

The first sentence that says anything counts; what follows explains it. In it a reference must stand as a whole, or as
a name in the sense of the rules, and none of `GUARDS` may object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nlrl.answers._fact_rules import DEMONYMS, PARTICLES, TITLES, Question, compare, date, is_place
from nlrl.answers._phrases import SMALL_WORDS, Phrase, Word, clean, date_texts, of_words, only_date, phrase, word_set

_SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])|\s*\n\s*")
_ABBREVIATION = re.compile(r"(?:\b(?:[A-Z]|Sr|Jr|Dr|Mr|Mrs|Ms|St|Mt|No|Vol|vs|Inc|Ltd|Co|Prof|Gen|Col|Capt|Lt|c|ca))$")
_NO_ANSWER = re.compile(
    r"\b(?:sorry|apologi[sz]e|don't know|do not know|not sure|unsure|cannot|can't|could not|couldn't|unable|unknown"
    r"|no information|not aware|impossible to|no way to|no record|as an ai|unclear|not clear|whether|not specified"
    r"|hard to say|nobody knows|no one knows|some say|used to be|no longer|debated|disputed|pretend"
    r"|suppose|imagine|assum(?:e|ing))\b",
    re.IGNORECASE,
)
_RETRACTED = re.compile(
    r"(?:^|[.!?\n-]\s*)(?:oh\W+)?(?:no\b[,.]? (?:wait|sorry|it|that|the answer|i)|wait\b|actually\b|correction\b"
    r"|scratch that|on second thou|i was wrong|i mean\b|sorry,|rather,|or (?:maybe|perhaps|is it)|it could also"
    r"|alternatively)",
    re.IGNORECASE,
)
_EMPTY = re.compile(
    r"(?:yes|no|sure|certainly|of course|correct|great question|you are correct|that's right)\b.{0,25}", re.I
)
_NEGATED_BEFORE = re.compile(
    r"\b(?:not|never|neither|nor|false)\b|n't\b|\b(?:without|except|unlike|than|instead of|contrary to)(?: \w+)?$"
    r"|\bbut$",
    re.IGNORECASE,
)
_NEGATED_BEHIND = re.compile(
    r"^\W*(?:(?:is|was|are|were|would be|did|does|do|has|had)(?:n't| not| never)\b"
    r"|(?:is|was|are|were|would be) (?:wrong|incorrect|false|another|the wrong)\b)",
    re.IGNORECASE,
)
_ALSO_KNOWN = re.compile(
    r"\b(?:known|called|aka|a\.k\.a|named|name|nicknamed|formerly|née|born|alias|ie|i\.e)\b|\(", re.IGNORECASE
)
_PARTS = re.compile(r"\s*,\s*(?:and\s+)?|\s+and\s+|\s*&\s*", re.IGNORECASE)
COPULA = word_set("is was are were")
_VERBS = COPULA | word_set("be been has had have did does do can could would will may might became said means")
_KIN = re.compile(
    r"\b((?:wife|husband|son|daughter|brother|sister|father|mother|parent|friend|rival|pupil|student|successor|widow|fan"
    r"|predecessor|colleague|cousin|assistant|opposite|enemy)s?) of(?: \w+)?$",
    re.IGNORECASE,
)
_ITEM = r"[\w'-]+(?: [\w'-]+)?"
_LIST_BEHIND = re.compile(rf"^,\s+{_ITEM}(?:,\s+{_ITEM})*,?\s+(?:and|or)\s+\w|^,\s+{_ITEM},\s+{_ITEM}[.!]?$")
_LIST_BEFORE = re.compile(rf"(?:^|\W){_ITEM},\s+(?:{_ITEM},\s+)*(?:and|or)\s+(?:the |an? )?$|{_ITEM},\s+{_ITEM},\s+$")
_NO_NAMES = word_set("they there it he she this that these those one some many in on at during after before")


@dataclass(frozen=True, slots=True)
class Found:
    """A place in a sentence that says a reference: words `start` to `end` of `sentence`."""

    sentence: Phrase
    start: int
    end: int
    reason: str
    wanted: Sequence[Phrase] = ()

    @property
    def words(self) -> tuple[Word, ...]:
        """The words that say it."""
        return self.sentence.words[self.start : self.end]


def stated(question: Question, said: Phrase, wanted: Sequence[Phrase]) -> str | None:
    """The rule by which a statement states one of the references, None if it states something else or nothing."""
    sentences = [s for s in split(clean(said.text)) if phrase(s)]
    if not sentences or several_fragments(sentences) or any(_RETRACTED.search(s) for s in sentences[1:]):
        return None
    while len(sentences) > 1 and _EMPTY.fullmatch(sentences[0].strip(" .!")):
        sentences.pop(0)
    if any(not set(phrase(m.group()).stems) <= question.stems for m in _NO_ANSWER.finditer(sentences[0])):
        return None
    if not _is_statement(question, phrase(sentences[0])):
        return compare(question, phrase(sentences[0]), wanted) if len(sentences) > 1 else None
    for sentence in _telling(question, sentences):
        for found in matches(question, phrase(sentence), wanted):
            if not any(guard(question, found) for guard in GUARDS):
                return found.reason
    return None


def _is_statement(question: Question, sentence: Phrase) -> bool:
    """Whether it has a verb, or takes up words of the question: "first man on the moon: Neil Armstrong"."""
    if any(w.key in _VERBS or (w.text.endswith("ed") and len(w.text) > 4) for w in sentence.words):
        return True
    shared = [s in question.stems for s in sentence.content]
    return sum(shared) >= 2 or (len(shared) > 1 and shared[0])


def _telling(question: Question, sentences: Sequence[str]) -> Sequence[str]:
    """The sentences that may state the answer.

    The first; and the next ones, as long as those before add no name and no number to the question.
    """
    told = next((i for i, s in enumerate(sentences) if _adds(question, phrase(s))), 0)
    return sentences[: told + 1]


def _adds(question: Question, sentence: Phrase) -> bool:
    """Whether a sentence holds a name or number that is not in the question: of a person or an amount, if asked for."""
    new = [
        w for w, s in zip(sentence.words, sentence.stems, strict=True) if s not in question.stems and s not in TITLES
    ]
    if question.amount:
        return any(w.key[0].isdigit() for w in new)
    return any(w.capital for w in new if w is not sentence.words[0])


def split(text: str) -> Iterator[str]:
    """The sentences of a text; "Mr. Smith" and "J. Smith" are not divided."""
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if "\n" not in match.group() and _ABBREVIATION.search(text[max(0, match.start() - 6) : match.start()]):
            continue
        yield text[start : match.end()].strip()
        start = match.end()
    yield text[start:].strip()


def several_fragments(sentences: Sequence[str]) -> bool:
    """Candidates one beside the other: "Paris. London. Rome."; or a list by lines."""
    short = [s for s in sentences if len(s.split()) <= 4 and not any(w.key in _VERBS for w in phrase(s).words)]
    return len(short) > 1 and len(short) == len(sentences)


# --- where a reference is said ---------------------------------------------------------------------------------------


def matches(question: Question, sentence: Phrase, wanted: Sequence[Phrase]) -> Iterator[Found]:
    """The places where a sentence says a reference: word for word, then by a name, then by a date."""
    for reference in wanted:
        for start, end in spans(sentence, reference):
            yield Found(sentence, start, end, "the words of the reference", wanted)
    for reference in wanted:
        place = all_parts(sentence, reference)
        if place:
            yield Found(sentence, *place, "all parts of the reference", wanted)
        place = dated(question, sentence, reference)
        if place:
            yield Found(sentence, *place, "the date of the reference", wanted)
    for start, end in names(sentence):
        part = of_words(_text(sentence.words[start:end]), sentence.words[start:end])
        if not set(part.stems) <= question.stems:
            reason = compare(question, part, wanted)
            if reason:
                yield Found(sentence, start, end, reason, wanted)


def all_parts(sentence: Phrase, reference: Phrase) -> tuple[int, int] | None:
    """Where the parts of a reference that is a list stand, in any order: "Norway and Sweden"."""
    parts = [phrase(part) for part in _PARTS.split(reference.text)]
    if len(parts) < 2 or not all(parts) or len(parts) > 8:
        return None
    places = [next(spans(sentence, part), None) for part in parts]
    found = [place for place in places if place is not None]
    if len(found) < len(parts):
        return None
    return min(start for start, _ in found), max(end for _, end in found)


def dated(question: Question, sentence: Phrase, reference: Phrase) -> tuple[int, int] | None:
    """Where the first date that the sentence adds to the question stands, if it is that of the reference."""
    if only_date(reference.text) is None:
        return None
    for text in date_texts(sentence.text):
        said = phrase(text)
        if set(said.stems) <= question.stems:
            continue
        if not date(question, said, reference):
            return None
        return next(spans(sentence, said), None)
    return None


def spans(sentence: Phrase, reference: Phrase) -> Iterator[tuple[int, int]]:
    """Where the words of the reference stand in one piece, however divided: "book keeper" in "a bookkeeper"."""
    target = reference.squeezed
    for start, first in enumerate(sentence.stems):
        if not target.startswith(first) and not first.startswith(target):
            continue
        have, end = first, start + 1
        while len(have) < len(target) and end < len(sentence.stems) and target.startswith(have):
            have += sentence.stems[end]
            end += 1
        if have == target:
            yield start, end


def names(sentence: Phrase) -> Iterator[tuple[int, int]]:
    """The names of a sentence: longest runs of capitals, with particles and numerals between."""
    found, n, i = sentence.words, len(sentence.words), 0
    while i < n:
        if not found[i].capital:
            i += 1
            continue
        end = i + 1
        while end < n and not _breaks(found[end].gap):
            if found[end].capital or (found[end].key.isdigit() and len(found[end].key) <= 2):
                end += 1
            elif end + 1 < n and _joins(found[end]) and found[end + 1].capital and not _breaks(found[end + 1].gap):
                end += 2
            else:
                break
        yield i, end
        if i == 0 and end - i > 1 and (found[0].key in SMALL_WORDS or not found[0].capital):
            yield i + 1, end
        i = end


def _joins(word: Word) -> bool:
    return word.key in PARTICLES or word.key in ("of", "and")


def _breaks(gap: str) -> bool:
    return bool(gap.strip(" '-.&"))


def _text(found: Sequence[Word]) -> str:
    return "".join((w.gap if i else "") + w.text for i, w in enumerate(found))


# --- what speaks against it ------------------------------------------------------------------------------------------

Guard = Callable[[Question, Found], bool]


def longer_name(question: Question, found: Found) -> bool:
    """The words are a part of a longer name: "York" in "New York", "Kansas" in "Kansas City"."""
    inner = found.words
    if not inner[0].capital and not inner[0].key.isdigit():
        return False
    words = found.sentence.words
    if found.start:
        before = words[found.start - 1]
        if (
            before.capital
            and not _breaks(inner[0].gap)
            and not _known(question, before)
            and not (found.start == 1 and before.key in SMALL_WORDS)
        ):
            return True
    if found.end < len(words) and inner[0].capital:
        behind = words[found.end]
        return behind.capital and not _breaks(behind.gap) and not _known(question, behind)
    return False


def _known(question: Question, word: Word) -> bool:
    """A title, or a word of the question."""
    return word.key in TITLES or phrase(word.text).stems[:1] == () or phrase(word.text).stems[0] in question.stems


def negated(question: Question, found: Found) -> bool:
    """Denied in its clause: "not Paris", "Paris is wrong", "rather than Paris"."""
    if question.negated:
        return False
    words, start = found.sentence.words, found.start
    begin = start
    while begin > max(0, start - 5) and not any(c in words[begin].gap for c in ",;:()"):
        begin -= 1
        if words[begin].key in COPULA:
            break
    behind = "".join(w.gap + w.text for w in words[found.end : found.end + 4])
    return bool(
        _NEGATED_BEFORE.search(_text(words[begin:start]))
        or _NEGATED_BEHIND.search(behind)
        or re.search(r"\bnot\W*$", found.sentence.text)
    )


def one_of_several(question: Question, found: Found) -> bool:
    """Offered beside others: "Paris or Lyon", "either Paris ...", "Paris, Lyon and Nice"."""
    words, start, end = found.sentence.words, found.start, found.end
    if any(w.key == "either" for w in words[max(0, start - 6) : start]):
        return True
    if "/" in words[start].gap or (end < len(words) and "/" in words[end].gap):
        return True
    for link, other in ((end, end + 1), (start - 1, start - 2)):
        if not (0 <= link < len(words) and 0 <= other < len(words)):
            continue
        if words[link].key == "or" and not _ALSO_KNOWN.search(_text(words[max(0, start - 4) : start])):
            return not _alias_beside(found, other)
        capitals = words[start].capital and words[other].capital
        if words[link].key == "and" and capitals and not _known(question, words[other]):
            return True
    return _listed(question, found)


def _alias_beside(found: Found, other: int) -> bool:
    """Whether the words on the other side of an "or" are a reference too: "puma or cougar"."""
    for reference in found.wanted:
        for start, end in spans(found.sentence, reference):
            if other in (start, end - 1) and (end <= found.start or start >= found.end):
                return True
    return False


def _listed(question: Question, found: Found) -> bool:
    """Beside two other names of which the question says nothing: "Paris, Lyon, Nice"."""
    words, runs = found.sentence.words, list(names(found.sentence))
    at = next((i for i, (a, b) in enumerate(runs) if a <= found.start < b), None)
    if at is None:
        return False
    others = 0
    for step in (-1, 1):
        i = at
        while 0 <= i + step < len(runs):
            left, right = sorted((runs[i], runs[i + step]))
            link = [w.key for w in words[left[1] : right[0]]]
            other = of_words("", words[slice(*runs[i + step])])
            if found.start <= runs[i + step][0] < found.end:
                i += step
                continue
            if link not in ([], ["and"], ["or"]) or not (link or words[right[0]].gap.strip() in (",", ";")):
                break
            if set(other.stems) <= question.stems or is_place(other):
                break
            others += 1
            i += step
    return others >= 2


def another_answer(question: Question, found: Found) -> bool:
    """Another name stands where the answer belongs: "The capital of France is Lyon, near Paris"."""
    words = found.sentence.words
    at = next((i for i in range(1, found.start) if words[i].key in COPULA), None)
    if at is None or at + 1 >= found.start:
        return False
    echo = [s for s in found.sentence.stems[:at] if s not in SMALL_WORDS]
    if not echo or sum(s in question.stems for s in echo) * 2 < len(echo):
        return False
    run = next((r for r in names(found.sentence) if r[0] <= at + 1 < r[1]), None)
    return run is not None and run[1] <= found.start and _new(question, found, run) and not _bridged(found, run[1])


def another_subject(question: Question, found: Found) -> bool:
    """Another name is the subject of the question's own verb: "Lyon is the capital, not far from Paris"."""
    words, stems = found.sentence.words, found.sentence.stems
    run = next(names(found.sentence), None)
    if run is None or run[0] > 0 or found.start < run[1] or run[1] >= len(words) or words[0].key in _NO_NAMES:
        return False
    if words[run[1] - 1].key in DEMONYMS or words[0].key[0].isdigit():
        return False
    if stems[run[1]] not in question.stems or words[run[1]].key in SMALL_WORDS - COPULA:
        return False
    return _new(question, found, run) and not _bridged(found, run[1])


def _new(question: Question, found: Found, run: tuple[int, int]) -> bool:
    """Whether the question says nothing of a name."""
    inside = found.sentence.stems[slice(*run)]
    return not any(s in question.stems or s in SMALL_WORDS or s in TITLES for s in inside)


def _bridged(found: Found, end: int) -> bool:
    """Whether what was found explains the name before it: another name for it, in brackets, or the place it lies in."""
    between = _text(found.sentence.words[end : found.start]) + found.words[0].gap
    return (
        bool(_ALSO_KNOWN.search(between))
        or between.strip() == "in"
        or ("," in between and is_place(of_words("", found.words)))
    )


def of_the_question(question: Question, found: Found) -> bool:
    """Words that the question has, where the sentence does not say that they are the answer."""
    if not set(found.sentence.stems[found.start : found.end]) <= question.stems:
        return False
    words = found.sentence.words
    if found.start == 0 and question.offers:
        return False
    return not (found.end == len(words) and found.start > 0 and words[found.start - 1].key in COPULA)


def of_another(question: Question, found: Found) -> bool:
    """Somebody or something of the reference: "Newton's wife", "the wife of Isaac Newton"."""
    words = found.sentence.words
    kin = _KIN.search(_text(words[max(0, found.start - 4) : found.start]))
    if kin and phrase(kin[1]).stems[0] not in question.stems:
        return True
    owner = re.search(r"'s?$", clean(found.words[-1].text)) and found.words[-1].text[-2:] != found.words[-1].key[-2:]
    return (
        bool(owner)
        and found.end < len(words)
        and not words[found.end].gap.strip()
        and not _known(question, words[found.end])
    )


def listed_words(question: Question, found: Found) -> bool:
    """In a list of common nouns: "blue, red and green"."""
    if any("," in w.gap for w in found.words[1:]):
        return False
    words = found.sentence.words
    before = _text(words[max(0, found.start - 6) : found.start]) + found.words[0].gap
    behind = "".join(w.gap + w.text for w in words[found.end : found.end + 8])
    if found.words[0].capital:
        return False
    return bool(_LIST_BEHIND.search(behind) or _LIST_BEFORE.search(before))


GUARDS: tuple[Guard, ...] = (
    longer_name, negated, one_of_several, another_answer, another_subject, of_the_question, of_another, listed_words,
)  # fmt: skip
