"""Small faults: one changed operator, argument, number or word of a source file, made by mutmut's operators.

Only *effective* ones. Left out, because nobody could see them or they change only what is said and not what is done:
docstrings, annotations and aliases of types, decorators, `__all__`, blocks for type checkers, everything inside a
`raise` or a warning, prose (a literal of three words or more), `strict=` of `zip`, names of encodings. What else is
exempt stands with its reason in `benchmarks/data/mutants_exempt.jsonl`.
"""

from __future__ import annotations

import difflib
import json
import random
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.file_mutation import Mutation, MutationVisitor
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

ROOMS = {  # what is drawn from, and by which name the report calls it
    "core": "core",
    "compute": "compute",
    "bank": "bank",
    "evaluation": "evaluation",
    "answers": "answers",
    "graders": "verifiers",
    "scaling": "scaling",
}
PROSE = re.compile(r"[A-Za-z']{2,},? [A-Za-z']+,? [A-Za-z']{2,}")
UNSEEN_IF_TAKEN = ("strict=True", "encoding=", '"utf-8"')  # a check of our own; what is the default where this runs
TYPE = re.compile(r"_?[A-Z]+[a-z]")
SAID_NOT_DONE = {"warn", "debug", "info", "warning", "error", "exception"}


@dataclass(frozen=True)
class Fault:
    """One mutant: the file with it, and the lines of the statement it stands in (1-based, inclusive)."""

    path: Path  # relative to the package
    first_line: int
    last_line: int
    line: int
    code: str
    removed: str  # the changed lines as they were, in one
    added: str

    def diff(self, source: str) -> str:
        lines = difflib.unified_diff(source.splitlines(), self.code.splitlines(), lineterm="", n=1)
        return "\n".join(list(lines)[2:])


class _Effective(MutationVisitor):
    """mutmut's visitor without what cannot be seen."""

    METADATA_DEPENDENCIES = (*MutationVisitor.METADATA_DEPENDENCIES, PositionProvider, ParentNodeProvider)

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        return _unseen(node) or super()._skip_node_and_children(node)


def _unseen(node: cst.CSTNode) -> bool:
    match node:
        case cst.Raise() | cst.Assert() | cst.Decorator() | cst.Import() | cst.ImportFrom():
            return True
        case cst.SimpleString(value=value):
            return bool(PROSE.search(value))
        case cst.Lambda(body=cst.Name(value="None")):  # a listener that does nothing, whose result nobody reads
            return True
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="fail"))):  # raises: what it says
            return True
        case cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString()):
            return True
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value="__all__"))]):
            return True
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Name(value=name))], value=cst.Subscript() | cst.BinaryOperation()
        ):
            return bool(TYPE.match(name))  # an alias of a type
        case cst.If(test=cst.Name(value="TYPE_CHECKING")):
            return True
        case cst.Arg(keyword=cst.Name(value="strict" | "encoding")):
            return True
        case cst.Call(func=cst.Name(value="cast" | "TypeVar" | "NewType")):
            return True
        case cst.Call(
            func=cst.Attribute(value=cst.Name(value="log" | "logger" | "warnings"), attr=cst.Name(value=name))
        ):
            return name in SAID_NOT_DONE
    return False


class Text:
    """One source file and the mutations that are possible in it, by line."""

    def __init__(self, package: Path, path: Path):
        self.path, self.source = path, (package / path).read_text("utf-8")
        self.wrapper = MetadataWrapper(cst.parse_module(self.source))
        visitor = _Effective(mutation_operators, IgnoredCode(set(), set(), set()))
        self.wrapper.visit(visitor)
        self.places = self.wrapper.resolve(PositionProvider)
        self.parents = self.wrapper.resolve(ParentNodeProvider)
        self.by_line: dict[int, list[Mutation]] = defaultdict(list)
        for mutation in visitor.mutations:
            self.by_line[self.places[self._placed(mutation)].start.line].append(mutation)

    def fault(self, mutation: Mutation) -> Fault:
        node = statement = self._placed(mutation)
        while not isinstance(statement, cst.SimpleStatementLine | cst.BaseCompoundStatement | cst.Module):
            statement = self.parents[statement]
        # of an `if`, a `for`, a `def` only the part that changes
        span = self.places[statement if isinstance(statement, cst.SimpleStatementLine) else node]
        code = self.wrapper.module.deep_replace(mutation.original_node, mutation.mutated_node).code
        lines = list(difflib.unified_diff(self.source.splitlines(), code.splitlines(), lineterm="", n=0))[2:]
        removed = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
        added = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
        return Fault(self.path, span.start.line, span.end.line, self.places[node].start.line, code, removed, added)

    def _placed(self, mutation: Mutation) -> cst.CSTNode:
        node = mutation.original_node
        while node not in self.places:
            node = self.parents[node]
        return node


def draw(package: Path, rooms: dict[str, int], seed: str, exempt: Path) -> dict[str, list[Fault]]:
    """`rooms[name]` faults of each room: first a line, then one fault in it; no line twice, nothing exempt."""
    rules = [json.loads(line) for line in exempt.read_text("utf-8").splitlines() if line.strip()]
    files = {r["file"] for r in rules if "old" not in r}
    known = {(r["file"], r["old"], r["new"]) for r in rules if "old" in r}
    drawn = {}
    for room, count in rooms.items():
        order = random.Random(f"{seed}/{room}")
        paths = sorted(p.relative_to(package) for p in (package / ROOMS[room]).rglob("*.py"))
        texts = [Text(package, path) for path in paths if path.as_posix() not in files]
        places = [(text, line) for text in texts for line in sorted(text.by_line)]
        order.shuffle(places)
        chosen: list[Fault] = []
        for text, line in places:
            fault = text.fault(order.choice(text.by_line[line]))
            taken = any(word in fault.removed and word not in fault.added for word in UNSEEN_IF_TAKEN)
            if not taken and (fault.path.as_posix(), fault.removed, fault.added) not in known:
                chosen.append(fault)
            if len(chosen) == count:
                break
        drawn[room] = chosen
    return drawn
