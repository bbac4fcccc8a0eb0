import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from nlrl.bank import Bank, Draw, sample_key
from nlrl.core import BankError, Completion, Finish, Gist, Problem, Sampling, TokenLogprob, user


def draw(text: str = "Final Answer: 42") -> Draw:
    return Draw(
        Completion(
            text,
            Finish.STOP,
            5,
            prompt_tokens=9,
            logprobs=(TokenLogprob("4", -0.1, (("4", -0.1), ("5", -3.0))),),
            gists=(Gist(text, 5, -0.2, 0.5),),
        ),
        shared=True,
        probes=((500, None), (1000, "42")),
    )


def test_a_draw_comes_back_as_it_was_put(tmp_path):
    async def scene(bank):
        await bank.put("k", {3: draw()}, model="m", problem_id="p", request={"any": "thing"})
        assert await bank.get("k", range(8)) == {3: draw()}
        assert await bank.get("other", range(8)) == {}
        assert await bank.get("k", []) == {}

    for bank in (Bank(), Bank(tmp_path / "deep" / "bank.sqlite")):
        with bank:
            asyncio.run(scene(bank))
            asyncio.run(scene(bank))  # and from a second event loop
            assert bank.count() == 1
            assert bank.models() == {"m": 1}


def test_a_sample_is_never_replaced(tmp_path):
    with Bank(tmp_path / "b.sqlite") as bank:
        asyncio.run(bank.put("k", {0: draw("first")}, model="m"))
        asyncio.run(bank.put("k", {0: draw("second"), 1: draw("third")}, model="m"))
        found = asyncio.run(bank.get("k", range(2)))
        assert [found[i].completion.text for i in (0, 1)] == ["first", "third"]


def test_odd_text_survives():
    with Bank() as bank:
        texts = ["", "\0\n\r\t", "∑ 𝔸 🧮", "x" * 1_000_000]
        asyncio.run(bank.put("k", {i: draw(t) for i, t in enumerate(texts)}, model="m"))
        found = asyncio.run(bank.get("k", range(4)))
        assert [found[i].completion.text for i in range(4)] == texts


def test_the_key_depends_on_all_that_shapes_a_draw_and_on_nothing_else():
    base = sample_key("m", (user("q"),), "", Sampling(temperature=0.8))
    assert base == sample_key("m", (user("q"),), "", Sampling(temperature=0.8, stop=(), seed=None))
    others = [
        sample_key("m2", (user("q"),), "", Sampling(temperature=0.8)),
        sample_key("m", (user("q "),), "", Sampling(temperature=0.8)),
        sample_key("m", (user("q"), user("")), "", Sampling(temperature=0.8)),
        sample_key("m", (user("q"),), "So", Sampling(temperature=0.8)),
        sample_key("m", (user("q"),), "", Sampling(temperature=0.7)),
        sample_key("m", (user("q"),), "", Sampling(temperature=0.8, stop=("\n",))),
        sample_key("m", (user("q"),), "", Sampling(temperature=0.8, seed=0)),
    ]
    assert len({base, *others}) == len(others) + 1


def test_files_that_are_no_bank_are_refused_with_the_next_step(tmp_path):
    rubbish = tmp_path / "notes.txt"
    rubbish.write_text("these are notes, not a bank " * 100)
    with pytest.raises(BankError, match="--bank"):
        Bank(rubbish)
    with pytest.raises(BankError, match="cannot be opened"):
        Bank(rubbish / "below-a-file.sqlite")


WRITER = """
import asyncio, sys
from nlrl.bank import Bank, Draw
from nlrl.core import Completion, Finish
async def main():
    bank = Bank(sys.argv[1])
    for i in range(100_000):
        draws = {j: Draw(Completion(f"{i}.{j}", Finish.STOP, 1)) for j in range(4)}
        await bank.put(f"{sys.argv[2]}-{i}", draws, model="m")
        print(i, flush=True)
asyncio.run(main())
"""


def test_many_writers_killed_in_the_middle_lose_nothing_they_had_reported(tmp_path):
    path = tmp_path / "bank.sqlite"
    args = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*args, name], stdout=subprocess.PIPE, text=True) for name in ("a", "b")]
    end = time.monotonic() + 20
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(1.0)
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
    reported = [int((writer.communicate()[0].split() or ["-1"])[-1]) for writer in writers]
    assert max(reported) > 0
    with Bank(path) as bank:
        for name, last in zip("ab", reported, strict=True):
            for i in (0, last // 2, last):
                if last >= 0:
                    assert len(asyncio.run(bank.get(f"{name}-{i}", range(4)))) == 4
        # the draws of one call are there all or none
        assert bank.count() % 4 == 0


def test_panels_keep_their_problems_in_order():
    with Bank() as bank:
        problems = {i: Problem(f"q{i}", reference=str(i)) for i in range(12)}
        asyncio.run(bank.put_problems("aime", problems))
        assert bank.problems("aime") == list(problems.values())
        assert bank.panels() == {"aime": 12}


def test_a_closed_bank_says_so():
    bank = Bank()
    bank.close()
    bank.close()
    with pytest.raises(BankError, match="closed"):
        asyncio.run(bank.get("k", range(2)))
    with pytest.raises(BankError, match="closed"):
        bank.count()


def test_a_lone_surrogate_in_a_question_does_no_harm():
    from nlrl.compute import Compute
    from nlrl.core import TaskType
    from nlrl.testing.scripted import ScriptedModel

    odd = Problem("What is \ud800?", task_type=TaskType.MATH)
    with Bank() as bank:
        compute = Compute(ScriptedModel("Final Answer: 1"), bank=bank)
        (attempt,) = asyncio.run(compute.sample(odd))
        assert (attempt.answer, bank.count()) == ("1", 1)
