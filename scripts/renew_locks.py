#!/usr/bin/env python3
"""Write the lock files in scripts/locks anew. docs/how-to/locks.md says when and why.

    .venv/bin/python scripts/renew_locks.py                       after a change of pyproject.toml: keeps what it can
    .venv/bin/python scripts/renew_locks.py --upgrade             the newest of everything
    .venv/bin/python scripts/renew_locks.py --upgrade-package X   of one package

Needs a network. Anything else that is given goes to `uv pip compile`, which does the work.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import bootstrap

# what torch brings for a GPU: pinned by the torch that is installed, and absent where it is a build for processors
OF_TORCH = re.compile(r"torch|triton|nvidia-.*|cuda-.*")


def compile_lock(name: str, wanted: list[str], options: list[str]) -> list[str]:
    """Resolve for all systems and Pythons at once, write the file, and name what it holds."""
    out = bootstrap.LOCKS / f"{name}.txt"
    command = [
        str(Path(sys.executable).with_name("uv")), "pip", "compile", *wanted, "--universal", "--python-version",
        ".".join(map(str, bootstrap.LEAST)), "--generate-hashes", "--quiet", "--custom-compile-command",
        "python scripts/renew_locks.py", "--output-file", _shown(out), *options,
    ]  # fmt: skip
    if subprocess.run(command, cwd=bootstrap.ROOT, check=False).returncode != 0:
        bootstrap.stop(f"uv could not resolve {name}; its message is above.")
    return re.findall(r"^([A-Za-z0-9._-]+)==", out.read_text(encoding="utf-8"), flags=re.MULTILINE)


def write_constraints(lock: Path, names: list[str]) -> None:
    """The versions of what torch may bring, without hashes: a constraint holds a package and does not ask for it."""
    pins = re.findall(r"^(\S+==\S+(?: ; [^\\\n]+)?)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [pin.rstrip() for pin in pins if pin.partition("==")[0] in names and pin.partition("==")[0] != "torch"]
    head = "# Made by scripts/renew_locks.py: what torch brings for a GPU, where its build is one for GPUs.\n"
    bootstrap.OF_TORCH.write_text(head + "".join(f"{line}\n" for line in lines), encoding="utf-8")


def _shown(path: Path) -> str:
    """As it is written into the files, which must not depend on where the project lies."""
    return str(path.relative_to(bootstrap.ROOT))


def main(options: list[str]) -> int:
    if "-h" in options or "--help" in options:
        print((__doc__ or "").strip())
        return 0
    for name, kind in bootstrap.KINDS.items():
        wanted = ["pyproject.toml", "--group", "install"]
        wanted += [word for extra in kind.extras for word in ("--extra", extra)]
        held = [] if name == "dev" else ["--constraints", _shown(bootstrap.LOCKS / "dev.txt")]
        held += ["--constraints", _shown(bootstrap.TORCH)] if kind.torch else []
        names = compile_lock(name, wanted, [*held, *options])
        if kind.torch:
            left_out = [n for n in names if OF_TORCH.fullmatch(n)]
            write_constraints(bootstrap.LOCKS / f"{name}.txt", left_out)
            names = compile_lock(name, wanted, [*held, *(word for n in left_out for word in ("--no-emit-package", n))])
        print(f"{name}: {len(names)} packages")
    print(f"fuzz: {len(compile_lock('fuzz', ['--group', 'fuzz'], options))} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
