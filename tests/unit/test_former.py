"""Names of the version before are still found where they were, and say where they are now."""

import subprocess
import sys
from importlib import import_module, resources

import pytest

from nlrl import former


@pytest.mark.parametrize("old", former.MODULES)
def test_an_old_module_is_the_new_one(old):
    with pytest.warns(DeprecationWarning, match=f"^{old} is now {former.MODULES[old]}; the old name goes with") as told:
        sys.modules.pop(old, None)
        module = import_module(old)
    assert module is import_module(former.MODULES[old])
    assert module.__spec__ is not None and module.__spec__.name == module.__name__ == former.MODULES[old]
    assert len(told) >= 1


@pytest.mark.parametrize("old, name", [(old, name) for old, names in former.NAMES.items() for name in names])
def test_an_old_name_is_the_new_one(old, name):
    module, new = import_module(old), former.NAMES[old][name]
    assert name not in vars(module), "a name that is still there hides its row"
    with pytest.warns(DeprecationWarning, match=f"^{old}.{name} is now {new}.{name};"):
        assert getattr(module, name) is getattr(import_module(new), name)


def test_what_never_was_is_not_found():
    core = import_module("nlrl.core")
    with pytest.raises(AttributeError, match=r"module 'nlrl\.core' has no attribute 'Nothing'"):
        _ = core.Nothing
    with pytest.raises(ModuleNotFoundError):
        import_module("nlrl.cli.nothing")
    assert former.place_of("nlrl.core.logs") == "" and former.place_of("json") == ""


def test_rooms_below_a_room_that_moved_are_found(monkeypatch):
    monkeypatch.setitem(former.MODULES, "nlrl.essence", "nlrl.core")
    monkeypatch.setitem(former.MODULES, "nlrl.essence.odd", "nlrl.core.usage")
    places = {"nlrl.essence": "core", "nlrl.essence.errors": "core.errors", "nlrl.essence.odd": "core.usage"}
    for old, new in places.items():
        with pytest.warns(DeprecationWarning, match=f"^{old} is now nlrl.{new}"):
            assert import_module(old) is sys.modules[f"nlrl.{new}"]
    for old in places:
        del sys.modules[old]


def test_the_warning_points_at_the_line_that_imports(tmp_path):
    file = tmp_path / "old.py"
    file.write_text("import nlrl\n\nfrom nlrl.cli.logs import redact\nfrom nlrl.core import Strategy\n")
    run = [sys.executable, "-W", "always::DeprecationWarning", str(file)]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stderr
    assert f"{file}:3: DeprecationWarning: nlrl.cli.logs is now nlrl.core.logs" in said
    assert f"{file}:4: DeprecationWarning: nlrl.core.Strategy is now nlrl.compute.Strategy" in said


def test_files_of_a_room_that_lost_names_are_still_read():
    for room in former.NAMES:
        if hasattr(import_module(room), "__path__"):
            assert (resources.files(room) / "__init__.py").is_file()


def test_nobody_inside_uses_an_old_name():
    """Warnings are errors here, so this is what every other test shows; of modules that no test imports, this one."""
    code = """
import pkgutil, sys, warnings
import nlrl
warnings.simplefilter("error", DeprecationWarning)
for module in pkgutil.walk_packages(nlrl.__path__, "nlrl.", onerror=lambda name: None):
    if not module.name.endswith("__main__") and ".sandbox.box" not in module.name:
        try:
            __import__(module.name)
        except ModuleNotFoundError as error:
            assert not (error.name or "").startswith("nlrl"), error
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
