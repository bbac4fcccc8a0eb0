import asyncio

from nlrl.core import Candidate, Completion, Finish, Problem, Score
from nlrl.strategies.selection import select_answer


def test_a_search_is_no_surer_than_its_verifier() -> None:
    """One answer has all the weight there is, which says nothing of whether it is right."""
    text = Candidate("s0", Completion("Final Answer: 4", Finish.STOP, 4), "4", Score(0.3))
    chosen = asyncio.run(select_answer(Problem("2 + 2?"), [text], "weighted"))
    assert (chosen.share, chosen.sureness) == (None, 0.3)
