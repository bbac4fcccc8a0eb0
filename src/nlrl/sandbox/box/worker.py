"""Holds the program under test, and nothing else: no test, no expected value, only the arguments of its calls.

Runs the program once, says how that went, then answers requests until the judge hangs up. The program may do to this
process what it likes; all it can reach is its own end of the channel, where nothing but answers can be given.
"""

from __future__ import annotations

import linecache
import socket
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

from nlrl.sandbox.box.channel import Broken, Channel, Gone
from nlrl.sandbox.box.codec import Malformed, decode, encode
from nlrl.sandbox.box.plain import std_base

FILENAME = "<program>"


def load(source: str, name: str) -> types.ModuleType:
    """A module to run the program in; tracebacks show its lines."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    linecache.cache[FILENAME] = (len(source), None, source.splitlines(keepends=True), FILENAME)
    return module


def run(source: str, fd: int) -> None:
    """Run the program and serve the judge at the other end of the socket `fd`."""
    channel = Channel(socket.socket(fileno=fd))
    module = load(source, "solution")  # not __main__: a program's own `if __name__ == "__main__":` is not run
    server = _Server(channel, module)
    try:
        exec(compile(source, FILENAME, "exec"), module.__dict__)  # noqa: S102  (this is what the box is for)
    except BaseException as error:  # a boundary: whatever the program does becomes an answer
        channel.send(server.failure(error))
        return
    channel.send(("ok", encode(None), None))
    sys.setrecursionlimit(sys.getrecursionlimit() + 10)  # the frames here must not count against the program
    try:
        while True:
            channel.send(server.answer(channel.receive()))
    except Gone:
        return


class _Function:
    """A function of the tests that the program was handed."""

    def __init__(self, server: _Server, number: int):
        self._server, self._number = server, number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._server.call_back(self._number, args, kwargs)


class _Server:
    def __init__(self, channel: Channel, module: types.ModuleType):
        self._channel, self._module = channel, module
        self._objects: list[Any] = []  # what handles stand for; kept for the life of the process
        self._numbers: dict[int, int] = {}  # id(object) -> handle number

    def answer(self, message: tuple[Any, ...]) -> tuple[Any, ...]:
        """The reply to a request; every failure is a reply too."""
        try:
            verb, target, data = message
            args, kwargs = decode(data, self._resolve)
            subject = None if target is None else self._objects[target]
            if verb != "call":
                return ("ok", self._encode(_VERBS[verb](self._module, subject, *args)), None)
            result = subject(*args, **kwargs)  # type: ignore[misc]
            # The result first: changing arguments while it is read (a lazy view) must not change it.
            encoded = self._encode(result)
            return ("ok", encoded, self._changes(args, kwargs, data))
        except (Gone, Broken):
            raise
        except BaseException as error:  # a boundary: whatever the program raises becomes an answer
            return self.failure(error)

    def failure(self, error: BaseException) -> tuple[Any, ...]:
        """An exception as a message: its standard class, its name, its plain arguments, and where it came from."""
        try:
            args = encode(error.args)
        except (Malformed, RecursionError):
            args = encode(())
        try:
            text = str(error)[:500]
        except Exception:  # a boundary: the program's own __str__
            text = ""
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__, -200) if f.filename == FILENAME]
        where = f" (line {lines[-1]} of the program)" if lines else ""
        return ("raise", std_base(type(error)), type(error).__name__, args, text + where)

    def call_back(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Ask the judge to run one of its functions; serves requests that come in between."""
        self._channel.send(("callback", number, self._encode((args, kwargs))))
        while True:
            match self._channel.receive():
                case ("ok", data, _):
                    return decode(data, self._resolve)
                case ("raise", base, name, data, text):
                    kind = getattr(__import__("builtins"), base)
                    raise kind(*decode(data)) if kind is not BaseException else RuntimeError(f"{name}: {text}")
                case request:
                    self._channel.send(self.answer(request))

    def _changes(self, args: tuple[Any, ...], kwargs: dict[str, Any], sent: bytes) -> bytes | None:
        """The arguments as they are after the call, None if they are what was sent."""
        if not any(tag in sent for tag in b"lDSBQOCEA"):  # no mutable container (in a text: that costs time only)
            return None
        try:
            if self._encode((args, kwargs)) == sent:
                return None
            return self._encode((*args, *kwargs.values()))
        except Malformed:
            return None

    def _encode(self, value: Any) -> bytes:
        return encode(value, self._export, lambda x: x._number if type(x) is _Function else None)

    def _export(self, x: Any) -> tuple[int, str]:
        number = self._numbers.get(id(x))
        if number is None:
            number = self._numbers[id(x)] = len(self._objects)
            self._objects.append(x)
        return number, x.__name__ if isinstance(x, type) else type(x).__name__

    def _resolve(self, own: bool, number: int, kind: str) -> Any:
        return self._objects[number] if own else _Function(self, number)


def _global(module: types.ModuleType, subject: Any, name: str) -> Any:
    try:
        return vars(module)[name]
    except KeyError:
        raise NameError(f"the program does not define {name!r}") from None


def _set_item(module: types.ModuleType, subject: Any, key: Any, value: Any) -> None:
    subject[key] = value


_VERBS: dict[str, Callable[..., Any]] = {
    "global": _global,
    "getattr": lambda module, subject, name: getattr(subject, name),
    "setattr": lambda module, subject, name, value: setattr(subject, name, value),
    "getitem": lambda module, subject, key: subject[key],
    "setitem": _set_item,
    "len": lambda module, subject: len(subject),
    "bool": lambda module, subject: bool(subject),
    "iter": lambda module, subject: iter(subject),
    "next": lambda module, subject: next(subject),
    "str": lambda module, subject: str(subject),
    "isinstance": lambda module, subject, kind: isinstance(subject, kind),
}
