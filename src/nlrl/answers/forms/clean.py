"""From what a model writes to what it means: markup, LaTeX spelling and Unicode variants become one plain notation.

    clean("**$\\\\dfrac{3}{4}\\\\text{ cm}^2$.**")  ->  Clean("\\\\frac{3}{4} cm ^2", math=True)

After cleaning, set braces are U+2983 and U+2984 (so that plain braces only group), relations and signs are single
characters, and the only backslash commands left are those the expression reader knows (or cannot know). Every pass
is linear in the length of the text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import NamedTuple

OPEN_SET, CLOSE_SET = "\u2983", "\u2984"


class Clean(NamedTuple):
    """The plain notation, and whether any of it stood between math delimiters."""

    text: str
    math: bool


_DROP = [
    "left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "displaystyle",
    "textstyle", "limits", "nolimits",
]  # fmt: skip
_SPACE = ["quad", "qquad", "thinspace", "enspace", "space", "newline"]
_GREEK = (
    "alpha:α beta:β gamma:γ delta:δ epsilon:ε varepsilon:ε zeta:ζ eta:η theta:θ vartheta:θ iota:ι kappa:κ lambda:λ "
    "mu:μ nu:ν xi:ξ pi:π rho:ρ varrho:ρ sigma:σ tau:τ upsilon:υ phi:φ varphi:φ chi:χ psi:ψ omega:ω Gamma:Γ Delta:Δ "
    "Theta:Θ Lambda:Λ Xi:Ξ Pi:Π Sigma:Σ Phi:Φ Psi:Ψ Omega:Ω"
)
GREEK: dict[str, str] = dict(item.split(":") for item in _GREEK.split())  # type: ignore[misc]
_COMMANDS: dict[str, str] = {
    **dict.fromkeys(_DROP, ""),
    **dict.fromkeys(_SPACE, " "),
    **GREEK,
    **dict.fromkeys(("cdot", "times", "ast", "cdotp"), "*"),
    **dict.fromkeys(("le", "leq", "leqslant"), "≤"),
    **dict.fromkeys(("ge", "geq", "geqslant"), "≥"),
    **dict.fromkeys(("ne", "neq"), "≠"),
    **dict.fromkeys(("emptyset", "varnothing"), "∅"),
    **dict.fromkeys(("ldots", "cdots", "dots", "dotsc", "dotsb"), "…"),
    **dict.fromkeys(("approx", "sim", "simeq"), "≈"),
    **dict.fromkeys(("to", "rightarrow", "longrightarrow"), "→"),
    **dict.fromkeys(("implies", "Rightarrow", "Longrightarrow"), "⇒"),
    **dict.fromkeys(("iff", "Leftrightarrow", "leftrightarrow", "Longleftrightarrow"), "⇔"),
    **dict.fromkeys(("land", "wedge"), "∧"),
    **dict.fromkeys(("lor", "vee"), "∨"),
    **dict.fromkeys(("neg", "lnot"), "¬"),
    **dict.fromkeys(("lvert", "rvert", "vert", "mid", "lVert", "rVert", "Vert"), "|"),
    **dict.fromkeys(("setminus", "smallsetminus", "backslash"), "∖"),
    **dict.fromkeys(("lbrace",), OPEN_SET),
    **dict.fromkeys(("rbrace",), CLOSE_SET),
    **dict.fromkeys(("circ", "degree"), "°"),
    **dict.fromkeys(("dfrac", "tfrac", "cfrac"), r"\frac"),
    **dict.fromkeys(("dbinom", "tbinom"), r"\binom"),
    "div": "/", "pm": "±", "mp": "∓", "lt": "<", "gt": ">", "infty": "∞", "cup": "∪", "cap": "∩", "in": "∈",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "langle": "⟨", "rangle": "⟩", "prime": "'",
    "angle": " angle ", "triangle": " triangle ", "equiv": "≡", "bmod": " mod ", "mod": " mod ", "hbar": "ħ",
    "partial": "∂", "forall": "∀", "exists": "∃", "textcirc": "°",
    "euro": "€", "pounds": "£", "percent": "%", "dollar": " $", "textdollar": " $",
    "textdegree": "°", "imath": "i", "ell": "l",
}  # fmt: skip
_ESCAPES = {"{": OPEN_SET, "}": CLOSE_SET, "%": "%", "$": " $", "#": "#", "&": "&", "_": "_", "!": "", "|": "|"}
_ESCAPES.update(dict.fromkeys(",;: >/", " "))
_TEXT_LIKE = (
    "text|mbox|textrm|textbf|textit|textnormal|textsf|mathrm|mathbf|mathit|mathsf|boldsymbol|bm|operatorname|emph|"
    "underline|boxed|fbox|hbox"
)
_GROUPS = re.compile(rf"\\({_TEXT_LIKE})\*?\s*\{{|\\\\|\\[{{}}]|[{{}}]")
_COMMAND = re.compile(r"\\\\|\\([A-Za-z]+)|\\([^A-Za-z])")
_BLACKBOARD = re.compile(r"\\(?:mathbb|Bbb|mathbf)\s*\{?\s*([RZNQC])\s*\}?")
# a line over two points is their segment; a bar over one letter makes another letter of it, and stays
_OVER_LETTERS = re.compile(
    r"\\(?:overline|overrightarrow|overleftrightarrow|vec|widehat|wideparen|overarc)\s*\{\s*([A-Z]'?[A-Z]'?)\s*\}"
    r"|\\(?:vec|overrightarrow)\s*(?:\{\s*([A-Za-z]'?)\s*\}|([A-Za-z]))"
)
_UNIT_VECTOR = re.compile(
    r"\\(?:hat|vec|mathbf|boldsymbol|bm|mathbf\s*\{\s*\\hat)\s*\{?\s*(?:\\(?:mathbf|bf)\s*\{?\s*)?\\?([ijk])(?:math)?(?![a-zA-Z])"
    r"\s*\}{0,2}"
)
UNIT_VECTORS = {"i": "ȋ", "j": "ǰ", "k": "ǩ"}  # letters nobody else writes
_CROSS = re.compile(
    r"(\\(?:vec|mathbf|boldsymbol|bm)\s*(?:\{\s*\w\s*\}|\w))\s*\\times\s*(?=\\(?:vec|mathbf|boldsymbol|bm)\b)"
)
_COMPOSED = re.compile(r"(?<=[A-Za-z)])\s*\\circ\s*(?=[A-Za-z(])")
_NABLA = re.compile(r"\\nabla\s*(\\cdot|\\times)(?![a-zA-Z])")
_PMOD = re.compile(r"\\pmod\s*(?:\{([^{}]*)\}|(\S))")
_THOUSANDS = re.compile(r"(?<=\d)(?:,\s*\\[!,:; ]|,?\\[!,:;]|~|\{,\}(?:\\!)?)\s*(?=\d{3}(?!\d))")
_TIED = re.compile(r"(?<=\d)~(?=\d{3}(?!\d))")  # TeX's space that does not break
_ORDINAL = re.compile(r"(?<=\d)\s*\^\s*\{?\s*(st|nd|rd|th)\s*\}?(?![a-z])")
_OVER = re.compile(r"\{([^{}]{1,100})\\over(?![a-z])([^{}]{1,100})\}")
_CHOOSE = re.compile(r"\{([^{}]{1,100})\\choose(?![a-z])([^{}]{1,100})\}")
_OVER_WHOLE = re.compile(r"^([^{}\\]{1,100})\\over(?![a-z])([^{}\\]{1,100})$")
_QUAD = re.compile(r"\\q?quad(?=[a-z])")
_SI = re.compile(r"\\(?:SI|qty)\{([^{}]{1,60})\}\{([^{}]{1,60})\}")
_BOARD = dict(zip("RZNQC", "ℝℤℕℚℂ", strict=True))

_PLAIN = str.maketrans({
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-", "×": "*", "⋅": "*", "·": "*", "∙": "*",
    "∗": "*", "÷": "/", "⁄": "/", "∕": "/", "≦": "≤", "≧": "≥", "⩽": "≤", "⩾": "≥", "“": '"', "”": '"', "‘": "'",
    "’": "'", "′": "'", "º": "°", "˚": "°", "µ": "μ", "∣": "|", "\u2061": "", "\u2062": "", "\u200b": "", "\ufeff": "",
    "\u200e": "", "\u200f": "", "∶": ":", "⟮": "(", "⟯": ")", "ϕ": "φ", "ϵ": "ε", "Ω": "Ω", "✓": "", "…": "…",
    "∅": "∅", "∠": " angle ", "△": " triangle ", "℃": "°C", "℉": "°F", "\ue000": "",
})  # fmt: skip
_SUPER = {ord(a): b for a, b in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ⁽⁾", "0123456789+-ni()", strict=True)}
_SUB = {ord(a): b for a, b in zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True)}
_SUPERS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ⁽⁾]+")
_SUBS = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋]+")
_VULGAR = re.compile("(\\d?)([¼-¾⅐-⅞↉])")

_MARK = re.compile(r"(?<![\w)*_])(\*\*\*|\*\*|__|\*|_)(?=\S)([^*\n]{1,300}?)(?<=\S)\1(?![\w(*])")
_HEADING = re.compile(r"^\s*(?:#{1,6}|>+|[*•])\s+")
_FENCE = re.compile(r"^\s*```[\w+-]*\s*\n?(.*?)\n?\s*```\s*$", re.S)
_DISPLAY = re.compile(r"\$\$|\\[()\[\]]")
_INLINE = re.compile(r"(?<!\\)\$(?=[^\s$])([^$]*[^\s$\\])\$(?!\d)")
_STRAY = re.compile(r"(?<!\\)\$(?!\s?\d)")
_BEFORE_LETTER = re.compile(r"(?<!\\)\$(?=[A-Za-z(])")
_LEAD = re.compile(
    r"^(?:(?:so|thus|hence|therefore|and)\b,?\s*)?"
    r"(?:(?:(?:the|my|our)\s+)?(?:final\s+|correct\s+)?(?:answer|result|solution|value)\s*(?:is\b|are\b|equals\b|:|=)\s*:?"
    r"|(?:it|that)(?:\s+is|'s)\s)\s*",
    re.I,
)
_THUS = re.compile(r"^(?:so|thus|hence|therefore)(?:,|(?<!so)(?= [a-z] ?=))\s*", re.I)
_IN_WORDS = (
    (re.compile(r"^([A-Za-z]) in (?=[\[({⦃])"), r"\1 ∈ "),
    (re.compile(r"^([A-Za-z]) (?:is )?(?:greater|more|larger) than or equal to (?=[-\d])"), r"\1 ≥ "),
    (re.compile(r"^([A-Za-z]) (?:is )?(?:less|smaller) than or equal to (?=[-\d])"), r"\1 ≤ "),
    (re.compile(r"^([A-Za-z]) (?:is )?(?:greater|more|larger) than (?=[-\d])"), r"\1 > "),
    (re.compile(r"^([A-Za-z]) (?:is )?(?:less|smaller) than (?=[-\d])"), r"\1 < "),
)
_ABOUT = re.compile(r"^(?:≈|~|=|≡|approximately\b|approx\b\.?|about\b|roughly\b|around\b|exactly\b|equals\b)\s*", re.I)


def _unwrap(text: str) -> str:
    r"""Take \boxed{...}, \text{...} and their kin off, braces balanced, in one pass."""
    if "\\" not in text:
        return text
    pads: list[str | None] = []

    def step(match: re.Match[str]) -> str:
        token = match.group()
        if match.group(1):
            pads.append(" ")
            return " "
        if token == "{":
            pads.append(None)
        elif token == "}" and pads:
            pad = pads.pop()
            if pad is not None:
                return pad
        return token

    return _GROUPS.sub(step, text)


def _latex(text: str) -> str:
    """Rewrite LaTeX spelling; unknown commands stay as they are."""
    if r"\over" in text:
        text = _OVER_WHOLE.sub(r"\\frac{\1}{\2}", _OVER.sub(r"\\frac{\1}{\2}", text))
    if r"\choose" in text:
        text = _CHOOSE.sub(r"\\binom{\1}{\2}", text)
    text = _QUAD.sub(" ", text)
    text = _SI.sub(r"\1 \2", text)
    text = _CROSS.sub(r"\1 ⨯ ", text)
    text = _UNIT_VECTOR.sub(lambda m: UNIT_VECTORS[m.group(1)], text)
    text = _OVER_LETTERS.sub(lambda m: " " + next(g for g in m.groups() if g), text)
    text = _NABLA.sub(lambda m: r"\divergence " if m.group(1) == r"\cdot" else r"\curl ", text)
    text = _COMPOSED.sub("∘", text)
    text = _PMOD.sub(lambda m: f" (mod {m.group(1) or m.group(2)})", text)
    text = _THOUSANDS.sub("", text)
    text = _BLACKBOARD.sub(lambda m: _BOARD[m.group(1)], text)
    text = _unwrap(text)

    def step(match: re.Match[str]) -> str:
        name, char = match.group(1), match.group(2)
        if name is not None:
            new = _COMMANDS.get(name)
            # a letter may follow at once in the source ("\pi r"): keep it apart where the command was a word
            return match.group() if new is None else new
        return match.group() if char is None else _ESCAPES.get(char, match.group())

    text = _COMMAND.sub(step, text)
    text = text.replace("^{''}", "''").replace("^{'}", "'").replace("^'", "'")
    text = _ORDINAL.sub(r"\1", text)
    return text.replace("^{°}", "°").replace("^ °", "°").replace("^°", "°").replace("~", " ")


def _unicode(text: str) -> str:
    """Unicode variants to one spelling; superscripts and vulgar fractions keep their meaning."""
    text = _VULGAR.sub(lambda m: m[1] + (" " if m[1] else "") + unicodedata.normalize("NFKC", m[2]), text)
    text = _SUPERS.sub(lambda m: "^{" + m.group().translate(_SUPER) + "}", text)
    text = _SUBS.sub(lambda m: "_{" + m.group().translate(_SUB) + "}", text)
    text = unicodedata.normalize("NFC", text.translate(_PLAIN))
    # full width and other digits and letters, one by one, so that symbols such as the integral sign survive
    return "".join(c if ord(c) < 0x2E80 and not (c.isdigit() and not c.isascii()) else _fold(c) for c in text)


def _fold(char: str) -> str:
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    return unicodedata.normalize("NFKC", char)


def _markdown(text: str) -> str:
    fence = _FENCE.match(text)
    if fence:
        text = fence.group(1)
    text = text.strip()
    if len(text) > 1 and text[0] == "`" and text[-1] == "`":
        text = text.strip("`")
    if "`" in text:
        text = text.replace("`", "")
    text = _HEADING.sub("", text)
    for mark in ("***", "**", "__"):
        if text.startswith(mark) and text.endswith(mark) and text.count(mark) == 2 and len(text) > 2 * len(mark):
            text = text[len(mark) : -len(mark)].strip()
    if "*" in text or "_" in text or "~~" in text:
        text = re.sub(r"~~[^~\n]{1,300}~~", "", text).strip()  # struck out
        for _ in range(2):  # bold around italics
            text = _MARK.sub(r"\2", text)
        for mark in ("**", "*"):  # an opening mark whose end was cut off
            if text.startswith(mark) and text.count(mark) == 1:
                text = text[len(mark) :]
            if text.endswith(mark) and text.count(mark) == 1:
                text = text[: -len(mark)]
    return text


_EATEN = re.compile(  # "\\frac" in a string that was not raw: a form feed and "rac"
    "\x0c(?=rac|orall)|\t(?=ext|imes|heta|frac|an[ ({]|o[ ({])"
    "|\x08(?=egin|inom|eta|ar[ {]|oxed)|\r(?=ight|ho)|\x07(?=lpha|pprox)"
)
_EATEN_BACK = {"\x0c": r"\f", "\t": r"\t", "\x08": r"\b", "\r": r"\r", "\x07": r"\a"}
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z{}])")
_SINGLE = re.compile(r"(?<!\\)\\(?=[A-Za-z])")
_HTML = re.compile(r"<(sup|sub)>([^<>]{1,40})</\1>", re.I)
_ENTITY = re.compile(
    r"&(?:lt|gt|le|ge|amp|times|divide|minus|plusmn|nbsp|infin|pi|radic|deg|#\d{2,5}|#x[0-9a-f]{2,5});", re.I
)
_CIRCLED = re.compile("[①-⑳]+")


def _repaired(text: str) -> str:
    """LaTeX that went through a string once too often or too seldom, and HTML, as they were meant."""
    if not text.isprintable():
        text = _EATEN.sub(lambda m: _EATEN_BACK[m.group()], text)
    if "\\\\" in text and _DOUBLED.search(text) and not _SINGLE.search(text):
        text = text.replace("\\\\", "\\")
    if "<" in text or "&" in text:
        text = _HTML.sub(lambda m: f"{'^' if m.group(1).lower() == 'sup' else '_'}{{{m.group(2)}}}", text)
        text = html.unescape(text) if _ENTITY.search(text) else text
    if not text.isascii():
        text = _CIRCLED.sub(lambda m: ", ".join(str(ord(c) - 0x245F) for c in m.group()), text)
    return text


def clean(text: str) -> Clean:
    """The plain notation of an answer. Cheap for short ASCII text, linear for the rest."""
    text = _repaired(text)
    text = _TIED.sub("", _markdown(text).replace("{,}", ","))
    math = False
    if "$" in text or "\\" in text:
        new, n_display = _DISPLAY.subn(" ", text) if "\\\\[" not in text else (text, 0)
        new, n_inline = _INLINE.subn(r" \1 ", new)
        if "$" in new:  # half a pair; money keeps its sign
            new = (_STRAY if "\\" in new else _BEFORE_LETTER).sub(" ", new)
        math = bool(n_display or n_inline)
        text = _latex(new)
    if not text.isascii():
        text = _unicode(text)
    text = text.replace("**", "^")
    text = " ".join(text.replace("...", "…").split())
    if text[:1] == "#" and text[1:2].isdigit():
        text = text[1:]
    for _ in range(2):
        text = _ABOUT.sub("", _LEAD.sub("", _THUS.sub("", text)))
    for pattern, sign in _IN_WORDS:
        text = pattern.sub(sign, text)
    return Clean(trim(text), math)


def trim(text: str) -> str:
    """Without outer space, quotes and the punctuation that ends a sentence."""
    text = text.strip()
    while text and text[-1] in ".,;:" and not text.endswith("…"):
        text = text[:-1].rstrip()
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        text = text[1:-1].strip()
        while text and text[-1] in ".,;:":
            text = text[:-1].rstrip()
    return text
