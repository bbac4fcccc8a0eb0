"""What works in a plain run works here: exceptions and coroutines of the program, redirected streams, `with`."""

# ruff: noqa: E501  (programs in strings)
from __future__ import annotations

import pytest

from nlrl.core import CodeTests
from nlrl.sandbox import Sandbox, TestOutcome, run_code_tests

ERRORS = """
class Own(Exception):
    def __init__(self, code): super().__init__('code %d' % code); self.code = code
class Finer(Own, KeyError): pass
class Text(ValueError):
    def __str__(self): return 'own text'
def f(x):
    if x == 0: raise Own(7)
    if x == 1: raise Finer(8)
    if x == 2: raise Text('given')
    if x == 3:
        import json; json.loads('{')
    if x == 4:
        import decimal; decimal.Decimal('x')
    return Own(9)
"""
ASYNC = """
import asyncio
async def f(x): await asyncio.sleep(0); return x * 2
async def g(n):
    for i in range(n): yield i
async def fail(): raise ValueError('no')
class A:
    async def __aenter__(self): return 5
    async def __aexit__(self, *exc): return True
async def twice(c): return 2 * await c
"""
STREAMS = """
import sys
def ask(): return input('name? ').upper()
def total(): return sum(int(line) for line in sys.stdin)
def first(): return sys.stdin.readline()
def everything(): return sys.stdin.read().split()
def raw(): return sys.stdin.buffer.readline()
def say(x): print('said', x); print('oops', file=sys.stderr); sys.stdout.buffer.write(b'raw\\n')
def gen():
    for i in range(2): print(i); yield i
"""
MANAGERS = """
import contextlib
class C:
    def __init__(self): self.log = []
    def __enter__(self): self.log.append('in'); return self
    def __exit__(self, kind, error, trace): self.log.append(kind and kind.__name__)
class Swallows:
    def __enter__(self): return self
    def __exit__(self, *exc): return True
    def value(self): raise ValueError
@contextlib.contextmanager
def opened(x):
    log.append('open'); yield x + 1; log.append('closed')
log = []
class P:
    def __init__(self, x): self.x = x
    def __repr__(self): return f'P({self.x})'
    def __delitem__(self, key): self.x = key
"""
WORKS = {
    "except own": (ERRORS, "try:\n    f(0)\n    assert False\nexcept Own as e:\n    assert e.code == 7 and str(e) == 'code 7' and e.args == ('code 7',)"),
    "except its base": (ERRORS, "try:\n    f(1)\n    assert False\nexcept Own as e:\n    assert e.code == 8 and isinstance(e, Finer) and isinstance(e, KeyError)"),
    "except a standard base": (ERRORS, "try:\n    f(1)\n    assert False\nexcept KeyError:\n    pass"),
    "text of its own": (ERRORS, "try:\n    f(2)\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'own text'"),
    "not another's": (ERRORS, "try:\n    try:\n        f(0)\n    except Text:\n        assert False\nexcept Own:\n    assert True"),
    "assertRaises": (ERRORS, "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        with self.assertRaises(Own) as caught: f(0)\n        self.assertEqual(caught.exception.code, 7)"),
    "assertRaisesRegex": (ERRORS, "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertRaisesRegex(Own, 'code \\\\d', f, 0)"),
    "returned, not raised": (ERRORS, "assert isinstance(f(5), Own) and f(5).code == 9"),
    "made by the test": (ERRORS, "try:\n    raise Own(3)\nexcept Own as e:\n    assert e.code == 3"),
    "a standard library's": (ERRORS, "import json\ntry:\n    f(3)\n    assert False\nexcept json.JSONDecodeError as e:\n    assert e.pos == 1"),
    "decimal's": (ERRORS, "import decimal\ntry:\n    f(4)\n    assert False\nexcept decimal.InvalidOperation:\n    pass"),
    "asyncio.run": (ASYNC, "import asyncio\nassert asyncio.run(f(2)) == 4"),
    "gather": (ASYNC, "import asyncio\nasync def go():\n    return await asyncio.gather(f(1), f(2))\nassert asyncio.run(go()) == [2, 4]"),
    "await in an async test": (ASYNC, "async def test_a():\n    assert await f(3) == 6"),
    "async for": (ASYNC, "async def test_a():\n    assert [x async for x in g(3)] == [0, 1, 2]"),
    "async with": (ASYNC, "async def test_a():\n    async with A() as a:\n        assert a == 5"),
    "awaited failure": (ASYNC, "import asyncio\ntry:\n    asyncio.run(fail())\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'no'"),
    "a coroutine handed back": (ASYNC, "import asyncio\nassert asyncio.run(twice(f(2))) == 8"),
    "patched input": (STREAMS, "from unittest.mock import patch\nwith patch('builtins.input', side_effect=['ann', 'bob']):\n    assert ask() == 'ANN' and ask() == 'BOB'"),
    "input by assignment": (STREAMS, "import builtins\nbuiltins.input = lambda prompt: prompt + 'x'\nassert ask() == 'NAME? X'"),
    "another stdin": (STREAMS, "import io, sys\nsys.stdin = io.StringIO('1\\n2\\n')\nassert total() == 3"),
    "input from another stdin": (STREAMS, "import io, sys\nfrom unittest.mock import patch\nwith patch('sys.stdin', io.StringIO('abc\\nd e\\nf')):\n    assert ask() == 'ABC' and first() == 'd e\\n' and everything() == ['f']"),
    "bytes of stdin": (STREAMS, "import io, sys\nsys.stdin = io.StringIO('a\\nb')\nassert raw() == b'a\\n'"),
    "redirect_stdout": (STREAMS, "import io, contextlib\nout, err = io.StringIO(), io.StringIO()\nwith contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):\n    say(3)\nassert out.getvalue() == 'said 3\\nraw\\n' and err.getvalue() == 'oops\\n'"),
    "patched stdout": (STREAMS, "import io\nfrom unittest.mock import patch\n@patch('sys.stdout', new_callable=io.StringIO)\ndef test_a(out):\n    say('x')\n    assert 'said x' in out.getvalue()"),
    "nothing of an earlier print": (STREAMS, "import io, contextlib\nsay(1)\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n    list(gen())\nassert out.getvalue() == '0\\n1\\n'"),
    "with": (MANAGERS, "c = C()\nwith c as d:\n    assert d is c\nassert c.log == ['in', None]"),
    "an exception in with": (MANAGERS, "c = C()\ntry:\n    with c:\n        int('x')\n    assert False\nexcept ValueError:\n    assert c.log == ['in', 'ValueError']"),
    "contextmanager": (MANAGERS, "with opened(2) as x:\n    assert x == 3\nassert log == ['open', 'closed']"),
    "repr": (MANAGERS, "assert repr(P(3)) == 'P(3)' and [P(1)].__repr__() == '[P(1)]'"),
    "del": (MANAGERS, "p = P(1)\ndel p[5]\nassert p.x == 5 and vars(p) == {'x': 5}"),
    "a method of Solution": ("class Solution:\n    def double(self, x): return 2 * x", "assert double(2) == 4 and Solution().double(3) == 6"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WORKS)
def test_what_works_in_a_plain_run(sandbox: Sandbox, kind: str) -> None:
    program, check = WORKS[kind]
    report = run_code_tests(program, CodeTests((check,)), sandbox=sandbox)
    assert report.passed, report.first_failure


REFUSED = {
    "swallowing a failed assert": (MANAGERS, "with Swallows() as s:\n    assert 1 == 2", TestOutcome.FAILED, "got 1"),
    "swallowing an error of its own": (MANAGERS, "with Swallows() as s:\n    assert s.value() == 3", TestOutcome.ERROR, "swallow"),
    "swallowing a test's error": (MANAGERS, "with Swallows():\n    assert 1 + 1 == 2\n    int('x')", TestOutcome.ERROR, "no program may"),
    "swallowing in async": (ASYNC, "async def test_a():\n    async with A() as a:\n        assert a == 6", TestOutcome.FAILED, ""),
    "no input": (STREAMS, "assert ask() == ''", TestOutcome.ERROR, "EOFError"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_program_may(sandbox: Sandbox, kind: str) -> None:
    program, check, outcome, said = REFUSED[kind]
    (result,) = run_code_tests(program, CodeTests((check,)), sandbox=sandbox).results
    assert result.outcome is outcome
    assert said in result.message


def test_printing_without_end_is_cut_and_does_no_harm(sandbox: Sandbox) -> None:
    program = "def f(x):\n    for i in range(3000): print('x' * 1000)\n    return x"
    assert run_code_tests(program, CodeTests(("assert f(1) == 1", "assert f(2) == 2")), sandbox=sandbox).passed
