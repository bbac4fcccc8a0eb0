"""What in a test text can fail, and what of it is never run: read from the text alone, so no program has a say.

    complaints("", [ast.parse("def run():\\n    assert f(1) == 1")], None)
    -> ["'run' (line 1) is never called, so what it asserts is not checked"]

What can fail is an `assert` or a comparison that stands alone (it is read as an assert), a call of something that is
named like a check (`self.assertEqual`, `np.testing.assert_allclose`, `pytest.raises`), a `raise` or an exit. `Watch`
counts them while they run, for loops over nothing and branches that are never taken.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Iterator, Sequence

COMPARED, REACHED = "_compared_", "_reached_"  # what an instrumented test calls
FIXTURES = frozenset(
    {"setUp", "tearDown", "setUpClass", "tearDownClass", "asyncSetUp", "asyncTearDown"}
    | {f"{act}_{what}" for act in ("setup", "teardown") for what in ("module", "function", "class", "method")}
)

SYMBOLS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip

_CHECKING = re.compile(r"assert\w*|fail|fails|raises|warns", re.I)
_ENDING = frozenset({"exit", "quit", "_exit", "abort"})
_GENERAL = frozenset({"AssertionError", "Exception", "RuntimeError", "SystemExit"})
_TRUTHS = frozenset({"all", "any", "isinstance", "issubclass", "callable"})
_PREPARING = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Pass)

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_STORES = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class StandAlone(ast.NodeTransformer):
    """`f(1) == 1` as a statement of its own becomes an assert."""

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        match node.value:
            case (
                ast.Compare()
                | ast.UnaryOp(op=ast.Not())
                | ast.BoolOp(values=[ast.Compare() | ast.UnaryOp(op=ast.Not()), *_])
            ):
                return ast.copy_location(ast.Assert(node.value), node)
            case ast.Call(func=ast.Name(id=name)) if name in _TRUTHS:
                return ast.copy_location(ast.Assert(node.value), node)
        return node


def mark(tree: ast.Module) -> ast.Module:
    """Note what can never fail (`assert True`; an assert whose failure the text itself swallows), and which `raise`
    is the test's own and not part of a helper."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and _is_always_true(node.test):
            node.never_fails = True  # type: ignore[attr-defined]
        if isinstance(node, ast.Try) and any(map(_swallows, node.handlers)):
            for part in node.body:
                for inner in ast.walk(part):
                    inner.never_fails = True  # type: ignore[attr-defined]
        own = isinstance(node, _FUNCTION) and (node.name.startswith("test") or node.name == "check")
        if own or node is tree:
            for part in _here(node):
                if isinstance(part, ast.Raise):
                    part.own = True  # type: ignore[attr-defined]
    return tree


def _is_always_true(test: ast.expr) -> bool:
    return (isinstance(test, ast.Constant) and bool(test.value)) or (isinstance(test, ast.Tuple) and bool(test.elts))


def _swallows(handler: ast.ExceptHandler) -> bool:
    """Whether a failed assert ends here, unheard: no `raise`, no exit, no check, nothing kept for later."""
    caught = _mentions(handler.type) if handler.type is not None else {"Exception"}
    if not caught & {"AssertionError", "Exception", "BaseException"}:
        return False
    parts = [part for statement in handler.body for part in ast.walk(statement)]
    names = defined_names(())
    heard = any(_can_fail(part, names) or isinstance(part, (ast.Return, *_STORES)) for part in parts)
    return not heard and not any(_called(part) in ("append", "add") for part in parts)


class Watch(ast.NodeTransformer):
    """Counts what can fail where it runs, and lets a failing comparison say what it got.

    `assert f(x) == y` becomes `assert _compared_(f(x), y, "==")`; a call of `_reached_` stands before the rest.
    """

    def __init__(self, defined: frozenset[str]):
        self._defined = defined

    def visit_Assert(self, node: ast.Assert) -> ast.Assert | list[ast.stmt]:
        if not _can_fail(node, self._defined):
            return node
        match node.test:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                args = [left, right, ast.Constant(SYMBOLS[type(op)])]
                node.test = ast.copy_location(ast.Call(ast.Name(COMPARED, ast.Load()), args, []), node.test)
                return node
        return self._counted(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        return self._counted(node) if self._fails(node) else node

    visit_Assign = visit_Return = visit_Expr  # type: ignore[assignment]

    def visit_With(self, node: ast.With | ast.AsyncWith) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return self._counted(node) if any(self._fails(item) for item in node.items) else node

    visit_AsyncWith = visit_With  # type: ignore[assignment]

    def visit_Try(self, node: ast.Try) -> list[ast.stmt] | ast.AST:
        before = any(self._fails(part) for part in (*node.body, *node.orelse))  # an assert that must not be reached
        self.generic_visit(node)
        return self._counted(node) if before else node

    visit_TryStar = visit_Try  # type: ignore[assignment]

    def visit_If(self, node: ast.If) -> list[ast.stmt] | ast.AST:
        ends = any(_ends(part) for part in _here(node))
        self.generic_visit(node)
        return self._counted(node) if ends else node

    def visit_FunctionDef(self, node: Function) -> ast.AST:
        ends = any(_ends(getattr(part, "value", part)) for part in node.body)  # where the checks before did not return
        self.generic_visit(node)
        if ends:
            at = 1 if ast.get_docstring(node, clean=False) is not None else 0
            node.body[at : at + 1] = self._counted(node.body[at])
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def _fails(self, node: ast.AST) -> bool:
        return any(_can_fail(part, self._defined) for part in _here(node))

    @staticmethod
    def _counted(node: ast.stmt) -> list[ast.stmt]:
        call = ast.Expr(ast.Call(ast.Name(REACHED, ast.Load()), [], []))
        return [ast.copy_location(call, node), node]


def complaints(
    setup: ast.Module, checks: Sequence[ast.Module], entry_point: str | None, examples: Sequence[object] = ()
) -> list[str]:
    """For each check why it checks nothing or not all; "" where it does. A check of mere preparation (imports,
    definitions, values) has no complaint while another follows it, nor has one with `examples` (doctests)."""
    return _Reading(setup, checks, entry_point).complaints(examples or [()] * len(checks))


def is_preparation(tree: ast.Module) -> bool:
    """Imports, definitions and values only: nothing that is a test by itself."""
    return all(
        isinstance(node, _PREPARING) or (isinstance(node, _DEFINITION) and not is_test(node)) for node in tree.body
    )


def is_test(node: ast.AST) -> bool:
    """A function or class that test runners would run."""
    if isinstance(node, ast.ClassDef):
        return node.name.startswith("Test") or is_unittest(node)
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test")


def is_unittest(node: ast.ClassDef) -> bool:
    """Whether a class is derived from one that is called ...TestCase."""
    return any(name.endswith("TestCase") for base in node.bases for name in _mentions(base))


def defined_names(trees: Iterable[ast.AST]) -> frozenset[str]:
    """Names of all functions and classes of these texts."""
    return frozenset(n.name for tree in trees for n in ast.walk(tree) if isinstance(n, _DEFINITION))


def calls_by_itself(tree: ast.Module, name: str) -> bool:
    """Whether the text runs that function of its own accord."""
    reading = _Reading(ast.Module([], []), [tree], None)
    return name in reading.mentioned(n for n in tree.body if not isinstance(n, _DEFINITION))


def test_arguments(node: Function) -> list[str]:
    """Arguments that a test must be given: none of those with defaults, not `self`."""
    plain = [*node.args.posonlyargs, *node.args.args]
    needed = plain[: len(plain) - len(node.args.defaults)]
    needed += [a for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d is None]
    return [a.arg for a in needed]


class _Reading:
    def __init__(self, setup: ast.Module, checks: Sequence[ast.Module], entry_point: str | None):
        self._checks, self._entry_point = checks, entry_point
        self._named: dict[str, list[Definition]] = {}
        for tree in (setup, *checks):
            for node in ast.walk(tree):
                if isinstance(node, _DEFINITION):
                    self._named.setdefault(node.name, []).append(node)
        self._defined = frozenset(self._named)

    def complaints(self, examples: Sequence[object]) -> list[str]:
        ran: set[ast.AST] = set()
        units = [list(self._units(tree)) for tree in self._checks]
        for name_and_nodes in units:
            for _, nodes in name_and_nodes:
                ran |= self._run(nodes)
        found: list[str] = []
        for index, tree in enumerate(self._checks):
            idle = [name for name, nodes in units[index] if not self._can_fail(nodes)]
            waits = is_preparation(tree) and any(not is_preparation(later) for later in self._checks[index + 1 :])
            enough = waits or examples[index]
            found.append(
                _vain(tree)
                or self._never_run(tree, ran)
                or self._not_given(tree)
                or ("" if enough else self._idle(idle))
            )
        return found

    def mentioned(self, nodes: Iterable[ast.AST]) -> set[str]:
        return {name for node in self._run(nodes) for name in _mentions(node)}

    def _units(self, tree: ast.Module) -> Iterator[tuple[str, list[ast.AST]]]:
        """What is judged by itself: each test function, each method of a test class, else the text as a whole."""
        loose: list[ast.AST] = [node for node in tree.body if not isinstance(node, _DEFINITION)]
        tests = [node for node in tree.body if is_test(node)]
        if self._entry_point is not None and self._entry_point != "check":
            loose += [n for n in tree.body if isinstance(n, _DEFINITION) and n.name == "check"]
        for test in tests:
            if isinstance(test, ast.ClassDef):
                members = [m for kind in self._lineage(test) for m in kind.body]
                methods = [m for m in members if isinstance(m, (ast.FunctionDef, ast.AsyncFunctionDef))]
                fixtures: list[ast.AST] = [m for m in methods if m.name in FIXTURES]
                yield from ((f"{test.name}.{m.name}", [m, *fixtures]) for m in methods if m.name.startswith("test"))
            elif isinstance(test, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield test.name, [test]
        if not tests or self._can_fail(loose):
            yield "", loose

    def _lineage(self, test: ast.ClassDef) -> list[ast.ClassDef]:
        """The class and those of its text that it is derived from."""
        found = [test]
        for kind in found:
            names = {name for base in kind.bases for name in _mentions(base)}
            parents = [d for name in names for d in self._named.get(name, ()) if isinstance(d, ast.ClassDef)]
            found += [parent for parent in parents if parent not in found]
        return found

    def _run(self, nodes: Iterable[ast.AST]) -> set[ast.AST]:
        """All that runs with these: they themselves, and every definition whose name is mentioned on the way."""
        seen: set[ast.AST] = set()
        todo = list(nodes)
        for node in todo:
            if node in seen:
                continue
            seen.add(node)
            for part in _here(node):
                seen.add(part)
                for name in _mentions(part, deep=False):
                    todo += [d for d in self._named.get(name, ()) if d not in seen]
            if isinstance(node, ast.ClassDef):
                todo += [m for m in node.body if isinstance(m, _DEFINITION) and not m.name.startswith("test")]
        return seen

    def _can_fail(self, nodes: Iterable[ast.AST]) -> bool:
        return any(_can_fail(part, self._defined) for part in self._run(nodes))

    def _never_run(self, tree: ast.Module, ran: set[ast.AST]) -> str:
        for node in ast.walk(tree):
            asserts = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(
                isinstance(part, ast.Assert) or _is_checking_call(part, self._defined) for part in _here(node)
            )
            if asserts and node not in ran and node.name not in FIXTURES:  # type: ignore[attr-defined]
                name, line = node.name, node.lineno  # type: ignore[attr-defined]
                hint = "; name the function under test (entry_point)" if name == "check" else ""
                return f"{name!r} (line {line}) is never called, so what it asserts is not checked{hint}"
        return ""

    def _not_given(self, tree: ast.Module) -> str:
        for test in tree.body:
            inner = test.body if isinstance(test, ast.ClassDef) and is_test(test) else [test]
            for node in inner:
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test"):
                    decorators = {name for d in node.decorator_list for name in _mentions(d)}
                    wanted = [a for a in test_arguments(node) if a not in ("self", "cls", "candidate")]
                    if wanted and not decorators & {"parametrize", "patch", "object", "dict", "staticmethod", "given"}:
                        return f"{node.name!r} takes {wanted[0]!r}, which nothing here gives it (fixtures are not made)"
        return ""

    @staticmethod
    def _idle(idle: list[str]) -> str:
        if not idle:
            return ""
        where = f"{idle[0]!r}" if idle[0] else "this test"
        return f"{where} checks nothing: no assert, no comparison, no call that could fail"


def _vain(tree: ast.Module) -> str:
    lines = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert) and isinstance(n.test, ast.Tuple)]
    return f"line {lines[0]} asserts a tuple, which is always true" if lines else ""


def _here(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but not the inside of functions and classes that are defined on the way."""
    todo = [node]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        todo = [*node.body, *node.decorator_list, node.args]
    elif isinstance(node, ast.ClassDef):
        todo = [*node.body, *node.decorator_list, *node.bases]
    while todo:
        part = todo.pop()
        if isinstance(part, _DEFINITION):
            todo += part.decorator_list
            continue
        yield part
        todo += ast.iter_child_nodes(part)


def _mentions(node: ast.AST, *, deep: bool = True) -> set[str]:
    nodes = ast.walk(node) if deep else (node,)
    return {n.id if isinstance(n, ast.Name) else n.attr for n in nodes if isinstance(n, (ast.Name, ast.Attribute))}


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", "") or getattr(node.func, "id", "")


def _is_checking_call(node: ast.AST, defined: frozenset[str]) -> bool:
    name = _called(node)
    return bool(name) and name not in defined and _CHECKING.fullmatch(name) is not None


def _ends(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        name = getattr(kind, "attr", "") or getattr(kind, "id", "")
        # In a helper, a ValueError may be part of what is computed.
        return hasattr(node, "own") or name in _GENERAL or not hasattr(builtins, name)
    return _called(node) in _ENDING


def _can_fail(node: ast.AST, defined: frozenset[str]) -> bool:
    if hasattr(node, "never_fails"):
        return False
    return isinstance(node, ast.Assert) or _ends(node) or _is_checking_call(node, defined)
