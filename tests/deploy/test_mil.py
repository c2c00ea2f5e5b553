"""What a Core ML package computes, by its own program and weights, against the checkpoint that it was made from."""

import json
import shutil

import numpy as np
import pytest
from command_runs import run_command
from coreml_packages import rewrite
from students import moving_pictures, small_student, write_checkpoint

from edgevid.errors import InputError
from edgevid.manifest import HoldRule
from edgevid.models.contract import StreamModel
from edgevid_deploy.commands import register
from edgevid_deploy.coreml import check_package
from edgevid_deploy.drift import compare
from edgevid_deploy.export import export
from edgevid_deploy.mil import WEIGHTS, open_package
from edgevid_deploy.verify import TOLERANCES, open_reference
from edgevid_train.models.backbones import OFFERED

pytest.importorskip("coremltools", reason="needs coremltools, which has no wheel for every Python")

FRAMES = moving_pictures(24, 64, 48)
FAST = "mobilenetv2_050"
"""The backbone of `package`."""


@pytest.fixture
def copy(package, tmp_path):
    return shutil.copytree(package, tmp_path / "copy.mlpackage")


@pytest.fixture(scope="module")
def model(package):
    return open_package(package, check_package(package))


def verify(package, against, video, *options):
    return run_command(register, "verify", package, "--against", against, "--frames", video, *options)


def test_a_package_agrees_with_its_checkpoint_and_its_onnx_model_on_a_video(
    package, checkpoint, exported, video, tmp_path
):
    figures = tmp_path / "figures.json"
    for against in (checkpoint, exported / "small.onnx"):
        ran = verify(package, against, video, "--steps", 24, "--json", figures, "--force")
        assert (ran.status, ran.err) == (0, "")
        assert "24 steps" in ran.out
        assert "allowed: 0.02 of" in ran.out
        assert "3 inputs and 5 outputs are right, and so are labels, metadata and digest" in ran.out
        assert "no Apple hardware" in ran.out
        assert ran.out.endswith("verified\n")
    result = json.loads(figures.read_text())
    assert result["ok"]
    assert result["numeric"]
    assert result["cascade"] is None
    assert result["structure"]["inputs"] == 3
    assert result["structure"]["apple_hardware"] is False
    assert result["forgetting"] > 0.02
    by_name = {drift["output"]: drift for drift in result["drifts"]}
    assert set(by_name) == {"logits_stage2", "logits_final", "embedding", *_next(check_package(package))}
    assert 0 < by_name["logits_final"]["max_abs"] <= by_name["logits_final"]["limit"]


def _next(manifest):
    return {f"next_{state.name}" for state in manifest.states}


def test_whole_weights_are_held_to_their_own_tolerance(package, whole_package, checkpoint, video):
    ran = verify(whole_package, checkpoint, video, "--steps", 24)
    assert (ran.status, ran.err) == (0, "")
    assert "allowed: 0.0001 of" in ran.out
    ran = verify(package, checkpoint, video, "--steps", 24, "--tolerance", "1e-5")
    assert ran.status == 1
    assert "is not verified" in ran.err


def test_the_contract_of_a_stream_model_is_kept(model, whole_package):
    assert isinstance(model, StreamModel)
    assert model.precision == "fp16"
    assert open_package(whole_package, check_package(whole_package)).precision == "fp32"
    before = model.zero_state()
    outputs, after = model.step(FRAMES[0], before)
    assert outputs.exit is None
    assert (outputs.logits.shape, outputs.logits.dtype) == ((2, 5), np.float32)
    assert (outputs.embedding.shape, outputs.embedding.dtype) == ((16,), np.float32)
    assert {name: (v.shape, v.dtype) for name, v in after.items()} == {
        s.name: (s.shape, np.dtype("float16")) for s in model.manifest.states
    }
    assert not any(value.any() for value in before.values())
    assert model.with_thresholds([0.5, None]).manifest.exits[0].threshold == 0.5
    assert model.with_hold(HoldRule(quiet=1)).step(FRAMES[0], before)[0].exit is None
    with pytest.raises(ValueError, match="looks at every frame"):
        model.hold(before)
    with pytest.raises(ValueError, match="uint8"):
        model.step(FRAMES[0][:10], before)
    with pytest.raises(ValueError, match="states are"):
        model.step(FRAMES[0], {})


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [name for name in OFFERED if name != FAST])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_backbone_is_computed_as_torch_computes_it(backbone, precision, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "checkpoint", small_student(backbone, exits=(2, 4)))
    export(checkpoint, to="coreml", out=tmp_path, precision=precision)
    package = tmp_path / "small.mlpackage"
    computed, reference = open_package(package, check_package(package)), open_reference(checkpoint)
    result = compare(computed, reference, moving_pictures(12, 64, 64), tolerance=TOLERANCES[precision])
    assert result.ok, result.problems


def test_one_altered_weight_is_found(copy, model, checkpoint, video):
    """Sealed anew, so that only the numbers can tell."""
    stored = next(op for op in reversed(model._ops) if op.op_type == "linear").inputs["weight"].val
    file = copy / WEIGHTS / "weight.bin"
    data = bytearray(file.read_bytes())
    assert data.count(stored.tobytes()) == 1
    place = data.index(stored.tobytes())
    data[place : place + 2] = np.float16(stored.flat[0] + 4).tobytes()
    file.write_bytes(data)
    rewrite(copy, lambda _: None)
    ran = verify(copy, checkpoint, video, "--steps", 24)
    assert ran.status == 1
    assert "logits_stage2 strays by" in ran.err
    assert "verified\n" not in ran.out


def test_the_same_student_with_other_weights_is_no_reference(package, video, tmp_path):
    student = small_student(height=64, width=48, exits=(2, 3))
    for values in student.parameters():
        values.data *= 1.1
    other = write_checkpoint(tmp_path / "other", student)
    ran = verify(package, other, video, "--steps", 24)
    assert ran.status == 1
    assert "strays by" in ran.err


def _ops(spec):
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    return block.operations


def _unknown_op(spec):
    next(op for op in _ops(spec) if op.type == "relu").type = "tanh"


def _unknown_parameter(spec):
    conv = next(op for op in _ops(spec) if op.type == "conv")
    name = conv.inputs["pad_type"].arguments[0].name
    (kind,) = [op for op in _ops(spec) if op.outputs[0].name == name]
    kind.attributes["val"].immediateValue.tensor.strings.values[0] = "same"


def _missing_op(spec):
    ops = _ops(spec)
    del ops[next(i for i, op in enumerate(ops) if op.type == "softmax")]


def _second_function(spec):
    spec.mlProgram.functions["more"].CopyFrom(spec.mlProgram.functions["main"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_unknown_op, "op 'tanh' is not one that is known here"),
        (_unknown_parameter, "pad_type 'same' is not known here"),
        (_missing_op, "coremltools cannot read its program"),
        (_second_function, "one function, main"),
    ],
)
def test_a_program_that_cannot_be_run_is_one_line(copy, checkpoint, video, change, says):
    rewrite(copy, change)
    ran = verify(copy, checkpoint, video)
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1


def test_outputs_that_were_swapped_in_the_program_are_found(copy, checkpoint, video):
    """Two exits have the same shapes: what the package says of itself is right."""

    def swap(spec):
        names = {"logits_stage2": "logits_final", "logits_final": "logits_stage2"}
        for op in _ops(spec):
            for output in op.outputs:
                output.name = names.get(output.name, output.name)

    rewrite(copy, swap)
    ran = verify(copy, checkpoint, video, "--steps", 24)
    assert ran.status == 1
    assert "strays by" in ran.err


def test_a_manifest_of_other_names_does_not_fit(package):
    manifest = check_package(package)
    final = manifest.exits[-1].model_copy(update={"name": "end"})
    other = manifest.model_copy(update={"exits": (*manifest.exits[:-1], final)})
    with pytest.raises(InputError, match="output 'logits_end' is only in one of them"):
        open_package(package, other)
