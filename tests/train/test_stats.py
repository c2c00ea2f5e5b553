"""`edgevid data stats`: counts, distributions, what is missing, leaks; its pictures."""

import json
from pathlib import Path

import cv2
import pytest
from command_runs import Ran, run_command
from miniatures import WRITERS, write_text
from videos import numbered_frames, write_video

from edgevid_train import commands


def stats(*args: object) -> Ran:
    return run_command(commands.register, "data", "stats", *args)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two sizes, two rates, a file that is no video, one that is not there, a group in two splits."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    write_video(folder / "a.mp4", numbered_frames(10), fps=10)
    write_video(folder / "b.mp4", numbered_frames(50, 64, 48), fps=25)
    (folder / "broken.mp4").write_bytes(b"no video")
    write_text(
        folder / "clips.csv",
        "file,labels,group,split\na.mp4,up|fast,x,train\nb.mp4,down,x,val\nbroken.mp4,up,y,val\nlost.mp4,down,z,train\n",
    )
    return folder


def test_one_file_in_two_splits_is_a_leak_whatever_its_groups_and_its_names(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(20), fps=10)
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    write_text(
        tmp_path / "clips.csv",
        "file,label,group,start_s,end_s,split\na.mp4,up,x,0,1,train\nlink.mp4,down,y,1,2,val\na.mp4,up,z,90,99,train\n",
    )
    ran = stats(tmp_path)
    assert "leak: file a.mp4 is in several splits" in ran.out
    assert "begins or ends behind the end of its file: a.mp4[90:99]" in ran.out
    assert ran.err == ""


def test_a_span_behind_the_end_of_its_file_has_no_length(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(20), fps=10)
    rows = ("a.mp4,up,0.5,1", "a.mp4,down,90,", "a.mp4,left,90,99", "a.mp4,right,1.5,9")
    write_text(tmp_path / "clips.csv", "\n".join(("file,label,start_s,end_s", *rows)))
    assert stats(tmp_path, "--json", tmp_path / "stats.json").status == 0
    found = json.loads((tmp_path / "stats.json").read_text())
    assert found["labels"]["down"]["seconds"] is None
    assert found["labels"]["left"]["seconds"] is None
    assert found["seconds"] == {"least": 0.5, "median": 0.5, "most": 0.5}  # of the last span, too, 0.5 s are there
    assert found["beyond"] == ["a.mp4[90:]", "a.mp4[90:99]", "a.mp4[1.5:9]"]


def test_what_is_in_a_folder(mixed: Path, tmp_path: Path) -> None:
    ran = stats(mixed, "--json", tmp_path / "stats.json", "--out", tmp_path / "out")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "stats.json").read_text())
    assert {label: (row["clips"], row["groups"]) for label, row in found["labels"].items()} == {
        "up": (2, 2),
        "down": (2, 2),
        "fast": (1, 1),
    }
    assert (found["clips"], found["several_labels"]) == (4, 1)
    assert found["sizes"] == {"96x64": 1, "64x48": 1}
    assert (found["rates_hz"]["least"], found["rates_hz"]["most"]) == pytest.approx((10, 25))
    assert (found["seconds"]["least"], found["seconds"]["most"]) == pytest.approx((1, 2), abs=0.05)
    assert found["missing"] == ["lost.mp4"]
    assert [entry["file"] for entry in found["unreadable"]] == ["broken.mp4"]
    assert found["leaks"] == ["group x"]
    assert found["notes"] == ["1 clip with more than one label"]
    for line in ("missing: 1 files, lost.mp4 for one", "leak: group x is in several splits", "unreadable: broken.mp4"):
        assert line in ran.out
    assert json.loads((tmp_path / "out/stats.json").read_text()) == found


def test_pictures_show_something(mixed: Path, tmp_path: Path) -> None:
    assert stats(mixed, "--out", tmp_path / "out").status == 0
    for name in ("labels.png", "videos.png"):
        picture = cv2.imread(str(tmp_path / "out" / name))
        assert picture is not None
        assert min(picture.shape[:2]) > 100
        assert (picture != 255).any(axis=2).mean() > 0.02


def test_pictures_of_very_many_labels(tmp_path: Path) -> None:
    rows = "".join(f"{i}.mp4,label {i // 2},{i // 2},{i},{i + 1 + i % 300}\n" for i in range(400))
    write_text(tmp_path / "clips.csv", "file,label,group,start_s,end_s\n" + rows)
    ran = stats(tmp_path, "--out", tmp_path / "out")
    assert ran.status == 0, ran.err
    assert "and 160 rarer labels; --json and --out have them all" in ran.out
    assert "… and 190 more like this" in ran.out
    assert len(json.loads((tmp_path / "out/stats.json").read_text())["labels"]) == 200
    assert cv2.imread(str(tmp_path / "out/labels.png")) is not None


def test_what_exists_is_kept_without_force(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    ran = stats(mixed, "--out", tmp_path / "out")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert (tmp_path / "out/mine.txt").read_text() == "mine"
    ran = stats(mixed, "--out", tmp_path / "out", "--force")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "holds mine.txt: this command did not write it" in ran.err
    (tmp_path / "out/mine.txt").unlink()
    assert stats(mixed, "--out", tmp_path / "out").status == 0
    assert stats(mixed, "--out", tmp_path / "out", "--force").status == 0
    assert (tmp_path / "out/labels.png").exists()


@pytest.mark.parametrize("format_", WRITERS)
def test_annotations_of_every_layout_without_their_videos(tmp_path: Path, format_: str) -> None:
    """The miniatures' media are empty files: what is there is unreadable, the rest missing, and it is no error."""
    path = WRITERS[format_](tmp_path / "data")
    ran = stats(path, "--format", format_, "--json", tmp_path / "stats.json")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "stats.json").read_text())
    assert found["files"] == len(found["missing"]) + len(found["unreadable"]) > 0
    assert found["labels"]
    assert f"{found['clips']} clips in {found['files']} files" in ran.out


def test_words_of_the_command_reach_the_reader(tmp_path: Path) -> None:
    WRITERS["coin"](tmp_path)
    ran = stats(tmp_path, "--format", "coin", "--target", "domain", "--max-clip-s", 60, "--min-clip-s", 1)
    assert ran.status == 0, ran.err
    assert "1 clips in 1 files, 1 labels, 1 groups" in ran.out
    assert "note: 1 clip left out: shorter or longer than asked for" in ran.out
    ran = stats(tmp_path, "--format", "coin", "--target", "verb")
    assert (ran.status, ran.err) == (2, "--target 'verb': format coin takes step, task, domain\n")


def test_a_folder_of_images(tmp_path: Path) -> None:
    WRITERS["jester"](tmp_path)
    for number, pixels in enumerate(numbered_frames(24), start=1):
        cv2.imwrite(str(tmp_path / f"20bn-jester-v1/34870/{number:05d}.jpg"), pixels)
    ran = stats(tmp_path, "--format", "jester", "--classes", "Thumb Up", "--json", tmp_path / "stats.json")
    found = json.loads((tmp_path / "stats.json").read_text())
    assert (ran.status, found["unreadable"], found["sizes"]) == (0, [], {"96x64": 1})
    assert found["seconds"]["median"] == 2.0


def test_the_real_annotations(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "annotations/ego4d/goalstep_valid.json"
    ran = stats(path, "--format", "ego4d-goalstep", "--out", tmp_path / "out")
    assert ran.status == 0, ran.err
    assert "3348 clips in 134 files, 355 labels, 134 groups" in ran.out
    assert "missing: 134 files" in ran.out
