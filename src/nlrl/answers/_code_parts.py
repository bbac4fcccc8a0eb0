"""What the top level of a program defines and needs, statement by statement: to complete it, and to leave out demos.

trimmed("def f(x):\\n    return x\\n\\nn = int(input())\\nprint(f(n))\\n", {"f"})  ->  "def f(x):\\n    return x\\n"
completed("def f(x):\\n    return g(x)\\n", ["def g(x):\\n    return 2 * x\\n"])
->  "def g(x):\\n    return 2 * x\\n\\ndef f(x):\\n    return g(x)\\n"
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
import symtable
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from nlrl.answers.forms.program import parse_python

_SETTING = re.compile(r"set|seed|filter|simplefilter|register")  # sys.setrecursionlimit, random.seed, ...
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_STANDARD = {*sys.stdlib_module_names, "__future__"}
_DYNAMIC = frozenset({"globals", "exec", "__import__"})  # what they need cannot be told


@dataclass(frozen=True, slots=True)
class Part:
    """A statement of the top level: its lines (the first is 0), the names it binds, uses, and changes the value of."""

    node: ast.stmt
    first: int
    last: int
    binds: frozenset[str]
    uses: frozenset[str]
    changes: frozenset[str]


@functools.lru_cache(maxsize=64)
def parts(source: str) -> tuple[Part, ...]:
    """The statements of a source; none where it has no syntax tree."""
    tree = parse_python(source)
    if tree is None:
        return ()
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {name: _is_standard(node) for node in imports for name in _bound(node)}
    return tuple(_part(node, imported) for node in tree.body)


def trimmed(source: str, roots: Collection[str]) -> str:
    """The source without the statements that none of the `roots` needs; imports of the standard library stay.

    Unchanged where no root is defined in it, and where what is needed is only known when it runs.
    """
    found = parts(source)
    functions = {name for part in found if isinstance(part.node, _FUNCTION) for name in part.binds}
    registered = (p for p in found if any(_root(d) in functions for d in getattr(p.node, "decorator_list", ())))
    wanted = _reach(found, {*roots, *(name for part in registered for name in part.binds)})
    if not any(part in wanted for part in found if part.binds & set(roots)) or any(p.uses & _DYNAMIC for p in wanted):
        return source
    kept = [part in wanted or _stays(part) for part in found]
    lines = source.splitlines()
    keep_lines = {n for part, keep in zip(found, kept, strict=True) if keep for n in range(part.first, part.last + 1)}
    drop_lines = {
        n for part, keep in zip(found, kept, strict=True) if not keep for n in range(part.first, part.last + 1)
    }
    drop_lines -= keep_lines
    if not drop_lines:
        return source
    return "\n".join(line for n, line in enumerate(lines) if n not in drop_lines).strip("\n") + "\n"


def completed(source: str, others: Sequence[str]) -> str:
    """The source with the definitions that it lacks in front of it, from the first of the `others` that has them."""
    own = parts(source)
    known = {name for part in own for name in part.binds} | set(dir(builtins))
    added: list[str] = []
    taken = [(text, parts(text)) for text in others]

    def provide(needed: Iterable[str]) -> None:
        for name in sorted(needed):
            if name in known:
                continue
            for text, theirs in taken:
                provider = [part for part in theirs if name in part.binds]
                if provider:
                    known.add(name)
                    for part in theirs:
                        if name in part.binds or (name in part.changes and part not in provider):
                            known.update(part.binds)
                            provide(part.uses - part.binds)
                            added.append("\n".join(text.splitlines()[part.first : part.last + 1]))
                    break

    provide({name for part in own for name in part.uses})
    stars = [ast.unparse(p.node) for _, theirs in taken for p in theirs if "*" in p.binds]
    if {name for part in own for name in part.uses} - known:
        added = [*stars, *added]
    return in_front(dict.fromkeys(added), source) if added else source


def free_names(source: str) -> set[str]:
    """Names that a text uses and does not define, builtins aside: those that it expects of somebody else."""
    tree = parse_python(source)
    used, own = set[str](), set(dir(builtins))
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name):
                own.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                own.add(name)
            case ast.alias(name=name, asname=short):
                own.add(short or name.partition(".")[0])
    return used - own


def in_front(texts: Iterable[str], source: str) -> str:
    """These texts before the source, behind its imports from the future."""
    future = re.match(r"(?:\s*from __future__ import [^\n]+\n)+", source)
    head, rest = (source[: future.end()], source[future.end() :]) if future else ("", source)
    return head + "\n".join(texts) + "\n\n" + rest


def _reach(found: Sequence[Part], roots: Collection[str]) -> list[Part]:
    wanted: list[Part] = []
    names, todo = set(roots), list(roots)
    for name in todo:
        for part in found:
            if part not in wanted and (name in part.binds or name in part.changes):
                wanted.append(part)
                todo += part.uses - names
                names |= part.uses
    return wanted


def _stays(part: Part) -> bool:
    return _is_standard(part.node) or "*setting*" in part.changes


def _is_standard(node: ast.stmt) -> bool:
    """Whether this imports from the standard library only."""
    if isinstance(node, ast.Import):
        return all(alias.name.partition(".")[0] in sys.stdlib_module_names for alias in node.names)
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in _STANDARD


def _part(node: ast.stmt, imported: dict[str, bool]) -> Part:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
    binds, uses = _bound(node), set[str]()
    try:
        table = symtable.symtable(ast.unparse(node), "<part>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        uses = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    else:
        uses = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
        binds |= {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
        todo = table.get_children()
        for inner in todo:
            uses |= {s.get_name() for s in inner.get_symbols() if s.is_global()}
            todo += inner.get_children()
    end = (node.end_lineno or node.lineno) - 1
    return Part(node, first, end, frozenset(binds), frozenset(uses), frozenset(_changed(node, imported)))


def _bound(node: ast.stmt) -> set[str]:
    match node:
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name.split(".")[0] for alias in names}
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {t.id for t in targets if isinstance(t, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def _changed(node: ast.stmt, imported: dict[str, bool]) -> set[str]:
    """Names whose values a statement changes in place; "*setting*" where it sets something of a module."""
    changed: set[str] = set()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return changed
    for part in ast.walk(node):
        match part:
            case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
                changed.add(_root(part))
            case ast.Call(func=ast.Attribute(attr=name) as method) if not isinstance(method.value, ast.Call):
                root = _root(method)
                if root not in imported:
                    changed.add(root)
                elif imported[root] and _SETTING.match(name) and isinstance(node, ast.Expr):
                    changed.add("*setting*")
    return changed - {""}


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
