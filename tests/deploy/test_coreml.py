"""Core ML packages: what they say of themselves. What they compute: `test_mil`."""

import json
import shutil
from pathlib import Path

import pytest
from command_runs import run_command
from coreml_packages import rewrite
from students import LABELS

from edgevid import __version__
from edgevid.errors import CheckFailedError, InputError
from edgevid.manifest import METADATA_KEY
from edgevid.seal import digest_of_package
from edgevid_deploy.commands import register
from edgevid_deploy.coreml import LABELS_KEY, check_package

GUIDE = Path(__file__).parents[2] / "deploy" / "README.md"

ct = pytest.importorskip("coremltools", reason="needs coremltools, which has no wheel for every Python")


@pytest.fixture
def copy(package, tmp_path):
    return shutil.copytree(package, tmp_path / "copy.mlpackage")


def test_names_shapes_and_types_are_the_manifest_s(package):
    manifest = check_package(package)
    spec = ct.models.utils.load_spec(str(package))
    assert spec.specificationVersion >= 7
    described = spec.description
    inputs = {f.name: f.type for f in described.input}
    assert list(inputs) == ["frame", *(s.name for s in manifest.states)]
    image = inputs["frame"].imageType
    assert (image.width, image.height) == (48, 64)
    assert image.colorSpace == type(image).RGB
    outputs = {f.name: f.type.multiArrayType for f in described.output}
    assert list(outputs) == [
        "logits_stage2",
        "logits_final",
        "embedding",
        *(f"next_{s.name}" for s in manifest.states),
    ]
    assert list(outputs["logits_final"].shape) == [1, len(LABELS)]
    for state in manifest.states:
        assert state.dtype == "float16"
        for array in (inputs[state.name].multiArrayType, outputs[f"next_{state.name}"]):
            assert tuple(array.shape) == state.shape
            assert array.dataType == type(array).FLOAT16


def test_metadata_and_digest_travel_inside(package):
    manifest = check_package(package)
    spec = ct.models.utils.load_spec(str(package))
    assert json.loads(spec.description.metadata.userDefined[LABELS_KEY]) == list(LABELS)
    assert manifest.labels == LABELS
    assert manifest.digest == digest_of_package(package, manifest.digest)
    assert spec.description.metadata.license == "MIT"


def test_every_input_and_output_says_what_it_is_in_the_guide_s_words(package):
    described = ct.models.utils.load_spec(str(package)).description
    assert described.metadata.author == "edgevid"
    assert described.metadata.versionString == __version__
    guide = GUIDE.read_text().replace("`", "")
    spec = check_package(package).input
    for feature in (*described.input, *described.output):
        state = feature.name.removeprefix("next_")
        words = feature.shortDescription.replace(f"{spec.width} x {spec.height}", "W x H").replace(state, "X")
        assert f"| {words} |" in guide, feature.name


def test_no_op_that_the_neural_engine_or_core_ml_refuses(package):
    spec = ct.models.utils.load_spec(str(package))
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    ops = {op.type for op in block.operations}
    assert not ops & {"cond", "while_loop", "batch_norm", "lstm", "gru"}
    ranks = {len(out.type.tensorType.dimensions) for op in block.operations for out in op.outputs}
    assert max(ranks) <= 5


def test_an_app_s_user_may_read_every_file(package):
    assert all(f.stat().st_mode & 0o444 == 0o444 for f in package.rglob("*"))


def test_fp32_states_in_an_fp32_package(whole_package):
    assert {s.dtype for s in check_package(whole_package).states} == {"float32"}


def test_a_changed_weight_is_a_wrong_digest(copy):
    weights = copy / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(InputError, match="does not match its digest"):
        check_package(copy)


def _rename_output(spec):
    spec.description.output[0].name = "logits"


def _reshape_state(spec):
    spec.description.input[1].type.multiArrayType.shape[1] += 1


def _grey_picture(spec):
    image = spec.description.input[0].type.imageType
    image.colorSpace = type(image).GRAYSCALE


def _other_labels(spec):
    spec.description.metadata.userDefined[LABELS_KEY] = '["a", "b"]'


def _old_target(spec):
    spec.specificationVersion = 6


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_rename_output, "logits_stage2 is missing"),
        (_reshape_state, "the manifest says float16"),
        (_grey_picture, "the manifest says RGB image 48x64"),
        (_other_labels, "labels"),
        (_old_target, "iOS 16"),
    ],
)
def test_a_package_that_does_not_fit_its_manifest_is_refused(copy, change, says):
    rewrite(copy, change)
    with pytest.raises(CheckFailedError, match=says):
        check_package(copy)


def test_what_is_no_package_of_ours_is_refused(copy, tmp_path):
    rewrite_without = ct.models.utils.load_spec(str(copy))
    del rewrite_without.description.metadata.userDefined[METADATA_KEY]
    (copy / "Data" / "com.apple.CoreML" / "model.mlmodel").write_bytes(rewrite_without.SerializeToString())
    with pytest.raises(InputError, match="without a manifest"):
        check_package(copy)
    empty = tmp_path / "empty.mlpackage"
    empty.mkdir()
    with pytest.raises(InputError, match="no Core ML package"):
        check_package(empty)


def test_without_coremltools_one_line_says_what_to_install(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "coremltools", None)
    ran = run_command(register, "export", checkpoint, "--to", "coreml", "--out", tmp_path)
    assert ran.status == 2
    assert ran.err == "Core ML needs coremltools: install edgevid[deploy]\n"
    assert list(tmp_path.iterdir()) == []


def test_that_somebody_looked_into_a_package_breaks_no_seal(copy):
    (copy / ".DS_Store").write_bytes(b"Bud1")
    (copy / "Data" / ".DS_Store").write_bytes(b"Bud1")
    check_package(copy)
