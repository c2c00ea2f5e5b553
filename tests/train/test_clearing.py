"""What `--force` removes of an earlier run, and what it never does."""

import json
from pathlib import Path

import pytest
from command_runs import run_command
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import distill, interrupt_at

from edgevid_train.commands import register
from edgevid_train.runs.clearing import clear, clear_unfinished


def asking(recipe: Path, clips: Path, out: Path, *more: object) -> tuple[object, ...]:
    """The words of a short run, or, with `*SWEPT`, of a sweep of two."""
    return ("--recipe", recipe, "--data", clips, "--out", out, *ONCE, *more)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def put(folder: Path, *names: str) -> None:
    said = {"run.json": '{"data": "d"}', "plan.json": '{"combinations": []}'}
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(said.get(Path(name).name, ""))


ONCE = ("--set", "teacher_optim.epochs=1")
EPOCH = ("--set", "optim.epochs=1")
SWEPT = ("--sweep", "mix.mixup=0,0.4")
RUN = (
    "run.json",
    "recipe.toml",
    "splits.json",
    "cv.json",
    "confusion.png",
    "student/last/checkpoint.json",
    "student/best/model.safetensors",
    "student/best/checkpoint.json",
    "student/.last.12.old/checkpoint.json",
    "student/predictions.json",
    "student/tensorboard/events.out.tfevents.1",
    "memory/lesson-1/last/checkpoint.json",
    "memory/seen/1.npz",
    "fold-1/teacher/last/checkpoint.json",
    "pretrained/last/checkpoint.json",
    "pretrain.json",
)
SWEEP = ("plan.json", "sweep.csv", "sweep-1-lr-1/seed-0/run.json", "sweep-1-lr-1/seed-0/student/last/checkpoint.json")
OTHERS = (
    "student/0.mp4",
    "teacher/deep/1.mp4",
    "memory/last/2.mp4",
    "fold-backup/precious",
    "fold-2/precious",
    "sweep-1-lr-1/notes.txt",
    "notes.txt",
    "cv.pdf",
)


def test_what_runs_and_sweeps_left_goes_and_nothing_else(tmp_path: Path) -> None:
    put(tmp_path, *RUN, *SWEEP, *OTHERS)
    clear(tmp_path)
    assert files(tmp_path) == set(OTHERS)
    clear(tmp_path / "none")


@given(st.sets(st.sampled_from(OTHERS)))
def test_a_folder_of_no_run_stays_as_it_is(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    folder = tmp_path_factory.mktemp("data")
    put(folder, "splits.json", "ledger.csv", *names)
    before = files(folder)
    clear(folder)
    assert files(folder) == before


def test_a_plan_or_a_recipe_of_the_persons_own_stays(tmp_path: Path) -> None:
    put(tmp_path, "recipe.toml", "ledger.csv", "plan.json")
    (tmp_path / "plan.json").write_text('["buy milk"]')
    before = files(tmp_path)
    clear(tmp_path)
    assert files(tmp_path) == before
    put(tmp_path, "plan.json")  # of a sweep, which keeps its recipes in there
    clear(tmp_path)
    assert files(tmp_path) == {"recipe.toml"}


def test_a_sweep_does_not_begin_from_what_it_would_replace(recipe: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    asked = asking(recipe, clips, out, *SWEPT, *EPOCH)
    assert distill(*asked).status == 0
    (out / "sweep-2-mixup-0.4" / "seed-0" / "run.json").unlink()
    before = files(out)
    run = out / "sweep-1-mixup-0" / "seed-0"
    for option in (("--init", run), ("--teacher", run)):
        ran = distill(*asked, "--force", *option)
        assert (ran.status, ran.err.count("\n")) == (2, 1)
        assert "choose another --out" in ran.err
        assert files(out) == before
    ran = distill(*asked, "--force")
    assert ran.status == 0, ran.err
    assert ran.out.count("student 1/1") == 2  # figures without a run are nobody's


def test_videos_in_folders_that_are_called_like_a_runs_own_survive(recipe: Path, clips: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for label, room in (("left", "student"), ("other", "teacher"), ("right", "memory")):
        for video in sorted(clips.glob(f"**/*{label}*.mp4"))[:4]:
            (data / room).mkdir(parents=True, exist_ok=True)
            (data / room / video.name).write_bytes(video.read_bytes())
    before = files(data)
    assert len(before) > 6
    ran = distill("--recipe", recipe, "--data", data, "--out", data, "--force", "--set", "optim.epochs=1")
    assert before <= files(data), ran.err


def test_what_another_command_left_is_not_taken_for_this_ones(recipe: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert distill(*asking(recipe, clips, out, *SWEPT, *EPOCH)).status == 0
    ran = run_command(register, "train-teacher", *asking(recipe, clips, out), "--force")
    assert ran.status == 0, ran.err
    assert not (out / "plan.json").exists()
    assert not list(out.glob("sweep*"))
    assert json.loads((out / "run.json").read_text())["command"] == "train-teacher"
    ran = distill("--resume", "--out", out)
    assert "holds a run of edgevid train-teacher" in ran.err


def test_bad_data_costs_no_sweep_its_results(recipe: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    asked = ("--recipe", recipe, "--out", out, "--sweep", "mix.mixup=0,0.4", "--set", "teacher_optim.epochs=1")
    assert distill(*asked, "--data", clips, "--set", "optim.epochs=1").status == 0
    before = {name: (out / name).read_bytes() for name in files(out)}
    ran = distill(*asked, "--data", tmp_path / "nowhere", "--set", "optim.epochs=2", "--force")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert {name: (out / name).read_bytes() for name in files(out)} == before


def test_a_sweep_begun_again_takes_nothing_from_the_one_before(
    recipe: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sweep"
    asked = asking(recipe, clips, out, *SWEPT)
    assert distill(*asked, "--set", "optim.epochs=1").status == 0
    with monkeypatch.context() as patched:
        interrupt_at(patched, 1)
        ran = distill(*asked, "--set", "optim.epochs=2", "--force")
        assert ran.status == 130
    ran = distill("--resume", "--out", out)
    assert ran.status == 0, ran.err
    assert ran.out.count("student 2/2") == 2  # each of its own, none of the first sweep's


@pytest.mark.parametrize("option", ["--init", "--teacher"])
def test_a_run_does_not_begin_from_what_it_would_replace(
    recipe: Path, clips: Path, tmp_path: Path, option: str
) -> None:
    out = tmp_path / "run"
    asked = asking(recipe, clips, out, *EPOCH)
    assert distill(*asked).status == 0
    before = files(out)
    ran = distill(*asked, "--force", option, out)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "where the run begins anew: choose another --out" in ran.err
    assert files(out) == before


def test_checkpoints_that_were_being_written_go_when_a_run_is_resumed(
    tmp_path: Path,
) -> None:
    """A second Ctrl-C quits at once, in the middle of one; nothing would ever take it away."""
    put(tmp_path, *RUN, *OTHERS)
    before = files(tmp_path)
    left = [
        f"{room}/.{kind}.12-34.tmp/model.safetensors"
        for room in ("student", "memory/lesson-1")
        for kind in ("last", "best")
    ]
    put(
        tmp_path,
        *left,
        "fold-1/teacher/.last.12-34.tmp/trainer.pt",
        "student/.notes.tmp",
        "elsewhere/.last.12-34.tmp/precious",
    )
    clear_unfinished(tmp_path)
    assert files(tmp_path) == before | {"student/.notes.tmp", "elsewhere/.last.12-34.tmp/precious"}
