"""Reading a program out of a completion: fenced, unfenced, cut off, or only the body of the asked function.

    "Sure!\\n```python\\ndef add(a, b):\\n    return a + b\\n```"   ->  the block
    "    return a + b"  for a question that ends in "def add(a, b):"  ->  the question's code with this body

Of several blocks the last one counts that defines the asked function and is no stub. What it lacks is taken from the
other blocks, then from the question's own code; what the function does not need (demos, reading of input) is left out.
"""

from __future__ import annotations

import ast
import functools
import re
import textwrap

from nlrl.answers._code_parts import completed, free_names, in_front, parts, trimmed
from nlrl.answers.code_text import blocks, cleaned, has_closed_block, inline_code, undressed
from nlrl.answers.forms.program import MAX_SOURCE, parse_python
from nlrl.core import ANSWER_PHRASE, CodeTests, Problem

__all__ = ["defines", "extract_code", "has_closed_block"]

MAX_TRIES = 40  # parses of one short text while looking for where the code ends
MAX_STARTS = 12  # places of a text without fences where code may begin

_CODE_START = re.compile(
    r"^(?:from\s+[\w.]+\s+import\b|import\s+\w|def\s+\w|async\s+def\s|class\s+\w|@\w|[A-Za-z_]\w*\s*(?::[^=\n]{1,60})?=[^=])",
    re.M,
)
_LABEL = re.compile(  # "Final Answer: def f(x): ...": the code begins behind the phrase
    rf"^[ \t*_#>]*{re.escape(ANSWER_PHRASE[:-1])}[ \t*_]*:[ \t*_]*(?=(?:(?:async\s+)?def|class|import|from)\s+\w|@\w)",
    re.M | re.I,
)
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_FOREIGN = {"bash", "sh", "shell", "console", "text", "txt", "output", "json", "yaml", "html", "css", "sql", "markdown",
            "md", "plaintext", "diff", "c", "cpp", "c++", "java", "javascript", "js", "ts", "typescript", "rust",
            "go"}  # fmt: skip


def extract_code(text: str, problem: Problem) -> str | None:
    """The program, complete with the question's preamble; None where the text holds no code."""
    entry = problem.tests.entry_point if problem.tests else None
    text = _LABEL.sub("\n", undressed(text))
    found = [(language, cleaned(source)) for language, source in blocks(text)]
    sources = _sources(found, text, entry)
    chosen = _chosen(sources, entry)
    if chosen is not None:
        others = [source for source in sources if source != chosen]
        return _finished(chosen, others, problem, entry)
    prompt = _prompt_code(problem.question, entry) if entry else None
    if prompt:
        for body in [*(source for _, source in reversed(found)), text]:
            whole = _with_body(prompt, body)
            if whole is not None:
                return whole
    if sources:  # it defines something else: let the tests say so
        return _with_preamble(sources[0], problem, entry)
    return None


def defines(code: str, name: str) -> bool:
    """Whether a function, class or assignment of that name starts a line, or a class Solution has such a method."""
    escaped = re.escape(name)
    top = rf"^(?:async\s+def|def|class)\s+{escaped}\b|^{escaped}\s*(?::[^=\n]+)?=[^=]"
    if re.search(top, code, re.M) is not None:
        return True
    solution = re.search(r"^class\s+Solution\b", code, re.M)
    return solution is not None and re.search(rf"^[ \t]+def\s+{escaped}\b", code[solution.end() :], re.M) is not None


def _chosen(sources: list[str], entry: str | None) -> str | None:
    """The preferred source that defines the entry point, stubs last; without an entry point the first source."""
    if entry is None:
        return sources[0] if sources else None
    defining = [source for source in sources if defines(source, entry)]
    return next((source for source in defining if not _is_stub(source, entry)), next(iter(defining), None))


def _is_stub(source: str, entry: str) -> bool:
    """Whether the function is there with nothing in it but a docstring, `pass`, `...` or a NotImplementedError."""
    tree = parse_python(source)
    found = [n for n in ast.walk(tree) if isinstance(n, _FUNCTION) and n.name == entry] if tree is not None else []
    return bool(found) and all(_is_empty(statement) for statement in found[-1].body)


def _is_empty(node: ast.stmt) -> bool:
    match node:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Raise(exc=ast.Name(id="NotImplementedError") | ast.Call(func=ast.Name(id="NotImplementedError"))):
            return True
    return False


def _sources(found: list[tuple[str, str]], text: str, entry: str | None) -> list[str]:
    """Programs in order of preference: the last Python block, other blocks, code without fences, broken blocks."""
    usable = [(lang, _parsing(source)) for lang, source in found if lang not in _FOREIGN]
    python = [s for lang, s in reversed(usable) if s is not None and lang.startswith("py")]
    ordered = python + [s for _, s in reversed(usable) if s is not None and s not in python]
    if not found or (entry is not None and not any(defines(source, entry) for source in ordered)):
        ordered += [piece for piece in reversed(_pieces(text)) if piece not in ordered]
    if entry is not None and not any(defines(source, entry) for source in ordered):
        ordered += [s for code in inline_code(text) if (s := _parsing(cleaned(code))) and defines(s, entry)]
    if not ordered:  # a block that is cut off or broken is still the answer: the tests will fail on it
        ordered = [s for lang, s in reversed(found) if lang not in _FOREIGN and _CODE_START.search(s)]
    return ordered


def _finished(code: str, others: list[str], problem: Problem, entry: str | None) -> str:
    if entry is not None:
        code = completed(code, others)
        code = trimmed(code, _roots(code, problem.tests, entry))
    return _with_preamble(code, problem, entry)


def _roots(code: str, tests: CodeTests | None, entry: str) -> set[str]:
    """What must stay: the entry point, and what the tests expect of the program."""
    own = entry if any(entry in part.binds for part in parts(code)) else "Solution"
    return {entry, own, *(_expected(tests) if tests is not None else ())}


@functools.lru_cache(maxsize=256)
def _expected(tests: CodeTests) -> frozenset[str]:
    texts = [check for check in (tests.setup, *tests.checks) if isinstance(check, str)]
    return frozenset(name for text in texts for name in free_names(text))


def _parsing(source: str) -> str | None:
    """The longest leading part of a source that parses; None if there is no code in it."""
    if len(source) > MAX_SOURCE:
        return None
    lines = source.splitlines()
    for _ in range(_tries(source)):
        candidate = "\n".join(lines)
        if not candidate.strip():
            return None
        if parse_python(candidate) is not None:
            return candidate.rstrip() + "\n" if _is_code(candidate) else None
        wrong = _error_line(candidate)
        cut = min(wrong - 1, len(lines) - 1) if wrong else len(lines) - 1
        lines = lines[: max(cut, 0)]
    return None


def _tries(source: str) -> int:
    """Fewer for long sources: parsing takes about a second a megabyte."""
    return max(3, min(MAX_TRIES, 400_000 // (len(source) + 1)))


def _error_line(source: str) -> int:
    try:
        compile(source, "<answer>", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, MemoryError, RecursionError, Warning):
        return 0
    return 0


def _is_code(source: str) -> bool:
    """More than a bare word or a sentence that happens to parse."""
    tree = parse_python(source)
    kinds = (
        ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign,
        ast.For, ast.While, ast.If, ast.With, ast.Return, ast.AugAssign, ast.Try, ast.Raise, ast.Assert,
    )  # fmt: skip
    if tree is None:
        return False
    return any(
        isinstance(n, kinds) or (isinstance(n, ast.Expr) and isinstance(n.value, ast.Call | ast.Lambda))
        for n in tree.body
    )


def _pieces(text: str) -> list[str]:
    """Code without fences: from each line that looks like code on, as far as it parses; prose in between is passed."""
    lines = [line for line in text[:MAX_SOURCE].splitlines() if not line.lstrip().startswith(("```", "~~~"))]
    found: list[str] = []
    at = starts = 0
    while at < len(lines) and starts < MAX_STARTS:
        bare = lines[at].lstrip()
        if not (_CODE_START.match(bare) or bare.startswith(">>> ")):
            at += 1
            continue
        starts += 1 if not bare.startswith(">>> ") else MAX_STARTS  # a session is read in one go
        indent = len(lines[at]) - len(bare)
        end = next((n for n in range(at + 1, len(lines)) if _outdented(lines[n], indent)), len(lines))
        piece = _parsing(cleaned("\n".join(lines[at:end])))
        if piece is not None and (len(piece.split()) > 1):
            found.append(piece)
        at += max(1, len(piece.splitlines()) if piece is not None else 1)
    return found


def _outdented(line: str, indent: int) -> bool:
    return bool(line.strip()) and len(line) - len(line.lstrip()) < indent


# --- what the question provides -------------------------------------------------------------------------------------


def _prompt_code(question: str, entry: str) -> str | None:
    """The code of a question that ends with the signature (and docstring) of the asked function."""
    source = question
    for _, block in blocks(question):
        if defines(block, entry):
            source = block
    signature = re.search(rf"^(?:async\s+)?def\s+{re.escape(entry)}\s*\(", source, re.M)
    if not signature or len(source) > MAX_SOURCE:
        return None
    starts = [m.start() for m in _CODE_START.finditer(source) if m.start() <= signature.start()]
    for start in [*starts[:5], signature.start()]:
        lines = source[start:].rstrip().splitlines()
        for cut in range(len(lines), max(0, len(lines) - MAX_TRIES), -1):
            head = "\n".join(lines[:cut])
            tree = parse_python(head + "\n    pass\n")
            if tree is not None and tree.body and getattr(tree.body[-1], "name", "") == entry:
                return head
    return None


def _with_body(prompt: str, body: str) -> str | None:
    """The question's function with a completion as its body; None if the two do not make a program."""
    body = body.expandtabs(4)
    if len(body) > MAX_SOURCE or not body.strip():
        return None
    lines = body.strip("\n").splitlines()
    lines = lines[next(i for i, line in enumerate(lines) if line.strip()) :]
    ways = [_indented(lines, prompt, body)]
    inner = [line for line in lines[1 : _left(lines, 1)] if line.strip()]
    if inner and not lines[0].startswith("    "):  # its first line may have lost its indent
        indent = min(len(line) - len(line.lstrip()) for line in inner)
        mended = [" " * indent + lines[0].lstrip(), *lines[1 : _left(lines, 1)]]
        ways.append(_indented(mended, prompt, body))
    whole = max(ways, key=lambda way: len(way.splitlines()) if way else 0)
    return whole or None


def _indented(lines: list[str], prompt: str, body: str) -> str:
    """The prompt with as many of the lines as make a program; "" if none do."""
    if lines[0].startswith(" "):  # it goes on from the signature: what is not indented any more does not belong to it
        lines = ["" if line.startswith("#") else line for line in lines[: _left(lines, 0)]]
    lines = [("    " + line) if line.strip() else "" for line in textwrap.dedent("\n".join(lines)).splitlines()]
    for _ in range(_tries(body)):
        if not any(line.strip() for line in lines):
            return ""
        whole = prompt.rstrip() + "\n" + "\n".join(lines) + "\n"
        if parse_python(whole) is not None:
            return whole if _does_something("\n".join(lines)) else ""
        lines.pop()
    return ""


def _left(lines: list[str], start: int) -> int:
    """The first line from there on that is not indented; a comment may stand anywhere."""
    rest = range(start, len(lines))
    return next((i for i in rest if lines[i].strip() and not lines[i].startswith((" ", "#"))), len(lines))


def _does_something(body: str) -> bool:
    return _is_code(textwrap.dedent(body)) or re.search(r"^\s*(?:return|yield|raise|pass)\b", body, re.M) is not None


def _with_preamble(code: str, problem: Problem, entry: str | None) -> str:
    """The code with those imports and helpers of the question that it lacks in front of it."""
    prompt = _prompt_code(problem.question, entry) if entry else None
    if not prompt:
        return code
    tree = parse_python(prompt + "\n    pass\n")
    if tree is None:
        return code
    here = parse_python(code)
    known = _names(here) if here is not None else set()
    source_lines = prompt.splitlines()
    missing: list[str] = []
    for node in tree.body:
        if getattr(node, "name", None) == entry:
            continue
        provided = _names(ast.Module(body=[node], type_ignores=[]))
        if provided and not provided <= known:
            start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            missing.append("\n".join(source_lines[start - 1 : node.end_lineno]))
    if not missing:
        return code
    return in_front(missing, code)


def _names(tree: ast.Module) -> set[str]:
    """Names that the top level of a module binds; a star import binds its own text."""
    out: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            out |= {f"{module}.*" if a.name == "*" else (a.asname or a.name.split(".")[0]) for a in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            out.add(node.name)
        elif isinstance(node, ast.Assign):
            out |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            out.add(node.target.id)
    return out
