"""A model file with another manifest."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import coloured_frames, score_frames, tiny_stream_model

from edgevid.errors import InputError
from edgevid.manifest import NO_DIGEST, Calibration
from edgevid.models.load import load, read_model
from edgevid.models.metadata import read_metadata, with_metadata
from edgevid_train.rewrite import rewrite

PROMISE = Calibration(risk=0.02, confidence=0.95, n=149)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_stream_model(tmp_path / "tiny.onnx")


def test_another_manifest_and_the_same_graph(tiny: Path, tmp_path: Path) -> None:
    before = load(tiny)
    out = tmp_path / "deep" / "calibrated.onnx"
    sealed = rewrite(tiny, before.manifest.model_copy(update={"calibration": PROMISE}), out)
    after = load(out)
    assert after.manifest == sealed
    assert sealed.digest not in (NO_DIGEST, before.manifest.digest)
    assert sealed.model_copy(update={"calibration": None, "digest": before.manifest.digest}) == before.manifest
    assert onnx.load(out).graph.SerializeToString() == onnx.load(tiny).graph.SerializeToString()
    onnx.checker.check_model(onnx.load(out))
    frames = coloured_frames(("other", 3), ("red", 8))
    assert np.array_equal(score_frames(frames, before).clip, score_frames(frames, after).clip)


def test_in_place_only_with_force(tiny: Path) -> None:
    data, manifest = read_model(tiny)
    changed = manifest.model_copy(update={"calibration": PROMISE})
    with pytest.raises(InputError, match="exists; give --force"):
        rewrite(tiny, changed, tiny)
    assert tiny.read_bytes() == data
    rewrite(tiny, changed, tiny, force=True)
    assert load(tiny).manifest.calibration == PROMISE


def test_nothing_is_written_that_does_not_load(tiny: Path, tmp_path: Path) -> None:
    manifest = load(tiny).manifest
    wrong = manifest.model_copy(update={"embedding_size": 4})
    with pytest.raises(InputError, match="manifest and graph do not fit"):
        rewrite(tiny, wrong, tmp_path / "out.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.onnx"]
    with pytest.raises(InputError, match="is a folder"):
        rewrite(tiny, manifest, tmp_path, force=True)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=400), max_size=4), st.text(max_size=20), st.text())
def test_metadata_is_replaced_and_nothing_else(entries: dict[str, str], key: str, text: str) -> None:
    graph = onnx.helper.make_graph([], "g", [], [])
    model = onnx.helper.make_model(graph, ir_version=9)
    onnx.helper.set_model_props(model, entries)
    data = model.SerializeToString()
    assert read_metadata(with_metadata(data, key, text)) == entries | {key: text}
    changed = onnx.load_from_string(with_metadata(data, key, text))
    assert {p.key: p.value for p in changed.metadata_props} == entries | {key: text}
    for one in (model, changed):
        one.ClearField("metadata_props")
    assert changed == model
