"""The filter, run by an interpreter of its own instruction set: what it lets through, call by call."""

from __future__ import annotations

import platform
import struct

import pytest

from nlrl.sandbox.box import seccomp, syscalls

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x50000 | 1, 0x50000 | 38
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINE = platform.machine()

pytestmark = pytest.mark.skipif(MACHINE not in ARCH, reason="no system call table for this machine")


def judge(program: bytes, number: int, *args: int, arch: int | None = None) -> int:
    """What classic BPF makes of a call: loads, masks, jumps, and a return."""
    data = struct.pack("<iIQ6Q", number, ARCH[MACHINE] if arch is None else arch, 0, *args, *([0] * (6 - len(args))))
    at = value = 0
    while True:
        op, jump_true, jump_false, k = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        match op:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, k)
            case 0x54:
                value &= k
            case 0x06:
                return k
            case _:
                held = {0x15: value == k, 0x25: value > k, 0x35: value >= k, 0x45: bool(value & k)}[op]
                at += jump_true if held else jump_false


def number(name: str) -> int:
    tables = syscalls.PLAIN + syscalls.SCRATCH + syscalls.CHILDREN + syscalls.CHECKED
    return syscalls.numbers(tables, MACHINE)[name]


WALLED = seccomp.build(walled=True, children=False) if MACHINE in ARCH else b""
BARE = seccomp.build(walled=False, children=False) if MACHINE in ARCH else b""
FAMILY = seccomp.build(walled=True, children=True) if MACHINE in ARCH else b""


@pytest.mark.parametrize("program", [WALLED, BARE, FAMILY])
def test_only_listed_calls_are_let_through(program: bytes) -> None:
    listed = set(
        syscalls.numbers(syscalls.PLAIN + syscalls.SCRATCH + syscalls.CHILDREN + syscalls.CHECKED, MACHINE).values()
    )
    for n in range(syscalls.HIGHEST_KNOWN + 1):
        assert judge(program, n) in (ALLOW, EPERM, ENOSYS)
        if n not in listed:
            assert judge(program, n) == EPERM
    for n in (syscalls.HIGHEST_KNOWN + 1, 1000, 0x40000000, 0x40000000 | 59, 0x7FFFFFFF, -1):
        assert judge(program, n) == ENOSYS


@pytest.mark.parametrize("program", [WALLED, BARE, FAMILY])
def test_another_architecture_is_killed(program: bytes) -> None:
    assert judge(program, 0, arch=0x40000003) == KILL  # i386


def test_new_tasks() -> None:
    thread, fork = 0x3D0F00, 17
    assert [judge(p, number("clone"), thread) for p in (WALLED, BARE, FAMILY)] == [ALLOW, EPERM, ALLOW]
    assert [judge(p, number("clone"), fork) for p in (WALLED, BARE, FAMILY)] == [EPERM, EPERM, ALLOW]
    for namespace in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert {judge(p, number("clone"), flags | namespace) for p in (WALLED, FAMILY) for flags in (thread, fork)} == {
            EPERM
        }
    assert {judge(p, number("clone3")) for p in (WALLED, BARE, FAMILY)} == {ENOSYS}
    assert [judge(p, number("execve")) for p in (WALLED, BARE, FAMILY)] == [EPERM, EPERM, ALLOW]
    uncounted = seccomp.build(walled=True, children=True, threads=False)
    assert {judge(uncounted, number(n), thread) for n in ("clone", "execve")} == {EPERM}


def test_arguments_that_reach_others_are_refused() -> None:
    own = 0x5AFE5AFE  # what the installer replaces by the process id
    for program in (WALLED, BARE):
        assert judge(program, number("fcntl"), 3, 8, 1) == EPERM  # F_SETOWN
        assert judge(program, number("fcntl"), 3, 10, 9) == EPERM  # F_SETSIG
        assert judge(program, number("fcntl"), 3, 3) == ALLOW
        assert judge(program, number("prctl"), 1, 0) == EPERM  # PR_SET_PDEATHSIG
        assert judge(program, number("ioctl"), 0, 0x5412) == EPERM  # TIOCSTI
        assert judge(program, number("prlimit64"), 1) == EPERM
        assert judge(program, number("prlimit64"), 0) == ALLOW
        assert judge(program, number("socketpair"), 1, 1 | 0o2000000) == ALLOW
        assert judge(program, number("socketpair"), 1, 2) == EPERM  # datagrams can be sent to names outside
        assert judge(program, number("socketpair"), 2, 1) == EPERM
        assert judge(program, number("kill"), own, 9) == ALLOW
    for name in ("kill", "tkill", "tgkill"):
        assert judge(BARE, number(name), 1, 9) == EPERM
        assert judge(BARE, number(name), 0xFFFFFFFF, 9) == EPERM
    assert judge(BARE, number("fchmodat")) == EPERM
    assert judge(WALLED, number("fchmodat")) == ALLOW


def test_truncating_by_opening_is_refused_where_landlock_would_not() -> None:
    guarded = seccomp.build(walled=False, children=False, truncate_guard=True)
    truncate = 0o1000
    assert judge(guarded, number("openat"), 0, 0, truncate) == EPERM
    assert judge(guarded, number("openat"), 0, 0, 0) == ALLOW
    assert judge(BARE, number("openat"), 0, 0, truncate) == ALLOW


def test_tables_name_every_call_once() -> None:
    tables = syscalls.PLAIN + syscalls.SCRATCH + syscalls.CHILDREN + syscalls.CHECKED
    for machine in ("x86_64", "aarch64"):
        found = syscalls.numbers(tables, machine)
        assert len(set(found.values())) == len(found)
        assert max(found.values()) <= syscalls.HIGHEST_KNOWN
    names = [entry.split()[0] for entry in tables.replace("\n", "|").split("|") if entry]
    assert len(set(names)) == len(names)
