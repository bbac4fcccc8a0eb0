import errno

import pytest

from nlrl.cli.failures import explain
from nlrl.core import (
    BankError,
    DataError,
    ModelError,
    ModelUnavailable,
    NlrlError,
    PromptTooLong,
    UnknownName,
    UserError,
    VerifierError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("empty"), 2),
        (UnknownName("strategy", "bets_of_n", ["best_of_n"]), 2),
        (DataError("no rows", path="a.jsonl", line=3), 2),
        (PromptTooLong("3,000,000 tokens"), 2),
        (BankError("no disk"), 2),
        (ModelUnavailable("no network"), 2),
        (ModelError("gave no text"), 1),
        (VerifierError("NaN"), 1),
        (NlrlError("other"), 1),
    ],
)
def test_our_errors_keep_their_message(error, code):
    assert explain(error) == (str(error), code)


def test_errors_inside_task_groups_are_found_and_said_once():
    group = ExceptionGroup("g", [ValueError("x"), ExceptionGroup("h", [UserError("say me"), UserError("say me")])])
    assert explain(group) == ("say me", 2)


def test_a_full_disk_says_what_to_do():
    message, code = explain(OSError(errno.ENOSPC, "No space left on device", "/data/run"))
    assert code == 2 and "/data/run" in message and "Free some space" in message


def test_a_bug_is_called_a_bug():
    message, code = explain(ZeroDivisionError("division by zero"))
    assert code == 1 and "ZeroDivisionError" in message and "--debug" in message
