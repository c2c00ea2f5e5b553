"""`edgevid train-teacher` as a person runs it: alone, pre-trained, as an ensemble, and what a student makes of it."""

import json
import runpy
from pathlib import Path

import pytest
import torch
from command_runs import Ran, run_command
from safetensors.torch import load_file
from tiny_run import RECIPE, interrupt_at, write_clips

from edgevid_train import commands
from edgevid_train.annotations import read_data
from edgevid_train.checkpoint import load_teacher, read_info
from edgevid_train.marks import marks_of
from edgevid_train.models.teachers.ensemble import Ensemble
from edgevid_train.runs.given import leaked, teacher_for

VIDEOMAE = """
name = "masked"
[data]
short_side = 48
[student]
input = { height = 32, width = 32 }
weights = "none"
[teacher]
kind = "videomae"
weights = "none"
frames = 4
input = { height = 32, width = 32 }
videomae = { width = 24, layers = 1, heads = 2, patch = 8, tubelet = 2 }
[pretrain]
mask = 0.75
decoder = { width = 12, layers = 1, heads = 2 }
[pretrain_optim]
epochs = 1
batch = 5
[teacher_optim]
epochs = 2
batch = 5
"""


def edgevid(command: str, *args: object) -> Ran:
    return run_command(commands.register, command, "--device", "cpu", *args)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    """Two teachers, each cross-validated over two folds; not to be written to."""
    folder = tmp_path_factory.mktemp("teachers")
    (folder / "tsm.toml").write_text(RECIPE)
    (folder / "masked.toml").write_text(VIDEOMAE)
    for name in ("tsm", "masked"):
        ran = edgevid(
            *("train-teacher", "--recipe", folder / f"{name}.toml", "--data", clips, "--cv", 2, "--out", folder / name)
        )
        assert ran.status == 0, ran.err
        (folder / f"{name}.txt").write_text(ran.out)
    return folder


def gathered(done: Path, members: tuple[str, str], *args: object) -> Ran:
    paths = json.dumps([str(done / member) for member in members])
    return edgevid(
        *("train-teacher", "--recipe", done / "tsm.toml", *args),
        *("--set", "teacher.kind=ensemble", "--set", f"teacher.members={paths}"),
    )


def test_a_teacher_alone_is_trained_fold_by_fold(done: Path) -> None:
    for name in ("tsm", "masked"):
        pooled = json.loads((done / name / "cv.json").read_text())
        assert pooled["n"] == len({entry["file"] for entry in pooled["predictions"]}) == 15
        assert (done / name / "fold-2" / "teacher" / "predictions.json").is_file()
        assert not list((done / name).glob("fold-*/student"))
        said = (done / f"{name}.txt").read_text()
        assert "teacher 1/" in said
        assert "student" not in said
        assert f"the teacher is in {done / name}" in said


def test_the_predictions_are_those_of_the_last_epoch(done: Path) -> None:
    ran = edgevid(
        *("train-teacher", "--resume", "--out", done / "masked", "--json", done / "again.json"),
    )
    assert ran.status == 0, ran.err
    assert "teacher 1/2" not in ran.out
    again, first = (json.loads(path.read_text()) for path in (done / "again.json", done / "masked" / "cv.json"))
    assert again["predictions"] == first["predictions"]


def test_a_videomae_begins_from_what_was_pre_trained_and_resumes_exactly(
    done: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked = ("--recipe", done / "masked.toml", "--data", clips)
    ran = edgevid("pretrain", *masked, "--out", tmp_path / "pre")
    assert ran.status == 0, ran.err
    args = ("train-teacher", *masked, "--init", tmp_path / "pre")
    still = ("--set", "teacher_optim.lr=1e-30", "--set", "teacher_optim.least_lr=0", "--set", "teacher_optim.ema=0")
    ran = edgevid(*args, *still, "--out", tmp_path / "still", "--all")
    assert ran.status == 0, ran.err
    assert "4 begin anew, fc_norm.weight for one" in ran.out  # the norm before the classifier, and the classifier
    before = load_file(tmp_path / "pre" / "pretrained" / "best" / "model.safetensors")
    after = load_file(tmp_path / "still" / "teacher" / "last" / "model.safetensors")
    body = [name for name in after if name.startswith("videomae.")]
    assert len(body) > 10
    assert all(torch.equal(before[name], after[name]) for name in body)

    ran = edgevid(*args, "--out", tmp_path / "whole", "--folds", 2, "--fold", 1)
    assert ran.status == 0, ran.err
    assert "what it begins from was trained on" in ran.out
    assert "without their labels; the figures will be too good" in ran.out
    info = read_info(tmp_path / "whole" / "teacher" / "last", "teacher")
    held_out = [record for record in read_data(clips) if record.group in info.split.val_groups]
    assert any(set(marks_of(record)) & set(info.split.trained_on) for record in held_out)  # they were seen before

    with monkeypatch.context() as patched:
        interrupt_at(patched, 3)
        ran = edgevid(*args, "--out", tmp_path / "parts", "--folds", 2, "--fold", 1)
    assert ran.status == 130
    assert f"go on with: edgevid train-teacher --resume --out {tmp_path / 'parts'}" in ran.err
    ran = edgevid("train-teacher", "--resume", "--out", tmp_path / "parts")
    assert ran.status == 0, ran.err
    whole, parts = (
        load_file(tmp_path / name / "teacher" / "last" / "model.safetensors") for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_each_fold_of_an_ensemble_gathers_those_that_have_not_seen_it(done: Path, clips: Path, tmp_path: Path) -> None:
    ran = gathered(done, ("tsm", "masked"), "--data", clips, "--cv", 2, "--out", tmp_path / "both")
    assert ran.status == 0, ran.err
    assert "too good" not in ran.out
    pooled = {
        name: json.loads((folder / "cv.json").read_text())["predictions"]
        for name, folder in (("both", tmp_path / "both"), ("tsm", done / "tsm"), ("masked", done / "masked"))
    }
    assert len(pooled["both"]) == 15
    for both, one, other in zip(*pooled.values(), strict=True):
        assert both["file"] == one["file"] == other["file"]
        for label, score in both["scores"].items():
            assert score == pytest.approx((one["scores"][label] + other["scores"][label]) / 2, abs=2e-6)
    for fold in ("fold-1", "fold-2"):
        loaded = load_teacher(tmp_path / "both" / fold)
        assert isinstance(loaded.teacher, Ensemble)
        assert not set(loaded.info.split.train_groups) & set(loaded.info.split.val_groups)
        assert loaded.info.split.trained_on


def test_a_student_is_distilled_fold_by_fold_from_a_cross_validated_ensemble(
    done: Path, clips: Path, tmp_path: Path
) -> None:
    ran = gathered(done, ("tsm", "masked"), "--data", clips, "--cv", 2, "--out", tmp_path / "both")
    assert ran.status == 0, ran.err
    args = ("--recipe", done / "tsm.toml", "--data", clips, "--teacher", tmp_path / "both", "--set", "optim.epochs=1")
    ran = edgevid("train-distill", *args, "--cv", 2, "--out", tmp_path / "cv")
    assert ran.status == 0, ran.err
    assert "too good" not in ran.out
    assert "response" in ran.out
    ran = edgevid("train-distill", *args, "--all", "--out", tmp_path / "all")
    assert ran.status == 2
    assert "both holds 2 teachers, one a fold; give one of them, or one trained with --all" in ran.err


def test_a_student_s_teacher_gets_the_frames_it_takes(done: Path, clips: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "other.toml"
    recipe.write_text(RECIPE.replace("frames = 4", "frames = 7"))
    args = ("--recipe", recipe, "--data", clips, "--set", "optim.epochs=1", "--folds", 2, "--fold", 2)
    for name in ("tsm", "masked"):
        ran = edgevid("train-distill", *args, "--teacher", done / name, "--out", tmp_path / name)
        assert ran.status == 0, ran.err
        assert "too good" not in ran.out  # of the two folds the one that has not seen these groups


def test_the_fold_that_saw_least_is_the_one_that_teaches(done: Path) -> None:
    infos = {fold: read_info(done / "tsm" / fold / "teacher" / "last", "teacher") for fold in ("fold-1", "fold-2")}
    for fold, info in infos.items():
        found = teacher_for(done / "tsm", info.split.val_groups)
        assert found == done / "tsm" / fold / "teacher" / "last"
        assert not leaked(found, "teacher", info.split.val_groups)
        assert leaked(found, "teacher", info.split.train_groups) == sorted(info.split.train_groups)
    alone = done / "tsm" / "fold-1"
    assert teacher_for(alone, ()) == teacher_for(alone / "teacher" / "last", ()) == alone / "teacher" / "last"


@pytest.mark.parametrize(
    ("members", "args", "says"),
    [
        (("tsm", "nowhere"), ["--cv", 2], "nowhere is no teacher checkpoint: no such file or folder"),
        (("tsm", "masked"), ["--all"], "holds 2 teachers, one a fold"),
        (("tsm", "masked"), ["--cv", 2, "--set", "teacher.frames=5"], "member 1 takes 4 frames of 32x32 (stretch)"),
        (
            ("tsm", "masked"),
            ["--cv", 2, "--classes", "right,left"],
            "answers with left, right, other; the data has right, left, other",
        ),
    ],
)
def test_what_makes_no_ensemble_is_one_line(
    done: Path, clips: Path, tmp_path: Path, members: tuple[str, str], args: list[object], says: str
) -> None:
    ran = gathered(done, members, "--data", clips, "--out", tmp_path / "run", *args)
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_other_data_than_the_teacher_s_labels_is_refused_before_anything_is_read(
    done: Path, recipe_of_two: Path, tmp_path: Path
) -> None:
    data = write_clips(tmp_path / "data", ["up", "down"] * 3, per_group=2)
    ran = edgevid(
        *("train-distill", "--recipe", recipe_of_two, "--data", data, "--teacher", done / "tsm", "--cv", 2),
        *("--out", tmp_path / "run"),
    )
    assert ran.status == 2
    assert "answers with" in ran.err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def recipe_of_two(tmp_path: Path) -> Path:
    (tmp_path / "two.toml").write_text(RECIPE)
    return tmp_path / "two.toml"


def test_the_table_of_teachers(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "teachers.py"
    runs = [str(done / "tsm"), str(done / "masked")]
    monkeypatch.syspath_prepend(str(script.parent))  # its neighbour finished.py
    monkeypatch.setattr("sys.argv", [str(script), *runs, "--json", str(tmp_path / "table.json")])
    runpy.run_path(str(script), run_name="__main__")
    rows = json.loads((tmp_path / "table.json").read_text())
    assert [row["run"] for row in rows] == runs
    assert [row["kind"] for row in rows] == ["tsm", "videomae"]
    for row in rows:
        pooled = json.loads(Path(row["run"], "cv.json").read_text())
        assert (row["n"], row["top1"], row["top1_low"]) == (15, pooled["top1"], pooled["top1_low"])
        assert row["mb"] == pytest.approx(4e-6 * row["parameters"], rel=0.2)
        assert row["ms"] > 0
    assert "| 4 frames of 32x32 (stretch) |" in capsys.readouterr().out
    distilled = tmp_path / "distilled"
    distilled.mkdir()
    (distilled / "run.json").write_text('{"command": "train-distill"}')
    for run, says in ((tmp_path, "no finished run with held-out clips"), (distilled, "give one of train-teacher")):
        monkeypatch.setattr("sys.argv", [str(script), str(run)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(script), run_name="__main__")
        assert ended.value.code == 2
        assert says in capsys.readouterr().err
