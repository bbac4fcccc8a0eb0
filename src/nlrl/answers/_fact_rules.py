"""The rules by which a short answer to a question of knowledge is one of its references; see `short_text`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from nlrl.answers._phrases import SMALL_WORDS, Phrase, clean, of_words, only_date, phrase, word_list, word_set

MAX_LENGTH = 2_000  # characters; a longer answer is no short text
_MAX_READINGS = 500

# --- the question ----------------------------------------------------------------------------------------------------

_PERSON_WORDS = word_set(
    "who whom whose actor actress author singer star president king queen monarch minister composer painter artist "
    "poet writer novelist scientist inventor explorer player footballer golfer director musician character politician "
    "philosopher manager person man woman surname"
)
_AMOUNT_WORDS = word_set(
    "how number many much percentage percent age amount price cost population distance height length weight speed "
    "temperature score"
)
_NEGATION = re.compile(r"\b(?:not|never|no|nor|neither|none|without|cannot|except)\b|n't\b", re.IGNORECASE)
_ASKED = re.compile(r"\b(?:which|what)\b", re.IGNORECASE)
_FOCUS = re.compile(r"\b(?:which|what|whose|how many|how much|how old|how long|name the|name of the)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """What the rules know of a question.

    stems       its words
    focus       the words just behind "which", "what", "how many": the kind of thing that is asked for
    person      a person is asked for
    year        a year is asked for
    amount      a number is asked for
    negated     it contains a negation
    offers      it offers answers to choose from
    several     it asks for several things: "who ... and in which film"
    """

    stems: frozenset[str]
    focus: frozenset[str]
    person: bool
    year: bool
    amount: bool
    negated: bool
    offers: bool
    several: bool


@lru_cache(maxsize=256)
def question_of(text: str) -> Question:
    """Read a question."""
    found = phrase(text[:MAX_LENGTH])
    focus: set[str] = set()
    for match in _FOCUS.finditer(clean(text[:MAX_LENGTH])):
        behind = phrase(text[match.end() : match.end() + 60])
        for w, s in list(zip(behind.words, behind.stems, strict=True))[:4]:
            if any(c in w.gap for c in ',;:.?!"'):
                break
            focus.add(s)
    stems = frozenset(found.stems)
    return Question(
        stems,
        frozenset(focus) - SMALL_WORDS,
        any(s in _PERSON_WORDS or (len(s) > 6 and s.endswith(("ist", "ician"))) for s in stems),
        "year" in stems,
        bool(stems & _AMOUNT_WORDS),
        bool(_NEGATION.search(clean(text))),
        "or" in stems,
        len(_ASKED.findall(text)) > 1,
    )


# --- readings of a reference -----------------------------------------------------------------------------------------

_DOUBLED = re.compile(r"([a-z])\1")
_BRACKETS = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]\s*")
_ACCEPT = re.compile(r"(?:accept|also|or|aka|a\.k\.a\.?)\s*:?\s+(.+)", re.IGNORECASE)
_CLAUSE = re.compile(r"\s*[,;]\s*(?:who|which|that|where|when|the|a|an|or)\s|\s+errat(?:a|um)\b", re.IGNORECASE)


def readings(reference: str, several: bool = False) -> Iterator[str]:
    """The ways to read a reference: "Ann or Grace", "(Marie) Curie", "Cher (singer)", "Curie, Marie".

    Where several things are asked for, what stands in brackets is not left out.
    """
    yield reference
    reference = clean(reference)
    bare = _BRACKETS.sub(" ", reference).strip(" \"'")
    if bare != reference and any(c.isalnum() for c in bare):
        if not several:
            yield bare
        yield _BRACKETS.sub(r" \1 ", reference).strip()
        for inner in _BRACKETS.findall(reference):
            accepted = _ACCEPT.fullmatch(inner.strip())
            if accepted:
                yield accepted[1]
    cut = _CLAUSE.search(bare)
    if cut and cut.start():
        yield bare[: cut.start()]
    parts = re.split(r",?\s+or\s+|\s+/\s+", bare)
    if 1 < len(parts) <= 4:
        yield from (part for part in parts if any(c.isalnum() for c in part))
    if bare.count(",") == 1:
        last, first = (part.strip() for part in bare.split(","))
        if first and last and len(last.split()) <= 2 and first[0].isupper() and not is_place(phrase(first)):
            yield f"{first} {last}"
        elif first and last and is_place(phrase(first)):
            yield last  # "Austin, Texas"


# --- rules -----------------------------------------------------------------------------------------------------------

Rule = Callable[[Question, Phrase, Phrase], bool]


def same_words(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """Case, accents, punctuation, articles, plurals, British spelling: "the book-keepers" for "Bookkeeper"."""
    return answer.squeezed == reference.squeezed


def small_words(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """Prepositions, "and", "it was": "It was in Paris" for "Paris", "Arts & Crafts" for "Arts and Crafts"."""
    return answer.content == reference.content


def word_order(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """Another order around "of", "and" or a comma: "Norway and Sweden" for "Sweden and Norway"."""
    if sorted(set(answer.content)) != sorted(set(reference.content)):
        return False
    return all(re.search(r",|\bof\b|\band\b|&", p.text) for p in (answer, reference)) or any(
        re.search(r",|\bof\b", p.text) for p in (answer, reference)
    )


def date(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """A date in any notation, with all that the reference has: "12 July 1998" for "July 12, 1998" or "1998"."""
    said, wanted = only_date(answer.text), only_date(reference.text)
    if said is None or wanted is None:
        return False
    if question.year and wanted.year:
        return said.year == wanted.year
    return all(want is None or want == have for have, want in zip(said, wanted, strict=True))


_APPROXIMATE = word_set("about approximately approx around nearly almost over roughly exactly just some only")


def number(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """The same number where one is asked for, a unit more or less: "three" for "3 times", not "3 km" for "3 miles"."""
    if not question.amount:
        return False
    (numbers, unit), (wanted, unit_wanted) = _amount(answer, question), _amount(reference, question)
    if len(numbers) != 1 or numbers != wanted:
        return False
    return not unit or not unit_wanted or unit == unit_wanted


def _amount(p: Phrase, question: Question) -> tuple[list[str], set[str]]:
    """The numbers of a phrase, and its other words but for those that the question has."""
    numbers = [s for s in p.stems if s.lstrip("-")[0].isdigit()]
    unit = {s for s in p.content if not s.lstrip("-")[0].isdigit()}
    return numbers, unit - _APPROXIMATE - question.stems


def acronym(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """The initials: "FBI" for "Federal Bureau of Investigation", the other way round, or one behind the other."""
    outer, _, inner = answer.text.partition("(")
    if inner:
        both = phrase(outer), phrase(inner)
        named = any(p.squeezed == reference.squeezed for p in both)
        return named and (_initials(*both) or _initials(*reversed(both)))
    return _initials(answer, reference) or _initials(reference, answer)


def _initials(short: Phrase, long: Phrase) -> bool:
    if len(short.words) != 1 or len(long.words) < 2:
        return False
    letters = short.words[0].text.replace(".", "")
    if not (2 <= len(letters) <= 6 and letters.isupper() and letters.isalpha()):
        return False
    spelled = ("".join(s[0] for s in stems).upper() for stems in (long.stems, long.content))
    return letters in spelled


_TITLES_HE = word_set("sir mr lord king prince emperor father brother duke count baron tsar pope uncle")
_TITLES_SHE = word_set("dame mrs miss ms lady queen princess empress mother sister duchess countess aunt")
TITLES = (
    _TITLES_HE
    | _TITLES_SHE
    | word_set(
        "dr president professor prof captain capt general gen colonel col major admiral adm senator sen judge reverend "
        "rev chancellor minister prime us american british english french german russian italian singer actor actress "
        "author writer composer painter"
    )
)
_DESIGNATORS = word_set("fc afc hms rms uss inc ltd co company corporation corp plc llc gmbh")
_NEGATIONS = word_set("not no never without except than nor neither non but anti maybe perhaps possibly")
_IN_NAMES = word_set("city island house street state")  # "Kansas City" is not Kansas
_KIND_NOUNS = word_set(
    "college school university racecourse motorcycle motor railway airport palace castle cathedral abbey river raid "
    "award prize festival magazine newspaper series film movie novel album song band language mountain desert"
)
_SUFFIXES = frozenset(("jr", "sr", "junior", "senior", "esq"))
PARTICLES = word_set("de da di du del della der den van von la le el al bin ibn ten ter y")
_NICKNAMES = frozenset(
    frozenset(pair.split("="))
    for pair in word_set(
        "mike=michael bill=william will=william jim=james bob=robert jack=john tony=anthony kate=katherine "
        "ted=edward ted=theodore dick=richard liz=elizabeth joe=joseph charlie=charles steve=stephen steve=steven "
        "dave=david tom=thomas harry=henry nick=nicholas micky=mickey mick=michael"
    )
)
_NAMESAKES = {("john", "adams"), ("george", "bush")}  # whom only the middle name tells apart


def title(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """A title more or less: "Sir Isaac Newton" for "Isaac Newton", but not "Mrs Darcy" for "Mr Darcy"."""
    one, two = _untitled(answer), _untitled(reference)
    if not one or not two or one.squeezed != two.squeezed:
        return False
    return not _titles_differ(answer, reference)


def _untitled(p: Phrase) -> Phrase:
    """Without the titles in front."""
    at = 0
    while at < len(p.words) and p.words[at].key in TITLES:
        at += 1
    return of_words(p.text, p.words[at:]) if at else p


def _titles_differ(one: Phrase, two: Phrase) -> bool:
    """Whether one is said to be a man and the other a woman."""
    a, b = set(one.stems), set(two.stems)
    return bool((a & _TITLES_HE and b & _TITLES_SHE) or (a & _TITLES_SHE and b & _TITLES_HE))


def surname(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """The surname where a person is asked for: "Hemingway" for "Ernest Hemingway", not "Ernest"."""
    said, wanted = _untitled(answer), _name(reference)
    if not question.person or wanted is None or not said or len(wanted) < 2 or _titles_differ(answer, reference):
        return False
    at = len(wanted) - 1
    while at > 1 and wanted[at - 1] in PARTICLES:
        at -= 1
    return [w.key for w in said.words] in (wanted[at:], wanted[-1:])


def given_name(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """A given name before a reference that is only a surname: "Ernest Hemingway" for "Hemingway"."""
    said, wanted = _name(answer), _name(reference)
    if not question.person or said is None or wanted is None or len(wanted) != 1 or len(said) < 2:
        return False
    return said[-1] == wanted[0] and (said[0], said[-1]) not in _NAMESAKES


def middle_name(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """Middle names, initials, Jr and nicknames: "James D. Morrison" for "Jim Morrison"; not "Ann" for "Jane Austen"."""
    said, wanted = _name(answer), _name(reference)
    if (
        not question.person
        or said is None
        or wanted is None
        or min(len(said), len(wanted)) < 2
        or said[-1] != wanted[-1]
    ):
        return False
    if _suffix_differs(answer, reference) or _titles_differ(answer, reference):
        return False
    if len(said) > len(wanted) and not _given_name(said[0], wanted[0]):
        return False
    short, long = sorted((said[:-1], wanted[:-1]), key=len)
    if len(short) < len(long) and any((s[0], said[-1]) in _NAMESAKES for s in (short, long)):
        return False
    rest = iter(long)
    return all(any(_given_name(name, other) for other in rest) for name in short)


def _name(p: Phrase) -> list[str] | None:
    """The words of a person's name without titles and suffixes; None where it is no such name."""
    found = [w for w in _untitled(p).words if w.key not in _SUFFIXES]
    if not 1 <= len(found) <= 5 or not found[-1].key.isalpha() or found[-1].key in SMALL_WORDS:
        return None
    if not all((w.capital or w.key in PARTICLES) and w.key.isalpha() for w in found):
        return None
    if any(w.gap.strip(" .-'\"()") or w.key in ("of", "and") for w in found[1:]):
        return None
    return [w.key for w in found]


def _given_name(one: str, two: str) -> bool:
    """Equal, an initial, a short form or a known nickname."""
    if one == two or frozenset((one, two)) in _NICKNAMES:
        return True
    short, long = sorted((one, two), key=len)
    return long.startswith(short) and (len(short) == 1 or len(short) >= 3)


def _suffix_differs(one: Phrase, two: Phrase) -> bool:
    juniors = [{stem[:1] for stem in p.stems if stem in _SUFFIXES} for p in (one, two)]
    return bool(juniors[0] and juniors[1] and juniors[0] != juniors[1])


def byname(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """A town without its river or sea: "Stratford" for "Stratford upon Avon"."""
    keys = [w.key for w in reference.words]
    return len(keys) >= 3 and keys[1] in ("upon", "on") and [w.key for w in answer.words] == keys[:1]


def designator(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """A legal form, a ship's prefix, a noun of kind: "Arsenal FC", "HMS Hood", "Harrow School" for "Harrow"."""
    one, two = (_undesignated(p) for p in (answer, reference))
    return bool(one) and one == two


def _undesignated(p: Phrase) -> tuple[str, ...]:
    kept = tuple(s for s in p.stems if s not in _DESIGNATORS)
    return kept[:-1] if len(kept) > 1 and kept[-1] in _KIND_NOUNS and p.words[0].capital else kept


def kind(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """Words that only repeat the question: "Avon River" for "Avon" where a river is asked for, and the other way round.

    In the reference only the kind that is asked for is such a word, and not one that makes a name: "Kansas City".
    """
    known = question.stems - _NEGATIONS if not question.offers else question.focus
    one = [s for s in answer.content if s not in known]
    two = [s for s in reference.content if s not in known]
    droppable = set(answer.stems) | (question.focus - _IN_NAMES)
    return bool(one) and one == two and set(reference.content) <= droppable


_NO_DETAIL = word_set("or and maybe perhaps possibly actually rather no but never anti")


def detail(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """More detail behind a comma, in brackets or as a place: "Paris, France" for "Paris"; not "Paris, London"."""
    n = len(reference.words)
    if len(answer.words) <= n or answer.stems[:n] != reference.stems:
        return False
    rest = answer.words[n:]
    if any(w.key in _NO_DETAIL for w in rest) or "/" in rest[0].gap:
        return False
    tail = of_words("", rest)
    if "(" in rest[0].gap:
        return answer.text.rstrip(" .").endswith(")")
    place = is_place(tail)
    if "," in rest[0].gap:
        return (
            place
            or (rest[0].text[0].islower() and not any("," in w.gap for w in rest[1:]))
            or (rest[0].key not in SMALL_WORDS and set(tail.content) <= question.stems)
        )
    return rest[0].key in ("in", "of") and is_place(of_words("", rest[1:])) and reference.words[0].capital


def nationality(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """The people for the country where either is asked for: "Norwegian" for "Norway"."""
    if not question.stems & {"nationality", "country", "nation", "born", "citizen"}:
        return False
    one, two = ("".join(w.key for w in p.words) for p in (answer, reference))
    return DEMONYMS.get(one, one) == two or one == DEMONYMS.get(two, two)


def spelling(question: Question, answer: Phrase, reference: Phrase) -> bool:
    """A letter doubled or not in a longer word: "Phillip Larkin" for "Philip Larkin"."""
    one, two = (_DOUBLED.sub(r"\1", p.squeezed) for p in (answer, reference))
    return one == two and len(one) >= 8


RULES: tuple[tuple[str, Rule], ...] = (
    ("the words of the reference", same_words),
    ("the words of the reference but for small ones", small_words),
    ("the date of the reference", date),
    ("the number of the reference", number),
    ("the initials of the reference", acronym),
    ("the reference but for a title", title),
    ("the surname of the reference", surname),
    ("the reference with a given name", given_name),
    ("the reference but for middle names", middle_name),
    ("the words of the reference in another order", word_order),
    ("the town of the reference", byname),
    ("the reference but for a designator", designator),
    ("the reference and words of the question", kind),
    ("the reference with more detail", detail),
    ("the people of the reference", nationality),
    ("the reference but for a doubled letter", spelling),
)
_RULES_OF_DENIALS = tuple(rule for rule in RULES if rule[1] in (same_words, detail))  # "Not Paris"; "Paris, not Lyon"


def compare(question: Question, answer: Phrase, references: Sequence[Phrase]) -> str | None:
    """The first rule by which an answer is one of the references."""
    if not answer:
        return None
    denies = set(answer.stems) & _NEGATIONS - question.stems
    for reason, rule in _RULES_OF_DENIALS if denies else RULES:
        if any(rule(question, answer, reference) for reference in references):
            return reason
    return None


@lru_cache(maxsize=64)
def all_readings(references: tuple[str, ...], several: bool) -> tuple[Phrase, ...]:
    """Every reading of every reference once, the plain ones first."""
    found = dict.fromkeys(phrase(r) for r in references)
    found.update(dict.fromkeys(phrase(text) for r in references for text in readings(r, several)))
    return tuple(p for p in found if p)[:_MAX_READINGS]


# --- places ----------------------------------------------------------------------------------------------------------

DEMONYMS = {
    people: country
    for country, peoples in (
        pair.split(":")
        for pair in word_list(
            "argentina:argentine,argentinian,argentinean australia:australian austria:austrian belgium:belgian "
            "brazil:brazilian bulgaria:bulgarian canada:canadian chile:chilean china:chinese colombia:colombian "
            "croatia:croatian cuba:cuban denmark:danish,dane egypt:egyptian england:english ethiopia:ethiopian "
            "finland:finnish,finn france:french germany:german ghana:ghanaian greece:greek hungary:hungarian "
            "iceland:icelandic india:indian indonesia:indonesian iran:iranian iraq:iraqi ireland:irish israel:israeli "
            "italy:italian jamaica:jamaican japan:japanese kenya:kenyan mexico:mexican morocco:moroccan "
            "netherlands:dutch newzealand:newzealander nigeria:nigerian norway:norwegian pakistan:pakistani "
            "peru:peruvian philippines:filipino poland:polish,pole portugal:portuguese romania:romanian russia:russian "
            "scotland:scottish serbia:serbian southafrica:southafrican southkorea:southkorean "
            "spain:spanish,spaniard "
            "sweden:swedish,swede switzerland:swiss thailand:thai turkey:turkish,turk ukraine:ukrainian "
            "unitedkingdom:british "
            "unitedstates:american uruguay:uruguayan venezuela:venezuelan vietnam:vietnamese wales:welsh"
        )
    )
    for people in peoples.split(",")
}
_STATES = word_set(
    "alabama alaska arizona arkansas california colorado connecticut delaware florida georgia hawaii idaho illinois "
    "indiana iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri "
    "montana nebraska nevada newhampshire newjersey newmexico newyork northcarolina northdakota ohio oklahoma oregon "
    "pennsylvania rhodeisland southcarolina southdakota tennessee texas utah vermont virginia washington westvirginia "
    "wisconsin wyoming ontario quebec victoria queensland newsouthwales britishcolumbia europe asia africa"
)
_PLACES = (
    _STATES
    | frozenset(DEMONYMS.values())
    | word_set("northernireland czechrepublic saudiarabia unitedarabemirates srilanka southamerica northamerica")
)


def is_place(p: Phrase) -> bool:
    """Whether a phrase is one of the larger places, or one and its country: "Texas, US"."""
    keys = [w.key for w in p.words]
    joined = "".join(keys)
    return joined in _PLACES or any(
        "".join(keys[:i]) in _PLACES and "".join(keys[i:]) in _PLACES for i in range(1, len(keys))
    )
