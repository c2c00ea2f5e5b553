"""`edgevid calibrate`: thresholds with a promise, and every reason not to give one."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_runs import Ran, run_command
from numpy.typing import NDArray
from onnx import numpy_helper
from tiny_models import (
    COLOURS,
    HEIGHT,
    LABELS,
    WIDTH,
    coloured_frames,
    score_frames,
    tiny_clip_model,
    tiny_conditional_model,
    tiny_manifest,
    tiny_stream_model,
)
from videos import write_video

from edgevid.manifest import METADATA_KEY, ExitSpec, Provenance
from edgevid.models.load import load
from edgevid.recognise import score_file
from edgevid.seal import seal
from edgevid_train.annotations import read_data
from edgevid_train.calibration.calibrate import LEVELS
from edgevid_train.calibration.judged import judge_clips, judge_events
from edgevid_train.calibration.risk import Promise
from edgevid_train.commands.calibrate import add_to
from edgevid_train.marks import marks_of_all

CLIPS = 14
SOFT = ("--risk", 0.2, "--confidence", 0.8)
"""A promise that 8 recordings can keep without a loss, and 14 with one, but not with two."""


def calibrate(*args: object) -> Ran:
    return run_command(add_to, "calibrate", *args)


def mixed(label: str, share: float) -> NDArray[np.uint8]:
    """One frame of a colour that is `share` of the label's and grey for the rest."""
    colour = share * np.array(COLOURS[label]) + (1 - share) * np.array(COLOURS["other"])
    return np.broadcast_to(colour.astype(np.uint8), (1, HEIGHT, WIDTH, 3))


def flashing(label: str, other: str, purity: float) -> NDArray[np.uint8]:
    """A second of half a colour with a flash of another: `early` falls for it, the running mean hardly notices."""
    return np.concatenate(
        [mixed("other", 1)] + 5 * [mixed(label, 0.7)] + [mixed(other, purity)] + 3 * [mixed(label, 0.7)]
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 clips; two flash, one more faintly than the other."""
    folder = tmp_path_factory.mktemp("recordings")
    rows = ["file,label,group,split"]
    for i in range(CLIPS):
        label = LABELS[i % 3]
        frames = coloured_frames(("other", 2), (label, 6))
        if i < 2:
            frames = flashing(label, LABELS[(i + 1) % 3], (0.9, 0.8)[i])
        write_video(folder / f"{i}.mp4", list(frames), fps=10, options={"crf": "1"})
        rows.append(f"{i}.mp4,{label},g{i},{'val' if i < 9 else 'test'}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def conditional(tmp_path: Path) -> Path:
    return tiny_conditional_model(tmp_path / "tiny.onnx")


def test_the_figures_do_not_take_the_model_s_place(tmp_path: Path, data: Path, conditional: Path) -> None:
    ran = calibrate(conditional, data, *SOFT, "--out", tmp_path / "x.onnx", "--json", tmp_path / "x.onnx")
    assert (ran.status, ran.err) == (2, "two outputs are one file: name another for each\n")


def test_the_last_row_that_passes_is_written_with_the_promise(tmp_path: Path, data: Path, conditional: Path) -> None:
    out, told = tmp_path / "models" / "sure.onnx", tmp_path / "c.json"
    before = conditional.read_bytes()
    ran = calibrate(conditional, data, *SOFT, "--out", out, "--json", told)
    assert ran.status == 0, ran.err
    assert conditional.read_bytes() == before
    found = json.loads(told.read_text())
    losses = [row["losses"] for row in found["rows"]]
    assert [row["thresholds"]["early"] for row in found["rows"]] == list(LEVELS)
    assert losses[0] == 0
    assert max(losses) == 2
    passed = losses.index(2)
    assert [row["passed"] for row in found["rows"]] == [i < passed for i in range(len(losses))]
    assert found["chosen"] == {k: v for k, v in found["rows"][passed - 1].items() if k != "passed"}
    assert found["chosen"]["losses"] == 1
    assert found["rows"][0]["p_value"] == pytest.approx(0.8**14)
    for row in (found["whole_network"], *found["rows"]):
        assert sum(row["exits"].values()) == pytest.approx(1)
        assert row["macs"] == pytest.approx(12 * row["exits"]["early"] + 24 * row["exits"]["final"])
    assert found["whole_network"]["exits"] == {"early": 0, "final": 1}
    assert (found["n"], found["clips"], found["needed_without_loss"]) == (14, 14, 8)

    manifest = load(out).manifest
    assert [e.threshold for e in manifest.exits] == [LEVELS[passed - 1], None]
    promise = manifest.calibration
    assert promise is not None
    assert (promise.risk, promise.confidence, promise.n, promise.unit) == (0.2, 0.8, 14, "recording")
    assert promise.date is not None
    assert abs((promise.date - datetime.now(UTC).date()).days) <= 1
    assert found["calibrated"] == manifest.id != found["model"]
    scores = score_file(data / "3.mp4", load(out)).scores
    assert 0 in scores.exits
    for said in ("14 recordings, risk 0.2, confidence 0.8", "chosen: sure from", "1 lost", f"wrote {out}"):
        assert said in ran.out
    assert "does not say which recordings" in ran.out


def test_rows_are_run_again_where_skipped_stages_keep_their_state(data: Path, conditional: Path) -> None:
    model = load(conditional)
    rows = [(None, None), (0.9, None), (0.5, None)]
    for record in read_data(data)[:3]:
        judged = judge_clips([record], model, rows)
        for row, one in zip(rows, judged, strict=True):
            scores = score_file(record.file, model.with_thresholds(row)).scores
            assert one.right == (LABELS[int(scores.clip.argmax())] == record.label,)
            assert one.steps.tolist() == [int((scores.exits == i).sum()) for i in (0, 1)]


def test_one_run_tells_all_where_every_exit_is_computed(tmp_path: Path, data: Path) -> None:
    model = load(tiny_stream_model(tmp_path / "tiny.onnx"))
    rows = [(None, None), *((level, None) for level in LEVELS)]
    for record in read_data(data)[:3]:
        for row, one in zip(rows, judge_clips([record], model, rows), strict=True):
            scores = score_file(record.file, model.with_thresholds(row)).scores
            assert one.right == (LABELS[int(scores.clip.argmax())] == record.label,)
            assert one.steps.tolist() == [int((scores.exits == i).sum()) for i in (0, 1)]


def test_a_graph_that_computes_every_stage_is_told_of(tmp_path: Path, data: Path) -> None:
    model = tiny_stream_model(tmp_path / "tiny.onnx")
    ran = calibrate(model, data, *SOFT, "--out", tmp_path / "out.onnx")
    assert ran.status == 0, ran.err
    assert "computes every stage whatever decides" in ran.out


@pytest.fixture(scope="module")
def long_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five files with three labelled clips each: red, grey, and blue or what is labelled so."""
    folder = tmp_path_factory.mktemp("long")
    rows = ["file,label,start_s,end_s"]
    for i in range(5):
        last = "green" if i == 4 else "blue"
        frames = coloured_frames(("red", 10), ("other", 15), (last, 10), ("other", 10))
        write_video(folder / f"{i}.mp4", list(frames), fps=10)
        rows += [f"{i}.mp4,red,0,1", f"{i}.mp4,other,1.5,2.4", f"{i}.mp4,blue,2.5,3.5"]
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_files_are_units_and_so_are_events(tmp_path: Path, long_files: Path, conditional: Path) -> None:
    for unit, n in (("recording", 5), ("event", 15)):
        told = tmp_path / f"{unit}.json"
        soft = ("--risk", 0.3, "--confidence", 0.8)
        ran = calibrate(
            conditional, long_files, *soft, "--unit", unit, "--out", tmp_path / f"{unit}.onnx", "--json", told
        )
        assert ran.status == 0, ran.err
        found = json.loads(told.read_text())
        assert (found["n"], found["clips"]) == (n, 15)
        assert found["whole_network"]["right"] == pytest.approx(14 / 15)
        assert found["whole_network"]["gated"] == 0
        assert (found["chosen"]["gated"] > 0.05) == (unit == "event")
        promise = load(tmp_path / f"{unit}.onnx").manifest.calibration
        assert promise is not None
        assert (promise.unit, promise.n) == (unit, n)
    ran = calibrate(conditional, long_files, *SOFT, "--out", tmp_path / "few.onnx")
    assert "has 5 recordings to use" in ran.err


def test_right_by_events(tmp_path: Path, long_files: Path, conditional: Path) -> None:
    model = load(conditional)
    records = read_data(long_files)
    never, always = (None, None), (0.0, None)
    judged = judge_events(records[:3], model, [never, always])
    assert [one.right for one in judged] == 2 * [(True, True, True)]
    assert judged[0].steps.tolist() == [0, 45]
    held = judged[1].rested
    assert judged[1].steps.tolist() == [45 - held, 0]
    assert (judged[0].rested, held > 0) == (0, True)  # a still colour is no motion; the whole network is never gated
    assert judge_events(records[12:], model, [never])[0].right == (True, True, False)  # green is no blue
    write_video(tmp_path / "a.mp4", list(coloured_frames(("other", 8), ("red", 6), ("other", 8))), fps=10)
    (tmp_path / "clips.csv").write_text("file,label\na.mp4,other\n")
    assert judge_events(read_data(tmp_path), model, [never])[0].right == (False,)  # background is not silent


def test_too_few_for_the_promise(tmp_path: Path, data: Path, conditional: Path) -> None:
    out = tmp_path / "out.onnx"
    ran = calibrate(conditional, data, "--out", out)
    assert ran.status == 2
    assert "has 14 recordings to use" in ran.err
    assert "needs 149 without one loss, 236 with one" in ran.err
    assert ran.err.count("\n") == 1
    assert not out.exists()
    ran = calibrate(conditional, data, *SOFT, "--split", "test", "--out", out)
    assert ran.status == 2
    assert "has 5 recordings to use" in ran.err


def test_what_cannot_be_used_is_named_and_no_unit(tmp_path: Path, data: Path, conditional: Path) -> None:
    rows = [f"{(data / f'{i}.mp4').name},{LABELS[i % 3]}" for i in range(CLIPS)]
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(3, CLIPS):
        (folder / f"{i}.mp4").write_bytes((data / f"{i}.mp4").read_bytes())
    (folder / "0.mp4").write_bytes(b"no video")
    rows[2] = "3.mp4,wave"
    (folder / "clips.csv").write_text("file,label\n" + "\n".join(rows[:3] + rows[4:]) + "\n")
    told = tmp_path / "c.json"
    ran = calibrate(conditional, folder, *SOFT, "--out", tmp_path / "out.onnx", "--json", told)
    assert ran.status == 0, ran.err
    found = json.loads(told.read_text())
    assert found["n"] == CLIPS - 4
    reasons = {entry["file"]: entry["reason"] for entry in found["skipped"]}
    assert list(reasons) == ["1.mp4", "3.mp4", "0.mp4"]
    assert reasons["1.mp4"] == "no such file"
    assert "no label 'wave'" in reasons["3.mp4"]
    assert "skipped, not counted: 0.mp4: " in ran.out
    for i in range(4, 8):
        (folder / f"{i}.mp4").write_bytes(b"damaged since")
    ran = calibrate(conditional, folder, *SOFT, "--out", tmp_path / "fewer.onnx")
    assert ran.status == 2
    assert "has 6 recordings to use" in ran.err


def test_a_model_is_not_calibrated_on_what_it_was_trained_on(tmp_path: Path, data: Path) -> None:
    records = read_data(data)
    known = Provenance(data="d", weights="w", licences="l", recipe="r", trained_on=marks_of_all(records[4:6]))
    model = tiny_conditional_model(tmp_path / "tiny.onnx", tiny_manifest("stream", conditional=True, provenance=known))
    ran = calibrate(model, data, *SOFT, "--out", tmp_path / "out.onnx")
    assert ran.status == 2
    assert "was trained on 2 of the 14 clips" in ran.err
    assert "(4.mp4 for one)" in ran.err
    assert not (tmp_path / "out.onnx").exists()
    others = data / "others.csv"
    others.write_text("file,label\n" + "".join(f"{r.name},{r.label}\n" for r in (*records[:4], *records[6:])))
    ran = calibrate(model, others, *SOFT, "--out", tmp_path / "out.onnx")
    assert ran.status == 0, ran.err
    assert "does not say which recordings" not in ran.out


@pytest.mark.parametrize("unit", ["recording", "event"])
def test_a_clip_behind_the_end_of_its_file_counts_for_nothing(
    tmp_path: Path, data: Path, conditional: Path, unit: str
) -> None:
    rows = [f"0.mp4,red,{1000 + i},{1000.5 + i}\n" for i in range(400)]
    behind = data / "behind.csv"
    behind.write_text("file,label,start_s,end_s\n" + "".join(rows))
    ran = calibrate(conditional, behind, *SOFT, "--unit", unit, "--out", tmp_path / "out.onnx")
    assert ran.status == 2
    assert "too few for the promise" in ran.err
    assert not (tmp_path / "out.onnx").exists()


def test_no_row_keeps_the_promise(tmp_path: Path, conditional: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(CLIPS):
        label = LABELS[i % 3]
        write_video(folder / f"{i}.mp4", list(flashing(label, LABELS[(i + 1) % 3], 1.0)), fps=10, options={"crf": "1"})
    rows = [f"{i}.mp4,{LABELS[i % 3]}" for i in range(CLIPS)]
    (folder / "clips.csv").write_text("file,label\n" + "\n".join(rows) + "\n")
    told = tmp_path / "c.json"
    ran = calibrate(conditional, folder, *SOFT, "--out", tmp_path / "out.onnx", "--json", told)
    assert ran.status == 1
    needed = Promise(0.2, 0.8).units_needed(14)
    assert (
        f"even exits that are sure from 0.999 lost 14 of 14 recordings; with so many losses it takes {needed}"
        in ran.err
    )
    assert not (tmp_path / "out.onnx").exists()
    found = json.loads(told.read_text())
    assert (found["chosen"], found["file"]) == (None, None)


def test_nan_is_an_error(tmp_path: Path, data: Path, conditional: Path) -> None:
    model = onnx.load(conditional)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "weight")
    weight.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(weight), np.nan), "weight"))
    onnx.helper.set_model_props(model, {METADATA_KEY: tiny_manifest("stream", conditional=True).to_json()})
    broken = tmp_path / "nan.onnx"
    broken.write_bytes(model.SerializeToString())
    seal(broken)
    for unit in ("recording", "event"):
        ran = calibrate(broken, data, *SOFT, "--unit", unit, "--out", tmp_path / "out.onnx")
        assert ran.status == 2
        assert "0.mp4: the model computed NaN or infinity" in ran.err
        assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nowhere.onnx", "DATA", "--out", "OUT"), "nowhere.onnx: no such model file"),
        (("DATA", "DATA", "--out", "OUT"), "is a directory, not a model file"),
        (("MODEL", "nowhere", "--out", "OUT"), "no such data folder"),
        (("MODEL", "DATA", "--out", "DATA"), "is a folder; give the name of a file"),
        (("MODEL", "DATA", "--out", "MODEL"), "exists; give --force"),
        (("MODEL", "DATA", "--out", "OUT", "--json", "DATA"), "is a folder; give the name of a file"),
        (("MODEL", "DATA", "--out", "OUT", "--risk", "0"), "--risk 0: expected a share above 0 and below 1"),
        (("MODEL", "DATA", "--out", "OUT", "--risk", "1"), "--risk 1: "),
        (("MODEL", "DATA", "--out", "OUT", "--risk", "nan"), "--risk nan: "),
        (("MODEL", "DATA", "--out", "OUT", "--confidence", "1"), "--confidence 1: "),
        (("MODEL", "DATA", "--out", "OUT", "--split", "train"), "has no clip of split 'train'"),
        (("CLIP", "DATA", "--out", "OUT"), "is a clip graph, which computes every exit"),
        (("SINGLE", "DATA", "--out", "OUT"), "has one exit only"),
        (("MODEL", "OTHERS", "--out", "OUT"), "no clip can be used"),
    ],
)
def test_wrong_words_are_one_line(
    tmp_path: Path, data: Path, conditional: Path, args: tuple[str, ...], says: str
) -> None:
    single = tiny_manifest("stream", exits=(ExitSpec(name="early", macs=1),))
    places = {"MODEL": conditional, "DATA": data, "OUT": tmp_path / "out.onnx", "OTHERS": tmp_path / "empty.csv"}
    if "CLIP" in args:
        places["CLIP"] = tiny_clip_model(tmp_path / "clip.onnx")
    if "SINGLE" in args:
        places["SINGLE"] = _with_one_exit(tmp_path, single.to_json())
    (tmp_path / "empty.csv").write_text("file,label\nno.mp4,red\n")
    ran = calibrate(*(places.get(arg, arg) for arg in args))
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out.onnx").exists()


def _with_one_exit(folder: Path, manifest: str) -> Path:
    model = onnx.load(tiny_stream_model(folder / "two.onnx"))
    outputs = [output for output in model.graph.output if output.name != "logits_final"]
    model.graph.ClearField("output")
    model.graph.output.extend(outputs)
    onnx.helper.set_model_props(model, {METADATA_KEY: manifest})
    path = folder / "single.onnx"
    path.write_bytes(model.SerializeToString())
    seal(path)
    return path


def test_torch_is_not_loaded(tmp_path: Path, data: Path, conditional: Path) -> None:
    words = ["calibrate", str(conditional), str(data), *map(str, SOFT), "--out", str(tmp_path / "out.onnx")]
    code = (
        "import sys, typer\n"
        "from edgevid_train.commands.calibrate import add_to\n"
        "app = typer.Typer(); app.callback()(lambda: None); add_to(app)\n"
        f"app({words!r}, standalone_mode=False)\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert load(tmp_path / "out.onnx").manifest.calibration is not None


RECORDINGS, SPLITS, MOST_BROKEN = 2400, 200, 15


@pytest.mark.slow
def test_the_promise_is_kept_by_a_cascade_that_is_run(conditional: Path) -> None:
    """2400 recordings through the product's cascade for every row; 200 times half of them calibrate.

    What is drawn from is known whole, so the true risk of every row is known. Halves are drawn without replacement,
    for which the binomial p-value is valid too (the hypergeometric tail is the smaller one).
    """
    model = load(conditional)
    cascades = [model.with_thresholds((level, None)) for level in (None, *LEVELS)]
    right = np.zeros((len(cascades), RECORDINGS), bool)
    for seed in range(RECORDINGS):
        frames, label = _recording(seed)
        right[:, seed] = [score_frames(frames, cascade).clip.argmax() == label for cascade in cascades]
    lost = right[0] & ~right[1:]
    true_risks, promise, half = lost.mean(axis=1), Promise(0.02, 0.95), RECORDINGS // 2
    assert true_risks[0] < promise.risk < true_risks.max(), "nothing to get wrong: the rows are all alike"
    broken = broken_on_the_rest = by_the_share_alone = 0
    for seed in range(SPLITS):
        order = np.random.default_rng([17, seed]).permutation(RECORDINGS)
        losses = lost[:, order[:half]].sum(axis=1)
        passed = promise.passed(losses.tolist(), half)
        if passed:
            broken += true_risks[passed - 1] > promise.risk
            broken_on_the_rest += lost[passed - 1, order[half:]].mean() > promise.risk
        too_many = np.flatnonzero(losses > promise.risk * half)
        by_the_share_alone += true_risks[too_many[0] - 1 if len(too_many) else -1] > promise.risk
    print(f"of {SPLITS} promises {broken} broken; by the losses alone {by_the_share_alone}")
    assert broken <= MOST_BROKEN
    assert broken_on_the_rest <= MOST_BROKEN
    assert by_the_share_alone > MOST_BROKEN  # what the promise would be worth without the test


def _recording(seed: int) -> tuple[NDArray[np.uint8], int]:
    """Half a second of some colour, in a few with a flash of another, and noise; and the index of its label."""
    rng = np.random.default_rng([7, seed])
    label, steps = int(rng.integers(3)), 5
    colours = np.array([mixed(LABELS[label], rng.uniform(0.4, 0.75))[0, 0, 0]] * steps, np.float64)
    if rng.random() < 0.055:
        other = LABELS[(label + 1 + int(rng.integers(2))) % 3]
        colours[int(rng.integers(1, steps))] = mixed(other, rng.uniform(0.4, 1))[0, 0, 0]
    noisy = np.clip(colours + rng.normal(0, 6, colours.shape), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(noisy[:, None, None], (steps, HEIGHT, WIDTH, 3))), label
