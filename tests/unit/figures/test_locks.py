"""The lock files hold what pyproject.toml asks for, with hashes, in the same versions everywhere."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

import bootstrap
from renew_locks import OF_TORCH

PROJECT = tomllib.loads((bootstrap.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = (*bootstrap.KINDS, "fuzz")
HERE = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}


def environment(python: str) -> dict[str, str]:
    """A machine on which the locks were tried."""
    return {
        **default_environment(),
        **HERE,
        "python_version": python,
        "python_full_version": f"{python}.0",
        "extra": "",
    }


def entries(name: str) -> list[tuple[Requirement, int]]:
    """(package, how many hashes) of a lock file."""
    text = re.sub(r"^\s*#.*$", "", (bootstrap.LOCKS / f"{name}.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(Requirement(line.partition(" --hash")[0]), line.count("--hash=sha256:")) for line in lines if line.strip()]


def versions(name: str, python: str) -> dict[str, str]:
    """What the lock installs with this Python."""
    here = environment(python)
    found: dict[str, str] = {}
    for wish, _ in entries(name):
        if wish.marker is None or wish.marker.evaluate(here):
            assert canonicalize_name(wish.name) not in found, f"{wish.name} twice"
            found[canonicalize_name(wish.name)] = next(iter(wish.specifier)).version
    return found


def wanted(extras: tuple[str, ...], python: str) -> list[Requirement]:
    """The requirements of the project and of these extras, and those of extras inside of extras."""
    texts = list(PROJECT["project"]["dependencies"])
    left = list(extras)
    while left:
        for text in PROJECT["project"]["optional-dependencies"][left.pop()]:
            wish = Requirement(text)
            if wish.name == "nlrl":
                left += wish.extras
            else:
                texts.append(text)
    wishes = [Requirement(text) for text in texts]
    return [w for w in wishes if w.marker is None or w.marker.evaluate(environment(python))]


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_and_has_hashes(name):
    for wish, hashes in entries(name):
        (only,) = wish.specifier
        assert only.operator == "==" and hashes > 0, wish


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("name", bootstrap.KINDS)
def test_a_lock_holds_what_the_project_asks_for(name, python):
    locked = versions(name, python)
    kind = bootstrap.KINDS[name]
    if kind.torch:
        torch = Requirement(bootstrap.TORCH.read_text(encoding="utf-8").splitlines()[-1])
        assert not any(OF_TORCH.fullmatch(package) for package in locked), "torch and what it brings are not hashed"
        locked["torch"] = next(iter(torch.specifier)).version
    groups = [Requirement(text) for text in PROJECT["dependency-groups"]["install"]]
    for wish in [*wanted(kind.extras, python), *groups]:
        version = locked.get(canonicalize_name(wish.name))
        assert version is not None, f"{wish} is not in {name}.txt: run scripts/renew_locks.py"
        assert wish.specifier.contains(version, prereleases=True), f"{wish}, and {name}.txt has {version}"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_what_is_demonstrated_is_what_is_tested(python):
    tested = versions("dev", python)
    demo, torch = versions("demo", python), versions("hf", python)
    assert demo.items() <= tested.items()
    assert {name: version for name, version in torch.items() if name in tested} == tested


def test_every_extra_of_the_torch_environment_is_real():
    extras = PROJECT["project"]["optional-dependencies"]
    assert all(extra in extras for kind in bootstrap.KINDS.values() for extra in kind.extras)
