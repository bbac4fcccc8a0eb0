"""The counts of the house: every way of importing is seen, on made-up checkouts."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

import house

FLOORS = """
[[tool.importlinter.contracts]]
name = "inside one room"
type = "layers"
layers = ["nlrl.high.a", "nlrl.high.b"]

[[tool.importlinter.contracts]]
name = "rooms"
type = "layers"
layers = ["nlrl.high", "nlrl.left | nlrl.right", "(nlrl.low)"]
"""
ROOMS = {"__init__": "", "high/__init__": "", "left/__init__": "", "right/__init__": "", "low/__init__": ""}


@pytest.fixture
def build(tmp_path):
    """Writes a checkout of these modules and counts it."""

    def write(**modules: str) -> dict[str, int | list[str]]:
        for name, text in {**ROOMS, **modules}.items():
            path = tmp_path / "src/nlrl" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "benchmarks").mkdir(exist_ok=True)
        (tmp_path / "pyproject.toml").write_text(FLOORS)
        return house.count(tmp_path)

    return write


UPWARD = {
    "from": "from nlrl.high import thing",
    "module": "from nlrl.high.x import thing",
    "submodule": "from nlrl.high import x",
    "import": "import nlrl.high.x",
    "relative": "from ..high import x",
    "relative name": "from ..high.x import thing",
    "in a function": "def f():\n    from nlrl.high.x import thing\n    return thing",
    "place": "PLACE = 'nlrl.high.x:thing'",
    "module by name": "MODULE = 'nlrl.high.x'",
    "table of a lazy face": "HOME = {'x': ('A',)}\ndef f(home):\n    return load(f'nlrl.high.{home}')",
}


@pytest.mark.parametrize("text", UPWARD.values(), ids=UPWARD.keys())
def test_an_arrow_up_is_seen_however_it_is_written(build, text):
    counts = build(**{"high/x": "", "low/y": text})
    assert len(counts["arrows up at run time"]) == 1
    assert counts["arrows up at run time"] == counts["arrows up with types"]


def test_arrows_down_are_none_and_neighbours_do_not_know_each_other(build):
    down = build(**{"high/x": "import nlrl.low\nimport nlrl.left", "left/y": "from nlrl.low import z", "low/z": ""})
    assert not down["arrows up with types"]
    across = build(**{"left/y": "import nlrl.right"})
    assert across["arrows up at run time"] == ["nlrl.left.y:1 -> nlrl.right"]


def test_floors_may_be_named_inside_a_container(build, tmp_path, monkeypatch):
    named = '[[tool.importlinter.contracts]]\ncontainers = ["nlrl"]\nlayers = ["high", "left | right", "low"]\n'
    monkeypatch.setattr(sys.modules[__name__], "FLOORS", named)
    assert len(build(**{"low/y": "import nlrl.high"})["arrows up at run time"]) == 1
    assert not build(**{"low/y": "", "high/x": "import nlrl.low"})["arrows up at run time"]


def test_the_door_stands_above_all_and_a_room_without_a_floor_below_it(build):
    assert not build(__init__="import nlrl.high", door="import nlrl.high")["arrows up with types"]
    assert len(build(**{"low/y": "from nlrl import __version__"})["arrows up at run time"]) == 1
    assert len(build(**{"low/y": "import nlrl.door", "door": ""})["arrows up at run time"]) == 1


def test_what_only_checkers_import_is_told_apart(build):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nlrl.high.x import A"
    counts = build(**{"low/y": text, "high/x": "import nlrl.low.y"})
    assert not counts["arrows up at run time"] and not counts["circles at run time"]
    assert len(counts["arrows up with types"]) == 1
    assert counts["circles with types"] == ["nlrl.high.x nlrl.low.y"]


def test_each_circle_is_told_once_and_whole(build):
    ring = {"low/a": "from . import b", "low/b": "import nlrl.low.c", "low/c": "P = 'nlrl.low.a:f'"}
    pair = {"left/p": "from .q import x", "left/q": "from .p import y"}
    counts = build(**ring, **pair, **{"low/d": "import nlrl.low.a"})
    assert counts["circles at run time"] == ["nlrl.left.p nlrl.left.q", "nlrl.low.a nlrl.low.b nlrl.low.c"]


def test_names_of_loggers_load_nothing(build):
    counts = build(
        **{"high/x": "import logging\nlog = logging.getLogger('nlrl.high')", "high/__init__": "from . import x"}
    )
    assert not counts["circles at run time"]


def test_a_room_s_own_files_are_no_import(build):
    own = build(**{"high/x": "DATA = files('nlrl.high') / 'x.css'", "high/__init__": "from . import x"})
    assert not own["circles at run time"]
    assert len(build(**{"low/y": "DATA = files('nlrl.high') / 'x.css'"})["arrows up at run time"]) == 1


def test_private_modules_and_names_of_other_rooms(build):
    inside = build(**{"low/_p": "", "low/y": "from nlrl.low._p import x, _z\nfrom nlrl import __version__"})
    assert not inside["private across rooms"]
    text = "from nlrl.low._p import x\nfrom ..low.y import _z\nimport nlrl.low._p\nPLACE = 'nlrl.low.y:_z'"
    assert len(build(**{"high/x": text})["private across rooms"]) == 4


def test_functions_called_once_and_long_ones(build):
    body = "\n".join(["    pass"] * house.LONG_FUNCTION)
    text = (
        f"def _once(): pass\ndef _twice(): pass\ndef _never(): pass\ndef long():\n{body}\n_once(); _twice(); _twice()"
    )
    counts = build(**{"low/y": text, "low/z": "def _there(): pass", "low/w": "from .z import _there\n_there()"})
    assert counts["private functions"] == 4
    assert counts["private functions called once"] == ["nlrl.low.y:1 _once", "nlrl.low.z:1 _there"]
    assert counts["functions over 60 lines"] == ["nlrl.low.y:4 long"]


def test_classes_defined_twice(build):
    modules = {
        "low/y": "class A: pass\nclass B: pass\nclass _C: pass",
        "high/x": "class A: pass\nclass B: pass\nclass _C: pass",
        "low/__init__": "from nlrl.low.y import A, B", "high/__init__": "from nlrl.high.x import A",
    }  # fmt: skip
    counts = build(**modules)
    assert counts["class names defined twice"] == ["A: nlrl.high.x nlrl.low.y", "B: nlrl.high.x nlrl.low.y"]
    assert counts["class names twice on faces"] == ["A: nlrl.high.x nlrl.low.y"]


def test_the_picture_shows_whom_a_room_needs_but_for_what_those_need(build, tmp_path):
    build(
        **{"high/x": "import nlrl.left\nimport nlrl.low", "left/y": "import nlrl.low", "__init__": "import nlrl.right"}
    )
    assert house.picture(house.House(tmp_path)) == "flowchart TD\n    high --> left\n    left --> low"


def test_the_table_stands_side_by_side_and_the_last_one_decides(build, tmp_path, monkeypatch, capsys):
    build(**{"low/y": "import nlrl.high"})
    here = Path(house.__file__).parents[1]
    monkeypatch.setattr(sys, "argv", ["house.py", str(here), str(tmp_path)])
    assert house.main() == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == [here.name[-12:], tmp_path.name[-12:]] and out[-1].startswith("RESULT {")
