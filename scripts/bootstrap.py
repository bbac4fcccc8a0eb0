"""Set-up shared by ./demo and ./test: a virtual environment with this project in it, made once and kept.

    python = prepare(".venv", "demo")      # path of the environment's python
    run([python, "-m", "nlrl.cli", "--help"])

What is installed is locked: scripts/locks/KIND.txt names every package with its version and the hashes of its files
(docs/how-to/locks.md). Where the lock was never tried, and where the newest is asked for, pyproject.toml decides.

Any `python3` may read this file first, so it must parse on old ones, to say clearly that they are too old (hence the
quoted annotations). Nothing but the standard library is there yet.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "scripts" / "locks"
TORCH, OF_TORCH = LOCKS / "torch.txt", LOCKS / "cuda.txt"
LEAST = (3, 11)
LOCKED = ((3, 11), (3, 13))  # the Pythons on which the locks were tried, on Linux x86_64
STAMP = "nlrl-installed.txt"
_PIP_SILENCE_S = 10  # how often to say that pip is still at work


def need_python() -> None:
    """Continue under Python 3.11 or newer: this one, else the newest one on the PATH; else say what to install."""
    if sys.version_info >= LEAST:
        return
    for minor in range(14, LEAST[1] - 1, -1):
        other = shutil.which(f"python3.{minor}")
        if other:
            os.execv(other, [other, *sys.argv])
    stop(
        f"This needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.\n"
        "Install one: `sudo apt install python3.11 python3.11-venv`, `brew install python@3.13`, or python.org."
    )


class Kind(NamedTuple):
    """What an environment is for: the extras of pyproject.toml in it, and whether torch comes with them."""

    extras: "tuple[str, ...]"
    torch: bool = False


KINDS = {
    "dev": Kind(("dev",)),
    "demo": Kind(("local", "plot")),  # a part of dev, in the same versions
    "hf": Kind(("dev", "hf", "train"), torch=True),
}


def prepare(name: str, kind: str, newest: bool = False) -> str:
    """The python of the virtual environment `name` with this project (editable) and what `kind` needs in it.

    Installs only when pyproject.toml, the lock or the Python version changed since the last time. `newest`: the newest
    packages that pyproject.toml allows, in an environment of their own.
    """
    venv = ROOT / (name + "-newest" if newest else name)
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not _works(python):
        say(f"Making the virtual environment {venv.name}")
        _make_venv(venv, python)
    locks = sorted(path.read_bytes() for path in LOCKS.glob("*.txt"))
    content = b"".join([(ROOT / "pyproject.toml").read_bytes(), *locks, repr((sys.version_info[:2], newest)).encode()])
    state = hashlib.sha256(content).hexdigest()
    stamp = venv / STAMP
    lines = stamp.read_text(encoding="utf-8").splitlines() if stamp.exists() else []
    installed = set(lines[1:]) if lines[:1] == [state] else set()
    if kind not in installed and not (kind == "demo" and "dev" in installed):
        say(f"Installing the project and what is needed for {kind!r} (takes a while, once)")
        _install(python, kind, newest)
        stamp.write_text("\n".join([state, *sorted(installed | {kind})]) + "\n", encoding="utf-8")
    return str(python)


def lock_fits() -> bool:
    """Whether the locks were tried on a machine like this one."""
    return (platform.system(), platform.machine()) == ("Linux", "x86_64") and (
        LOCKED[0] <= sys.version_info[:2] <= LOCKED[1]
    )


def _install(python: Path, kind: str, newest: bool) -> None:
    extras, torch = KINDS[kind]
    if newest or not lock_fits():
        if not newest:
            here = f"Python {sys.version_info[0]}.{sys.version_info[1]} on {platform.system()} {platform.machine()}"
            print(
                f"\n!! NOT LOCKED: the lock was never tried with {here}. The newest packages that pyproject.toml\n"
                "!! allows are installed, unchecked by any hash, and what they break nobody has seen yet.",
                file=sys.stderr,
                flush=True,
            )
        upgrade = ["--upgrade", "--upgrade-strategy", "eager"] if newest else []
        _pip(python, ["install", *upgrade, "--editable", f".[{','.join(extras)}]"])
        return
    # wheels alone: building from source would fetch tools that no hash vouches for
    locked = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(LOCKS / f"{kind}.txt")]
    _pip(python, ["install", *locked])
    if torch:
        _pip(python, ["install", "-r", str(TORCH), "-c", str(OF_TORCH)])
    _pip(python, ["install", "--no-deps", "--no-build-isolation", "--editable", "."])


def _works(python: Path) -> bool:
    """Whether the environment is there and complete: an interrupted set-up leaves one without pip."""
    if not python.exists():
        return False
    check = [str(python), "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))"]
    return _quietly(check) == 0


def _make_venv(venv: Path, python: Path) -> None:
    make = [sys.executable, "-m", "venv", "--clear", str(venv)]
    made = subprocess.run(make, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if made.returncode == 0:
        return
    # Debian ships ensurepip apart; a pip outside the environment can still put one into it
    outside = [sys.executable, "-m", "pip", "--python", str(python), "install", "pip"]
    if _quietly([*make, "--without-pip"]) == 0 and _quietly(outside) == 0:
        return
    shutil.rmtree(str(venv), ignore_errors=True)
    message = made.stdout.decode(errors="replace").strip()
    stop(
        f"Python's venv module cannot make an environment here:\n{message}\n\n"
        f"Install it (`sudo apt install python3.{sys.version_info[1]}-venv` on Debian and Ubuntu) and run this again."
    )


def _pip(python: Path, args: "list[str]") -> None:
    if run_waiting([str(python), "-m", "pip", *args, "--quiet", "--disable-pip-version-check"]) != 0:
        stop("pip could not install; its message is above. Without a network: connect, and run this again.")


def _quietly(command: "list[str]") -> int:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode


def run_waiting(command: "list[str]") -> int:
    """Run a command that says little, and show that time passes; its exit code."""
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=str(ROOT))
    while True:
        try:
            return _wait(process, timeout=_PIP_SILENCE_S)
        except subprocess.TimeoutExpired:
            print(f"   ... {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


def run(command: "list[str]", check: bool = True) -> int:
    """Run a command that prints for itself; its exit code. With `check`, a failure ends this script with that code."""
    sys.stdout.flush()
    code = _wait(subprocess.Popen(command, cwd=str(ROOT)))
    if check and code != 0:
        sys.exit(code if code > 0 else 128 - code)
    return code


def _wait(process: "subprocess.Popen[bytes]", timeout: "float | None" = None) -> int:
    """Ctrl-C reaches the command too, since it shares the terminal: give it time to end in its own way."""
    try:
        return process.wait(timeout)
    except KeyboardInterrupt:
        for end in (lambda: None, process.terminate, process.kill):
            end()
            try:
                process.wait(timeout=15)
                break
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                continue
        raise


def say(text: str) -> None:
    """A headline on stderr."""
    sys.stdout.flush()
    print(f"\n== {text}", file=sys.stderr, flush=True)


def stop(text: str, code: int = 2) -> None:
    """End with a message and an exit code."""
    print(text, file=sys.stderr, flush=True)
    sys.exit(code)
