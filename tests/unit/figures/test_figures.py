"""What fails a build of figures, what is told and fails nothing, and whose turn it is."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

import figure_marks
import figures
from figure_marks import Miss, changes, judge, read_misses, read_results, write_results
from figures import Script, due, find_scripts

NO_REASON = '[[miss]]\nscript = "a"\nmark = "m"\nreason = " "\n'
ONE = '[[miss]]\nscript = "a"\nmark = "m"\nreason = "r"\n'


def mark(met: bool, exact: bool = True, figure: object = 1) -> dict:
    return {"met": met, "exact": exact, "figure": figure, "mark": "at least 2"}


def result(**marks: dict) -> dict:
    return {"benchmark": "some", "quick": True, "met": all(m["met"] for m in marks.values()), "marks": marks}


def known(name: str, quick: bool = True) -> list[Miss]:
    return [Miss("some", name, "too hard yet", quick=quick)]


@pytest.mark.parametrize(
    ("now", "misses", "fails"),
    [
        (result(a=mark(True)), [], False),
        (result(a=mark(False)), [], True),  # a pass turned into a miss
        (result(a=mark(False)), known("a"), False),
        (result(a=mark(True)), known("a"), True),  # a miss turned into a pass
        (result(a=mark(False)), known("a", quick=False), True),  # the list speaks of the other form
        (result(a=mark(False, exact=False)), [], False),  # a busy machine
        (result(a=mark(True, exact=False)), known("a"), False),
        (result(a=mark(True)), known("b"), True),  # listed, and told by nobody
        ({"benchmark": "some", "quick": True, "met": True}, [], True),  # no marks at all
        ({"benchmark": "some", "quick": True, "marks": {}, "skipped": "no data"}, known("a"), False),
    ],
)
def test_exact_marks_decide_and_timings_do_not(now, misses, fails):
    findings = list(judge(now, None, misses))
    assert any(finding.fails for finding in findings) is fails
    if fails or misses or not now.get("met"):
        assert findings, "what is not as it should be is told in any case"


def test_a_mark_cannot_go_unnoticed():
    last = result(a=mark(True), b=mark(True), slow=mark(True, exact=False))
    (finding,) = judge(result(a=mark(True)), last, [])
    assert finding.fails and "'b'" in finding.text
    assert not [f for f in judge(result(a=mark(True)) | {"skipped": "no node"}, last, []) if f.fails]


def test_the_change_against_the_last_build_is_told():
    last = result(a=mark(True, figure=0.74), b=mark(True, figure=3), slow=mark(True, exact=False, figure=2.0))
    now = result(
        a=mark(True, figure=0.75), b=mark(True, figure=3), slow=mark(True, exact=False, figure=3.0), c=mark(True)
    )
    assert list(changes(now, last)) == ["a: 0.74 -> 0.75", "slow: 2.0 -> 3.0 (timing, x 1.50)", "c: new, 1"]
    assert list(changes(now, None)) == ["new: there is nothing to compare with"]


def test_the_last_build_is_kept_and_read_again(tmp_path):
    full = result(a=mark(True)) | {"quick": False, "rows": [1, 2, 3]}
    write_results(tmp_path / "results.jsonl", [result(a=mark(False)), full])
    found = read_results(tmp_path / "results.jsonl")
    assert found["some", True]["marks"]["a"]["met"] is False
    assert found["some", False]["marks"]["a"]["met"] is True and "rows" not in found["some", False]
    assert read_results(tmp_path / "none.jsonl") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [(NO_REASON, "say the reason"), (ONE + ONE, "twice"), ('[[miss]]\nscript = "a"\n', "not as it must be")],
)
def test_a_careless_list_of_misses_is_refused(text, said, tmp_path):
    (tmp_path / "misses.toml").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_misses(tmp_path / "misses.toml")


def test_exact_marks_run_each_time_and_the_rest_by_turns():
    scripts = [Script(Path(f"{name}.py")) for name in ("exact", "new", "slow1", "slow2", "slow3", "slow4")]
    last = {("exact", True): result(a=mark(True))}
    last |= {(f"slow{i}", True): result(t=mark(True, exact=False)) for i in (1, 2, 3, 4)}
    turns = [[script.name for script in due(scripts, last, build)] for build in range(figures.TURNS)]
    assert all({"exact", "new"} <= set(names) for names in turns)
    assert sorted(name for names in turns for name in names if "slow" in name) == ["slow1", "slow2", "slow3", "slow4"]
    assert turns[0] == [script.name for script in due(scripts, last, figures.TURNS)]


def test_scripts_say_what_they_need():
    needs = {script.name: script.needs for script in find_scripts(figures.BENCHMARKS)}
    assert needs["gpi_learns"] == ("torch",) and needs["graders"] == ("data",) and needs["replay"] == ()
    assert {word for words in needs.values() for word in words} <= {"data", "torch"}


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Makes a script, and runs it as a build does."""
    monkeypatch.setattr(figures.bootstrap, "prepare", lambda *kind: sys.executable)
    for name, place in (("KNOWN_MISSES", "misses.toml"), ("LAST", "results.jsonl"), ("RESULTS", "build")):
        monkeypatch.setattr(figures, name, tmp_path / place)
    (tmp_path / "misses.toml").write_text("")

    def run(body: str, limit_s: float = 20, needs: tuple[str, ...] = ()) -> figures.Build:
        (tmp_path / "some.py").write_text(body)
        return figures.run_all([Script(tmp_path / "some.py", needs)], ["--quick"], limit_s, 60)

    return run


def test_a_build_keeps_what_it_saw_and_fails_by_it(script, tmp_path, capsys):
    told = json.dumps(result(a=mark(False), slow=mark(False, exact=False)))
    build = script(f"print('a table')\nprint('RESULT ' + {told!r})\nraise SystemExit(1)")
    assert figures.tell(build) == 1
    kept = json.loads((tmp_path / "build" / "some.quick.json").read_text())
    assert kept["marks"]["a"]["figure"] == 1 and kept["processor_seconds"] >= 0
    said = capsys.readouterr().out
    assert "a table" in said and "FAILS  some: MISSED: a" in said and "exact marks: 0 of 1 met" in said
    assert "missed, which a busy machine may: slow" in said


def test_a_script_that_breaks_or_hangs_fails_the_build(script, capsys):
    assert figures.tell(script("raise RuntimeError('no')")) == 1
    hung = script("import time\ntime.sleep(60)", limit_s=0.5)
    assert figures.tell(hung) == 1 and "without a RESULT line" in capsys.readouterr().out
    slow = script("import time\ntime.sleep(60)", limit_s=0.5, needs=("torch",))
    assert figures.tell(slow) == 0 and "NOT DONE" in capsys.readouterr().out  # training, on a busy machine
    assert figures.tell(script("raise RuntimeError('no')", needs=("torch",))) == 1


def test_the_project_s_own_lists_hold_together():
    scripts = {script.name for script in find_scripts(figures.BENCHMARKS)}
    misses = read_misses(figures.KNOWN_MISSES)
    assert {miss.script for miss in misses} <= scripts
    last = read_results(figures.LAST)
    assert {name for name, _ in last} <= scripts
    for row in last.values():  # a list that contradicts the build that it was committed with would fail the next one
        assert not [f for f in judge(row, row, misses) if f.fails], row["benchmark"]


def test_every_form_is_compared_with_its_own(tmp_path):
    assert figure_marks.form(result()) == ("some", True) and figure_marks.form({"benchmark": "some"}) == ("some", False)


def test_what_was_run_becomes_the_last_build(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "BENCHMARKS", tmp_path)
    monkeypatch.setattr(figures.bootstrap, "ROOT", tmp_path)
    told = json.dumps(result(a=mark(True, figure=7)))
    script(f"print('RESULT ' + {told!r})")
    assert figures.keep() == 0 and read_results(tmp_path / "results.jsonl")["some", True]["marks"]["a"]["figure"] == 7
    skipped = json.dumps({"benchmark": "some", "quick": True, "marks": {}, "skipped": "no browser"})
    script(f"print('RESULT ' + {skipped!r})")
    assert figures.keep() == 0 and read_results(tmp_path / "results.jsonl")["some", True]["marks"]["a"]["figure"] == 7
    assert "no browser" in capsys.readouterr().out
