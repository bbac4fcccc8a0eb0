"""The system call filter: a classic BPF program that lets through what a computing program needs.

Refused calls fail with EPERM (Python: PermissionError), so a program sees an error and goes on. Two strengths:

    walled=True    the process has namespaces of its own: it may write to its scratch directory, start threads,
                   and signal what it can see (its own children)
    walled=False   it shares the machine's process table and file names: no new task at all, no signal to anyone
                   else, no change of any file's name, mode or times, which Landlock does not cover

Sources: kernel `Documentation/userspace-api/seccomp_filter.rst`; constants from the kernel's `uapi` headers.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

from nlrl.sandbox.box import syscalls

_LD_ABS, _JEQ, _JGT, _JGE, _JSET, _AND, _RET = 0x20, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCH_AT, _ARGS_AT = 0, 4, 16  # struct seccomp_data
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_CLONE_THREAD, _CLONE_NAMESPACES = 0x00010000, 0x7E020080  # the second: every CLONE_NEW* flag
_AF_UNIX, _SOCK_STREAM = 1, 1
_PRCTL_OK = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA (glibc names its heaps)
_IOCTL_OK = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_FCNTL_OK = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032, 1034)  # dup, flags, locks, sizes; not SETOWN, not SETSIG
_O_TRUNC = 0o1000

_libc = ctypes.CDLL(None, use_errno=True)

_PID = 0x5AFE5AFE  # stands for the process id until the filter is installed


def build(*, walled: bool, children: bool, threads: bool = True, truncate_guard: bool = False) -> bytes:
    """The BPF program for this machine.

    children        allow child processes (only with `walled` and `threads`)
    threads         allow threads (only with `walled`); not where the kernel would not count them
    truncate_guard  refuse O_TRUNC, which Landlock before its third version lets through on readable files
    Raises OSError where this machine's system call numbers are not known.
    """
    machine = platform.machine()
    if machine not in _ARCH:
        raise OSError(f"no system call table for {machine!r}")
    no = syscalls.numbers(syscalls.CHECKED, machine)
    program = _Program()
    program.load(_ARCH_AT)
    program.unless(_ARCH[machine], _KILL)
    program.load(_NUMBER_AT)
    program.emit(_JGE, 0, 1, _X32_BIT)
    program.ret(_ERRNO | errno.ENOSYS)
    program.emit(_JGT, 0, 1, syscalls.HIGHEST_KNOWN)
    program.ret(_ERRNO | errno.ENOSYS)
    # Its flags lie in memory, where no filter can look; without it libc falls back to clone.
    program.when(no["clone3"], [(_RET, 0, 0, _ERRNO | errno.ENOSYS)])

    tables = syscalls.PLAIN
    if walled:
        tables += syscalls.SCRATCH + (syscalls.CHILDREN if children and threads else "")
    for number in syscalls.numbers(tables, machine).values():
        program.when(number, [(_RET, 0, 0, _ALLOW)])

    refuse = (_RET, 0, 0, _ERRNO | errno.EPERM)
    allow = (_RET, 0, 0, _ALLOW)
    for name, index, allowed in (
        ("prctl", 0, _PRCTL_OK),
        ("ioctl", 1, _IOCTL_OK),
        ("fcntl", 1, _FCNTL_OK),
        ("prlimit64", 0, (0, _PID)),
    ):
        tests = (step for value in allowed for step in ((_JEQ, 0, 1, value), allow))
        program.when(no[name], [_arg(index), *tests, refuse])
    # Streams only: a datagram socket of a pair could still send to the address of a socket outside.
    stream = [_arg(0), (_JEQ, 1, 0, _AF_UNIX), refuse, _arg(1), (_AND, 0, 0, 0xF), (_JEQ, 1, 0, _SOCK_STREAM), refuse]
    program.when(no["socketpair"], [*stream, allow])
    for name, index in (("open", 1), ("openat", 2)):
        if name in no:
            guard = [_arg(index), (_JSET, 0, 1, _O_TRUNC), refuse] if truncate_guard else []
            program.when(no[name], [*guard, allow])
    if walled and threads:
        only_threads = [] if children else [(_JSET, 1, 0, _CLONE_THREAD), refuse]
        program.when(no["clone"], [_arg(0), (_JSET, 0, 1, _CLONE_NAMESPACES), refuse, *only_threads, allow])
    for name in ("kill", "tkill", "tgkill"):
        own = [] if walled else [_arg(0), (_JEQ, 1, 0, _PID), refuse]
        program.when(no[name], [*own, allow])
    program.ret(_ERRNO | errno.EPERM)
    return bytes(program.code)


def install(program: bytes, pid: int) -> None:
    """Put the filter on this process for good; `no_new_privs` must be set. Raises OSError."""
    code = program.replace(struct.pack("<I", _PID), struct.pack("<I", pid))
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    set_seccomp, mode_filter = 22, 2
    if _libc.prctl(set_seccomp, ctypes.c_ulong(mode_filter), ctypes.create_string_buffer(fprog, len(fprog)), 0, 0):
        raise OSError(ctypes.get_errno(), "the system call filter was refused")


def _arg(index: int) -> tuple[int, int, int, int]:
    """Load the low half of an argument: all arguments checked here are 32 bits wide for the kernel too."""
    return (_LD_ABS, 0, 0, _ARGS_AT + 8 * index)


class _Program:
    def __init__(self) -> None:
        self.code = bytearray()

    def emit(self, op: int, jump_true: int, jump_false: int, k: int) -> None:
        self.code += struct.pack("<HBBI", op, jump_true, jump_false, k)

    def load(self, offset: int) -> None:
        self.emit(_LD_ABS, 0, 0, offset)

    def ret(self, value: int) -> None:
        self.emit(_RET, 0, 0, value)

    def unless(self, value: int, result: int) -> None:
        self.emit(_JEQ, 1, 0, value)
        self.ret(result)

    def when(self, number: int, steps: list[tuple[int, int, int, int]]) -> None:
        """If the call has this number, do these steps, which end in a return."""
        self.emit(_JEQ, 0, len(steps), number)
        for step in steps:
            self.emit(*step)
