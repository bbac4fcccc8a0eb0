"""Bytes as an open file that is on no disk and, once sealed, cannot be changed by whoever holds it."""

from __future__ import annotations

import os

_ADD_SEALS, _SEAL_ALL = 1033, 0b1111  # fcntl's F_ADD_SEALS; against sealing, shrinking, growing, writing


def memory_file(data: bytes, name: str, *, sealed: bool = True) -> int:
    """A descriptor at the beginning of `data`; the caller closes it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    if sealed:
        import fcntl  # not everywhere; where it is not, neither is a sandbox

        fcntl.fcntl(fd, _ADD_SEALS, _SEAL_ALL)
    return fd
