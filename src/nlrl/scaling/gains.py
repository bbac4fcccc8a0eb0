"""What more attempts are worth, learned on recorded problems: the table that moves compute across problems.

    table = await fit_gain(problems, bank, "panel:qwen3-8b")
    table.best(State(attempts=5, first=3, second=2, distinct=2), cost=lambda h: 800 * h)     # Worth(rate, attempts)
    save_gain(table, "gain.json")

The state of a problem is what its votes look like: how many attempts, the share of the leader and of the runner-up, how
many different answers. On a panel with references, many random orders of the recorded attempts say how much the
accuracy of the vote rose, on average, from each state to h attempts later. Problems that are settled and problems that
are hopeless both show little. A second vote after one changes nothing, eight may: so a state is worth its best *rate*
over all h, as in the KG(*) policy (Frazier and Powell 2010, "Paradoxes in learning and the marginal value of
information").
"""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from nlrl.bank import Bank
from nlrl.core import DataError, Problem, UserError
from nlrl.evaluation.races import Race, read_races

VERSION = 1
HORIZONS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)  # attempts ahead
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 33, 40, 48)  # borders of the number of attempts
LEADS = (0.15, 0.27, 0.38, 0.47, 0.55, 0.65, 0.75, 0.85, 0.95)  # of the leader's share
SECONDS = (0.07, 0.15, 0.24, 0.35)  # of the runner-up's
KINDS = (0.2, 0.4, 0.7)  # of different answers per attempt
LEAST = 0.001  # an expected rise below this is none: shrunk cells never come down to 0
PULL = 6.0  # problems of weight that a cell's parent has: cells of a few problems mostly say what their parent says


class State(NamedTuple):
    """The votes of a problem: attempts (unreadable ones too), votes of the first two answers, different answers."""

    attempts: int
    first: int
    second: int
    distinct: int


class Worth(NamedTuple):
    """The best rate (gain in accuracy per unit of cost), and over how many attempts it is reached."""

    rate: float
    attempts: int


class GainCell(msgspec.Struct, frozen=True):
    """What was seen in states of one kind.

    state     bins of attempts, leader's share, runner-up's share, different answers; a prefix is a coarser cell
    problems  how many problems stand behind it (those seen more often do not count more)
    gains     mean rise of the vote's accuracy after each horizon, shrunk towards the coarser cell; no entry beyond
              the length of the recorded panels
    """

    state: tuple[int, ...]
    problems: float
    gains: tuple[float, ...]


class GainTable(msgspec.Struct, frozen=True):
    """Gains by state. `model` is whose attempts they were measured on; "" fits any."""

    model: str
    problems: int
    samples: int
    cells: tuple[GainCell, ...]
    horizons: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = HORIZONS
    sizes: tuple[int, ...] = SIZES
    leads: tuple[float, ...] = LEADS
    seconds: tuple[float, ...] = SECONDS
    kinds: tuple[float, ...] = KINDS
    version: int = VERSION

    def gains(self, state: State) -> tuple[float, ...]:
        """Expected rise after each horizon, from the finest cell that was seen; () where none was."""
        known = _index(self)
        key = bins(state, self)
        while key:
            if key in known:
                return known[key].gains
            key = key[:-1]
        return ()

    def best(self, state: State, cost: Callable[[int], float], most: int | None = None) -> Worth:
        """The horizon with the best rate among those up to `most` attempts; rate 0 where nothing is to be gained.

        So few attempts as could not make another answer the leader are known to gain nothing, whatever was measured.
        """
        found = Worth(0.0, 0)
        # at equal votes the earlier answer leads, and one without votes yet cannot be the earlier
        needed = state.first - state.second + (state.second == 0)
        for horizon, gain in zip(self.horizons, self.gains(state), strict=False):
            if needed <= horizon and (most is None or horizon <= most) and gain > LEAST:
                found = max(found, Worth(gain / max(cost(horizon), 1e-9), horizon), key=lambda w: w.rate)
        return found


_indexed: dict[int, tuple[GainTable, dict[tuple[int, ...], GainCell]]] = {}


def _index(table: GainTable) -> dict[tuple[int, ...], GainCell]:
    kept = _indexed.get(id(table))
    if kept is None or kept[0] is not table:
        if len(_indexed) > 8:
            _indexed.clear()
        kept = _indexed[id(table)] = (table, {c.state: c for c in table.cells})
    return kept[1]


def bins(state: State, table: GainTable) -> tuple[int, int, int, int]:
    """The finest cell of a state."""
    n = max(state.attempts, 1)
    return (
        bisect_right(table.sizes, state.attempts),
        bisect_right(table.leads, state.first / n),
        bisect_right(table.seconds, state.second / n),
        bisect_right(table.kinds, state.distinct / n),
    )


async def fit_gain(
    problems: Sequence[Problem],
    bank: Bank,
    model_name: str,
    *,
    samples: int = 64,
    orders: int = 24,
    seed: int = 0,
) -> GainTable:
    """Learn the table from recorded attempts ("panel:NAME", or a model's name as the bank knows it).

    samples  recorded attempts per problem that are used; gains are known up to that many
    orders   random orders of each problem's attempts

    Best of equal length: what lies far ahead is known from the longer ones alone. Problems without a reference or with
    fewer than two attempts are left out. Raises UserError if none is left.
    """
    races = await read_races(problems, bank, model_name, traces=samples, looks=False)
    usable = [r for r in races if r.judged and len(r.traces) > 1]
    if not usable:
        raise UserError(
            f"No gains can be learned from {model_name!r}: none of its {len(problems)} problems has a reference and "
            "two recorded attempts in this bank. Import a panel (nlrl bank import), or draw one (nlrl bench)."
        )
    empty = GainTable(model_name, len(usable), max(len(r.traces) for r in usable), ())
    seen: dict[tuple[int, ...], _Sums] = {}
    rng = np.random.default_rng(seed)
    for race in usable:
        mine: dict[tuple[int, ...], _Sums] = {}
        for _ in range(orders):
            _walk(race, rng.permutation(len(race.traces)), empty, mine)
        for key, sums in mine.items():
            seen.setdefault(key, _Sums()).merge(sums)
    return msgspec.structs.replace(empty, cells=_shrunk(seen))


class _Sums:
    """Sums over visits, for each horizon; `squares` over problems tells how many problems really stand behind them."""

    def __init__(self) -> None:
        self.gain = np.zeros(len(HORIZONS))
        self.visits = np.zeros(len(HORIZONS))
        self.squares = np.zeros(len(HORIZONS))

    def add(self, gains: NDArray[np.float64]) -> None:
        self.gain[: len(gains)] += gains
        self.visits[: len(gains)] += 1

    def merge(self, problem: _Sums) -> None:
        self.gain += problem.gain
        self.visits += problem.visits
        self.squares += problem.visits**2

    def problems(self) -> NDArray[np.float64]:
        return np.divide(self.visits**2, self.squares, out=np.zeros_like(self.visits), where=self.squares > 0)


def _walk(race: Race, order: NDArray[np.int64], table: GainTable, into: dict[tuple[int, ...], _Sums]) -> None:
    """Count the votes in this order, and add what each state on the way went on to gain."""
    said = [race.traces[i].said for i in order]
    names = list(dict.fromkeys(s for s in said if s >= 0))  # in order of appearance: the earlier wins a tie
    place = {name: i for i, name in enumerate(names)}
    cast = np.zeros((len(said), max(len(names), 1)), dtype=np.int64)
    for row, name in enumerate(said):
        if name >= 0:
            cast[row, place[name]] = 1
    votes = cast.cumsum(axis=0)
    good = np.array([name in race.right for name in names] or [False])
    right = good[votes.argmax(axis=1)] & (votes.max(axis=1) > 0)
    top = -np.sort(-votes, axis=1)
    distinct = (votes > 0).sum(axis=1)
    ahead = np.array(HORIZONS)
    known = right.astype(np.float64)
    for n in range(1, len(said)):
        if n > 12 and n % 2:  # later states change slowly
            continue
        reach = ahead[ahead <= len(said) - n]
        gains = known[n + reach - 1] - known[n - 1]
        second = int(top[n - 1, 1]) if top.shape[1] > 1 else 0
        key = bins(State(n, int(top[n - 1, 0]), second, int(distinct[n - 1])), table)
        for depth in range(1, len(key) + 1):
            into.setdefault(key[:depth], _Sums()).add(gains)


def _shrunk(seen: dict[tuple[int, ...], _Sums]) -> tuple[GainCell, ...]:
    """Cell means drawn towards their parents' by `PULL` problems; the coarsest ones towards no gain."""
    gains: dict[tuple[int, ...], NDArray[np.float64]] = {}
    cells = []
    for key in sorted(seen, key=lambda k: (len(k), k)):
        sums = seen[key]
        reached = int((sums.visits > 0).sum())
        if not reached:
            continue
        behind = sums.problems()
        mean = np.divide(sums.gain, sums.visits, out=np.zeros_like(sums.gain), where=sums.visits > 0)
        parent = gains.get(key[:-1], np.zeros(len(HORIZONS)))
        gains[key] = (behind * mean + PULL * parent) / (behind + PULL)
        known = tuple(round(float(g), 5) for g in gains[key][:reached])
        cells.append(GainCell(key, round(float(behind[0]), 1), known))
    return tuple(cells)


def save_gain(table: GainTable, path: str | Path) -> None:
    """Write a table, whole or not at all. Raises UserError if the file cannot be written."""
    path = Path(path)
    head, cells = msgspec.to_builtins(table), table.cells
    head["cells"] = []
    lines = [msgspec.json.encode(c).decode() for c in cells]  # a cell a line
    text = msgspec.json.encode(head).decode().replace('"cells":[]', '"cells":[\n' + ",\n".join(lines) + "\n]")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise UserError(f"The table {path} cannot be written: {error.strerror}. Name another place.") from error


def load_gain(path: str | Path) -> GainTable:
    """Read a table. Raises UserError if it cannot be read, DataError if it is not one."""
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"The table {path} cannot be read: {error.strerror}. Make one with fit_gain.") from error
    try:
        table = msgspec.json.decode(raw, type=GainTable)
        if table.version != VERSION:
            raise ValueError(f"it has version {table.version}; this nlrl reads version {VERSION}. Learn it again")
        if any(len(c.gains) > len(table.horizons) for c in table.cells):
            raise ValueError("a cell has more gains than there are horizons")
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"not a table of gains: {error}", path=str(path)) from error
    return table
