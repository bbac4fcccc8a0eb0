"""Answers in OpenAI's JSON: completions, chunks, usage, and the `nlrl` object beside them.

Usage counts everything that was spent for the answer, hidden calls included: `completion_tokens` are all that were
generated, and `completion_tokens_details.reasoning_tokens` those of them that are not the text shown. The sums are what
the model's server itself counted.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from nlrl.core import Completion, TokenLogprob
from nlrl.server.api.ask import Ask
from nlrl.server.api.raw_chat import RawChat
from nlrl.server.api.solving import Choice, Solved


class Replies:
    """The answers to one request: they share an id, a time and the model's name."""

    def __init__(self, ask: Ask, raw: RawChat | None = None) -> None:
        self.ask, self.raw = ask, raw
        self._id = ("cmpl-" if ask.legacy else "chatcmpl-") + secrets.token_hex(12)
        self._created = int(time.time())

    # --- whole

    def whole(self, solved: Solved) -> dict[str, Any]:
        """The answer that is not streamed."""
        shape = self._legacy_choice if self.ask.legacy else self._chat_choice
        choices = [shape(at, choice) for at, choice in enumerate(solved.choices)]
        return {**self._head(chunk=False), "choices": choices, **self.account(solved)}

    def _chat_choice(self, at: int, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
        if choice.completion is not None and choice.completion.reasoning:
            message["reasoning"] = choice.completion.reasoning
        message |= self.said(choice)
        return {
            "index": at,
            "message": message,
            "finish_reason": "tool_calls" if message.get("tool_calls") else choice.finish_reason,
            "logprobs": self._logprobs(choice.completion),
        }

    def _legacy_choice(self, at: int, choice: Choice) -> dict[str, Any]:
        scored = choice.completion.logprobs if choice.completion else None
        wanted = self.ask.logprobs
        logprobs = None if wanted is None or not scored else _legacy_logprobs(scored, wanted)
        return {"index": at, "text": choice.text, "finish_reason": choice.finish_reason, "logprobs": logprobs}

    def said(self, choice: Choice) -> dict[str, Any]:
        """The upstream's own message where it holds more than text: tool calls."""
        if self.raw is None or choice.completion is None:
            return {}
        return self.raw.message(choice.completion)

    # --- chunks

    def chunk(
        self,
        at: int,
        *,
        content: str | None = None,
        reasoning: str | None = None,
        logprobs: tuple[TokenLogprob, ...] = (),
        delta: dict[str, Any] | None = None,
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        """A piece of choice `at`."""
        if self.ask.legacy:
            choice: dict[str, Any] = {"index": at, "text": content or "", "logprobs": None}
            if logprobs and self.ask.logprobs is not None:
                choice["logprobs"] = _legacy_logprobs(logprobs, self.ask.logprobs)
        else:
            said = dict(delta or {})
            if content is not None:
                said["content"] = content
            if reasoning is not None:
                said["reasoning"] = reasoning
            choice = {"index": at, "delta": said, "logprobs": None}
            if logprobs and self.ask.logprobs is not None:
                choice["logprobs"] = {"content": _content_logprobs(logprobs, self.ask.logprobs)}
        return {**self._head(chunk=True), "choices": [{**choice, "finish_reason": finish_reason}]}

    def last(self, solved: Solved) -> list[dict[str, Any]]:
        """The end of every choice, the last one with the account; and the usage, if it was asked for."""
        account = self.account(solved)
        chunks = []
        for at, choice in enumerate(solved.choices):
            tool_calls = self.said(choice).get("tool_calls")
            chunks.append(self.chunk(at, finish_reason="tool_calls" if tool_calls else choice.finish_reason))
        chunks[-1]["nlrl"] = account["nlrl"]
        if self.ask.include_usage:
            chunks.append({**self._head(chunk=True), "choices": [], "usage": account["usage"]})
        return chunks

    # --- the account

    def account(self, solved: Solved) -> dict[str, Any]:
        """`usage` and `nlrl`."""
        spent, usage = solved.spent, solved.usage
        shown = sum(_shown_tokens(choice.completion) for choice in solved.choices)
        first = solved.choices[0].answer
        outcomes = [_outcome(choice) for choice in solved.choices]
        nlrl: dict[str, Any] = {
            "strategy": self.ask.strategy,
            **outcomes[0],
            "attempts": len({c.id for choice in solved.choices for c in choice.answer.candidates}),
            "failed": solved.failed,
            "calls": spent.calls,
            "estimated_tokens": spent.estimated_tokens,
            "critical_path_tokens": usage.critical_path_tokens,
            "seconds": round(usage.seconds, 4),
            "flops": usage.total.flops or None,
            "cost": usage.total.cost or None,
            "phases": {str(phase): part.counts() for phase, part in usage.phases.items()},
            "notes": list(first.notes),
        }
        if len(outcomes) > 1:
            nlrl["choices"] = outcomes
        return {
            "usage": usage_of(spent.prompt_tokens, spent.completion_tokens, spent.cached_tokens, shown),
            "nlrl": nlrl,
        }

    def _head(self, *, chunk: bool) -> dict[str, Any]:
        kind = "text_completion" if self.ask.legacy else "chat.completion.chunk" if chunk else "chat.completion"
        return {"id": self._id, "object": kind, "created": self._created, "model": self.ask.model_id}

    def _logprobs(self, completion: Completion | None) -> dict[str, Any] | None:
        wanted = self.ask.logprobs
        if wanted is None or completion is None or not completion.logprobs:
            return None
        return {"content": _content_logprobs(completion.logprobs, wanted), "refusal": None}


def usage_of(prompt: int, completion: int, cached: int, shown: int) -> dict[str, Any]:
    """A usage object; `shown` of the completion tokens are the text, the rest is reasoning."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": max(0, completion - shown)},
    }


def _shown_tokens(completion: Completion | None) -> int:
    """Tokens of the text. A server tells only the sum with the model's own thinking: it is split by length."""
    if completion is None:
        return 0
    text, thought = len(completion.text), len(completion.reasoning)
    return (
        completion.completion_tokens if not thought else round(completion.completion_tokens * text / (text + thought))
    )


def _outcome(choice: Choice) -> dict[str, Any]:
    answer = choice.answer
    return {
        "stopped": str(answer.stopped),
        "answer": answer.value,
        "confidence": answer.confidence,
        "calibrated": answer.calibrated,
        "agreement": choice.agreement,
    }


def _content_logprobs(scored: tuple[TokenLogprob, ...], wanted: int) -> list[dict[str, Any]]:
    return [
        {**_token(one.token, one.logprob), "top_logprobs": [_token(*other) for other in one.top[:wanted]]}
        for one in scored
    ]


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "replace"))}


def _legacy_logprobs(scored: tuple[TokenLogprob, ...], wanted: int) -> dict[str, Any]:
    return {
        "tokens": [one.token for one in scored],
        "token_logprobs": [one.logprob for one in scored],
        "top_logprobs": [dict(one.top[:wanted]) for one in scored] if wanted else None,
        "text_offset": [],
    }
