"""`nlrl data`: what a server has kept of its requests: looked at, handed out, deleted, and learned from."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Container, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nlrl.cli.frame import Group
from nlrl.core import UserError
from nlrl.core.kept_files import open_kept

if TYPE_CHECKING:
    from nlrl.server import Records

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

_FILE = click.option(
    "--records", "path", type=click.Path(path_type=Path), default="requests.sqlite", show_default=True,
    envvar="NLRL_RECORDS", help="The record file of nlrl serve.  [env: NLRL_RECORDS]",
)  # fmt: skip
_EXISTING = click.Path(path_type=Path, exists=True)
_KEY = click.option("--key", help="Only requests of the API key of this name or id.")
_KEYS = click.option(
    "--api-key-file", "keys", type=click.Path(path_type=Path), default="keys.sqlite", show_default=True,
    envvar="NLRL_API_KEY_FILE", help="Where names of keys are looked up.  [env: NLRL_API_KEY_FILE]",
)  # fmt: skip
_USER = click.option("--user", help='Only requests whose "user" (or "safety_identifier") field says this.')
_YES = click.option("--yes", is_flag=True, help="Do not ask.")

_SPELLING = "Check the spelling; nlrl data info tells which keys have asked."
_BEYOND = (
    "Not reached from here: what upstream providers keep, backups, collectors of traces and logs, weights that were "
    "trained on these words, and a policy that a running server has loaded (start it again)."
)


@click.group(cls=Group)
def data() -> None:
    """Look at, export and delete what `nlrl serve --records` has kept, and learn from its thumbs.

    The server may be running meanwhile. It deletes by itself what is older than its --retention.
    """


@data.command(examples="nlrl data info")
@_FILE
def info(path: Path) -> None:
    """How many requests are kept, of which keys, since when, and whether with texts."""
    with _open(path) as records:
        total, keys = records.totals(), records.by_key()
        first = next(iter(records.each()), None)
        texts = sum(r.question is not None or r.text is not None for r in records.each())
        thumbs = sum(r.thumb is not None for r in records.each())
    if first is None:
        click.echo(f"{path} holds no requests.")
        return
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(first.at))
    click.echo(f"{path}: {total.requests:,} requests since {since}, {total.failed:,} failed")
    click.echo(
        f"  {total.prompt_tokens + total.completion_tokens:,} tokens; {texts:,} with texts; {thumbs:,} with a thumb"
    )
    for key, spent in keys.items():
        click.echo(
            f"  key {key}: {spent.requests:,} requests, {spent.prompt_tokens + spent.completion_tokens:,} tokens"
        )


@data.command(examples="nlrl data export --user u-17 > u-17.jsonl\nnlrl data export --key alice --out alice.jsonl")
@_FILE
@_KEY
@_USER
@_KEYS
@click.option("-o", "--out", type=click.Path(path_type=Path), help="A file instead of the standard output.")
def export(path: Path, key: str | None, user: str | None, keys: Path, out: Path | None) -> None:
    """Everything that is kept of requests, as JSON lines: of one key, of one user, or all."""
    import msgspec

    from nlrl.server.observe.records import kept_user

    user = None if user is None else kept_user(user)
    with _open(path) as records:
        id = None if key is None else _key_id(key, keys, records.by_key())
        if user is not None and not records.count(user=user):
            raise UserError(f"Nothing in {path} is of a user {user!r}. {_SPELLING}")
        lines = (msgspec.json.encode(record) + b"\n" for record in records.each(key=id, user=user))
        count = _write(lines, out)
    click.echo(f"{count:,} requests exported.", err=True)


@data.command(
    examples="""
        nlrl data erase --user u-17
        nlrl data erase --user u-17 --bank bank.sqlite --in runs --dry-run
        nlrl data erase --key alice --in /srv/nlrl --yes
    """
)
@_FILE
@_KEY
@_USER
@_KEYS
@click.option("--bank", "banks", multiple=True, type=_EXISTING, help="A sample bank to look through as well.")
@click.option("--in", "folders", multiple=True, type=_EXISTING, help="A folder of runs, policies, banks, or a file.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@_YES
def erase(
    path: Path, key: str | None, user: str | None, keys: Path, banks: tuple[Path, ...], folders: tuple[Path, ...],
    dry_run: bool, yes: bool,
) -> int:  # fmt: skip
    """Delete what is kept of a key or a user, wherever it was copied to; it is overwritten on the disk.

    Looks through the record file, and through the sample banks, runs, policies, panels and exports that are named, or
    else those in ./runs. Exit code 1: something is left, and is named. Run it again whenever it was stopped.
    """
    from nlrl.server.erasure import Who
    from nlrl.server.erasure import erase as erase_everywhere
    from nlrl.server.observe.records import kept_user

    if key is None and user is None:
        raise UserError("Whose requests? Name --user or --key. To delete by age: nlrl data purge --older-than 30d")
    if not (banks or folders) and Path("runs").is_dir():
        folders = (Path("runs"),)
    files = [path] if path.is_file() or not (banks or folders) else []
    seen: dict[str, object] = {}
    for file in files:
        with _open(file) as records:
            seen |= records.by_key()
    user = None if user is None else kept_user(user)
    who = Who(user=user, key=None if key is None else _key_id(key, keys, seen))
    report = erase_everywhere(who, files, banks, folders, act=False)
    if not report.found and not report.left and not report.begun:
        if user is None:  # a key that is there, and has not asked
            click.echo(f"Nothing is kept of {_named(user, key)} in {_places([*files, *banks, *folders])}.")
            return 0
        raise UserError(
            f"Nothing is kept of {_named(user, key)} in {_places([*files, *banks, *folders])}. {_SPELLING} "
            "Other places are named by --records, --bank and --in."
        )
    for place, what in report.found.items():
        click.echo(f"{place}: {what}")
    if dry_run:
        for place, why in report.left.items():
            click.echo(f"Would be left: {place}: {why}.", err=True)
        return 0
    if report.found:
        _confirm(yes, f"Delete this of {_named(user, key)}?")
    done = erase_everywhere(who, files, banks, folders, act=True)
    click.echo(f"Deleted in {len(done.found):,} of {done.files:,} files, and their bytes were searched afterwards.")
    for place, why in done.left.items():
        click.echo(f"Left: {place}: {why}.", err=True)
    click.echo(_BEYOND, err=True)
    return 1 if done.left else 0


@data.command(examples="nlrl data purge --older-than 30d\nnlrl data purge --older-than 1d --texts-only --yes")
@_FILE
@click.option("--older-than", required=True, metavar="AGE", help="Such as 30d, 12h, 0s for all.")
@click.option("--texts-only", is_flag=True, help="Keep the numbers: tokens, seconds, scores.")
@click.option("--clock-is-right", is_flag=True, help="Although it is far ahead of when the file was last in use.")
@_YES
def purge(path: Path, older_than: str, texts_only: bool, clock_is_right: bool, yes: bool) -> None:
    """Delete what is older than AGE; what it held is overwritten on the disk."""
    now = time.time()
    before = now - _age(older_than)
    with _open(path) as records:
        _check_clock(records, now, clock_is_right)
        if texts_only:
            _confirm(yes, f"Delete the texts of {records.count(before=before):,} requests in {path}?")
            click.echo(f"The texts of {records.forget_texts(before=before):,} requests are deleted.")
        else:
            _delete(records, yes, before=before)


@data.command(
    examples="""
        nlrl data labels --out labels.jsonl
        nlrl data labels --bank bank.sqlite --name served
        nlrl calibrate --data panel:served --model panel:served --bank bank.sqlite
    """
)
@_FILE
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write them to a file, as JSON lines.")
@click.option("--bank", help="Put them into this sample bank.")
@click.option("--name", default="served", show_default=True, help="What to call them there.")
def labels(path: Path, out: Path | None, bank: str | None, name: str) -> None:
    """Questions whose right answer people have told by a thumb or in words, with the attempts at them.

    They are a panel: data to bench and to calibrate with. A thumb up says that the answer was right; a thumb down
    without the right answer tells no reference, and is left out.
    """
    from nlrl.server.observe.labels import panel_lines

    if (out is None) == (bank is None):
        raise UserError("Where to? Name one of --out FILE and --bank BANK.")
    with _open(path) as records:
        rows, left_out = panel_lines(records.each())
    if not rows:
        raise UserError(
            f"No request in {path} has both a label and its texts ({left_out:,} labels without). Thumbs are given on "
            "the dashboard; texts are kept by: nlrl serve --records FILE --texts keep"
        )
    if out is not None:
        _write(rows, out)
        click.echo(f"{len(rows):,} questions are in {out}.")
    elif bank is not None:
        _into_bank(rows, bank, name)
        here = f"--data panel:{name} --model panel:{name} --bank {bank}"
        click.echo(f"{len(rows):,} questions are in {bank}. Calibrate with them:\n  nlrl calibrate {here}")
    if left_out:
        click.echo(
            f"{left_out:,} labels were left out: no right answer is known, or the texts are not there.", err=True
        )


def _into_bank(rows: list[bytes], bank: str, name: str) -> None:
    from tempfile import TemporaryDirectory

    from nlrl.cli.openers import open_bank
    from nlrl.evaluation import import_panels

    with TemporaryDirectory() as beside, open_bank(bank) as samples:
        file = Path(beside) / "labels.jsonl"
        _write(rows, file)
        imported = asyncio.run(import_panels(file, samples, name))
    for error in imported.errors:
        click.echo(f"left out: {error}", err=True)


def _key_id(which: str, file: Path, seen: Container[str]) -> str:
    """The id behind a key's name or id, of a revoked key too. Raises UserError where it could be two, or is none."""
    from nlrl.server import KeyStore

    found, names = set[str](), list[str]()
    if file.is_file():
        with KeyStore(file, create=False) as store:
            names = [key.name for key in store.list()]
            found = {key.id for key in store.list() if which in (key.id, key.name)}
    if which in seen:  # an id that has asked, though its key is in another file, or in none ("-")
        found.add(which)
    if len(found) > 1:
        raise UserError(f"{which!r} is the name of one key and the id of another. Give the id: {', '.join(found)}.")
    if not found:
        known = f"Known: {', '.join(names)}." if names else f"{file} has no keys: name the file, --api-key-file."
        raise UserError(f"There is no key {which!r}, and none of that id has asked. {known} {_SPELLING}")
    return found.pop()


def _named(user: str | None, key: str | None) -> str:
    return " of ".join([f"user {user!r}"] * (user is not None) + [f"key {key!r}"] * (key is not None))


def _places(paths: Iterable[Path]) -> str:
    return ", ".join(map(str, paths)) or "nothing that is here"


def _open(path: Path) -> Records:
    from nlrl.server import Records

    return Records(path, create=False)


def _check_clock(records: Records, now: float, is_right: bool) -> None:
    """A clock that jumped would make everything old. Raises UserError where it is doubted and nobody confirms it."""
    from nlrl.server.observe.retention import DAY_S, JUMP_S

    seen = records.clock()
    if seen is None or now - seen.at <= JUMP_S:
        return
    if not is_right:
        last = time.strftime("%Y-%m-%d %H:%M", time.localtime(seen.at))
        here = time.strftime("%Y-%m-%d %H:%M", time.localtime(now))
        raise UserError(
            f"This machine's clock says {here}, {(now - seen.at) / DAY_S:,.1f} days after {records.path} was last in "
            f"use ({last}). By a wrong clock everything would be too old. If it is right, add --clock-is-right."
        )
    records.confirm_clock(now)


def _write(lines: Iterable[bytes], out: Path | None) -> int:
    count = 0
    if out is None:
        for line in lines:
            sys.stdout.buffer.write(line)
            count += 1
        sys.stdout.buffer.flush()
        return count
    with os.fdopen(open_kept(out, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), "wb") as file:  # it may hold prompts
        for line in lines:
            file.write(line)
            count += 1
    return count


def _delete(records: Records, yes: bool, **which: str | float | None) -> None:
    count = records.count(**which)  # type: ignore[arg-type]
    if count:
        _confirm(yes, f"Delete {count:,} requests from {records.path}?")
    click.echo(f"{records.erase(**which):,} requests are deleted.")  # type: ignore[arg-type]


def _confirm(yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("Nobody can be asked here. Add --yes.")
    click.confirm(question, abort=True)


def _age(text: str) -> float:
    found = _AGE.fullmatch(text.strip().lower())
    if not found:
        raise UserError(f"--older-than: {text!r} is no age. Write a number and s, m, h, d or w: 30d.")
    return float(found[1]) * _SECONDS[found[2]]
