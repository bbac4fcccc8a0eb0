"""Whether a source is in a language other than Python: only to say so by name, where Python could not read it."""

from __future__ import annotations

import ast
import functools
import re
import warnings

_SIGNS = {
    "PHP": r"<\?php",
    "C or C++": r"^\s*#\s*include\s*[<\"]|\busing namespace \w+;|\b(?:int|void) main\s*\(",
    "C#": r"^\s*using System\b.*;",
    "Java": r"\bpublic\s+(?:(?:static|final)\s+)*(?:class|void|int|long|double|boolean|String)\b|System\.out\.print",
    "Go": r"^package \w+\s*$|\bfunc (?:\(\w+ \*?\w+\) )?\w+\(",
    "Rust": r"\bfn \w+\s*(?:<[^>\n]*>)?\(|\blet mut \w",
    "Lean": r"^(?:theorem|lemma|example)\b.*:=?|^import Mathlib\b",
    "Haskell": r"^\w+ :: .*->|^module \w+.* where",
    "JavaScript or TypeScript": r"^\s*(?:const|let|var) \w+|\bfunction\s*\w*\s*\(|console\.log\(|=>\s*\{",
    "Lua": r"\blocal function \w|\bthen\b[^\n]*\n(?:[^\n]*\n){0,40}?\s*end\b",
    "Ruby": r"^\s*def \w+[^:\n]*$(?:\n[^\n]*){0,60}?^\s*end\s*$|^\s*puts ",
    "a shell": r"^#!/(?:usr/)?bin/(?:env )?(?:ba|z)?sh|^\s*echo \S+\s*$",
    "SQL": r"^\s*(?:SELECT\b[^\n]*|WITH \w+ AS)",
}
_LANGUAGES = [(name, re.compile(sign, re.M)) for name, sign in _SIGNS.items()]
_MOST = 100_000  # characters that are looked at


@functools.lru_cache(maxsize=1024)
def foreign_language(source: str) -> str:
    """Its name, "" for Python and for what is nothing in particular."""
    found = next((name for name, sign in _LANGUAGES if sign.search(source[:_MOST])), "")
    if not found:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    return ""
