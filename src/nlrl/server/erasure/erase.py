"""All that is kept of a person, deleted wherever it was copied to.

    report = erase(Who(user="u-17"), [Path("requests.sqlite")], [Path("bank.sqlite")], [Path("runs")], act=True)
    report.found, report.left                  # path -> what was deleted there; path -> why something is left

Their requests are hidden first, so that from then on nobody sees or copies them. Copies are deleted next, those last
that tell whose they are, and the records at the very end: killed at any point, the same call finds the rest again.
Whatever is left is looked for in the bytes of every file that was named.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from nlrl.server.erasure.banks import BankSearch, is_bank
from nlrl.server.erasure.bytes_of import files_in, held_in, is_sqlite
from nlrl.server.erasure.files import FolderSearch
from nlrl.server.erasure.records import RecordsSearch, is_records
from nlrl.server.erasure.words import Who, Words

MOST_TRACES = 512  # pieces of text by which bytes are searched: a long history has many, and each is one more pass


@dataclass
class Report:
    """What was found where (and deleted, if so asked), what is left and why, and how many files were searched.

    begun  whether an earlier erasure of the same person is not long ago
    """

    found: dict[Path, str] = field(default_factory=dict)
    left: dict[Path, str] = field(default_factory=dict)
    files: int = 0
    begun: bool = False


def erase(
    who: Who, records: Sequence[Path], banks: Sequence[Path] = (), folders: Sequence[Path] = (), *, act: bool
) -> Report:
    """Delete what is kept of `who`, or (act False) only say where it is.

    Record files and sample banks below `folders` are found there. Raises UserError for a file that cannot be used.
    """
    words, report = Words(who), Report()
    inside = [path for path in files_in(folders) if is_sqlite(path)]
    record_files = _once([*records, *(path for path in inside if is_records(path))])
    bank_files = _once([*banks, *(path for path in inside if is_bank(path))])
    files = FolderSearch(folders, words)
    searches = [BankSearch(path, words) for path in bank_files]
    with ExitStack() as stack:
        kept = [stack.enter_context(RecordsSearch(path, words)) for path in record_files]
        report.begun = any(each.begun() for each in (*kept, *searches))
        if act:
            for each in kept:
                each.hide()
        for each in (*kept, *searches, files):
            each.learn()
        for each in (*kept, *searches, files):
            each.spare()
        for search in searches:
            search.learn_ids()
        traces = _longest(words)
        files.drop(act)
        report.found |= files.found
        report.left |= files.left
        draws = {search.path: search.drop_draws(act) for search in searches}
        for search in searches:
            rows = search.drop_problems(act)
            if rows or draws[search.path]:
                report.found[search.path] = f"{rows:,} questions of panels, {draws[search.path]:,} families of draws"
            if act and (wrong := search.clean(traces)):
                report.left[search.path] = wrong
        for each in kept:
            if count := each.drop(act):
                report.found[each.path] = f"{count:,} requests"
            if act and (wrong := each.clean(traces)):
                report.left[each.path] = wrong
        if act:
            databases = [*record_files, *bank_files]
            beside = {path.with_name(path.name + end) for path in databases for end in ("", "-wal", "-shm")}
            files.still_there(traces, beside)
            report.left |= files.left
            for path in databases:
                if path not in report.left and held_in(path, traces):
                    report.left[path] = "still holds their words. Erase again when no other process uses it"
    report.files = len(_once([*files_in(folders), *record_files, *bank_files]))
    return report


def _longest(words: Words) -> list[bytes]:
    return sorted(words.in_bytes(), key=len, reverse=True)[:MOST_TRACES]


def _once(paths: Sequence[Path]) -> list[Path]:
    return list({path.resolve(): path for path in paths}.values())
