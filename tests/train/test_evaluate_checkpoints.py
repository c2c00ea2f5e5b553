"""`edgevid evaluate` of what training leaves: a student's checkpoint, a teacher of any kind, one against the other."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from command_runs import Ran, run_command
from safetensors.torch import load_file, save_file
from students import LABELS, NO_SPLIT, moving_pictures, small_student, write_checkpoint
from tiny_run import tiny_recipe
from torch.utils.tensorboard import SummaryWriter

from edgevid.errors import InputError
from edgevid.frame import Frame
from edgevid.models.bench import by_exit
from edgevid.models.contract import StreamModel
from edgevid.recognise import score_clip, settling_steps
from edgevid_deploy import commands as deploy_commands
from edgevid_train import commands
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.checkpoint import (
    CV,
    Checkpoint,
    CheckpointInfo,
    SplitInfo,
    find_checkpoint,
    load_teacher,
    write_ensemble,
)
from edgevid_train.decode import RUNTIME_SHORT_SIDE, DecodedClip, decode_clip
from edgevid_train.describe import describe
from edgevid_train.evaluate.predict import student_scores
from edgevid_train.evaluate.robustness import CHANGES
from edgevid_train.evaluate.strips import GAP_PX
from edgevid_train.evaluate.subjects import open_subject
from edgevid_train.evaluate.subjects.machine import processor
from edgevid_train.evaluate.torch_stream import TorchStream
from edgevid_train.marks import marks_of_all
from edgevid_train.models.teachers.build import build_teacher
from edgevid_train.recipe import Recipe
from edgevid_train.samples.batch import as_input
from edgevid_train.samples.held_out import as_stream, spread


def evaluate(*args: object) -> Ran:
    return run_command(commands.register, "evaluate", "--device", "cpu", *args)


def write_teacher(folder: Path, seed: int, *, split: SplitInfo = NO_SPLIT, **teacher: object) -> Path:
    """A run folder as `train-teacher` leaves it, untrained."""
    torch.manual_seed(seed)
    recipe = tiny_recipe(teacher=teacher)
    network = build_teacher(recipe.teacher, len(LABELS)).eval()
    info = CheckpointInfo(kind="teacher", labels=LABELS, weights_from="tests", split=split)
    Checkpoint(network, recipe, info).write(folder / "teacher" / "last")
    with SummaryWriter(str(folder / "teacher" / "tensorboard")) as writer:
        for step in range(3):
            writer.add_scalar("train/loss", 1 / (step + 1), step)
    return folder


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("student") / "run" / "student" / "best", small_student())


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("teacher"), 1)


def test_a_student_beside_a_teacher(tmp_path: Path, clips: Path, student: Path, teacher: Path) -> None:
    run = student.parents[1]
    ran = evaluate(run, clips, "--compare", teacher, "--out", tmp_path / "report", "--json", tmp_path / "o.json")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "o.json").read_text())
    assert found["model"] == str(run)
    assert [row["name"] for row in found["exits"]] == ["stage2", "stage3", "final"]
    times = [row["step_ms"]["p50"] for row in found["exits"]]
    assert 0 < times[0] < times[-1]
    assert found["cost"]["macs_per_clip"] is None
    assert found["cost"]["gflops_per_clip"] > 0

    other = found["compare"]
    assert other["model"] == str(teacher)
    assert other["exits"] == []
    assert other["cost"]["macs_per_step"] is None
    assert other["cost"]["gflops_per_clip"] == pytest.approx(2e-9 * other["cost"]["macs_per_clip"])
    assert other["cost"]["clip_ms"]["p50"] > 0
    assert found["cost"]["runs_on"] == other["cost"]["runs_on"] == f"PyTorch on {processor()}"
    paired = other["paired"]
    assert sum(paired[key] for key in ("both", "only_a", "only_b", "neither")) == 15
    looked_at = found["looks"]["clips"]
    assert found["looks"]["none"] is None
    assert set(found["worst"]["surest_wrong"][:8]) <= set(looked_at) <= {p["file"] for p in found["predictions"]}
    html = (tmp_path / "report" / "index.html").read_text()
    columns = "".join(f'<th class="number">{name}</th>' for name in (run, teacher))
    assert f"<tr><th></th>{columns}</tr>" in html  # one for each model: a narrow page shows both
    assert html.count(f"Times are those of PyTorch on {processor()}.") == 1
    assert html.count("-looks.jpg") == len(looked_at)
    assert len(list((tmp_path / "report" / "strips").glob("*-looks.jpg"))) == len(looked_at)
    assert "top-1 if every step ends here" in html


def test_a_teacher_alone_has_the_same_page_without_exits(tmp_path: Path, clips: Path, teacher: Path) -> None:
    ran = evaluate(teacher / "teacher", clips, "--out", tmp_path / "report", "--robustness")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    loaded = load_teacher(teacher)
    for record, entry in zip(read_data(clips), found["predictions"], strict=True):
        frames = spread(decode_clip(record, RUNTIME_SHORT_SIDE), loaded.teacher.config)
        with torch.no_grad():
            expected = loaded.teacher(as_input(torch.from_numpy(frames)[None])).logits.softmax(-1)[0]
        assert entry["scores"] == pytest.approx(dict(zip(LABELS, expected.tolist(), strict=True)), abs=2e-6)
    assert found["cost"]["weights"] == sum(p.numel() for p in loaded.teacher.parameters())
    assert [value for _, value in found["curves"]["train/loss"]] == pytest.approx([1, 1 / 2, 1 / 3])
    assert [row["name"] for row in found["robustness"]] == list(CHANGES)
    html = (tmp_path / "report" / "index.html").read_text()
    assert '<section id="exits">' not in html
    assert {"curves.png", "confusion.png"} <= {path.name for path in (tmp_path / "report").iterdir()}
    assert "multiply-accumulates a clip, looked at once" in html
    assert "<svg" not in html  # one look gives no scores over time


def test_an_ensemble_answers_with_the_mean_of_its_members(tmp_path: Path, clips: Path, teacher: Path) -> None:
    members = [teacher, write_teacher(tmp_path / "second", 2)]
    recipe = tiny_recipe(teacher={"kind": "ensemble", "members": [str(m) for m in members]})
    info = CheckpointInfo(kind="teacher", labels=LABELS, weights_from="tests", split=NO_SPLIT)
    write_ensemble(tmp_path / "both" / "teacher" / "last", members, recipe, info)
    clip = decode_clip(read_data(clips)[0], RUNTIME_SHORT_SIDE)
    alone = [open_subject(str(member), 1).answer(clip).scores for member in members]
    both = open_subject(str(tmp_path / "both"), 1)
    assert both.answer(clip).scores == pytest.approx(np.mean(alone, axis=0), abs=1e-6)
    assert both.curves() == {}


def test_where_a_transformer_under_our_head_looked_is_what_spoke_for_its_answer(tmp_path: Path, clips: Path) -> None:
    small = {"width": 24, "layers": 2, "heads": 2, "patch": 16}
    write_teacher(tmp_path / "run", 1, kind="videomae-looking", videomae=small, points=4)
    clip = decode_clip(read_data(clips)[0], RUNTIME_SHORT_SIDE)
    looks = open_subject(str(tmp_path / "run"), 1).looks(clip, LABELS[0])
    assert looks.attention is None
    assert looks.maps.max() > 0
    assert looks.places is not None
    assert looks.places.shape == (len(looks.frames), 4, 2)


def test_where_a_transformer_looked_is_said_twice(tmp_path: Path, clips: Path) -> None:
    """By what spoke for its answer, and by its attention; of an ensemble by the attention of those that have it."""
    small = {"kind": "videomae", "videomae": {"width": 24, "layers": 2, "heads": 2, "patch": 16}}
    write_teacher(tmp_path / "run", 1, **small)
    ran = evaluate(tmp_path / "run", clips, "--out", tmp_path / "report")
    assert ran.status == 0, ran.err
    assert "In the row below, attention rollout" in (tmp_path / "report" / "index.html").read_text()
    strips = tmp_path / "report" / "strips"
    for path in strips.glob("*-looks.jpg"):
        frames = cv2.imread(str(strips / path.name.replace("-looks", "")))
        assert len(cv2.imread(str(path))) == 2 * len(frames) + GAP_PX

    taken = {"input": {"height": 48, "width": 64}, "frames": 4}
    members = [write_teacher(tmp_path / name, 2, **kind, **taken) for name, kind in (("tsm", {}), ("videomae", small))]
    recipe = tiny_recipe(teacher={"kind": "ensemble", "members": [str(m) for m in members], **taken})
    info = CheckpointInfo(kind="teacher", labels=LABELS, weights_from="tests", split=NO_SPLIT)
    write_ensemble(tmp_path / "both" / "teacher" / "last", members, recipe, info)
    clip = decode_clip(read_data(clips)[0], RUNTIME_SHORT_SIDE)
    both, alone, without = (
        open_subject(str(path), 1).looks(clip, LABELS[0]).attention for path in (tmp_path / "both", *members[::-1])
    )
    assert both is not None
    assert alone is not None
    np.testing.assert_array_equal(both, alone)
    assert without is None


@pytest.fixture(scope="module")
def cross_validated(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    """Two folds, each with a network of its own."""
    run, records = tmp_path_factory.mktemp("cross") / "cv", read_data(clips)
    groups = sorted({record.group for record in records})
    for i, held_out in enumerate((groups[:2], groups[2:]), start=1):
        student = small_student()
        torch.manual_seed(i)
        torch.nn.init.normal_(student.memory.decide.weight, 0, 2)
        train = [record for record in records if record.group not in held_out]
        split = SplitInfo(
            name=f"fold {i} of 2",
            train_clips=len(train),
            val_clips=len(records) - len(train),
            train_groups=tuple(sorted({record.group for record in train})),
            val_groups=tuple(held_out),
            trained_on=marks_of_all(train),
        )
        write_checkpoint(run / f"fold-{i}" / "student" / "last", student, split=split)
    (run / CV).write_text("{}")
    return run


def test_of_a_cross_validation_each_clip_is_answered_by_the_fold_that_held_it_out(
    tmp_path: Path, clips: Path, cross_validated: Path, student: Path
) -> None:
    out = tmp_path / "report"
    ran = evaluate(cross_validated, clips, "--out", out, "--robustness", "--compare", student)
    assert ran.status == 0, ran.err
    assert f"{cross_validated}, out of fold on {clips}" in ran.out
    found = json.loads((out / "report.json").read_text())
    assert found["seen"] == {"n": 0, "complete": True, "others": pytest.approx({"n": 15} | tops(found))}
    assert found["compare"]["seen"] is None
    assert found["curves"] == {}
    assert [row["name"] for row in found["exits"]] == ["stage2", "stage3", "final"]
    alone = [open_subject(str(cross_validated / f"fold-{i}"), 1, "cpu") for i in (1, 2)]
    both = open_subject(str(cross_validated), 1, "cpu")
    answers = set()
    for i, (record, entry) in enumerate(zip(read_data(clips), found["predictions"], strict=True)):
        clip = decode_clip(record, RUNTIME_SHORT_SIDE)
        right, wrong = (alone[k].answer(clip).scores for k in ((1, 0) if i >= 6 else (0, 1)))
        assert list(entry["scores"].values()) == pytest.approx(right.tolist(), abs=2e-6)
        assert np.abs(right - wrong).max() > 0.01
        answers.add(both.answer(clip).embedding.size)
        assert both.looks(clip, LABELS[0]).frames.shape[0] > 1
    assert answers == {0}


def tops(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in ("top1", "top1_low", "top1_high")}


def test_what_a_fold_began_from_may_have_seen_what_it_held_out(
    tmp_path: Path, clips: Path, cross_validated: Path, student: Path
) -> None:
    records = read_data(clips)
    shutil.copytree(cross_validated, tmp_path / "cv")
    file = tmp_path / "cv" / "fold-2" / "student" / "last" / "checkpoint.json"
    info = CheckpointInfo.model_validate_json(file.read_text())
    marks = marks_of_all(records[-1:], before=info.split.trained_on)
    split = info.split.model_copy(update={"trained_on": marks})
    file.write_text(info.model_copy(update={"split": split}).model_dump_json())
    ran = evaluate(student, clips, "--compare", tmp_path / "cv", "--json", tmp_path / "o.json")
    assert ran.status == 0, ran.err
    assert ran.out.count("trained on 3 of the 15 clips or on their groups") == 1
    seen = json.loads((tmp_path / "o.json").read_text())["compare"]["seen"]
    assert (seen["n"], seen["others"]["n"]) == (3, 12)
    review = ("data", "review", clips, "--model")
    ran = run_command(commands.register, *review, tmp_path / "cv", "--out", tmp_path / "page")
    assert "was trained on 3 of these clips or on their groups" in ran.out
    ran = run_command(commands.register, *review, cross_validated, "--out", tmp_path / "clean")
    assert ran.status == 0, ran.err
    assert "out of fold takes" in ran.out
    assert "warning" not in ran.out


def test_teachers_are_asked_out_of_fold_too(tmp_path: Path, clips: Path) -> None:
    groups = sorted({record.group for record in read_data(clips)})
    for i, held_out in enumerate((groups[:2], groups[2:]), start=1):
        split = NO_SPLIT.model_copy(update={"val_groups": tuple(held_out), "trained_on": ("0" * 12,)})
        write_teacher(tmp_path / "cv" / f"fold-{i}", i, split=split)
    (tmp_path / "cv" / CV).write_text("{}")
    ran = evaluate(tmp_path / "cv", clips, "--views", 2, "--json", tmp_path / "o.json")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "o.json").read_text())
    first, last = (
        evaluate(tmp_path / "cv" / f"fold-{i}", clips, "--views", 2, "--json", tmp_path / f"{i}.json").status
        for i in (1, 2)
    )
    assert first == last == 0
    alone = [json.loads((tmp_path / f"{i}.json").read_text())["predictions"] for i in (1, 2)]
    for i, entry in enumerate(found["predictions"]):
        right, wrong = alone[i >= 6][i]["scores"], alone[i < 6][i]["scores"]
        assert entry["scores"] == pytest.approx(right, abs=1e-6)
        assert entry["scores"] != pytest.approx(wrong, abs=1e-3)


def test_a_clip_that_no_fold_held_out_is_one_line(tmp_path: Path, clips: Path, cross_validated: Path) -> None:
    for name in ("cv", "cut"):
        shutil.copytree(cross_validated, tmp_path / name)
    shutil.rmtree(tmp_path / "cv" / "fold-2")
    (tmp_path / "cut" / CV).unlink()
    for args, says in (
        ((tmp_path / "cv", clips), r"no fold held \S+ out; name one of its runs, like .*fold-1"),
        ((tmp_path / "cut", clips), r"cut holds 2 folds and no cv.json: its cross-validation is not over; .*fold-1"),
        ((cross_validated, clips, "--stream"), "cv is cross-validated: --stream judges one of its runs, like .*fold-1"),
    ):
        ran = evaluate(*args)
        assert ran.status == 2
        assert re.search(says, ran.err)
        assert ran.err.count("\n") == 1


def test_an_answer_that_is_no_number_names_who_gave_it(
    tmp_path: Path, clips: Path, student: Path, teacher: Path
) -> None:
    for path, inner in ((student, ""), (teacher, "teacher/last")):
        run = tmp_path / path.name
        shutil.copytree(path, run)
        weights = load_file(run / inner / "model.safetensors")
        large = {name: value.sign() * 3e38 for name, value in weights.items() if value.ndim > 1}  # and finite
        save_file({**weights, **large}, run / inner / "model.safetensors")
        for args in ((run, clips), (student, clips, "--compare", run)):
            ran = evaluate(*args)
            assert ran.status == 1
            assert re.search(rf"{run}, \S+: the model computed NaN or infinity", ran.err)
            assert ran.err.count("\n") == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_weights_are_one_line_and_are_never_exported(
    tmp_path: Path, clips: Path, student: Path, value: float
) -> None:
    run = tmp_path / "run"
    shutil.copytree(student, run)
    weights = load_file(run / "model.safetensors")
    save_file({**weights, "memory.decide.bias": weights["memory.decide.bias"] + value}, run / "model.safetensors")
    for register, args in (
        (commands.register, ("evaluate", run, clips)),
        (deploy_commands.register, ("export", run, "--to", "onnx", "--out", tmp_path / "out")),
    ):
        ran = run_command(register, *args)
        assert ran.status == 2
        assert "model.safetensors: memory.decide.bias holds NaN or infinity: the weights are damaged" in ran.err
        assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_no_checkpoint_is_one_line(
    tmp_path: Path, clips: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cut" / "last").mkdir(parents=True)
    for file in (teacher / "teacher" / "last").iterdir():
        (tmp_path / "cut" / "last" / file.name).write_bytes(file.read_bytes()[:100])
    shutil.copytree(tmp_path / "cut" / "last", tmp_path / "student" / "student" / "last")
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    for args, says in (
        ((tmp_path, clips), "is no student checkpoint: holds no model.safetensors"),
        ((tmp_path / "cut", clips), "checkpoint.json"),
        ((tmp_path / "student", clips), "student/last/checkpoint.json: Invalid JSON"),
        (("", clips), "an empty name names no model"),
        (("air-gesture", clips, "--min-clip-s", 2, "--max-clip-s", 1), "--min-clip-s 2 is more than --max-clip-s 1"),
        (("air-gesture", clips, "--minutes", 1), "--minutes is for --stream"),
        (("air-gesture", clips, "--no-gate"), "--gate and --no-gate are for --stream"),
        (("air-gesture", clips, "--out", tmp_path / "o", "--json", tmp_path / "o"), "two outputs are one file"),
        ((teacher, clips, "--stream"), "is a teacher, which sees a clip as a whole"),
        ((teacher, clips, "--device", "mps"), "--device mps: torch finds no Metal device"),
        ((teacher, clips, "--stream", "--device", "mps"), "--device mps is not for --stream"),
        (
            ("air-gesture", clips, "--device", "mps"),
            "--device mps is for checkpoints; a model file computes on the CPU",
        ),
    ):
        ran = evaluate(*args)
        assert ran.status == 2
        assert says in ran.err
        assert ran.err.count("\n") == 1


def test_the_stream_of_a_student_is_the_one_that_is_deployed() -> None:
    student = small_student()
    recipe = Recipe(name="small", student=student.config)
    model = TorchStream(student, describe(student, recipe, LABELS))
    assert isinstance(model, StreamModel)
    frames = moving_pictures(6, 64, 64)
    state, expected = model.zero_state(), student.zero_state()
    for pixels in frames:
        kept = {name: value.copy() for name, value in state.items()}
        outputs, after = model.step(pixels, state)
        assert all(np.array_equal(kept[name], state[name]) for name in state)  # a state may be stepped from again
        with torch.no_grad():
            logits, embedding, expected = student.step(as_input(torch.from_numpy(pixels)[None, None])[0], expected)
        np.testing.assert_allclose(outputs.logits, torch.cat(logits), atol=1e-4)
        np.testing.assert_allclose(outputs.embedding, embedding[0], atol=1e-4)
        assert outputs.exit == 2
        state = after
    for name, value in expected.items():
        np.testing.assert_allclose(state[name], value, atol=1e-4)
    with torch.no_grad():
        for index, stopping in enumerate(by_exit(model).values()):
            outputs, _ = stopping.step(frames[0], stopping.zero_state())
            assert outputs.exit == index
            assert np.array_equal(outputs.logits[index], outputs.logits[-1])


def test_evaluate_stream_of_a_checkpoint(tmp_path: Path, clips: Path, student: Path) -> None:
    ran = evaluate(student, clips, "--stream", "--minutes", 0.5, "--no-gate", "--out", tmp_path / "report")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["model"] == str(student)
    assert found["frames"]["computed"] > 0
    assert found["exits"] == {"stage2": 0, "stage3": 0, "final": found["frames"]["computed"]}


def test_a_folder_of_several_runs_says_which_there_are(tmp_path: Path) -> None:
    for name in ("fold-1", "fold-2"):
        (tmp_path / "cv" / name).mkdir(parents=True)
    with pytest.raises(InputError, match=r"cv is no student .* it holds 2 runs, name one of them, like .*fold-1$"):
        find_checkpoint(tmp_path / "cv", "student")


def test_a_clip_with_a_hole_in_its_times_scores_as_on_a_device() -> None:
    student = small_student()
    manifest = describe(student, Recipe(name="small", student=student.config), LABELS)
    frames = np.stack(list(moving_pictures(24, 64, 64)))
    for holes in ((), (9,), (5, 17)):
        times_s = np.arange(len(frames)) / 10 + sum((np.arange(len(frames)) >= at) * 1.7 for at in holes)
        clip = DecodedClip(frames, times_s, ClipRecord(Path("a.mp4"), "a.mp4", (LABELS[0],), "g"))
        rest = settling_steps(manifest)
        ticks = as_stream(clip, manifest.input, manifest.rate_hz, rest)
        assert len(ticks.begins) == 1 + len(holes)
        stream = (Frame(pixels, float(s), i) for i, (pixels, s) in enumerate(zip(frames, times_s, strict=True)))
        deployed, _ = score_clip(stream, TorchStream(student, manifest))
        ours = student_scores(student, ticks, manifest)
        np.testing.assert_allclose(ours.clip, deployed.clip, atol=1e-4)
        np.testing.assert_allclose(ours.steps[-1], deployed.steps[-1], atol=1e-4)
