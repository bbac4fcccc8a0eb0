"""Show a run: a table in the terminal, a picture, and a page in which every problem opens to its attempts.

report("runs/first", formats=("terminal", "png", "html"))     # [Path("runs/first/report.png"), ...]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlrl.core import UnknownName
from nlrl.evaluation.config import RECORDS, read_config, write_summary
from nlrl.evaluation.records import latest, read_records
from nlrl.evaluation.tables import tables

if TYPE_CHECKING:
    from rich.console import Console

    from nlrl.evaluation.summary import Summary

FORMATS = ("terminal", "png", "html")
PNG, HTML = "report.png", "report.html"


def report(
    run_dir: str | Path, formats: Sequence[str] = FORMATS, *, console: Console | None = None
) -> tuple[Summary, list[Path]]:
    """Summarise a run, finished or not, and show it. Returns the summary and the files written (summary.json first).

    Raises UserError if there is no run, UnknownName for an unknown format, DataError for a damaged record,
    MissingExtra for "png" without matplotlib; "html" without it has tables but no picture.
    """
    from nlrl.evaluation.summary import summarise

    for name in formats:
        if name not in FORMATS:
            raise UnknownName("report format", name, FORMATS)
    path = Path(run_dir)
    run = read_config(path)
    records = latest(read_records(path / RECORDS))
    summary = summarise(records, run)
    written = [write_summary(path, summary)]
    if "terminal" in formats:
        from rich.console import Console

        console = console or Console()
        console.print(*tables(summary, width=console.width), sep="\n")
    if "png" in formats:
        from nlrl.evaluation.plot import save_png

        written.append(save_png(summary, path / PNG))
    if "html" in formats:
        from nlrl.evaluation.page import save_page

        written.append(save_page(summary, records, path / HTML))
    return summary, written
