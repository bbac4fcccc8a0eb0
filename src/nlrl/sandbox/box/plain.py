"""What counts as plain data, and which standard things may travel by name.

std_name(math.isclose)     -> "math.isclose"     the receiver takes its own, genuine one
base_value(MyInt(3))       -> 3                  a subclass that adds nothing is its base value
base_value(Stack([1]))     -> NOT_PLAIN          a subclass with public methods is an object: it goes as a handle
"""

from __future__ import annotations

import builtins
import importlib
import types
from collections.abc import Callable
from typing import Any

PURE_MODULES = frozenset(
    {"math", "cmath", "operator", "collections", "itertools", "functools", "fractions", "decimal", "statistics"}
    | {"string", "re", "heapq", "bisect", "copy", "datetime", "random"}
)
"""Standard modules whose functions may travel by name: they compute, and touch nothing outside."""

EXCEPTION_MODULES = frozenset(
    {"json.decoder", "queue", "asyncio.exceptions", "dataclasses", "struct", "csv", "binascii", "zlib", "configparser"}
    | {"argparse", "graphlib", "concurrent.futures", "calendar", "zoneinfo", "xml.etree.ElementTree"}
)
"""Further standard modules whose exception classes may travel by name, and nothing else of them."""

_IMPURE_BUILTINS = {
    "breakpoint", "compile", "copyright", "credits", "delattr", "dir", "eval", "exec", "exit", "getattr", "globals",
    "hasattr", "help", "input", "license", "locals", "open", "print", "quit", "setattr", "vars",
}  # fmt: skip
PURE_BUILTINS = frozenset(
    name for name, x in vars(builtins).items() if callable(x) and name[0] != "_" and name not in _IMPURE_BUILTINS
)
"""Types, exceptions and functions that may travel by name. The other builtins reach for files, frames or code."""

NOT_PLAIN = object()

_CALLABLES = (type, types.FunctionType, types.BuiltinFunctionType)

# Each takes the base's own view of a value, so that an overridden __eq__, __iter__ or __int__ has no say.
_BASES: dict[type, Callable[[Any], Any]] = {
    int: lambda x: int.__add__(x, 0),
    float: lambda x: float.__add__(x, 0.0),
    complex: lambda x: complex.__add__(x, 0),
    str: lambda x: "".join(str.__iter__(x)),
    bytes: lambda x: bytes(bytes.__iter__(x)),
    list: lambda x: [*list.__iter__(x)],
    tuple: lambda x: (*tuple.__iter__(x),),
    dict: lambda x: dict(dict.items(x)),
    set: lambda x: {*set.__iter__(x)},
    frozenset: lambda x: frozenset(frozenset.__iter__(x)),
}


def std_name(x: Any) -> str | None:
    """Its name, if this is a function, type or module of the standard library that may travel by name."""
    if isinstance(x, types.ModuleType):
        return x.__name__ if std_object(x.__name__) is x else None
    if not isinstance(x, _CALLABLES):
        return None
    module, name = getattr(x, "__module__", None), getattr(x, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    where = f"{module.lstrip('_')}.{name}"  # the C halves: _collections.deque, _operator.add
    return where if std_object(where) is x else None


def std_object(where: str) -> Any:
    """The receiver's own object of that name, NOT_PLAIN if none may travel by it."""
    module, _, name = where.rpartition(".")
    if where in PURE_MODULES:
        return importlib.import_module(where)
    if module == "builtins" and name in PURE_BUILTINS:
        return getattr(builtins, name)
    if module in PURE_MODULES and name.isidentifier() and not name.startswith("_"):
        found = getattr(importlib.import_module(module), name, None)
        if isinstance(found, _CALLABLES):
            return found
    if module in EXCEPTION_MODULES and name.isidentifier():
        found = getattr(importlib.import_module(module), name, None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    return NOT_PLAIN


def named_fields(x: Any) -> tuple[str, tuple[str, ...], tuple[Any, ...]] | None:
    """(type name, field names, values) of a named tuple."""
    fields = getattr(type(x), "_fields", None)
    if issubclass(type(x), tuple) and type(fields) is tuple and all(type(f) is str for f in fields):
        return type(x).__name__, fields, (*tuple.__iter__(x),)
    return None


def base_value(x: Any) -> Any:
    """The value of a subclass of a plain type, or of a numpy scalar; NOT_PLAIN for everything else."""
    kind = type(x)  # not __class__, which a program may fake
    if kind.__module__ == "numpy" and hasattr(x, "item") and not getattr(x, "shape", True):
        return x.item()
    base = next((b for b in kind.__mro__ if b in _BASES), None)
    if base is None:
        return NOT_PLAIN
    for owner in kind.__mro__[: kind.__mro__.index(base)]:
        if any(not n.startswith("_") and (callable(v) or isinstance(v, property)) for n, v in vars(owner).items()):
            return NOT_PLAIN
    return _BASES[base](x)


def std_base(kind: type[BaseException]) -> str:
    """The name of the nearest standard exception class."""
    return next(k.__name__ for k in kind.__mro__ if k.__module__ == "builtins")
