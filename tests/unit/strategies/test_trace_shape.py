import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.strategies.trace_shape import (
    FEATURES,
    TraceWeights,
    load_weights,
    save_weights,
    sibling_features,
    trace_shape,
)


def test_the_shape_tells_when_an_answer_came_and_how_steadily_it_stayed():
    looks = [(100, 3), (200, 0), (300, 3), (400, 0), (500, 0)]
    settled, first, steady, switches, finished, log_tokens = trace_shape(1000, 0, looks).own
    assert (settled, first, steady, switches, finished) == (0.4, 0.2, 0.6, 0.75, 1.0)
    assert log_tokens == pytest.approx(0.0)


def test_a_trace_nobody_looked_into_showed_its_answer_at_the_end():
    assert trace_shape(0, 0, [], finished=False).own[:5] == (1.0, 1.0, 0.0, 0.0, 0.0)


def test_siblings_are_compared_with_those_that_still_run():
    relative, rank, confidence = sibling_features([100, 300], [-0.2, -0.4], running=2, elapsed=300)
    assert relative == pytest.approx([math.log(1 / 3), 0.0])
    assert rank == pytest.approx([0.125, 0.625])
    assert confidence == pytest.approx([0.1, -0.1])
    unknown = sibling_features([5], [float("nan")])
    assert unknown[:, 0] == pytest.approx([0.0, 0.5, 0.0])


_numbers = st.floats(-20, 20)


@given(
    _numbers,
    st.lists(_numbers, min_size=len(FEATURES), max_size=len(FEATURES)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 2)), min_size=1, max_size=6),
    st.one_of(st.just(float("nan")), st.floats(0, 1)),
)
def test_weights_are_chances_and_survive_the_file(tmp_path_factory, intercept, coefficients, traces, auc):
    calls = ({"thrift": 0.5, "wave": 2, "most": 8, "gate": 0.9, "weigh": True},)
    weights = TraceWeights(
        intercept, dict(zip(FEATURES, coefficients, strict=True)), calls=calls, held_out_auc=auc, provenance={"a": 1}
    )
    shapes = [trace_shape(n, label, [(n // 2, 0)]) for n, label in traces]
    chances = weights.chances_of(shapes)
    assert ((chances >= 0) & (chances <= 1)).all() and np.isfinite(chances).all()
    file = tmp_path_factory.mktemp("weights") / "w.json"
    save_weights(weights, file)
    again = load_weights(file)
    assert (again.chances_of(shapes) == chances).all()
    assert again.calls == calls and again.provenance == {"a": 1}
    assert again.held_out_auc == auc or (math.isnan(auc) and math.isnan(again.held_out_auc))


def test_a_file_that_changes_is_read_again(tmp_path):
    file = tmp_path / "w.json"
    for intercept in (0.5, 1.5):
        save_weights(TraceWeights(intercept, {}), file)
        assert load_weights(file).intercept == intercept
