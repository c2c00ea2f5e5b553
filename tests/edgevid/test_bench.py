"""`edgevid bench` measures the network alone and says so in the fields that others read."""

import json
from pathlib import Path

import pytest
from command_runs import run_command
from tiny_models import (
    T,
    coloured_frames,
    damage,
    tiny_clip_model,
    tiny_conditional_model,
    tiny_manifest,
    tiny_stream_model,
)

from edgevid.commands import bench
from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid.models.bench import Latency, by_exit, measure
from edgevid.models.contract import StreamModel
from edgevid.models.load import load


def test_a_stream_model_is_measured_beside_its_clip_graph(tmp_path: Path) -> None:
    model = tiny_stream_model(tmp_path / "tiny.onnx")
    tiny_clip_model(tmp_path / "tiny.clip.onnx")
    figures = tmp_path / "bench.json"
    ran = run_command(bench.register, "bench", model, "--steps", 40, "--json", figures)
    assert ran.status == 0
    assert "one step" in ran.out
    assert "a clip of 8 frames" in ran.out
    data = json.loads(figures.read_text())
    assert data["model"].startswith("tiny@")
    assert data["threads"] == 1
    assert 0 < data["step_ms"]["p50"] <= data["step_ms"]["p95"]
    assert 0 < data["clip_ms"]["p50"] <= data["clip_ms"]["p95"]
    assert [(e["name"], e["macs"]) for e in data["exits"]] == [("early", 12), ("final", 24)]
    assert data["exits"][0]["step_ms"] is None, "one graph computes every exit: the early one cannot be timed apart"
    assert data["exits"][1]["step_ms"] == data["step_ms"]
    assert data["load_ms"] > 0
    assert 10 < data["rss_mb"] < 2000
    assert (data["steps"], data["clips"]) == (40, 5)


def test_a_stream_model_alone_has_no_clip_figures(tmp_path: Path) -> None:
    result = measure(tiny_stream_model(tmp_path / "tiny.onnx"), steps=3)
    assert result.clip_ms is None
    assert (result.steps, result.clips) == (3, 0)


def test_a_conditional_model_is_made_to_stop_at_each_exit(tmp_path: Path) -> None:
    ran = run_command(bench.register, "bench", tiny_conditional_model(tmp_path / "tiny.onnx"), "--steps", 5)
    assert ran.status == 0
    assert "not apart" not in ran.out
    result = measure(tmp_path / "tiny.onnx", steps=5)
    assert [e.name for e in result.exits if e.step_ms] == ["early", "final"]
    assert result.hold_ms is not None
    assert "none: the memory alone" in ran.out
    assert result.step_ms == result.exits[-1].step_ms
    assert result.steps == 5


def test_a_conditional_model_is_timed_at_the_exit_that_it_is_said_to_be(tmp_path: Path) -> None:
    model = load(tiny_conditional_model(tmp_path / "tiny.onnx"))
    assert isinstance(model, StreamModel)
    grey = coloured_frames(("other", 1))[0]
    stopping = by_exit(model)
    assert list(stopping) == ["early", "final"]
    assert [m.step(grey, m.zero_state())[0].exit for m in stopping.values()] == [0, 1]


def test_a_clip_model_has_only_clip_figures(tmp_path: Path) -> None:
    result = measure(tiny_clip_model(tmp_path / "tiny.clip.onnx"), steps=3)
    assert result.step_ms is None
    assert result.clip_ms is not None
    assert result.clips == 3


def test_the_time_of_nan_is_nobodys(tmp_path: Path) -> None:
    stream = damage(tiny_stream_model(tmp_path / "tiny.onnx"), "stream")
    clip = damage(tiny_clip_model(tmp_path / "tiny.clip.onnx"), "clip")
    for model in (stream, clip):
        ran = run_command(bench.register, "bench", model, "--steps", 2, "--json", tmp_path / "b.json")
        assert ran.status == 1
        assert "the model computed NaN or infinity" in ran.err
        assert not (tmp_path / "b.json").exists()


def test_a_clip_graph_of_another_model_is_refused(tmp_path: Path) -> None:
    tiny_clip_model(tmp_path / "tiny.clip.onnx")
    other = tiny_stream_model(
        tmp_path / "tiny.onnx", tiny_manifest("stream", input=InputSpec(height=24, width=32, fit="crop"))
    )
    with pytest.raises(InputError, match=r"not the clip graph of tiny\.onnx"):
        measure(other, steps=3)


def test_a_clip_graph_of_another_length_is_measured_at_its_own(tmp_path: Path) -> None:
    tiny_clip_model(tmp_path / "tiny.clip.onnx")
    stream = tiny_stream_model(tmp_path / "tiny.onnx", tiny_manifest("stream", clip_frames=T + 5))
    assert measure(stream, steps=3).clip_frames == T


def test_existing_figures_are_kept_unless_forced(tmp_path: Path) -> None:
    model = tiny_stream_model(tmp_path / "tiny.onnx")
    figures = tmp_path / "bench.json"
    figures.write_text("precious")
    ran = run_command(bench.register, "bench", model, "--steps", 2, "--json", figures)
    assert ran.status == 2
    assert ran.err.count("\n") == 1
    assert "--force" in ran.err
    assert figures.read_text() == "precious"
    assert run_command(bench.register, "bench", model, "--steps", 2, "--json", figures, "--force").status == 0
    assert json.loads(figures.read_text())["steps"] == 2


@pytest.mark.parametrize("args", [["none.onnx"], ["nope"], ["--threads", "0", "x"], ["--steps", "0", "x"], []])
def test_bad_usage_is_status_2(args: list[str]) -> None:
    assert run_command(bench.register, "bench", *args).status == 2


def test_percentiles_are_in_milliseconds() -> None:
    assert Latency.of([0.001] * 90 + [0.010] * 10) == Latency(p50=1.0, p95=10.0)
