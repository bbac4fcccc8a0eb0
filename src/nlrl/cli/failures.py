"""Every failure ends as one message with the next step and an exit code; a traceback only with --debug.

0    done
1    the run itself failed: the model gave nothing, a verifier broke, a bug
2    something about the input or the set-up must change first: bad input, no model, no network, no disk
130  interrupted (Ctrl-C)
141  the reader of a pipe went away, as for any program that SIGPIPE ends
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from nlrl.core import (
    BankError,
    ModelRefused,
    ModelUnavailable,
    NlrlError,
    PromptTooLong,
    SandboxUnavailable,
    UserError,
)

DONE, FAILED, BAD_INPUT, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141

# Errors that trying again cannot mend: the person must change something first.
_SET_UP = (UserError, PromptTooLong, BankError, SandboxUnavailable, ModelUnavailable, ModelRefused)

_NEXT_STEPS = {
    errno.ENOSPC: "The disk is full. Free some space, or point NLRL_CACHE or --out to another disk.",
    errno.EDQUOT: "Your disk quota is used up. Free some space, or point NLRL_CACHE or --out to another disk.",
    errno.EROFS: "That disk is read-only. Point NLRL_CACHE or --out to another place.",
    errno.EACCES: "Check the permissions, or name another place.",
    errno.EPERM: "Check the permissions, or name another place.",
    errno.ENOENT: "Check the path.",
    errno.ENOTDIR: "A part of that path is a file, not a directory. Name another place.",
    errno.EISDIR: "That is a directory; name a file.",
    errno.EMFILE: "Too many files are open. Lower --concurrency, or raise `ulimit -n`.",
}


def explain(error: BaseException) -> tuple[str, int]:
    """The message for people, with the notes that were added to the error, and the exit code."""
    message, code = _explain(error)
    return "\n".join([message, *getattr(error, "__notes__", ())]), code


def _explain(error: BaseException) -> tuple[str, int]:
    causes = list(_leaves(error))
    ours = [e for e in causes if isinstance(e, NlrlError)]
    if ours:
        message = "; ".join(dict.fromkeys(str(e) or type(e).__name__ for e in ours))
        return message, BAD_INPUT if any(isinstance(e, _SET_UP) for e in ours) else FAILED
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in _NEXT_STEPS:
            where = f"{cause.filename}: " if cause.filename else ""
            return f"{where}{cause.strerror}. {_NEXT_STEPS[cause.errno]}", BAD_INPUT
        if isinstance(cause, MemoryError):
            return "The memory is used up. Use a smaller model, fewer --samples, or a lower --concurrency.", FAILED
    cause = causes[0]
    return (
        f"Unexpected {type(cause).__name__}: {cause}\n"
        "This is a bug in nlrl. Run the command again with --debug to see where, and please report it.",
        FAILED,
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside a group (a TaskGroup wraps what failed in it), or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
