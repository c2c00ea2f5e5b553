"""Several labels a clip, from the data folder to events: train, evaluate, export, detect."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_runs import Ran, run_command
from tiny_run import RECIPE, moving_square
from videos import write_video

from edgevid.commands import classify, detect
from edgevid.manifest import EventRule
from edgevid.models.contract import StreamModel
from edgevid.models.load import load, read_model
from edgevid_deploy.export import export
from edgevid_train import commands
from edgevid_train.checkpoint import load_student, load_teacher
from edgevid_train.evaluate.torch_stream import TorchStream

KINDS = ("left", "right;red", "left;red", "other", "red")


def write_several(folder: Path, groups: int = 3) -> Path:
    """A square that goes left or right, in a picture that is red or grey: of each kind one clip a group."""
    folder.mkdir()
    rows = ["file,labels,group"]
    for group in range(groups):
        for i, kind in enumerate(KINDS):
            name = f"{group}_{i}.mp4"
            way = next((label for label in ("left", "right") if label in kind), "other")
            frames = moving_square(way, 10 * group + i)
            if "red" in kind:
                for frame in frames:
                    frame[..., 1:] //= 4
            write_video(folder / name, frames, fps=8)
            rows.append(f"{name},{kind},scene{group}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder


def train(*args: object) -> Ran:
    return run_command(commands.register, "train-distill", "--device", "cpu", *args)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with data, recipe and a finished run; not to be written to."""
    folder = tmp_path_factory.mktemp("several")
    write_several(folder / "data")
    # `red` is no way to go: a mirror leaves it
    changes = RECIPE.replace('right = "left"', 'right = "left"\nred = "red"\nother = "other"')
    (folder / "tiny.toml").write_text(f'{changes}\n[task]\nkind = "multi_label"\n')
    ran = train(
        *("--recipe", folder / "tiny.toml", "--data", folder / "data", "--out", folder / "run"),
        *("--json", folder / "result.json"),
    )
    assert ran.status == 0, ran.err
    (folder / "said.txt").write_text(ran.out)
    export(folder / "run", to="onnx", out=folder / "exported")
    return folder


def test_training_answers_with_the_actions_and_is_judged_by_map(run: Path) -> None:
    student, recipe, labels, info = load_student(run / "run")
    assert labels == ("left", "red", "right")  # nothing is no label of its own
    assert recipe.task.multi_label
    assert student.exit_names
    assert load_teacher(run / "run").labels == labels
    assert set(info.metrics) >= {"map", "loss", "stage1"}
    said = (run / "said.txt").read_text()
    assert "held out: map" in said
    assert "held out, weights of the last epoch: mAP" in said
    result = json.loads((run / "result.json").read_text())
    assert result["n"] == 5
    assert 0 < result["map"] <= 1
    assert result["per_class"]["red"]["n"] == 3
    assert {"ap", "precision", "recall", "f1", "recall_low"} <= result["per_class"]["red"].keys()
    both = next(entry for entry in result["predictions"] if entry["labels"] == ["left", "red"])
    assert sum(both["scores"].values()) != pytest.approx(1, abs=1e-3)


def test_a_model_file_says_that_its_scores_are_independent_and_gives_what_training_gave(run: Path) -> None:
    manifest = read_model(run / "exported" / "tiny.onnx")[1]
    assert (manifest.activation, manifest.labels, manifest.background) == ("sigmoid", ("left", "red", "right"), None)
    figures = {}
    for name, subject in {"file": run / "exported" / "tiny.onnx", "checkpoint": run / "run"}.items():
        out = run / f"{name}-report"
        ran = run_command(
            commands.register, "evaluate", subject, run / "data", "--json", run / f"{name}.json", "--out", out
        )
        assert ran.status == 0, ran.err
        assert "mAP" in ran.out
        assert "AP" in (out / "index.html").read_text()
        figures[name] = json.loads((run / f"{name}.json").read_text())
    file, checkpoint = figures["file"], figures["checkpoint"]
    assert file["map"] == pytest.approx(checkpoint["map"], abs=1e-6)
    assert file["map_low"] <= file["map"] <= file["map_high"]
    for ours, theirs in zip(file["predictions"], checkpoint["predictions"], strict=True):
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=2e-4)


def test_a_teacher_of_several_labels_is_evaluated_too(run: Path) -> None:
    ran = run_command(commands.register, "evaluate", run / "run" / "teacher", run / "data")
    assert ran.status == 0, ran.err
    assert "mAP" in ran.out


def test_a_file_stops_where_the_label_it_is_least_sure_of_is_sure_enough(run: Path) -> None:
    model = load(run / "exported" / "tiny.onnx")
    assert isinstance(model, StreamModel)
    assert model.manifest.conditional
    pixels = cv2.resize(moving_square("left", 3)[2], (32, 32))
    logits = model.step(pixels, model.zero_state())[0].logits[0]
    scores = 1 / (1 + np.exp(-logits))
    least = float(np.maximum(scores, 1 - scores).min())
    student = load_student(run / "run").student
    for threshold, exit_ in ((least - 1e-4, 0), (least + 1e-4, 1), (None, 1)):
        stopping = model.with_thresholds([threshold, None])
        assert stopping.step(pixels, model.zero_state())[0].exit == exit_
        in_torch = TorchStream(student, stopping.manifest)
        assert in_torch.step(pixels, in_torch.zero_state())[0].exit == exit_


def test_events_are_found_for_each_label_by_itself(run: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    video = write_video(tmp_path / "v.mp4", moving_square("left", 3) * 4, fps=8)
    model = run / "exported" / "tiny.onnx"
    rule = EventRule(on=0.2, off=0.1)
    ran = run_command(
        detect.register,
        *("detect", video, "--model", model, "--events", events),
        *("--on", rule.on, "--off", rule.off),
    )
    assert ran.status == 0, ran.err
    found = [json.loads(line) for line in events.read_text().splitlines()]
    open_at_once, most = set(), 0
    for event in found:
        (open_at_once.add if event["type"] == "start" else open_at_once.discard)(event["label"])
        most = max(most, len(open_at_once))
    assert most >= 2  # hardly trained: nearly every label seems to be there, and each has its event
    out = tmp_path / "classified.json"
    ran = run_command(classify.register, "classify", video, "--model", model, "--json", out)
    assert ran.status == 0, ran.err
    (found,) = json.loads(out.read_text())["predictions"]
    assert found["predicted"] == [label for label, score in found["scores"].items() if score >= 0.5]


def test_streams_of_clips_hold_an_action_for_each_label(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "streams.json"
    ran = run_command(
        commands.register,
        *("evaluate", run / "exported" / "tiny.onnx", run / "data", "--stream", "--minutes", 0.5, "--json", out),
    )
    assert ran.status == 0, ran.err
    labels = {action["label"] for stream in json.loads(out.read_text())["streams"] for action in stream["actions"]}
    assert labels == {"left", "red", "right"}


def test_what_cannot_be_promised_of_independent_labels_is_one_line(run: Path) -> None:
    ran = run_command(
        commands.register,
        *("calibrate", run / "exported" / "tiny.onnx", run / "data", "--risk", 0.1, "--confidence", 0.9),
        *("--out", run / "c.onnx"),
    )
    assert ran.status == 2
    assert "gives independent scores" in ran.err
    assert ran.err.count("\n") == 1


def test_the_first_of_several_labels_counts_where_one_is_asked_for_and_that_is_said(run: Path, tmp_path: Path) -> None:
    args = ("--recipe", run / "tiny.toml", "--data", run / "data", "--set", "task.kind=one_label")
    few = ("--set", "optim.epochs=1", "--set", "distill.response=0", "--set", "distill.feature=0")
    ran = train(*args, *few, "--out", tmp_path / "one")
    assert ran.status == 0, ran.err
    assert "warning: of the labels of 6 clips only the first counts" in ran.out
    assert load_student(tmp_path / "one").labels == ("left", "red", "right", "other")
    ran = train(*args[:4], "--set", "paths.steps=10", "--out", tmp_path / "two")
    assert ran.status == 2
    assert "paths.steps: drawn paths have one label each" in ran.err
    ran = train(*args[:4], "--classes", "left", "--out", tmp_path / "two")
    assert ran.status == 2
    assert "at least two labels are needed" in ran.err or "needs two labels" in ran.err


def test_what_is_said_of_a_longer_span_is_true_of_a_shorter_one_in_it(run: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", moving_square("left", 3) * 2, fps=8)
    (tmp_path / "clips.csv").write_text("file,label,start_s,end_s\nv.mp4,red,0,2\nv.mp4,left,0.5,1.5\n")
    out = tmp_path / "report"
    ran = run_command(commands.register, "evaluate", run / "exported" / "tiny.onnx", tmp_path, "--out", out)
    assert ran.status == 0, ran.err
    entries = json.loads((out / "report.json").read_text())["predictions"]
    assert [entry["labels"] for entry in entries] == [["red", "left"], ["left", "red"]]  # `left` lasts for half of it
    again = train(
        *("--recipe", run / "tiny.toml", "--data", tmp_path, "--all", "--out", tmp_path / "x"),
        *("--set", "optim.epochs=1", "--set", "teacher_optim.epochs=1"),
    )
    assert again.status == 0, again.err
    assert "2 clips bear labels of other spans too" in again.out + again.err


def test_a_label_that_is_never_the_first_is_no_answer(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "data", tmp_path / "data")
    listed = (run / "data" / "clips.csv").read_text().splitlines()
    rows = [",".join([file, f"{kind};far", scene]) for file, kind, scene in (row.split(",") for row in listed[1:])]
    (tmp_path / "data" / "clips.csv").write_text("\n".join([listed[0], *rows]) + "\n")
    ran = train(
        *("--recipe", run / "tiny.toml", "--data", tmp_path / "data", "--set", "task.kind=one_label", "--all"),
        *("--set", "optim.epochs=1", "--set", "distill.response=0", "--set", "distill.feature=0"),
        *("--out", tmp_path / "one"),
    )
    assert ran.status == 0, ran.err
    assert load_student(tmp_path / "one").labels == ("left", "red", "right", "other")
