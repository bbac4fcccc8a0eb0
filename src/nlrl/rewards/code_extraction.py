"""Reading a program out of a completion: fenced, unfenced, cut off, or only the body of the asked function.

    "Sure!\\n```python\\ndef add(a, b):\\n    return a + b\\n```"   ->  the block
    "    return a + b"  for a question that ends in "def add(a, b):"  ->  the question's code with this body

What the question's own code provides (imports, helper functions) is put in front where the program lacks it.
"""

from __future__ import annotations

import ast
import re
import textwrap

from nlrl.core import Problem
from nlrl.rewards.forms.program import MAX_SOURCE, parse_python

MAX_TRIES = 40  # parses of one short text while looking for where the code ends
MAX_BLOCKS = 20  # the last ones

_FENCE = re.compile(r"^[ \t]{0,8}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*$", re.M)
_CODE_START = re.compile(
    r"^(?:from\s+[\w.]+\s+import\b|import\s+\w|def\s+\w|async\s+def\s|class\s+\w|@\w|[A-Za-z_]\w*\s*(?::[^=\n]{1,60})?=[^=])",
    re.M,
)
_FOREIGN = {"bash", "sh", "shell", "console", "text", "txt", "output", "json", "yaml", "html", "css", "sql", "markdown",
            "md", "plaintext", "diff", "c", "cpp", "c++", "java", "javascript", "js", "ts", "typescript", "rust",
            "go"}  # fmt: skip


def extract_code(text: str, problem: Problem) -> str | None:
    """The program, complete with the question's preamble; None where the text holds no code."""
    entry = problem.tests.entry_point if problem.tests else None
    blocks = _blocks(text)
    for code in _candidates(blocks, text, entry):
        if entry is None or defines(code, entry):
            return _with_preamble(code, problem, entry)
    prompt = _prompt_code(problem.question, entry) if entry else None
    if prompt:
        for body in [*(source for _, source in reversed(blocks)), text]:
            whole = _with_body(prompt, body)
            if whole is not None:
                return whole
    for code in _candidates(blocks, text, entry):  # it defines something else: let the tests say so
        return _with_preamble(code, problem, entry)
    return None


def defines(code: str, name: str) -> bool:
    """Whether a function, class or assignment of that name starts a line."""
    escaped = re.escape(name)
    return (
        re.search(rf"^(?:async\s+def|def|class)\s+{escaped}\b|^{escaped}\s*(?::[^=\n]+)?=[^=]", code, re.M) is not None
    )


def has_closed_block(text: str) -> bool:
    """Whether a fenced block begins and ends in the text."""
    fences = _FENCE.finditer(text)
    return next(fences, None) is not None and any(not match.group(2) for match in fences)


def _blocks(text: str) -> list[tuple[str, str]]:
    """(language, source) of all fenced blocks; the last may lack its closing fence."""
    found: list[tuple[str, str]] = []
    open_mark, language, start = "", "", 0
    for match in _FENCE.finditer(text):
        mark = match.group(1)
        if not open_mark:
            open_mark, language, start = mark, match.group(2).lower(), match.end() + 1
        elif mark[0] == open_mark[0] and len(mark) >= len(open_mark):
            if match.group(2):  # "```python" inside an open block: the first was never closed
                found.append((language, text[start : match.start()]))
                open_mark, language, start = mark, match.group(2).lower(), match.end() + 1
                continue
            found.append((language, text[start : match.start()]))
            open_mark = ""
    if open_mark and text[start:].strip():
        found.append((language, text[start:]))
    return [(language, source) for language, source in found[-MAX_BLOCKS:] if source.strip()]


def _candidates(blocks: list[tuple[str, str]], text: str, entry: str | None) -> list[str]:
    """Programs in order of preference: the last Python block that defines the entry point, the last one, raw text."""
    usable = [(lang, _parsing(source)) for lang, source in blocks if lang not in _FOREIGN]
    sources = [source for _, source in usable if source is not None]
    ordered = [s for s in reversed(sources) if entry and defines(s, entry)]
    python = [s for lang, s in reversed(usable) if s is not None and lang.startswith("py")]
    ordered += [s for s in python if s not in ordered] + [
        s for s in reversed(sources) if s not in ordered and s not in python
    ]
    # a block that is cut off or broken is still the answer: the tests will fail on it
    broken = [textwrap.dedent(source).strip("\n") for lang, source in reversed(blocks) if lang not in _FOREIGN]
    if not ordered:
        raw = _raw(text) if not blocks else None
        if raw is not None:
            ordered.append(raw)
        ordered += [s for s in broken if _CODE_START.search(s)]
    return ordered


def _parsing(source: str) -> str | None:
    """The longest leading part of a source that parses; None if there is no code in it."""
    source = textwrap.dedent(source.expandtabs(4) if "\t" in source else source).strip("\n")
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


def _raw(text: str) -> str | None:
    """Code without fences: from the first line that looks like code to the last that still parses."""
    if len(text) > MAX_SOURCE:
        text = text[:MAX_SOURCE]
    for n, match in enumerate(_CODE_START.finditer(text)):
        if n >= 5:
            return None
        found = _parsing(text[match.start() :])
        if found is not None and ("\n" in found.strip() or _is_code(found)):
            return found
    return None


# --- what the question provides -------------------------------------------------------------------------------------


def _prompt_code(question: str, entry: str) -> str | None:
    """The code of a question that ends with the signature (and docstring) of the asked function."""
    source = question
    for _, block in _blocks(question):
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
    if len(body) > MAX_SOURCE:
        return None
    lines = body.strip("\n").splitlines()
    first = next((line for line in lines if line.strip()), "")
    if not first:
        return None
    if first[0] == " ":  # it goes on from the signature: what is not indented any more does not belong to it
        end = next((i for i, line in enumerate(lines) if line.strip() and line[0] != " "), len(lines))
        lines = lines[:end]
    lines = [("    " + line) if line.strip() else "" for line in textwrap.dedent("\n".join(lines)).splitlines()]
    for _ in range(_tries(body)):
        if not any(line.strip() for line in lines):
            return None
        whole = prompt.rstrip() + "\n" + "\n".join(lines) + "\n"
        if parse_python(whole) is not None:
            return whole if _does_something("\n".join(lines)) else None
        lines.pop()
    return None


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
    future = re.match(r"(?:\s*from __future__ import [^\n]+\n)+", code)
    head, rest = (code[: future.end()], code[future.end() :]) if future else ("", code)
    return head + "\n".join(missing) + "\n\n" + rest


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
