"""Where untrusted code runs: isolated, bounded, and judged from outside.

>>> run_code_tests("def add(a, b): return a + b", "assert add(1, 2) == 3").passed
True
"""

from nlrl.sandbox.limits import Limits
from nlrl.sandbox.results import Isolation, Outcome, RunResult, TestOutcome, TestReport, TestResult
from nlrl.sandbox.sandbox import Sandbox, default_sandbox, isolation, run_code_tests, show_packages, split_tests

__all__ = [
    "Isolation", "Limits", "Outcome", "RunResult", "Sandbox", "TestOutcome", "TestReport", "TestResult",
    "default_sandbox", "isolation", "run_code_tests", "show_packages",
    "split_tests",
]  # fmt: skip
