"""Measure: run strategies over problems, record everything, and say how sure the figures are.

    run = await run_benchmark(RunConfig(strategies=("direct", "weighted_vote(n=8)"), samples=16), model, problems,
                              bank=Bank("samples.db"), out_dir="runs/first")
    nlrl.evaluation.report.report("runs/first")

Names are loaded when they are first used: statistics need numpy, pictures matplotlib. (`report` and `sweep` are not
among them: a function and its module would fight over one name.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.evaluation.config import RunConfig, read_config
    from nlrl.evaluation.estimators import best_of_k, majority_at_k, pass_at_k, weighted_at_k
    from nlrl.evaluation.intervals import Interval, calibration_error, gain_interval, intervals, mean_interval
    from nlrl.evaluation.panels import Imported, export_panels, import_panels
    from nlrl.evaluation.records import PANEL, Record, latest, read_records
    from nlrl.evaluation.run import Progress, Run, Standing, run_benchmark
    from nlrl.evaluation.summary import Summary, summarise
    from nlrl.evaluation.trace_weights import fit_races, fit_trace_weights

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.evaluation.config": ("RunConfig", "read_config"),
    "nlrl.evaluation.estimators": ("best_of_k", "majority_at_k", "pass_at_k", "weighted_at_k"),
    "nlrl.evaluation.intervals": ("Interval", "calibration_error", "gain_interval", "intervals", "mean_interval"),
    "nlrl.evaluation.panels": ("Imported", "export_panels", "import_panels"),
    "nlrl.evaluation.records": ("PANEL", "Record", "latest", "read_records"),
    "nlrl.evaluation.run": ("Progress", "Run", "Standing", "run_benchmark"),
    "nlrl.evaluation.summary": ("Summary", "summarise"),
    "nlrl.evaluation.trace_weights": ("fit_races", "fit_trace_weights"),
})  # fmt: skip

__all__ = [
    "Imported", "Interval", "PANEL", "Progress", "Record", "Run", "RunConfig", "Standing", "Summary", "best_of_k",
    "calibration_error", "export_panels", "fit_races", "fit_trace_weights", "gain_interval", "import_panels",
    "intervals", "latest", "majority_at_k", "mean_interval", "pass_at_k", "read_config", "read_records",
    "run_benchmark", "summarise", "weighted_at_k",
]  # fmt: skip
