"""A pytest plugin: run only the tests of a list, in its order, and write down how long each test took.

`NLRL_TESTS_ONLY` names a JSON file with a list of test ids; `NLRL_TESTS_TOOK` a file that gets one JSON line a test and
phase: id, seconds, outcome.
"""

import json
import os
from pathlib import Path


def pytest_collection_modifyitems(config, items):
    if path := os.environ.get("NLRL_TESTS_ONLY"):
        place = {test: i for i, test in enumerate(json.loads(Path(path).read_text("utf-8")))}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in place])
        items[:] = sorted((item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid])


def pytest_runtest_logreport(report):
    path = os.environ.get("NLRL_TESTS_TOOK")
    if path and "PYTEST_XDIST_WORKER" not in os.environ:
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([report.nodeid, round(report.duration, 4), report.outcome]) + "\n")
