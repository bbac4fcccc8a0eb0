"""A model that is right as often as it is told.

    model = StochasticModel(problems, p_correct={"3f0c...": 0.9}, default=0.4, tokens=200, seed=1)
    await model.complete(Request((user(problems[0].question),), n=64))     # 90 % end "Final Answer: <reference>"

Draw i of a prompt is a fixed function of (the model's seed, messages, sampling, i): the same however many draws are
asked for at once, in which order, and how many run side by side. Everything is taken from one hash per draw, which is
also what makes it fast enough to replay a thousand problems by the hundred thousand draws.
"""

from __future__ import annotations

import asyncio
import bisect
import hashlib
import itertools
import math
import re
import struct
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nlrl.core import (
    ANSWER_PHRASE,
    Capabilities,
    Completion,
    Delta,
    Finish,
    Message,
    Prices,
    Problem,
    Request,
    Sampling,
    TaskType,
    UserError,
)
from nlrl.models.streams import Assembler, open_answer
from nlrl.testing.scripted_words import count, logprobs, pieces, prompt_tokens
from nlrl.testing.stochastic_scene import LONGEST, Closing, Finder, Scene, distractors, filler

_UNIT = 2.0**-64
_RIGHT_LOGPROB = -0.2  # mean per token of a right draw; small instruct models sit near it on easy arithmetic
_PREVIOUS = re.compile(re.escape(ANSWER_PHRASE) + r"[ \t*]*([^\n]+)", re.IGNORECASE)

Rate = float | Mapping[str, float] | Callable[[Problem], float]


class StochasticModel:
    """Right or wrong answers with given probabilities.

    problems      those it knows. A prompt is about the one whose question stands last in its last message with one;
                  a prompt about none is answered "unknown"
    p_correct     probability of a right draw: a number; by problem id or question (else `default`); or a function
    tokens        mean length of a draw, with `tokens_spread` as the sigma of a log-normal; 0 is a fixed length
    wrong_tokens  mean length of a wrong draw, where it differs
    distractors   how many different wrong answers a problem has, or a function that gives them. The k-th is drawn
                  with a weight of 1 / k ** wrong_bias: 0 spreads them evenly, 1 makes one wrong answer popular
    p_fix, p_break   probability that a revision of a wrong attempt is right, and of a right one wrong. A prompt is a
                     revision if it holds a finished answer line with one of the problem's answers. None: as any draw
    logprob_gap, logprob_noise   how much lower the mean token logprob of a wrong draw is, and its standard deviation
                     over draws: the first by the second says how well confidence tells right from wrong
    judge         a function of (messages, a uniform number fixed by the draw) that may answer in the model's place:
                  a critic or judge with any error rate. None from it: the prompt is not its business
    render        (problem, answer) -> the closing text; default "Final Answer: ...", a code block for coding problems
    token_seconds time a token takes; draws of one request run side by side
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        p_correct: Rate = 0.5,
        *,
        default: float = 0.5,
        tokens: float = 60.0,
        tokens_spread: float = 0.5,
        wrong_tokens: float | None = None,
        distractors: int | Callable[[Problem], Sequence[str]] = 4,
        wrong_bias: float = 1.0,
        p_fix: float | None = None,
        p_break: float | None = None,
        logprob_gap: float = 0.2,
        logprob_noise: float = 0.2,
        judge: Callable[[tuple[Message, ...], float], str | None] | None = None,
        render: Callable[[Problem, str], str] | None = None,
        seed: int = 0,
        token_seconds: float = 0.0,
        name: str | None = None,
        context_tokens: int | None = None,
        parameters: int | None = None,
        prices: Prices | None = None,
    ) -> None:
        if tokens_spread < 0 or tokens <= 0 or (wrong_tokens is not None and wrong_tokens <= 0):
            raise UserError(f"tokens must be positive and tokens_spread not negative, got {tokens}, {tokens_spread}.")
        self._problems = list(problems)
        self._rate = {problem.id: _rate(problem, p_correct, default) for problem in self._problems}
        for what, value in (("p_fix", p_fix), ("p_break", p_break)):
            if value is not None and not 0.0 <= value <= 1.0:
                raise UserError(f"{what} must lie in [0, 1], got {value}.")
        self._p_fix, self._p_break = p_fix, p_break
        self._mu = [math.log(mean) - tokens_spread**2 / 2 for mean in (wrong_tokens or tokens, tokens)]
        self._sigma = tokens_spread
        self._distractors = distractors
        self._wrong_bias = wrong_bias
        self._gap, self._noise = logprob_gap, logprob_noise
        self._judge = judge
        self._render = render
        self._seconds = token_seconds
        answers = distractors if isinstance(distractors, int) else getattr(distractors, "__qualname__", "")
        settings = (answers, seed, self._mu, self._sigma, wrong_bias, p_fix, p_break, logprob_gap, logprob_noise)
        identity = hashlib.blake2b(repr((settings, sorted(self._rate.items()))).encode(), digest_size=6)
        self._name = name or f"stochastic-{identity.hexdigest()}"
        self._seed = seed
        self._find = Finder(self._problems)
        self._scenes: dict[tuple[tuple[Message, ...], str], Scene] = {}
        self._can = Capabilities(
            n=True,
            logprobs=True,
            prefill=True,
            seed=True,
            context_tokens=context_tokens,
            parameters=parameters,
            prices=prices,
        )

    @property
    def name(self) -> str:
        """Identity: a hash of the settings and of every problem's rate, unless a name was given."""
        return self._name

    @property
    def can(self) -> Capabilities:
        """All but grammars and schemas."""
        return self._can

    async def complete(self, request: Request) -> list[Completion]:
        """n completions in index order; see Model. Without gists: `stream` has them."""
        scene = self._scene(request)
        base = self._base(request)
        sampling, first = request.sampling, request.first_index
        made: list[Completion] = []
        for index in range(request.n):
            draw = self._draw(request, scene, base, first + index)
            if sampling.stop or sampling.logprobs is not None or (sampling.stop_after and self._render):
                done = _last(self._play(request, scene, draw, index))
            else:
                done = _plain(draw, sampling, first + index, scene.prompt_tokens if index == 0 else 0)
            made.append(done)
        if self._seconds:
            await asyncio.sleep(self._seconds * max((done.completion_tokens for done in made), default=0))
        return made

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Deltas, one token each, the draws in turn; see Model."""
        scene, base = self._scene(request), self._base(request)
        draws = [
            self._play(request, scene, self._draw(request, scene, base, request.first_index + index), index)
            for index in range(request.n)
        ]
        while draws:
            await asyncio.sleep(self._seconds)  # once a round: the draws run side by side
            for draw in list(draws):
                delta = next(draw)
                if delta.completion is not None:
                    draws.remove(draw)
                yield delta

    async def count_prompt_tokens(self, messages: Sequence[Message], prefill: str = "") -> int | None:
        """Words and marks, and three for the frame of each message."""
        return prompt_tokens(tuple(messages), prefill)

    async def aclose(self) -> None:
        """Nothing to close."""

    def _base(self, request: Request) -> hashlib.blake2b:
        """The hash that every draw of this prompt starts from. Limits and stop rules are not in it: they cut the same
        draw shorter. Nor is the prefill: a draw that is continued chunk by chunk says what it would have said at once.
        """
        sampling = request.sampling
        shape = (self._seed, sampling.seed, sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p)
        said = repr((shape, [(message.role, message.content) for message in request.messages]))
        return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=32)

    def _scene(self, request: Request) -> Scene:
        key = (request.messages, request.prefill)
        scene = self._scenes.get(key)
        if scene is None:
            if len(self._scenes) >= 4096:
                self._scenes.clear()
            scene = self._scenes[key] = self._look(request)
        return scene

    def _look(self, request: Request) -> Scene:
        """What a prompt is about, and what may be answered to it."""
        charge = prompt_tokens(request.messages, request.prefill)
        forced = bool(open_answer(request.prefill, ANSWER_PHRASE))
        problem = self._find(request.messages)
        if problem is None:
            return Scene(0.0, "unknown", [Closing("unknown", f"\n{ANSWER_PHRASE} unknown")], [1.0], charge, forced)
        wrong = self._wrong_answers(problem)
        weights = itertools.accumulate((rank + 1) ** -self._wrong_bias for rank in range(len(wrong)))
        p = self._rate[problem.id] if problem.reference is not None else 0.0
        p = self._revised(request.messages, problem, wrong, p)
        right = self._closing(problem, problem.reference or "")
        closings = [right, *(self._closing(problem, answer) for answer in wrong)]
        return Scene(p, right.answer, closings, list(weights), charge, forced)

    def _closing(self, problem: Problem, answer: str) -> Closing:
        if self._render is not None:
            return Closing(answer, "\n" + self._render(problem, answer))
        if problem.task_type is TaskType.CODING:
            return Closing(answer, f"\n```python\n{answer}\n```")
        return Closing(answer, f"\n{ANSWER_PHRASE} {answer}")

    def _wrong_answers(self, problem: Problem) -> list[str]:
        if callable(self._distractors):
            found = [str(answer) for answer in self._distractors(problem)]
        else:
            found = list(itertools.islice(distractors(problem), self._distractors))
        right = {problem.reference, *problem.aliases}
        return [answer for answer in found if answer not in right] or ["unknown"]

    def _revised(self, messages: tuple[Message, ...], problem: Problem, wrong: Sequence[str], p: float) -> float:
        if (self._p_fix is None and self._p_break is None) or problem.reference is None:
            return p
        known = {answer.casefold(): False for answer in wrong} | {problem.reference.casefold(): True}
        for message in reversed(messages):
            for said in reversed(_PREVIOUS.findall(message.content)):
                was_right = known.get(said.strip(" *.\t").casefold())
                if was_right and self._p_break is not None:
                    return 1.0 - self._p_break
                if was_right is False and self._p_fix is not None:
                    return self._p_fix
                if was_right is not None:
                    return p
        return p

    def _draw(self, request: Request, scene: Scene, base: hashlib.blake2b, index: int) -> _Draw:
        """Draw `index`, whole."""
        state = base.copy()
        state.update(index.to_bytes(8, "little", signed=True))
        u, v, w, x = struct.unpack("<4Q", state.digest())
        if self._judge is not None and (said := self._judge(request.messages, u * _UNIT)) is not None:
            return _Draw(said, count(said), True, v)
        right = u * _UNIT < scene.p
        if right or len(scene.closings) == 1:
            closing = scene.closings[0]
        else:
            weights = scene.weights
            at = bisect.bisect(weights, v * _UNIT * weights[-1])
            closing = scene.closings[1 + min(at, len(weights) - 1)]
        if scene.forced:
            text = f" {closing.answer}"
            return _Draw(text, count(text), right, v)
        normal = math.sqrt(-2.0 * math.log((w + 1) * _UNIT)) * math.cos(math.tau * x * _UNIT)
        length = math.exp(min(self._mu[right] + self._sigma * normal, 12.0))
        thinking = max(1, min(LONGEST, round(length)) - closing.tokens)
        text = filler(v, thinking) + closing.text
        draw = _Draw(text, thinking + closing.tokens, right, v)
        if request.prefill:
            return _continued(draw, request.prefill, closing)
        return draw

    def _play(self, request: Request, scene: Scene, drawn: _Draw, index: int) -> Iterator[Delta]:
        """The deltas of one draw."""
        sampling, absolute = request.sampling, request.first_index + index
        seed = None if sampling.seed is None else sampling.seed + absolute
        draw = Assembler(index, sampling, prefix=request.prefill, seed=seed)
        finish, scored = Finish.STOP, self._logprobs(drawn)
        for at, piece in enumerate(pieces(drawn.text)):
            if draw.stopped:
                break
            if sampling.max_tokens is not None and at >= sampling.max_tokens:
                finish = Finish.LENGTH
                break
            entry = () if sampling.logprobs is None else logprobs(piece, next(scored), sampling.logprobs)
            yield draw.feed(piece, tokens=1, logprobs=entry) or Delta(index)
        yield draw.finish(finish, prompt_tokens=scene.prompt_tokens if index == 0 else 0)

    def _logprobs(self, draw: _Draw) -> Iterator[float]:
        """Token by token, around a mean that is higher for right draws."""
        state = hashlib.blake2b(struct.pack("<Q", draw.noise), digest_size=16).digest()
        a, b = struct.unpack("<2Q", state)
        normal = math.sqrt(-2.0 * math.log((a + 1) * _UNIT)) * math.cos(math.tau * b * _UNIT)
        mean = _RIGHT_LOGPROB - (0.0 if draw.right else self._gap) + self._noise * normal
        step = a | 1
        while True:
            b = (b + step) & 0xFFFF_FFFF_FFFF_FFFF
            yield min(-1e-4, mean * (0.5 + b * _UNIT))


@dataclass(slots=True)
class _Draw:
    text: str
    tokens: int
    right: bool
    noise: int


def _rate(problem: Problem, p_correct: Rate, default: float) -> float:
    if callable(p_correct):
        p = p_correct(problem)
    elif isinstance(p_correct, Mapping):
        p = p_correct.get(problem.id, p_correct.get(problem.question, default))
    else:
        p = p_correct
    if not 0.0 <= p <= 1.0:
        raise UserError(f"p_correct must lie in [0, 1], got {p} for problem {problem.id}.")
    return float(p)


def _continued(draw: _Draw, prefill: str, closing: Closing) -> _Draw:
    """What is left to say after `prefill`: the rest of this draw if it began like that, else a new end for it."""
    if draw.text.startswith(prefill):
        rest = draw.text[len(prefill) :]
    elif _PREVIOUS.search(prefill):
        rest = ""  # the answer has been given
    else:
        thinking = max(1, draw.tokens - closing.tokens - len(pieces(prefill)))
        rest = " " + filler(draw.noise, thinking) + closing.text
    return _Draw(rest, len(pieces(rest)), draw.right, draw.noise)


def _plain(draw: _Draw, sampling: Sampling, absolute: int, charge: int) -> Completion:
    """A completion with nothing to cut but its length."""
    seed = None if sampling.seed is None else sampling.seed + absolute
    if sampling.max_tokens is not None and draw.tokens > sampling.max_tokens:
        text = "".join(pieces(draw.text)[: sampling.max_tokens])
        return Completion(text, Finish.LENGTH, sampling.max_tokens, charge, seed=seed)
    return Completion(draw.text, Finish.STOP, draw.tokens, charge, seed=seed)


def _last(deltas: Iterator[Delta]) -> Completion:
    for delta in deltas:
        if delta.completion is not None:
            return delta.completion
    raise RuntimeError("a draw ended without its completion")
