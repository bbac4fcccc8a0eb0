"""A pytest plugin: run only the tests of a list, in its order, and write down how long each test took.

`NLRL_TESTS_ONLY` names a JSON file with a list of test ids; `NLRL_TESTS_TOOK` a file that gets one JSON line a test:
id, seconds of processor time, whether it passed.
"""

import json
import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(config, items):
    if path := os.environ.get("NLRL_TESTS_ONLY"):
        place = {test: i for i, test in enumerate(json.loads(Path(path).read_text("utf-8")))}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in place])
        items[:] = sorted((item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid])


_failed = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Processor time of this process and of those that the test started and waited for."""
    begun = sum(os.times()[:4])
    result = yield
    if path := os.environ.get("NLRL_TESTS_TOOK"):
        line = [item.nodeid, round(sum(os.times()[:4]) - begun, 3), item.nodeid not in _failed]
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
    return result


def pytest_runtest_logreport(report):
    if report.failed:
        _failed.add(report.nodeid)
