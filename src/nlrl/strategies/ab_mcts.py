"""AB-MCTS-A: adaptive branching over whole answers (Inoue et al. 2025, 2503.04412)."""

from __future__ import annotations

import zlib

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem, Stopped, Verdict
from nlrl.strategies._revising import attempt_each, revision_prompt
from nlrl.strategies._step_search import after_the_round
from nlrl.strategies._tree_thompson import ThompsonTree
from nlrl.strategies.best_of_n import sampling_for
from nlrl.strategies.selection import check_selection, select_answer, worth
from nlrl.strategies.step_scores import check_aggregate, score_steps


async def ab_mcts(
    problem: Problem,
    compute: Compute,
    *,
    n: int = 16,
    wave: int = 1,
    posterior: str = "normal",
    aggregate: str = "last",
    select: str = "best",
    verifier: str = "default",
) -> Answer:
    """Decide anew before each of n answers: widen (a fresh attempt) or deepen (revise an earlier one)?

    Thompson sampling over posteriors of the scores decides, from the root of a tree of answers downwards: at every
    node, one more child made here competes with going on below one that is there. A revision sees the answer it
    starts from, the answers that one came from, and its score. `wave` decisions are made at once and run side by
    side; `posterior` is normal (mean and spread learned) or beta. It stops early when the verifier calls an answer
    right.

    One unit of n buys one answer, fresh or revised, and its score. Fails when scores do not tell good from bad
    (widening and deepening then look alike), and for models that do not follow feedback, for which best_of_n is
    cheaper: revisions carry their history in the prompt.
    """
    check_selection(select)
    check_aggregate(aggregate)
    judge = compute.verifier(verifier)
    sampling = sampling_for(judge, problem, compute)
    prompt = compute.prompt(problem)
    # the same problem walks the same way when it is run again
    tree = ThompsonTree(posterior, seed=zlib.crc32(problem.id.encode("utf-8", "replace")))
    made: dict[int, Candidate] = {}
    left, settled = n, False
    while left > 0 and not compute.stopped and not settled:
        nodes = sorted(tree.ask() for _ in range(min(wave, left)))
        left -= len(nodes)
        lines = [tree.line(node) for node in nodes]
        histories = [[made[i] for i in line] for line in lines]
        prompts = [revision_prompt(prompt, history, scores=True) for history in histories]
        parents = [after_the_round(history[-1:], compute) for history in histories]
        drawn = await attempt_each(problem, compute, prompts, parents, sampling)
        made_from = [(node, c) for node, c in zip(nodes, drawn, strict=True) if c is not None]
        scored = await score_steps(problem, compute, [c for _, c in made_from], judge, aggregate)
        for (node, _), candidate in zip(made_from, scored, strict=True):
            made[tree.tell(node, worth(candidate))] = candidate
            settled |= candidate.score is not None and candidate.score.verdict is Verdict.RIGHT
    chosen = await select_answer(problem, list(made.values()), select)
    best = chosen.best or max(made.values(), key=worth, default=None)  # without an answer, still a text
    return compute.answer(best, confidence=chosen.sureness, stopped=Stopped.SETTLED if settled else Stopped.DONE)
