"""`edgevid export` and `edgevid verify` as a person runs them, on a small checkpoint and a small video."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_runs import run_command
from onnx import numpy_helper
from students import small_student, write_checkpoint
from tiny_models import save, tiny_stream_model
from videos import write_audio

from edgevid.errors import InputError
from edgevid.manifest import NO_DIGEST, Manifest
from edgevid.models.load import load, read_model
from edgevid_deploy.commands import register
from edgevid_deploy.export import read_measurements
from edgevid_deploy.onnx import stored_precision
from edgevid_deploy.verify import sampled_pixels
from edgevid_train.rewrite import rewrite


def run(*args):
    return run_command(register, *args)


def test_an_export_is_verified_against_its_checkpoint_on_a_video(exported, checkpoint, video, tmp_path):
    model, figures = exported / "small.onnx", tmp_path / "figures.json"
    ran = run("verify", model, "--against", checkpoint, "--frames", video, "--steps", 50, "--json", figures)
    assert (ran.status, ran.err) == (0, "")
    assert "verified" in ran.out
    assert "50 steps" in ran.out
    assert "final" in ran.out
    assert "worst of 2 states" in ran.out
    result = json.loads(figures.read_text())
    assert result["ok"]
    assert result["numeric"]
    assert result["tolerance"] == 1e-4
    assert result["package"] == read_model(model)[1].id
    assert result["forgetting"] > 0.01
    by_name = {drift["output"]: drift for drift in result["drifts"]}
    assert 0 < by_name["logits_final"]["max_abs"] <= by_name["logits_final"]["limit"]
    assert by_name["logits_final"]["agreement"] == 1
    assert len(by_name) == 2 + 1 + 2


def test_the_clip_graph_is_verified_too_and_against_the_stream_graph(exported, checkpoint, video):
    for against in (checkpoint, exported / "small.onnx"):
        ran = run("verify", exported / "small.clip.onnx", "--against", against, "--frames", video, "--steps", 21)
        assert (ran.status, ran.err) == (0, "")
        assert "21 steps" in ran.out


def test_halved_weights_pass_their_own_tolerance_and_not_that_of_whole_ones(exported, checkpoint, video, tmp_path):
    ran = run("export", checkpoint, "--to", "onnx", "--precision", "fp16", "--out", tmp_path, "--name", "half")
    assert ran.status == 0
    assert "fp16" in ran.out
    half = tmp_path / "half.onnx"
    assert stored_precision(half) == "fp16"
    assert half.stat().st_size < 0.7 * (exported / "small.onnx").stat().st_size
    for against in (checkpoint, exported / "small.onnx"):  # model against model as well
        ran = run("verify", half, "--against", against, "--frames", video, "--steps", 24)
        assert (ran.status, ran.err) == (0, "")
        assert "allowed: 0.02 of" in ran.out
    ran = run("verify", half, "--against", checkpoint, "--frames", video, "--steps", 24, "--tolerance", "1e-4")
    assert ran.status == 1
    assert "is not verified" in ran.err
    assert ran.err.count("\n") == 1


def test_a_cascade_that_stops_early_is_compared_to_the_end(exported, checkpoint, video, tmp_path):
    manifest = load(exported / "small.onnx").manifest
    eager = tmp_path / "eager.onnx"
    rewrite(exported / "small.onnx", manifest.with_thresholds([0.0] * len(manifest.exits)), eager)
    ran = run("verify", eager, "--against", checkpoint, "--frames", video, "--steps", 24)
    assert (ran.status, ran.err) == (0, "")


def test_weights_that_were_wiped_are_found_and_the_figures_are_written_all_the_same(
    exported, checkpoint, video, tmp_path
):
    """Sealed anew, so that only the numbers can tell."""
    path = exported / "small.onnx"
    graph = onnx.load(path).graph
    largest = max(graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights = numpy_helper.to_array(largest).copy()
    weights.flat[:100] = 0
    largest.CopyFrom(numpy_helper.from_array(weights, largest.name))
    manifest = Manifest.model_validate(read_model(path)[1].model_dump() | {"digest": NO_DIGEST})
    wiped = save(graph, manifest, tmp_path / "wiped.onnx")
    figures = tmp_path / "figures.json"
    ran = run("verify", wiped, "--against", checkpoint, "--frames", video, "--steps", 24, "--json", figures)
    assert ran.status == 1
    assert "strays by" in ran.err
    assert not json.loads(figures.read_text())["ok"]


def test_export_says_what_it_wrote_and_writes_the_same_bytes_every_time(checkpoint, exported, tmp_path):
    out, listed = tmp_path / "made" / "here", tmp_path / "written.json"
    out.mkdir(parents=True)
    (out / "small.onnx").write_text("an older one")
    ran = run("export", checkpoint, "--to", "onnx", "--out", out, "--json", listed, "--force")
    assert (ran.status, ran.err) == (0, "")
    files = json.loads(listed.read_text())["files"]
    assert [file["file"] for file in files] == [str(out / "small.onnx"), str(out / "small.clip.onnx")]
    assert sorted(f.name for f in out.iterdir()) == ["small.clip.onnx", "small.onnx"]
    for file in files:
        path = Path(file["file"])
        assert file["bytes"] == path.stat().st_size
        assert file["model"] == load(path).manifest.id
        assert path.read_bytes() == (exported / path.name).read_bytes()


def test_what_a_model_says_of_its_data_is_said_at_export(checkpoint, exported, tmp_path):
    before = load(exported / "small.onnx").manifest.provenance
    ran = run("export", checkpoint, "--to", "onnx", "--out", tmp_path, "--data", "ours", "--licences", "MIT")
    assert (ran.status, ran.err) == (0, "")
    for file in ("small.onnx", "small.clip.onnx"):
        said = load(tmp_path / file).manifest.provenance
        assert said == before.model_copy(update={"data": "ours", "licences": "MIT"})


def test_measured_figures_go_into_the_manifest(tmp_path):
    measured = tmp_path / "measured.json"
    figure = {"metric": "top1", "value": 0.9, "split": "fold 1 of 5", "n": 35, "command": "edgevid evaluate …"}
    measured.write_text(json.dumps([figure]))
    (read,) = read_measurements(measured)
    assert (read.metric, read.value, read.n, read.low) == ("top1", 0.9, 35, None)
    measured.write_text(json.dumps([figure | {"value": "good"}]))
    with pytest.raises(InputError, match=r"measured\.json: 0\.value"):
        read_measurements(measured)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("export", "{tmp}/none", "--to", "onnx", "--out", "{tmp}"), "none is no student checkpoint"),
        (("export", "{checkpoint}", "--to", "onnx", "--out", "{tmp}", "--name", "a/b"), "--name 'a/b'"),
        (("export", "{checkpoint}", "--to", "onnx", "--out", "{tmp}", "--measured", "{tmp}/no.json"), "no.json"),
        (("export", "{checkpoint}", "--to", "onnx", "--out", "{tmp}", "--measured", "{tiny}"), "tiny.onnx: the file"),
        (("export", "{checkpoint}", "--to", "onnx", "--out", "{tiny}"), "is not a folder"),
        (("verify", "{tmp}/none.onnx", "--against", "{checkpoint}"), "no such model file"),
        (("verify", "{tmp}/none.mlpackage", "--against", "{checkpoint}"), "no such package"),
        (("verify", "{small}", "--against", "{tmp}"), "is no student checkpoint"),
        (("verify", "{small}", "--against", "nonsense"), "'nonsense'"),
        (("verify", "{small}", "--against", "{checkpoint}", "--frames", "{tmp}/none.mp4"), "no such file"),
        (("verify", "{small}", "--against", "{checkpoint}", "--frames", "{sound}"), "only sound"),
        (("verify", "{checkpoint}", "--against", "{checkpoint}"), "is a directory"),
        (("verify", "{small}", "--against", "{small}"), "itself: give the checkpoint"),
        (("verify", "{small}", "--against", "{checkpoint}", "--tolerance", "inf"), "expected a finite number"),
        (("verify", "{small}", "--against", "{checkpoint}", "--frames", "{tmp}"), "is a folder, not a video"),
        (
            ("export", "{checkpoint}", "--to", "coreml", "--out", "{tmp}", "--clip-frames", "5"),
            "of the ONNX clip graph",
        ),
        (("export", "{checkpoint}", "--to", "onnx", "--out", "{tmp}", "--json", "{tmp}/small.onnx"), "two outputs are"),
    ],
)
def test_bad_input_is_one_line_and_status_2(exported, checkpoint, tmp_path, args, says):
    places = {
        "tmp": tmp_path,
        "checkpoint": checkpoint,
        "small": exported / "small.onnx",
        "tiny": tiny_stream_model(tmp_path / "tiny.onnx"),
        "sound": write_audio(tmp_path / "sound.m4a"),
    }
    ran = run(*(arg.format(**places) for arg in args))
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1


def test_another_model_is_no_reference(exported, checkpoint, video, tmp_path):
    tiny = tiny_stream_model(tmp_path / "tiny.onnx")
    ran = run("verify", tiny, "--against", checkpoint, "--frames", video)
    assert ran.status == 1
    assert "not the same model: labels" in ran.err
    other = write_checkpoint(tmp_path / "other", small_student(height=64, width=48, exits=(2, 3), shift_divisor=4))
    ran = run("verify", exported / "small.onnx", "--against", other, "--frames", video)
    assert ran.status == 1
    assert "the states are" in ran.err


def test_a_damaged_file_is_refused_before_it_is_run(exported, checkpoint, tmp_path):
    copy = tmp_path / "small.onnx"
    shutil.copy(exported / "small.onnx", copy)
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 0xFF
    copy.write_bytes(data)
    ran = run("verify", copy, "--against", checkpoint)
    assert ran.status == 2
    assert "does not match its digest" in ran.err


def test_frames_come_as_the_runtime_samples_them_and_go_round(exported, video):
    manifest = load(exported / "small.onnx").manifest
    frames = sampled_pixels([video], manifest)
    first_lap = [next(frames) for _ in range(40)]
    assert first_lap[0].shape == (64, 48, 3)
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(first_lap))
    assert np.array_equal(next(frames), first_lap[0])
