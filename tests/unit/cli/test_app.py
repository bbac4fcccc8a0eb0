"""Every command from the outside, in this process: messages, exit codes, help."""

import json
import re

import click
import pytest

from nlrl.cli.app import app, run


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in ("NLRL_MODEL", "NLRL_BANK", "NLRL_DEBUG", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NLRL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def nlrl(capsys):
    def call(*args):
        code = run(list(args))
        out, err = capsys.readouterr()
        return code, out, err

    return call


def commands(group=app, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_has_help_with_examples(nlrl, path):
    code, out, err = nlrl(*path, "--help")
    assert code == 0 and err == ""
    assert f"nlrl {' '.join(path)}" in out.split("Examples:")[1]
    assert "--debug" in out


def test_the_reference_names_every_command_and_option():
    from pathlib import Path

    text = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    missing = [" ".join(path) for path, _ in commands() if f"nlrl {' '.join(path)}" not in text]
    for _, command in commands():
        missing += [o for p in command.params for o in p.opts if o.startswith("--") and f"`{o}" not in text]
    assert not missing


def test_the_list_of_commands(nlrl):
    code, out, _ = nlrl("--help")
    assert code == 0
    assert all(re.search(rf"^  {path[0]} ", out, re.M) for path, _ in commands())


def test_version(nlrl):
    assert re.fullmatch(r"nlrl \d+\.\d+\.\d+\n", nlrl("--version")[1])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["slove"], "Did you mean: solve"),
        (["bank", "exprot"], "Did you mean: export"),
        (["solve"], "Missing argument"),
        (["solve", ""], "question is empty"),
        (["solve", " \n "], "question is empty"),
        (["solve", "hi", "--strategy", "bets_of_n"], "best_of_n"),
        (["solve", "hi", "--strategy", "best_of_n(m=3)"], "Known: aggregate, n, select"),
        (["solve", "hi", "--strategy", "best_of_n(n=0)"], "at least 1"),
        (["solve", "hi", "--strategy", "best_of_n(n="], "Example: best_of_n"),
        (["solve", "hi", "--budget", "tokens=0"], "zero tokens"),
        (["solve", "hi", "--budget", "4000"], "name=amount"),
        (["solve", "hi", "--verifier", "auto"], "uses no verifier"),
        (["solve", "hi", "-s", "best_of_n", "--verifier", "jugde"], "Did you mean: judge"),
        (["bench", "--data", "builtin:math", "--verifier", "jugde"], "Did you mean: judge"),
        (["solve", "hi", "--temperature", "-1"], "temperature"),
        (["solve", "hi", "--max-tokens", "0"], "max-tokens"),
        (["solve", "hi", "--model", "openai:x", "--prices", "cheap"], "--prices 0.15,0.60"),
        (["solve", "hi", "--model", "openai:x", "--prices", "1,2,3,4"], "--prices 0.15,0.60"),
        (["solve", "hi", "--model", "openai:x", "--prices", "1,-2"], "--prices 0.15,0.60"),
        (["solve", "hi", "--model", "stochastic:1", "--budget", "cost=1"], "--prices 0.15,0.60"),
        (["solve", "hi", "--model", "stochastic:1", "--budget", "flops=1"], "token budget"),
        (["bench", "--data", "builtin:math", "--model", "stochastic:1", "--budget", "flops=1"], "token budget"),
        (["solve", "hi", "--task", "cooking"], "cooking"),
        (["solve", "@nowhere.txt"], "no file"),
        (["solve", "hi"], "nlrl models pull qwen2.5-coder-0.5b"),
        (["solve", "hi", "--model", "smolm2"], "Did you mean: smollm2-135m"),
        (["solve", "hi", "--model", "nowhere.gguf"], "nowhere.gguf"),
        (["solve", "hi", "--model", "stochastic:often"], "stochastic:0.6"),
        (["solve", "hi", "--model", "replay:x"], "Which bank?"),
        (["solve", "hi", "--model", "stochastic:1", "--bank", "/dev/null/bank"], "cannot be opened"),
        (["bench"], "Missing option"),
        (["bench", "--data", "nowhere.jsonl"], "nowhere.jsonl"),
        (["bench", "--data", "builtin:maths"], "builtin:math"),
        (["bench", "--data", "builtin:math", "--limit", "0"], "--limit"),
        (["bench", "--data", "builtin:math", "--strategy", "derect"], "Did you mean: direct"),
        (["bench", "--data", "panel:x", "--bank", "nowhere.sqlite"], "no sample bank"),
        (["report", "nowhere"], "nlrl ls"),
        (["report", "latest"], "no runs"),
        (["ls"], "no runs"),
        (["bank", "info"], "Which bank?"),
        (["bank", "info", "nowhere.sqlite"], "no sample bank"),
        (["bank", "import", "nowhere.jsonl", "--bank", "b.sqlite"], "cannot be read"),
        (["strategies", "bets_of_n"], "best_of_n"),
        (["models", "pull", "gpt-5"], "Unknown model"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_is_one_message_with_the_next_step_and_exit_code_2(nlrl, tmp_path, args, says):
    code, out, err = nlrl(*args)
    assert says in err
    assert (code, out) == (2, "")
    assert "Traceback" not in err and len(err) < 1500
    assert not (tmp_path / "runs").exists()  # what fails before it begins leaves nothing behind


def test_debug_shows_the_traceback(nlrl):
    _, _, err = nlrl("solve", "", "--debug")
    assert "Traceback" in err and "question is empty" in err


def test_strategies(nlrl):
    code, out, _ = nlrl("strategies")
    assert code == 0 and "best_of_n(aggregate=last, n=8, select=weighted, verifier=default)\n    Draw n" in out
    assert "2203.11171" not in out
    assert "Votes are counted" in nlrl("strategies", "self_consistency(n=3)")[1]


def test_classify(nlrl):
    code, out, _ = nlrl("classify", "What is 17 + 25?")
    assert code == 0 and out.startswith("math")
    found = json.loads(nlrl("classify", "--json", "What is 17 + 25?")[1])
    assert (
        found["label"] == "math" and found["evidence"] and sum(found["scores"].values()) == pytest.approx(1, abs=0.01)
    )
    assert nlrl("classify", "")[1].startswith("commonsense")


def test_a_secret_in_a_message_is_masked(nlrl, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "hunter2-hunter2")
    assert "hunter2" not in nlrl("solve", "@hunter2-hunter2")[2]


def test_models(nlrl, tmp_path):
    code, out, _ = nlrl("models", "list")
    assert code == 0 and "smollm2-135m" in out and "(default)" in out
    out = nlrl("models", "info", "smollm2-135m")[1]
    assert "Apache-2.0" in out and "not here" in out and str(tmp_path) in out
