"""Which packages of this environment programs and tests may import, and which imports of tests would fail.

    visible_packages(["numpy"])
    -> Visible(paths=(".../numpy", ".../numpy.libs"), folders=(".../site-packages",), names={"numpy"}, ...)
    missing_imports(["import numpy as np"], visible_packages(()))    -> ["numpy"]

A package is shown with what it requires, and nothing else of its folder. Where the box can only be given whole folders
to look into (Landlock), it is imported before the box is closed.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlrl.core import UserError

_SYSTEM = (Path("/"), Path("/usr"), Path("/usr/local"), Path.home())
_SYSTEM_FILES = ("/usr/bin", "/bin", "/etc/alternatives", "/etc/ld.so.cache")
_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+[\w.]", re.M)
_REQUIREMENT = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class Visible:
    """What a box shows beside Python itself.

    paths    files and folders, read-only
    folders  where Python looks for modules
    names    what can be imported from there
    preload  modules to import once instead of in each run
    """

    paths: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    preload: tuple[str, ...] = ()


def visible_packages(packages: Iterable[str], preload: Sequence[str] = (), programs: Sequence[str] = ()) -> Visible:
    """For names of installed packages, and for folders of modules; with programs, which bring the system's own.

    Raises UserError for what is not installed.
    """
    paths: dict[str, None] = {}
    folders: dict[str, None] = {}
    names: set[str] = set()
    early: list[str] = []
    for package in packages:
        if os.sep in package:
            folder = Path(package).resolve()
            paths[str(folder)] = folders[str(folder)] = None
            with contextlib.suppress(OSError):
                names.update(path.name.partition(".")[0] for path in folder.iterdir())
            continue
        for number, (distribution, tops) in enumerate(_with_requirements(package)):
            folders[str(Path(str(distribution.locate_file(""))).resolve())] = None
            for top in tops:
                path = Path(str(distribution.locate_file(top))).resolve()
                if path.exists():
                    paths[str(path)] = None
                if (path / "__init__.py").exists() or path.suffix == ".py":
                    names.add(path.stem)
                    if number == 0 and not path.stem.startswith("_"):
                        early.append(path.stem)
    paths |= dict.fromkeys(_of_programs(programs))
    return Visible(tuple(paths), tuple(folders), frozenset(names), (*preload, *early))


def _of_programs(programs: Sequence[str]) -> Iterator[str]:
    """A program, what it is a link to, and the folder of a toolchain (PREFIX/bin/program) beside it."""
    for program in programs:
        for path in (Path(program).absolute(), Path(program).resolve()):
            if path.exists():
                yield str(path)
        home = Path(program).resolve().parent
        if home.name == "bin" and home.parent not in _SYSTEM and not home.is_relative_to("/usr"):
            yield str(home.parent)
    if programs:
        yield from (path for path in _SYSTEM_FILES if Path(path).exists())


def missing_imports(sources: Iterable[str], visible: Visible) -> list[str]:
    """Packages that these texts import and that are neither Python's own nor visible; not those in a `try`."""
    known = sys.stdlib_module_names | visible.names | {"__future__"}
    found = (name for source in sources if _IMPORT.search(source) for name in _imported(source))
    return [name for name in dict.fromkeys(found) if name not in known]


def missing_message(missing: Sequence[str]) -> str:
    """What to say and to do about tests that import what is not there."""
    names = ", ".join(missing)
    return (
        f"the tests import {names}, which the sandbox does not show: choose it with --sandbox-packages {missing[0]} "
        f'(Sandbox(packages=["{missing[0]}"])); names of the program itself need no import'
    )


@functools.lru_cache(maxsize=1024)
def _imported(source: str) -> tuple[str, ...]:
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return tuple(dict.fromkeys(name.partition(".")[0] for name in _imports(ast.parse(source))))
    return ()


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Try():
                for part in (*child.handlers, *child.orelse, *child.finalbody):
                    yield from _imports(part)
            case _:
                yield from _imports(child)


def _with_requirements(package: str) -> Iterator[tuple[importlib.metadata.Distribution, list[str]]]:
    """The package's distribution and those it requires, each with the entries of its folder."""
    todo, seen = [package], set[str]()
    for number, name in enumerate(todo):
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in seen:
            continue
        seen.add(key)
        try:
            distribution = _distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if number:
                continue  # required elsewhere (another system, another Python), and not here
            raise UserError(
                f"The package {name!r} is not installed beside nlrl, so programs cannot import it. "
                f"Next step: pip install {name}, or leave it out of --sandbox-packages."
            ) from None
        yield distribution, _tops(distribution)
        for line in distribution.requires or ():
            required, _, marker = line.partition(";")
            if "extra" not in marker and (match := _REQUIREMENT.match(required.strip())):
                todo.append(match[0])


def _distribution(name: str) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        providers = importlib.metadata.packages_distributions().get(name)  # "sklearn", of scikit-learn
        if not providers:
            raise
        return importlib.metadata.distribution(providers[0])


def _tops(distribution: importlib.metadata.Distribution) -> list[str]:
    parts = (file.parts[0] for file in distribution.files or () if len(file.parts) and file.parts[0] != "..")
    return [top for top in dict.fromkeys(parts) if top not in ("__pycache__", os.sep)]
