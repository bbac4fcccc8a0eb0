"""What a key may use of a server: which models, which strategies, and how large a budget one request may name.

    allowed = Allowed(catalog, key)                # None: everything
    allowed.find("best_of_n(n=8)@qwen")            # as Catalog.find; ApiError 403 says what may be used
    allowed.strategy("auto"), allowed.named({"max_tokens": 4000})

A strategy that is allowed by its name alone is so with any parameters; written out it is allowed as it is written.
Where `auto` is allowed, so is whatever its policy chooses: whoever runs the server has chosen the policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nlrl.core import Budget, Model, NlrlError
from nlrl.server.api.catalog import SHOWN, Catalog, checked
from nlrl.server.http.errors import ApiError
from nlrl.server.http.keys import Key
from nlrl.strategies import StrategySpec, parse_strategy


class Allowed:
    """See the module. `budget`, `max_tokens`: the most of one request, and of one attempt."""

    def __init__(self, catalog: Catalog, key: Key | None = None) -> None:
        self._catalog = catalog
        self._models = None if key is None else key.models
        self._strategies = None if key is None else key.strategies
        self.budget = Budget() if key is None else key.budget
        self.max_tokens = None if key is None else key.max_tokens

    @property
    def models(self) -> list[str]:
        """Those that may be asked, by public id."""
        return [name for name in self._catalog.models if self._models is None or name in self._models]

    def find(self, text: str) -> tuple[str, Model, str | None]:
        """As `Catalog.find`. Raises ApiError 403 for a model that is served, and not to this key."""
        seen = self._catalog
        if self._models is not None:
            seen = Catalog({name: self._catalog.models[name] for name in self.models}, self._catalog.strategy)
        try:
            found = seen.find(text)
        except ApiError as unknown:
            if unknown.status == 404 and self._is_served(text):
                raise _refused("model", "this model", self.models, "model_not_allowed") from None
            raise
        if found[2] is not None:
            self.strategy(found[2], "model")
        return found

    def _is_served(self, text: str) -> bool:
        try:
            self._catalog.find(text)
        except ApiError as error:
            return error.status != 404
        return True

    def strategy(self, text: str, param: str = "nlrl.strategy") -> None:
        """Raises ApiError 403 where it, or one that it is made of, may not be used."""
        if self._strategies is None:
            return
        for spec in _with_parts(parse_strategy(text)):
            if spec.name not in self._strategies and str(spec) not in self._strategies:
                raise _refused(param, f"the strategy {spec}", self._strategies, "strategy_not_allowed")

    def named(self, limits: Mapping[str, float | None]) -> None:
        """Raises ApiError 403 where a request names more than it may have: of a budget, or of an attempt's tokens."""
        for param, asked in limits.items():
            of_attempt = not param.startswith("nlrl.budget.")
            most = self.max_tokens if of_attempt else getattr(self.budget, param.removeprefix("nlrl.budget."))
            if asked is not None and most is not None and asked > most:
                of = "an attempt" if of_attempt else "a request"
                said = f"This API key may not ask for {asked:,}, but for {most:,} {of}."
                raise ApiError(403, f"{param}: {said}", param=param, code="budget_not_allowed")

    def listing(self) -> list[dict[str, Any]]:
        """The entries of /v1/models that this key may use."""
        shown = list(dict.fromkeys([*SHOWN, *(s for s in self._strategies or () if "(" in s)]))
        names = [name for model in self.models for name in (model, *(f"{s}@{model}" for s in shown if self._may(s)))]
        return [self._catalog.entry(name) for name in names]

    def entry(self, name: str) -> dict[str, Any]:
        """One entry of /v1/models. Raises ApiError 403, 404, 400."""
        self.find(name)
        return self._catalog.entry(name)

    def _may(self, strategy: str) -> bool:
        try:
            self.strategy(strategy)
        except ApiError:
            return False
        return True


def allowed_strategy(text: str) -> str:
    """As a key's list holds it: the name alone, or all of it. Raises UserError, UnknownName."""
    spec = checked(text)
    return str(spec) if spec.parameters else spec.name


def _with_parts(spec: StrategySpec) -> Iterator[StrategySpec]:
    """The strategy, and those that it names among its parameters."""
    yield spec
    for value in spec.parameters.values():
        if isinstance(value, str):
            try:
                inner = checked(value)
            except NlrlError:
                continue  # a word of another kind
            yield from _with_parts(inner)


def _refused(param: str, what: str, allowed: Sequence[str], code: str) -> ApiError:
    may = ", ".join(allowed) or "none"
    return ApiError(403, f"{param}: This API key may not use {what}. It may use: {may}.", param=param, code=code)
