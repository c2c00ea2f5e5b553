"""`edgevid models list | show`."""

import json
from pathlib import Path

import pytest
from command_runs import run_command
from tiny_models import tiny_clip_model, tiny_conditional_model, tiny_manifest, tiny_stream_model

from edgevid.commands import models
from edgevid.manifest import Calibration, ClipPool, ExitSpec, Manifest, Measurement, Provenance
from edgevid.models import load as loading


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "assets" / "models"
    folder.mkdir(parents=True)
    tiny_stream_model(folder / "air-gesture.onnx", tiny_manifest("stream", name="air-gesture"))
    tiny_clip_model(folder / "air-gesture.clip.onnx")
    monkeypatch.setattr(loading, "asset", lambda place: folder.parent / place)
    return folder


def test_list_names_the_models_but_not_their_clip_graphs(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "list.json"
    ran = run_command(models.register, "models", "list", "--json", out)
    assert ran.status == 0
    assert "air-gesture (default)" in ran.out
    listed = json.loads(out.read_text())["models"]
    assert [m["name"] for m in listed] == ["air-gesture"]
    assert listed[0]["bytes"] == (bundle / "air-gesture.onnx").stat().st_size


def test_list_names_a_damaged_model_and_lists_the_others(bundle: Path) -> None:
    (bundle / "broken.onnx").write_bytes(b"nothing")
    ran = run_command(models.register, "models", "list")
    assert ran.status == 2
    assert "air-gesture" in ran.out
    assert "broken.onnx is no ONNX model" in ran.err
    assert ran.err.count("\n") == 1


def test_list_without_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "asset", lambda _: tmp_path)
    ran = run_command(models.register, "models", "list")
    assert ran.status == 0
    assert "no model comes with this installation" in ran.out


def test_show_tells_everything_a_person_must_know(tmp_path: Path) -> None:
    manifest = tiny_manifest(
        "stream",
        exits=(ExitSpec(name="early", macs=1_500_000, threshold=0.9), ExitSpec(name="final", macs=3_000_000)),
        clip_pool=ClipPool(kind="peak", smooth_s=0.25),
        measured=(
            Measurement(
                metric="top-1",
                value=0.91,
                low=0.87,
                high=0.94,
                split="unseen scenes",
                n=240,
                command="edgevid evaluate x",
            ),
        ),
    )
    path = tiny_stream_model(tmp_path / "tiny.onnx", manifest)
    out = tmp_path / "show.json"
    ran = run_command(models.register, "models", "show", path, "--json", out)
    assert ran.status == 0
    text = " ".join(ran.out.split())
    for says in [
        "4: red, green, blue, other",
        "32x24, stretch, area filter",
        "10 Hz, 8 frames seen at most (0.8 s)",
        "exit early 1.5 million MACs a step, decides from a score of 0.9",
        "exit final 3.0 million MACs a step",
        "2 tensors",
        "the peak step of scores averaged over 0.25 s",
        "start at 0.6 for 0 s, end below 0.3",
        "no promise",
        "written by hand",
        "0.91 (95%: 0.87 to 0.94) on unseen scenes, n = 240; by `edgevid evaluate x`",
    ]:
        assert says in text
    shown = json.loads(out.read_text())
    assert shown.pop("file") == str(path)
    assert shown.pop("bytes") == path.stat().st_size
    tensors = shown.pop("tensors")
    assert tensors["inputs"][0] == {"name": "frame", "dtype": "uint8", "shape": [1, 24, 32, 3]}
    assert [t["name"] for t in tensors["outputs"]][-2:] == ["next_mean", "next_last"]
    assert Manifest.from_json(json.dumps(shown), "shown").exits == manifest.exits


def test_show_says_how_long_a_clip_settles(tmp_path: Path) -> None:
    pool = ClipPool(kind="last", settle_s=0.4)
    path = tiny_stream_model(tmp_path / "tiny.onnx", tiny_manifest("stream", clip_pool=pool))
    shown = " ".join(run_command(models.register, "models", "show", path).out.split())
    assert "the last step, its last frame held for 0.4 s" in shown


def test_show_states_a_promise(tmp_path: Path) -> None:
    promise = Calibration(risk=0.02, confidence=0.95, n=149)
    path = tiny_stream_model(tmp_path / "tiny.onnx", tiny_manifest("stream", calibration=promise))
    shown = " ".join(run_command(models.register, "models", "show", path).out.split())
    assert "gives up at most 0.02 of recordings with confidence 0.95" in shown
    assert "149" in shown


def test_labels_are_text_and_no_markup(tmp_path: Path) -> None:
    path = tiny_stream_model(tmp_path / "t.onnx", tiny_manifest("stream", labels=("[red]a", "[/]", "c", "other")))
    assert "[red]a, [/], c, other" in run_command(models.register, "models", "show", path).out


def test_show_refuses_a_model_whose_graph_does_not_keep_what_its_manifest_says(tmp_path: Path) -> None:
    path = tiny_stream_model(tmp_path / "tiny.onnx", tiny_manifest("stream", embedding_size=9))
    ran = run_command(models.register, "models", "show", path)
    assert ran.status == 2
    assert ran.out == ""
    assert "do not fit" in ran.err
    assert ran.err.count("\n") == 1


def test_show_lists_what_the_graph_takes_and_gives(tmp_path: Path) -> None:
    path = tiny_conditional_model(tmp_path / "tiny.onnx")
    rows = [" ".join(row.split()) for row in run_command(models.register, "models", "show", path).out.splitlines()]
    first = rows.index("name dtype shape")
    assert rows[first + 2 : first + 11] == [
        "input frame uint8 [1, 24, 32, 3]",
        "input mean float32 [1, 3]",
        "input last float32 [1, 3, 1, 1]",
        "input threshold_early float32 [1]",
        "input hold bool [1]",
        "output logits_early, logits_final float32 [1, 4]",
        "output embedding float32 [1, 3]",
        "output exit int64 [1]",
        "output next_X, of every state X as X as X",
    ]


def test_show_lists_the_tensors_of_a_clip_graph(tmp_path: Path) -> None:
    shown = run_command(models.register, "models", "show", tiny_clip_model(tmp_path / "tiny.clip.onnx")).out
    rows = [" ".join(row.split()) for row in shown.splitlines()]
    assert "input clip uint8 [1, 8, 24, 32, 3]" in rows
    assert "output logits_early, logits_final float32 [1, 8, 4]" in rows
    assert "next_" not in shown


def test_show_says_that_a_model_is_conditional(tmp_path: Path) -> None:
    ran = run_command(models.register, "models", "show", tiny_conditional_model(tmp_path / "tiny.onnx"))
    assert ran.status == 0
    assert "only when no earlier exit is sure" in " ".join(ran.out.split())


def test_what_others_wrote_into_a_manifest_moves_no_cursor(tmp_path: Path) -> None:
    made = Provenance(data="clips\x1b[31m\nmeasured  0.99", weights="w", licences="l", recipe="r")
    path = tiny_stream_model(tmp_path / "t.onnx", tiny_manifest("stream", provenance=made))
    shown = run_command(models.register, "models", "show", path).out
    assert r"clips\x1b[31m\nmeasured  0.99" in shown
    assert "\x1b" not in shown
