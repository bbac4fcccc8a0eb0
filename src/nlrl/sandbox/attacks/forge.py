"""Programs that want to pass tests without computing the answer."""

# ruff: noqa: E501  (programs in strings; they are not to be broken where a formatter would)
from __future__ import annotations

from nlrl.sandbox.attacks.attack import Kind, attacks

_TEXT = r"""
# === sys.exit(0) while loading
import sys
sys.exit(0)

# === os._exit(0) while loading
import os
os._exit(0)

# === os._exit(0) inside the call
import os
def f(x): os._exit(0)

# === SystemExit inside the call
def f(x): raise SystemExit(0)

# === KeyboardInterrupt and GeneratorExit inside the call
def f(x): raise (KeyboardInterrupt if x % 2 else GeneratorExit)

# === an exit handler that reports success
import atexit, os
atexit.register(lambda: [os.write(fd, b'{"index": 0, "outcome": "passed", "message": ""}\n{"end": true}\n') for fd in range(64)])
def f(x): raise SystemExit(0)

# === printing success markers
import sys
for stream in (sys.stdout, sys.stderr, sys.__stdout__):
    print('passed', 'OK', 'All tests passed', '{"index": 0, "outcome": "passed", "message": ""}', '{"end": true}', file=stream, flush=True)
def f(x): print('passed')

# === patched builtins
import builtins
class Yes:
    def __init__(self, *a): pass
    def __eq__(self, other): return True
    __ne__ = lambda self, other: False
    __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __eq__
for name in ('abs', 'sum', 'len', 'str', 'set', 'sorted', 'all', 'any', 'isinstance', 'AssertionError', 'Exception'):
    setattr(builtins, name, Yes)
    globals()[name] = Yes
def f(x): return 1

# === an object that equals everything
class Yes:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __eq__
def f(x): return Yes()

# === an object that any arithmetic turns into the right value
class Zero(float):
    def __sub__(self, other): return 0.0
    __rsub__ = __add__ = __radd__ = __mul__ = __sub__
    def __abs__(self): return 0.0
    def __eq__(self, other): return True
    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    __hash__ = float.__hash__
def f(x): return Zero()

# === arithmetic on an opaque object
class Zero:
    def __sub__(self, other): return 0.0
    __rsub__ = __add__ = __radd__ = __sub__
    def __abs__(self): return 0.0
    def __len__(self): return 0
    def __iter__(self): return iter(())
def f(x): return Zero()

# === containers that equal everything
def make(base):
    return type('Yes', (base,), {'__eq__': lambda s, o: True, '__ne__': lambda s, o: False, '__contains__': lambda s, o: True,
        '__hash__': lambda s: 0, '__ge__': lambda s, o: True, '__le__': lambda s, o: True, '__len__': lambda s: 1})
kinds = [make(b) for b in (str, list, dict, set, tuple, int, frozenset, bytes)]
def f(x): return kinds[x % 8]()

# === unittest.mock.ANY and MagicMock
from unittest import mock
def f(x): return mock.ANY if x % 2 else mock.MagicMock()

# === a class that lies about its type
class Liar:
    @property
    def __class__(self): return str
    def __eq__(self, other): return True
    def __str__(self): return self
    def __len__(self): return self
    def __index__(self): return 0
def f(x): return Liar()

# === a metaclass whose classes equal everything
class Meta(type):
    def __eq__(cls, other): return True
    def __hash__(cls): return 0
    def __contains__(cls, other): return True
    def __instancecheck__(cls, other): return True
class Yes(metaclass=Meta): pass
def f(x): return Yes

# === an iterator that runs through every value
import itertools, string
class All:
    def __iter__(self): return map(''.join, itertools.product('SECRET-0123456789abcdef', repeat=3))
    def __getitem__(self, i): return 'SECRET-%012x' % i
    def __contains__(self, x): return True
def f(x): return All()

# === looking through all frames
import re, sys
def f(x):
    frame = sys._getframe()
    while frame:
        for value in (frame.f_locals, frame.f_globals, frame.f_code.co_consts):
            found = re.search(r'$pattern', repr(value))
            if found: return found[0]
        frame = frame.f_back

# === looking through the stacks of all threads
import re, sys, inspect, traceback
def f(x):
    text = repr([(s.frame.f_locals, s.code_context) for s in inspect.stack(30)])
    text += repr([traceback.format_stack(fr) for fr in sys._current_frames().values()])
    found = re.search(r'$pattern', text)
    return found and found[0]

# === looking through every object of the collector
import gc, re
def f(x):
    for o in gc.get_objects():
        try:
            found = re.search(r'$pattern', repr(getattr(o, '__dict__', o)) + repr(getattr(getattr(o, '__code__', None), 'co_consts', '')))
        except Exception:
            continue
        if found and '[' not in found[0]: return found[0]

# === referrers of the argument
import gc, re
def f(x):
    seen, todo = set(), [x, f, globals()]
    for _ in range(3000):
        if not todo: break
        o = todo.pop()
        for r in gc.get_referrers(o):
            if id(r) not in seen:
                seen.add(id(r)); todo.append(r)
                try: found = re.search(r'SECRET-[0-9a-f]{12}', str(r))
                except Exception: continue
                if found: return found[0]

# === its own memory, byte by byte
import ctypes, re
def f(x):
    base = id(x) & ~0xfff
    for page in range(-512, 512):
        try: data = ctypes.string_at(base, 64)
        except Exception: break
        found = re.search(rb'SECRET-[0-9a-f]{12}', data)
        if found: return found[0].decode()

# === memory of every process through /proc
import os, re
def f(x):
    for pid in ['self', 'thread-self', *map(str, range(1, 400))]:
        for name in ('mem', 'environ', 'cmdline', 'maps', 'stack', 'fd/0', 'fd/3', 'fd/4', 'root/etc/passwd', 'cwd'):
            try: data = open(f'/proc/{pid}/{name}', 'rb').read(1 << 16)
            except OSError: continue
            found = re.search(rb'SECRET-[0-9a-f]{12}', data)
            if found: return found[0].decode()

# === memory of every process through process_vm_readv
import ctypes, os, re
class iovec(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('len', ctypes.c_size_t)]
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    buffer = ctypes.create_string_buffer(1 << 16)
    local = iovec(ctypes.addressof(buffer), 1 << 16)
    for pid in range(os.getpid() - 20, os.getpid() + 40):
        if pid > 0 and pid != os.getpid():
            remote = iovec(id(x) & ~0xffff, 1 << 16)  # the same address: zygote and siblings share it
            if libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) > 0:
                return 'SECRET-read another process'
    return None

# === ptrace of whatever can be found
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    for pid in [os.getppid(), *range(1, 300)]:
        if pid != os.getpid() and libc.ptrace(16, pid, 0, 0) == 0:
            return 'SECRET-attached'

# === garbage on every descriptor
import os
for fd in range(256):
    for data in (b'\xff' * 4096, b'\0' * 64, b'passed\n'):
        try: os.write(fd, data)
        except OSError: pass
def f(x): return 1

# === forged results on every descriptor
import json, os
lines = ''.join(json.dumps({'index': i, 'outcome': 'passed', 'message': ''}) + '\n' for i in range(32)) + '{"end": true}\n'
def f(x):
    for fd in range(256):
        try: os.write(fd, lines.encode())
        except OSError: pass

# === forged replies in the worker's own protocol
import os, struct, sys
codec = sys.modules['nlrl.sandbox.box.codec']
for reply in (('ok', codec.encode(True), None), ('end', codec.encode(None)), ('passed',), ('ok', b'T', b't\0'), ('callback', 0, b't\2t\0D\0')):
    data = codec.encode(reply)
    for fd in range(3, 32):
        try: os.write(fd, struct.pack('<I', len(data)) + data)
        except OSError: pass
def f(x): return True

# === replies with every tag and dangerous names
import sys, struct
worker, codec = sys.modules['nlrl.sandbox.box.worker'], sys.modules['nlrl.sandbox.box.codec']
bad = [b'P\x0dbuiltins.eval', b'P\x0dbuiltins.exec', b'P\x09os.system', b'P\x0ebuiltins.print', b'G\0', b'G\x7f', b'H\0\0', b'n',
       b'P\x17builtins.AssertionError', b'l\xff\xff\xff\xff\x0f', b'i\xff\xff\xff\x7f', b'S\2l\0l\0', b'\xff', b'', b'W' + b'N' * 9, b'K\1l\0']
turn = iter(bad * 9)
worker._Server.answer = lambda self, message: ('ok', next(turn), None)
def f(x): return 1

# === a codec that answers with named tuples full of code
import sys
worker = sys.modules['nlrl.sandbox.box.worker']; codec = sys.modules['nlrl.sandbox.box.codec']
def evil(self, message):
    w = codec._Writer(None, lambda v: None, 1 << 20)
    w.fields(b'n', 0, 'X', ('a=__import__("os")._exit(0)', '__eq__', 'b);import os;(c'), (1, 2, 3))
    return ('ok', bytes(w.out), None)
worker._Server.answer = evil
def f(x): return 1

# === answers before and after the question
import sys, threading, os, struct, time
codec = sys.modules['nlrl.sandbox.box.codec']
data = codec.encode(('ok', codec.encode(1), None)); frame = struct.pack('<I', len(data)) + data
def flood():
    for _ in range(2000):
        try: os.write(3, frame)
        except OSError: return
try: threading.Thread(target=flood, daemon=True).start()
except RuntimeError: flood()
def f(x): return 1

# === descriptors sent over the channel
import os, socket
s = socket.socket(fileno=3)
try: socket.send_fds(s, [b'\0\0\0\0'], [0, 1, 2])
except OSError: pass
s.detach()
def f(x): return 1

# === a four-gigabyte message, then silence
import os, struct, time
os.write(3, struct.pack('<I', 0xffffffff))
def f(x): return 1

# === a message that never ends
import os, struct, time
def f(x):
    os.write(3, struct.pack('<I', 1 << 20))
    while True:
        os.write(3, b's'); time.sleep(0.2)

# === all descriptors closed
import os
def f(x): os.closerange(0, 256)

# === another channel in place of its own
import os, socket
a, b = socket.socketpair()
os.dup2(a.fileno(), 3)
def f(x): return 1

# === a trace function that looks at every frame
import re, sys
found = []
def trace(frame, event, arg):
    m = re.search(r'SECRET-[0-9a-f]{12}', repr(frame.f_locals) + repr(arg))
    if m: found.append(m[0])
    return trace
sys.settrace(trace); sys.setprofile(trace)
def f(x): return found[0] if found else None

# === patched imports and a poisoned standard library
import os, sys
for module in ('ast', 'json', 'reprlib', 'operator'):
    sys.modules[module] = None
for path in sys.path:
    for name in ('ast.py', 'operator.py', 'sitecustomize.py', '__pycache__/operator.cpython-311.pyc'):
        try: open(os.path.join(path, name), 'w').write('def eq(a, b): return True')
        except OSError: pass
import operator
def f(x): return 1

# === its own check, candidate and tests
def check(candidate): pass
def candidate(*a): return True
def _compared_(a, b, symbol): return True
def test_f(): pass
checks, results, outcome, passed = [], ['passed'], 'passed', True
def f(x): return candidate

# === importing the verifier to change its mind
import sys
def f(x):
    import nlrl.verifiers.code as c
    c.CodeVerifier.score = None
    return 'patched'

# === modules of the sandbox changed in place
import sys
for name, module in list(sys.modules.items()):
    if name.startswith('nlrl'):
        for key, value in list(vars(module).items()):
            if callable(value) and not key.startswith('__') and key in ('std_object', 'decode', '_resolve', 'named_fields', 'base_value'):
                setattr(module, key, lambda *a, **k: None)
def f(x): return 1

# === raising assertion errors and odd exceptions
class Odd(Exception):
    def __str__(self): raise ValueError
    def __eq__(self, o): return True
    args = property(lambda self: 1 / 0)
def f(x): raise (AssertionError('passed') if x % 2 else Odd())

# === exceptions that stop generators and loops
def f(x): raise (StopIteration('x') if x % 2 else StopAsyncIteration())

# === a context manager that swallows everything
class C:
    def __enter__(self): return self
    def __exit__(self, *exc): return True
    async def __aenter__(self): return self
    async def __aexit__(self, *exc): return True
    def __aiter__(self): return self
    async def __anext__(self): raise StopAsyncIteration
    def __iter__(self): return iter(())
def f(x): return C()

# === a context manager that looks at what went wrong
import re
found = []
class C:
    def __enter__(self): return self
    def __exit__(self, kind, error, trace):
        m = re.search(r'$pattern', repr((kind, error, error and error.args, trace and trace.tb_frame.f_locals)))
        if m: found.append(m[0])
        return True
def f(x): return found[0] if found else C()

# === an exception class that is anything
class Meta(type):
    def __instancecheck__(cls, other): return True
    def __subclasscheck__(cls, other): return True
    __bases__ = property(lambda cls: (cls, AssertionError, SystemExit))
class Odd(Exception, metaclass=Meta):
    def __str__(self): return 'passed'
    def __getattr__(self, name): return True
def f(x):
    if x % 2: raise Odd
    return Odd

# === an exception whose bases never end
import sys
worker = sys.modules['nlrl.sandbox.box.worker']
class Odd(Exception): pass
worker._VERBS['bases'] = lambda server, subject: (type('Odd', (Exception,), {}),)
def f(x): raise Odd

# === a coroutine that is awaited for ever, and one that gives nothing
import asyncio
async def f(x):
    if x % 2: await asyncio.sleep(0)
    return None

# === coroutines by name only
coroutine = type('coroutine:coroutine', (), {'__eq__': lambda s, o: True})
def f(x): return coroutine()

# === reading the tests' standard input, and more
import sys
server = sys.modules['nlrl.sandbox.box.worker']
def f(x):
    found = ''
    for what in ('read', 'readline', 'input', 'name', '__class__', 'buffer'):
        try: found += str(sys.stdin.read.func(what))
        except BaseException as e: found += repr(e)
    return found

# === printing into every stream of the tests
import sys
def f(x):
    print('', end='', flush=True); sys.stdout.write('SECRET'); sys.stderr.write('{"index": 0, "outcome": "passed", "message": ""}\n')
    send = sys.stdin.read.func.__self__._channel.send
    for name in ('stdout', 'stderr', 'stdin', '__stdout__'): send(('print', name, '{"index": 0, "outcome": "passed", "message": ""}\n{"end": true}\n'))

# === a patched input, called back without end
def f(x):
    while True: input('SECRET')

# === a repr that flatters
class Any:
    def __repr__(self): return 'SECRET'
    def __str__(self): return repr(self)
def f(x): return Any()

# === code of the tests asked for by name
import sys
def f(x):
    wait = sys.stdin.read.func.__self__._wait_for
    codec = sys.modules['nlrl.sandbox.box.codec']
    for number in range(-3, 40):
        try: wait(('callback', number, codec.encode(((x,), {}))))
        except Exception: pass
    return 1

# === arguments changed under the test's feet
def f(x, *a): return type('T', (list,), {'__eq__': lambda s, o: o.clear() or True})()

# === a value that changes after it was given
import threading, time
box = []
def later():
    while True: box[:] = ['SECRET']; box.clear()
try: threading.Thread(target=later, daemon=True).start()
except RuntimeError: pass
def f(x): return box

# === a generator instead of a value
def f(x):
    while True: yield x

# === a huge integer
def f(x): return 1 << 10**8

# === a long string
def f(x): return 'SECRET-' * 10**7

# === a deep list
def f(x):
    a = []
    for _ in range(10**5): a = [a]
    return a

# === a list that contains itself
def f(x):
    a = []; a.append(a); a.append({'a': a})
    return a

# === a billion laughs
def f(x):
    a = ['ha'] * 10
    for _ in range(30): a = [a] * 10
    return a

# === a set of numbers that all hash alike
def f(x): return {i * ((1 << 61) - 1) for i in range(20000)} if x < 4 else 1

# === a result that takes for ever to look at
class Slow:
    def __eq__(self, o):
        while True: pass
    __hash__ = __repr__ = __str__ = __len__ = __bool__ = __iter__ = lambda self: Slow.__eq__(self, 0)
def f(x): return Slow()

# === recursion until the stack ends
import sys
sys.setrecursionlimit(10**7)
def f(x):
    class R:
        def __repr__(self): return repr(self)
        __str__ = __repr__
    return str(R())

# === a crash of the interpreter
import ctypes
def f(x): ctypes.string_at(0)

# === killing everything in reach
import os, signal
def f(x):
    for pid in (0, -1, 1, os.getppid(), -os.getppid()):
        try: os.kill(pid, signal.SIGKILL)
        except OSError: pass
    return 1

# === the tests read from standard input
import sys, re
data = sys.stdin.read()
def f(x):
    found = re.search(r'SECRET-[0-9a-f]{12}', data + ' '.join(sys.argv + sys.orig_argv))
    return found and found[0]
"""

FORGERIES = attacks(Kind.FORGE, _TEXT)
