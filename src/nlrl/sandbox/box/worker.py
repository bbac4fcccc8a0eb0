"""Holds the program under test, and nothing else: no test, no expected value, only the arguments of its calls.

Runs the program once, says how that went, then answers requests until the judge hangs up. The program may do to this
process what it likes; all it can reach is its own end of the channel, where nothing but answers can be given.
"""

from __future__ import annotations

import builtins
import functools
import io
import linecache
import socket
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

from nlrl.sandbox.box.channel import Broken, Channel, Gone
from nlrl.sandbox.box.codec import Malformed, decode, encode
from nlrl.sandbox.box.plain import std_base, std_name

FILENAME = "<program>"
MAX_PRINTED = 1 << 20  # bytes of one stream in all; what a program prints beyond that is dropped


def load(source: str, name: str) -> types.ModuleType:
    """A module to run the program in; tracebacks show its lines."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    linecache.cache[FILENAME] = (len(source), None, source.splitlines(keepends=True), FILENAME)
    return module


def run(source: str, prelude: str, fd: int) -> None:
    """Run the prelude, then the program and serve the judge at the other end of the socket `fd`."""
    channel = Channel(socket.socket(fileno=fd))
    module = load(source, "solution")  # not __main__: a program's own `if __name__ == "__main__":` is not run
    server = _Server(channel, module)
    server.lend_streams()
    try:
        exec(compile(prelude, "<prelude>", "exec"), module.__dict__)  # noqa: S102  (this is what the box is for)
        exec(compile(source, FILENAME, "exec"), module.__dict__)  # noqa: S102  (this is what the box is for)
    except BaseException as error:  # a boundary: whatever the program does becomes an answer
        server.send(server.failure(error))
        return
    server.send(("ok", encode(None), None))
    sys.setrecursionlimit(sys.getrecursionlimit() + 10)  # the frames here must not count against the program
    try:
        while True:
            server.send(server.answer(channel.receive()))
    except Gone:
        return


class _Printed(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._data, self._left = bytearray(), MAX_PRINTED

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = len(data)
        self._data += bytes(data[: self._left])
        self._left -= min(size, self._left)
        return size

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class _Asked(io.TextIOBase):
    """The tests' standard input. Nothing is read ahead: it may be another one in the next test."""

    def __init__(self, ask: Callable[..., Any]):
        self.read = functools.partial(ask, "read")  # type: ignore[method-assign]
        self.readline = functools.partial(ask, "readline")  # type: ignore[method-assign]

    @property
    def buffer(self) -> Any:
        return _AskedBytes(self)


class _AskedBytes(io.BufferedIOBase):
    def __init__(self, text: _Asked):
        self.read = lambda size=-1: text.read(size).encode()  # type: ignore[method-assign,assignment]
        self.readline = lambda size=-1: text.readline(size).encode()  # type: ignore[method-assign,assignment]


class _Function:
    """A function of the tests that the program was handed."""

    def __init__(self, server: _Server, number: int):
        self._server, self._number = server, number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._server.call_back(self._number, args, kwargs)


class _Server:
    def __init__(self, channel: Channel, module: types.ModuleType):
        self._channel, self.module = channel, module
        self._objects: list[Any] = []  # what handles stand for; kept for the life of the process
        self._numbers: dict[int, int] = {}  # id(object) -> handle number
        self._printed: dict[str, tuple[io.TextIOWrapper, _Printed]] = {}
        self._runner: Any = None  # the event loop of the program, once it needs one

    def lend_streams(self) -> None:
        """What the program prints goes to the tests' streams, and what it reads comes from there."""
        for name in ("stdout", "stderr"):
            raw = _Printed()
            text = io.TextIOWrapper(raw, "utf-8", "backslashreplace", newline="", write_through=True)  # type: ignore[arg-type]
            self._printed[name] = text, raw
            setattr(sys, name, text)
            setattr(sys, f"__{name}__", text)
        sys.stdin = sys.__stdin__ = _Asked(self._ask)  # type: ignore[misc,assignment]
        builtins.input = lambda prompt="", /: self._ask("input", str(prompt))

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a message, and before it what has been printed since the last one."""
        for name, (text, raw) in self._printed.items():
            if not text.closed:
                text.flush()
            if data := raw.take():
                self._channel.send(("print", name, data.decode("utf-8", "replace")))
        self._channel.send(message)

    def wait(self, awaitable: Any) -> Any:
        """Run something that can be awaited to its end, in the program's own event loop."""
        if self._runner is None:
            import asyncio  # not at the top: most programs do without

            self._runner = asyncio.Runner()

        async def run() -> Any:
            return await awaitable

        return self._runner.run(run())

    def answer(self, message: tuple[Any, ...]) -> tuple[Any, ...]:
        """The reply to a request; every failure is a reply too."""
        try:
            verb, target, data = message
            args, kwargs = decode(data, self._resolve)
            subject = None if target is None else self._objects[target]
            if verb != "call":
                return ("ok", self._encode(_VERBS[verb](self, subject, *args)), None)
            result = subject(*args, **kwargs)  # type: ignore[misc]
            # The result first: changing arguments while it is read (a lazy view) must not change it.
            encoded = self._encode(result)
            return ("ok", encoded, self._changes(args, kwargs, data))
        except (Gone, Broken):
            raise
        except BaseException as error:  # a boundary: whatever the program raises becomes an answer
            return self.failure(error)

    def failure(self, error: BaseException) -> tuple[Any, ...]:
        """An exception as a message: its nearest builtin class, its name, its plain arguments, its text, where it came
        from; its class, and with it the exception itself, or its attributes where the class is a standard one."""
        try:
            args = encode(error.args)
        except (Malformed, RecursionError):
            args = encode(())
        try:
            text = str(error)[:500]
        except Exception:  # a boundary: the program's own __str__
            text = ""
        try:
            more = self._encode((type(error), error if std_name(type(error)) is None else _attributes(error)))
        except Exception:  # a boundary: an exception that is made to be difficult goes as its nearest builtin
            more = None
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__, -200) if f.filename == FILENAME]
        where = f" (line {lines[-1]} of the program)" if lines else ""
        return ("raise", std_base(type(error)), type(error).__name__, args, text, where, more)

    def call_back(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Ask the judge to run one of its functions."""
        return self._wait_for(("callback", number, self._encode((args, kwargs))))

    def _ask(self, what: str, *args: Any) -> Any:
        """Ask for the tests' standard input: "input", "read" or "readline"."""
        return self._wait_for(("ask", what, encode(args)))

    def _wait_for(self, message: tuple[Any, ...]) -> Any:
        """Send what the judge answers; serves requests that come in between."""
        self.send(message)
        while True:
            match self._channel.receive():
                case ("ok", data, _):
                    return decode(data, self._resolve)
                case ("raise", base, name, data, text):
                    kind = getattr(builtins, base)
                    raise kind(*decode(data)) if kind is not BaseException else RuntimeError(f"{name}: {text}")
                case request:
                    self.send(self.answer(request))

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
        if isinstance(x, type):
            return number, f"exception:{x.__name__}" if issubclass(x, BaseException) else x.__name__
        name = type(x).__name__
        return number, f"coroutine:{name}" if isinstance(x, types.CoroutineType) else name

    def _resolve(self, own: bool, number: int, kind: str) -> Any:
        return self._objects[number] if own else _Function(self, number)


def _attributes(error: BaseException) -> dict[str, Any]:
    """Those attributes of a standard exception that are plain."""
    return {name: value for name, value in vars(error).items() if type(value) in (int, float, str, type(None))}


def _global(server: _Server, subject: Any, name: str) -> Any:
    space = vars(server.module)
    if name in space:
        return space[name]
    solution = space.get("Solution")  # as LeetCode and its data sets have it
    if isinstance(solution, type) and callable(getattr(solution, name, None)):
        return getattr(solution(), name)
    raise NameError(f"the program does not define {name!r}") from None


def _set_item(server: _Server, subject: Any, key: Any, value: Any) -> None:
    subject[key] = value


def _del_item(server: _Server, subject: Any, key: Any) -> None:
    del subject[key]


def _leave(server: _Server, subject: Any, kind: type[BaseException] | None) -> Any:
    return type(subject).__exit__(subject, kind, None if kind is None else kind(), None)


def _leave_async(server: _Server, subject: Any, kind: type[BaseException] | None) -> Any:
    return server.wait(type(subject).__aexit__(subject, kind, None if kind is None else kind(), None))


_VERBS: dict[str, Callable[..., Any]] = {
    "global": _global,
    "getattr": lambda server, subject, name: getattr(subject, name),
    "setattr": lambda server, subject, name, value: setattr(subject, name, value),
    "getitem": lambda server, subject, key: subject[key],
    "setitem": _set_item,
    "delitem": _del_item,
    "len": lambda server, subject: len(subject),
    "bool": lambda server, subject: bool(subject),
    "iter": lambda server, subject: iter(subject),
    "next": lambda server, subject: next(subject),
    "str": lambda server, subject: str(subject),
    "repr": lambda server, subject: repr(subject),
    "isinstance": lambda server, subject, kind: isinstance(subject, kind),
    "bases": lambda server, subject: subject.__bases__,
    "await": lambda server, subject: server.wait(subject),
    "aiter": lambda server, subject: type(subject).__aiter__(subject),
    "anext": lambda server, subject: server.wait(type(subject).__anext__(subject)),
    "enter": lambda server, subject: type(subject).__enter__(subject),
    "exit": _leave,
    "aenter": lambda server, subject: server.wait(type(subject).__aenter__(subject)),
    "aexit": _leave_async,
}
