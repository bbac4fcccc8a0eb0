"""The models without weights keep the contract of Model, and the stochastic one keeps its promises about chance."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.core import (
    Completion,
    Delta,
    Finish,
    Message,
    Model,
    Problem,
    Request,
    Sampling,
    TaskType,
    UserError,
    assistant,
    system,
    user,
)
from nlrl.testing.scripted import Reply, ScriptedModel, StochasticModel
from nlrl.testing.scripted_words import count, pieces

ASK = Request((user("What is 17 + 25?"),))
SUMS = [Problem(f"What is {a} + {a * 7}?", reference=str(a * 8)) for a in range(1, 200)]


def complete(model: Model, request: Request) -> list[Completion]:
    return asyncio.run(model.complete(request))


def stream(model: Model, request: Request) -> list[Delta]:
    async def read() -> list[Delta]:
        return [delta async for delta in model.stream(request)]

    return asyncio.run(read())


def final(text: str) -> str:
    return text.rpartition("Final Answer: ")[2]


class TestWords:
    @given(st.text())
    def test_pieces_are_the_text(self, text: str) -> None:
        assert "".join(pieces(text)) == text and count(text) == len(pieces(text))

    def test_examples(self) -> None:
        assert pieces("Final Answer: 42\n") == ["Final", " Answer", ":", " 42", "\n"]


class TestScripted:
    def test_is_a_model(self) -> None:
        assert isinstance(ScriptedModel(["a"]), Model) and isinstance(StochasticModel([]), Model)

    def test_replies_in_order(self) -> None:
        model = ScriptedModel(["a b", "c", "d"])
        first = complete(model, replace(ASK, n=2))
        assert [(c.text, c.completion_tokens, c.finish) for c in first] == [
            ("a b", 2, Finish.STOP),
            ("c", 1, Finish.STOP),
        ]
        assert [c.prompt_tokens for c in first] == [asyncio.run(model.count_prompt_tokens(ASK.messages)), 0]
        assert complete(model, ASK)[0].text == "d"
        with pytest.raises(UserError, match="cycle=True"):
            complete(model, ASK)
        assert [request.n for request in model.requests] == [2, 1, 1]

    def test_cycle_and_single_text(self) -> None:
        assert [c.text for c in complete(ScriptedModel(["a", "b"], cycle=True), replace(ASK, n=3))] == ["a", "b", "a"]
        assert [c.text for c in complete(ScriptedModel("hi"), replace(ASK, n=2))] == ["hi", "hi"]

    def test_by_what_the_last_message_holds(self) -> None:
        model = ScriptedModel({"17": ["42", "43"], "capital": Reply("Paris"), "": "no idea"})
        assert [c.text for c in complete(model, replace(ASK, n=3))] == ["42", "43", "42"]
        assert complete(model, replace(ASK, first_index=1))[0].text == "43"
        assert complete(model, Request((user("the capital?"),)))[0].text == "Paris"
        assert complete(model, Request((user("17"), assistant("x"), user("else"))))[0].text == "no idea"
        with pytest.raises(UserError, match="no reply to 'else'"):
            complete(ScriptedModel({"a": "b"}), Request((user("else"),)))

    def test_by_function(self) -> None:
        model = ScriptedModel(lambda request, index: f"{len(request.messages)}:{index}")
        assert [c.text for c in complete(model, replace(ASK, n=2, first_index=5))] == ["1:5", "1:6"]

    def test_rules_and_limits(self) -> None:
        model = ScriptedModel("I think\nFinal Answer: 42\nand so on", name="m")
        [ruled] = complete(model, replace(ASK, sampling=Sampling(stop_after="final answer:")))
        assert (ruled.text, ruled.finish) == ("I think\nFinal Answer: 42", Finish.RULE)
        [stopped] = complete(model, replace(ASK, sampling=Sampling(stop=("Answer",))))
        assert (stopped.text, stopped.finish) == ("I think\nFinal ", Finish.STOP)
        [short] = complete(model, replace(ASK, sampling=Sampling(max_tokens=2)))
        assert (short.text, short.finish, short.completion_tokens) == ("I think", Finish.LENGTH, 2)
        [forced] = complete(
            ScriptedModel(" 42\nmore"),
            Request(ASK.messages, Sampling(stop_after="final answer:"), prefill="So.\nFinal Answer:"),
        )
        assert (forced.text, forced.finish) == (" 42", Finish.RULE)

    def test_reasoning_logprobs_seed(self) -> None:
        model = ScriptedModel([Reply("the answer", reasoning="hm hm", logprob=-0.5)])
        [completion] = complete(model, replace(ASK, first_index=3, sampling=Sampling(logprobs=3, seed=10)))
        assert (completion.reasoning, completion.text, completion.completion_tokens) == ("hm hm", "the answer", 4)
        assert completion.logprobs and [one.logprob for one in completion.logprobs] == [-0.5, -0.5]
        assert len(completion.logprobs[0].top) == 3 and completion.seed == 13

    def test_failures(self) -> None:
        model = ScriptedModel([Reply("half", error="cut_stream: gone"), "fine", RuntimeError("all of it")])
        broken, fine = complete(model, replace(ASK, n=2))
        assert (broken.finish, broken.text, broken.error, broken.ok) == (
            Finish.ERROR,
            "half",
            "cut_stream: gone",
            False,
        )
        assert fine.ok
        with pytest.raises(RuntimeError, match="all of it"):
            complete(model, ASK)

    def test_streams_interleaved_and_whole(self) -> None:
        deltas = stream(ScriptedModel(["a b c", "d"]), replace(ASK, n=2))
        assert [d.index for d in deltas][:2] == [0, 1]
        for index, text in ((0, "a b c"), (1, "d")):
            mine = [d for d in deltas if d.index == index]
            assert "".join(d.text for d in mine) == text and mine[-1].completion is not None
            assert mine[-1].completion.text == text and sum(d.tokens for d in mine) == count(text)

    def test_latency_and_cancellation(self) -> None:
        async def go() -> float:
            model = ScriptedModel([Reply("x " * 1000, seconds=0.01)], token_seconds=0.01)
            began = time.monotonic()
            task = asyncio.create_task(model.complete(ASK))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return time.monotonic() - began

        assert asyncio.run(go()) < 1


class TestStochasticDraws:
    MODEL = StochasticModel(SUMS, 0.6, seed=7)

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from(SUMS),
        st.integers(0, 40),
        st.integers(1, 20),
        st.lists(st.integers(1, 6), max_size=6),
        st.none() | st.integers(0, 9),
    )
    def test_a_draw_depends_on_its_index_alone(
        self, problem: Problem, first: int, n: int, cuts: list[int], seed: int | None
    ) -> None:
        """However the draws are divided into requests, in whatever order and side by side: the same texts."""
        request = Request((user(problem.question),), Sampling(temperature=0.8, seed=seed), n=n, first_index=first)
        whole = [c.text for c in complete(self.MODEL, request)]
        parts, at = [], 0
        for size in [*cuts, n]:
            size = min(size, n - at)
            parts.append(replace(request, first_index=first + at, n=size))
            at += size

        async def go() -> list[list[Completion]]:
            twin = StochasticModel(SUMS, 0.6, seed=7)  # nothing hangs on the object
            backwards = await asyncio.gather(*(twin.complete(part) for part in reversed(parts)))
            return list(reversed(backwards))

        assert [c.text for part in asyncio.run(go()) for c in part] == whole

    @settings(max_examples=40, deadline=None)
    @given(
        st.sampled_from(SUMS),
        st.builds(
            Sampling,
            max_tokens=st.none() | st.integers(1, 80),
            stop=st.sampled_from([(), ("the",), ("Answer",)]),
            stop_after=st.sampled_from([None, "Final Answer:"]),
            logprobs=st.sampled_from([None, 0, 2]),
        ),
        st.integers(1, 4),
    )
    def test_stream_says_what_complete_says(self, problem: Problem, sampling: Sampling, n: int) -> None:
        request = Request((user(problem.question),), sampling, n=n)
        streamed = {d.index: d.completion for d in stream(self.MODEL, request) if d.completion}
        for index, done in enumerate(complete(self.MODEL, request)):
            twin = streamed[index]
            assert (twin.text, twin.finish, twin.completion_tokens, twin.prompt_tokens, twin.logprobs) == (
                done.text,
                done.finish,
                done.completion_tokens,
                done.prompt_tokens,
                done.logprobs,
            )

    def test_different_prompts_seeds_and_models_differ(self) -> None:
        def texts(model: StochasticModel, **sampling: Any) -> list[str]:
            request = Request((user(SUMS[0].question),), Sampling(**sampling), n=20)
            return [c.text for c in complete(model, request)]

        base = texts(self.MODEL)
        assert len(set(base)) == 20
        others = [
            texts(StochasticModel(SUMS, 0.6, seed=8)),
            texts(self.MODEL, seed=1),
            texts(self.MODEL, temperature=1.0),
        ]
        assert all(set(base).isdisjoint(other) for other in others)
        prefixed = complete(self.MODEL, Request((system("Think."), user(SUMS[0].question)), n=20))
        assert set(base).isdisjoint(c.text for c in prefixed)

    def test_limits_cut_the_same_draw(self) -> None:
        request = Request((user(SUMS[0].question),), n=10)
        whole = complete(self.MODEL, request)
        for done, short in zip(
            whole, complete(self.MODEL, replace(request, sampling=Sampling(max_tokens=9))), strict=True
        ):
            assert done.text.startswith(short.text)
            assert short.completion_tokens == min(9, done.completion_tokens) == count(short.text)

    def test_counts_are_the_texts(self) -> None:
        for done in complete(self.MODEL, Request((user(SUMS[3].question),), n=50)):
            assert done.completion_tokens == count(done.text) and done.finish is Finish.STOP

    def test_a_draw_continued_by_chunks_is_the_draw(self) -> None:
        messages = (user(SUMS[5].question),)
        for index in range(5):
            [whole] = complete(self.MODEL, Request(messages, first_index=index))
            text = ""
            for _ in range(1000):
                chunk = Request(messages, Sampling(max_tokens=7), first_index=index, prefill=text)
                [done] = complete(self.MODEL, chunk)
                text += done.text
                if done.finish is not Finish.LENGTH:
                    break
            assert text == whole.text

    def test_another_ones_beginning_is_continued_to_an_answer(self) -> None:
        [done] = complete(self.MODEL, Request((user(SUMS[5].question),), prefill="Let me see. 5 plus"))
        assert "Final Answer: " in done.text
        [over] = complete(self.MODEL, Request((user(SUMS[5].question),), prefill="So.\nFinal Answer: 48\n"))
        assert over.text == ""

    def test_a_forced_answer_is_the_answer_of_the_draw(self) -> None:
        messages = (user(SUMS[5].question),)
        whole = complete(self.MODEL, Request(messages, n=30))
        forced = complete(self.MODEL, Request(messages, n=30, prefill="Hm.\n\nFinal Answer:"))
        assert [c.text.strip() for c in forced] == [final(c.text) for c in whole]
        assert all(c.completion_tokens <= 2 for c in forced)


class TestStochasticChance:
    def rate(self, model: StochasticModel, problem: Problem, n: int = 2000, *more: Message) -> float:
        done = complete(model, Request((user(problem.question), *more), n=n))
        return sum(final(c.text) == problem.reference for c in done) / n

    @pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.93, 1.0])
    def test_is_right_as_often_as_told(self, p: float) -> None:
        rate = self.rate(StochasticModel(SUMS, p, seed=3), SUMS[0])
        assert abs(rate - p) <= 4 * math.sqrt(p * (1 - p) / 2000)  # four standard errors

    def test_rates_by_id_by_question_by_function(self) -> None:
        a, b, c = SUMS[:3]
        model = StochasticModel(SUMS[:3], {a.id: 1.0, b.question: 0.0}, default=1.0)
        assert [self.rate(model, x, 50) for x in (a, b, c)] == [1.0, 0.0, 1.0]
        model = StochasticModel(SUMS[:3], lambda problem: float(problem.id == c.id))
        assert [self.rate(model, x, 50) for x in (a, b, c)] == [0.0, 0.0, 1.0]

    @pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
    def test_bad_rates(self, bad: float) -> None:
        with pytest.raises(UserError):
            StochasticModel(SUMS, bad)
        with pytest.raises(UserError):
            StochasticModel(SUMS, p_fix=bad)

    def test_wrong_answers_spread(self) -> None:
        def wrong(model: StochasticModel, problem: Problem) -> Counter[str]:
            return Counter(final(c.text) for c in complete(model, Request((user(problem.question),), n=2000)))

        even = wrong(StochasticModel(SUMS, 0.0, distractors=4, wrong_bias=0.0), SUMS[9])
        assert len(even) == 4 and SUMS[9].reference not in even and max(even.values()) < 600
        popular = wrong(StochasticModel(SUMS, 0.0, distractors=4, wrong_bias=2.0), SUMS[9])
        assert popular.most_common(1)[0][1] > 1200
        own = StochasticModel(SUMS, 0.0, distractors=lambda problem: ["x", "y", problem.reference or ""])
        assert set(wrong(own, SUMS[9])) == {"x", "y"}

    def test_wrong_answers_are_of_the_kind(self) -> None:
        choice = Problem("Which colour has the sky?", reference="blue", choices=("red", "blue", "green"))
        yes = Problem("Is water wet at all?", reference="yes")
        free = Problem("Who wrote Hamlet, the play?", reference="Shakespeare")
        model = StochasticModel([choice, yes, free], 0.0, distractors=8)
        said = {
            p.id: {final(c.text) for c in complete(model, Request((user(p.question),), n=99))}
            for p in (choice, yes, free)
        }
        assert said[choice.id] == {"red", "green"} and said[yes.id] == {"no"}
        assert "Shakespeare" not in said[free.id] and len(said[free.id]) == 8

    def test_lengths(self) -> None:
        def mean(model: StochasticModel, problem: Problem) -> float:
            done = complete(model, Request((user(problem.question),), n=4000))
            return sum(c.completion_tokens for c in done) / len(done)

        assert abs(mean(StochasticModel(SUMS, 0.5, tokens=200), SUMS[0]) - 200) < 8
        assert mean(StochasticModel(SUMS, 0.5, tokens=77, tokens_spread=0), SUMS[0]) == 77
        longer = StochasticModel(SUMS, 0.5, tokens=50, wrong_tokens=150, tokens_spread=0)
        assert 85 < mean(longer, SUMS[0]) < 115
        assert mean(StochasticModel(SUMS, 0.5, tokens=20_000, tokens_spread=0), SUMS[0]) == 20_000

    def test_the_last_question_of_the_prompt_counts(self) -> None:
        shots = "\n".join(f"Q: {p.question} A: {p.reference}" for p in SUMS[:5])
        prompt = f"{shots}\nQ: {SUMS[7].question}\nEnd with 'Final Answer: <number>'."
        model = StochasticModel(SUMS, {SUMS[7].id: 1.0}, default=0.0)
        assert final(complete(model, Request((system("Solve."), user(prompt))))[0].text) == SUMS[7].reference
        longer = Problem(SUMS[7].question + " Then double it.", reference="1000")
        model = StochasticModel([*SUMS, longer], {longer.id: 1.0}, default=0.0)
        assert final(complete(model, Request((user(longer.question),)))[0].text) == "1000"
        short = Problem("2+2?", reference="4")
        assert final(complete(StochasticModel([short], 1.0), Request((user("Q: 2+2? A:"),)))[0].text) == "4"

    def test_of_an_unknown_question_it_knows_nothing(self) -> None:
        [done] = complete(StochasticModel(SUMS, 1.0), Request((user("What is love?"),)))
        assert final(done.text) == "unknown"
        [done] = complete(
            StochasticModel([Problem("Write a poem about rain")], 1.0), Request((user("Write a poem about rain"),))
        )
        assert done.ok

    def test_revision(self) -> None:
        model = StochasticModel(SUMS, 0.5, p_fix=0.8, p_break=0.1)
        problem = SUMS[0]
        wrong = final(next(c.text for c in complete(StochasticModel(SUMS, 0.0), Request((user(problem.question),)))))
        again = user(f"Revise. {problem.question}")
        after_wrong = self.rate(model, problem, 2000, assistant(f"Hm.\nFinal Answer: {wrong}"), again)
        after_right = self.rate(model, problem, 2000, assistant(f"Hm.\nFinal Answer: {problem.reference}"), again)
        assert abs(after_wrong - 0.8) < 0.04 and abs(after_right - 0.9) < 0.03
        instructed = user(f"{problem.question}\nEnd with 'Final Answer: <answer>'.")  # an instruction is no attempt
        done = complete(model, Request((instructed,), n=2000))
        assert abs(sum(final(c.text) == problem.reference for c in done) / 2000 - 0.5) < 0.05

    def test_confidence_tells_right_from_wrong_as_well_as_told(self) -> None:
        def separation(gap: float, noise: float) -> float:
            """Probability that a right draw is more confident than a wrong one."""
            model = StochasticModel(SUMS, 0.5, tokens=40, logprob_gap=gap, logprob_noise=noise)
            done = complete(model, Request((user(SUMS[0].question),), Sampling(logprobs=0), n=400))
            sides: tuple[list[float], list[float]] = ([], [])
            for c in done:
                assert c.logprobs is not None and len(c.logprobs) == c.completion_tokens
                mean = sum(one.logprob for one in c.logprobs) / len(c.logprobs)
                sides[final(c.text) == SUMS[0].reference].append(mean)
            wins = sum(r > w for r in sides[1] for w in sides[0])
            return wins / (len(sides[0]) * len(sides[1]))

        assert abs(separation(0.0, 0.1) - 0.5) < 0.08
        assert separation(0.3, 0.05) > 0.95

    def test_judge_and_render(self) -> None:
        def judge(messages: tuple[Message, ...], u: float) -> str | None:
            return ("yes" if u < 0.7 else "no") if "Is this right?" in messages[-1].content else None

        model = StochasticModel(SUMS, 1.0, judge=judge, render=lambda problem, answer: f"\\boxed{{{answer}}}")
        said = Counter(c.text for c in complete(model, Request((user("Is this right? " + SUMS[0].question),), n=2000)))
        assert set(said) == {"yes", "no"} and abs(said["yes"] / 2000 - 0.7) < 0.05
        [done] = complete(model, Request((user(SUMS[0].question),)))
        assert done.text.endswith(f"\\boxed{{{SUMS[0].reference}}}")

    def test_code(self) -> None:
        problem = Problem(
            "Write add(a, b) in Python.", reference="def add(a, b):\n    return a + b", task_type=TaskType.CODING
        )
        [done] = complete(StochasticModel([problem], 1.0), Request((user(problem.question),)))
        assert f"```python\n{problem.reference}\n```" in done.text

    def test_names_tell_models_apart(self) -> None:
        base = StochasticModel(SUMS, 0.5).name
        assert base == StochasticModel(SUMS, 0.5).name
        others = [
            StochasticModel(SUMS, 0.6),
            StochasticModel(SUMS, 0.5, seed=1),
            StochasticModel(SUMS[1:], 0.5),
            StochasticModel(SUMS, 0.5, tokens=61),
            StochasticModel(SUMS, 0.5, distractors=5),
            StochasticModel(SUMS, 0.5, p_fix=0.5),
        ]
        assert len({base, *(other.name for other in others)}) == 7

    def test_latency(self) -> None:
        model = StochasticModel(SUMS, 0.5, tokens=20, tokens_spread=0, token_seconds=0.005)
        began = time.monotonic()
        complete(model, Request((user(SUMS[0].question),), n=50))
        assert 0.1 <= time.monotonic() - began < 2  # side by side, not one after the other

    def test_fast(self) -> None:
        """Replays draw by the hundred thousand: nothing slow may creep in (200,000 a second when idle)."""

        async def go() -> float:
            model, sampling = (
                StochasticModel(SUMS, 0.5),
                Sampling(temperature=0.8, max_tokens=500, stop_after="Final Answer:"),
            )
            began = time.process_time()
            for problem in SUMS[:100]:
                await model.complete(Request((user(problem.question),), sampling, n=64))
            return 6400 / (time.process_time() - began)

        assert max(asyncio.run(go()) for _ in range(3)) > 40_000
