"""The text of a prompt as the classifier reads it, and its marks of structure: mathematical notation and code.

Microseconds count here, so: digits are masked by one `translate`, marks are plain substrings where possible, and what
is searched for begins with what is rare.
"""

from __future__ import annotations

import re

HEAD_CHARS, TAIL_CHARS = 300, 250  # what is looked at: a prompt says what it wants at its start or at its end
OPTION_CHARS = 1200  # how far from the end options may begin
FIGURE_CHARS = 4000  # of longer prompts, drawings are read like text

_ASCII = {code: chr(code) for code in range(128)}  # a table without gaps is several times faster
_PLAIN = _ASCII | str.maketrans("’#@？。：，；", "'  ?.:,;")
_DIGITS = _ASCII | str.maketrans("0123456789", "##########")
_MASK = _PLAIN | str.maketrans("0123456789", "##########")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d(?<![\d.,$]....)(?![\d.,%]*\d|[\u4e00-\u9fff](?<!年))")
_JSON = re.compile(
    r"json (?:array|dictionary|object|string|list|block|code)s?(?: of (?:strings|integers|numbers|objects))?\b"
)

# Where the options of a choice or the format of the answer begin: nothing behind it is looked at.
_CUTS = ("The options:", "Options:", "options:", "Answer Choices:", "Choices:", "choices:", "Answer format:",
         "Answer1:", "Solution1:", "Option1:")  # fmt: skip
_LETTERED = (("(A)", "(B)"), ("\nA.", "\nB."), ("\nA)", "\nB)"), (" A. ", " B. "), (" A) ", " B) "))

# They begin at their sign and look back from behind it: that is many times faster than to begin at any letter.
_OPERATION = re.compile(r"[+*×÷^−=](?:(?<=[#@)].)|(?<=[#@)] .))\*? ?[-(]*(?:[#@(]|[a-z](?![a-z]))")
_SPACED = re.compile(r" [-x/] (?<=[#@)]...)\(*(?:[#@(]|[a-z](?![a-z]))")
_FRACTION = re.compile(r"/(?<=[^a-z/]#.)#(?!/)")
_EQUATION = re.compile(r"[=<>≤≥](?:(?<=[^a-z_'][a-z#)].)|(?<=[^a-z_'][a-z#)] .))=? ?-?\(*(?:#|[a-z](?![a-z_(.\[']))")
_SUM = re.compile(r"[+-](?:(?<=[^a-z_'][b-hj-z)].)|(?<=[^a-z_'][b-hj-z)] .)) ?\(?(?:#|[b-hj-z](?![a-z_']))")
_COMMAND = re.compile(r"\\[a-z(\[{]")
_FORMULA = re.compile(r"\$[^$\n]{0,60}?[=^\\_+<>(|{-][^$\n]{0,80}\$|\$-?[a-z]\$")
_LETTER = re.compile(r"\$-?[a-z]\$")
_APPLIED = re.compile(r"\((?<=[^a-z_.][a-z].)[a-z#](?:, ?[a-z#])*\)")
_FORMULA_SIGN = re.compile("[√∑∫π≤≥²³∞×÷°∠∈−△]")
_CALL = re.compile(
    r"\((?<=[a-z_]{3}.)(?<!sin.)(?<!cos.)(?<!tan.)(?<!log.)(?<!exp.)(?<!det.)(?<!var.)(?<!cov.)(?<!gcd.)(?<!lcm.)"
    r"(?<!phi.)(?<!max.)(?<!min.)(?<!lim.)(?<!sqrt.)[^)]*\)"
)  # names of mathematics call nothing
_DECLARATION = re.compile(
    r"\n[ \t]*(?:[a-z_<>*&:,\[\]]+[ \t]+){0,4}(?:int|void|double|float|bool|boolean|string|char|long|auto|func|def|fn|"
    r"vector<[^\n(]{1,40}>|list<[^\n(]{1,40}>|pair<[^\n(]{1,40}>)[\[\]*& \t]+[a-z_#]+\("
)
_SNAKE = re.compile(r"_(?<=[a-z]{2}.)(?<!how.)[a-z]{2}")
_STATEMENT = re.compile(
    r"\n\s*(?:def |return|if |for |while |import |from |class |public |int |let |const |var |function )[^\n]*[:;{(]"
)
_FIGURE = re.compile(r"\[asy\].*?(?:\[/asy\]|$)", re.S)  # a drawing in the middle of a problem
_INLINE = re.compile(r"(?<!`)`[^`\n]+`(?!`)")
_FENCE = re.compile(r"```(?!json|[^a-z\n]|$)[a-z+]*\n")

# The rarest character of a substring that means code whatever stands around it, which is looked for first because that
# is ten times faster; the substring; its feature.
_CODE = (
    (";", "();", "<();>"),
    ("{", ") {", "<) {>"),
    (">", "->", "<->>"),
    (">", "=>", "<=>>"),
    ("=", "==", "<==>"),
    (">", ">>> ", "<doctest>"),
    ('"', '"""', "<docstring>"),
    ("/", "/*", "</*>"),
    ("[", "[#, ", "<[#, >"),
    ("[", "[]", "<[]>"),
    ('"', '": ', '<"x": >'),
    (">", "</", "<tag>"),
)


def read_part(prompt: str) -> str:
    """What is read of a prompt: of a long one the beginning, and the end of what stands before the options."""
    if len(prompt) < FIGURE_CHARS and "[asy]" in prompt:
        prompt = _FIGURE.sub(" ", prompt)
    if len(prompt) <= HEAD_CHARS + TAIL_CHARS:
        return without_options(prompt)
    head = without_options(prompt[:HEAD_CHARS])
    if len(head) < HEAD_CHARS:
        return head
    return head + "\n" + without_options(prompt[max(HEAD_CHARS, len(prompt) - OPTION_CHARS) :])[-TAIL_CHARS:]


def flattened(prompt: str) -> str:
    """In lower case, with each number as "#" and each year as "@"."""
    text = prompt.lower()
    if "c#" in text or "c++" in text:
        text = text.replace("c#", "csharp").replace("c++", "cpp")
    if "\\" in text:
        text = (
            text.replace("\\boxed", "").replace("{array}", "").replace("\\section", "")
        )  # an answer format, and no array
    if "json " in text:
        text = _JSON.sub("json", text)
    flat = text.translate(_MASK)
    if "####" in flat:
        flat = _YEAR.sub("@", text.translate(_PLAIN)).translate(_DIGITS)
        while "##" in flat:
            flat = flat.replace("##", "#")
    elif "##" in flat:
        flat = flat.replace("##", "#").replace("##", "#")
    return flat.replace("#.#", "#").replace("#,#", "#").replace("#,#", "#").replace("how ", "how_")


def without_options(prompt: str) -> str:
    """The prompt up to where it lists options or says how to write the answer, if anything stands before that."""
    end = len(prompt)
    if "ptions:" in prompt or "hoices:" in prompt or "nswer" in prompt or "ption1:" in prompt or "olution1:" in prompt:
        for cut in _CUTS:
            at = prompt.find(cut, 0, end)
            if at > 20:
                end = at
    if "A)" in prompt or "A." in prompt:
        for cut, second in _LETTERED:
            at = prompt.find(cut, 0, end)
            if at > 20 and prompt.find(second, at) > 0:
                end = at
    return prompt if end == len(prompt) else prompt[:end]


def formulas(flat: str, plain: bool) -> list[str]:
    """Marks of mathematical notation; where it is that of LaTeX, no others are looked for."""
    marks = []
    if "\\" in flat and _COMMAND.search(flat):
        marks.append("<\\command>")
    likely = marks or "=" in flat or "^" in flat or "_" in flat or "(" in flat
    if "$" in flat and ("$$" in flat or (_FORMULA if likely else _LETTER).search(flat)):
        marks.append("<$x$>")
    if not marks:
        padded = f" {flat}"
        if "=" in flat or "+" in flat or "*" in flat or "<" in flat or ">" in flat or "^" in flat or not plain:
            if _OPERATION.search(padded):
                marks.append("<# op #>")
            if _EQUATION.search(padded) or _SUM.search(padded):
                marks.append("<x = >")
        elif " - " in flat or " x " in flat or " / " in flat:
            if _SPACED.search(flat) or _SUM.search(padded):
                marks.append("<# op #>")
        elif "/" in flat and _FRACTION.search(padded):
            marks.append("<# op #>")
        if "(" in flat and _APPLIED.search(padded):
            marks.append("<f(x)>")
        if not plain and _FORMULA_SIGN.search(flat):
            marks.append("<formula sign>")
    if "^" in flat:
        marks.append("<^>")
    return marks


def code(flat: str) -> list[str]:
    """Marks of code."""
    marks = [feature for rare, mark, feature in _CODE if rare in flat and mark in flat]
    if "\\" not in flat:  # in LaTeX, calls and underscores mean something else
        if "(" in flat and _CALL.search(flat):
            marks.append("<call()>")
        if "_" in flat and _SNAKE.search(flat):
            marks.append("<snake_case>")
    if "(" in flat and _DECLARATION.search(f"\n{flat}"):
        marks.append("<declaration>")
    if "`" in flat and _INLINE.search(flat):
        marks.append("<`x`>")
    if ("\n" in flat or flat.lstrip().startswith(("def ", "class ", "function ", "import "))) and _STATEMENT.search(
        f"\n{flat}"
    ):
        marks.append("<statement>")
    if "```" in flat and _FENCE.search(flat):
        marks.append("<code fence>")
    return marks
