"""What an improvement run did, one JSON line an iteration, from which it also goes on.

    {"settings": {...}, "v": 1}                              first line; another run's file is refused
    {"iteration": 0, "kind": "start", ...}                   the start policy on the validation split
    {"iteration": 1, "kind": "successes", "decision": "accepted", ...}

A line is whole or not there: a killed process leaves at most one torn end, which is cut off and made again. A run may
go on with a larger budget: an iteration that the old one ended in the middle is then made again from its beginning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from nlrl.core import BankError, DataError, UserError
from nlrl.core.kept_files import make_folder, open_kept, write_whole
from nlrl.evaluation.config import locked
from nlrl.learning.language.asking.acceptance import Comparison
from nlrl.learning.language.asking.critique import Assessment
from nlrl.learning.language.asking.policy import LanguagePolicy
from nlrl.learning.language.asking.proposals import Proposal
from nlrl.learning.language.asking.rollouts import Rollout

LOG, POLICY = "iterations.jsonl", "policy.json"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND


class Entry(msgspec.Struct, frozen=True):
    """One iteration, with all that is needed to go on from it.

    parents     ids of the policies that the proposal was made from
    rollouts    those made in this iteration; earlier ones were reused
    decision    accepted; specialist (best on some problem, kept in the pool); rejected; or why there is no candidate:
                nothing, unparsed, known. "stopped": the budget ended in the middle
    incumbent   id of the policy that the run would return now, and its mean on the validation split
    tokens, calls  of this iteration; `phases` has the tokens by phase
    assessment  the language value of the incumbent at the start of the iteration (`AskingSettings.assess`)
    """

    iteration: int
    kind: str
    parents: tuple[str, ...] = ()
    proposal: Proposal | None = None
    rollouts: tuple[Rollout, ...] = ()
    minibatch: Comparison | None = None
    validation: Comparison | None = None
    decision: str = ""
    incumbent: str = ""
    accuracy: float = 0.0
    policy: LanguagePolicy | None = None  # the candidate, or the start policy
    tokens: int = 0
    calls: int = 0
    phases: dict[str, int] = {}
    note: str = ""
    assessment: Assessment | None = None


class _Head(msgspec.Struct):
    settings: dict[str, Any]
    v: int = 1


class PolicyLog:
    """The file of one run, open for appending by one process; None keeps the lines in memory only.

    Raises UserError if the file is of a run with other settings or another process goes on with it, DataError for a
    damaged line. The budget may be larger than it was, and the problems those that an erasure has left.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self.iterations: list[Entry] = []
        self._path = path
        self._file = -1
        self._held = ExitStack()
        if path is None:
            return
        make_folder(path.parent)
        self._held.enter_context(locked(path.parent))
        try:
            self._file = open_kept(path, _FLAGS)
            self._open(path, settings)
        except BaseException:
            self.close()
            raise

    def _open(self, path: Path, settings: dict[str, Any]) -> None:
        whole, grown = 0, False
        plain = msgspec.json.decode(msgspec.json.encode(settings, enc_hook=str))
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    if number == 1:
                        found = msgspec.json.decode(line, type=_Head)
                        grown = _check(found.settings, plain, path)
                    else:
                        self.iterations.append(msgspec.json.decode(line, type=Entry))
                except msgspec.DecodeError as error:
                    raise DataError(f"a damaged line: {error}", path=str(path), line=number) from error
                whole += len(line)
        os.ftruncate(self._file, whole)
        if not whole:
            self._write(_line(_Head(plain)))
        elif grown:
            self._grow(path, plain)

    def _grow(self, path: Path, settings: dict[str, Any]) -> None:
        """The file of the larger budget takes the old one's place whole: killed here, the run is still the old one."""
        if self.iterations and self.iterations[-1].decision == "stopped":
            self.iterations.pop()
        os.close(self._file)
        self._file = -1
        write_iterations(path, settings, self.iterations)
        self._file = open_kept(path, _FLAGS)

    def append(self, iteration: Entry) -> Entry:
        """Write one line, whole or not at all; what it says when read again. Raises BankError where the disk refuses.

        Half a surrogate pair, which has no UTF-8, becomes a question mark.
        """
        data = _line(iteration)
        if self._file >= 0:
            self._write(data)
        self.iterations.append(msgspec.json.decode(data, type=Entry))
        return self.iterations[-1]

    def _write(self, data: bytes) -> None:
        size = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, size)
            raise BankError(
                f"The iterations {self._path} cannot be written: {error.strerror}. Those before are safe. "
                "Make room and run the same command again: it goes on from there."
            ) from error

    def close(self) -> None:
        """Let go of the file. Closing twice is fine."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._held.close()

    def __enter__(self) -> PolicyLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_iterations(path: Path) -> tuple[dict[str, Any], list[Entry]]:
    """The settings and iterations of a run's file. Raises DataError."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        head = msgspec.json.decode(lines[0], type=_Head)
        rest = [line for line in lines[1:] if line.endswith(b"\n")]
        return head.settings, [msgspec.json.decode(line, type=Entry) for line in rest]
    except (OSError, IndexError, msgspec.DecodeError) as error:
        raise DataError(f"no improvement run can be read here: {error}", path=str(path)) from error


def write_iterations(path: Path, settings: dict[str, Any], iterations: Sequence[Entry]) -> None:
    """A run's file anew, in the place of the old one. Raises OSError."""
    write_whole(path, b"".join(_line(content) for content in (_Head(settings), *iterations)))


def _line(content: Any) -> bytes:
    try:
        return msgspec.json.encode(content, enc_hook=str) + b"\n"
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(content, enc_hook=str)
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace") + b"\n"


def _check(found: dict[str, Any], wanted: dict[str, Any], path: Path) -> bool:
    """Whether the budget has grown, or problems were erased: then the settings are written anew.

    Raises UserError where anything else is different, or the budget is smaller.
    """
    if (found.get("problems") or {}).get("digest") == "":  # some were erased: it goes on with those that are left
        _check(found | {"problems": wanted["problems"]}, wanted, path)
        return True
    different = [k for k in {**found, **wanted} if found.get(k) != wanted.get(k)]
    grown = different == ["budget"] and _larger(found.get("budget"), wanted.get("budget"))
    if different and not grown:
        named = "; ".join(f"{k} was {found.get(k)!r} and is now {wanted.get(k)!r}" for k in different)
        raise UserError(
            f"The run in {path.parent} was made with other settings: {named[:600]}. Give the same settings to go on "
            "with it (only the budget may grow, and there may be more iterations), or another directory for a new run."
        )
    return grown


def _larger(old: dict[str, Any] | None, new: dict[str, Any] | None) -> bool:
    """Whether no limit of a budget has shrunk; a resource without one is not limited."""
    old, new = old or {}, new or {}
    return all(name in old and limit >= old[name] for name, limit in new.items())
