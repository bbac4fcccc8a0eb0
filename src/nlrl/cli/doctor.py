"""`nlrl doctor`: can this machine do what nlrl needs, and what to do where it cannot?"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click

from nlrl.cli.frame import Command
from nlrl.core import NlrlError
from nlrl.core.logs import redact

_TIMEOUT_S = 4.0
_EXTRAS = {
    "local": ("xllamacpp", "the embedded engine, for GGUF weights"),
    "plot": ("matplotlib", "pictures of results"),
    "hf": ("transformers", "Hugging Face checkpoints"),
    "data": ("datasets", "Hugging Face data sets"),
    "gym": ("reasoning_gym", "generated problems"),
}
_VARIABLES = ("NLRL_MODEL", "NLRL_CACHE", "NLRL_BANK", "NLRL_DATA", "OPENAI_BASE_URL", "OPENAI_API_KEY")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `needed`: without it the main job cannot be done."""

    name: str
    good: bool
    says: str
    needed: bool = False


@click.command(cls=Command, examples="nlrl doctor\nnlrl doctor --offline")
@click.option("--offline", is_flag=True, help="Do not try the network.")
def doctor(offline: bool) -> int:
    """Check Python, memory, sandbox, extras, weights and network. The exit code is 1 if something needed is missing."""
    checks: list[Callable[[], Iterator[Finding]]] = [_python, _memory, _disk, _sandbox, _extras, _weights, _settings]
    if not offline:
        checks.append(_network)
    missing = 0
    for check in checks:
        for finding in check():
            mark = "ok  " if finding.good else ("MISS" if finding.needed else "-   ")
            missing += finding.needed and not finding.good
            click.echo(f"{mark}  {finding.name:12} {redact(finding.says)}")
    click.echo("\nAll that is needed is here." if not missing else f"\n{missing} needed things are missing, see MISS.")
    return 1 if missing else 0


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("python", sys.version_info >= (3, 11), f"{version} at {sys.executable} (3.11 or newer)", needed=True)
    yield Finding("system", True, f"{platform.system()} {platform.release()} {platform.machine()}, {_cores()} cores")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> Iterator[Finding]:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (AttributeError, ValueError, OSError):
        return  # not every system tells
    yield Finding("memory", free > 1.5, f"{free:.1f} GB free (the default model takes about 1 GB)")


def _disk() -> Iterator[Finding]:
    from nlrl.models import cache_dir

    here = cache_dir()
    there = next(p for p in (here, *here.parents) if p.exists())
    free = shutil.disk_usage(there).free / 1e9
    writable = os.access(there, os.W_OK)
    says = f"{here}, {free:.1f} GB free" + ("" if writable else "; cannot be written: set NLRL_CACHE to another folder")
    yield Finding("cache", writable and free > 1, says, needed=True)


def _sandbox() -> Iterator[Finding]:
    from nlrl.sandbox import Sandbox

    try:
        with closing(Sandbox()) as sandbox:
            found = sandbox.isolation()
    except NlrlError as refusal:
        yield Finding("sandbox", False, f"generated code cannot be run: {refusal}", needed=True)
        return
    yield Finding("sandbox", True, f"{found.kind}: {found.reason}", needed=True)


def _extras() -> Iterator[Finding]:
    for extra, (package, purpose) in _EXTRAS.items():
        here = importlib.util.find_spec(package) is not None
        says = f"{purpose}" + ("" if here else f"; install with: pip install 'nlrl[{extra}]'")
        yield Finding(f"[{extra}]", here, says)


def _weights() -> Iterator[Finding]:
    from nlrl.models import WEIGHTS, installed
    from nlrl.models.weights import weight_path

    for name, entry in WEIGHTS.items():
        path = installed(entry)
        damaged = "damaged; " if path is None and weight_path(entry).exists() else ""
        yield Finding("weights", path is not None, f"{name}: {path or f'{damaged}fetch with: nlrl models pull {name}'}")


def _settings() -> Iterator[Finding]:
    for name in _VARIABLES:
        value = os.environ.get(name)
        if value:
            yield Finding("setting", True, f"{name}={'(set)' if name.endswith('KEY') else value}")
    data = os.environ.get("NLRL_DATA")
    if data and not Path(data).is_dir():
        yield Finding("setting", False, f"NLRL_DATA={data} is not a directory")


def _network() -> Iterator[Finding]:
    targets = {"hub": "https://huggingface.co", "PyPI": "https://pypi.org/simple/pip/"}
    if server := os.environ.get("OPENAI_BASE_URL"):
        targets["server"] = server.rstrip("/") + "/models"
    with ThreadPoolExecutor(len(targets)) as pool:
        for (name, url), says in zip(targets.items(), pool.map(_reach, targets.values()), strict=True):
            yield Finding(name, says.startswith("HTTP"), f"{url}: {says}")


def _reach(url: str) -> str:
    import httpx

    begun = time.monotonic()
    try:
        response = httpx.head(url, timeout=_TIMEOUT_S, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"not reached ({type(error).__name__})"
    return f"HTTP {response.status_code} in {time.monotonic() - begun:.1f} s"
