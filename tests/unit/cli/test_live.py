import io

from rich.console import Console

from nlrl.cli.live import live_view, printable
from nlrl.core import Completion, Delta, Finish


def watch(deltas, *, terminal, several, quiet=False):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80, height=24, color_system=None)
    with live_view(console, several=several, quiet=quiet) as view:
        for name, delta in deltas:
            view(name, delta)
    return out.getvalue()


def end(text, tokens=3, **kw):
    return Delta(0, completion=Completion(text, kw.pop("finish", Finish.STOP), tokens, **kw))


TWO = [
    ("s0", Delta(0, "Add the te")),
    ("s1", Delta(1, "17 + 25 = 42\nFin")),
    ("s0", Delta(0, "ns.\nFinal Answer: 42")),
    ("s1", Delta(1, "al Answer: 41")),
    ("s0", end("Add the tens.\nFinal Answer: 42")),
    ("s1", end("17 + 25 = 42\nFinal Answer: 41")),
]


def test_without_a_terminal_every_line_is_printed_once_and_whole():
    lines = watch(TWO, terminal=False, several=True).splitlines()
    assert sorted(lines) == [
        "s0 | Add the tens.",
        "s0 | Final Answer: 42",
        "s1 | 17 + 25 = 42",
        "s1 | Final Answer: 41",
    ]


def test_one_attempt_flows_on_a_terminal():
    shown = watch([d for d in TWO if d[0] == "s0"], terminal=True, several=False)
    assert shown == "Add the tens.\nFinal Answer: 42\n"


def test_several_attempts_share_a_region_that_ends_with_their_last_lines():
    shown = watch(TWO, terminal=True, several=True)
    last = shown[shown.rindex("s0") :]
    assert "Final Answer: 42" in last and "Final Answer: 41" in last and "2 attempts" in last


def test_many_attempts_do_not_overflow_the_screen():
    many = [(f"s{i}", Delta(i, f"thinking {i}\n", tokens=1)) for i in range(64)]
    last = watch(many, terminal=True, several=True).split("\x1b[2K")[-1]
    assert "64 attempts" in last and "more not shown" in last and last.count("\n") < 24


def test_quiet_shows_nothing():
    assert watch(TWO, terminal=False, several=True, quiet=True) == ""


def test_an_attempt_from_the_bank_and_a_failed_one():
    banked = ("s0", end("Final Answer: 42"))
    failed = ("s1", end("", 0, finish=Finish.ERROR, error="ModelUnavailable: 503"))
    assert "s0 | Final Answer: 42" in watch([banked, failed], terminal=False, several=True)
    for terminal in (True, False):
        assert "503" in watch([banked, failed], terminal=terminal, several=True)


def test_the_text_of_a_model_cannot_steer_the_terminal():
    hostile = "\x1b]0;owned\x07\x1b[2Jred [bold]not markup[/bold]\r\x9b31m\u202e"
    shown = watch([("s0", Delta(0, hostile)), ("s0", end(hostile))], terminal=False, several=False)
    assert "\x1b" not in shown and "\x9b" not in shown and "\x07" not in shown
    assert "[bold]not markup[/bold]" in shown
    assert printable("a\r\nb\tc") == "a\nb\tc"
