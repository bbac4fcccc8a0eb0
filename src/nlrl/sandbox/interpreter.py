"""Which files of this machine Python needs in order to run: all that a box shows.

visible = interpreter_files()
visible.executable   /home/me/.pyenv/versions/3.11.7/bin/python3.11   (the base interpreter, also in a venv)
visible.shown        its standard library, the system's shared libraries
visible.hidden       site-packages inside the shown directories
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class InterpreterFiles:
    """Real paths, none of them inside another. `links` are the system's own links into them ("/lib" to "usr/lib")."""

    executable: Path
    shown: tuple[Path, ...]
    hidden: tuple[Path, ...]
    links: tuple[tuple[Path, str], ...]

    def openable(self) -> Iterator[Path]:
        """The shown paths without the hidden ones, for Landlock, which can only add."""
        for path in self.shown:
            yield from _without(path, self.hidden)

    def open_to_all(self, *, parents: bool) -> bool:
        """Whether a user who owns none of it could read it; with `parents`, also reach it (below /root none can)."""
        library = next(p for path in self.shown for p in (path, path / _version()) if (p / "os.py").exists())
        return open_to_all(library, parents=parents) and open_to_all(library / "os.py", parents=False)


def open_to_all(path: Path, *, parents: bool) -> bool:
    """Whether a user who owns nothing could read this file or list this folder; with `parents`, also reach it."""
    needed = 0o005 if path.is_dir() else 0o004
    if path.stat().st_mode & needed != needed:
        return False
    return not parents or all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _version() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


@functools.cache
def interpreter_files() -> InterpreterFiles:
    """Look once; the answer holds for the life of the process."""
    executable = Path(os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable))
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    base |= {"installed_base": sys.base_prefix, "installed_platbase": sys.base_exec_prefix}
    wanted = [sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib")]
    packages = [sysconfig.get_path(name, vars=base) for name in ("purelib", "platlib")]
    packages += [str(Path(p) / kind) for p in wanted for kind in ("site-packages", "dist-packages")]
    packages += ["/usr/lib/python3/dist-packages", f"/usr/local/lib/{_version()}"]
    if not _inside(Path(sys.base_prefix), [Path("/usr")]):
        wanted.append(sysconfig.get_config_var("LIBDIR"))  # libpython and what a conda environment links to
    triplet = sysconfig.get_config_var("MULTIARCH") or "none"
    multiarch = [f"/lib/{triplet}", f"/usr/lib/{triplet}"]
    wanted += multiarch if any(Path(p).is_dir() for p in multiarch) else ["/lib", "/usr/lib"]
    wanted += ["/lib64", "/usr/lib64", "/usr/share/zoneinfo"]
    if _inside(executable, [Path("/nix/store")]):
        wanted.append("/nix/store")

    links = tuple((p, str(p.readlink())) for p in (Path("/lib"), Path("/lib64")) if p.is_symlink())
    shown = _outermost([executable, *(Path(os.path.realpath(p)) for p in wanted if p and Path(p).exists())])
    hidden = _outermost([Path(os.path.realpath(p)) for p in packages if p and Path(p).is_dir()])
    return InterpreterFiles(executable, shown, tuple(p for p in hidden if _inside(p, shown)), links)


def _inside(path: Path, roots: list[Path] | tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _outermost(paths: list[Path]) -> tuple[Path, ...]:
    unique = list(dict.fromkeys(paths))
    return tuple(p for p in unique if not any(p != other and p.is_relative_to(other) for other in unique))


def _without(path: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    inside = [h for h in hidden if h.is_relative_to(path)]
    if path in inside:
        return
    if not inside:
        yield path
        return
    for child in path.iterdir():
        if not child.is_symlink():  # a link's target is listed by itself, if it is inside at all
            yield from _without(child, hidden)
