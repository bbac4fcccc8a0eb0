"""Anything that generates beside anything that decodes: the mocks of people's tests, and other runtimes."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from nlrl.core import Finish, Message, ModelError, Request, Sampling, UserError, user
from nlrl.models.given import as_model
from nlrl.models.pairs import Pair

TOKENS = ["F", "i", "n", "a", "l", " ", "A", "n", "s", "w", "e", "r", ":", " ", "4"]


def ask(pair: Pair, prompt: str = "What is 2 + 2?", **sampling: Any):
    messages: tuple[Message, ...] = (user(prompt),)
    return asyncio.run(pair.complete(Request(messages, Sampling(**sampling))))[0]


def test_mocks_generate_once_for_a_draw():
    model, tokenizer = Mock(), Mock()
    model.generate.return_value = [[1, 2, 3]]
    tokenizer.decode.return_value = "Final Answer: 4"
    completion = ask(as_model(model, tokenizer), temperature=0.7, top_p=0.95, max_tokens=100)
    assert (completion.text, completion.completion_tokens, completion.finish) == ("Final Answer: 4", 3, Finish.STOP)
    assert completion.estimated_tokens == completion.prompt_tokens > 0  # a mock's prompt cannot be counted
    keywords = model.generate.call_args.kwargs
    assert {k: keywords[k] for k in ("max_new_tokens", "do_sample", "temperature", "top_p")} == {
        "max_new_tokens": 100, "do_sample": True, "temperature": 0.7, "top_p": 0.95,
    }  # fmt: skip
    tokenizer.assert_called_with("What is 2 + 2?", return_tensors="pt")


@pytest.mark.parametrize("max_tokens", [5, 10, 15, 20])
def test_what_steps_is_asked_for_one_token_after_the_other(max_tokens: int):
    model, tokenizer = Mock(), Mock()
    model.generate.side_effect = [Mock(logits=[[[0.1, 0.9, 0.0]]])] * len(TOKENS)
    tokenizer.decode.side_effect = TOKENS
    completion = ask(as_model(model, tokenizer), max_tokens=max_tokens)
    assert completion.text == "".join(TOKENS[:max_tokens])
    assert completion.finish is (Finish.LENGTH if max_tokens <= len(TOKENS) else Finish.STOP)
    assert tokenizer.decode.call_args.args == (1,)  # the likeliest


class Runtime:
    """Repeats its prompt before what it adds, as decoders do."""

    def generate(self, input_ids: list[list[int]], **_: Any) -> list[list[int]]:
        return [[*input_ids[0], 7, 8]]


class Words:
    chat_template = "a template"

    def __call__(self, text: str, return_tensors: str) -> dict[str, Any]:
        return {"input_ids": [[ord(c) for c in text]]}

    def apply_chat_template(self, turns: list[dict[str, str]], **_: Any) -> str:
        return f"<{turns[0]['content']}>"

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return " ".join(map(str, ids))


def test_a_runtime_of_its_own_is_counted_to_the_token():
    completion = ask(as_model(Runtime(), Words()), "ab")
    assert (completion.text, completion.prompt_tokens, completion.completion_tokens) == ("7 8", 4, 2)
    assert completion.estimated_tokens == 0


def test_what_fails_says_what_it_was():
    with pytest.raises(UserError, match=r"no decode\(\)"):
        as_model(Mock(), object())
    with pytest.raises(UserError, match=r"no generate\(\)"):
        as_model(object(), Mock())
    with pytest.raises(ModelError, match="instead of text"):
        ask(as_model(MagicMock(), MagicMock()))
    broken = Mock()
    broken.generate.side_effect = RuntimeError("out of memory")
    with pytest.raises(ModelError, match="out of memory"):
        ask(as_model(broken, Mock()))
