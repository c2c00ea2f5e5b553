"""`edgevid evaluate --stream` and `edgevid fit-events`: streams made of clips, and what the live path finds in them."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from command_runs import Ran, run_command
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tiny_models import (
    coloured_frames,
    tiny_clip_model,
    tiny_conditional_model,
    tiny_manifest,
    tiny_stream_model,
)
from videos import truncate, write_video

from edgevid.commands import detect as detect_command
from edgevid.errors import InputError
from edgevid.frame import Frame
from edgevid.manifest import EventRule, HoldRule, Provenance
from edgevid.models.load import load
from edgevid.sampling import GAP_S
from edgevid_train import commands
from edgevid_train.annotations import ClipRecord, ReadOptions, read_data
from edgevid_train.evaluate.streams import plan as stream_plan
from edgevid_train.evaluate.streams.evaluate import prepare
from edgevid_train.evaluate.streams.fit_events import fit_rule, judge
from edgevid_train.evaluate.streams.matching import Action, count
from edgevid_train.evaluate.streams.plan import Rest, Shown, StreamPlan, StreamSettings, Video, plan_streams
from edgevid_train.evaluate.streams.report import notes
from edgevid_train.evaluate.streams.run import Trace, watch
from edgevid_train.evaluate.streams.source import Camera, StreamSource
from edgevid_train.marks import MOST, marks_of_all
from edgevid_train.negatives import whole_negatives
from edgevid_train.reporter import Reporter
from edgevid_train.rewrite import rewrite

DEAF = EventRule(on=0.999, off=0.99, min_s=1.5, cooldown_s=0.5, smooth_s=0.7)
"""A rule under which the tiny model never says anything."""


def command(*args: object) -> Ran:
    return run_command(commands.register, *args)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine clips of three scenes at three rates, a second of colour between greys, and one of nothing but grey."""
    folder = tmp_path_factory.mktemp("colours")
    rows = ["file,label,group,start_s,end_s"]
    for i in range(9):
        rate_hz, label = (10, 15, 24)[i % 3], ("red", "green", "blue")[i // 3]
        pixels = coloured_frames(("other", rate_hz // 2), (label, rate_hz), ("other", rate_hz // 2))
        write_video(folder / f"{i}.mp4", list(pixels), fps=rate_hz)
        rows.append(f"{i}.mp4,{label},scene{i % 3},,")
    write_video(folder / "still.mp4", list(coloured_frames(("other", 8))), fps=10)
    rows.append("still.mp4,other,scene0,,")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def negatives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video of grey, one that turns red for a second, one file that is no video."""
    folder = tmp_path_factory.mktemp("negatives")
    write_video(folder / "a_grey.mp4", list(coloured_frames(("other", 40), height=36, width=32)), fps=10)
    write_video(folder / "b_red.mp4", list(coloured_frames(("other", 60), ("red", 10), ("other", 10))), fps=10)
    (folder / "c_broken.mp4").write_bytes(b"not a video")
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_stream_model(tmp_path_factory.mktemp("tiny") / "tiny.onnx")


records = st.lists(
    st.tuples(st.sampled_from(["up", "down", "other"]), st.integers(0, 5), st.floats(0.5, 8)), min_size=1, max_size=30
).filter(lambda clips: any(label != "other" for label, _, _ in clips))


@given(
    clips=records,
    minutes=st.floats(0.1, 2),
    gaps=st.sampled_from([0.0, 0.2, 0.4, 0.5]),
    outtakes=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_what_holds_for_any_plan(
    clips: list[tuple[str, int, float]], minutes: float, gaps: float, outtakes: int, seed: int
) -> None:
    lengths = {Path(f"{i}.mp4"): seconds for i, (_, _, seconds) in enumerate(clips)}
    lengths |= {Path(f"n{i}.mp4"): 30.0 for i in range(outtakes)}
    data = [
        ClipRecord(Path(f"{i}.mp4"), f"{i}.mp4", (label,), f"g{group}") for i, (label, group, _) in enumerate(clips)
    ]
    settings = StreamSettings(minutes, gaps, laps=2, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_plan, "probe", lambda file, _least_s: Video(file, 32, 24, lengths[file]))
        outfiles = [Path(f"n{i}.mp4") for i in range(outtakes)]
        plans = plan_streams(data, outfiles, settings)
        assert plans == plan_streams(data, outfiles, settings)
    home: dict[tuple[int, str], str] = {}
    shown: list[str] = []
    for i, plan in enumerate(plans.streams):
        acting_s, idle_s, last_s = 0.0, 0.0, 0.0
        for piece in plan.pieces:
            if isinstance(piece, Rest):
                assert 10 <= piece.rate_hz <= 30
                length_s = piece.seconds
            else:
                length_s = lengths[piece.file] if piece.end_s is None else piece.end_s - piece.start_s
                assert length_s <= lengths[piece.file]
            if isinstance(piece, Shown) and piece.record is not None:
                shown.append(piece.record.name)
                lap = i >= len(plans.streams) // 2
                assert home.setdefault((lap, piece.record.group), plan.name) == plan.name
            if isinstance(piece, Shown) and piece.is_action:
                acting_s, last_s = acting_s + length_s, 0.0
            else:
                idle_s, last_s = idle_s + length_s, last_s + length_s
        assert last_s >= stream_plan.LAST_S - 1e-6
        assert idle_s <= acting_s * gaps / (1 - gaps) + stream_plan.LAST_S + 1e-6
    left = {record.name for record in plans.left_out}
    assert {record.name for record in data if record.label != "other"}.isdisjoint(left)
    for record in data:
        if record.label != "other":
            assert shown.count(record.name) == 2


def played(plan: StreamPlan) -> tuple[StreamSource, list[Frame]]:
    with StreamSource(plan) as source:
        return source, list(source)


def test_time_goes_on_and_the_truth_lies_where_the_clips_are(colours: Path) -> None:
    plans = plan_streams(read_data(colours), [], StreamSettings(seed=3))
    assert [plan.name for plan in plans.streams] == ["stream 1"]
    source, frames = played(plans.streams[0])
    times_s = [frame.time_s for frame in frames]
    assert times_s[0] == 0
    steps_s = [after - before for before, after in pairwise(times_s)]
    assert min(steps_s) > 0
    assert max(steps_s) <= 0.11
    assert len({round(step, 2) for step in steps_s}) > 3  # sources of several rates
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert {frame.pixels.shape for frame in frames} == {(24, 32, 3)}
    assert sorted(action.label for action in source.actions) == ["blue"] * 3 + ["green"] * 3 + ["red"] * 3
    assert source.gap_s <= 0.5 * times_s[-1]
    assert source.gap_s + sum(a.end_s - a.start_s for a in source.actions) == pytest.approx(times_s[-1], abs=0.11)
    for action in source.actions:
        assert action.end_s - action.start_s == pytest.approx(2, abs=0.11)
        middle = min(frames, key=lambda frame: abs(frame.time_s - (action.start_s + action.end_s) / 2))
        channel = ("red", "green", "blue").index(action.label)
        assert middle.pixels.mean(axis=(0, 1)).argmax() == channel
        assert middle.pixels[..., channel].mean() > 200


def test_a_labelled_span_is_shown_and_the_rest_of_its_file_is_not(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", list(coloured_frames(("red", 20), ("blue", 20))), fps=10)
    (tmp_path / "clips.csv").write_text("file,label,start_s,end_s\na.mp4,blue,2.5,3.5\n")
    source, frames = played(plan_streams(read_data(tmp_path), [], StreamSettings()).streams[0])
    (action,) = source.actions
    assert action.end_s - action.start_s == pytest.approx(1.0)
    assert all(frame.pixels[..., 2].mean() > 200 for frame in frames)


def test_a_rest_begins_and_ends_where_the_clips_do_and_moves(tmp_path: Path) -> None:
    scene = np.kron(np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    file = write_video(tmp_path / "a.mp4", [scene] * 10, fps=10)
    clip = Shown(file, 0.0, None, ClipRecord(file, "a.mp4", ("up",), "g"))
    plan = StreamPlan("s", 128, 96, (Rest(3, 10, False, 1), clip, Rest(3, 20, True, 2)))
    source, frames = played(plan)
    assert source.actions[0].start_s == pytest.approx(3.0)
    assert source.actions[0].end_s == pytest.approx(4.0)

    def changed(a: Frame, b: Frame) -> float:
        return float(np.abs(a.pixels.astype(int) - b.pixels).mean())

    before, shown, after = frames[:30], frames[30:40], frames[40:]
    assert changed(before[-1], shown[0]) < changed(before[0], shown[0]) / 2
    assert changed(shown[-1], after[0]) < 1
    for rest in (before, after[20:]):
        assert all(changed(a, b) > 0.1 for a, b in pairwise(rest))
        assert changed(rest[0], rest[-1]) > 5


def test_a_camera_is_the_same_for_the_same_seed_and_slow() -> None:
    scene = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    assert np.array_equal(Camera(5).look(scene, 2.0), Camera(5).look(scene, 2.0))
    assert not np.array_equal(Camera(5).look(scene, 2.0), Camera(6).look(scene, 2.0))
    assert np.array_equal(Camera(5).look(scene, 0.0), scene)


def test_sizes_and_holes_in_time(tmp_path: Path) -> None:
    wide = write_video(tmp_path / "wide.mp4", list(coloured_frames(("red", 10), height=24, width=64)), fps=10)
    tall = tmp_path / "hole.mp4"
    write_video(tall, list(coloured_frames(("blue", 4))), times_s=[0.0, 0.1, 3.0, 3.1])
    pieces = (
        Shown(wide, 0, None, ClipRecord(wide, "wide.mp4", ("red",), "g")),
        Shown(wide, 0.2, 0.8, rate_hz=5),
        Shown(tall, 0, None, ClipRecord(tall, "hole.mp4", ("blue",), "g")),
    )
    source, frames = played(StreamPlan("s", 32, 24, pieces))
    assert {frame.pixels.shape for frame in frames} == {(24, 32, 3)}
    assert frames[5].pixels[0].max() == 0  # an action is shown whole, between bars
    assert frames[11].pixels[0, :, 0].min() > 200  # what stands between fills the picture,
    assert [round(f.time_s, 2) for f in frames[10:13]] == [1.0, 1.2, 1.4]  # at a lower rate
    assert max(b.time_s - a.time_s for a, b in pairwise(frames)) <= 0.5 < GAP_S
    assert [action.label for action in source.actions] == ["red", "blue"]


def test_what_the_rule_was_told_makes_the_same_events_again(colours: Path, tiny: Path) -> None:
    network = load(tiny)
    (plan,) = plan_streams(read_data(colours), [], StreamSettings(seed=1)).streams
    for gate in (True, False):
        with StreamSource(plan) as source:
            seen = watch(source, network, gate=gate, actions=source.actions)
        assert count(seen.stream).matched == 9
        assert count(seen.stream).extra == 0
        again = seen.trace.under(network.manifest.events, network.manifest)
        assert replace(again, found=()) == replace(seen.stream, found=())
        for a, b in zip(again.found, seen.stream.found, strict=True):
            assert (a.label, a.start_s, a.end_s, a.score) == (b.label, b.start_s, b.end_s, b.score)
            assert a.emitted_s == pytest.approx(b.emitted_s)
        assert seen.trace.under(DEAF, network.manifest).found == ()
        assert seen.metrics["state_resets"] == seen.metrics["gaps"] == 0
        frames = seen.metrics["frames"]
        assert frames["dropped"] == 0
        assert frames["computed"] + frames["gated"] == pytest.approx(10 * seen.stream.seconds, abs=9)


def test_an_action_behind_its_files_end_is_missed_and_named(tmp_path: Path, colours: Path, tiny: Path) -> None:
    rows = (colours / "clips.csv").read_text().splitlines()
    for video in colours.glob("*.mp4"):
        (tmp_path / video.name).write_bytes(video.read_bytes())
    file = next(row.partition(",")[0] for row in rows[1:] if ",red," in row)
    before = f"{file},red,scene9,500,501"
    (tmp_path / "clips.csv").write_text("\n".join([rows[0], before, *rows[1:]]) + "\n")
    ran = command("evaluate", tiny, tmp_path, "--stream", "--json", tmp_path / "far.json")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "far.json").read_text())
    assert (found["actions"], found["missed"]) == (10, 1)
    assert found["skipped"] == [{"file": f"{file}[500:501]", "reason": "no frames from 500 s on"}]
    assert f"skipped, an action in it counts as missed: {file}[500:501]: no frames from 500 s on" in ran.out


def test_a_span_that_ends_long_after_its_file_makes_no_long_gaps(tmp_path: Path, colours: Path, tiny: Path) -> None:
    rows = (colours / "clips.csv").read_text().splitlines()
    for video in colours.glob("*.mp4"):
        (tmp_path / video.name).write_bytes(video.read_bytes())
    rows[1] = f"{rows[1].rpartition(',')[0]},1e9"  # as in a table of milliseconds
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
    ran = command("evaluate", tiny, tmp_path, "--stream", "--json", tmp_path / "long.json")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "long.json").read_text())
    assert found["gap_share"] <= 0.6
    assert found["minutes"] < 3


def test_a_clip_of_which_no_frame_comes_is_missed_and_named(
    colours: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = StreamSource._shown
    monkeypatch.setattr(
        StreamSource,
        "_shown",
        lambda self, piece: (
            (frame for frame in ()) if piece.record and piece.record.label == "red" else original(self, piece)
        ),
    )
    said = io.StringIO()
    reporter = Reporter(Console(file=said, width=200))
    report = prepare(str(tiny), colours, ReadOptions(), StreamSettings(), report=reporter).run(reporter)
    figures = report.to_json()
    reds = sum(",red," in row for row in (colours / "clips.csv").read_text().splitlines())
    assert (figures["actions"], len(figures["lost"])) == (9, reds)
    assert any("none of its frames could be played" in line for line in notes(report))


@pytest.mark.parametrize("make", [tiny_stream_model, tiny_clip_model])
def test_evaluate_stream_as_a_person_runs_it(tmp_path: Path, colours: Path, negatives: Path, make) -> None:
    model, out = make(tmp_path / "tiny.onnx"), tmp_path / "report"
    ran = command("evaluate", model, colours, "--stream", "--negatives", negatives, "--out", out)
    assert ran.status == 0, ran.err
    found = json.loads((out / "report.json").read_text())
    assert found["actions"] == 9
    assert found["recall"] == 1
    assert found["gap_share"] <= 0.5
    assert found["resets"] == 0
    assert [Path(one["file"]).name for one in found["negatives"]] == ["a_grey.mp4", "b_red.mp4"]
    assert found["false_alarms"] == 1
    assert found["negative_hours"] == pytest.approx(12 / 3600, rel=0.1)
    assert [Path(one["file"]).name for one in found["skipped"]] == ["c_broken.mp4"]
    assert (out / "stream-1.png").read_bytes().startswith(b"\x89PNG")
    assert "event F1 " in ran.out
    assert "1 false alarms in 0.2 minutes of negative video" in ran.out
    assert "c_broken.mp4" in ran.out
    assert "does not say which recordings it was trained on" in ran.out
    assert command("evaluate", model, colours, "--stream", "--out", out).status == 2
    again = command("evaluate", model, colours, "--stream", "--out", out, "--force")
    assert again.status == 0, again.err
    assert json.loads((out / "report.json").read_text())["negatives"] == []
    detected = run_command(
        detect_command.register, "detect", negatives / "b_red.mp4", "--model", model, "--json", tmp_path / "d"
    )
    assert detected.status == 0
    (alone,) = json.loads((tmp_path / "d").read_text())["files"][0]["events"]
    (among,) = found["negatives"][1]["events"]
    assert [among[key] for key in ("label", "start_s", "end_s")] == [
        alone[key] for key in ("label", "start_s", "end_s")
    ]


def test_the_same_seed_gives_the_same_figures_and_another_one_other_streams(
    tmp_path: Path, colours: Path, tiny: Path
) -> None:
    told = []
    for i, seed in enumerate((4, 4, 5)):
        file = tmp_path / f"{i}.json"
        assert command("evaluate", tiny, colours, "--stream", "--seed", seed, "--json", file).status == 0
        found = json.loads(file.read_text())
        told.append([(a["file"], a["start_s"]) for stream in found["streams"] for a in stream["actions"]])
    assert told[0] == told[1] != told[2]


def test_what_cannot_be_read_counts_as_missed(tmp_path: Path, tiny: Path) -> None:
    for i in range(3):
        write_video(tmp_path / f"{i}.mp4", list(coloured_frames(("other", 5), ("red", 10), ("other", 5))), fps=10)
    (tmp_path / "1.mp4").write_bytes(b"not a video")
    truncate(tmp_path / "2.mp4", 0.0)
    (tmp_path / "clips.csv").write_text("file,label\n0.mp4,red\n1.mp4,red\n2.mp4,red\n")
    ran = command("evaluate", tiny, tmp_path, "--stream", "--laps", 2, "--json", tmp_path / "out.json")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["actions"], found["matched"], found["missed"]) == (6, 2, 4)
    assert [Path(one["file"]).name for one in found["skipped"]] == ["1.mp4", "2.mp4"]


def test_fit_events_writes_a_model_with_a_better_rule(tmp_path: Path, colours: Path, negatives: Path) -> None:
    model = tiny_stream_model(tmp_path / "deaf.onnx", tiny_manifest("stream", events=DEAF))
    fitted, told = tmp_path / "fitted.onnx", tmp_path / "fit.json"
    ran = command(
        "fit-events", model, colours, "--negatives", negatives / "a_grey.mp4", "--out", fitted, "--json", told
    )
    assert ran.status == 0, ran.err
    found = json.loads(told.read_text())
    assert found["before"]["f1"] == 0
    assert found["figures"]["f1"] == 1
    before, after = load(model).manifest, load(fitted).manifest
    assert after.events.model_dump() == found["rule"] != found["was"] == before.events.model_dump()
    assert after.model_copy(update={"events": DEAF, "digest": before.digest}) == before
    assert after.id == found["written"]
    assert command("fit-events", model, colours, "--out", fitted).status == 2
    file = tmp_path / "again.json"
    assert command("evaluate", fitted, colours, "--stream", "--seed", 9, "--json", file).status == 0
    assert json.loads(file.read_text())["recall"] == 1


def test_a_rule_is_fitted_to_the_cascade_that_will_run(tmp_path: Path, colours: Path, negatives: Path) -> None:
    model = tiny_conditional_model(tmp_path / "deaf.onnx", tiny_manifest("stream", conditional=True, events=DEAF))
    fitted, told = tmp_path / "fitted.onnx", tmp_path / "fit.json"
    ran = command(
        *("fit-events", model, colours, "--negatives", negatives / "a_grey.mp4", "--threshold", 0.75),
        *("--out", fitted, "--json", told),
    )
    assert ran.status == 0, ran.err
    after = load(fitted).manifest
    assert [e.threshold for e in after.exits] == [0.75, None]
    assert after.events.model_dump() == json.loads(told.read_text())["rule"] != DEAF.model_dump()
    shares = []
    for words in ((), ("--threshold", 1)):
        ran = command("evaluate", fitted, colours, "--stream", *words, "--json", tmp_path / "e.json", "--force")
        found = json.loads((tmp_path / "e.json").read_text())
        assert f"{found['macs_share']:.0%} of the multiply-accumulates of" in ran.out
        shares.append((found["recall"], found["macs_share"], found["exits"]))
    (recall, share, exits), whole = shares
    assert recall == 1
    assert share < 0.6 < 1 == whole[1], "the early exit costs half"
    assert exits["early"] > exits["final"]
    assert whole[2]["early"] == 0


def test_a_rule_is_fitted_to_the_looks_that_there_will_be(tmp_path: Path, colours: Path) -> None:
    manifest = tiny_manifest("stream", conditional=True, events=DEAF, hold_macs=1)
    model = tiny_conditional_model(tmp_path / "deaf.onnx", manifest)
    fitted, told = tmp_path / "fitted.onnx", tmp_path / "e.json"
    ran = command("fit-events", model, colours, "--hold", 1, "--out", fitted)
    assert ran.status == 0, ran.err
    assert load(fitted).manifest.hold == HoldRule(quiet=1, busy=1)
    held = []
    for words in ((), ("--hold", 0)):
        ran = command("evaluate", fitted, colours, "--stream", *words, "--json", told, "--force")
        found = json.loads(told.read_text())
        held.append(found["held"])
        assert (" by the memory alone" in ran.out) == (found["held"] > 0)
        assert found["recall"] > 0.8
        assert sum(found["exits"].values()) + found["held"] >= found["frames"]["computed"]
    assert held[0] > 100
    assert held[1] == 0
    ran = command("evaluate", fitted, colours, "--stream", "--hold", 17)
    assert (ran.status, "--hold is one or two numbers of frames from 0 to 16" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("make", "words"), [(tiny_stream_model, ()), (tiny_conditional_model, ("--hold", "3,1")), (tiny_clip_model, ())]
)
def test_figures_of_a_fit_are_those_of_the_model_that_it_writes(tmp_path: Path, colours: Path, make, words) -> None:
    rule = EventRule(on=0.9, off=0.9, min_s=0.5, smooth_s=0.7)  # a bad one, under which much is gated
    model, fitted = make(tmp_path / "tiny.onnx", None), tmp_path / "fitted.onnx"
    bad = tmp_path / "bad.onnx"
    rewrite(model, load(model).manifest.with_events(rule), bad)
    ran = command("fit-events", bad, colours, *words, "--out", fitted, "--json", tmp_path / "fit.json")
    assert ran.status == 0, ran.err
    told = json.loads((tmp_path / "fit.json").read_text())
    assert told["rule"] != rule.model_dump()
    for file, name, more in ((bad, "before", words), (fitted, "figures", ())):
        ran = command("evaluate", file, colours, "--stream", *more, "--json", tmp_path / "e.json", "--force")
        assert ran.status == 0, ran.err
        found = json.loads((tmp_path / "e.json").read_text())
        figures = told[name]
        assert [found[key] for key in ("f1", "precision", "recall")] == [
            figures[key] for key in ("f1", "precision", "recall")
        ]
        assert (found["delay_s"] and found["delay_s"]["p50"]) == pytest.approx(figures["delay_s"])


def trace(manifest_labels: int, on: list[tuple[float, float]], peak: float, actions: list[Action]) -> Trace:
    """Ten steps a second for 20 s: `red` at `peak` in the spans given, `other` else."""
    times_s = np.arange(200) / 10
    scores = np.zeros((200, manifest_labels), np.float32)
    for start_s, end_s in on:
        scores[(times_s >= start_s) & (times_s < end_s), 0] = peak
    scores[:, -1] = 1 - scores[:, 0]
    return Trace.of(times_s, scores, actions, 20.0)


def test_the_fitted_rule_weighs_false_alarms_against_what_is_missed() -> None:
    manifest = tiny_manifest("stream")
    actions = [Action("red", s, s + 2) for s in (2.0, 7.0, 12.0)]
    stream = trace(4, [(s + 1, s + 2.2) for s in (2.0, 7.0, 12.0)], 0.8, actions)
    wild = trace(4, [(s, s + 0.3) for s in range(1, 19, 2)], 0.9, [])
    alone = fit_rule([stream], [], manifest)
    assert alone.figures.counts.f1 == 1
    assert alone.rule == manifest.events  # nothing is better, so nothing changes
    fitted = fit_rule([stream], [wild], manifest)
    assert fitted.before.counts.extra == 9
    assert (fitted.figures.counts.f1, fitted.figures.counts.extra) == (1, 0)
    assert fitted.figures.delay_s is not None
    assert fitted.figures.delay_s <= 0.3
    shown, quiet = stream.under(fitted.rule, manifest), wild.under(fitted.rule, manifest)
    assert judge([shown], [quiet]) == fitted.figures
    with pytest.raises(ValueError, match="no stream shows an action"):
        fit_rule([wild], [], manifest)


def test_negatives_weigh_as_much_however_often_the_streams_show_every_clip() -> None:
    manifest = tiny_manifest("stream")
    shown = trace(4, [(3, 4.2)], 0.8, [Action("red", 2.0, 4.0), Action("red", 12.0, 14.0)])
    wild = trace(4, [(s, s + 0.3) for s in range(1, 19, 6)], 0.9, [])
    stream, quiet = (one.under(manifest.events, manifest) for one in (shown, wild))
    once, thrice = judge([stream], [quiet]), judge([stream] * 3, [quiet], laps=3)
    assert once.counts.extra > 0
    assert (thrice.counts.extra, thrice.counts.matched) == (3 * once.counts.extra, 3 * once.counts.matched)
    assert (thrice.counts.f1, thrice.worth) == (once.counts.f1, once.worth)


def test_a_model_is_not_fitted_to_what_it_was_trained_on(tmp_path: Path, colours: Path) -> None:
    told = Provenance(
        data="d", weights="w", licences="MIT", recipe="r", trained_on=marks_of_all(read_data(colours)[:2])
    )
    model = tiny_stream_model(tmp_path / "t.onnx", tiny_manifest("stream", provenance=told))
    ran = command("fit-events", model, colours, "--out", tmp_path / "o.onnx")
    assert ran.status == 2
    assert "was trained on" in ran.err
    assert not (tmp_path / "o.onnx").exists()
    ran = command("evaluate", model, colours, "--stream", "--json", tmp_path / "e.json")
    assert ran.status == 0
    assert "warning: the model was trained on" in ran.out
    assert json.loads((tmp_path / "e.json").read_text())["seen"]["n"] > 0


def test_a_clip_of_an_action_is_no_negative(tmp_path: Path, colours: Path, tiny: Path) -> None:
    out = tmp_path / "o.onnx"
    ran = command("fit-events", tiny, colours, "--negatives", colours, "--out", out, "--json", tmp_path / "j")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "it is one of the clips" in ran.err
    ran = command("fit-events", tiny, colours, "--out", out, "--json", out)
    assert (ran.status, ran.err) == (2, "two outputs are one file: name another for each\n")


def test_nor_is_one_to_negatives_that_it_was_trained_on(tmp_path: Path, colours: Path, negatives: Path) -> None:
    marks = marks_of_all(whole_negatives([negatives / "b_red.mp4"]))
    told = Provenance(data="d", weights="w", licences="MIT", recipe="r", trained_on=marks)
    model = tiny_stream_model(tmp_path / "t.onnx", tiny_manifest("stream", provenance=told))
    ran = command("fit-events", model, colours, "--negatives", negatives, "--out", tmp_path / "o.onnx")
    assert ran.status == 2
    assert "was trained on 1 of the 3 clips of the negatives" in ran.err
    ran = command("evaluate", model, colours, "--stream", "--negatives", negatives, "--json", tmp_path / "e.json")
    assert ran.status == 0
    assert "warning: the model was trained on 1 of the negatives" in ran.out
    assert json.loads((tmp_path / "e.json").read_text())["negatives_seen"] == {"n": 1, "complete": True}


def test_what_a_sample_of_marks_shows_is_told_as_the_least(tmp_path: Path, colours: Path, negatives: Path) -> None:
    own = marks_of_all(whole_negatives([negatives / "b_red.mp4"]))
    marks = (*own, *(f"{n:012x}" for n in range(MOST - len(own))))
    told = Provenance(data="d", weights="w", licences="MIT", recipe="r", trained_on=marks)
    model = tiny_stream_model(tmp_path / "t.onnx", tiny_manifest("stream", provenance=told))
    ran = command("fit-events", model, colours, "--negatives", negatives, "--out", tmp_path / "o.onnx")
    assert "was trained on at least 1 of the 3 clips of the negatives" in ran.err
    ran = command("evaluate", model, colours, "--stream", "--negatives", negatives)
    assert "warning: the model was trained on at least 1 of the negatives" in ran.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("evaluate", "MODEL", "DATA", "--negatives", "DATA"), "--negatives is for --stream"),
        (("evaluate", "MODEL", "DATA", "--stream", "--negatives", "nowhere"), "no such file or folder"),
        (("evaluate", "MODEL", "DATA", "--stream", "--negatives", "EMPTY"), "no videos in it"),
        (("evaluate", "MODEL", "DATA", "--stream", "--split", "val"), "has no clip of split 'val'"),
        (("evaluate", "MODEL", "DATA", "--stream", "--classes", "other"), "has none of them but other"),
        (("evaluate", "MODEL", "DATA", "--stream", "--minutes", "0"), "--minutes is at least 0.01, not 0"),
        (("evaluate", "MODEL", "DATA", "--stream", "--minutes", "1e-310"), "--minutes is at least 0.01, not 1e-310"),
        (("evaluate", "EMPTY", "DATA", "--stream"), "is no student checkpoint: holds no model.safetensors"),
        (("fit-events", "EMPTY", "DATA", "--out", "x.onnx"), "`edgevid export` it first"),
        (("fit-events", "MODEL", "DATA", "--out", "DATA"), "is a folder"),
        (
            ("fit-events", "MODEL", "DATA", "--out", "x.onnx", "--threshold", "2"),
            "is a score from 0 to 1, or with commas",
        ),
        (("evaluate", "MODEL", "DATA", "--stream", "--threshold", "nan"), "is a score from 0 to 1, or with commas"),
        (("evaluate", "MODEL", "DATA", "--threshold", "0.9"), "--threshold is for --stream"),
        (("evaluate", "MODEL", "DATA", "--hold", "1"), "--hold is for --stream"),
        (("evaluate", "MODEL", "DATA", "--stream", "--hold", "1"), "--hold is for stream models with several exits"),
    ],
)
def test_wrong_words_are_one_line(tmp_path: Path, colours: Path, tiny: Path, args: tuple[str, ...], says: str) -> None:
    (tmp_path / "empty").mkdir()
    places = {"MODEL": tiny, "DATA": colours, "EMPTY": tmp_path / "empty"}
    ran = command(*(places.get(arg, arg) for arg in args))
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1


def test_gaps_longer_than_half_are_refused() -> None:
    with pytest.raises(InputError, match="at most half"):
        StreamSettings(gaps=0.6)


def test_torch_is_not_loaded_for_streams(colours: Path, tiny: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rich.console import Console\n"
        "from edgevid_train.annotations import ReadOptions\n"
        "from edgevid_train.evaluate.streams.evaluate import prepare\n"
        "from edgevid_train.evaluate.streams.fit_events import fit_trial\n"
        "from edgevid_train.evaluate.streams.plan import StreamSettings\n"
        "from edgevid_train.reporter import Reporter\n"
        f"model, data = {str(tiny)!r}, Path({str(colours)!r})\n"
        "report = Reporter(Console())\n"
        "fit_trial(prepare(model, data, ReadOptions(), StreamSettings(), report=report), report)\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
