"""Landlock: a process gives up the file system, except for reading what is listed. No privilege is needed.

Used where namespaces are not allowed. What it does not cover (a file's existence, its mode and times, signals
before ABI 6, other protocols than TCP) is covered by the system call filter or said in the documentation.

Source: kernel `Documentation/userspace-api/landlock.rst`.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}  # from this ABI on, so many rights on files
_NO_TCP = 0b11  # bind and connect, from ABI 4
_SCOPES = 0b11  # abstract Unix sockets and signals, from ABI 6

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """The kernel's Landlock version, 0 where there is none."""
    return max(0, _libc.syscall(_CREATE_RULESET, None, 0, 1))


def restrict(readable: Iterable[str], writable: Iterable[str] = ()) -> None:
    """Give up all files but these: read `readable` files and directories, read and write `writable` files.

    Paths that do not exist are skipped. Needs `no_new_privs` (or CAP_SYS_ADMIN). Raises OSError.
    """
    version = abi()
    if not version:
        raise OSError("this kernel has no Landlock")
    fs = (1 << max(n for since, n in _FS_RIGHTS.items() if since <= version)) - 1
    fields = [fs]
    if version >= 4:
        fields.append(_NO_TCP)
    if version >= 6:
        fields.append(_SCOPES)
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    ruleset = _checked(_libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0), "the ruleset")
    try:
        for paths, rights in ((readable, _READ_FILE | _READ_DIR), (writable, _READ_FILE | _WRITE_FILE)):
            for path in paths:
                _allow(ruleset, path, rights)
        _checked(_libc.syscall(_RESTRICT_SELF, ruleset, 0), "the restriction")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112  (pathlib is not loaded in here)
            rights &= ~_READ_DIR
        rule = struct.pack("=Qi", rights, fd)
        _checked(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), f"the rule for {path}")
    finally:
        os.close(fd)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock refused {what}: {os.strerror(number)}")
    return result
