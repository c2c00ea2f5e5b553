"""Exported ONNX files: what stands in them, and that they compute what torch computes."""

import numpy as np
import onnx
import pytest
import torch
from command_runs import run_command
from onnx import helper
from students import LABELS, moving_pictures, small_student, write_checkpoint

from edgevid.errors import CheckFailedError, InputError
from edgevid.manifest import METADATA_KEY, EventRule, Manifest
from edgevid.models.load import load, read_model
from edgevid_deploy.commands import register
from edgevid_deploy.drift import compare
from edgevid_deploy.export import export
from edgevid_deploy.onnx import OPSET, check_graph, export_onnx
from edgevid_deploy.verify import open_reference
from edgevid_train.models.backbones import OFFERED
from edgevid_train.models.student import MEMORY, Student, StudentConfig
from edgevid_train.rewrite import rewrite
from edgevid_train.runs.bundled import WEIGHTS_TO_BEGIN_FROM

FAST = "tf_efficientnet_lite0"
"""mobilenetv2_050, the backbone of the `exported` models, is verified in every run too (test_verify.py)."""


def shape_of(value: onnx.ValueInfoProto) -> list[int]:
    return [d.dim_value for d in value.type.tensor_type.shape.dim]


def test_names_shapes_and_order_are_the_contract_s(exported):
    stream, clip = onnx.load(exported / "small.onnx"), onnx.load(exported / "small.clip.onnx")
    manifest = Manifest.from_json(stream.metadata_props[0].value, "small")
    states = [s.name for s in manifest.states]
    assert [(v.name, shape_of(v)) for v in stream.graph.input] == [
        ("frame", [1, 64, 48, 3]),
        *((s.name, list(s.shape)) for s in manifest.states),
        ("threshold_stage2", [1]),
        ("hold", [1]),
    ]
    assert [(v.name, shape_of(v)) for v in stream.graph.output] == [
        ("logits_stage2", [1, 5]),
        ("logits_final", [1, 5]),
        ("embedding", [1, 16]),
        *((f"next_{s.name}", list(s.shape)) for s in manifest.states),
        ("exit", [1]),
    ]
    assert len(states) == 1 + 1  # a shift in the second block of the first exit's stage; the memory
    assert [(v.name, shape_of(v)) for v in clip.graph.input] == [("clip", [1, 7, 64, 48, 3])]
    assert [(v.name, shape_of(v)) for v in clip.graph.output] == [
        ("logits_stage2", [1, 7, 5]),
        ("logits_final", [1, 7, 5]),
        ("embedding", [1, 7, 16]),
    ]
    uint8 = onnx.TensorProto.UINT8
    assert stream.graph.input[0].type.tensor_type.elem_type == uint8
    assert clip.graph.input[0].type.tensor_type.elem_type == uint8


def test_the_manifest_says_what_the_checkpoint_is(exported):
    stream, clip = read_model(exported / "small.onnx")[1], read_model(exported / "small.clip.onnx")[1]
    assert (stream.name, stream.kind, stream.labels, stream.rate_hz) == ("small", "stream", LABELS, 8.0)
    assert (clip.name, clip.kind, clip.states, clip.clip_frames) == ("small.clip", "clip", (), 7)
    assert stream.clip_frames == 1 + 2 * (1 + 2)
    assert stream.provenance.data == "nothing: untrained"
    assert 0 < stream.exits[0].macs < stream.exits[1].macs
    assert stream.digest != clip.digest


def test_a_file_is_whole_and_holds_nothing_of_the_machine_that_made_it(exported, tmp_path):
    for name in ("small.onnx", "small.clip.onnx"):
        model = onnx.load(exported / name, load_external_data=False)
        assert {(e.domain, e.version) for e in model.opset_import} == {("", OPSET)}
        assert not any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer)
        assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
        assert {entry.key for entry in model.metadata_props} == {METADATA_KEY}
        data = (exported / name).read_bytes()
        for trace in (b"site-packages", b".py", b"stack_trace", str(tmp_path.parent).encode()):
            assert trace not in data
    assert sorted(f.name for f in exported.iterdir()) == ["small.clip.onnx", "small.onnx"]


@pytest.mark.parametrize("backbone", [b if b == FAST else pytest.param(b, marks=pytest.mark.slow) for b in OFFERED])
def test_onnx_runtime_computes_what_torch_computes_exit_by_exit_in_both_graphs(backbone, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "checkpoint", small_student(backbone, exits=(2, 4)))
    stream, clip = (load(file.file) for file in export(checkpoint, to="onnx", out=tmp_path, clip_frames=9))
    reference, frames = open_reference(checkpoint), moving_pictures(27, 64, 64)
    carried = compare(stream, reference, frames, tolerance=1e-4)
    assert carried.ok, carried.problems
    assert {d.output for d in carried.drifts} == {
        "logits_stage2",
        "logits_final",
        "embedding",
        *(f"next_{s.name}" for s in stream.manifest.states),
    }
    for other in (reference, stream):
        at_once = compare(clip, other, frames, tolerance=1e-4)
        assert at_once.ok, at_once.problems
        assert at_once.steps == 27


def test_state_passes_through_onnx_runtime_bit_for_bit(exported):
    model = load(exported / "small.onnx")
    state = model.zero_state()
    assert state[MEMORY].shape[1] == 2 + 4  # dilations of 1 and 2
    for pixels in moving_pictures(8, 64, 48):
        before = {name: value.copy() for name, value in state.items()}
        _, after = model.step(pixels, state)
        assert all(np.array_equal(state[name], before[name]) for name in before)
        for of_layer in (slice(0, 2), slice(2, 6)):
            old, new = before[MEMORY][:, of_layer], after[MEMORY][:, of_layer]
            assert np.array_equal(new[:, :-1], old[:, 1:])
        state = after


HOLD = 3
"""In a drawn sequence of exits: a step that looks at nothing."""


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_whichever_exits_decide_and_steps_hold_onnx_runtime_and_torch_agree(precision, tmp_path):
    """Answers, state and the exit that is told, for a drawn sequence of exits; of three, so branches are nested."""
    student = small_student(height=64, width=48, exits=(1, 2, 3))
    export(write_checkpoint(tmp_path / "three", student), to="onnx", out=tmp_path, precision=precision)
    model, tolerance = load(tmp_path / "small.onnx"), {"fp32": 1e-4, "fp16": 2e-2}[precision]
    assert model.manifest.conditional
    ours, theirs = model.zero_state(), student.zero_state()
    sequence = np.random.default_rng(0).integers(0, 4, 24).tolist()
    for pixels, exit_ in zip(moving_pictures(24, 64, 48), sequence, strict=True):
        if exit_ == HOLD:
            outputs, ours = model.hold(ours)
            with torch.inference_mode():
                logits, embedding, theirs = student.hold(theirs)
            assert outputs.exit == 2
            np.testing.assert_allclose(outputs.logits, logits.expand(3, -1), atol=tolerance, rtol=tolerance)
            np.testing.assert_allclose(outputs.embedding, embedding[0], atol=tolerance, rtol=tolerance)
            continue
        thresholds = [0.0 if i == exit_ else None for i in range(3)]
        outputs, ours = model.with_thresholds(thresholds).step(pixels, ours)
        frame = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            decided, logits, embedding, theirs = student.decide(frame, theirs, thresholds)
        assert outputs.exit == decided == exit_
        np.testing.assert_allclose(
            outputs.logits[exit_:], logits[-1].expand(3 - exit_, -1), atol=tolerance, rtol=tolerance
        )
        np.testing.assert_allclose(outputs.embedding, embedding[0], atol=tolerance, rtol=tolerance)
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, atol=4 * tolerance, rtol=tolerance)


def test_a_threshold_is_reached_in_onnx_runtime_where_it_is_in_torch(exported):
    model = load(exported / "small.onnx")
    (pixels,) = moving_pictures(1, 64, 48)
    logits = model.step(pixels, model.zero_state())[0].logits[0]
    best = float(np.exp(logits - logits.max()).max() / np.exp(logits - logits.max()).sum())
    for threshold, exit_ in ((best - 1e-4, 0), (best + 1e-4, 1), (None, 1)):
        assert model.with_thresholds([threshold, None]).step(pixels, model.zero_state())[0].exit == exit_


def test_the_default_student_fits_into_five_megabytes():
    student = Student(StudentConfig(weights="none"), labels=11)
    # Weights are nearly all of a file; the graph and the manifest take some 0.1 MB.
    assert sum(p.numel() for p in student.parameters()) * 4 < 4.8e6


def test_what_is_there_is_not_overwritten(checkpoint, tmp_path):
    (tmp_path / "small.clip.onnx").write_text("mine")
    with pytest.raises(InputError, match=r"small\.clip\.onnx exists; give --force"):
        export(checkpoint, to="onnx", out=tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["small.clip.onnx"]


def _other_opset(model):
    model.opset_import[0].version = 19


def _second_domain(model):
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _renamed_output(model):
    model.graph.output[0].name, old = "logits", model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["logits" if name == old else name for name in node.output]


def _swapped_inputs(model):
    first, second = model.graph.input[1].name, model.graph.input[2].name
    model.graph.input[1].name, model.graph.input[2].name = second, first


def _unfolded(model):
    output = model.graph.output[2]  # the embedding; any tensor would do
    for node in model.graph.node:
        node.output[:] = ["unnormed" if name == output.name else name for name in node.output]
    ones = onnx.numpy_helper.from_array(np.ones(16, np.float32), "ones")
    model.graph.initializer.append(ones)
    norm = helper.make_node("BatchNormalization", ["unnormed", "ones", "ones", "ones", "ones"], [output.name])
    model.graph.node.append(norm)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_other_opset, "opset"),
        (_second_domain, "opset"),
        (_renamed_output, "outputs are"),
        (_swapped_inputs, "inputs are"),
        (_unfolded, "batch norm"),
    ],
)
def test_a_graph_that_is_not_what_was_asked_for_is_refused(exported, spoil, says):
    model = onnx.load(exported / "small.onnx")
    manifest = read_model(exported / "small.onnx")[1]
    check_graph(model, manifest)
    spoil(model)
    with pytest.raises(CheckFailedError, match=says):
        check_graph(model, manifest)


def test_a_fitted_rule_goes_into_what_is_exported_later(checkpoint, exported, tmp_path):
    rule = EventRule(on=0.9, off=0.2, min_s=0.5)
    fitted = tmp_path / "fitted.onnx"
    rewrite(exported / "small.onnx", load(exported / "small.onnx").manifest.with_events(rule), fitted)
    ran = run_command(
        register, "export", checkpoint, "--to", "onnx", "--out", tmp_path / "again", "--events-of", fitted
    )
    assert ran.status == 0, ran.err
    again = load(tmp_path / "again" / "small.onnx").manifest
    assert again.events == rule
    assert again.with_events(EventRule()) == load(exported / "small.onnx").manifest.with_events(EventRule()).model_copy(
        update={"digest": again.digest}
    )
    ran = run_command(
        register, "export", checkpoint, "--to", "onnx", "--out", tmp_path / "other", "--events-of", "air-gesture"
    )
    assert ran.status == 1
    assert "not the same model: labels is" in ran.err
    assert not (tmp_path / "other").exists()


def test_the_default_model_is_what_its_bundled_weights_compute(video):
    """The file that ships was exported from the checkpoint that ships."""
    ran = run_command(
        register, "verify", "air-gesture", "--against", WEIGHTS_TO_BEGIN_FROM / "air-gesture", "--frames", video
    )
    assert ran.status == 0, ran.err
    assert "verified" in ran.out


def test_of_two_graphs_both_are_replaced_or_none(checkpoint, tmp_path, monkeypatch):
    export(checkpoint, to="onnx", out=tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    graphs = iter([export_onnx])

    def failing(*args, **kwargs):
        return next(graphs, _full)(*args, **kwargs)

    def _full(*_, **__):
        raise InputError("the disk is full")

    monkeypatch.setattr("edgevid_deploy.export.export_onnx", failing)
    with pytest.raises(InputError, match="the disk is full"):
        export(checkpoint, to="onnx", out=tmp_path, name="small", licences="other", force=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
