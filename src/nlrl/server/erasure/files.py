"""A person's words in the files of runs: lines of logs, learned policies, and the pages made of them.

    FolderSearch([Path("runs")], words)      # as BankSearch

A log is read whole and written anew beside itself without their lines, then takes the old one's place: who reads it
meanwhile has the old one to its end, and a process that writes it is not disturbed, since its lock is taken first. The
log of an improvement goes back to before the first policy that learned from their words: what came later rests on it.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Container, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from nlrl.core import DataError, UserError
from nlrl.core.kept_files import write_whole
from nlrl.evaluation.config import CONFIG, RECORDS, SUMMARY, forget_problems, locked
from nlrl.learning.language.asking.log import LOG, POLICY, Entry, read_iterations, write_iterations
from nlrl.learning.language.asking.policy import Evidence, LanguagePolicy
from nlrl.server.erasure.bytes_of import files_in, held_in, is_sqlite
from nlrl.server.erasure.words import Words
from nlrl.server.observe.origin import Origin, read_origin

_PAGES = ("report.html", "page.html", "report.png", "learning.png", SUMMARY)  # made from logs, and made again


class FolderSearch:
    """Files and folders; nothing is open between two calls.

    found  what was found where: path -> what; left: path -> why it could not be taken out
    """

    def __init__(self, places: Sequence[Path], words: Words) -> None:
        self._places, self._words = places, words
        self.found: dict[Path, str] = {}
        self.left: dict[Path, str] = {}

    def learn(self) -> None:
        """What lines of theirs ask, beside what the records tell."""
        for line in self._lines_of_all():
            origin, question, problem = _about(line)
            made = self._words.made(origin)
            if question and (made or (made is None and self._words.asked(question))):
                self._words.learn_question(question)
                if problem:
                    self._words.problems.add(problem)

    def spare(self) -> None:
        """What lines of others ask."""
        for line in self._lines_of_all():
            origin, question, problem = _about(line)
            if question and not self._theirs(line):
                known = self._words.made(origin) is False
                self._words.spare(question, whole=known)
                if known:
                    for said in _turns(line):  # "Please go on" is what both said, and stays the other's
                        self._words.spare(said, whole=True)
                    self._words.problems.discard(problem)

    def drop(self, act: bool) -> None:
        """Delete what is theirs. Logs first, since pages and policies are made of them."""
        files = [path for path in self._readable() if not is_sqlite(path)]
        for path in files:
            if path.suffix == ".jsonl":
                self._log(path, act)
        for path in files:
            if path.suffix != ".jsonl" and path.is_file():
                self._other(path, act)

    def still_there(self, traces: list[bytes], searched: Container[Path]) -> None:
        """Look for what is left, in the bytes of every file that was not `searched` otherwise."""
        for path in files_in(self._places):
            if path in searched or path in self.left:
                continue
            if held_in(path, traces):
                self.left[path] = "holds their words in a form that is not known here. Take them out, or delete it"

    # --- logs

    def _log(self, path: Path, act: bool) -> None:
        try:
            with _writing(path) if act else nullcontext():
                if _is_improvement(path):
                    self._improvement(path, act)
                else:
                    self._records(path, act)
        except (UserError, DataError, OSError) as error:
            self.left[path] = str(error)

    def _records(self, path: Path, act: bool) -> None:
        kept: list[bytes] = []
        gone: set[str] = set()
        dropped = quoted = 0
        for raw in path.read_bytes().splitlines(keepends=True):
            line = _decoded(raw)
            if line is None:
                theirs = self._words.in_text(raw.decode("utf-8", "replace"))
            elif (theirs := self._theirs(line)) and not self._theirs(rest := {**line, "messages": []}):
                kept.append(json.dumps(rest, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
                quoted += 1
                continue
            if theirs:
                dropped += 1
                gone.add(_about(line)[2] if line is not None else "")
            else:
                kept.append(raw)
        if not dropped + quoted:
            return
        of_others = f", and what {quoted:,} of others quote" if quoted else ""
        self.found[path] = f"{dropped:,} lines{of_others}"
        if act:
            # the marks in the settings first: killed in between, the run is refused no more than it should be
            if path.name == RECORDS and path.with_name(CONFIG).is_file():
                forget_problems(path.parent, len(gone))
            write_whole(path, b"".join(kept))
            self._forget_pages(path.parent)

    def _improvement(self, path: Path, act: bool) -> None:
        settings, entries = read_iterations(path)
        first = next((at for at, entry in enumerate(entries) if self._learned(entry)), len(entries))
        kept = [self._without_rollouts(entry) for entry in entries[:first]]
        rollouts = sum(len(e.rollouts) - len(k.rollouts) for e, k in zip(entries, kept, strict=False))
        if first == len(entries) and not rollouts:
            return
        later = f", and {len(entries) - first} iterations that rest on them" if first < len(entries) else ""
        self.found[path] = f"{rollouts:,} rollouts{later}"
        if not act:
            return
        policy = _incumbent(kept)
        if policy is None:
            path.with_name(POLICY).unlink(missing_ok=True)
            path.unlink()
        else:
            settings["problems"] = {**settings.get("problems", {}), "digest": ""}
            write_whole(path.with_name(POLICY), policy.to_json())
            write_iterations(path, settings, kept)
        self._forget_pages(path.parent)

    def _learned(self, entry: Entry) -> bool:
        """Whether a policy, or what was proposed, rests on their words."""
        proposal, words = entry.proposal, self._words
        policies = [entry.policy, proposal.policy if proposal else None]
        if any(policy is not None and self._without(policy) != policy for policy in policies):
            return True
        if proposal is None:
            return False
        said = (proposal.raw, proposal.lesson, proposal.why, *(note.text for note in proposal.notes))
        return any(note.problem in words.problems for note in proposal.notes) or any(map(words.in_text, said))

    def _without_rollouts(self, entry: Entry) -> Entry:
        words = self._words
        kept = tuple(
            r for r in entry.rollouts
            if r.problem not in words.problems and not words.in_text(r.text) and not words.in_text(r.answer or "")
        )  # fmt: skip
        return msgspec.structs.replace(entry, rollouts=kept)

    def _theirs(self, line: dict[str, Any]) -> bool:
        origin, question, problem = _about(line)
        made = self._words.made(origin)
        if made or (made is None and question and (self._words.asked(question) or problem in self._words.problems)):
            return True
        return self._words.in_value(line)

    # --- what is made of logs

    def _other(self, path: Path, act: bool) -> None:
        if path.suffix == ".new":  # of a process that was killed while it wrote
            if held_in(path, self._words.in_bytes()):
                self.found[path] = "a file that was never completed"
                if act:
                    path.unlink()
            return
        if path.suffix == ".json" and (policy := _policy(path)) is not None:
            if (kept := self._without(policy)) != policy:
                self.found[path] = "words of a learned policy"
                if act:
                    write_whole(path, kept.to_json())
            return
        if path.suffix not in (".html", ".json", ".csv", ".txt", ".md", ".tsv", ".log"):
            return
        text = path.read_text("utf-8", "replace")
        if not self._words.in_text(html.unescape(text)) and not held_in(path, self._words.in_bytes()):
            return
        if path.name in _PAGES:
            self.found[path] = "a page of a run"
            if act:
                path.unlink()
        else:
            self.left[path] = "holds their words, and is no file of a run. Take them out, or delete it"

    def _without(self, policy: LanguagePolicy) -> LanguagePolicy:
        """The policy without what it learned from their words."""
        words = self._words

        def theirs(evidence: Sequence[Evidence], *texts: str) -> bool:
            return any(e.problem in words.problems for e in evidence) or any(
                words.asked(text) or words.in_text(text) for text in texts
            )

        examples = policy.examples
        if examples:
            examples = tuple(e for e in examples if not theirs(e.evidence, e.question, e.answer)) or None
        return replace(
            policy,
            instruction=None if theirs((), policy.instruction or "") else policy.instruction,
            principles=tuple(p for p in policy.principles if not theirs(p.evidence, p.text)),
            examples=examples,
        )

    def _forget_pages(self, folder: Path) -> None:
        for name in _PAGES:
            (folder / name).unlink(missing_ok=True)

    def _readable(self) -> Iterator[Path]:
        for path in files_in(self._places):
            if os.access(path, os.R_OK):
                yield path
            else:
                self.left[path] = "it may not be read, so nobody knows what it holds"

    def _lines_of_all(self) -> Iterator[dict[str, Any]]:
        for path in self._readable():
            if path.suffix == ".jsonl" and not _is_improvement(path):
                with path.open("rb") as file:
                    yield from (line for raw in file if (line := _decoded(raw)) is not None)


def _about(line: dict[str, Any]) -> tuple[Origin | None, str, str]:
    """(where it came from, its question, the problem's id) of a line of a run, a panel or an export."""
    if {"id", "at", "key", "strategy"} <= line.keys():  # a request, as `nlrl data export` writes it
        return Origin(str(line["id"]), line["key"], line.get("user")), str(line.get("question") or ""), ""
    problem = line["problem"] if isinstance(line.get("problem"), dict) else line
    id = problem.get("id", "") if problem is not line else ""
    return read_origin(str(problem.get("source") or "")), str(problem.get("question") or ""), str(id)


def _turns(line: dict[str, Any]) -> list[str]:
    """What a request that was handed out says its user said; a run's line tells the prompt, which quotes others."""
    messages = line.get("messages") if "key" in line else None
    return [str(m.get("content") or "") for m in messages or () if isinstance(m, dict) and m.get("role") == "user"]


def _decoded(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _incumbent(entries: Sequence[Entry]) -> LanguagePolicy | None:
    policies = {entry.policy.id: entry.policy for entry in entries if entry.policy is not None}
    return policies.get(entries[-1].incumbent) if entries else None


def _policy(path: Path) -> LanguagePolicy | None:
    try:
        return LanguagePolicy.from_json(path.read_bytes())
    except (DataError, OSError):
        return None


def _is_improvement(path: Path) -> bool:
    if path.name != LOG:
        return False
    with path.open("rb") as file:
        head = _decoded(file.readline())
    return head is not None and isinstance(head.get("settings"), dict)


def _writing(path: Path) -> AbstractContextManager[None]:
    """Held while a log is written anew. Raises UserError while a process goes on with its run."""
    return locked(path.parent) if path.name in (RECORDS, LOG) else nullcontext()
