"""Monte-Carlo tree search over steps, with a process reward model in the place of rollouts (PUCT: Silver et al. 2017;
for language models: Feng et al. 2023, 2309.17179; Zhang et al. 2024, 2406.03816)."""

from __future__ import annotations

from nlrl.compute import Compute
from nlrl.core import Answer, Candidate, Problem
from nlrl.strategies._step_search import Stem, StepSearch, after_the_round, distinct, is_over
from nlrl.strategies._tree_puct import PuctTree
from nlrl.strategies.selection import worth


async def mcts(
    problem: Problem,
    compute: Compute,
    *,
    n: int = 32,
    width: int = 4,
    wave: int = 4,
    steps: int = 16,
    explore: float = 0.5,
    aggregate: str = "last",
    select: str = "weighted",
    verifier: str = "default",
) -> Answer:
    """Expand the most promising unfinished text, n times: draw `width` next steps of it and score them.

    The tree is walked by PUCT, where a text is worth the mean of the scores at and below it, and `explore` is how
    much an untried one may look better than it is known to be; so the search may come back to a branch that beam
    search would have cut. `wave` texts are expanded side by side. Texts that are over, or `steps` long, are closed;
    the answer is chosen among the finished ones.

    One unit of n buys one expansion: `width` steps and their scores. Fails when n is too small for its depth (n
    should be several times the number of steps of a solution; beam_search gets to the end more surely), and when the
    reward model is weak. Needs a model that can prefill.
    """
    search = StepSearch(problem, compute, aggregate, select, verifier, steps)
    tree = PuctTree(explore)
    texts: dict[int, Stem] = {0: None}
    finished: list[Candidate] = []
    left = n
    while left > 0 and (leaves := tree.ask(min(wave, left))):
        left -= len(leaves)
        groups = await search.score_groups(await search.grow([texts[leaf] for leaf in leaves], width))
        for leaf, children in zip(leaves, groups, strict=True):
            finished += [c for c in children if is_over(c)]
            different = after_the_round(distinct(children), compute)
            deepest = tree.depth(leaf) + 1 >= steps
            nodes = tree.tell(leaf, [worth(c) for c in different], [is_over(c) or deepest for c in different])
            texts |= dict(zip(nodes, different, strict=True))
    opened = [c for node, c in texts.items() if c is not None and not is_over(c) and not tree.children[node]]
    return await search.answer(finished, opened)
