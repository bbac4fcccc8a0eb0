#!/usr/bin/env python3
"""Count what makes a house hard to walk through: circles, arrows up, private doors, long files, names used twice.

    scripts/house.py                  this checkout
    scripts/house.py BEFORE AFTER     checkouts side by side, each against the floors of its own pyproject.toml
    scripts/house.py --list [PATH]    with the places
    scripts/house.py --picture        the rooms and who needs whom, for docs/explanation/architecture.md

An import counts wherever it stands: at the top, in a function, relative, `import nlrl.x`, and a string that names a
module ("nlrl.x.y" or "nlrl.x.y:name"), because that is how lazy faces and registries import. What stands under
TYPE_CHECKING is told apart. Exit code 1 where the last checkout has a circle, an arrow up or a private name imported
across rooms. Standard library only, so that it runs on any checkout.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "nlrl"
LONG_FILE, LONG_FUNCTION = 300, 60  # lines
NOT_IMPORTS = frozenset({"getLogger", "get_tracer", "get_meter"})  # their strings look like modules and load nothing


@dataclass(frozen=True)
class Import:
    """Module `source` needs module `target` (and of it `name`, "" where the module itself); `typing`: only checkers."""

    source: str
    target: str
    name: str
    typing: bool
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line} -> {self.target}{'.' + self.name if self.name else ''}"


@dataclass
class House:
    """One checkout, read."""

    root: Path
    trees: dict[str, ast.Module] = field(default_factory=dict)  # module name -> its source
    paths: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        source = self.root / "src"
        for path in sorted((source / PACKAGE).rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.trees[name], self.paths[name] = ast.parse(path.read_text("utf-8")), path

    def imports(self) -> list[Import]:
        """Every import of one module of the package by another."""
        return [found for name in self.trees for found in self._imports_of(name) if found.target != found.source]

    def _imports_of(self, module: str) -> Iterator[Import]:
        tree, package = self.trees[module], self._package(module)
        typing = {id(node) for block in ast.walk(tree) if _for_checkers(block) for node in ast.walk(block)}
        skipped = {id(arg) for node in ast.walk(tree) if _called(node) in NOT_IMPORTS for arg in ast.walk(node)}
        own_data = {id(arg) for node in ast.walk(tree) if _called(node) == "files" for arg in ast.walk(node)}
        prefixes = {prefix for node in ast.walk(tree) if (prefix := self._prefix(node, module))}
        for node in ast.walk(tree):
            targets: list[tuple[str, str]] = []
            if isinstance(node, ast.Import):
                targets = [(alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                targets = [(base, alias.name) for alias in node.names]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
                place, _, name = node.value.partition(":")
                targets = [(prefix + place, name) for prefix in ("", *prefixes) if "." in prefix + place]
            if id(node) in own_data:  # a room that reads its own files imports nothing; another room's files it needs
                targets = [(base, name) for base, name in targets if base != package]
            for base, name in targets:
                target, name = (f"{base}.{name}", "") if f"{base}.{name}" in self.trees else (base, name)
                if target in self.trees:
                    yield Import(module, target, name, id(node) in typing, getattr(node, "lineno", 0))

    def _package(self, module: str) -> str:
        return module if self.paths[module].name == "__init__.py" else module.rpartition(".")[0]

    @staticmethod
    def _prefix(node: ast.AST, module: str) -> str:
        """What f"nlrl.room.{home}" or f"{__name__}.{home}" puts before each name of a table; "" for anything else."""
        if not isinstance(node, ast.JoinedStr) or len(node.values) < 2:
            return ""
        first, second = node.values[:2]
        if isinstance(first, ast.Constant) and str(first.value).startswith(f"{PACKAGE}."):
            return str(first.value) if str(first.value).endswith(".") else ""
        own = (
            isinstance(first, ast.FormattedValue) and isinstance(first.value, ast.Name) and first.value.id == "__name__"
        )
        return f"{module}." if own and isinstance(second, ast.Constant) and str(second.value) == "." else ""

    def floors(self) -> dict[str, int]:
        """Room -> its floor, by the layers that pyproject.toml declares for whole rooms; 0 is the ground."""
        text = (self.root / "pyproject.toml").read_text("utf-8")
        contracts = tomllib.loads(text).get("tool", {}).get("importlinter", {}).get("contracts", [])
        for contract in contracts:
            inside = "".join(f"{container}." for container in contract.get("containers", []))
            layers = [
                [inside + part.strip(" ()") for part in layer.replace(":", "|").split("|")]
                for layer in contract.get("layers", [])
            ]
            if layers and all(name.count(".") <= 1 for names in layers for name in names):
                return {_room(name): floor for floor, names in enumerate(reversed(layers)) for name in names}
        return {}


def _for_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _room(module: str) -> str:
    """The room of a module: what follows the package's name ("nlrl" itself is the door that opens the rest)."""
    return module.split(".")[1] if "." in module else module


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def circles(imports: Iterable[Import]) -> list[list[str]]:
    """Groups of modules that need each other, whole (strongly connected), each sorted."""
    edges: dict[str, set[str]] = defaultdict(set)
    back: dict[str, set[str]] = defaultdict(set)
    for found in imports:
        edges[found.source].add(found.target)
        back[found.target].add(found.source)
    groups: list[list[str]] = []
    seen: set[str] = set()
    for module in sorted(edges):
        if module not in seen and (circle := _reachable(edges, module) & _reachable(back, module)):
            groups.append(sorted(circle))
            seen |= circle
    return groups


def _reachable(edges: dict[str, set[str]], start: str) -> set[str]:
    seen, waiting = set(), [start]
    while waiting:
        for target in edges.get(waiting.pop(), set()) - seen:
            seen.add(target)
            waiting.append(target)
    return seen


def arrows_up(imports: Iterable[Import], floors: dict[str, int]) -> list[Import]:
    """Imports of a higher room, or of another one on the same floor. A room without a floor stands above all others."""
    top = len(floors)
    heights = {PACKAGE: top + 1, **floors}
    return [
        found
        for found in imports
        if (source := _room(found.source)) != (target := _room(found.target))
        and heights.get(target, top) >= heights.get(source, top)
    ]


def private_across(imports: Iterable[Import]) -> list[Import]:
    """Imports of a `_private` module or name of another room."""
    return [
        found
        for found in imports
        if _room(found.source) != _room(found.target) and any(map(_private, [*found.target.split("."), found.name]))
    ]


def functions(house: House) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Each function with "module:line"."""
    for module, tree in house.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}:{node.lineno} {node.name}", node


def called_once(house: House) -> tuple[list[str], int]:
    """Private functions whose name is used once in the whole package, and how many private functions there are.

    A name counts per file, with the files that import it: `_bad` of two files are two functions.
    """
    used = {module: _names_used(tree) for module, tree in house.trees.items()}
    imported = Counter((found.target, found.name) for found in house.imports())
    private = [(place, node.name) for place, node in functions(house) if _private(node.name)]
    once = [place for place, name in private if used[module := place.split(":")[0]][name] + imported[module, name] == 1]
    return once, len(private)


def _names_used(tree: ast.Module) -> Counter[str]:
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    return Counter(names + [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)])


def classes_twice(house: House) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Public class names with more than one definition: name -> modules. All of them, and those that a face shows.

    A face is a room's `__init__` with `__all__`; what it shows counts for the modules that its imports lead to.
    """
    homes: dict[str, list[str]] = defaultdict(list)
    for module, tree in house.trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not _private(node.name):
                homes[node.name].append(module)
    twice = {name: modules for name, modules in homes.items() if len(modules) > 1}
    faces = {name for name in house.trees if house.paths[name].name == "__init__.py"}
    shown = {(found.target, found.name) for found in house.imports() if found.source in faces}
    on_faces = {name: [home for home in modules if (home, name) in shown] for name, modules in twice.items()}
    return twice, {name: modules for name, modules in on_faces.items() if len(modules) > 1}


def count(root: Path) -> dict[str, int | list[str]]:
    """Everything that is counted of one checkout: a number, or the places whose number it is."""
    house = House(root)
    imports, floors = house.imports(), house.floors()
    running = [found for found in imports if not found.typing]
    lines = {path: path.read_text("utf-8").count("\n") for path in house.paths.values()}
    once, private = called_once(house)
    twice, on_faces = classes_twice(house)
    return {
        "files": len(lines),
        "lines of src": sum(lines.values()),
        "lines of benchmarks": sum(p.read_text("utf-8").count("\n") for p in (root / "benchmarks").rglob("*.py")),
        "circles at run time": [" ".join(circle) for circle in circles(running)],
        "circles with types": [" ".join(circle) for circle in circles(imports)],
        "arrows up at run time": [str(found) for found in arrows_up(running, floors)],
        "arrows up with types": [str(found) for found in arrows_up(imports, floors)],
        "private across rooms": [str(found) for found in private_across(imports)],
        f"files over {LONG_FILE} lines": [str(p.relative_to(root)) for p, n in lines.items() if n > LONG_FILE],
        f"functions over {LONG_FUNCTION} lines": [
            place for place, node in functions(house) if (node.end_lineno or 0) - node.lineno >= LONG_FUNCTION
        ],
        "private functions": private,
        "private functions called once": once,
        "class names defined twice": [f"{name}: {' '.join(modules)}" for name, modules in twice.items()],
        "class names twice on faces": [f"{name}: {' '.join(modules)}" for name, modules in on_faces.items()],
    }


def picture(house: House) -> str:
    """The rooms from the top floor down and whom each needs, in Mermaid; what a needed room needs itself is left out.

    What a room offers by name counts for who offers it, so the package's face and its former places are left out too.
    """
    floors = house.floors()
    needs: dict[str, set[str]] = defaultdict(set)
    for found in house.imports():
        source, target = _room(found.source), _room(found.target)
        if source != target and {source, target} <= floors.keys() - {"former"}:
            needs[source].add(target)
    lines = ["flowchart TD"]
    for room in sorted(needs, key=lambda room: (-floors[room], room)):
        below = set().union(*(_reachable(needs, target) for target in needs[room]))
        lines += [f"    {room} --> {target}" for target in sorted(needs[room] - below)]
    return "\n".join(lines)


MUST_BE_NONE = (
    "circles at run time", "circles with types", "arrows up at run time", "arrows up with types", "private across rooms"
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, default=[Path(__file__).resolve().parents[1]])
    parser.add_argument("--list", action="store_true", help="the places, too")
    parser.add_argument("--picture", action="store_true", help="only the rooms and who needs whom")
    options = parser.parse_args()
    if options.picture:
        print(picture(House(options.paths[-1])))
        return 0
    counts = [count(path) for path in options.paths]
    numbers = [{name: len(v) if isinstance(v, list) else v for name, v in each.items()} for each in counts]
    print(" " * 32, *(f"{path.resolve().name[-12:]:>12}" for path in options.paths))
    for name in numbers[0]:
        print(f"{name:32}", *(f"{each[name]:>12,}" for each in numbers))
    if options.list:
        for name, places in counts[-1].items():
            if isinstance(places, list) and places:
                print(f"\n{name}:", *places, sep="\n  ")
    print("RESULT", json.dumps(numbers[-1]))
    return 1 if any(numbers[-1][name] for name in MUST_BE_NONE) else 0


if __name__ == "__main__":
    sys.exit(main())
