"""The lazy face of a room, on made-up rooms and on every room there is."""

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import nlrl


def test_names_are_imported_when_used_and_not_before(tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text(
        "from nlrl.core.faces import lazy\n"
        "__getattr__, __dir__ = lazy(__name__, {'room.a': ('A', 'B'), 'room.b': ('C',)})"
    )
    (room / "a.py").write_text("A, B = 1, 2")
    (room / "b.py").write_text("C = 3")
    code = """
import sys, room
assert not {"room.a", "room.b"} & set(sys.modules)
assert {"A", "B", "C", "__doc__"} <= set(dir(room))
assert room.C == 3 and "room.a" not in sys.modules
from room import A, B
assert (A, B) == (1, 2)
room.a.A = 4
assert room.A == 4, "what a test replaces is seen"
try:
    room.D
except AttributeError as error:
    assert str(error) == "module 'room' has no attribute 'D'", error
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


ROOMS = [f"nlrl.{room.name}" for room in pkgutil.iter_modules(nlrl.__path__) if room.ispkg]


@pytest.mark.parametrize("name", ["nlrl", *ROOMS])
def test_every_face_keeps_its_promises(name):
    face = import_module(name)
    assert len(face.__all__) == len(set(face.__all__))
    for exported in face.__all__:
        assert getattr(face, exported) is not None
    assert set(face.__all__) <= set(dir(face))
