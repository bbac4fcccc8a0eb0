"""Is a confidence worth its number? Before and after calibration, and when one abstains by it.

    python benchmarks/confidence.py [--quick] [--panel FILE --panel-test FILE]

Half of the problems make a policy (`nlrl calibrate`), the other half is answered by it through the real strategies.
Printed: the expected calibration error of what the strategies state and of the calibrated confidence, and for several
thresholds how many problems are answered when all below are left out, what accuracy the confidence promises for them,
and what it is. Without --panel the samples are of a made-up model on problems of every difficulty (no text is
generated); with it, recorded ones. Mark: the error falls, to at most 8 points, and what is promised at a threshold lies
within the 95 % interval of what is reached, wherever at least 40 problems are answered. The interval is widened for the
luck of the calibration problems too: by the square root of 1 + tested / calibrated.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from pathlib import Path

import msgspec
import numpy as np

from equipment.marks import Marks
from nlrl.bank import Bank, ReplayModel
from nlrl.compute import Compute
from nlrl.core import Candidate, Completion, Finish, Model, Problem, TaskType, Verdict
from nlrl.evaluation import Interval, calibration_error, import_panels
from nlrl.scaling.auto import follow
from nlrl.scaling.calibrate import calibrate
from nlrl.scaling.policy import Policy
from nlrl.testing import StochasticModel
from nlrl.verifiers.reference import ReferenceVerifier

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
LEAST = 40
ERROR_MARK = 0.08


def made_up(count: int, seed: int) -> tuple[list[Problem], Model]:
    """Problems from hopeless to easy, and a model that is right as often as they allow."""
    rng = random.Random(seed)
    problems = [Problem(f"What is {rng.randrange(10**6)} + {i}?", str(7 * i + 3), TaskType.MATH) for i in range(count)]
    chances = {p.id: rng.betavariate(0.8, 0.8) for p in problems}
    return problems, StochasticModel(problems, p_correct=chances, tokens=60, seed=seed)


async def answers(policy: Policy, model: Model, problems: list[Problem], bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and rightness (NaN where nothing could be judged) of every answer under the policy."""
    grader, found = ReferenceVerifier(), []
    for problem in problems:
        answer = await follow(policy, problem, Compute(model, bank=bank))
        whole = Candidate("answer", Completion(answer.text, Finish.STOP, 0), answer.value)
        (score,) = await grader.score(problem, [whole])
        right = float("nan") if score.verdict is Verdict.ABSTAIN else float(score.verdict is Verdict.RIGHT)
        found.append((0.0 if answer.confidence is None else answer.confidence, right))
    table = np.array(found)
    judged = np.isfinite(table[:, 1])
    return table[judged, 0], table[judged, 1]


def interval(right: np.ndarray, tested_to_calibrated: float) -> Interval:
    """Wilson's interval (1927) of a share, which does not collapse near 1, widened: both halves are samples."""
    n, mean, z = len(right), float(right.mean()), 1.96 * (1 + tested_to_calibrated) ** 0.5
    middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (mean * (1 - mean) / n + z * z / (4 * n * n)) ** 0.5
    return Interval(mean, middle - half, middle + half)


async def run(args: argparse.Namespace) -> int:
    marks = Marks("confidence", args.quick)
    with Bank() as bank:
        if args.panel:
            await import_panels(args.panel, bank, "train")
            await import_panels(args.panel_test, bank, "test")
            train, test = bank.problems("train"), bank.problems("test")
            models: list[Model] = [ReplayModel(f"panel:{n}", is_panel=True) for n in ("train", "test")]
        else:
            problems, model = made_up(120 if args.quick else 1600, args.seed)
            train, test = problems[::2], problems[1::2]
            models = [model, model]
        done = await calibrate(train, models[0], bank=bank, samples=args.samples, seed=args.seed)
        stated, right = await answers(msgspec.structs.replace(done.policy, confidence=None), models[1], test, bank)
        sure, _ = await answers(done.policy, models[1], test, bank)
    before = calibration_error(stated.tolist(), [bool(r) for r in right])
    after = calibration_error(sure.tolist(), [bool(r) for r in right])
    print(f"{len(train)} problems to calibrate on, {len(right)} others to test on; accuracy {right.mean():.3f}\n")
    print(f"expected calibration error: as stated {100 * before:.1f} points, calibrated {100 * after:.1f}\n")
    print(f"{'abstain below':>14}{'answered':>10}{'promised':>10}{'reached':>9}   95 %")
    rows, kept = [], True
    for threshold in (0.0, *THRESHOLDS):
        chosen = sure >= threshold
        if not chosen.any():
            continue
        promised, reached = float(sure[chosen].mean()), interval(right[chosen], len(right) / len(train))
        holds = reached.low <= promised <= reached.high
        kept &= holds or int(chosen.sum()) < LEAST
        rows.append([threshold, int(chosen.sum()), promised, *reached])
        print(
            f"{threshold:>14.1f}{int(chosen.sum()):>10}{promised:>10.3f}{reached.mean:>9.3f}"
            f"   {reached.low:.3f} to {reached.high:.3f}{'' if holds else '   NOT as promised'}"
        )
    if not args.quick:
        marks.exact("calibration error after", after, below=before, at_most=ERROR_MARK)
    marks.exact("every promise kept", kept)
    return marks.result(error_before=before, error_after=after, rows=rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="120 problems instead of 1,600; the mark does not count")
    parser.add_argument("--panel", type=Path, help="recorded samples to calibrate on (JSON lines)")
    parser.add_argument("--panel-test", type=Path, help="recorded samples to test on")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if bool(args.panel) != bool(args.panel_test):
        parser.error("--panel and --panel-test go together")
    return asyncio.run(run(args))


if __name__ == "__main__":
    sys.exit(main())
