import json
import os
import subprocess
import time

import pytest

from nlrl.models import installed, weight_file

ORACLE = ("--model", "stochastic:1.0", "--reference", "42")

small_model = pytest.mark.skipif(
    installed(weight_file("smollm2-135m")) is None,
    reason="no weights: run nlrl models pull smollm2-135m",
)


def test_shows_the_attempt_then_answer_confidence_and_ledger(nlrl):
    done = nlrl("solve", "What is 17 + 25?", *ORACLE)
    assert done.code == 0, done.err
    assert "Task: math" in done.err and "s0 | " in done.err
    assert "Answer: 42" in done.out and "Against the reference '42': right" in done.out
    assert "one attempt says nothing" in done.out
    assert "Ledger" in done.out and "critical path" in done.out


def test_a_vote_shows_every_attempt_and_says_what_its_confidence_is(nlrl):
    done = nlrl("solve", "What is 17 + 25?", "--strategy", "self_consistency(n=4)", *ORACLE)
    assert all(f"s{i} | " in done.err for i in range(4))
    assert "1.00 (the share of the attempts that reached this answer" in done.out


def test_json_is_one_object_with_every_attempt_and_the_ledger(nlrl):
    done = nlrl("solve", "What is 17 + 25?", "--json", "--strategy", "self_consistency(n=3)", *ORACLE)
    found = json.loads(done.out)
    assert found["answer"] == "42" and found["verdict"] == "right" and found["task"] == "math"
    assert len(found["attempts"]) == 3
    generated = found["usage"]["total"]["completion_tokens"]
    assert generated == sum(a["tokens"] for a in found["attempts"])


def test_a_budget_alone_chooses_a_strategy_that_fits_it(nlrl):
    done = nlrl("solve", "What is 17 + 25?", "--json", "--budget", "calls=2", *ORACLE)
    found = json.loads(done.out)
    assert found["strategy"].startswith("adaptive_consistency") and found["usage"]["total"]["calls"] <= 2


def test_prices_put_a_cost_into_the_ledger_and_a_budget_keeps_it(nlrl):
    args = ("solve", "What is 17 + 25?", "--strategy", "self_consistency(n=8)", *ORACLE, "--prices", "100,1000")
    found = json.loads(nlrl(*args, "--budget", "cost=0.3", "--max-tokens", "100", "--json").out)
    spent = found["usage"]["total"]
    assert spent["cost"] == pytest.approx((100 * spent["prompt_tokens"] + 1000 * spent["completion_tokens"]) / 1e6)
    assert 0 < spent["cost"] <= 0.3 and found["stopped"] == "cost" and len(found["attempts"]) < 8
    done = nlrl(*args, "--budget", "cost=0.3")  # 512 tokens may cost 0.5
    assert done.code == 1 and "does not hold a single attempt" in done.out


@pytest.mark.parametrize("where", ["stdin", "file"])
def test_question_from_elsewhere_and_quiet(nlrl, tmp_path, where):
    (tmp_path / "q.txt").write_text("\ufeffWhat is 17 + 25?\n", encoding="utf-8")
    word = "-" if where == "stdin" else "@q.txt"
    done = nlrl("solve", "--quiet", *ORACLE, word, stdin=(tmp_path / "q.txt").read_bytes())
    assert (done.code, done.out, done.err) == (0, "42\n", "")


def test_a_bank_makes_the_second_time_free(nlrl):
    args = (
        "solve",
        "What is 17 + 25?",
        "--bank",
        "bank.sqlite",
        "--json",
        "--model",
        "stochastic:0.5",
        "--reference",
        "42",
    )
    first, second = (json.loads(nlrl(*args).out) for _ in range(2))
    assert first["text"] == second["text"] and first["tokens"] == second["tokens"]
    assert "1 samples" in nlrl("bank", "info", "bank.sqlite").out


@pytest.mark.parametrize("size", [3_000_000, 10 * 2**20])
def test_a_prompt_of_many_megabytes_is_refused(nlrl, size):
    done = nlrl("solve", "-", "--model", "http://127.0.0.1:9/v1#none", stdin=b"word " * (size // 5), timeout=30)
    assert done.code == 2 and "Traceback" not in done.err and len(done.err) < 1000


def test_not_text(nlrl):
    done = nlrl("solve", "-", *ORACLE, stdin=b"caf\xe9")
    assert done.code == 2 and "not UTF-8" in done.err


def test_no_server(nlrl):
    done = nlrl("solve", "hi", "--model", "http://127.0.0.1:9/v1#none")
    assert done.code == 2 and "127.0.0.1:9" in done.err and "Traceback" not in done.err


def test_corrupt_weights(nlrl, tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    done = nlrl("solve", "hi", "--model", "broken.gguf")
    assert done.code == 2 and "broken.gguf" in done.err and "Traceback" not in done.err
    weights = tmp_path / "cache" / "models" / "smollm2-135m.gguf"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"GGUF" + b"\0" * 1000)
    done = nlrl("solve", "hi", "--model", "smollm2-135m", NLRL_CACHE=str(tmp_path / "cache"))
    assert done.code == 2 and "damaged" in done.err and "nlrl models pull smollm2-135m" in done.err


def test_a_closed_pipe_is_no_error_message(nlrl):
    process = nlrl.start("strategies")
    process.stdout.close()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 141 and err == b""


@pytest.mark.alone
@small_model
def test_a_real_model_answers_a_short_question_within_two_seconds(nlrl):
    done = nlrl("solve", "What is 17 + 25?", "--model", "smollm2-135m", "--seed", "3", "--json")
    found = json.loads(done.out)
    assert done.code == 0 and found["text"].strip() and found["usage"]["total"]["flops"] > 0
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # where others compute too, they take their share
    assert found["usage"]["seconds"] < 2.0 * busy


@small_model
def test_a_prompt_beyond_the_context_of_a_real_model(nlrl):
    done = nlrl("solve", "-", "--model", "smollm2-135m", stdin=b"word " * 100_000)
    assert done.code == 2 and "context" in done.err and "Traceback" not in done.err


@small_model
def test_ctrl_c_ends_quietly(nlrl):
    import signal

    process = nlrl.start("solve", "Tell a long story.", "--model", "smollm2-135m", "--max-tokens", "2000")
    try:
        while b"Task" not in process.stderr.readline():  # not its first line: a story may well be one endless line
            assert process.poll() is None
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 130 and b"Interrupted" in err and b"Traceback" not in err


def test_a_policy_that_was_improved_is_used_and_a_file_that_is_none_is_refused(nlrl, write_rows, tmp_path):
    data = write_rows(12)
    found = nlrl("improve", "--data", data, "--model", "stochastic:0.4", "--iterations", "2", "--out", "asked")
    assert found.code == 0 and "policy.json" in found.out, found.err
    asked = ("--policy-prompt", "asked/policy.json", "--model", "stochastic:1.0")
    assert nlrl("solve", "What is 1 + 9?", *asked).code == 0
    assert nlrl("bench", "--data", data, "--limit", "2", "--strategy", "direct", *asked, "--out", "run").code == 0
    other = nlrl("bench", "--data", data, "--limit", "2", "--strategy", "direct", *asked[2:], "--out", "run")
    assert other.code == 2 and "prompt" in other.err  # another way to ask is another run
    (tmp_path / "none.json").write_text("{}")
    refused = nlrl("solve", "hi", "--policy-prompt", "none.json")
    assert refused.code == 2 and "none.json" in refused.err and "Traceback" not in refused.err
