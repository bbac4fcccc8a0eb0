"""Verifiers by name, as the command line and records write them.

get_verifier("auto")                  what may honestly be used to choose between answers of this problem
get_verifier("second_look:MODEL?decoys=2")    the grader, and a model's second look at its no
get_verifier("prm:math.prm.json")     a reward model that `nlrl train prm` made
get_verifier("hf_prm:ORG/NAME")       one of the Hugging Face world: "hf_prm:PATH?family=value_head"
get_verifier("command:lean {file}")   any command: the answer is a file in the sandbox, exit code 0 is right
get_verifier("server_prm:http://localhost:8000?model=NAME&route=pooling")    one behind vLLM or SGLang
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from nlrl.core import Candidate, Problem, Score, UnknownName, UserError, Verifier
from nlrl.verifiers.confidence import SelfCertainty
from nlrl.verifiers.constraints import ConstraintVerifier


class AutoVerifier:
    """The best honest verifier for each problem: its public tests, else its constraints, else self-certainty.

    It never reads the reference, the aliases or the hidden tests.
    """

    def __init__(self) -> None:
        self._certainty = SelfCertainty()
        self._constraints = ConstraintVerifier()
        self._tests: Verifier | None = None

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        return await self._for(problem).score(problem, candidates)

    def needs_logprobs(self, problem: Problem) -> bool:
        """Whether this problem's verifier reads token log-probabilities, which must be asked for when drawing."""
        return self._for(problem) is self._certainty

    def _for(self, problem: Problem) -> Verifier:
        if problem.tests is not None and problem.tests.public:
            if self._tests is None:
                self._tests = _public_tests()
            return self._tests
        return self._constraints if problem.constraints else self._certainty


def _public_tests() -> Verifier:
    from nlrl.verifiers.code import CodeVerifier  # it needs the sandbox

    return CodeVerifier(which="public")


def _reference() -> Verifier:
    from nlrl.verifiers.reference import ReferenceVerifier

    return ReferenceVerifier()


def _judge() -> Verifier:
    from nlrl.verifiers.judge import LLMJudge

    return LLMJudge()


def _second_look() -> Verifier:
    from nlrl.verifiers.second_look import SecondLook

    return SecondLook()


def _mock() -> Verifier:
    from nlrl.verifiers.mocks import MockRewardModel

    return MockRewardModel()


def _process_judge() -> Verifier:
    from nlrl.verifiers.prm.judge import JudgePRM

    return JudgePRM()


def _process_confidence(measure: str = "mean_logprob") -> Verifier:
    from nlrl.verifiers.prm.confidence import ConfidencePRM

    return ConfidencePRM(measure)  # type: ignore[arg-type]


_VERIFIERS: dict[str, Callable[[], Verifier]] = {
    "auto": AutoVerifier,
    "reference": _reference,  # the grader: it knows the solution
    "public_tests": _public_tests,
    "constraints": ConstraintVerifier,
    "self_certainty": SelfCertainty,
    "mean_logprob": lambda: SelfCertainty("mean_logprob"),
    "lowest_group": lambda: SelfCertainty("lowest_group"),
    "judge": _judge,
    "second_look": _second_look,  # the grader and the solver's own model: it knows the solution
    "mock": _mock,
    # these give a value for each step, and so can guide a search
    "process_confidence": _process_confidence,
    "process_self_certainty": lambda: _process_confidence("self_certainty"),
    "process_lowest_group": lambda: _process_confidence("lowest_group"),
    "process_judge": _process_judge,
}
VERIFIER_NAMES = tuple(sorted(_VERIFIERS))


def get_verifier(name: str) -> Verifier:
    """A verifier; reward models in a file, in this process or on a server are opened once and shared.

    Raises UnknownName with the nearest names, UserError where a reward model cannot be opened as asked.
    """
    if name in _VERIFIERS:
        return _VERIFIERS[name]()
    prefix, colon, rest = name.partition(":")
    if not colon or prefix not in _OPENERS:
        known = [*VERIFIER_NAMES, *VERIFIER_PREFIXES]
        raise UnknownName("verifier", f"{prefix}:" if colon else name, known)
    if not rest:
        raise UserError(f"The verifier {name!r} says no place. Example: {_EXAMPLES[prefix]}")
    return _OPENERS[prefix](rest)


def _open_trained(path: str) -> Verifier:
    file = Path(path).expanduser()
    stat = file.stat() if file.is_file() else None
    return _trained(str(file), (stat.st_mtime_ns, stat.st_size) if stat else None)


@functools.lru_cache(maxsize=16)
def _trained(path: str, version: tuple[int, int] | None) -> Verifier:
    from nlrl.verifiers.prm.trained import load_prm

    return load_prm(path)


@functools.lru_cache(maxsize=4)
def _open_hf(spec: str) -> Verifier:
    from nlrl.verifiers.prm.huggingface import HuggingFacePRM

    path, options = _options("hf_prm", spec, ("family", "layout", "device", "dtype"))
    return HuggingFacePRM(path, **options)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=16)
def _open_server(spec: str) -> Verifier:
    from nlrl.verifiers.prm.server import ServerPRM

    url, options = _options("server_prm", spec, ("model", "route", "layout", "activation", "per"))
    if "model" not in options:
        raise UserError(f"The verifier server_prm:{url} names no model. Example: {_EXAMPLES['server_prm']}")
    return ServerPRM(url, **options)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=4)
def _open_second_look(spec: str) -> Verifier:
    from nlrl.models import load_model
    from nlrl.verifiers.second_look import SecondLook

    model, options = _options("second_look", spec, ("decoys", "swap", "max_tokens"))
    if not all(value.isdecimal() for value in options.values()):
        raise UserError(f"The options of second_look are whole numbers. Example: {_EXAMPLES['second_look']}")
    return SecondLook(load_model(model), **{name: int(value) for name, value in options.items()})  # type: ignore[arg-type]


@functools.lru_cache(maxsize=16)
def _open_command(command: str) -> Verifier:
    from nlrl.verifiers.command import CommandVerifier  # it needs the sandbox

    return CommandVerifier(command)


def _options(prefix: str, spec: str, known: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The place, and what stands behind its question mark. Raises UnknownName for other options."""
    place, _, query = spec.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known:
            raise UnknownName(f"option of {prefix}", name, known)
    return place, options


_OPENERS: dict[str, Callable[[str], Verifier]] = {
    "prm": _open_trained,
    "hf_prm": _open_hf,
    "server_prm": _open_server,
    "second_look": _open_second_look,
    "command": _open_command,
}
_EXAMPLES = {
    "prm": "prm:math.prm.json",
    "hf_prm": "hf_prm:Qwen/Qwen2.5-Math-PRM-7B",
    "server_prm": "server_prm:http://localhost:8000?model=Qwen/Qwen2.5-Math-PRM-7B",
    "second_look": "second_look:qwen2.5-coder-0.5b?decoys=2",
    "command": "command:lean {file}",
}
VERIFIER_PREFIXES = tuple(f"{prefix}:" for prefix in sorted(_OPENERS))
