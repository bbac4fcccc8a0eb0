"""Packages that programs and tests may import: named ones and nothing beside them; what is missing is said first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from nlrl.core import CodeTests, SandboxUnavailable, UserError
from nlrl.sandbox import Sandbox, TestOutcome, run_code_tests
from nlrl.sandbox.packages import Visible, missing_imports, visible_packages

PACKAGE = "msgspec"  # small, compiled, and a requirement of ours
TEST = "import msgspec\n\ndef check(candidate):\n    assert candidate(1) == msgspec.json.decode(b'2')\n"
RIGHT, WRONG = "def f(x): return x + 1", "def f(x): return x + 2"


def test_a_missing_package_is_named_whatever_the_program_is(sandbox: Sandbox) -> None:
    for program in (RIGHT, WRONG, "def f(", "import os; os._exit(0)"):
        (result,) = run_code_tests(program, TEST, entry_point="f", sandbox=sandbox).results
        assert result.outcome is TestOutcome.INVALID
        assert "msgspec" in result.message
        assert "--sandbox-packages msgspec" in result.message


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
def test_a_named_package_is_visible_and_nothing_beside_it(
    opened: Callable[..., Sandbox], kind: Literal["bubblewrap", "landlock"]
) -> None:
    sandbox = opened(isolation=kind, packages=[PACKAGE])
    try:
        sandbox.isolation()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    assert run_code_tests(RIGHT, TEST, entry_point="f", sandbox=sandbox).passed
    assert not run_code_tests(WRONG, TEST, entry_point="f", sandbox=sandbox).passed
    uses = "import msgspec.json\ndef f(x): return msgspec.json.decode(msgspec.json.encode(x + 1))"
    assert run_code_tests(uses, TEST, entry_point="f", sandbox=sandbox).passed
    other = (
        "try:\n    import click\nexcept ImportError:\n    click = None\ndef f(x): return x + 1 if click is None else 0"
    )
    assert run_code_tests(other, TEST, entry_point="f", sandbox=sandbox).passed
    writes = "import msgspec, os\ndef f(x):\n    open(os.path.join(os.path.dirname(msgspec.__file__), 'x'), 'w')"
    (result,) = run_code_tests(writes, TEST, entry_point="f", sandbox=sandbox).results
    assert result.outcome is TestOutcome.ERROR
    assert sandbox.missing_imports(CodeTests((TEST,))) == []
    assert sandbox.missing_imports(CodeTests((TEST,), setup="import numpy")) == ["numpy"]


def test_a_package_brings_what_it_requires() -> None:
    visible = visible_packages(["httpx"])
    assert {"httpx", "anyio", "idna"} <= visible.names
    assert visible.preload == ("httpx",)
    assert all("httpx" not in path or "site-packages" in path for path in visible.paths)


def test_a_package_may_go_by_the_name_that_is_imported() -> None:
    assert "yaml" in visible_packages(["yaml"]).names  # of the distribution PyYAML


def test_a_package_that_is_not_installed() -> None:
    with pytest.raises(UserError, match="no-such-package"):
        Sandbox(packages=["no-such-package"])


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("import os, numpy.linalg as la", ["numpy"]),
        ("def test_a():\n    from pandas.api import types", ["pandas"]),
        ("try:\n    import numpy\nexcept ImportError:\n    numpy = None", []),
        ("x = '''\nimport numpy\n'''", []),
        ("from . import other", []),
        ("from __future__ import annotations\nimport xml.dom", []),
        ("import numpy as (", []),
        ("assert f(1) == 1", []),
    ],
)
def test_what_a_text_imports(source: str, missing: list[str]) -> None:
    assert missing_imports([source], Visible()) == missing
