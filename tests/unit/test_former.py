"""Names of the version before are still found where they were, and say where they are now."""

import subprocess
import sys
from importlib import import_module, resources

import pytest

from nlrl import former

ONE = [old for old, places in former.MODULES.items() if len(places) == 1]
DIVIDED = [old for old, places in former.MODULES.items() if len(places) > 1]


@pytest.fixture(autouse=True)
def forgotten():
    """Old modules are imported anew in each test, as they warn once only."""
    yield
    for name in [name for name in sys.modules if any(f"{name}.".startswith(f"{old}.") for old in former.MODULES)]:
        del sys.modules[name]


@pytest.mark.parametrize("old", ONE)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the room above it
def test_an_old_module_is_the_new_one(old):
    new = former.MODULES[old][0]
    with pytest.warns(DeprecationWarning, match=f"^{old} is now {new}; the old name goes with"):
        module = import_module(old)
    assert module is import_module(new)
    assert module.__spec__ is not None and module.__spec__.name == module.__name__ == new


@pytest.mark.parametrize("old", DIVIDED)
def test_a_divided_room_has_the_names_of_all_its_parts(old):
    room = import_module(old)
    for place in former.MODULES[old]:
        for name in import_module(place).__all__:
            with pytest.warns(DeprecationWarning, match=f"^{old}.{name} is now {place}.{name};"):
                assert getattr(room, name) is getattr(import_module(place), name)
    with pytest.raises(AttributeError, match=f"module '{old}' has no attribute 'nothing'"):
        _ = room.nothing


@pytest.mark.parametrize(
    "old, new",
    [
        ("nlrl.rewards.forms.read", "nlrl.answers.forms.read"),
        ("nlrl.rewards.extraction", "nlrl.answers.extraction"),
        ("nlrl.rewards.judge", "nlrl.verifiers.judge"),
        ("nlrl.rewards.process_hf", "nlrl.verifiers.prm.huggingface"),
        ("nlrl.benchmark.intervals", "nlrl.evaluation.intervals"),
        ("nlrl.language_rl.acting.gpi", "nlrl.learning.language.acting.gpi"),
        ("nlrl.language_rl.environments.maze", "nlrl.environments.maze"),
        ("nlrl.training.learner", "nlrl.learning.learner"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_below_a_room_moves_with_it(old, new):
    assert import_module(old) is import_module(new)


@pytest.mark.parametrize("old, name", [(old, name) for old, names in former.NAMES.items() for name in names])
def test_an_old_name_is_the_new_one(old, name):
    module, new = import_module(old), former.NAMES[old][name]
    assert name not in vars(module), "a name that is still there hides its row"
    with pytest.warns(DeprecationWarning, match=f"^{old}.{name} is now {new}.{name};"):
        assert getattr(module, name) is getattr(import_module(new), name)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_never_was_is_not_found():
    core = import_module("nlrl.core")
    with pytest.raises(AttributeError, match=r"module 'nlrl\.core' has no attribute 'Nothing'"):
        _ = core.Nothing
    for name in ("nlrl.cli.nothing", "nlrl.rewards.nothing", "nlrl.benchmark.nothing"):
        with pytest.raises(ModuleNotFoundError):
            import_module(name)
    assert former.places_of("nlrl.core.logs") == () and former.places_of("json") == ()


def test_no_row_hides_what_is_there():
    for old in former.MODULES:
        path = resources.files("nlrl").joinpath(*old.split(".")[1:])
        assert not (path / "__init__.py").is_file() and not path.with_suffix(".py").is_file()


def test_the_warning_points_at_the_line_that_imports(tmp_path):
    file = tmp_path / "old.py"
    file.write_text("import nlrl\n\nfrom nlrl.cli.logs import redact\nfrom nlrl.rewards import extract_answer\n")
    run = [sys.executable, "-W", "always::DeprecationWarning", str(file)]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stderr
    assert f"{file}:3: DeprecationWarning: nlrl.cli.logs is now nlrl.core.logs" in said
    assert f"{file}:4: DeprecationWarning: nlrl.rewards.extract_answer is now nlrl.answers.extract_answer" in said


def test_files_of_a_room_that_lost_names_are_still_read():
    for room in former.NAMES:
        if hasattr(import_module(room), "__path__"):
            assert (resources.files(room) / "__init__.py").is_file()


def test_nobody_inside_uses_an_old_name():
    """Warnings are errors here, so every other test shows it; of modules that no test imports, this one does."""
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
