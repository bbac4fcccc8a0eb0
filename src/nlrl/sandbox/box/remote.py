"""The program under test as the judge sees it: proxies whose every use is a message to the worker.

    f = peer.named("add")      # a Remote
    f(2, 3)                    # ("call", ...) -> 5, a genuine int
    root = peer.named("Node")(1); root.left   # objects of the program's own classes stay where they are

What a Remote does *not* do matters most. It is never compared, ordered, searched or calculated with by asking the
worker: `==` is identity, `<`, `in` and `-` are type errors. So an expected value on the other side of an operator
never leaves the judge, and an `__eq__` or `__sub__` that flatters it is never run. In a `with` the program's `__exit__`
runs, and may swallow nothing.

Exception classes of the program are classes here too, since `except` takes nothing else, and its coroutines are
coroutines, which run over there. What the program prints, and what it reads from standard input, goes through the
tests' own streams, so that tests can redirect them.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

from nlrl.sandbox.box.channel import Broken, Channel, Gone
from nlrl.sandbox.box.codec import Malformed, decode, encode
from nlrl.sandbox.box.plain import std_base

_MUTABLE = (list, dict, set, bytearray, deque, OrderedDict, Counter, defaultdict)
_SENDABLE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial, type)
MAX_NESTED_CALLS = 50  # the program calls the test's function, which calls the program, and so on


class Remote:
    """Something that lives in the worker."""

    __slots__ = ("__kind", "__number", "__peer")

    def __init__(self, peer: Peer, number: int, kind: str):
        set_slot = object.__setattr__
        set_slot(self, "_Remote__peer", peer)
        set_slot(self, "_Remote__number", number)
        set_slot(self, "_Remote__kind", kind)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__peer.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__name__", "__doc__", "__dict__"):
            raise AttributeError(name)
        return self.__peer.use("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__peer.use("setattr", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self.__peer.use("getitem", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__peer.use("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self.__peer.use("delitem", self, key)

    def __len__(self) -> int:
        return self.__peer.use("len", self)

    def __bool__(self) -> bool:
        return self.__peer.use("bool", self) is True

    def __iter__(self) -> Any:
        return self.__peer.use("iter", self)

    def __next__(self) -> Any:
        return self.__peer.use("next", self)

    def __str__(self) -> str:
        return self.__peer.use("str", self)

    def __repr__(self) -> str:
        return self.__peer.use("repr", self)

    def __enter__(self) -> Any:
        return self.__peer.use("enter", self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _swallow(self.__peer.use("exit", self, _standard(kind)), kind)

    async def __aenter__(self) -> Any:
        return self.__peer.use("aenter", self)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _swallow(self.__peer.use("aexit", self, _standard(kind)), kind)

    def __aiter__(self) -> Any:
        return self.__peer.use("aiter", self)

    async def __anext__(self) -> Any:
        return self.__peer.use("anext", self)

    def __contains__(self, value: Any) -> bool:
        raise TypeError(f"'in' is not asked of {describe(self)}: it would see the value that the test looks for")

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, Remote) and self.__peer.use("isinstance", instance, self) is True

    __eq__ = object.__eq__  # identity; see above
    __hash__ = object.__hash__


def describe(remote: Remote) -> str:
    """For messages, without asking the worker."""
    return f"<{object.__getattribute__(remote, '_Remote__kind')} of the program>"


def _number(x: Any) -> int | None:
    if type(x) is Remote:
        return object.__getattribute__(x, "_Remote__number")
    if type(x) is ProgramClass or type(type(x)) is ProgramClass:
        return _number(type.__getattribute__(x, "_remote") if type(x) is ProgramClass else x._remote)
    return None


def _standard(kind: type[BaseException] | None) -> type[BaseException] | None:
    """What the program's `__exit__` is told: a standard class. No text, which may hold what the test expects."""
    return None if kind is None else getattr(builtins, std_base(kind))


def _swallow(answer: object, kind: type[BaseException] | None) -> None:
    if answer and kind is not None and issubclass(kind, Exception) and not issubclass(kind, AssertionError):
        raise RuntimeError(f"the program's __exit__ would swallow this {kind.__name__}, which no program may")


class ProgramClass(type):
    """An exception class of the program, as a class of the judge's own: `except` takes nothing else."""

    _peer: Peer
    _remote: Remote

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = cls._peer.call(cls._remote, args, kwargs)
        return cls.holding(made, args) if type(made) is Remote else made

    def holding(cls, remote: Remote, args: Any) -> Any:
        """An exception of this class that stands for one of the program's."""
        error: Any = BaseException.__new__(cls)  # type: ignore[call-overload]
        error.args = args if type(args) is tuple else ()
        error._remote = remote
        return error

    def __instancecheck__(cls, instance: Any) -> bool:
        if type(instance) is Remote:
            return cls._peer.use("isinstance", instance, cls) is True
        return type.__instancecheck__(cls, instance)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls._remote, name)


def _program_class(peer: Peer, remote: Remote, name: str, bases: Any) -> ProgramClass:
    kept = [b for b in bases if isinstance(b, type) and issubclass(b, Exception)] if type(bases) is tuple else []
    kept = [RuntimeError if issubclass(b, (StopIteration, StopAsyncIteration)) else b for b in kept]  # see _exception
    space = {
        "_peer": peer, "_remote": remote, "__module__": "__main__", "__str__": lambda error: str(error._remote),
        "__getattr__": lambda error, name: getattr(error._remote, name),
    }  # fmt: skip
    try:
        return ProgramClass(name, tuple(dict.fromkeys(kept)) or (Exception,), space)
    except TypeError:  # bases that fit there and not here
        return ProgramClass(name, (Exception,), space)


class Peer:
    """The judge's end: sends requests, decodes replies, lends the test's own functions to the program.

    broken  why nothing more can be asked, once the worker is gone or has sent nonsense
    """

    def __init__(self, channel: Channel):
        self._channel = channel
        self._arrived: dict[int, Any] = {}  # by handle number
        self._lent: list[Any] = []  # functions of the tests that the program may call
        self._nested = 0
        self.broken: Gone | Broken | None = None
        self.requests = 0

    def loaded(self) -> None:
        """Wait until the program has been run once; raises what it raised."""
        self._reply(())

    def named(self, name: str) -> Any:
        """A global of the program. Raises NameError (as the program's fault) if it has none of that name."""
        return self.use("global", None, name)

    def call(self, target: Remote, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call it; changes that it made to mutable arguments are made here too."""
        self._send("call", _number(target), self._encode((args, kwargs)))
        return self._reply((*args, *kwargs.values()))

    def use(self, verb: str, target: Remote | None, *args: Any) -> Any:
        """One of the other things that can be done with a Remote."""
        self._send(verb, _number(target), self._encode((args, {})))
        value = self._reply((), verb)
        wanted = {"str": str, "repr": str, "len": int}.get(verb)
        if wanted is not None and type(value) is not wanted:
            raise TypeError(f"{verb}() of the program's object is no {'number' if verb == 'len' else 'string'}")
        return value

    def _encode(self, value: Any) -> bytes:
        try:
            return encode(value, self._lend, self._own)
        except Malformed as error:
            raise TypeError(f"the test cannot hand this to the program: {error}") from None

    def _own(self, x: Any) -> int | None:
        if type(x) is types.CoroutineType:
            return next((number for number, arrived in self._arrived.items() if arrived is x), None)
        return _number(x)

    def _lend(self, x: Any) -> tuple[int, str]:
        if not isinstance(x, _SENDABLE):
            raise Malformed(f"an object of the tests' own class {type(x).__name__!r}")
        for number, lent in enumerate(self._lent):
            if lent is x:
                return number, "function"
        self._lent.append(x)
        return len(self._lent) - 1, "function"

    def _resolve(self, own: bool, number: int, kind: str) -> Any:
        if own:
            if number >= len(self._lent):
                raise Malformed("a function that the tests never lent")
            return self._lent[number]
        if number not in self._arrived:
            role, _, name = kind.rpartition(":")
            remote = self._arrived[number] = Remote(self, number, name)
            if role == "coroutine":
                self._arrived[number] = self._wait(remote)
            elif role == "exception" and name.isidentifier():
                self._arrived[number] = _program_class(self, remote, name, self.use("bases", remote))
        return self._arrived[number]

    async def _wait(self, remote: Remote) -> Any:
        return self.use("await", remote)

    def _send(self, *message: Any) -> None:
        if self.broken is not None:
            raise self.broken
        self.requests += 1
        try:
            self._channel.send(message)
        except Gone as gone:
            self.broken = gone
            raise

    def _reply(self, arguments: tuple[Any, ...], verb: str = "call") -> Any:
        try:
            while True:
                match self._channel.receive():
                    case ("ok", bytes(data), None | bytes() as changed):
                        if changed is not None:
                            _write_back(arguments, decode(changed, self._resolve))
                        return decode(data, self._resolve)
                    case ("raise", str(base), str(name), bytes(data), str(text), str(where), None | bytes() as more):
                        args, extra = decode(data, self._resolve), None if more is None else decode(more, self._resolve)
                        error = _exception(base, args, text, extra, stop=verb in ("next", "anext"))
                        error.from_program = f"{name}: {text}{where}" if text or where else name  # type: ignore[attr-defined]
                        raise error
                    case ("callback", int(number), bytes(data)) if 0 <= number < len(self._lent):
                        self._answer(self._lent[number], data)
                    case ("ask", "input" | "read" | "readline" as what, bytes(data)):
                        self._answer(builtins.input if what == "input" else getattr(sys.stdin, what), data)
                    case ("print", "stdout" | "stderr" as name, str(text)):
                        with contextlib.suppress(Exception):  # a boundary: the test's stream may do anything
                            getattr(sys, name).write(text)
                    case _:
                        raise Broken("a reply of another shape")
        except Malformed as error:
            self.broken = Broken(str(error))
            raise self.broken from None
        except (Gone, Broken) as broken:
            self.broken = broken
            raise

    def _answer(self, function: Any, data: bytes) -> None:
        """The program calls a function that a test has handed to it, or reads the tests' standard input."""
        match decode(data, self._resolve):
            case (tuple(args), dict(kwargs)):
                pass
            case tuple(args) if all(type(a) in (int, str) for a in args):
                kwargs = {}
            case _:
                raise Broken("a call without arguments")
        if self._nested >= MAX_NESTED_CALLS:
            raise Broken("calls nested too deep")
        self._nested += 1
        try:
            reply: tuple[Any, ...] = ("ok", self._encode(function(*args, **kwargs)), None)
        except Exception as error:  # a boundary: what the test's function raises belongs to the program that called it
            plain_args = tuple(a for a in error.args if isinstance(a, (str, int, float)))
            reply = ("raise", std_base(type(error)), type(error).__name__, encode(plain_args), str(error)[:500])
        finally:
            self._nested -= 1
        self._send(*reply)


def _exception(base: str, args: Any, text: str, extra: Any, *, stop: bool) -> BaseException:
    """What the program raised: of its own class, of the same standard class, or of the nearest builtin one."""
    match extra:
        case (ProgramClass() as own, Remote() as remote):
            return own.holding(remote, args)
        case (type() as kind, dict(attributes)):
            pass
        case _:
            kind, attributes = getattr(builtins, base, None), {}
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = RuntimeError  # SystemExit, KeyboardInterrupt: they must not end the judge
    if issubclass(kind, (StopIteration, StopAsyncIteration)) and not stop:
        kind = RuntimeError  # as in a generator (PEP 479): or `all(map(f, cases))` would end early and be true
    try:
        error = kind(*args) if type(args) is tuple else kind(text)
    except (TypeError, ValueError):  # UnicodeDecodeError, JSONDecodeError: they need more than was sent
        error = RuntimeError(text)
        if kind.__module__ != "builtins":
            error = kind.__new__(kind)
            error.args = (text,)
    vars(error).update({name: value for name, value in attributes.items() if type(name) is str})
    return error


def _write_back(arguments: tuple[Any, ...], changed: Any) -> None:
    if type(changed) is not tuple or len(changed) != len(arguments):
        raise Broken("other arguments than were sent")
    for old, new in zip(arguments, changed, strict=True):
        if type(old) is tuple and type(new) is tuple and len(old) == len(new):
            _write_back(old, new)
        elif type(old) in _MUTABLE:
            if type(new) is not type(old):
                raise Broken("an argument of another type than was sent")
            if isinstance(old, (dict, set)):
                old.clear()
                old.update(new)
            elif isinstance(old, deque):
                old.clear()
                old.extend(new)
            elif isinstance(old, (list, bytearray)):
                old[:] = new
