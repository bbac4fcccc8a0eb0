"""What an environment is made of: locked where the lock was tried, with a loud word elsewhere."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

import bootstrap


@pytest.fixture
def pips(monkeypatch, tmp_path):
    """The calls of pip, which is not run, in a project of its own."""
    calls: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "_works", lambda python: True)
    monkeypatch.setattr(bootstrap, "_pip", lambda python, args: calls.append(args))
    (tmp_path / "pyproject.toml").write_text("")
    for name in (".venv", ".venv-hf", ".venv-newest"):
        (tmp_path / name).mkdir()
    return calls


def test_hashes_are_required_and_nothing_is_built(pips, monkeypatch):
    monkeypatch.setattr(bootstrap, "lock_fits", lambda: True)
    bootstrap.prepare(".venv-hf", "hf")
    locked, torch, project = pips
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(locked) and locked[-1].endswith("hf.txt")
    assert torch == ["install", "-r", str(bootstrap.TORCH), "-c", str(bootstrap.OF_TORCH)]
    assert {"--no-deps", "--no-build-isolation"} <= set(project)


def test_it_is_installed_once_and_again_when_something_changed(pips, monkeypatch, tmp_path):
    monkeypatch.setattr(bootstrap, "lock_fits", lambda: True)
    bootstrap.prepare(".venv", "dev")
    first = len(pips)
    bootstrap.prepare(".venv", "dev")
    bootstrap.prepare(".venv", "demo")  # is a part of dev
    assert len(pips) == first > 0
    (tmp_path / "pyproject.toml").write_text("changed")
    bootstrap.prepare(".venv", "demo")
    assert len(pips) > first


@pytest.mark.parametrize(("system", "machine", "version"), [
    ("Darwin", "arm64", (3, 12)), ("Linux", "aarch64", (3, 12)), ("Linux", "x86_64", (3, 14)),
])  # fmt: skip
def test_where_the_lock_was_never_tried_it_is_said(pips, monkeypatch, capsys, system, machine, version):
    monkeypatch.setattr(bootstrap.platform, "system", lambda: system)
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: machine)
    monkeypatch.setattr(bootstrap.sys, "version_info", (*version, 0))
    bootstrap.prepare(".venv", "dev")
    assert pips == [["install", "--editable", ".[dev]"]]
    said = capsys.readouterr().err
    assert "NOT LOCKED" in said and system in said and f"{version[0]}.{version[1]}" in said


def test_the_newest_are_tried_in_an_environment_of_their_own(pips, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "lock_fits", lambda: True)
    python = bootstrap.prepare(".venv", "dev", newest=True)
    assert Path(python).parts[-3] == ".venv-newest"
    assert pips == [["install", "--upgrade", "--upgrade-strategy", "eager", "--editable", ".[dev]"]]
    assert "NOT LOCKED" not in capsys.readouterr().err
