"""How the end of a run is named, also where the program's process and the tests' process end in either order."""

import json
import signal

import pytest

from nlrl.sandbox.jobs import JobEnd
from nlrl.sandbox.limits import Limits
from nlrl.sandbox.outcomes import test_results as results_of
from nlrl.sandbox.results import TestOutcome

KILLED = JobEnd(-signal.SIGKILL, 0.0, 0)


@pytest.mark.parametrize(
    ("worker", "timed_out", "outcome"),
    [
        (KILLED, True, TestOutcome.TIMEOUT),  # the judge saw the program go before it was killed itself
        (KILLED, False, TestOutcome.ERROR),
        (JobEnd(3, 0.0, 0), True, TestOutcome.ERROR),  # it had ended itself before the time was over
        (JobEnd(-signal.SIGKILL, 9.9, 0), True, TestOutcome.TIMEOUT),
    ],
)
def test_a_program_that_is_gone(worker: JobEnd, timed_out: bool, outcome: TestOutcome) -> None:
    said = json.dumps({"index": 0, "outcome": "gone", "message": ""}).encode()
    (result,) = results_of(["assert f()"], said, worker, KILLED, Limits(wall_s=0.5, cpu_s=9.9), timed_out=timed_out)
    assert result.outcome is outcome
    assert worker is not KILLED or not timed_out or result.message == "no result within 0.5 s"
