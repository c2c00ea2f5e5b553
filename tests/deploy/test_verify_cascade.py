"""A cascade's branches, which a run of whole steps never takes, are compared too."""

import json

import numpy as np
import onnx
import pytest
from command_runs import run_command
from onnx import numpy_helper
from students import moving_pictures
from tiny_models import save

from edgevid.errors import InputError
from edgevid.manifest import NO_DIGEST, Manifest
from edgevid.models.contract import Outputs
from edgevid.models.load import load, read_model
from edgevid_deploy.cascade import compare_cascades
from edgevid_deploy.commands import register
from edgevid_deploy.verify import cascade_of, open_reference

FRAMES = list(moving_pictures(40, 64, 48))


class Wrong:
    """The exported cascade with a fault in one of its branches."""

    def __init__(self, inner, fault):
        self.inner, self.fault, self.manifest = inner, fault, inner.manifest

    def with_thresholds(self, thresholds):
        return Wrong(self.inner.with_thresholds(thresholds), self.fault)

    def zero_state(self):
        return self.inner.zero_state()

    def step(self, pixels, state):
        outputs, after = self.inner.step(pixels, state)
        if self.fault == "exit":
            outputs = Outputs(outputs.logits, outputs.embedding, len(self.manifest.exits) - 1)
        if self.fault == "early" and outputs.exit == 0:
            after = state
        return outputs, after

    def hold(self, state):
        outputs, after = self.inner.hold(state)
        return outputs, state if self.fault == "held" else after


def test_an_exported_cascade_ends_and_holds_as_the_trained_one(exported, checkpoint):
    result = compare_cascades(
        load(exported / "small.onnx"), cascade_of(open_reference(checkpoint)), FRAMES, tolerance=1e-4
    )
    assert result.problems == ()
    assert result.steps == len(FRAMES) == sum(result.ends.values())
    assert list(result.ends) == [*(e.name for e in load(exported / "small.onnx").manifest.exits), "hold"]
    assert min(result.ends.values()) > 5
    assert {drift.output for drift in result.drifts} >= {"logits_final", "embedding"}
    assert all(drift.max_abs <= drift.limit for drift in result.drifts)


@pytest.mark.parametrize(
    ("fault", "says"),
    [("exit", "the cascade ends elsewhere"), ("early", "in the cascade "), ("held", "in the cascade ")],
)
def test_a_wrong_branch_is_found(exported, checkpoint, fault, says):
    package = Wrong(load(exported / "small.onnx"), fault)
    result = compare_cascades(package, cascade_of(open_reference(checkpoint)), FRAMES, tolerance=1e-4)
    assert any(problem.startswith(says) for problem in result.problems)


def test_no_frames_is_no_proof(exported, checkpoint):
    with pytest.raises(InputError, match="too few frames"):
        compare_cascades(load(exported / "small.onnx"), cascade_of(open_reference(checkpoint)), [], tolerance=1e-4)


def test_a_file_is_refused_whose_whole_steps_alone_are_right(exported, checkpoint, video, tmp_path):
    manifest = read_model(exported / "small.onnx")[1]
    graph = onnx.load(exported / "small.onnx").graph
    # Where the frame is held the outer `If` takes its other branch: a factor in it is enough.
    (outer,) = [node for node in graph.node if node.op_type == "If" and node.input[0].startswith("hold")]
    held = next(a.g for a in outer.attribute if a.name == "then_branch")
    logits = held.output[0].name
    (maker,) = [node for node in held.node if logits in node.output]
    maker.output[list(maker.output).index(logits)] = "right"
    held.initializer.append(numpy_helper.from_array(np.float32(1.5), "half_more"))
    held.node.append(onnx.helper.make_node("Mul", ["right", "half_more"], [logits]))
    spoilt = save(graph, Manifest.model_validate(manifest.model_dump() | {"digest": NO_DIGEST}), tmp_path / "bad.onnx")
    figures = tmp_path / "figures.json"
    ran = run_command(
        register, "verify", spoilt, "--against", checkpoint, "--frames", video, "--steps", 40, "--json", figures
    )
    assert ran.status == 1
    assert "in the cascade " in ran.err
    assert "verified\n" not in ran.out
    found = json.loads(figures.read_text())
    assert found["problems"] == []  # of whole steps there is nothing to say
    assert not found["ok"]
    assert found["cascade"]["ends"]["hold"] > 0


@pytest.mark.parametrize(("was", "becomes"), [("ReduceMax", "ReduceMin"), ("Softmax", "Sigmoid")])
def test_a_file_is_refused_that_stops_by_another_score(exported, checkpoint, video, tmp_path, was, becomes):
    manifest = read_model(exported / "small.onnx")[1]
    graph = onnx.load(exported / "small.onnx").graph
    changed = 0
    for node in _nodes(graph):
        if node.op_type == was and (was == "ReduceMax" or node.output[0].startswith("part")):
            node.op_type = becomes
            if becomes == "Sigmoid":
                del node.attribute[:]
            changed += 1
    assert changed
    spoilt = save(graph, Manifest.model_validate(manifest.model_dump() | {"digest": NO_DIGEST}), tmp_path / "bad.onnx")
    ran = run_command(register, "verify", spoilt, "--against", checkpoint, "--frames", video, "--steps", 40)
    assert ran.status == 1
    assert "the cascade ends elsewhere" in ran.err


def _nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)
