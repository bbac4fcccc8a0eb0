"""The laws of the house, held at none: circles, arrows up, private imports. And the page that describes it is true."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import house

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
LAWS = ("circles at run time", "arrows up at run time", "arrows up with types", "private across rooms")


@pytest.fixture(scope="module")
def counts() -> dict[str, int | list[str]]:
    return house.count(ROOT)


@pytest.mark.parametrize("law", LAWS)
def test_the_law_holds(counts, law):
    assert law in house.MUST_BE_NONE
    assert counts[law] == []


def test_circles_that_only_checkers_see_stay_inside_of_compute(counts):
    modules = {module for circle in counts["circles with types"] for module in circle.split()}
    assert all(module.startswith("nlrl.compute.") for module in modules)


def test_every_room_has_a_floor():
    here = house.House(ROOT)
    rooms = {name.split(".")[1] for name in here.trees if "." in name}
    assert rooms == here.floors().keys()


def test_the_picture_of_the_rooms_is_that_of_the_code():
    picture = re.search(r"```mermaid\n(.*?)\n```", PAGE.read_text("utf-8"), re.S)
    assert picture and picture[1] == house.picture(house.House(ROOT)), "draw it anew: scripts/house.py --picture"


def test_the_page_names_every_room():
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", PAGE.read_text("utf-8"), re.M)
    told = {room: int(floor) for floor, rooms in rows for room in re.findall(r"`(\w+)`", rooms)}
    assert told == {room: floor for room, floor in house.House(ROOT).floors().items() if room != "former"}


WALKS = re.split(r"^## A ", PAGE.read_text("utf-8"), flags=re.M)[1:]


@pytest.mark.parametrize("walk", WALKS, ids=[walk.split(",")[0] for walk in WALKS])
def test_a_walk_has_fewer_than_twelve_stops_and_each_is_there(walk):
    stops = re.findall(r"^\d+\. `([\w.]+):([\w.]+)`", walk, re.M)
    assert 8 <= len(stops) < 12 and len(stops) == len(re.findall(r"^\d+\. ", walk, re.M))
    for module, path in stops:
        place = import_module(module)
        for name in path.split("."):
            place = getattr(place, name)
        assert callable(place)
