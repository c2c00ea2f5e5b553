"""Finding and opening a model; and every file that is none, refused in one line that says why."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tiny_models import save, tiny_clip_model, tiny_conditional_model, tiny_manifest, tiny_stream_model

from edgevid.errors import InputError
from edgevid.manifest import METADATA_KEY, NO_DIGEST, ExitSpec, InputSpec, StateSpec
from edgevid.models import load as loading
from edgevid.models.load import bundled_models, find_model, load, read_model
from edgevid.models.metadata import read_metadata
from edgevid.seal import seal


def refusal(model: str | Path) -> str:
    """The one line with which a model is refused."""
    with pytest.raises(InputError) as caught:
        load(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_stream_model(tmp_path / "tiny.onnx")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of assets with two models and a clip graph."""
    folder = tmp_path / "assets" / "models"
    folder.mkdir(parents=True)
    for name in ("air-gesture", "kitchen"):
        tiny_stream_model(folder / f"{name}.onnx", tiny_manifest("stream", name=name))
    tiny_clip_model(folder / "kitchen.clip.onnx")
    monkeypatch.setattr(loading, "asset", lambda place: folder.parent / place)
    return folder


def test_a_model_is_found_by_name_and_by_file(bundle: Path, tiny: Path) -> None:
    assert list(bundled_models()) == ["air-gesture", "kitchen"]
    assert find_model("kitchen") == bundle / "kitchen.onnx"
    assert load("kitchen").manifest.name == "kitchen"
    assert load(tiny).manifest.name == "tiny"
    assert load(str(tiny)).manifest.kind == "stream"


@pytest.mark.usefixtures("bundle")
def test_an_unknown_name_brings_a_suggestion() -> None:
    assert "did you mean air-gesture?" in refusal("airgesture")
    assert "bundled: air-gesture, kitchen" in refusal("zzz")


def test_what_is_no_model_is_refused_saying_which(tmp_path: Path, tiny: Path) -> None:
    assert "no such model file" in refusal(tmp_path / "none.onnx")
    assert "is a directory" in refusal(tmp_path)
    (tmp_path / "m.mlpackage").mkdir()
    assert "Core ML package" in refusal(tmp_path / "m.mlpackage")
    assert "not a regular file" in refusal("/dev/null")
    for name, content, says in [
        ("empty.onnx", b"", "is empty"),
        ("text.onnx", b"hello, I am a model", "no ONNX model"),
        ("zeros.onnx", bytes(1000), "no ONNX model"),
        ("cut.onnx", tiny.read_bytes()[:-200], "no ONNX model, or it is damaged"),
    ]:
        (tmp_path / name).write_bytes(content)
        message = refusal(tmp_path / name)
        assert says in message
        assert name in message


def test_an_onnx_file_without_a_manifest_or_with_a_bad_one_is_refused(tmp_path: Path, tiny: Path) -> None:
    bare = onnx.load(tiny)
    helper.set_model_props(bare, {"author": "someone"})
    onnx.save(bare, tmp_path / "bare.onnx")
    assert "without a manifest" in refusal(tmp_path / "bare.onnx")

    for name, text, says in [
        (
            "future.onnx",
            tiny_manifest("stream").to_json().replace('"schema_version":1', '"schema_version":9'),
            "schema 9",
        ),
        ("text.onnx", "not json", "is not JSON"),
        ("unsealed.onnx", tiny_manifest("stream").to_json(), "never sealed"),
        ("wrong.onnx", tiny_manifest("stream", digest="ab" * 32).to_json(), "does not match its digest"),
    ]:
        helper.set_model_props(bare, {METADATA_KEY: text})
        onnx.save(bare, tmp_path / name)
        assert says in refusal(tmp_path / name)


@given(st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_byte_can_change_unnoticed(tiny: Path, data: st.DataObject) -> None:
    original = tiny_stream_model(tiny.with_name("original.onnx")).read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    flip = data.draw(st.integers(1, 255))
    tiny.write_bytes(original[:position] + bytes([original[position] ^ flip]) + original[position + 1 :])
    with pytest.raises(InputError):
        read_model(tiny)


def test_a_manifest_that_does_not_fit_its_graph_is_refused_saying_where(tmp_path: Path) -> None:
    states = tiny_manifest("stream").states
    misfits = {
        "input 'frame' is uint8 [1, 24, 32, 3], the manifest says uint8 [1, 48, 32, 3]": {
            "input": InputSpec(height=48, width=32)
        },
        "'logits_early' is float32 [1, 4], the manifest says float32 [1, 3] for its 3 labels": {
            "labels": ("red", "green", "other")
        },
        "the graph has no output 'logits_late'": {
            "exits": (ExitSpec(name="early", macs=1), ExitSpec(name="final", macs=2), ExitSpec(name="late", macs=3))
        },
        "the manifest explains no output 'logits_early'": {"exits": (ExitSpec(name="final", macs=2),)},
        "'embedding' is float32 [1, 3], the manifest says float32 [1, 5]": {"embedding_size": 5},
        "the manifest explains no output 'embedding'": {"embedding_size": 0},
        "the graph has no input 'memory'": {"states": (*states, StateSpec(name="memory", shape=(1,)))},
        "the manifest explains no input 'last'": {"states": states[:1]},
        "input 'last' is float32 [1, 3, 1, 1], the manifest says float32 [1, 3]": {
            "states": (states[0], StateSpec(name="last", shape=(1, 3)))
        },
        "input 'last' is float32 [1, 3, 1, 1], the manifest says float16 [1, 3, 1, 1]": {
            "states": (states[0], StateSpec(name="last", shape=(1, 3, 1, 1), dtype="float16"))
        },
    }
    for says, changes in misfits.items():
        path = tiny_stream_model(tmp_path / "misfit.onnx", tiny_manifest("stream", **changes))
        assert says in refusal(path)

    conditional = tmp_path / "conditional.onnx"
    says = "the graph has no input 'threshold_early'"
    assert says in refusal(tiny_stream_model(conditional, tiny_manifest("stream", conditional=True)))
    says = "the manifest explains no input 'threshold_early'"
    assert says in refusal(tiny_conditional_model(conditional, tiny_manifest("stream")))

    assert "has no input 'clip'" in refusal(tiny_stream_model(tmp_path / "misfit.onnx", tiny_manifest("clip")))
    assert "has no input 'frame'" in refusal(tiny_clip_model(tmp_path / "misfit.onnx", tiny_manifest("stream")))
    wrong_length = tiny_clip_model(tmp_path / "misfit.clip.onnx", tiny_manifest("clip", clip_frames=16))
    assert "input 'clip' is uint8 [1, 8, 24, 32, 3]" in refusal(wrong_length)


def test_a_graph_that_onnx_runtime_cannot_run_is_refused(
    tmp_path: Path, tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(tiny)
    model.graph.node[0].op_type = "NoSuchOperation"
    helper.set_model_props(model, {METADATA_KEY: tiny_manifest("stream").to_json()})
    onnx.save(model, tmp_path / "op.onnx")
    seal(tmp_path / "op.onnx")
    assert "ONNX Runtime cannot run it" in refusal(tmp_path / "op.onnx")
    assert capfd.readouterr().err == ""


def test_metadata_is_what_onnx_itself_reads(tiny: Path) -> None:
    assert read_metadata(tiny.read_bytes()) == {p.key: p.value for p in onnx.load(tiny).metadata_props}
    big = numpy_helper.from_array(np.zeros(100_000, np.float32), "big")  # a graph whose length takes several bytes
    graph = helper.make_graph(
        [helper.make_node("Identity", ["big"], ["y"])],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [100_000])],
        [big],
    )
    manifest = tiny_manifest("stream", labels=("größer", "other"))
    text = read_metadata(save(graph, manifest, tiny).read_bytes())[METADATA_KEY]
    assert "größer" in text
    assert NO_DIGEST not in text


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_are_metadata_or_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (UnicodeDecodeError is one too)
        read_metadata(data)
