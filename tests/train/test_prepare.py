"""`data index` and `data prepare` as a person runs them."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from command_runs import Ran, run_command
from videos import number_of, numbered_frames, truncate, write_images, write_video

from edgevid.errors import InputError
from edgevid_train import commands
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.decode import decode_clip, read_index
from edgevid_train.library import prepare


def run(*args: object) -> Ran:
    return run_command(commands.register, "data", *args)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two good videos, one of uneven times with two clips in it, and one that is cut short."""
    folder = tmp_path / "data"
    folder.mkdir()
    times_s = [k * 0.1 + 0.03 * (k % 2) for k in range(30)]
    write_video(folder / "uneven.mkv", numbered_frames(30, 192, 128), times_s=times_s)
    write_video(folder / "b.avi", numbered_frames(12, 192, 128), fps=10)
    write_video(folder / "cut.mp4", numbered_frames(100), container_options={"movflags": "faststart"})
    truncate(folder / "cut.mp4", 0.5)
    (folder / "clips.csv").write_text(
        "file,label,group,start_s,end_s,split\n"
        "uneven.mkv,up,one,0.5,1.5,train\nuneven.mkv,down,one,1.5,,val\nb.avi,up,two,,,train\ncut.mp4,up,two,,,\n"
    )
    return folder


def test_prepare_keeps_clips_and_times(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    result = run("prepare", data, "--out", out, "--short-side", 64, "--keyframes", 5, "--json", tmp_path / "r.json")
    assert result.status == 2
    assert "left out: cut.mp4: ends" in result.out + result.err
    figures = json.loads((tmp_path / "r.json").read_text())
    assert (figures["clips"], figures["written"], figures["skipped"][0]["clip"]) == (3, 2, "cut.mp4")
    before = [clip for clip in read_data(data) if clip.file.name != "cut.mp4"]
    after = read_data(out)
    for old, new in zip(before, after, strict=True):
        assert (new.labels, new.group, new.start_s, new.end_s, new.split) == (
            old.labels,
            old.group,
            old.start_s,
            old.end_s,
            old.split,
        )
        was, now = decode_clip(old, 64), decode_clip(new, 64)
        assert now.frames.shape[1:] == (64, 96, 3)
        assert now.times_s == pytest.approx(was.times_s, abs=2e-5)
        assert [number_of(frame) for frame in now.frames] == [number_of(frame) for frame in was.frames]
    index = read_index(after[0].file)
    assert index.seekable
    assert np.diff(np.searchsorted(index.pts, index.key_pts)).max() <= 5
    assert (out / "ledger.csv").read_text().count("cut.mp4") == 1


def test_prepare_goes_on_and_refuses_other_settings(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, args = tmp_path / "small", ("--short-side", 64)
    original, calls = prepare.encode, []

    def interrupted(file: Path, *rest: object) -> int:
        calls.append(file.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(file, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_all(data, out)
    assert not (out / "clips.csv").exists()
    again = prepare.begun(out, data, [], prepare.Encoding(48, 12), force=False, say=print)
    with pytest.raises(InputError, match="other settings"), again:
        pass
    found = prepare_all(data, out)
    assert (found.kept, found.written, len(found.records)) == (1, 1, 3)
    assert calls[2:] == ["b.avi", "cut.mp4"]
    result = run("prepare", data, "--out", out, *args)
    assert result.status != 0
    assert "give --force" in result.out + result.err
    assert run("prepare", data, "--out", out, *args, "--force").status == 2
    assert not [path for path in out.rglob("*") if ".tmp" in path.name]


def test_a_folder_that_is_being_made_is_nobody_elses(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    with prepare.begun(out, data, [], prepare.Encoding(64, 12), force=False, say=print):
        for more in ((), ("--force",)):
            taken = subprocess.run(
                [sys.executable, "-m", "edgevid", "data", "prepare", data, "--out", out, "--short-side", "48", *more],
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            assert taken.returncode == 2
            assert "is going on in it" in taken.stderr or "other settings" in taken.stderr
    assert json.loads((out / "prepare.json").read_text())["short_side"] == 64


def test_ctrl_c_says_how_to_go_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "encode", interrupted)
    ran = run("prepare", data, "--out", tmp_path / "small")
    assert (ran.status, ran.err) == (130, "stopped; what is made is kept, and the same command goes on\n")


def prepare_all(data: Path, out: Path) -> prepare.Prepared:
    encoding = prepare.Encoding(64, 12)
    with prepare.begun(out, data, [], encoding, force=False, say=print):
        return prepare.prepare(read_data(data), out, encoding)


def test_videos_from_folders_of_images(tmp_path: Path) -> None:
    for label, count in (("up", 6), ("down", 9)):
        write_images(tmp_path / "frames" / label / "one", numbered_frames(count, 97, 65))  # odd sides
    out = tmp_path / "videos"
    assert run("prepare", tmp_path / "frames", "--out", out, "--from-frames").status == 2
    assert run("prepare", tmp_path / "frames", "--out", out, "--from-frames", "--rate", 12).status == 0
    clips = read_data(out)
    assert [clip.label for clip in clips] == ["down", "up"]
    decoded = decode_clip(clips[0], 240)
    assert [number_of(frame) for frame in decoded.frames] == list(range(9))
    assert decoded.times_s == pytest.approx(np.arange(9) / 12, abs=2e-5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--classes", "up"),
        ("--label-pattern", "up"),
        ("--min-clip-s", 1),
        ("--max-clip-s", 1),
        ("--format", "folders"),
        ("--group", "g"),
        ("--target", "verb"),
    ],
)
def test_folders_of_images_are_read_in_one_way(tmp_path: Path, option: str, value: object) -> None:
    write_images(tmp_path / "up" / "one", numbered_frames(2))
    ran = run("prepare", tmp_path, "--out", tmp_path / "o", "--from-frames", "--rate", 9, option, value)
    assert (ran.status, ran.err) == (2, f"{option} is not for --from-frames\n")
    assert not (tmp_path / "o").exists()


def test_images_in_no_folder_of_a_clip_are_said_to_be_left_out(tmp_path: Path) -> None:
    for name in ("up/one", ".hidden/one", "down", "both", "both/one"):
        write_images(tmp_path / "frames" / name, numbered_frames(2))
    ran = run("prepare", tmp_path / "frames", "--out", tmp_path / "o", "--from-frames", "--rate", 9)
    assert ran.status == 0
    assert "images left out, directly in both, down: expected CLASS/CLIP/*.jpg" in ran.out
    assert [clip.label for clip in read_data(tmp_path / "o")] == ["both", "up"]


def test_what_x264_or_mp4_refuses_is_left_out_and_the_others_are_made(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_video(data / "good.mp4", numbered_frames(5))
    wide = [np.zeros((4, 17_000, 3), np.uint8)] * 2
    write_video(data / "wide.mkv", wide, codec="ffv1")
    write_video(data / "thin.mkv", [np.zeros((32, 1, 3), np.uint8)] * 2, codec="mpeg4")
    write_video(data / "rare.mkv", numbered_frames(3), times_s=[0, 30_000, 60_000])
    names = ("wide.mkv", "thin.mkv", "rare.mkv", "good.mp4")
    (data / "clips.csv").write_text("file,label\n" + "".join(f"{name},up\n" for name in names))
    ran = run("prepare", data, "--out", tmp_path / "out")
    assert ran.status == 2
    assert [clip.name for clip in read_data(tmp_path / "out")] == ["videos/good.mp4"]
    reasons = dict(row.split(",up,", 1) for row in (tmp_path / "out" / "ledger.csv").read_text().splitlines()[1:])
    assert reasons["wide.mkv"].startswith("cannot be written as H.264 in an .mp4: ")
    assert reasons["rare.mkv"].startswith('"cannot be written as H.264 in an .mp4: ')
    assert "1 pixel wide or high" in reasons["thin.mkv"]
    assert [path.name for path in (tmp_path / "out" / "videos").iterdir()] == ["good.mp4"]


@pytest.mark.parametrize("rate", ["1e-5", "1e-20", "1e-310"])
def test_images_too_far_apart_are_left_out(tmp_path: Path, rate: str) -> None:
    write_images(tmp_path / "frames" / "up" / "one", numbered_frames(3))
    ran = run("prepare", tmp_path / "frames", "--out", tmp_path / "out", "--from-frames", "--rate", rate)
    assert ran.status == 2
    assert "left out: up/one: " in ran.out


def test_a_full_disk_is_no_fault_of_the_video(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise av.error.OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prepare, "_write", full)
    ran = run("prepare", data, "--out", tmp_path / "out")
    assert ran.status == 2
    assert "No space left on device" in ran.err
    assert not (tmp_path / "out" / "ledger.csv").exists()


@pytest.mark.parametrize("name", ["clips.csv", "prepare.json", "new/figures.json"])
def test_figures_lie_elsewhere(data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("out")
    for place in ("out", "link"):
        ran = run("prepare", data, "--out", tmp_path / "out", "--json", tmp_path / place / name)
        assert (ran.status, ran.err.count("\n")) == (2, 1)
        assert "holds its own files only" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_video_in_chunks_stays_one(tmp_path: Path) -> None:
    """Frames and times of a span over two chunks stay; what needs a damaged or missing chunk is named."""
    folder, frames = tmp_path / "data" / "uid.mp4", numbered_frames(60)
    folder.mkdir(parents=True)
    for begins_s in (0, 2, 4):
        write_video(folder / f"{begins_s}.mp4", frames[begins_s * 10 : (begins_s + 2) * 10], fps=10)
    (folder / "8.mp4").write_text("no video")
    (tmp_path / "data" / "none.mp4").mkdir()
    spans = ["uid.mp4,a,1.5,2.5", "uid.mp4,b,3.5,5", "uid.mp4,a,6.5,7", "uid.mp4,b,8.5,9", "none.mp4,a,0,1"]
    (tmp_path / "data" / "clips.csv").write_text("file,label,start_s,end_s\n" + "\n".join(spans) + "\n")
    ran = run("prepare", tmp_path / "data", "--out", tmp_path / "out", "--short-side", 32)
    assert ran.status == 2
    clips = read_data(tmp_path / "out")
    assert [(clip.name, clip.start_s, clip.end_s) for clip in clips] == [
        ("videos/uid.mp4", 1.5, 2.5),
        ("videos/uid.mp4", 3.5, 5.0),
    ]
    decoded = decode_clip(clips[0], 240)
    assert [number_of(frame) for frame in decoded.frames] == list(range(15, 25))
    assert decoded.frames.shape[1] == 32
    assert decoded.times_s == pytest.approx(1.5 + np.arange(10) / 10, abs=2e-5)
    ledger = (tmp_path / "out" / "ledger.csv").read_text().splitlines()[1:]
    assert ledger[0] == "uid.mp4[6.5:7],a,no chunk holds 6.5 s"
    assert ledger[1] == 'uid.mp4[8.5:9],b,"8.mp4: not a video, or damaged beyond reading"'
    assert ledger[2] == 'none.mp4[0:1],a,"a folder without chunks of video (0.mp4, 15.mp4, …)"'


def test_shards_become_files_again(tmp_path: Path, data: Path) -> None:
    assert run("shards", data, "--out", tmp_path / "shards").status == 0
    first = run("prepare", tmp_path / "shards", "--out", tmp_path / "out", "--short-side", 64)
    assert first.status == 2  # cut.mp4 is cut there too
    clips = read_data(tmp_path / "out")
    assert {clip.file.suffix for clip in clips} == {".mp4"}
    assert all(len(decode_clip(clip, 64).frames) > 1 for clip in clips)


def test_the_table_is_read_back_as_it_was(tmp_path: Path) -> None:
    records = [
        ClipRecord(tmp_path / "a, b.mp4", "a, b.mp4", ("x", "y"), "g", 1 / 3, 2.5, "val"),
        ClipRecord(tmp_path / "c.mp4", "c.mp4", ("z",), "g"),
    ]
    (tmp_path / "clips.csv").write_text(prepare.clips_csv(records))
    assert read_data(tmp_path) == records


def test_a_label_that_would_be_cut_when_read_back_is_refused(tmp_path: Path) -> None:
    records = [ClipRecord(tmp_path / "a.mp4", "a.mp4", ("x; y",), "g")]
    (tmp_path / "clips.csv").write_text(prepare.clips_csv(records))
    assert read_data(tmp_path) == records
    records.append(ClipRecord(tmp_path / "b.mp4", "b.mp4", ("p", "q"), "g"))
    with pytest.raises(InputError, match="label 'x; y'"):
        prepare.clips_csv(records)


def test_force_replaces_what_prepare_wrote_and_nothing_else(data: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "home"
    (foreign / "videos").mkdir(parents=True)
    (foreign / "videos" / "holiday.mp4").touch()
    for out, says in ((foreign, "this command did not write it"), (data, "which is to be read")):
        before = sorted(out.rglob("*"))
        ran = run("prepare", data, "--out", out, "--force")
        assert (ran.status, sorted(out.rglob("*"))) == (2, before)
        assert says in ran.err


def test_images_at_another_rate_are_another_request(tmp_path: Path) -> None:
    write_images(tmp_path / "data" / "up" / "one", numbered_frames(6))
    args = ("prepare", tmp_path / "data", "--from-frames", "--out", tmp_path / "out")
    assert run(*args, "--rate", 10).status == 0
    (tmp_path / "out" / "clips.csv").unlink()
    ran = run(*args, "--rate", 2)
    assert ran.status == 2
    assert "other settings" in ran.err
    assert run(*args, "--rate", 10).status == 0


def test_index_says_what_cannot_be_read(data: Path, tmp_path: Path) -> None:
    args = ("index", data, "--cache", tmp_path / "cache", "--json", tmp_path / "r.json", "--force")
    first = run(*args)
    assert first.status == 2
    found = json.loads((tmp_path / "r.json").read_text())
    assert (found["files"], found["built"], found["decoded"]) == (3, 3, 0)
    assert [Path(entry["file"]).name for entry in found["unreadable"]] == ["cut.mp4"]
    run(*args, "--decode")
    found = json.loads((tmp_path / "r.json").read_text())
    assert (found["built"], found["decoded"]) == (0, 42)
    assert run("index", tmp_path / "nothing").status == 2
    assert run("index", data / "b.avi", "--cache", tmp_path / "cache").status == 0
    with av.open(str(data / "b.avi")) as container:
        assert container.streams.video[0].frames == 12
