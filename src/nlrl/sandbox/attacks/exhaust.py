"""Programs that want to use everything up, or to outlive their time."""

from __future__ import annotations

from nlrl.sandbox.attacks.attack import Kind, attacks

_TEXT = r"""
# === an endless loop
while True: pass
# === an endless sleep
import time
while True: time.sleep(1000)
# === an endless loop that ignores every signal
import signal
for s in range(1, 65):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass
# === stopping itself
import os, signal, time
os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(1000)
# === closed streams, then an endless sleep
import os, time
for fd in (0, 1, 2): os.close(fd)
time.sleep(1000)
# === all the memory, in a list
a = []
while True: a.append('x' * 10**7)
# === all the memory, mapped
import mmap
a = [mmap.mmap(-1, 1 << 26) for _ in range(10**5)]
for m in a: m.write(b'x' * (1 << 26))
# === all the memory, in one string
x = 'x' * (1 << 45)
# === all the memory, in files
import os
with open('a', 'wb') as f:
    while True: f.write(b'x' * 10**6)
# === more files than fit
n = 0
while True:
    n += 1
    open(f'{n}', 'w').write('x' * 5000)
# === more names than fit
import os
n = 0
while True:
    n += 1
    os.mkdir(f'{n}')
# === a huge sparse file
import os
with open('a', 'wb') as f: os.ftruncate(f.fileno(), 1 << 40)
# === endless output
while True: print('x' * 10**5)
# === endless errors
import sys
while True: sys.stderr.write('x' * 10**5)
# === output by single bytes on both streams
import os
while True: os.write(1, b'x'); os.write(2, b'x')
# === all the descriptors
import os
a = [os.open('/dev/null', 0) for _ in range(10**6)]
# === all the pipes
import os
a = [os.pipe() for _ in range(10**6)]
# === a fork bomb
import os
while True: os.fork()
# === a thread bomb
import threading, time
while True: threading.Thread(target=time.sleep, args=(1000,)).start()
# === a thread bomb without Python
import ctypes, time
pthread = ctypes.c_ulong()
sleep = ctypes.CDLL(None).pause
n = 0
while ctypes.CDLL(None).pthread_create(ctypes.byref(pthread), None, sleep, None) == 0: n += 1
raise SystemExit('no more threads')
# === recursion until the stack ends
import sys
sys.setrecursionlimit(10**9)
def f(): return f()
def g(*a): return sorted([1, 2], key=g)
try: f()
except RecursionError: pass
g()
# === a regular expression that explodes
import re
re.match(r'(a+)+$', 'a' * 60 + 'b')
# === an endless big-number computation
x = 3 ** 10**9
# === an endless __repr__, __eq__ and __hash__
class A:
    def __eq__(self, o): return self == o or A() == o
    def __hash__(self):
        while True: pass
{A(): 1}
# === timers and alarms
import signal, time
signal.signal(signal.SIGALRM, lambda *a: None)
signal.setitimer(signal.ITIMER_REAL, 1e-6, 1e-6)
while True: time.sleep(1)
# === an endless import
import sys, types
class F:
    def find_spec(self, *a):
        while True: pass
sys.meta_path.insert(0, F())
import anything
# === an exit handler that never ends
import atexit, time
atexit.register(lambda: time.sleep(1000))
# === a thread that keeps the program alive
import threading, time
try: threading.Thread(target=time.sleep, args=(1000,)).start()
except RuntimeError: time.sleep(1000)
# === a source that takes for ever to compile
exec('-' * 10**6 + '1')
x = eval('(' * 10**5 + ')' * 10**5)
# === exhausting the compiler
exec('x = ' + '1 + ' * 10**7 + '1')
while True: pass
"""

_WITH_CHILDREN = r"""
# === a fork bomb, children allowed
import os
while True:
    try: os.fork()
    except OSError: pass
# === a daemon that outlives its parent
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in (0, 1, 2): os.close(fd)
        while True: time.sleep(1000)
    os._exit(0)
while True: time.sleep(1000)
# === a daemon left behind by a program that ends well
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
os.wait()
raise SystemExit(3)
# === children that ignore signals and busy the machine
import os, signal
for _ in range(6):
    if os.fork() == 0:
        for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(s, signal.SIG_IGN)
        while True: pass
os.wait()
# === zombies
import os, time
while True:
    try:
        if os.fork() == 0: os._exit(0)
    except OSError: time.sleep(0.01)
# === memory in many children
import os, time
for _ in range(6):
    if os.fork() == 0: break
a = []
while True: a.append('x' * 10**6)
# === killing all of its own
import os, signal, time
for _ in range(4):
    if os.fork() == 0: time.sleep(1000)
os.kill(-1, signal.SIGKILL)
time.sleep(1000)
"""

EXHAUSTIONS = (
    *attacks(Kind.EXHAUST, _TEXT),
    *attacks(Kind.EXHAUST, _WITH_CHILDREN, processes=8),
)
