"""`--profile FILE`: where the time of a command goes, function by function.

The profiler is the standard library's cProfile: it needs no package, works wherever Python does, and other tools read
its files (`python -m pstats FILE`, snakeviz). It sees every call of this thread, which is where our code and the event
loop run, and slows them down. It does not see into the engine's own threads, whose time appears as waiting in `poll`,
nor into other processes. For those, py-spy attaches from outside: `py-spy record --native --threads -- nlrl solve ...`.
"""

from __future__ import annotations

import cProfile
from functools import partial
from pathlib import Path

import click

from nlrl.core import UserError


def _begin(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Profile until the command ends, however it ends."""
    if path is None or ctx.resilient_parsing:
        return
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise UserError(f"--profile: {path} cannot be written. Name a file in a directory that is there.")
    profile = cProfile.Profile()
    try:
        profile.enable()
    except ValueError as error:  # since Python 3.12, only one tool may watch
        raise UserError(
            f"--profile: another profiler is at work already ({error}). End it, or leave this out."
        ) from error
    ctx.call_on_close(partial(_write, profile, path))


def _write(profile: cProfile.Profile, path: Path) -> None:
    profile.disable()
    try:
        profile.dump_stats(path)
    except OSError as error:
        raise UserError(f"--profile: {path} could not be written: {error.strerror}. Name another file.") from error
    click.echo(f"Profile in {path}. Look at it: python -m pstats {path} (then: sort cumtime, stats 30)", err=True)


profile_option = click.option(
    "--profile",
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_begin,
    help="Write where the time went to this file, for python -m pstats or snakeviz.",
)
