import io
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from nlrl.cli.progress import BenchView, bench_view, clock
from nlrl.core import Spend
from nlrl.evaluation.run import Progress, Standing


def event(done, total=20, resumed=0, strategy=None, seconds=1.0):
    record = SimpleNamespace(strategy=strategy, usage=SimpleNamespace(seconds=seconds)) if strategy else None
    standing = {"panel": Standing(right=3, judged=4), "direct": Standing(failed=1)}
    return Progress(done, total, resumed, 1234, Spend(completion_tokens=500), standing, record, 0.0)  # type: ignore[arg-type]


def shown(*events, terminal):
    out = io.StringIO()
    with bench_view(Console(file=out, force_terminal=terminal, width=120, color_system=None)) as view:
        for e in events:
            view(e)
    return out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_says_how_far_how_right_and_how_fast(terminal):
    text = shown(event(4, resumed=4), event(5, resumed=4, strategy="panel"), event(5, resumed=4), terminal=terminal)
    last = text[text.rindex("5/20 records") :]
    assert "4 from before" in last and "1,234 tokens" in last and "generated/s" in last and "left" in last
    assert "0.75 (3 of 4)" in last and "- (0 of 0, 1 failed)" in last


def test_without_a_terminal_it_does_not_chatter():
    text = shown(event(0), *(event(i, strategy="panel") for i in range(1, 20)), event(20), terminal=False)
    assert len(text.splitlines()) == 2  # the start and the end; ten seconds lie between lines


def test_time_left_knows_that_strategies_differ():
    view = BenchView(Console(file=io.StringIO()), begun=time.monotonic() - 20.0)
    assert view.seconds_left() is None
    # 10 problems with 2 records each; a panel takes 10 s and direct nothing, as its samples are in the bank
    view(event(0))
    for done, strategy, seconds in ((1, "panel", 10.0), (2, "direct", 0.0), (3, "panel", 10.0), (4, "direct", 0.0)):
        view(event(done, strategy=strategy, seconds=seconds))
    assert view.seconds_left() == pytest.approx(80, rel=0.05)


def test_clock():
    assert [clock(s) for s in (4.4, 75, 3700)] == ["4 s", "1 m 15 s", "1 h 1 m"]
