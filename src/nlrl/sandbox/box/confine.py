"""What a forked job gives up before it runs anything of its own.

    walled    (in bubblewrap) namespaces of its own: users, mounts, processes; a private scratch directory; then
              limits, no capability, no new privileges, the system call filter
    unwalled  (no namespaces to be had) limits, no capability, no new privileges, the stricter filter; the zygote
              has already given up the file system through Landlock. No scratch directory, no thread, no child

The order matters: whatever needs a right is done before that right is given up. Any failure raises OSError, and the
job ends without having run anything.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct

from nlrl.sandbox.box import seccomp

_NEWNS, _NEWUSER, NEWPID = 0x00020000, 0x10000000, 0x20000000
_MS_NOSUID, _MS_NODEV = 2, 4
_PDEATHSIG, _SET_DUMPABLE, _NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION_3 = 0x20080522
_SIGKILL = 9

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    """The result of a libc call; OSError where it failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def change_user(user: int) -> None:
    """Give up root's user id, and with it what root owns."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent thread ends."""
    checked(libc.prctl(_PDEATHSIG, _SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(1)  # it ended before we could ask


def build_walls(proc: int, scratch: str, scratch_bytes: int, user: int | None) -> None:
    """Enter user and mount namespaces of this job's own, in a `scratch` directory that is gone with the job.

    `proc` is a directory descriptor of a proc file system; the box itself shows none. `user`: whom to be, None to stay.
    """
    if user is not None:
        change_user(user)
        # A change of user makes /proc/self root's; it must be ours for writing the map below.
        checked(libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0), "prctl")
    uid, gid = os.getuid(), os.getgid()
    checked(libc.unshare(_NEWUSER | _NEWNS), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        _write(f"self/{name}", text, proc)
    options = f"size={scratch_bytes},nr_inodes=4096,mode=700"
    checked(libc.mount(b"tmpfs", scratch.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV, options.encode()), "mount")
    os.chdir(scratch)


def prefer_for_killing(proc: int) -> None:
    """Let the kernel take this process first when memory runs out."""
    _write("self/oom_score_adj", "1000", proc)


def limit(limits: dict[str, int]) -> None:
    """Set resource limits, soft and hard alike: what is lowered here cannot be raised again.

    Processor time alone has a second's grace: the signal at the soft limit says what happened, where it is heard
    (the first process of a namespace does not hear it), and the one at the hard limit cannot be overheard.
    """
    for name, value in (
        ("RLIMIT_CPU", limits["cpu_s"]),
        ("RLIMIT_AS", limits["memory_bytes"]),
        ("RLIMIT_FSIZE", limits["scratch_bytes"]),
        ("RLIMIT_NOFILE", limits["open_files"]),
        ("RLIMIT_NPROC", limits["tasks"]),
        ("RLIMIT_STACK", 8 << 20),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_MEMLOCK", 0),
        ("RLIMIT_MSGQUEUE", 0),
        ("RLIMIT_SIGPENDING", 256),
    ):
        _lower(getattr(resource, name, None), value, grace=int(name == "RLIMIT_CPU"))


def _lower(which: int | None, value: int, grace: int) -> None:
    if which is None:  # Python's module does not name all of them
        return
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, max(1, hard - grace))
    resource.setrlimit(which, (value, value + grace))


def lock(filter_program: bytes) -> None:
    """Give up all capabilities and the right to get any, then most system calls. Nothing after this undoes it."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    checked(libc.capset(header, struct.pack("6I", 0, 0, 0, 0, 0, 0)), "capset")
    checked(libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0), "prctl")
    no_new_privileges()
    seccomp.install(filter_program, os.getpid())


def no_new_privileges() -> None:
    """No program run from here on gains rights by being run."""
    checked(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def _write(name: str, text: str, proc: int) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
