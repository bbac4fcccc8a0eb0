"""Programs as answers: two are the same if their syntax trees are, whatever comments, layout and docstrings say."""

from __future__ import annotations

import ast
import hashlib
import warnings

MAX_SOURCE = 200_000  # characters; longer sources are compared as text


def parse_python(source: str) -> ast.Module | None:
    """The syntax tree, None if there is none: broken, hostile or far too long sources do not raise."""
    if len(source) > MAX_SOURCE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in somebody's string is not our concern
            return ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


class _WithoutDocstrings(ast.NodeTransformer):
    def _strip(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        body = getattr(node, "body", None)
        first = body[0].value if body and isinstance(body[0], ast.Expr) else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Module = _strip


def program_key(source: str) -> str:
    """Equal keys mean equal programs; a source that does not parse is compared by its text without outer space."""
    tree = parse_python(source)
    if tree is not None:
        try:
            text = "ast:" + ast.dump(_WithoutDocstrings().visit(tree))
        except RecursionError:
            text = "src:" + source.strip()
    else:
        text = "src:" + "\n".join(line.rstrip() for line in source.strip().splitlines())
    return "p:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
