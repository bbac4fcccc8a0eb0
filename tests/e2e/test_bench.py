import json
import random
import signal
import time
from pathlib import Path

import pytest

SETTINGS = (
    "--model", "stochastic:0.5", "--samples", "4", "--strategy", "direct", "--strategy", "self_consistency(n=4)",
)  # fmt: skip
CLOCKS = ("time", "seconds")


def records(path: Path) -> dict[tuple[str, str], dict]:
    """The records of a run by what must be done once, without what a clock said: only that may differ."""
    lines = [json.loads(line) for line in (path / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {(r["problem"]["id"], r["strategy"]): without_clocks(r) for r in lines}
    assert len(found) == len(lines)  # nothing was done twice
    return found


def without_clocks(value):
    if isinstance(value, dict):
        gists = {"gists": [gist[:3] for gist in value["gists"]]} if "gists" in value else {}
        return {k: without_clocks(v) for k, v in (value | gists).items() if k not in CLOCKS}
    return [without_clocks(v) for v in value] if isinstance(value, list) else value


def test_a_run_leaves_records_summary_picture_and_page(nlrl, write_rows, tmp_path):
    data = write_rows(6)
    done = nlrl("bench", "--data", data, *SETTINGS, "--out", "runs/first")
    assert done.code == 0, done.err
    out = tmp_path / "runs" / "first"
    assert len(records(out)) == 18
    assert "self_consistency(n=4)" in done.out and "18/18 records" in done.err
    for name in ("records.jsonl", "summary.json", "report.png", "report.html"):
        assert (out / name).stat().st_size > 0 and str(Path("runs", "first", name)) in done.out

    again = nlrl("bench", "--data", data, *SETTINGS, "--out", "runs/first")
    assert again.code == 0 and "18 from before" in again.err and len(records(out)) == 18

    listed = json.loads(nlrl("ls", "--json").out)
    assert listed["records"] == listed["total"] == 18 and set(listed["accuracy"]) == {"direct", "self_consistency(n=4)"}
    assert "first" in nlrl("ls").out and "stochastic" in nlrl("ls").out
    summary = json.loads(nlrl("report", "latest", "--json").out)
    assert summary["problems"] == 6

    other = nlrl("bench", "--data", data, *SETTINGS, "--seed", "5", "--out", "runs/first")
    assert other.code == 2 and "seed" in other.err


def test_without_a_directory_the_same_command_finds_its_run_again(nlrl, write_rows, tmp_path):
    data = write_rows(1)
    first, second = (nlrl("bench", "--data", data, *SETTINGS) for _ in range(2))
    assert first.code == 0 and "3 from before" in second.err
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_malformed_rows_are_named_and_the_rest_goes_on(nlrl, write_rows, tmp_path):
    data = write_rows(2, extra=b'{"question": "cut\nnonsense\n[1, 2]\n{"answer": "7"}\n')
    done = nlrl("bench", "--data", data, *SETTINGS, "--out", "run")
    assert done.code == 0, done.err
    assert len(records(tmp_path / "run")) == 6
    for line in (1, 2, 3, 4):
        assert f"{data}:{line}" in done.err
    for content in (b"nonsense\n", b"\xff\xfe\x00", b""):
        (tmp_path / "bad.jsonl").write_bytes(content)
        done = nlrl("bench", "--data", "bad.jsonl", *SETTINGS)
        assert done.code == 2 and "bad.jsonl" in done.err and "Traceback" not in done.err


def differences(one, other, place: str):
    """Where two records differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            yield from differences(one.get(key), other.get(key), f"{place}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{place}[{i}]")
    elif one != other:
        yield f"{place}: {one!r} / {other!r}"[:300]


@pytest.mark.slow  # benchmarks/resume.py --quick shows the same, with more kills
def test_resume_equals_an_undisturbed_run(nlrl, write_rows, tmp_path):
    data = write_rows(150)
    args = ("bench", "--data", data, *SETTINGS, "--concurrency", "2")
    done = 0
    for how, least in ((signal.SIGKILL, 20), (signal.SIGINT, 150)):
        done, err = stopped(nlrl, how, tmp_path / "cut" / "records.jsonl", least + random.randrange(100), args)
    said = err.split("Resume with:\n")[1].strip()
    assert said.startswith("nlrl bench --data sums.jsonl") and said.endswith("--out cut")
    assert "'self_consistency(n=4)'" in said
    resumed = nlrl(*args, "--out", "cut")
    assert resumed.code == 0 and f"{done} from before" in resumed.err
    assert nlrl(*args, "--out", "whole").code == 0
    cut, whole = records(tmp_path / "cut"), records(tmp_path / "whole")
    assert cut.keys() == whole.keys()
    different = [d for key, record in whole.items() for d in differences(cut[key], record, key[1])]
    assert different == []


def stopped(nlrl, how, log, wanted, args) -> tuple[int, str]:
    """Start the run in "cut", stop it when the log has `wanted` records; how many it has then, and what was said."""
    process = nlrl.start(*args, "--out", "cut")
    try:
        deadline = time.monotonic() + 30
        while not log.exists() or log.read_bytes().count(b"\n") < wanted:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(how)
        _, err = process.communicate(timeout=30)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    lines = log.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last line end is torn
    assert not [line for line in lines if "error" in json.loads(line)]
    assert wanted <= len(lines) < 450
    return len(lines), err.decode()


def test_a_recorded_panel_is_replayed_by_any_strategy(nlrl, tmp_path):
    row = {"question": "What is 17 + 25?", "reference": "42", "problem_id": "q1"}
    samples = [{"answer": a, "tokens": 10} for a in ("41", "42", "42")]
    (tmp_path / "traces.jsonl").write_text(json.dumps(row | {"samples": samples}) + "\nnot json\n")
    done = nlrl("bank", "import", "traces.jsonl", "--bank", "b.sqlite", "--name", "elsewhere")
    assert done.code == 0 and "3 samples on 1 problems" in done.out and "traces.jsonl:2" in done.err
    replay = ("--data", "panel:elsewhere", "--model", "panel:elsewhere", "--bank", "b.sqlite")
    done = nlrl("bench", *replay, "--strategy", "direct", "--strategy", "self_consistency(n=3)", "--out", "replayed")
    assert done.code == 0, done.err
    verdicts = {k[1]: r["answer"]["verdict"] for k, r in records(tmp_path / "replayed").items()}
    assert verdicts == {"direct": "wrong", "self_consistency(n=3)": "right"}
    done = nlrl("bank", "export", "panel:elsewhere", "out.jsonl", "--bank", "b.sqlite")
    assert done.code == 0
    assert [s["tokens"] for s in json.loads((tmp_path / "out.jsonl").read_text())["samples"]] == [10, 10, 10]


def test_a_disk_that_cannot_be_written(nlrl, write_rows):
    done = nlrl("bench", "--data", write_rows(1), *SETTINGS, "--out", "/dev/null/run")
    assert done.code == 2 and "/dev/null/run" in done.err and "Traceback" not in done.err


def test_doctor_offline(nlrl):
    done = nlrl("doctor", "--offline")
    assert done.code in (0, 1) and "sandbox" in done.out and "python" in done.out
    assert "PyPI" not in done.out


def test_a_strategy_that_failed_on_every_problem_is_no_success(nlrl, write_rows):
    done = nlrl(
        "bench",
        "--data",
        write_rows(2),
        "--model",
        "http://127.0.0.1:9/v1#nobody",
        "--strategy",
        "direct",
        "--out",
        "run",
    )
    assert done.code == 1 and "Failed on every problem: direct" in done.err
