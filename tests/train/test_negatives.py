"""Videos without any of the actions, trained on as background."""

import io
import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tiny_models import coloured_frames
from tiny_run import distill, write_clips
from videos import write_video

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord
from edgevid_train.checkpoint import load_student
from edgevid_train.decode import IndexStore
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.marks import Known
from edgevid_train.negatives import PIECE_S, deal, find_negatives, read_negatives, whole_negatives
from edgevid_train.reporter import Reporter

ALONE = ("--set", "distill.response=0", "--set", "distill.feature=0", "--set", "optim.epochs=1")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos of nothing but grey, the first of 11 s, and a file that is none."""
    folder = tmp_path_factory.mktemp("quiet")
    for i, frames in enumerate((110, 10, 10, 10)):
        write_video(folder / f"{i}.mp4", list(coloured_frames(("other", frames))), fps=10)
    (folder / "broken.mp4").write_bytes(b"not a video")
    return folder


def test_a_video_is_cut_into_pieces_that_cover_it(quiet: Path, tmp_path: Path) -> None:
    said = io.StringIO()
    pieces = read_negatives([quiet], IndexStore(tmp_path), Reporter(Console(file=said, width=300)))
    assert [(piece.name, piece.labels) for piece in pieces[:4]] == [("0.mp4", ("other",))] * 3 + [("1.mp4", ("other",))]
    assert (pieces[0].start_s, pieces[2].end_s, pieces[3].start_s, pieces[3].end_s) == (0.0, None, 0.0, None)
    assert [one.end_s == other.start_s for one, other in pairwise(pieces[:3])] == [True, True]
    assert all(abs((piece.end_s or 10.9) - piece.start_s - PIECE_S) < 0.5 for piece in pieces[:3])
    assert said.getvalue().count("left out") == 1
    assert "broken.mp4" in said.getvalue()


def test_ctrl_c_while_they_are_read(quiet: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError, match="before the first step"):
        read_negatives([quiet], IndexStore(tmp_path), Reporter(Console()), lambda: True)


def test_a_table_beside_the_videos_says_what_belongs_together(quiet: Path, tmp_path: Path) -> None:
    for i in range(3):
        shutil.copy(quiet / "1.mp4", tmp_path / f"{i}.mp4")
    (tmp_path / "clips.csv").write_text("file,label,group\n0.mp4,run,ann\n1.mp4,walk,ann\n2.mp4,walk,bob\n")
    pieces = read_negatives([tmp_path], IndexStore(tmp_path / "i"), Reporter(Console()))
    name = tmp_path.name
    assert [piece.group for piece in pieces] == [f"{name}/ann", f"{name}/ann", f"{name}/bob"]
    assert {piece.label for piece in pieces} == {"other"}  # whatever else they show


def test_a_video_counts_once_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    (folder / "x.mp4").touch()
    (folder / "clips.csv").write_text("file,label,group\nx.mp4,run,ann\n")
    (tmp_path / "link").symlink_to("v")
    (tmp_path / "y.mp4").symlink_to("v/x.mp4")
    monkeypatch.chdir(tmp_path)
    places = [Path("v/x.mp4"), folder, Path("link"), Path("v/../v"), Path("y.mp4")]
    assert find_negatives(places) == [Path("v/x.mp4")]
    assert [(clip.file, clip.group) for clip in whole_negatives(places[:2])] == [(Path("v/x.mp4"), "v/ann")]


@given(groups=st.lists(st.integers(0, 9), min_size=1, max_size=40), folds=st.integers(2, 6), seed=st.integers(0, 9))
def test_every_group_is_left_out_by_one_fold(groups: list[int], folds: int, seed: int) -> None:
    records = [ClipRecord(Path(f"{i}.mp4"), f"{i}.mp4", ("other",), f"g{group}") for i, group in enumerate(groups)]
    left_out = deal(records, folds, seed)
    assert len(left_out) == folds
    assert sorted(name for names in left_out for name in names) == sorted({f"g{group}" for group in groups})
    assert max(map(len, left_out)) - min(map(len, left_out)) <= 1
    assert left_out == deal(reversed(records), folds, seed)


def test_training_takes_them_in_and_every_fold_leaves_its_share_out(
    recipe: Path, clips: Path, quiet: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cv"
    ran = distill("--recipe", recipe, "--data", clips, "--out", out, "--cv", 2, "--negatives", quiet, *ALONE)
    assert ran.status == 0, ran.err
    assert ran.out.count("pieces of negative video, to train on") == 2
    assert "broken.mp4" in ran.out
    infos = [load_student(out / f"fold-{i}").info.split for i in (1, 2)]
    videos = whole_negatives([quiet])[:4]
    seen = [[video in Known(info.trained_on) for video in videos] for info in infos]
    assert [one ^ other for one, other in zip(*seen, strict=True)] == [True] * 4  # each by one of the two
    assert [sum(one) for one in seen] == [2, 2]
    cv = json.loads((out / "cv.json").read_text())
    assert cv["n"] == 15  # nothing is measured on them
    whole = tmp_path / "all"
    ran = distill("--recipe", recipe, "--data", clips, "--out", whole, "--all", "--negatives", quiet, *ALONE)
    assert ran.status == 0, ran.err
    assert "15 clips, 6 pieces of negative video, to train on, 0 held out" in ran.out
    trained_on = Known(load_student(whole).info.split.trained_on)
    assert all(video in trained_on for video in videos)


def test_one_action_is_told_apart_from_video_without_it(recipe: Path, quiet: Path, tmp_path: Path) -> None:
    data = write_clips(tmp_path / "data", ["left"] * 9)
    args = ("--recipe", recipe, "--data", data, "--out", tmp_path / "run", *ALONE)
    ran = distill(*args)
    assert ran.status == 2
    assert "all 9 clips are 'left'. Video in which it does not happen is the other one: --negatives" in ran.err
    for split in (("--cv", 2), ("--all",), ()):
        ran = distill(*args, "--negatives", quiet, "--force", *split)
        assert ran.status == 0, ran.err
    assert "label 'other': no clip held out, so it is not measured" in ran.out
    assert load_student(tmp_path / "run").labels == ("left", "other")


@pytest.mark.parametrize(("what", "said"), [("nowhere", "no such file or folder"), ("EMPTY", "no videos in it")])
def test_bad_negatives_are_told_before_anything_is_written(
    recipe: Path, clips: Path, tmp_path: Path, what: str, said: str
) -> None:
    (tmp_path / "EMPTY").mkdir()
    ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "out", "--negatives", tmp_path / what)
    assert ran.status == 2
    assert said in ran.err
    assert not (tmp_path / "out" / "run.json").exists()


def test_of_negatives_some_must_be_videos(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"none")
    with pytest.raises(InputError, match="none of its videos can be used"):
        read_negatives([tmp_path], IndexStore(tmp_path / "i"), Reporter(Console()))
