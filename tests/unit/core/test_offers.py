"""What the package's face offers to registries below is there, and loads."""

import subprocess
import sys

import pytest

from nlrl.core import offers


@pytest.mark.parametrize("registry, name", [(r, n) for r, names in offers._offers.items() for n in names])
def test_what_is_offered_loads(registry, name):
    place = offers.offered(registry)[name]
    assert offers.load(place).__name__ == place.partition(":")[2]


def test_an_offer_is_seen_by_its_registry_alone():
    offers.offer("test of offers", "mine", "json:dumps")
    try:
        assert offers.offered("test of offers") == {"mine": "json:dumps"}
        assert "mine" not in offers.offered("strategy")
        assert offers.load("json:dumps")([1]) == "[1]"
    finally:
        del offers._offers["test of offers"]


def test_a_room_that_is_imported_alone_has_the_offers_of_higher_ones():
    code = "from nlrl.strategies.registry import get_strategy; get_strategy('auto')"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "from nlrl.models.registry import load_model; print(load_model('stochastic:0.6').name)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "stochastic" in done.stdout
