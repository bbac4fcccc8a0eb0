"""One sandbox of each kind for all tests here; a kind that this machine does not offer is skipped, with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nlrl.core import SandboxUnavailable
from nlrl.sandbox import Limits, Sandbox

QUICK = Limits(wall_s=10.0, cpu_s=2.0)


def _open(kind: str | None) -> Iterator[Sandbox]:
    sandbox = Sandbox(QUICK, isolation=kind)  # type: ignore[arg-type]
    try:
        sandbox.isolation()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="session", params=["bubblewrap", "landlock"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Each kind of isolation in turn."""
    yield from _open(request.param)


@pytest.fixture(scope="session")
def walled() -> Iterator[Sandbox]:
    """Namespaces and a scratch directory around every job."""
    for sandbox in _open("bubblewrap"):
        if not sandbox.isolation().walled:
            pytest.skip("no walls around single jobs on this machine")
        yield sandbox
