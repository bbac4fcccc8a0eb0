"""Boosted trees as plain data: a JSON file that is read, checked and walked, and never executed.

    model = read_prm("math.prm.json")        UserError for anything that is not exactly such a file
    model.forest.probabilities(rows)          one number in [0, 1] a row

Pickled estimators run code when they are loaded; this format cannot. A node goes to `left` where its feature is at
most `threshold`, and `missing_left` says where an unknown value (NaN) goes; children stand after their parents, so
that every walk ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nlrl.core import UserError
from nlrl.verifiers.prm.features import FEATURES

if TYPE_CHECKING:
    import numpy as np

FORMAT = "nlrl-prm"
VERSION = 1
MAX_BYTES = 64 << 20
_MAX_NODES = 2_000_000
_AGAIN = "Train it again with: nlrl train prm --data ... --out FILE"


class TreeData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tree, a column each. `feature` -1 marks a leaf; `value` is a leaf's contribution in log-odds."""

    feature: list[int]
    threshold: list[float | None]
    missing_left: list[bool]
    left: list[int]
    right: list[int]
    value: list[float]


class HeadData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A linear head on the hidden states of a frozen Hugging Face model; `weight` has its hidden size."""

    encoder: str
    fingerprint: str
    weight: list[float]
    bias: float


class PRMFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a trained reward model's file.

    kind        "trees" or "head"
    features    names of the columns that the trees were trained on, in order
    baseline    log-odds before the first tree
    provenance  what it was made from: model, data, counts, settings
    held_out    how good it is on problems that it had not seen: auc, brier, calibration, ...
    """

    format: str
    version: int
    kind: str
    provenance: dict[str, Any]
    held_out: dict[str, Any]
    features: list[str] = []
    baseline: float = 0.0
    trees: list[TreeData] = []
    head: HeadData | None = None


@dataclass(frozen=True)
class Forest:
    """All trees in one set of arrays; `roots` are the indices of the first nodes."""

    baseline: float
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    roots: np.ndarray

    def probabilities(self, rows: Sequence[Sequence[float]] | np.ndarray) -> list[float]:
        """One number in [0, 1] for each row of features."""
        import numpy as np

        if not len(rows):
            return []
        x = np.asarray(rows, dtype=np.float64)
        logits = np.full(len(x), self.baseline)
        for start in range(0, len(x), 4096):  # bounds the memory: rows by trees
            logits[start : start + 4096] += self.contributions(x[start : start + 4096]).sum(axis=1)
        return [float(p) for p in 1.0 / (1.0 + np.exp(-np.clip(logits, -500, 500)))]

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """What each tree adds to the log-odds: (rows, trees)."""
        import numpy as np

        if not len(self.roots):
            return np.zeros((len(x), 0))
        at = np.broadcast_to(self.roots, (len(x), len(self.roots))).copy()
        row = np.arange(len(x))[:, None]
        while True:
            feature = self.feature[at]
            inner = feature >= 0
            if not inner.any():
                return self.value[at]
            seen = x[row, np.where(inner, feature, 0)]
            with np.errstate(invalid="ignore"):
                goes_left = np.where(np.isnan(seen), self.missing_left[at], seen <= self.threshold[at])
            at = np.where(inner, np.where(goes_left, self.left[at], self.right[at]), at)

    @property
    def used(self) -> set[int]:
        """The columns that any tree looks at."""
        return {int(f) for f in self.feature if f >= 0}


def write_prm(file: PRMFile, path: Path) -> None:
    """Write the file in one step: a reader sees the old one or the new one, never half of it."""
    fresh = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=0) + b"\n")
    fresh.replace(path)


def read_prm(path: Path) -> PRMFile:
    """Read and check a file. Raises UserError, with the next step, if it is missing, foreign, corrupt or too new."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is larger than {MAX_BYTES >> 20} MB; that is no reward model of `nlrl train prm`.")
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"There is no reward model at {path}. Make one with: nlrl train prm --out {path}") from None
    except OSError as error:
        raise UserError(f"The reward model {path} cannot be read: {error.strerror or error}.") from error
    try:
        head = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not a reward model of `nlrl train prm` (no JSON object: {error}). {_AGAIN}"
        ) from None
    if head.get("format") != FORMAT:
        raise UserError(f"{path} is JSON, but not a reward model of `nlrl train prm`. {_AGAIN}")
    if head.get("version") != VERSION:
        raise UserError(
            f"{path} has version {head.get('version')!r} of the format; this nlrl reads version {VERSION}. {_AGAIN}"
        )
    try:
        file = msgspec.json.decode(data, type=PRMFile)
        _check(file)
    except (msgspec.ValidationError, ValueError) as error:
        raise UserError(f"The reward model {path} is damaged: {error}. {_AGAIN}") from None
    return file


def forest_of(file: PRMFile) -> Forest:
    """The trees of a checked file, ready to walk."""
    import numpy as np

    sizes = [len(tree.feature) for tree in file.trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if sizes else np.zeros(0, np.int64)
    shift = np.repeat(roots, sizes) if sizes else np.zeros(0, np.int64)

    def column(name: str, kind: Any) -> np.ndarray:
        parts = [np.asarray(getattr(tree, name), dtype=kind) for tree in file.trees]
        return np.concatenate(parts) if parts else np.zeros(0, kind)

    return Forest(
        baseline=file.baseline,
        feature=column("feature", np.int64),
        threshold=np.nan_to_num(column("threshold", np.float64), nan=np.inf),  # None: every known value goes left
        missing_left=column("missing_left", np.bool_),
        left=column("left", np.int64) + shift,
        right=column("right", np.int64) + shift,
        value=column("value", np.float64),
        roots=roots,
    )


def _check(file: PRMFile) -> None:
    if file.kind not in ("trees", "head") or (file.kind == "head") != (file.head is not None):
        raise ValueError(f"unknown kind {file.kind!r}")
    if file.kind == "head":
        return
    if tuple(file.features) != FEATURES:
        raise ValueError("it was trained on other features than this version of nlrl computes")
    if sum(len(tree.feature) for tree in file.trees) > _MAX_NODES:
        raise ValueError("too many nodes")
    for number, tree in enumerate(file.trees):
        n = len(tree.feature)
        columns = (tree.threshold, tree.missing_left, tree.left, tree.right, tree.value)
        if n == 0 or any(len(column) != n for column in columns):
            raise ValueError(f"the columns of tree {number} differ in length")
        for i, feature in enumerate(tree.feature):
            if feature == -1:
                continue
            if not 0 <= feature < len(FEATURES):
                raise ValueError(f"node {i} of tree {number} looks at feature {feature}")
            if not (i < tree.left[i] < n and i < tree.right[i] < n):
                raise ValueError(f"node {i} of tree {number} has a child outside of the tree")
