"""Which watch follows the traces of a model: recorded ones, ones that grow in chunks, or whole draws."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from nlrl.compute._live_traces import ChunkedWatch, WholeWatch
from nlrl.compute._recorded_traces import RecordedWatch
from nlrl.compute.traces import ProbePlan, Watch
from nlrl.core import Problem, Sampling

if TYPE_CHECKING:
    from nlrl.compute.handle import Compute


@asynccontextmanager
async def watching(
    compute: Compute, problem: Problem, probes: ProbePlan | None, every: int | None, sampling: Sampling | None
) -> AsyncGenerator[Watch, None]:
    """The watch behind `Compute.traces`."""
    request = compute.request(problem, sampling=sampling)
    kind: type[Watch]
    if getattr(compute.model, "is_panel", False):
        kind = RecordedWatch
    elif every is not None and compute.model.can.prefill:
        kind = ChunkedWatch
    else:
        kind = WholeWatch
    watch = kind(compute, problem, request, probes, every or 0)
    try:
        yield watch
    finally:
        watch._leave()
