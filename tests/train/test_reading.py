"""What training says of clips in which little is to be seen."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_runs import run_command
from tiny_run import RECIPE, moving_square, write_clips
from videos import write_video

from edgevid_train import commands
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.decode import ClipCache, DecodedClip, IndexStore
from edgevid_train.review.reading import MOST_KNOWN, Glances, faults_of, summary, write_faults

RECORD = ClipRecord(Path("x.mp4"), "x.mp4", ("up",), "x")
RNG = np.random.default_rng(0)
SCENE = RNG.integers(0, 256, (120, 160, 3), dtype=np.uint8)


def clip_of(picture: np.ndarray, frames: int = 9) -> DecodedClip:
    return DecodedClip(np.stack([picture] * frames), np.arange(frames) / 10, RECORD)


def test_faults_of_a_clip() -> None:
    assert faults_of(clip_of(SCENE)) == ()
    assert faults_of(clip_of(SCENE // 12)) == ("very dark",)
    assert faults_of(clip_of(cv2.GaussianBlur(SCENE, (0, 0), 6))) == ("very blurred",)
    assert faults_of(clip_of(np.zeros_like(SCENE), 1)) == ("very dark", "very blurred")


def test_a_fault_is_that_of_most_frames() -> None:
    frames = np.stack([SCENE] * 9)
    frames[0] = frames[-1] = 0  # it fades in and out
    assert faults_of(replace(clip_of(SCENE), frames=frames)) == ()


def test_a_file_with_too_few_bits_is_blocky(tmp_path: Path) -> None:
    still = [np.full((480, 640, 3), 120, np.uint8)] * 60
    write_video(tmp_path / "starved.mp4", still, fps=30)
    starved = replace(RECORD, file=tmp_path / "starved.mp4")
    assert "blocky" in faults_of(replace(clip_of(SCENE), record=starved))
    write_video(tmp_path / "rich.mp4", [RNG.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(20)], fps=30)
    assert faults_of(replace(clip_of(SCENE), record=replace(RECORD, file=tmp_path / "rich.mp4"))) == ()


def test_one_line_says_how_many_and_which(tmp_path: Path) -> None:
    records = [replace(RECORD, name=f"{i}.mp4", file=Path(f"{i}.mp4")) for i in range(4)]
    faults = dict(zip(records, [(), ("very dark", "very blurred"), ("very dark",), ()], strict=True))
    assert summary(faults, 4) == (
        "warning: picture quality: of 4 clips 2 very dark, 1 very blurred; 1.mp4 for one; "
        "`edgevid data review` shows them"
    )
    assert "of 4 of 90 clips looked at 2 very dark" in (summary(faults, 90) or "")
    assert summary({records[0]: ()}, 1) is None
    write_faults(tmp_path / "quality.csv", faults)
    rows = list(csv.DictReader((tmp_path / "quality.csv").open()))
    assert [(row["clip"], row["faults"]) for row in rows] == [
        ("1.mp4", "very dark; very blurred"),
        ("2.mp4", "very dark"),
    ]


def test_of_clips_that_need_not_be_decoded_some_are_looked_at(clips: Path) -> None:
    records = read_data(clips)
    store = IndexStore()
    glances = Glances()
    glances.take_some(records, ClipCache(48, 1 << 20, None, store))
    assert set(glances.faults) == set(records)  # fewer than MOST_KNOWN
    many = [replace(records[0], start_s=i / 1000) for i in range(3 * MOST_KNOWN)]
    glances = Glances()
    glances.take_some(many, ClipCache(48, 1 << 20, None, store))
    assert len(glances.faults) == MOST_KNOWN
    assert {many[0], many[-1]} <= set(glances.faults)
    Glances().take_some([], ClipCache(48, 1 << 20))


@pytest.fixture(scope="module")
def dim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of which one is nearly black."""
    folder = write_clips(tmp_path_factory.mktemp("dim"), ["left", "right"] * 3, per_group=2)
    write_video(folder / "02_left.mp4", [frame // 20 for frame in moving_square("left", 2)], fps=8)
    return folder


def test_training_warns_each_time_and_writes_them_down(tmp_path: Path, dim: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    asked = ("--recipe", tmp_path / "recipe.toml", "--data", dim, "--device", "cpu", "--set", "optim.epochs=1")
    for out in (tmp_path / "first", tmp_path / "second"):  # the second knows from the first what can be decoded
        ran = run_command(commands.register, "train-teacher", *asked, "--out", out)
        assert ran.status == 0, ran.err
        assert "of 6 clips 1 very dark; 02_left.mp4 for one" in ran.out
        (row,) = csv.DictReader((out / "quality.csv").open())
        assert (row["clip"], row["label"]) == ("02_left.mp4", "left")
        assert "very dark" in row["faults"]
