"""`edgevid train-distill` as a person runs it, on a tiny data folder with the smallest networks."""

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from students import small_student
from tiny_run import RECIPE, distill, interrupt_at, write_clips
from transformers import VideoMAEConfig, VideoMAEForVideoClassification

from edgevid_train.annotations import read_data
from edgevid_train.checkpoint import load_fitting, load_student, load_teacher, load_trainer, read_info
from edgevid_train.describe import describe
from edgevid_train.marks import trained_among
from edgevid_train.models.student import Student
from edgevid_train.recipe import AboutConfig, load_recipe
from edgevid_train.runs.bundled import init_from
from edgevid_train.synthetic.write import Request, write_dataset


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    """A whole run: teacher and student, one group held out. Not to be written to."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.toml").write_text(RECIPE)
    ran = distill(
        "--recipe", folder / "tiny.toml", "--data", clips, "--out", folder / "run", "--json", folder / "r.json"
    )
    assert ran.status == 0, ran.err
    (folder / "said.txt").write_text(ran.out)
    return folder


def test_a_run_leaves_what_it_promises(finished: Path, clips: Path) -> None:
    run = finished / "run"
    student, recipe, labels, info = load_student(run)
    assert labels == ("left", "right", "other")
    assert recipe.name == "tiny"
    assert not student.training
    assert info.split.train_clips == 12
    assert info.split.val_clips == 3
    assert not set(info.split.train_groups) & set(info.split.val_groups)
    seen = trained_among(read_data(clips), info.split.trained_on)
    assert {record.group for record in seen} == set(info.split.train_groups)
    assert describe(student, recipe, labels, (), info.split.trained_on).provenance.trained_on == info.split.trained_on
    silent = recipe.model_copy(update={"about": AboutConfig()})
    assert describe(student, silent, labels).provenance.licences == "not stated"
    teacher = load_teacher(run)
    assert teacher.labels == labels
    for phase in ("teacher", "student"):
        assert (run / phase / "last" / "trainer.pt").is_file()
        assert (run / phase / "best" / "model.safetensors").is_file()
        assert any((run / phase / "tensorboard").iterdir())
        assert json.loads((run / phase / "predictions.json").read_text())["n"] == 3
    assert (run / "ledger.csv").read_text() == "clip,label,reason\n"
    assert (run / "recipe.toml").read_text() == (run / "student" / "last" / "recipe.toml").read_text()
    result = json.loads((finished / "r.json").read_text())
    assert result["n"] == 3
    assert {"top1", "top1_low", "top1_high", "macro_f1", "per_class", "predictions"} <= set(result)
    assert result["teacher"]["top1"] == json.loads((run / "teacher" / "predictions.json").read_text())["top1"]


def test_it_says_what_a_person_wants_to_know(finished: Path) -> None:
    said = (finished / "said.txt").read_text()
    for what in ("12 clips to train on, 3 held out", "teacher 1/1", "student 2/2", "response", "feature", "clips/s"):
        assert what in said
    assert "waited for data" in said
    assert "held out: top1" in said
    assert "stage1" in said  # the inner exit's own figure


def test_the_saved_weights_are_the_networks(finished: Path) -> None:
    student = load_student(finished / "run" / "student" / "last").student
    again = load_student(finished / "run" / "student" / "last" / "model.safetensors").student
    frames = torch.rand(1, 4, 3, 32, 32) * 255
    with torch.no_grad():
        assert torch.equal(student(frames).logits[-1], again(frames).logits[-1])


@pytest.mark.parametrize("load", [2, 7], ids=["in the teacher's phase", "in the student's phase"])
def test_ctrl_c_saves_and_resume_ends_as_if_nothing_had_been(
    finished: Path, recipe: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: int
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        interrupt_at(patched, load)
        ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "run")
    assert ran.status == 130
    assert "press Ctrl-C again to quit at once" in ran.out
    assert f"go on with: edgevid train-distill --resume --out {tmp_path / 'run'}" in ran.err
    assert signal.getsignal(signal.SIGINT) is handler
    resumed = distill("--resume", "--out", tmp_path / "run")
    assert resumed.status == 0, resumed.err
    for phase in ("teacher", "student"):
        for name in ("last", "best"):
            whole = load_file(finished / "run" / phase / name / "model.safetensors")
            parts = load_file(tmp_path / "run" / phase / name / "model.safetensors")
            assert whole.keys() == parts.keys()
            assert all(torch.equal(whole[key], parts[key]) for key in whole), (phase, name)
    whole, parts = (load_trainer(folder / "student" / "last") for folder in (finished / "run", tmp_path / "run"))
    assert torch.equal(whole["random"]["torch"], parts["random"]["torch"])
    assert whole["progress"]["step"] == parts["progress"]["step"] == 6


def test_a_finished_run_is_resumed_without_training(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    weights = (tmp_path / "run" / "student" / "last" / "model.safetensors").read_bytes()
    ran = distill("--resume", "--out", tmp_path / "run")
    assert ran.status == 0, ran.err
    assert "student 1/2" not in ran.out
    assert (tmp_path / "run" / "student" / "last" / "model.safetensors").read_bytes() == weights


def test_a_run_is_not_resumed_with_other_clips(finished: Path, clips: Path, tmp_path: Path) -> None:
    """One group more cuts other folds, and what a finished fold was trained on would judge it."""
    data = tmp_path / "data"
    shutil.copytree(clips, data)
    shutil.copytree(finished / "run", tmp_path / "run")
    request = tmp_path / "run" / "run.json"
    request.write_text(request.read_text().replace(str(clips), str(data)))
    assert distill("--resume", "--out", tmp_path / "run").status == 0
    listed = (data / "clips.csv").read_text()
    file, label, _ = listed.splitlines()[1].split(",")
    shutil.copy(data / file, data / f"more_{file}")
    (data / "clips.csv").write_text(f"{listed}more_{file},{label},another_scene\n")
    ran = distill("--resume", "--out", tmp_path / "run")
    assert ran.status == 2
    assert "the clips are not those that the run in" in ran.err
    (data / "clips.csv").write_text(listed)
    assert distill("--resume", "--out", tmp_path / "run").status == 0


def test_the_number_of_loaders_changes_nothing(finished: Path, recipe: Path, clips: Path, tmp_path: Path) -> None:
    ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "run", "--set", "data.loaders=3")
    assert ran.status == 0, ran.err
    one = load_file(finished / "run" / "student" / "last" / "model.safetensors")
    three = load_file(tmp_path / "run" / "student" / "last" / "model.safetensors")
    assert all(torch.equal(one[key], three[key]) for key in one)


def test_cross_validation_pools_every_clip_once(recipe: Path, clips: Path, tmp_path: Path) -> None:
    ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "cv", "--cv", 2, "--set", "optim.epochs=1")
    assert ran.status == 0, ran.err
    pooled = json.loads((tmp_path / "cv" / "cv.json").read_text())
    assert pooled["folds"] == 2
    assert pooled["n"] == 15
    assert len({entry["file"] for entry in pooled["predictions"]}) == 15
    assert pooled["top1_low"] <= pooled["top1"] <= pooled["top1_high"]
    held_out = [set(load_student(tmp_path / "cv" / f"fold-{i}").info.split.val_groups) for i in (1, 2)]
    assert held_out[0].isdisjoint(held_out[1])
    assert len(held_out[0] | held_out[1]) == 5


def test_everything_and_nothing_held_out_with_a_given_teacher(
    finished: Path, recipe: Path, clips: Path, tmp_path: Path
) -> None:
    more = write_clips(tmp_path / "more", ["left", "other"])
    ran = distill(
        *("--recipe", recipe, "--data", clips, "--out", tmp_path / "all", "--all", "--extra", more),
        *("--teacher", finished / "run" / "teacher", "--set", "optim.epochs=1"),
    )
    assert ran.status == 0, ran.err
    info = load_student(tmp_path / "all").info
    assert (info.split.name, info.split.train_clips, info.split.val_clips) == ("all clips", 17, 0)
    assert not (tmp_path / "all" / "teacher").exists()
    assert not (tmp_path / "all" / "student" / "best").exists()


def test_what_is_held_out_moves_with_no_seed_but_its_own(recipe: Path, clips: Path, tmp_path: Path) -> None:
    off = ("--set", "distill.response=0", "--set", "distill.feature=0", "--set", "optim.epochs=1")
    held_out = []
    for number, seeds in enumerate(((), ("seed=3",), ("data.seed=3",), ("data.split_seed=3",))):
        changes = [word for seed in seeds for word in ("--set", seed)]
        ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / str(number), *off, *changes)
        assert ran.status == 0, ran.err
        held_out.append(load_student(tmp_path / str(number)).info.split.val_groups)
    assert held_out[0] == held_out[1] == held_out[2] != held_out[3]


def test_a_teacher_that_saw_the_held_out_groups_is_told(
    finished: Path, recipe: Path, clips: Path, tmp_path: Path
) -> None:
    ran = distill(
        *("--recipe", recipe, "--data", clips, "--out", tmp_path / "run", "--folds", 5, "--fold", 2),
        *("--teacher", finished / "run" / "teacher", "--set", "optim.epochs=1"),
    )
    assert ran.status == 0, ran.err
    split, saw = load_student(tmp_path / "run").info.split, load_teacher(finished / "run").info.split
    assert ("figures will be too good" in ran.out) == bool(set(split.val_groups) & set(saw.train_groups))
    assert set(saw.trained_on) <= set(split.trained_on)  # what the teacher knows, the student may know too


def test_a_teacher_from_whom_nothing_is_learned_is_told(
    finished: Path, recipe: Path, clips: Path, tmp_path: Path
) -> None:
    args = ("--recipe", recipe, "--data", clips, "--set", "optim.epochs=1")
    off = ("--set", "distill.response=0", "--set", "distill.feature=0")
    for out, teacher in (("alone", ()), ("beside", ("--teacher", finished / "run" / "teacher"))):
        ran = distill(*args, *off, *teacher, "--out", tmp_path / out)
        assert ran.status == 0, ran.err
        assert ("nothing is learned from the teacher" in ran.out) == bool(teacher)
    alone, beside = (load_student(tmp_path / out).student.state_dict() for out in ("alone", "beside"))
    assert_same(alone, beside)


def test_extra_clips_take_their_share_of_an_epoch(recipe: Path, clips: Path, tmp_path: Path) -> None:
    drawn = write_dataset(
        tmp_path / "drawn", Request(clips=6, seed=1, size=(64, 48), fps=(8.0, 8.0), labels=("left", "right", "other"))
    )
    assert (drawn.parent / "places.npz").is_file()
    ran = distill(
        *("--recipe", recipe, "--data", clips, "--out", tmp_path / "run", "--all", "--extra", drawn.parent),
        *("--set", "optim.epoch_clips=12", "--set", "optim.extra_share=0.75", "--set", "optim.epochs=1"),
        *("--set", "teacher_optim.extra_share=0.5", "--set", "distill.place=1.0"),
    )
    assert ran.status == 0, ran.err
    assert "all clips: 15 clips and 6 extra ones to train on, 0 held out" in ran.out
    assert load_student(tmp_path / "run").info.step == 3  # 12 clips in batches of 5
    assert load_teacher(tmp_path / "run").info.step == 6  # 15 clips and as many extra ones
    assert "place 0.000" not in ran.out  # where the drawn hand points was learned from


def test_a_run_may_begin_from_the_weights_of_another(finished: Path, recipe: Path, clips: Path, tmp_path: Path) -> None:
    args = ("--recipe", recipe, "--data", clips, "--init", finished / "run")
    none = ("--set", "optim.lr=1e-30", "--set", "optim.least_lr=0", "--set", "optim.ema=0", "--set", "optim.epochs=1")
    ran = distill(*args, "--out", tmp_path / "same", *none)
    assert ran.status == 0, ran.err
    assert "student: 1" in ran.out
    assert "begin anew" not in ran.out
    before = load_file(finished / "run" / "student" / "last" / "model.safetensors")
    after = load_file(tmp_path / "same" / "student" / "last" / "model.safetensors")
    assert torch.equal(before["memory.decide.weight"], after["memory.decide.weight"])
    ran = distill(*args, "--out", tmp_path / "two", "--classes", "left,right", *none)
    assert ran.status == 0, ran.err
    ran = distill(*args, "--out", tmp_path / "other", *none, "--set", "student.size=8")
    assert ran.status == 0, ran.err
    assert "begin anew" in ran.out
    ran = distill(*args[:4], "--init", clips, "--out", tmp_path / "none")
    assert ran.status == 2
    assert "holds no checkpoint of a student or a teacher" in ran.err
    assert "bundled" not in ran.err
    ran = distill(*args[:4], "--init", "air-gestures", "--out", tmp_path / "none")
    assert ran.status == 2
    assert "nor is it one of the bundled air-gesture, air-gesture-drawn" in ran.err


def test_what_a_label_has_learned_stays_with_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before, after = (Student(small_student().config, n) for n in (3, 4))
    save_file(before.state_dict(), tmp_path / "w.safetensors")
    theirs, ours = ("left", "right", "other"), ("other", "up", "left", "right")
    fresh = after.memory.decide.weight[1].clone()
    _, anew = load_fitting(after, tmp_path / "w.safetensors", theirs, ours)
    assert anew == []
    for row, label in enumerate(ours):
        if label in theirs:
            assert torch.equal(after.memory.decide.weight[row], before.memory.decide.weight[theirs.index(label)])
            assert after.memory.decide.bias[row] == before.memory.decide.bias[theirs.index(label)]
    assert torch.equal(after.memory.decide.weight[1], fresh)


def test_a_run_from_weights_with_other_labels_says_so_and_takes_no_clip_for_a_negative(
    finished: Path, recipe: Path, clips: Path, tmp_path: Path
) -> None:
    args = ("--recipe", recipe, "--data", clips, "--out", tmp_path / "out", "--set", "optim.epochs=1")
    ran = distill(*args, "--negatives", clips)
    assert ran.status == 2
    assert "it is one of the clips" in ran.err
    told = finished / "run" / "student" / "last" / "checkpoint.json"
    other = tmp_path / "other"
    shutil.copytree(told.parent, other)
    info = json.loads(told.read_text())
    info["labels"] = ["shove", *info["labels"][1:]]
    (other / "checkpoint.json").write_text(json.dumps(info))
    ran = distill(*args, "--init", other)
    assert ran.status == 0, ran.err
    assert "whose answers begin anew" in ran.out


def test_bundled_weights_are_a_name_unless_something_of_that_name_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = Path("air-gesture-drawn")
    student = Student(load_recipe("air-gesture").student, 11)
    count, anew = load_fitting(student, init_from(name) / "model.safetensors")
    assert (count, anew) == (len(student.state_dict()), [])
    assert read_info(init_from(name), "student").labels[-1] == "other"
    name.mkdir()
    assert init_from(name) == tmp_path / name


@pytest.fixture(scope="module")
def tiny_videomae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VideoMAE for 4 frames of 32x32 as transformers saves it, for labels of its own."""
    torch.manual_seed(0)
    config = VideoMAEConfig(
        image_size=32,
        patch_size=16,
        num_frames=4,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=7,
    )
    folder = tmp_path_factory.mktemp("videomae")
    VideoMAEForVideoClassification(config).save_pretrained(folder)
    return folder


def test_a_videomae_teacher_from_a_folder_is_tuned_and_distilled(
    recipe: Path, clips: Path, tiny_videomae: Path, tmp_path: Path
) -> None:
    videomae = ("--set", "teacher.kind=videomae", "--set", f"teacher.weights={tiny_videomae}")
    args = ("--recipe", recipe, "--data", clips, *videomae, "--set", "optim.epochs=1")
    ran = distill(*args, "--out", tmp_path / "run")
    assert ran.status == 0, ran.err
    assert "response" in ran.out
    tuned = load_teacher(tmp_path / "run")
    assert tuned.info.kind == "teacher"
    saved = load_file(tmp_path / "run" / "teacher" / "last" / "model.safetensors")
    state = tuned.teacher.network.state_dict()
    assert state["classifier.weight"].shape[0] == 3
    assert_same(state, load_file(tmp_path / "run" / "teacher" / "best" / "model.safetensors"))
    assert not torch.equal(
        saved["videomae.encoder.layer.0.output.dense.weight"],
        load_file(tiny_videomae / "model.safetensors")["videomae.encoder.layer.0.output.dense.weight"],
    )
    again = distill(*args, "--out", tmp_path / "again", "--teacher", tmp_path / "run")
    assert again.status == 0, again.err
    assert not (tmp_path / "again" / "teacher").exists()


def assert_same(state: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert state.keys() == other.keys()
    assert all(torch.equal(state[key], other[key]) for key in state)


def test_without_distillation_no_teacher_is_trained(recipe: Path, clips: Path, tmp_path: Path) -> None:
    ran = distill(
        *("--recipe", recipe, "--data", clips, "--out", tmp_path / "run", "--set", "optim.epochs=1"),
        *("--set", "distill.response=0", "--set", "distill.feature=0"),
    )
    assert ran.status == 0, ran.err
    assert not (tmp_path / "run" / "teacher").exists()
    assert "response" not in ran.out


def bad_data(kind: str, folder: Path) -> Path:
    if kind == "empty":
        folder.mkdir()
    elif kind == "one class":
        write_clips(folder, ["left"] * 4)
    elif kind == "unreadable":
        write_clips(folder, ["left", "right", "other"] * 3)
        (folder / "00_left.mp4").write_bytes(b"no video")
    elif kind == "one group":
        write_clips(folder, ["left", "right"], per_group=9)
    return folder


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such data folder"),
        ("empty", "no labelled videos"),
        ("one class", "at least two labels are needed; all 4 clips are 'left'"),
        ("unreadable", "1 of 9 clips cannot be used, more than the recipe's share of 2%"),
        ("one group", "all clips are of one group"),
    ],
)
def test_bad_data_is_one_line(recipe: Path, tmp_path: Path, kind: str, says: str) -> None:
    data = bad_data(kind, tmp_path / "data")
    ran = distill("--recipe", recipe, "--data", data, "--out", tmp_path / "run")
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "run" / "teacher").exists()


def test_an_unreadable_clip_is_skipped_named_and_counted(recipe: Path, tmp_path: Path) -> None:
    data = bad_data("unreadable", tmp_path / "data")
    ran = distill(
        *("--recipe", recipe, "--data", data, "--out", tmp_path / "run", "--set", "data.max_skipped_share=0.2"),
        *("--set", "optim.epochs=1", "--cv", 3),
    )
    assert ran.status == 0, ran.err
    assert "skipped: 00_left.mp4: " in ran.out
    assert (tmp_path / "run" / "ledger.csv").read_text().splitlines()[1].startswith("00_left.mp4,left,")
    pooled = json.loads((tmp_path / "run" / "cv.json").read_text())
    assert pooled["n"] == 9  # held out it is missing, and counts as wrong
    missing = next(entry for entry in pooled["predictions"] if entry["file"] == "00_left.mp4")
    assert missing["predicted"] is None
    assert missing["scores"] is None


def test_a_label_that_occurs_once_is_a_warning(recipe: Path, tmp_path: Path) -> None:
    data = write_clips(tmp_path / "data", [*["left", "right"] * 4, "other"], per_group=2)
    (data / "clips.csv").write_text((data / "clips.csv").read_text().replace(",other,", ",wave,"))
    ran = distill("--recipe", recipe, "--data", data, "--out", tmp_path / "run", "--set", "optim.epochs=1")
    assert ran.status == 0, ran.err
    assert "warning: held-out groups: label 'wave': no clip held out, so it is not measured (1 to train on)" in ran.out
    assert load_student(tmp_path / "run").labels == ("left", "right", "wave", "other")


def test_an_output_that_exists_needs_force(recipe: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    (out / "student").mkdir(parents=True)
    (out / "student" / "old").touch()
    (out / "mine.txt").touch()
    ran = distill("--recipe", recipe, "--data", clips, "--out", out)
    assert ran.status == 2
    assert "exists; give --force" in ran.err
    assert (out / "student" / "old").exists()
    forced = distill("--recipe", recipe, "--data", clips, "--out", out, "--force", "--set", "optim.epochs=1")
    assert forced.status == 0, forced.err
    assert (out / "student" / "old").exists()  # no run wrote it
    assert (out / "mine.txt").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--set", "optim.epoch=3"], "optim.epoch: unknown key"),
        (["--cv", 9], "9 folds need at least 9 groups; the data has 5"),
        (["--cv", 2, "--all"], "exclude one another"),
        (["--folds", 3], "--folds and --fold go together"),
        (["--folds", 3, "--fold", 4], "--fold 4 of 3"),
        (["--classes", "left,,right"], "expected names, each once"),
        (["--classes", "left,up"], "has no label 'up'"),
        (["--teacher", "nowhere"], "is no teacher checkpoint: no such file or folder"),
        (["--all", "--set", "optim.patience=2"], "optim.patience goes by clips that are held out, and none are"),
        (["--extra", "nowhere"], "no such data folder"),
        (["--group", "person"], "column 'person' is missing"),
        (["--set", "student.exits=[9]"], "has 7 stages"),
        (["--set", "student.backbone=vgg"], "backbone 'vgg' is not one of"),
        (["--set", "student.rate_hz=300"], "student.rate_hz: Input should be less than or equal to 240"),
        (["--set", "student.dilations=[4000]"], "cannot be described: clip_frames: Input should be less than or equal"),
        (["--set", "hold.busy=12"], "cannot be described: hold: at most 7 frames"),
        (["--set", "paths.steps=5", "--set", "paths.file=no.npz"], "no.npz: no such paths file"),
    ],
)
def test_wrong_words_are_one_line(recipe: Path, clips: Path, tmp_path: Path, args: list[object], says: str) -> None:
    ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "run", *args)
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "run").exists()  # nothing was begun


@pytest.mark.parametrize(
    "json",
    [
        "run",
        "run/run.json",
        "run/cv.json",
        "run/sweep.csv",
        "run/ledger.csv",
        "run/student/a.json",
        "run/fold-1/a.json",
    ],
)
def test_figures_do_not_take_the_place_of_a_run_s_files(recipe: Path, clips: Path, tmp_path: Path, json: str) -> None:
    ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "run", "--json", tmp_path / json)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "is what the run itself writes: name another file" in ran.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("writer", "error"),
    [
        ("save_file", SafetensorError("I/O error: No space left on device (os error 28)")),
        ("torch.save", RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 640 vs 598")),
    ],
)
def test_a_disk_that_is_full_is_one_line(
    recipe: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, error: Exception
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(f"edgevid_train.checkpoint.format.{writer}", full)
    ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "run")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "cannot write" in ran.err
    assert "No space left" in ran.err or "is the disk full?" in ran.err


def test_resume_without_a_run(tmp_path: Path, recipe: Path) -> None:
    ran = distill("--resume", "--out", tmp_path / "run")
    assert ran.status == 2
    assert "holds no run (run.json is missing)" in ran.err
    ran = distill("--resume", "--out", tmp_path / "run", "--recipe", recipe)
    assert ran.status == 2
    assert "holds no run" in ran.err
    ran = distill("--resume")
    assert ran.status == 2
    assert "--resume needs the run's --out, or its --recipe" in ran.err


def test_resume_may_be_asked_in_the_same_words_and_in_no_others(finished: Path, clips: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    args = ("--recipe", finished / "tiny.toml", "--data", clips, "--out", tmp_path / "run", "--resume")
    assert distill(*args).status == 0
    ran = distill(*args, "--set", "optim.epochs=9")
    assert ran.status == 2
    assert f"the recipe has optim.epochs = 9, the run in {tmp_path / 'run'} was begun with 2" in ran.err
    for other in (("--data", tmp_path), ("--cv", 2), ("--classes", "left,right")):
        ran = distill(*args, *other)
        assert ran.status == 2
        assert f"{other[0]} is not what the run in" in ran.err


def test_a_recipe_that_was_edited_since_is_not_resumed_by(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("epochs = 2", "epochs = 9"))
    ran = distill("--out", tmp_path / "run", "--resume")
    assert ran.status == 2
    assert f"{recipe} now has " in ran.err
    assert "epochs = 9, the run in" in ran.err
    assert ran.err.count("\n") == 1


def test_a_run_whose_data_was_moved_goes_on_where_it_is_now(recipe: Path, clips: Path, tmp_path: Path) -> None:
    was, now, out = tmp_path / "was", tmp_path / "now", tmp_path / "run"
    shutil.copytree(clips, was)
    few = ("--set", "optim.epochs=1", "--set", "distill.response=0", "--set", "distill.feature=0")
    with pytest.MonkeyPatch.context() as patched:
        interrupt_at(patched, 2)
        assert distill("--recipe", recipe, "--data", was, "--out", out, *few).status == 130
    was.rename(now)
    ran = distill("--out", out, "--resume")
    assert ran.status == 2
    assert f"--resume: {was} is gone; say where it is now: --data PLACE" in ran.err
    ran = distill("--out", out, "--resume", "--data", write_clips(tmp_path / "other", ["left", "right", "other"] * 3))
    assert ran.status == 2
    assert "the clips are not those that the run" in ran.err
    for again in (("--data", now), ()):  # it remembers
        ran = distill("--out", out, "--resume", *again)
        assert ran.status == 0, ran.err
    ran = distill("--out", out, "--resume", "--data", clips)
    assert "--data is not what the run in" in ran.err  # the place is known: another one is a mistake


def test_a_run_whose_teacher_was_moved_goes_on_where_it_is_now(
    recipe: Path, clips: Path, finished: Path, tmp_path: Path
) -> None:
    was, now, other, out = (tmp_path / name for name in ("was", "now", "other", "run"))
    shutil.copytree(finished / "run", was)
    given = ("--teacher", was, "--init", was, "--set", "optim.epochs=1", "--data", clips)
    with pytest.MonkeyPatch.context() as patched:
        interrupt_at(patched, 2)
        assert distill("--recipe", recipe, "--out", out, *given).status == 130
    was.rename(now)
    ran = distill("--out", out, "--resume")
    assert ran.status == 2
    assert f"--resume: {was} is gone; say where it is now: --teacher PLACE" in ran.err
    shutil.copytree(now, other)
    weights = other / "teacher" / "last" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    ran = distill("--out", out, "--resume", "--teacher", other, "--init", now)
    assert ran.status == 2
    assert f"--teacher {other} holds other weights than the run began with" in ran.err
    assert ran.err.count("\n") == 1
    for again in (("--teacher", now, "--init", now), ()):  # it remembers
        ran = distill("--out", out, "--resume", *again)
        assert ran.status == 0, ran.err


def test_data_and_output_have_defaults(recipe: Path, clips: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = ("--set", "optim.epochs=1", "--set", "distill.response=0", "--set", "distill.feature=0")
    ran = distill("--recipe", recipe, *few)
    assert ran.status == 2
    assert "--data is needed: recipe tiny names no folder" in ran.err
    ran = distill("--recipe", recipe, *few, "--set", f"data.folder={clips}")
    assert ran.status == 0, ran.err
    assert (tmp_path / "runs" / "tiny" / "student" / "last" / "model.safetensors").is_file()


def test_an_output_that_cannot_be_written_is_found_first(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = distill("--recipe", recipe, "--data", tmp_path / "nowhere", "--out", tmp_path / "file" / "run")
    assert ran.status == 2
    assert "is not a folder" in ran.err


def test_mixed_balanced_weighted_focal_training_is_resumed_exactly(
    recipe: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = (
        *("--recipe", recipe, "--data", clips, "--set", "mix.mixup=0.4", "--set", "mix.cutmix=1.0"),
        *("--set", "data.balance=1.0", "--set", "task.class_weights=inverse_sqrt", "--set", "task.focal=2.0"),
    )
    ran = distill(*args, "--out", tmp_path / "whole")
    assert ran.status == 0, ran.err
    with monkeypatch.context() as patched:
        interrupt_at(patched, 7)
        assert distill(*args, "--out", tmp_path / "parts").status == 130
    assert distill("--resume", "--out", tmp_path / "parts").status == 0
    whole, parts = (
        load_file(tmp_path / name / "student" / "last" / "model.safetensors") for name in ("whole", "parts")
    )
    assert_same(whole, parts)


def test_a_split_of_the_data_s_own_that_is_passed_over_is_said(recipe: Path, tmp_path: Path) -> None:
    data = write_clips(tmp_path / "data", ["left", "right", "other"] * 3)
    header, *rows = (data / "clips.csv").read_text().split()
    rows = [f"{row},{'val' if row.endswith('scene0') else 'train'}" for row in rows]
    (data / "clips.csv").write_text("\n".join([f"{header},split", *rows]))
    args = ("--recipe", recipe, "--data", data, "--out", tmp_path / "out", "--force")
    args = (*args, "--set", "distill.response=0", "--set", "distill.feature=0", "--set", "optim.epochs=1")
    for way in (("--cv", 3), ("--all",), ("--fold", 1, "--folds", 3), ()):
        ran = distill(*args, *way)
        assert ran.status == 0, ran.err
        said = " ".join(ran.out.split())
        assert ("the data's own split" in said) == bool(way)
        if way:
            assert f"the data's own split, which holds out 3 clips, is passed over by {way[0]}" in said
