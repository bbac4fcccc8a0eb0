"""Tests that are kept as pairs of input and output, in the shapes of public sets and of people's own rows.

    LiveCodeBench   public_test_cases, private_test_cases   [{"input": "1 2", "output": "3", "testtype": "stdin"}]
    APPS, TACO      input_output                            {"inputs": [...], "outputs": [...], "fn_name": ...}
    CodeContests    public_tests, private_tests             {"input": [...], "output": [...]}
    one's own       test_cases                              [{"input": [1, 3], "expected": 4}]

A pair calls a function with arguments, or runs the program on a text at its standard input. What the set calls public
may be shown and used to choose between attempts; all others only grade.
"""

from __future__ import annotations

import ast
import base64
import binascii
import io
import json
import keyword
import pickle
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nlrl.core import CodeTests, DataError, InputOutput, Problem, TaskType
from nlrl.tasks.columns import Row, is_missing, plain, shown, text_of

_MOST_BYTES = 500_000_000  # of one row's unpacked tests; LiveCodeBench's largest have some 100 MB


@dataclass(frozen=True, slots=True)
class Call:
    """Arguments of a call and what it must return, each as Python source."""

    arguments: str
    expected: str
    accepted: tuple[str, ...] = ()  # other results that count

    def check(self, function: str) -> str:
        """The pair as a statement. JSON has no tuples, so where it expects a list, a tuple is one."""
        result = f"{function}({self.arguments})"
        if "[" in self.expected:
            result = f"as_json({result})"
        if self.accepted:
            return f"assert {result} in ({', '.join((self.expected, *self.accepted))})"
        return f"assert {result} == {self.expected}"


_AS_JSON = """
def as_json(value):
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return {key: as_json(item) for key, item in value.items()} if isinstance(value, dict) else value
"""


def called(
    function: str, entry_point: str, public: Sequence[Call], hidden: Sequence[Call], prelude: str = ""
) -> CodeTests:
    """Tests that call a function; those that are public come first, and are no hidden ones."""
    shown_checks = tuple(dict.fromkeys(call.check(function) for call in public))
    checks = dict.fromkeys([*shown_checks, *(call.check(function) for call in hidden)])
    setup = _AS_JSON.lstrip() if any("as_json(" in check for check in checks) else ""
    return CodeTests(tuple(checks), shown_checks, entry_point, setup, prelude)


# --- LiveCodeBench ---------------------------------------------------------------------------------------------------


def livecodebench(row: Row, source: str) -> Problem:
    """`testtype` says how a pair is meant; private ones may be packed."""
    public = _cases(row.use("public_test_cases"), "public_test_cases")
    hidden = _cases(_unpacked(row.use("private_test_cases")), "private_test_cases")
    if not public and not hidden:
        raise DataError("there are no tests in public_test_cases and private_test_cases")
    starter = row.use("starter_code") or ""
    question = text_of(row.use("question_content"), "question_content")
    if all(case.get("testtype") == "functional" for case in (*public, *hidden)):
        name = _object(row.use("metadata") or "{}", "metadata").get("func_name")
        if not isinstance(name, str) or not name.isidentifier():
            raise DataError("the tests call a function, but metadata holds no func_name")
        calls = [[_call_of_lines(case) for case in cases] for cases in (public, hidden)]
        in_class = "class Solution" in starter or not starter
        tests = called(
            f"Solution().{name}" if in_class else name, "Solution" if in_class else name, *calls, prelude=_PRELUDE
        )
    else:
        pairs = [[_text_pair(case) for case in cases] for cases in (public, hidden)]
        tests = on_standard_input(*pairs, tolerance=0.0, prelude=_PRELUDE)
    return Problem(with_starter(question, starter, tests), None, TaskType.CODING, tests=tests, source=source)


def _cases(value: Any, column: str) -> list[Mapping[str, Any]]:
    value = _json(value, column) if isinstance(value, str) else plain(value)
    if is_missing(value):
        return []
    if not isinstance(value, Sequence) or not all(isinstance(case, Mapping) for case in value):
        raise DataError(f"{column} must hold a list of objects with input and output, not {shown(value)}")
    return list(value)


class _TextOnly(pickle.Unpickler):
    """Reads a pickled text; a pickle that names any class or function is refused, so nothing in it can run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no text")


def _unpacked(value: Any) -> Any:
    """LiveCodeBench packs its private tests: base64 of zlib of a pickled text of JSON."""
    if not isinstance(value, str) or value.lstrip()[:1] in ("[", ""):
        return value
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(value, validate=True), _MOST_BYTES)
        text = _TextOnly(io.BytesIO(data)).load()
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError) as error:
        raise DataError(f"private_test_cases cannot be unpacked: {error}") from None
    if not isinstance(text, str):
        raise DataError("private_test_cases cannot be unpacked: it holds no text")
    return text


def _call_of_lines(case: Mapping[str, Any]) -> Call:
    """One argument a line, each as JSON."""
    lines = [line for line in text_of(case.get("input", ""), "input").split("\n") if line.strip()]
    arguments = ", ".join(repr(_json(line, "input")) for line in lines)
    return Call(arguments, repr(_json(text_of(case.get("output"), "output"), "output")))


# --- APPS and TACO ---------------------------------------------------------------------------------------------------


def apps(row: Row, source: str) -> Problem:
    """All pairs are hidden: the question shows some of them, but does not say which."""
    pairs = _object(row.use("input_output"), "input_output")
    inputs, outputs = pairs.get("inputs"), pairs.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or not inputs:
        raise DataError(f"input_output must hold inputs and outputs, not {shown(pairs)}")
    if len(inputs) != len(outputs):
        raise DataError(f"input_output has {len(inputs)} inputs and {len(outputs)} outputs")
    question = text_of(row.use("question"), "question")
    starter = row.use("starter_code") or ""
    name = pairs.get("fn_name")
    if name:
        in_class = "class Solution" in starter
        calls = [_call_of_apps(given, wanted) for given, wanted in zip(inputs, outputs, strict=True)]
        function, entry = (f"Solution().{name}", "Solution") if in_class else (name, name)
        tests = called(function, entry, [], calls, prelude=_PRELUDE)
    else:
        texts = [(_lines(i), _lines(o)) for i, o in zip(inputs, outputs, strict=True)]
        tests = on_standard_input([], texts, prelude=_PRELUDE)
    return Problem(with_starter(question, starter, tests), None, TaskType.CODING, tests=tests, source=source)


def _call_of_apps(given: Any, wanted: Any) -> Call:
    """A result in a list of one also stands for the result itself."""
    arguments = ", ".join(map(repr, given)) if isinstance(given, list) else repr(given)
    if isinstance(wanted, list) and len(wanted) == 1:
        return Call(arguments, repr(wanted), (repr(wanted[0]),))
    return Call(arguments, repr(wanted))


def _lines(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else text_of(value, "input_output")


# --- CodeContests ----------------------------------------------------------------------------------------------------


def codecontests(row: Row, source: str) -> Problem:
    """Public, private and generated tests; all run the program on a text."""
    public = _text_pairs(row.use("public_tests"), "public_tests")
    hidden = [
        pair for column in ("private_tests", "generated_tests") for pair in _text_pairs(row.use(column), column)
    ]  # fmt: skip
    if not public and not hidden:
        raise DataError("there are no tests in public_tests, private_tests and generated_tests")
    tests = on_standard_input(public, hidden)
    column = "description" if row.has("description") else "question"
    question = text_of(row.use(column), column)
    return Problem(with_starter(question, "", tests), None, TaskType.CODING, tests=tests, source=source)


def _text_pairs(value: Any, column: str) -> list[tuple[str, str]]:
    """{"input": [...], "output": [...]}, or a list of {"input", "output"}."""
    value = _json(value, column) if isinstance(value, str) else plain(value)
    if is_missing(value):
        return []
    if isinstance(value, Mapping):
        inputs, outputs = plain(value.get("input")) or [], plain(value.get("output")) or []
        if len(inputs) != len(outputs):
            raise DataError(f"{column} has {len(inputs)} inputs and {len(outputs)} outputs")
        return [(text_of(i, column), text_of(o, column)) for i, o in zip(inputs, outputs, strict=True)]
    return [_text_pair(case) for case in _cases(value, column)]


def _text_pair(case: Mapping[str, Any]) -> tuple[str, str]:
    if "input" not in case or "output" not in case:
        raise DataError(f"a test needs 'input' and 'output'; this one has {', '.join(map(str, case))}")
    return text_of(case["input"], "input"), text_of(case["output"], "output")


# --- one's own -------------------------------------------------------------------------------------------------------

_EXPECTED = ("expected", "expected_output", "output", "result", "return")


def own_calls(cases: Any, question: str, entry_point: str | None, solution: str | None) -> tuple[str, CodeTests] | None:
    """The question and the tests of a row with `test_cases`: each calls the function, or (stdin, stdout) runs the
    program; None where there are none.

    A list is the arguments, an object the named arguments, anything else the only argument; where a solution shows that
    the function takes one argument, or the lists differ in length, a list is that argument.
    """
    found = _cases(cases, "test_cases")
    if not found:
        return None
    if all({"stdin", "stdout"} <= case.keys() for case in found):
        texts = [(text_of(case["stdin"], "stdin"), text_of(case["stdout"], "stdout")) for case in found]
        return with_starter(question, "", tests := on_standard_input([], texts, tolerance=1e-6)), tests
    pairs = [(_field(case, ("input", "inputs", "args", "arguments")), _field(case, _EXPECTED)) for case in found]
    parameters = _parameters(solution, entry_point)
    name = entry_point or next(iter(parameters), None) or _named(question)
    if name is None:
        raise DataError("the test_cases call a function, but nothing names it: add a column entry_point")
    known = parameters.get(name)
    spread = _is_spread([given for given, _ in pairs], known)
    calls = [Call(_arguments(given, known, spread=spread), repr(wanted)) for given, wanted in pairs]
    if not re.search(rf"\b{re.escape(name)}\b", question):
        signature = f"{name}({', '.join(known)})" if known is not None else name
        question = f"{question}\n\nThe function is called `{signature}`."
    return question, called(name, name, [], calls)


def _field(case: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if name in case:
            return plain(case[name])
    raise DataError(f"a test of test_cases needs {names[0]!r}; this one has {', '.join(map(str, case))}")


def _is_spread(inputs: Sequence[Any], parameters: Sequence[str] | None) -> bool:
    """Whether a list holds the arguments, and is not the only argument itself."""
    sizes = {len(given) for given in inputs if isinstance(given, list)}
    if parameters is not None:
        return len(parameters) != 1 or (sizes == {1} and all(isinstance(given[0], list) for given in inputs))
    return len(sizes) == 1


def _arguments(given: Any, parameters: Sequence[str] | None, *, spread: bool) -> str:
    if isinstance(given, Mapping) and given and (parameters is None or set(given) <= set(parameters)):
        names = [str(name) for name in given]
        if all(name.isidentifier() and not keyword.iskeyword(name) for name in names):
            return ", ".join(f"{name}={value!r}" for name, value in given.items())
    return ", ".join(map(repr, given)) if spread and isinstance(given, list) else repr(given)


def _parameters(solution: str | None, entry_point: str | None) -> dict[str, list[str]]:
    """The parameters of the functions that a solution defines; the wanted one, else the last one first."""
    try:
        tree = ast.parse(solution or "")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return {}
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    defined.sort(key=lambda node: node.name == entry_point)
    return {node.name: [a.arg for a in (*node.args.posonlyargs, *node.args.args)] for node in reversed(defined)}


def _named(question: str) -> str | None:
    """The function that a question names."""
    for pattern in (
        r"\bdef\s+(\w+)\s*\(",
        r"`(\w+)\s*\(",
        r"\b(?:called|named)\s+[`'\"]?([A-Za-z_]\w*)",
        r"`([A-Za-z_]\w+)`",
    ):
        if match := re.search(pattern, question):
            return match[1]
    return None


# --- shared ----------------------------------------------------------------------------------------------------------

_IMPORTS = "from typing import Any, Dict, List, Optional, Set, Tuple, Union"
_ON_STANDARD_INPUT = "Write a whole program: it reads the input from standard input and prints the output."


def with_starter(question: str, starter: str, tests: CodeTests) -> str:
    """The question with the code to begin with, or how the program is to be called where it is none."""
    if starter.strip():
        imports = f"{_IMPORTS}\n\n" if re.search(r"\b(?:List|Dict|Optional|Tuple|Set|Any|Union)\b", starter) else ""
        return f"{question.rstrip()}\n\nBegin with this code:\n\n```python\n{imports}{starter.strip()}\n```"
    return question if tests.entry_point else f"{question.rstrip()}\n\n{_ON_STANDARD_INPUT}"


_GIVEN = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools",
    "functools", "operator", "io", "sys", "json", "builtins", "typing",
)  # fmt: skip
_PRELUDE = "".join(f"from {name} import *\n" for name in _GIVEN) + "".join(f"import {name}\n" for name in _GIVEN[:-2])
_PRELUDE += "sys.setrecursionlimit(50000)\n"
"""What the evaluators of LiveCodeBench and APPS run before every program: solutions count on it, as on LeetCode."""


def on_standard_input(
    public: Sequence[tuple[str, str]],
    hidden: Sequence[tuple[str, str]],
    *,
    tolerance: float = 1e-5,
    prelude: str = "",
) -> CodeTests:
    """Tests that run the program on a text and compare what it prints, word by word; numbers count by value.

    The tolerance is for fractions: AlphaCode's for CodeContests, and numpy's, which APPS takes; LiveCodeBench has none.
    """
    shown_checks = tuple(dict.fromkeys(InputOutput(i, o, tolerance=tolerance) for i, o in public))
    checks = dict.fromkeys([*shown_checks, *(InputOutput(i, o, tolerance=tolerance) for i, o in hidden)])
    return CodeTests(tuple(checks), shown_checks, prelude=prelude)


def _json(value: Any, column: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{column} is not JSON: {error}") from None


def _object(value: Any, column: str) -> Mapping[str, Any]:
    value = _json(value, column) if isinstance(value, str) else plain(value)
    if not isinstance(value, Mapping):
        raise DataError(f"{column} must hold an object, not {shown(value)}")
    return value
