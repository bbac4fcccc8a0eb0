"""The assembler: whatever way a text is cut into pieces, the completion is the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nlrl.core import Completion, Delta, Finish, Sampling, TokenLogprob
from nlrl.models.streams import GIST_TOKENS, Assembler, answer_line_end, first_stop, gather, open_answer

PHRASE = "Final Answer:"
PIECES = st.lists(
    st.sampled_from(["Final", " Answer", ":", "Final Answer:", "final answer", " ", "\n", "\n\n", "42", "ab", "a", "b",
                     "STOP", "ST", "OP", "```", "$$", "\\[", "\\]", "**", "é", "ﬁ", "漢", "İ"]),
    max_size=25,
)  # fmt: skip


def assemble(pieces: list[str], sampling: Sampling, prefix: str = "") -> tuple[Completion, str, list[Delta]]:
    """Completion, the text shown before its end, and all deltas. Stops reading when the assembler says so."""
    draw = Assembler(0, sampling, prefix=prefix)
    deltas = []
    for piece in pieces:
        if delta := draw.feed(piece, tokens=1):
            deltas.append(delta)
        if draw.stopped:
            break
    last = draw.finish(Finish.LENGTH)
    assert last.completion is not None
    shown = "".join(delta.text for delta in deltas)
    return last.completion, shown, [*deltas, last]


# ---- stop strings


def test_first_stop_is_the_earliest_and_then_the_longest() -> None:
    assert first_stop("one two three", ["three", "two"]) == (4, "two")
    assert first_stop("\n\nQ:", ["\n", "\n\n"]) == (0, "\n\n")
    assert first_stop("abc", ["", "x"]) is None
    assert first_stop("abab", ["ab"], start=1) == (2, "ab")


@pytest.mark.parametrize("pieces", [["one STOP two"], ["one ST", "OP two"], ["one S", "T", "O", "P", " two"]])
def test_a_stop_string_split_over_pieces_is_found_and_never_shown(pieces: list[str]) -> None:
    completion, shown, _ = assemble(pieces, Sampling(stop=("STOP",)))
    assert completion.text == "one "
    assert completion.finish is Finish.STOP
    assert shown == "one "


def test_text_held_back_for_a_stop_string_that_does_not_come_is_shown_in_the_end() -> None:
    completion, shown, deltas = assemble(["one ST"], Sampling(stop=("STOP",)))
    assert shown == "one "
    assert deltas[-1].text == "ST"
    assert completion.text == "one ST"
    assert completion.finish is Finish.LENGTH


@given(PIECES)
@example(["a", "ST", "STOP", "b"])
def test_stop_strings_cut_at_the_same_place_however_the_text_is_split(pieces: list[str]) -> None:
    sampling = Sampling(stop=("STOP", "b4", "\n\n\n"))
    whole = "".join(pieces)
    hit = first_stop(whole, sampling.stop)
    completion, shown, deltas = assemble(pieces, sampling)
    assert completion.text == (whole if hit is None else whole[: hit[0]])
    assert "".join(delta.text for delta in deltas) == completion.text
    assert completion.text.startswith(shown)


# ---- the answer line


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("so\nFinal Answer: 42\nBecause", "so\nFinal Answer: 42"),
        ("FINAL ANSWER: 42\n", "FINAL ANSWER: 42"),
        ("The final answer: is 42. It\nx", "The final answer: is 42. It"),
        ("**Final Answer:** 42\n", "**Final Answer:** 42"),
        ("**Final Answer:**\n\n42\n\nNow", "**Final Answer:**\n\n42"),
        ("Final Answer:\n```python\nx = 1\n\ny = 2\n```\nDone\n", "Final Answer:\n```python\nx = 1\n\ny = 2\n```"),
        ("Final Answer:\n\\[\nx\n\\]\nDone\n", "Final Answer:\n\\[\nx\n\\]"),
        ("Final Answer: $$x$$ ok\nDone\n", "Final Answer: $$x$$ ok"),
        ("Final Answer: `x`\nDone\n", "Final Answer: `x`"),
        ("Final Answer: -1\r\nDone", "Final Answer: -1\r"),
    ],
)
def test_a_completion_ends_with_its_answer(text: str, kept: str) -> None:
    completion, _, _ = assemble(list(text), Sampling(stop_after=PHRASE))
    assert completion.text == kept
    assert completion.finish is Finish.RULE


@pytest.mark.parametrize(
    "text",
    [
        "Final Answer:",
        "Final Answer: 42",
        "Final Answer:\n\n",
        "**Final Answer:**\n",
        "Final Answer:\n```\nx = 1\n",
        "",
    ],
)
def test_a_rule_never_halts_before_the_answer_is_there(text: str) -> None:
    completion, _, _ = assemble(list(text), Sampling(stop_after=PHRASE))
    assert completion.text == text
    assert completion.finish is Finish.LENGTH


@given(PIECES)
@example(["ﬁ", "Final", " Answer", ":", "İ", "\n", "x"])
def test_the_answer_line_ends_at_the_same_place_however_the_text_is_split(pieces: list[str]) -> None:
    whole = "".join(pieces)
    end = answer_line_end(whole, PHRASE)
    completion, _, deltas = assemble(pieces, Sampling(stop_after=PHRASE))
    assert completion.text == whole[:end]
    assert completion.finish is (Finish.LENGTH if end is None else Finish.RULE)
    assert "".join(delta.text for delta in deltas) == completion.text


def test_whichever_rule_holds_first_decides() -> None:
    both = Sampling(stop=("###",), stop_after=PHRASE)
    assert assemble(["Final Answer: 4 ### 2\n"], both)[0].finish is Finish.STOP
    assert assemble(["Final Answer: 42\n###"], both)[0].finish is Finish.RULE


def test_the_phrase_in_the_prompt_stops_nothing() -> None:
    prefix = "End with 'Final Answer: <number>'.\nFinal Answer: 7\n"
    completion, _, _ = assemble(["one\n", "two\n"], Sampling(stop_after=PHRASE), prefix)
    assert completion.text == "one\ntwo\n"


@pytest.mark.parametrize(
    "prefix", ["So.\nFinal Answer:", "So.\nFinal Answer: 4", "**final answer:**\n", "So. Final Ans"]
)
def test_an_answer_line_that_the_prefill_left_open_is_finished(prefix: str) -> None:
    rest = "wer: 42" if prefix.endswith("Ans") else "2"
    completion, _, _ = assemble([rest, "\nmore\n"], Sampling(stop_after=PHRASE), prefix)
    assert completion.text == rest
    assert completion.finish is Finish.RULE


def test_open_answer() -> None:
    assert open_answer("x Final Answer: 4", PHRASE) == "Final Answer: 4"
    assert open_answer("Final Answer: 4\n", PHRASE) == ""
    assert open_answer("nothing", PHRASE) == ""
    assert open_answer("Final Answer:", None) == ""


# ---- gists, tokens, log-probabilities


@given(PIECES)
def test_gists_are_the_text_and_hold_all_its_tokens(pieces: list[str]) -> None:
    completion, _, _ = assemble(pieces, Sampling())
    assert "".join(gist.text for gist in completion.gists) == completion.text
    assert sum(gist.tokens for gist in completion.gists) == completion.completion_tokens == len(pieces)


def test_a_gist_is_a_line_or_so_many_tokens() -> None:
    lines, _, _ = assemble(["one", "\n", "\n", "two", "\n"], Sampling())
    assert [gist.text for gist in lines.gists] == ["one\n", "\ntwo\n"]
    long, _, _ = assemble(["x"] * (GIST_TOKENS + 1), Sampling())
    assert [gist.tokens for gist in long.gists] == [GIST_TOKENS, 1]


def test_a_gists_logprob_is_the_mean_of_its_tokens() -> None:
    draw = Assembler(0, Sampling(logprobs=0))
    draw.feed("a", tokens=1, logprobs=[TokenLogprob("a", -1.0)])
    draw.feed("b\n", tokens=1, logprobs=[TokenLogprob("b\n", -3.0)])
    draw.feed("c", tokens=1)
    completion = draw.finish(Finish.STOP).completion
    assert completion is not None
    assert [gist.logprob for gist in completion.gists] == [-2.0, None]
    assert completion.logprobs == (TokenLogprob("a", -1.0), TokenLogprob("b\n", -3.0))


def test_logprobs_are_none_unless_asked_for() -> None:
    assert assemble(["a"], Sampling())[0].logprobs is None
    assert assemble(["a"], Sampling(logprobs=0))[0].logprobs == ()


def test_after_its_end_a_draw_only_counts() -> None:
    draw = Assembler(3, Sampling(stop=("STOP",)))
    draw.feed("a STOP", tokens=2)
    assert draw.feed(" b", tokens=1) == Delta(3, tokens=1)
    assert draw.feed(" c") is None
    completion = draw.finish(Finish.LENGTH).completion
    assert completion is not None
    assert (completion.text, completion.finish, completion.completion_tokens) == ("a ", Finish.STOP, 3)


def test_the_servers_count_overrides_and_an_error_stays_an_error() -> None:
    draw = Assembler(0, Sampling(stop=("STOP",)), seed=7)
    draw.feed("a STOP", tokens=2)
    last = draw.finish(Finish.ERROR, completion_tokens=5, prompt_tokens=11, cached_tokens=4, error="it broke")
    completion = last.completion
    assert completion is not None
    assert completion.finish is Finish.ERROR
    assert not completion.ok
    assert (completion.completion_tokens, completion.prompt_tokens, completion.cached_tokens) == (5, 11, 4)
    assert completion.seed == 7


def test_reasoning_is_passed_on_and_kept_apart() -> None:
    draw = Assembler(0, Sampling(stop_after=PHRASE))
    assert draw.feed(reasoning="Final Answer: 1\n", tokens=4) == Delta(0, reasoning="Final Answer: 1\n", tokens=4)
    draw.feed("text", tokens=1)
    completion = draw.finish(Finish.STOP).completion
    assert completion is not None
    assert (completion.text, completion.reasoning, completion.finish) == ("text", "Final Answer: 1\n", Finish.STOP)


def test_time_is_taken_from_the_request_on() -> None:
    now = [10.0]
    draw = Assembler(0, Sampling(), started=9.0, clock=lambda: now[0])
    draw.feed("one\n", tokens=1)
    now[0] = 12.5
    draw.feed("two\n", tokens=1)
    completion = draw.finish(Finish.STOP).completion
    assert completion is not None
    assert [gist.seconds for gist in completion.gists] == [1.0, 3.5]
    assert completion.seconds == 3.5


def test_a_long_text_in_small_pieces_takes_no_quadratic_time() -> None:
    completion, _, _ = assemble(["word "] * 30_000, Sampling(stop=("###",), stop_after=PHRASE))
    assert completion.completion_tokens == 30_000


# ---- gather


def test_gather_puts_completions_in_order_and_closes_the_stream() -> None:
    closed = []

    async def stream() -> AsyncIterator[Delta]:
        try:
            yield Delta(1, "b", completion=Completion("b", Finish.STOP, 1))
            yield Delta(0, "a")
            yield Delta(0, completion=Completion("a", Finish.STOP, 1))
        finally:
            closed.append(True)

    completions = asyncio.run(gather(stream()))
    assert [one.text for one in completions] == ["a", "b"]
    assert closed == [True]


def test_gather_closes_the_stream_when_it_is_cancelled() -> None:
    closed = []

    async def stream() -> AsyncIterator[Delta]:
        try:
            yield Delta(0, "a")
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    async def main() -> None:
        task = asyncio.create_task(gather(stream()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert closed == [True]


def test_lone_surrogates_are_replaced_where_they_come_in() -> None:
    """A server's JSON may say \\ud800, which no file can hold; a whole character in two pieces of text stays whole."""
    draw = Assembler(0, Sampling(logprobs=2))
    scored = TokenLogprob("\ud800", -1.0, (("\udc00", -1.0), ("4", -2.0)))
    draw.feed("4 \ud800 or \U0001f600", reasoning="\udfff", logprobs=(scored,))
    done = draw.finish(Finish.STOP).completion
    assert done is not None and (done.text, done.reasoning) == ("4 ? or \U0001f600", "?")
    assert done.logprobs == (TokenLogprob("?", -1.0, (("?", -1.0), ("4", -2.0))),)
