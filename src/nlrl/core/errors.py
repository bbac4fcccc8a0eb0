"""Every error of the project, drawn as a tree.

NlrlError                     one root: catch this to catch us
├── UserError                 bad input; the message says what, where and the next step (exit code 2)
│   ├── UnknownName           no such strategy, model, data set ...; carries the nearest names
│   ├── DataError             a data file or row cannot be used; carries file and line
│   ├── MissingExtra          a package of an extra is not installed; carries the install command
│   └── ModelMissing          weights are not here and cannot be fetched
├── ModelError                a model could not do what was asked
│   ├── PromptTooLong         the prompt does not fit into the context
│   ├── ModelRefused          the server said no for good (401, 403, 404, 400): retrying is useless
│   └── ModelUnavailable      the server failed after all retries (429, 5xx, timeouts, nonsense)
├── BudgetExhausted           the next reservation does not fit; strategies answer with their best so far
├── SandboxUnavailable        no isolation on this machine; code is refused, never run bare
├── VerifierError             a verifier broke its contract (NaN, wrong length)
├── EnvironmentFailed         an environment raised where it should have answered
└── BankError                 the sample bank cannot be read or written
    └── NotInBank             replay was asked for a sample that was never recorded
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NlrlError(Exception):
    """Root of all errors raised on purpose by this package."""


class UserError(NlrlError):
    """The input cannot be used. The message says what, where, and the next step."""


class UnknownName(UserError):
    """A name that is not registered; the message lists the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        hint = f"Did you mean: {', '.join(near)}?" if near else f"Known: {', '.join(names)}."
        super().__init__(f"Unknown {kind} {name!r}. {hint}")
        self.kind, self.name, self.near = kind, name, near


class DataError(UserError):
    """A data file or one of its rows cannot be used."""

    def __init__(self, message: str, *, path: str = "", line: int | None = None):
        where = f"{path}:{line}: " if line is not None else (f"{path}: " if path else "")
        super().__init__(where + message)
        self.path, self.line = path, line


class MissingExtra(UserError):
    """An optional package is needed; the message holds the exact install command."""

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(f"{purpose} needs the package {package!r}. Install it with: pip install 'nlrl[{extra}]'")
        self.package, self.extra = package, extra


class ModelMissing(UserError):
    """Weights are neither here nor fetchable."""


class ModelError(NlrlError):
    """A model could not do what was asked."""


class PromptTooLong(ModelError):
    """The prompt does not fit into the model's context."""


class ModelRefused(ModelError):
    """The server refused for good; asking again is useless."""


class ModelUnavailable(ModelError):
    """The server failed after all retries."""


class BudgetExhausted(NlrlError):
    """The next reservation does not fit into the budget. `reason` names the spent resource."""

    def __init__(self, reason: str):
        super().__init__(f"The budget is spent: {reason}.")
        self.reason = reason


class SandboxUnavailable(NlrlError):
    """No isolation can be had on this machine; the reason and the next step are in the message."""


class VerifierError(NlrlError):
    """A verifier broke its contract."""


class EnvironmentFailed(NlrlError):
    """An environment raised where it should have answered; the message says at which state and action."""


class BankError(NlrlError):
    """The sample bank cannot be read or written."""


class NotInBank(BankError):
    """Replay was asked for a sample that was never recorded."""
