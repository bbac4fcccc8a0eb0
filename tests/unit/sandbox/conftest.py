"""One sandbox of each kind for all tests here; a kind that this machine does not offer is skipped, with the reason."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from nlrl.core import SandboxUnavailable
from nlrl.sandbox import Limits, Sandbox

QUICK = Limits(wall_s=10.0, cpu_s=2.0)


def _open(kind: str | None) -> Iterator[Sandbox]:
    with Sandbox(QUICK, isolation=kind) as sandbox:  # type: ignore[arg-type]
        try:
            sandbox.isolation()
        except SandboxUnavailable as error:
            pytest.skip(str(error))
        yield sandbox


@pytest.fixture(scope="session", params=["bubblewrap", "landlock"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Each kind of isolation in turn."""
    yield from _open(request.param)


@pytest.fixture
def opened() -> Iterator[Callable[..., Sandbox]]:
    """A maker of further sandboxes, which are closed at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(Sandbox(*args, **kwargs))


@pytest.fixture(scope="session")
def walled() -> Iterator[Sandbox]:
    """Namespaces and a scratch directory around every job."""
    for sandbox in _open("bubblewrap"):
        if not sandbox.isolation().walled:
            pytest.skip("no walls around single jobs on this machine")
        yield sandbox
