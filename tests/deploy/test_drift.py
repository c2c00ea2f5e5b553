"""Comparing two models: what passes, and that every way of being wrong is caught."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from tiny_models import T, coloured_frames, save, tiny_clip_model, tiny_manifest, tiny_stream_model

from edgevid.errors import CheckFailedError, InputError
from edgevid.manifest import NO_DIGEST, Manifest
from edgevid.models.contract import Outputs
from edgevid.models.load import load, read_model
from edgevid_deploy.drift import compare

COLOURS = coloured_frames(("other", 5), ("red", 8), ("blue", 8), ("green", 11))


def spoilt(path, out, spoil):
    """The model at `path`, its graph changed by `spoil`, sealed anew: a fault that no digest shows."""
    manifest = read_model(path)[1]
    graph = onnx.load(path).graph
    spoil(graph)
    return load(save(graph, Manifest.model_validate(manifest.model_dump() | {"digest": NO_DIGEST}), out))


class Around:
    """A model around another, which those derived from it step in ways of their own."""

    def __init__(self, inner):
        self.inner = inner
        self.manifest = inner.manifest

    def with_thresholds(self, _):
        return self

    def with_hold(self, _):
        return self

    def hold(self, state):
        return self.inner.hold(state)

    def zero_state(self):
        return self.inner.zero_state()


@pytest.fixture
def stream(tmp_path):
    return load(tiny_stream_model(tmp_path / "tiny.onnx"))


def test_a_model_agrees_with_itself_and_state_is_what_makes_it_so(stream):
    result = compare(stream, stream, COLOURS, tolerance=0)
    assert result.ok
    assert result.steps == len(COLOURS)
    assert [d.output for d in result.drifts] == [
        "logits_early",
        "logits_final",
        "embedding",
        "next_mean",
        "next_last",
    ]
    assert all(d.max_abs == 0 and d.limit == 0 and len(d.over_time) == 4 for d in result.drifts)
    assert result.drifts[0].agreement == 1
    assert result.drifts[2].agreement is None
    assert result.forgetting is not None
    assert result.forgetting > 0.1
    assert result.repeats


def test_a_clip_graph_agrees_with_the_stream_of_the_same_function_from_a_zero_state(stream, tmp_path):
    clip = load(tiny_clip_model(tmp_path / "tiny.clip.onnx"))
    result = compare(clip, stream, COLOURS, tolerance=1e-4)
    assert result.ok, result.problems
    assert result.steps == len(COLOURS) // T * T
    assert result.forgetting is None
    assert compare(clip, clip, COLOURS, tolerance=0).ok
    with pytest.raises(InputError, match="not a clip model"):
        compare(stream, clip, COLOURS, tolerance=1e-4)


def test_a_state_that_is_not_passed_on_is_right_for_one_step_only(stream, tmp_path):
    def keep_nothing(graph):
        for node in graph.node:
            node.output[:] = ["computed" if name == "next_mean" else name for name in node.output]
            node.input[:] = ["computed" if name == "next_mean" else name for name in node.input]
        graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "nothing"))
        graph.node.append(helper.make_node("Mul", ["computed", "nothing"], ["next_mean"]))

    model = spoilt(tmp_path / "tiny.onnx", tmp_path / "spoilt.onnx", keep_nothing)
    assert compare(model, stream, COLOURS[:1], tolerance=1e-4).drifts[1].ok
    result = compare(model, stream, COLOURS, tolerance=1e-4)
    by_name = {d.output: d for d in result.drifts}
    assert by_name["logits_early"].ok  # it looks at the frame alone
    assert not by_name["logits_final"].ok
    assert not by_name["next_mean"].ok
    assert any("strays by" in problem for problem in result.problems)


def test_a_drift_that_grows_shows_over_time(stream, tmp_path):
    def never_forget(graph):
        for tensor in graph.initializer:
            if tensor.name == "leak":
                tensor.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "leak"))

    model = spoilt(tmp_path / "tiny.onnx", tmp_path / "spoilt.onnx", never_forget)
    red = coloured_frames(("red", 40))
    drift = {d.output: d for d in compare(model, stream, red, tolerance=1e-4).drifts}["next_mean"]
    assert list(drift.over_time) == sorted(drift.over_time)
    assert drift.over_time[-1] == drift.max_abs > 3 * drift.over_time[0]
    assert not drift.ok


def test_frames_that_cannot_show_the_state_prove_nothing(stream):
    class Forgetful(Around):
        """Says what the frame says, whatever came before."""

        def step(self, pixels, state):
            return stream.step(pixels, stream.zero_state())[0], state

    result = compare(Forgetful(stream), Forgetful(stream), COLOURS, tolerance=1e-4)
    assert all(d.ok for d in result.drifts)
    assert result.forgetting == 0
    assert len(result.problems) == 1
    assert "without its state" in result.problems[0]


def test_a_model_that_keeps_something_beside_its_state_is_found_out(stream):
    class Keeping(Around):
        calls = 0

        def step(self, pixels, state):
            self.calls += 1
            outputs, after = stream.step(pixels, state)
            return Outputs(outputs.logits + 1e-6 * self.calls, outputs.embedding), after

    result = compare(Keeping(stream), stream, COLOURS, tolerance=1e-3)
    assert not result.repeats
    assert any("beside its state" in problem for problem in result.problems)


@pytest.mark.parametrize(("offset", "ok"), [(3e-4, True), (5e-4, False)])
def test_one_element_of_a_state_may_stray_four_times_as_far_as_logits(stream, offset, ok):
    class Shifted(Around):
        """Says the same; one number in its state is written down with an offset, and read back without."""

        def step(self, pixels, state):
            outputs, after = stream.step(pixels, self.moved(state, -offset))
            return outputs, self.moved(after, offset)

        def moved(self, state, by):
            mean = state["mean"].copy()
            mean[0, 0] += by * np.any(mean)  # a zero state is zero
            return {**state, "mean": mean}

    result = compare(Shifted(stream), stream, COLOURS, tolerance=1e-4)
    assert result.ok is ok, result.problems


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_never_agreement(stream, value):
    class Broken(Around):
        def step(self, pixels, state):
            outputs, after = stream.step(pixels, state)
            return Outputs(np.full_like(outputs.logits, value), outputs.embedding), after

    for package, reference in ((Broken(stream), stream), (stream, Broken(stream)), (Broken(stream), Broken(stream))):
        result = compare(package, reference, COLOURS, tolerance=1.0)
        assert not result.ok
        assert result.drifts[0].max_abs == float("inf")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": ("red", "green", "blue", "none")}, "labels"),
        ({"rate_hz": 12.0}, "rate_hz"),
        ({"activation": "sigmoid"}, "activation"),
    ],
)
def test_models_that_say_they_are_different_are_not_compared(stream, tmp_path, changes, says):
    other = load(tiny_stream_model(tmp_path / "other.onnx", tiny_manifest("stream", **changes)))
    with pytest.raises(CheckFailedError, match=f"not the same model: {says}"):
        compare(other, stream, COLOURS, tolerance=1e-4)


def test_no_frames_is_no_proof(stream, tmp_path):
    clip = load(tiny_clip_model(tmp_path / "tiny.clip.onnx"))
    for model, frames in ((stream, []), (clip, COLOURS[: T - 1])):
        with pytest.raises(InputError, match="too few frames"):
            compare(model, stream, frames, tolerance=1e-4)
