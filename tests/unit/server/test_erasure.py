"""Erasure under attack: killed at any moment, beside a server that writes, of names and words that are hard to find."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nlrl.bank import Bank
from nlrl.cli.app import run
from nlrl.evaluation import import_panels
from nlrl.server import KeyStore
from nlrl.server.erasure import Who, erase
from nlrl.server.erasure.words import Words
from nlrl.server.observe.labels import panel_lines
from nlrl.server.observe.origin import origin_text, read_origin
from nlrl.server.observe.records import Attempt, Record, Records

LONG = "What does the tall woman at number nine keep in her cellar"


def put(records: Records, id: str, user: str, question: str, key: str = "-") -> None:
    text = f"{user} thinks hard about it. Final Answer: 42"
    attempts = [Attempt("s0", 5, "stop", answer="42", text=text, chosen=True)]
    made = {"answer": "42", "text": text, "attempts": attempts, "thumb": 1, "state": "done"}
    records.put(Record(id, time.time(), key=key, user=user, question=question, **made))  # type: ignore[arg-type]


def copied(records: Records, bank: Path, lines: Path) -> None:
    rows, _ = panel_lines(records.each())
    lines.write_bytes(b"".join(rows))
    with Bank(bank) as opened:
        asyncio.run(import_panels(lines, opened, "served"))


def held(home: Path, word: str) -> list[str]:
    return [file.name for file in home.rglob("*") if file.is_file() and word.encode() in file.read_bytes()]


@pytest.mark.parametrize(
    "user", ["u-17", "o'brien\"; DROP TABLE requests; --", "50%_&=+#", "Zoë 🎈\n\t", "", "u" * 190]
)
def test_any_name_is_found_again_where_the_records_are_gone(tmp_path: Path, user: str) -> None:
    home, path = tmp_path, tmp_path / "requests.sqlite"
    with Records(path) as records:
        put(records, "req_1", user, f"{LONG}, asks Zebulona?")
        put(records, "req_2", "somebody", f"{LONG}, asks Quentin?")
        assert read_origin(origin_text(next(records.each()))) is not None
        copied(records, home / "bank.sqlite", home / "labels.jsonl")
        records.erase(user=user)  # as retention does: of the copies, only what they say of themselves is left
    report = erase(Who(user=user), [path], [], [home], act=True)
    assert {place.name for place in report.found} == {"bank.sqlite", "labels.jsonl"} and report.left == {}
    assert held(home, "Zebulona") == [] and len(held(home, "Quentin")) == 3


def test_a_question_within_anothers_and_one_that_two_have_asked(tmp_path: Path) -> None:
    home, path = tmp_path, tmp_path / "requests.sqlite"
    with Records(path) as records:
        put(records, "req_1", "ann", f"{LONG}?")
        put(records, "req_2", "bob", f"{LONG}? And what does she keep there in summer, Quentin wonders.")
        put(records, "req_3", "ann", "Who is it?")
        put(records, "req_4", "bob", "Who is it?")  # the same, word for word, and judged later
        put(records, "req_5", "bob", "Tell me:\nWho is it?\nand who was it before, asks Quentin?")
        copied(records, home / "bank.sqlite", home / "labels.jsonl")
    report = erase(Who(user="ann"), [path], [home / "bank.sqlite"], [home], act=True)
    assert report.left == {}
    with Bank(home / "bank.sqlite") as bank, Records(path) as records:
        theirs = sorted(record.question or "" for record in records.each())
        assert len(theirs) == 3 and sorted(p.question for p in bank.problems("served")) == theirs
        assert bank.count() == 3
    lines = [json.loads(line)["question"] for line in (home / "labels.jsonl").read_text().splitlines()]
    assert sorted(lines) == theirs
    assert held(home, "ann thinks") == []


def test_a_bank_of_version_0_1_is_matched_by_the_text_itself(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with Records(path) as records:
        put(records, "req_1", "ann", f"{LONG}, asks Zebulona?")
        put(records, "req_2", "bob", f"{LONG}, asks Quentin?")
        rows = [{**json.loads(row), "source": ""} for row in panel_lines(records.each())[0]]
        (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        with Bank(tmp_path / "bank.sqlite") as bank:
            asyncio.run(import_panels(tmp_path / "old.jsonl", bank, "served"))
    erase(Who(user="ann"), [path], [], [tmp_path], act=True)
    assert held(tmp_path, "Zebulona") == [] and len(held(tmp_path, "Quentin")) == 3


_ERASE = """
import os, signal, sys
from nlrl.cli.app import run
from nlrl.server.erasure import banks, files, records

home, place, when = sys.argv[1:]
owner, name = place.rsplit(".", 1)
owner = eval(owner)
real = getattr(owner, name)

def killed(*args):
    if len(args) > 1 and args[-1] is False:  # the look before
        return real(*args)
    if when == "after":
        real(*args)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, killed)
run(["data", "erase", "--user", "ann", "--yes", "--records", home + "/requests.sqlite", "--in", home])
"""


@pytest.mark.parametrize(
    ("place", "when"),
    [
        ("records.RecordsSearch.hide", "after"),
        ("files.write_whole", "before"),
        ("files.write_whole", "after"),
        ("banks.BankSearch.drop_draws", "after"),
        ("banks.BankSearch.drop_problems", "after"),  # deleted, and not written anew
        ("banks.BankSearch.clean", "after"),
        ("records.RecordsSearch.drop", "after"),
        ("records.RecordsSearch.clean", "after"),
    ],
)
def test_killed_in_the_middle_it_finishes_when_it_is_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, when: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with Records(home / "requests.sqlite") as records:
        for n in range(60):
            put(records, f"req_{n}", "ann" if n % 2 else "bob", f"{LONG}, number {n}, {'Zebulona' * (n % 2)}?")
        copied(records, home / "bank.sqlite", home / "labels.jsonl")
    killed = subprocess.run([sys.executable, "-c", _ERASE, str(home), place, when], capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    print(place, when, "left in", held(home, "Zebulona"))
    with Records(home / "requests.sqlite") as records:
        assert list(records.each(user="ann")) == []  # whatever else is left, nobody sees or copies it
    again = ["data", "erase", "--user", "ann", "--yes", "--records", str(home / "requests.sqlite")]
    assert run([*again, "--in", str(home)]) == 0, capsys.readouterr().err
    assert held(home, "Zebulona") == [] and held(home, "ann thinks") == []
    with Bank(home / "bank.sqlite") as bank, Records(home / "requests.sqlite") as records:
        assert len(bank.problems("served")) == records.count() == 30 == bank.count()
    assert len((home / "labels.jsonl").read_text().splitlines()) == 30


def test_a_request_at_work_is_not_kept_when_it_ends_and_others_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with Records(path) as server:
        began = time.time()
        put(server, "req_old", "ann", f"{LONG}, asks Zebulona?")
        written: list[str] = []
        stop = threading.Event()

        def write() -> None:
            with Records(path) as records:
                while not stop.is_set():
                    put(records, f"req_{len(written)}", "bob", f"{LONG}, asks Quentin?")
                    written.append(f"req_{len(written)}")

        writing = threading.Thread(target=write)
        writing.start()
        report = erase(Who(user="ann"), [path], act=True)
        assert not server.put(Record("req_work", began, user="ann", question="as Zebulona said"))  # it came before
        assert server.put(Record("req_new", time.time() + 1, user="ann", question="asked later"))
        stop.set()
        writing.join()
        assert report.left == {} and server.missing(written) == set()
        assert [r.id for r in server.each(user="ann")] == ["req_new"]
    assert held(tmp_path, "Zebulona") == []


def test_thousands_of_questions_are_found_as_a_few_are() -> None:
    words, few = Words(Who(user="ann")), Words(Who(user="ann"))
    for n in range(5000):
        words.learn_question(f"Number {n} of {n * n}: {LONG}?")
    few.learn_question(f"Number 77 of 5929: {LONG}?")
    for known in (words, few):
        known.spare(f"Number 77 of 5929: {LONG}? And Quentin's number?")
        assert known.in_text(f"Question: Number 77 of 5929:\n  {LONG}?\nSolution: 1")
        assert not known.in_text(f"Question: Number 77 of 5929:\n  {LONG}? And Quentin's number?")
        assert not known.in_text(f"Question: Number 5077 of 1: {LONG}?") and not known.in_text("")
    assert words.in_text(f"(Number 4999 of 24990001: {LONG}?)") and not few.in_text(f"Number 4999 of 24990001: {LONG}?")


def test_a_file_of_somebodys_own_is_named_and_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Records(tmp_path / "requests.sqlite") as records:
        put(records, "req_1", "ann", f"{LONG}, asks Zebulona?")
    (tmp_path / "notes.txt").write_text(f"To do: {LONG}, asks Zebulona?\n")
    (tmp_path / "damaged.sqlite").write_bytes(b"SQLite format 3\0" + b"?" * 500 + f"{LONG}, asks Zebulona?".encode())
    (tmp_path / "policy.jsonl.new").write_text(json.dumps(f"{LONG}, asks Zebulona?")[:-9])
    erasing = ["data", "erase", "--user", "ann", "--yes", "--records", str(tmp_path / "requests.sqlite")]
    assert run([*erasing, "--in", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "notes.txt" in said and "damaged.sqlite" in said and "policy.jsonl.new" not in said
    assert sorted(held(tmp_path, "Zebulona")) == ["damaged.sqlite", "notes.txt"]


def test_a_run_that_is_going_on_is_not_touched_and_is_told(tmp_path: Path) -> None:
    from nlrl.evaluation.config import locked

    with Records(tmp_path / "requests.sqlite") as records:
        put(records, "req_1", "ann", f"{LONG}, asks Zebulona?")
    line = {"row": 0, "problem": {"id": "x", "question": f"{LONG}, asks Zebulona?"}, "strategy": "direct", "model": "m"}
    log = tmp_path / "runs" / "first" / "records.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps(line) + "\n")
    with locked(log.parent):
        report = erase(Who(user="ann"), [tmp_path / "requests.sqlite"], [], [tmp_path / "runs"], act=True)
        assert log in report.left and "Another process" in report.left[log] and log.read_text()


def test_keys_are_known_by_name_and_strangers_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, keys = tmp_path / "requests.sqlite", tmp_path / "keys.sqlite"
    with KeyStore(keys) as store, Records(path) as records:
        ann, bob = store.create("ann")[0], store.create("bob")[0]
        store.create("idle")
        put(records, "req_1", "u", f"{LONG}, asks Zebulona?", key=ann.id)
        put(records, "req_2", "u", f"{LONG}, asks Quentin?", key=bob.id)
        store.revoke("ann")
    here = ["--records", str(path), "--api-key-file", str(keys)]
    assert run(["data", "export", "--key", "ann", *here]) == 0
    said = capsys.readouterr()
    assert "Zebulona" in said.out and "Quentin" not in said.out and "1 requests exported" in said.err
    for stranger in (["--key", "nobody"], ["--user", "nobody"]):
        for command in ("export", "erase"):
            assert run(["data", command, *stranger, *here]) != 0
            assert "nobody" in (error := capsys.readouterr().err) and "Check the spelling" in error
    assert run(["data", "erase", "--key", "idle", *here]) == 0  # a key that is there, and has not asked
    assert run(["data", "erase", "--key", "ann", "--yes", *here]) == 0
    with Records(path) as records:
        assert [r.id for r in records.each()] == ["req_2"]
    assert held(tmp_path, "Zebulona") == []


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_what_holds_words_is_for_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        with Records(tmp_path / "requests.sqlite") as records:
            put(records, "req_1", "ann", f"{LONG}?")
            put(records, "req_2", "ann", f"{LONG}, in summer?")
            rows, _ = panel_lines(records.each())
        (tmp_path / "in.jsonl").write_bytes(b"".join(rows))
        chosen = tmp_path / "chosen.sqlite"
        chosen.touch(0o640)
        Bank(chosen).close()
        bank = str(tmp_path / "made" / "bank.sqlite")
        with Bank(bank) as opened:
            asyncio.run(import_panels(tmp_path / "in.jsonl", opened, "served"))
            modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "made").iterdir()}
            assert set(modes.values()) == {0o600} and len(modes) == 3, modes  # the log and the index beside it too
        assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700 and chosen.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(old)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_files_of_runs_policies_and_exports_are_for_their_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        sums = tmp_path / "sums.jsonl"
        sums.write_text(
            "".join(json.dumps({"question": f"What is {n} + 1?", "answer": str(n + 1)}) + "\n" for n in range(6))
        )
        sim = ["--data", str(sums), "--model", "stochastic:0.6"]
        home = tmp_path / "runs"
        bank = ["--bank", str(home / "b.sqlite")]
        assert run(["bench", *sim, "--samples", "2", "-o", str(home / "bench"), *bank]) == 0
        assert run(["improve", *sim, "--iterations", "1", "-o", str(home / "improve")]) == 0
        assert (
            run(["bank", "export", str(home / "bench"), str(home / "panel.jsonl"), "--bank", str(home / "b.sqlite")])
            == 0
        )
        KeyStore(home / "keys.sqlite").close()
        modes = {str(f.relative_to(home)): f.stat().st_mode & 0o777 for f in home.rglob("*")}
        numbers_only = {name for name in modes if name.endswith(".png")}  # in folders that nobody else enters
        print(modes)
        assert {modes[n] for n in modes if (home / n).is_file() and n not in numbers_only} == {0o600}
        assert {modes[n] for n in modes if (home / n).is_dir()} == {0o700}
        (home / "bench" / "summary.json").chmod(0o644)  # somebody wants others to read the figures
        assert run(["report", str(home / "bench")]) == 0
        assert (home / "bench" / "summary.json").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(old)
