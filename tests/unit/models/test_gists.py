"""Gists as they come, and the rules that end them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import pytest

from nlrl.core import (
    Capabilities,
    Completion,
    Delta,
    Finish,
    Gist,
    Message,
    Model,
    ModelError,
    Request,
    Sampling,
    UserError,
    assistant,
    system,
    user,
)
from nlrl.models import GistResult, StopRules, installed, stream_gists, weight_file
from nlrl.testing import ScriptedModel

ANSWER = "17 + 25 = 42\n\nFinal Answer: 42\nBecause 17 and 25 are 42.\nFinal Answer: 43\n"


class RawModel:
    """Streams given pieces, a token each, and heeds no rule at all: the worst server there could be."""

    name = "raw"

    def __init__(self, pieces: Sequence[str], *, pause: float = 0.0, end: bool = True) -> None:
        self.pieces, self.pause, self.end = pieces, pause, end
        self.can = Capabilities(logprobs=False)
        self.sent = 0
        self.closed = 0

    def stream(self, request: Request) -> AsyncIterator[Delta]:
        return self._stream(request)

    async def _stream(self, request: Request) -> AsyncGenerator[Delta]:
        try:
            for piece in self.pieces:
                await asyncio.sleep(self.pause)
                self.sent += 1
                yield Delta(0, piece, tokens=1)
            if self.end:
                done = Completion("".join(self.pieces), Finish.STOP, len(self.pieces), prompt_tokens=5)
                yield Delta(0, completion=done)
        finally:
            self.closed += 1

    async def complete(self, request: Request) -> list[Completion]:
        raise NotImplementedError

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        return None

    async def aclose(self) -> None:
        pass


def gists(model: Model, prompt: str = "What is 17 + 25?", **rules: object) -> tuple[GistResult, list[Gist]]:
    """The result, and what was shown on the way."""
    shown: list[Gist] = []
    wanted = StopRules(**rules)  # type: ignore[arg-type]
    return asyncio.run(stream_gists(model, prompt, rules=wanted, on_gist=shown.append)), shown


def both(pieces: list[str]) -> list[Model]:
    """A model that applies the rules itself, and one that leaves it all to us."""
    return [ScriptedModel(["".join(pieces)]), RawModel(pieces)]


# ---- the rules


@pytest.mark.parametrize("model", both(["17 + 25 =", " 42\n", "\n", "Final", " Answer", ":", " 4", "2", "\n", "Bec"]))
def test_it_ends_with_the_answer_line_and_not_before(model: Model) -> None:
    result, shown = gists(model)
    assert result.text == "17 + 25 = 42\n\nFinal Answer: 42"
    assert result.finish is Finish.RULE
    assert tuple(shown) == result.gists
    assert "".join(gist.text for gist in result.gists) == result.text


def test_nothing_after_the_answer_line_is_asked_for() -> None:
    model = RawModel([*"Final Answer: 42\n", *"and so on"])
    result, _ = gists(model)
    assert model.sent == len("Final Answer: 42\n") == result.tokens
    assert model.closed == 1


@pytest.mark.parametrize("model", both(["one", " ST", "OP", " two"]))
def test_a_stop_phrase_split_over_two_tokens(model: Model) -> None:
    result, shown = gists(model, phrases=("STOP",))
    assert result.text.rstrip() == "one"
    assert result.finish is Finish.STOP
    assert all("ST" not in gist.text for gist in shown)


def test_the_phrase_in_the_prompt_stops_nothing() -> None:
    prompt = "End with 'Final Answer: <number>', and never write STOP.\nFinal Answer: 1\n"
    for model in both(["one\n", "two\n", "three"]):
        result, _ = gists(model, prompt, phrases=("STOP",))
        assert result.text == "one\ntwo\nthree"
        assert result.finish is Finish.STOP  # the end token


def test_the_rule_can_be_left_out() -> None:
    for model in both([*ANSWER]):
        assert gists(model, answer_after=None)[0].text == ANSWER


def test_another_phrase() -> None:
    result, _ = gists(RawModel([*"So it is\nANSWER = 4\nmore\n"]), answer_after="answer =")
    assert result.text == "So it is\nANSWER = 4"


def test_a_token_limit() -> None:
    result, _ = gists(ScriptedModel(["one two three four five"]), max_tokens=3)
    assert (result.text, result.finish, result.tokens) == ("one two three", Finish.LENGTH, 3)


@pytest.mark.parametrize(
    "model", [RawModel(["x "] * 1000, pause=0.01), ScriptedModel(["x " * 1000], token_seconds=0.01)]
)
def test_a_time_limit_keeps_what_there_is(model: Model) -> None:
    started = time.monotonic()
    result, shown = gists(model, seconds=0.3, max_tokens=None)
    assert time.monotonic() - started < 2
    assert result.finish is Finish.TIMEOUT
    assert 0 < result.tokens < 100
    assert result.text.startswith("x x")
    assert tuple(shown) == result.gists


def test_rules_add_to_the_sampling_and_do_not_replace_it() -> None:
    sampling = StopRules(phrases=("a", "b")).applied_to(Sampling(stop=("b", "c"), temperature=0.3, max_tokens=9))
    assert sampling == Sampling(stop=("b", "c", "a"), temperature=0.3, max_tokens=9, stop_after="Final Answer:")
    none = StopRules(answer_after=None, max_tokens=None).applied_to(Sampling(stop_after="x"))
    assert none == Sampling(stop_after="x")


@pytest.mark.parametrize("rules", [{"seconds": 0.0}, {"seconds": float("nan")}, {"seconds": -1.0}, {"max_tokens": 0}])
def test_rules_that_make_no_sense(rules: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(rules))):
        StopRules(**rules)  # type: ignore[arg-type]


# ---- what comes back


def test_gists_come_one_by_one_and_not_at_the_end() -> None:
    model = RawModel(["one\n", "two\n", "three\n"], pause=0.05)
    when: list[float] = []
    asyncio.run(stream_gists(model, "q", on_gist=lambda gist: when.append(time.monotonic())))
    assert len(when) == 3
    assert min(b - a for a, b in itertools.pairwise(when)) > 0.03


def test_a_gist_has_tokens_logprob_and_time() -> None:
    result, _ = gists(ScriptedModel(["one two\nthree"]))
    first = result.gists[0]
    assert (first.text, first.tokens) == ("one two\nthree", 3)  # a piece is never divided: "\nthree" is one
    assert first.logprob == pytest.approx(-0.1)
    assert 0 <= first.seconds <= result.completion.seconds


def test_the_models_own_account_is_kept() -> None:
    result, _ = gists(RawModel(["one"]))
    assert (result.completion.prompt_tokens, result.tokens) == (5, 1)


def test_a_draw_that_broke_off_is_returned_with_what_had_arrived() -> None:
    from nlrl.testing.scripted import Reply

    result, _ = gists(ScriptedModel([Reply("one\ntwo", error="the line is dead")]))
    assert result.finish is Finish.ERROR
    assert result.completion.error == "the line is dead"
    assert result.text == "one\ntwo"


def test_a_repeated_try_shows_twice_but_counts_once() -> None:
    class Retrying(RawModel):
        async def _stream(self, request: Request) -> AsyncGenerator[Delta]:
            yield Delta(0, "one tw", tokens=2)
            yield Delta(0, "one two", tokens=2)
            yield Delta(0, completion=Completion("one two", Finish.STOP, 2, lost_completion_tokens=2))

    result, _ = gists(Retrying([]))
    assert (result.text, result.tokens, result.completion.lost_completion_tokens) == ("one two", 2, 2)


def test_a_stream_that_just_ends_is_an_error() -> None:
    with pytest.raises(ModelError, match="without saying"):
        gists(RawModel(["one"], end=False))


def test_cancelling_closes_the_stream() -> None:
    model = RawModel(["x"] * 1000, pause=0.01)

    async def main() -> None:
        task = asyncio.create_task(stream_gists(model, "q"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert model.closed == 1
    assert model.sent < 100


def test_an_on_gist_that_raises_ends_it_and_closes_the_stream() -> None:
    model = RawModel(["one\n", "two\n"])

    def refuse(gist: Gist) -> None:
        raise KeyError(gist.text)

    with pytest.raises(KeyError):
        asyncio.run(stream_gists(model, "q", on_gist=refuse))
    assert model.closed == 1


def test_a_prompt_has_many_forms() -> None:
    messages = (system("Be brief."), user("q"), assistant("a"), user("2 + 2?"))
    for prompt in ("2 + 2?", user("2 + 2?"), messages, list(messages)):
        assert asyncio.run(stream_gists(ScriptedModel({"2 + 2?": "4"}), prompt)).text == "4"


@pytest.mark.parametrize("prompt", ["", "  \n", (), [user("")]])
def test_an_empty_prompt_is_refused(prompt: str) -> None:
    with pytest.raises(UserError, match="empty"):
        asyncio.run(stream_gists(ScriptedModel(["x"]), prompt))


def test_with_a_real_model() -> None:
    weights = installed(weight_file("smollm2-135m"))
    pytest.importorskip("nlrl.models.llama.model")
    if weights is None:
        pytest.skip("needs: nlrl models pull smollm2-135m")
    from nlrl.models import LlamaModel
    from nlrl.models.llama.load import import_xllamacpp

    import_xllamacpp()
    model = LlamaModel(weights, slots=1, context_tokens=512)
    try:
        result = asyncio.run(stream_gists(model, "Count from one to ten, in words.", rules=StopRules(max_tokens=24)))
        assert "".join(gist.text for gist in result.gists) == result.text
        assert all(gist.logprob is not None and gist.logprob <= 0 for gist in result.gists)
        cut = asyncio.run(stream_gists(model, "Write a long story.", rules=StopRules(max_tokens=400, seconds=0.6)))
        assert cut.finish is Finish.TIMEOUT
        assert cut.tokens + result.tokens == model.tokens_generated()
    finally:
        asyncio.run(model.aclose())
