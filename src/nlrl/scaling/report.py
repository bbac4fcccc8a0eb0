"""What a calibration found: tables, a CSV of every cell, a picture, and a page that holds them all.

paths = write_report(done, "runs/calibration", parameters=494_000_000)
# policy.json, cells.csv, report.png, report.html
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from nlrl.core import MissingExtra, UserError
from nlrl.core.kept_files import make_folder
from nlrl.scaling.calibrate import Calibration
from nlrl.scaling.cells import share_right
from nlrl.scaling.policy import save_policy
from nlrl.scaling.tables import bins_of

POLICY, CELLS, PICTURE, PAGE = "policy.json", "cells.csv", "report.png", "report.html"
_COLUMNS = (
    "bin", "probe", "strategy", "cap", "problems", "accuracy", "low", "high", "tokens", "critical_path_tokens",
    "flops_estimate",
)  # fmt: skip


def write_report(done: Calibration, directory: str | Path, *, parameters: int | None = None) -> list[Path]:
    """Write the policy and all that explains it; returns the paths. Without matplotlib there is no picture.

    Raises UserError if the directory cannot be written.
    """
    from nlrl.scaling.page import save_page
    from nlrl.scaling.plot import save_png

    here = Path(directory)
    try:
        make_folder(here)
        save_policy(done.policy, here / POLICY)
        _write_cells(done, here / CELLS, parameters)
        paths = [here / POLICY, here / CELLS]
        try:
            save_png(done, here / PICTURE)
            paths.append(here / PICTURE)
        except MissingExtra:
            (here / PICTURE).unlink(missing_ok=True)
        paths.append(save_page(done, here / PAGE, here / PICTURE))
    except OSError as error:
        raise UserError(f"{here} cannot be written: {error.strerror}. Name another directory with --out.") from error
    return paths


def _write_cells(done: Calibration, path: Path, parameters: int | None) -> None:
    bins, count = bins_of(done)
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(_COLUMNS)
        for probe, cells in ((0, done.plain), (done.settings.probe, done.probed)):
            for b in (None, *range(count)):
                here = np.ones(len(bins), dtype=bool) if b is None else bins == b
                for i, (name, cap) in enumerate(cells.keys):
                    spread = share_right(cells.right[i, here], cells.columns(here).groups)
                    tokens = float(cells.tokens[i, here].mean())
                    # 2 per parameter and token: prompts that the bank recorded as shared are charged once already
                    flops = "" if parameters is None else f"{2 * parameters * tokens:.4g}"
                    out.writerow(
                        [
                            "all" if b is None else b + 1,
                            probe,
                            name,
                            "" if cap is None else cap,
                            int(here.sum()),
                            *(("" if math.isnan(v) else round(v, 4)) for v in spread),
                            round(tokens, 1),
                            round(float(cells.chain[i, here].mean()), 1),
                            flops,
                        ]
                    )
            if not done.settings.probe:
                break
