"""Source texts as completions dress them: fences, marks, quotes, HTML, interpreter sessions, odd characters.

blocks(undressed("Sure:\\n> ```python\\n> def f(x):\\n>     return x\\n> ```"))
->  [("python", "def f(x):\\n    return x\\n")]
"""

from __future__ import annotations

import html
import re
import textwrap

MAX_TEXT = 1_000_000  # characters; of a longer text the end is read
MAX_BLOCKS = 20  # the last ones
MAX_FENCES = 400  # looked at in one text

_FENCE = re.compile(r"^[ \t]{0,8}(`{3,}|~{3,})[ \t]*([\w+#.-]*)([^\n`]*)$", re.M)
_LANGUAGES = r"(?:python\d?|py\d?)"
_CODE_IN_INFO = re.compile(r"(?:def|class|import|from|async|@|lambda)\b")

# A chat template's own tokens end the text; what stands behind them is another turn.
_TOKENS = re.compile(r"<\|[\w ]{1,30}\|>|</s>|^<s>|<eos>|<end_of_turn>|<EOT>|\[/?INST\]|<｜[^｜\n]{1,40}｜>")
_TAG = r"\b[^>\n]{0,200}>"
_OPENED = re.compile(
    rf"^[ \t]*(?:\[BEGIN\]|\[PYTHON\]|<python>|<pre{_TAG}\s{{0,9}}(?:<code{_TAG})?|<code{_TAG})[ \t]*", re.M | re.I
)
_CLOSED = re.compile(r"^\[DONE\]|\[/PYTHON\]|^\[END\]|</python>|</code>\s{0,9}</pre>|</code>|</pre>", re.M | re.I)
_QUOTED = re.compile(r"^ {0,3}>(?!>>)[ ]?(?=`{3}|~{3}|def |class |import |from |async |@)", re.M)
_SESSION = re.compile(r"^[ \t]*(?:>>> ?|\.\.\.(?: |$)|In \[\d+\]: ?|\.{3}: ?)")

_STRING = r'"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*'
_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_NOTHING = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_PLAIN = dict.fromkeys(_SPACES, " ") | dict.fromkeys(_NOTHING, "")
_PLAIN |= {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "−": "-", "–": "-", "\u2028": "\n", "\u2029": "\n"}
_ODD = re.compile(f"({_STRING})|([{''.join(_PLAIN)}])", re.S)
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#\d{1,6}|#[xX][\da-fA-F]{1,5});")
_ENTITIES = re.compile(f"({_STRING})|({_ENTITY.pattern})", re.S)
_TRIPLE = re.compile(r'"""|\'\'\'|#[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'')


def undressed(text: str) -> str:
    """The text with its frames as fences: marks of beginning and end, HTML blocks, quotes, fences inside of lines."""
    text = text[-MAX_TEXT:].replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    ends = next((m for m in _TOKENS.finditer(text) if text[: m.start()].strip()), None)
    text = _TOKENS.sub("", text[: ends.start()] if ends else text)
    if _QUOTED.search(text):
        text = re.sub(r"^ {0,3}>(?!>>) ?", "", text, flags=re.M)
    if "```" not in text and "~~~" not in text:
        if re.search(r"<(?:pre|code)\b", text, re.I):
            text = re.sub(r"<br ?/?>", "\n", re.sub(rf"</?(?:span|p|div|b|i){_TAG}", "", text))
        text = _CLOSED.sub("\n```\n", _OPENED.sub("\n```python\n", text))
    text = re.sub(rf"(?<=\S)[ \t]*(```{_LANGUAGES}[ \t]*)$", r"\n\1", text, flags=re.M)  # "So: ```python"
    return re.sub(r"(?<=[^\s`])[ \t]*(```)[ \t]*$", r"\n\1", text, flags=re.M)  # "return x```"


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, source) of all fenced blocks of an undressed text; the last may lack its closing fence.

    A fence inside of a triple-quoted string of the block is no fence, if a later one closes the block.
    """
    fences = list(_FENCE.finditer(text))[:MAX_FENCES]
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(fences):
        opening = fences[at]
        language, start = opening[2].lower(), opening.end() + 1
        if _CODE_IN_INFO.match(language) or _CODE_IN_INFO.match(opening[3].strip()):  # "```python def f(x): return x"
            start = opening.start(2) if _CODE_IN_INFO.match(language) else opening.start(3)
            language = "python"
        later = range(at + 1, len(fences))
        closing = [n for n in later if fences[n][1][0] == opening[1][0] and len(fences[n][1]) >= len(opening[1])]
        outside = (n for n in closing[:12] if not _in_string(text[start : fences[n].start()]))
        end = next(outside, next(iter(closing), None))  # "```python" in an open block: the first was never closed
        found.append((language, text[start : fences[end].start()] if end is not None else text[start:]))
        if end is None:
            break
        at = end if fences[end][2] else end + 1
    return [(language, source) for language, source in found[-MAX_BLOCKS:] if source.strip()]


def has_closed_block(text: str) -> bool:
    """Whether a fenced block begins and ends in the text."""
    fences = _FENCE.finditer(undressed(text))
    return next(fences, None) is not None and any(not match.group(2) for match in fences)


def inline_code(text: str) -> list[str]:
    """What stands between backticks inside of a line and has several words."""
    return [m[1] for m in re.finditer(r"(?<!`)`{1,3}([^`\n]{8,})`{1,3}(?!`)", text) if " " in m[1]][-MAX_BLOCKS:]


def cleaned(source: str) -> str:
    """A source without what editors, web pages and interpreters put into it. Strings and comments keep theirs."""
    if any(m[2] for m in _ENTITIES.finditer(source)):  # outside of strings: so all of it is escaped
        source = _ENTITY.sub(lambda m: html.unescape(m[0]), source)
    if not source.isascii():
        source = _ODD.sub(lambda m: m[1] if m[1] is not None else _PLAIN[m[2]], source)
    first = next((line for line in source.splitlines() if line.strip()), "")
    if _SESSION.match(first):
        lines = [line for line in source.splitlines() if _SESSION.match(line)]
        source = "\n".join(_SESSION.sub("", line) for line in lines)
    return textwrap.dedent(source.expandtabs(4) if "\t" in source else source).strip("\n")


def _in_string(source: str) -> bool:
    """Whether a triple-quoted string is open at the end."""
    at = 0
    while match := _TRIPLE.search(source, at):
        at = match.end()
        if match[0] in ('"""', "'''"):
            end = source.find(match[0], at)
            if end < 0:
                return True
            at = end + 3
    return False
