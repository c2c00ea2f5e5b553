"""`edgevid data synthesize`: the folder it writes can be read, and it refuses what it must."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import typer
import videos
from command_runs import started
from typer.testing import CliRunner
from videos import number_of, numbered_frames

from edgevid.assets import asset
from edgevid.errors import InputError
from edgevid_train.annotations.clips_csv import read_clips_csv
from edgevid_train.synthetic.backgrounds import BackgroundBank
from edgevid_train.synthetic.command import add_to, parse_fps, parse_labels, parse_size
from edgevid_train.synthetic.demo import demo_actions, demo_shots, write_demo
from edgevid_train.synthetic.scene import render_clip
from edgevid_train.synthetic.write import Request, check_room, write_dataset, write_video

TINY = Request(clips=4, seed=5, size=(64, 48), fps=(10.0, 12.0), labels=("left", "other"))


def times_in(file: Path) -> list[float]:
    with av.open(str(file)) as container:
        return [float(frame.time or 0.0) for frame in container.decode(video=0)]


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_folder_is_a_data_folder_and_the_same_every_time(tmp_path: Path) -> None:
    seen: list[int] = []
    table = write_dataset(tmp_path / "a", TINY, progress=lambda clip: seen.append(clip.seed))
    records = read_clips_csv(table)
    assert seen == [5, 6, 7, 8]
    assert [r.label for r in records] == ["left", "other", "left", "other"]
    assert len({r.group for r in records}) == 4
    for record, seed in zip(records, seen, strict=True):
        clip = TINY.render(seed - 5, None, None)
        assert record.start_s == pytest.approx(clip.start_s, abs=1e-3)
        assert record.end_s == pytest.approx(clip.end_s, abs=1e-3)
        assert times_in(record.file) == pytest.approx(clip.times_s.tolist(), abs=1e-3)
    write_dataset(tmp_path / "b", TINY)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"], "nothing temporary is left"


def test_any_number_of_processes_writes_the_same_folder(tmp_path: Path) -> None:
    write_dataset(tmp_path / "one", TINY)
    seen: list[int] = []
    write_dataset(tmp_path / "two", TINY, jobs=2, progress=lambda clip: seen.append(clip.seed))
    assert seen == [5, 6, 7, 8]
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_contact_sheet_shows_a_strip_of_every_clip(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a", TINY)
    sheet = cv2.imread(str(tmp_path / "a" / "sheet.png"))
    strips = [sheet[:96, : sheet.shape[1] // 2], sheet[96:, : sheet.shape[1] // 2]]
    assert sheet.shape == (2 * 96, 2 * (84 + 8 * 128), 3)
    assert all(strip[:, 84:].std() > 5 for strip in strips)  # pictures, beside labels


def test_irregular_times_survive_the_file(tmp_path: Path) -> None:
    times_s = np.array([0.0, 0.04, 0.2, 0.21, 0.9])
    frames = [np.full((48, 64, 3), 40 * k, np.uint8) for k in range(5)]
    write_video(tmp_path / "v.mp4", frames, times_s)
    assert times_in(tmp_path / "v.mp4") == pytest.approx(times_s.tolist(), abs=1e-4)


def test_existing_folder_is_kept_unless_forced(tmp_path: Path) -> None:
    out = tmp_path / "a"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="--force"):
        write_dataset(out, TINY)
    assert (out / "mine.txt").read_text() == "keep"
    with pytest.raises(InputError, match=r"holds mine.txt: this command did not write it"):
        write_dataset(out, TINY, force=True)
    assert (out / "mine.txt").read_text() == "keep"
    (out / "mine.txt").unlink()
    write_dataset(out, TINY)
    before = (out / "clips.csv").stat().st_ino
    write_dataset(out, TINY, force=True)
    assert (out / "clips.csv").stat().st_ino != before
    (out / "sheet.png").unlink()  # clips of somebody's own
    with pytest.raises(InputError, match=r"holds no sheet.png"):
        write_dataset(out, TINY, force=True)
    assert (out / "clips.csv").exists()


def test_interrupted_writing_leaves_nothing(tmp_path: Path) -> None:
    def stop(_clip: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "a", TINY, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_found_before_work_begins(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="free on the disk"):
        check_room(tmp_path / "deep" / "er", 10**18)
    with pytest.raises(InputError, match="free on the disk"):
        write_dataset(tmp_path / "a", Request(clips=10**7, size=(1920, 1080)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"clips": 0}, "--clips 0"),
        ({"clips": int("9" * 321)}, "--clips: at most 10000000"),
        ({"clips": 1, "seed": -1}, "--seed -1"),
        ({"clips": 1, "size": (90, 240)}, "--size 90x240: the width is at least 0.4 of the height"),
        ({"clips": 1, "size": (65, 48)}, "even"),
        ({"clips": 1, "size": (8, 8)}, "--size 8x8"),
        ({"clips": 1, "fps": (30.0, 10.0)}, "LO <= HI"),
        ({"clips": 1, "labels": ("left", "wave")}, "unknown label 'wave'"),
    ],
)
def test_senseless_requests_are_refused(arguments: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Request(**arguments)  # type: ignore[arg-type]


def test_the_narrowest_size_is_rendered() -> None:
    for k in range(40):
        assert Request(clips=40, size=(32, 80)).script(k, None)


def test_options_are_read() -> None:
    assert parse_size("160x120") == (160, 120)
    assert parse_fps(None) is None
    assert parse_fps("10-30") == (10.0, 30.0)
    assert parse_fps("25") == (25.0, 25.0)
    assert parse_labels("left, right") == ["left", "right"]


@pytest.mark.parametrize(
    ("parse", "text"),
    [(parse_size, "160"), (parse_size, "axb"), (parse_fps, "fast"), (parse_fps, "-3"), (parse_labels, ",")],
)
def test_unreadable_options_are_refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(InputError):
        parse(text)


def pictures(folder: Path) -> Path:
    folder.mkdir()
    red = np.zeros((60, 80, 3), np.uint8)
    red[..., 0] = 255
    cv2.imwrite(str(folder / "red.png"), red[..., ::-1])
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "empty.mp4").write_bytes(b"")
    write_video(folder / "red.mp4", [red] * 3, np.arange(3) / 10)
    return folder


def test_backgrounds_come_from_a_folder(tmp_path: Path) -> None:
    bank = BackgroundBank(pictures(tmp_path / "bg"))
    assert len(bank.pictures) == 2
    assert [p.name for p in bank.unreadable] == ["broken.jpg", "empty.mp4"]
    part = bank.pick(np.random.default_rng(0), 48, 64)
    assert part.shape == (48, 64, 3)
    assert part[..., 0].mean() > 0.9
    assert part[..., 1:].mean() < 0.1

    def red_clips(bank: BackgroundBank | None) -> int:
        clips = (render_clip(s, label="up", size=(64, 48), backgrounds=bank, fps=5) for s in range(12))
        means = [clip.frames[0].mean(axis=(0, 1)) for clip in clips]
        return sum(bool(r > 2 * b) for r, _, b in means)

    assert 3 <= red_clips(bank) - red_clips(None) <= 9, "about half of the clips stand before one"


def test_backgrounds_are_every_kind_of_video_upright_and_every_thirtieth_frame(tmp_path: Path) -> None:
    frames = numbered_frames(70)
    videos.write_video(tmp_path / "a.mp4", frames).rename(tmp_path / "a.m4v")
    videos.write_video(tmp_path / "b.ts", frames[7:27])
    videos.write_video(tmp_path / "c.mp4", frames[9:11], rotation=90)
    videos.write_video(tmp_path / "d.mp4", frames[11:13], aspect=Fraction(2))
    videos.truncate(videos.write_video(tmp_path / "e.ts", frames), 0.8)
    videos.write_video(tmp_path / ".hidden.mp4", frames[:2])
    bank = BackgroundBank(tmp_path)
    assert (bank.unreadable, bank.left_out) == ([], 0)
    assert [number_of(picture) for picture in bank.pictures[:4]] == [0, 30, 60, 7]
    assert [picture.shape for picture in bank.pictures[3:6]] == [(64, 96, 3), (96, 64, 3), (64, 192, 3)]
    assert [number_of(picture) for picture in bank.pictures[5:]] == [11, 0, 30]


def test_backgrounds_are_no_larger_than_what_is_kept(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((960, 1280, 3), np.uint8))
    videos.write_video(tmp_path / "large.mp4", numbered_frames(1, 1280, 960))
    assert [picture.shape for picture in BackgroundBank(tmp_path).pictures] == [(480, 640, 3)] * 2


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        BackgroundBank(tmp_path / "missing")
    with pytest.raises(InputError, match="no image or video"):
        BackgroundBank(tmp_path)


def test_demo_file_and_its_truth(tmp_path: Path) -> None:
    out = tmp_path / "demo.mp4"
    truth = write_demo(out, size=(64, 48))
    told = json.loads(truth.read_text())
    assert told["video"] == "demo.mp4"
    assert len(told["gestures"]) == 10
    assert told["gestures"][-1]["end_s"] < times_in(out)[-1]
    with pytest.raises(InputError, match="--force"):
        write_demo(out, size=(64, 48))


@pytest.fixture
def app() -> typer.Typer:
    app, data = typer.Typer(), typer.Typer()
    app.add_typer(data, name="data")
    add_to(data)
    data.command("other")(lambda: None)
    return app


def test_command_writes_and_counts(app: typer.Typer, tmp_path: Path) -> None:
    line = ["data", "synthesize", "--out", str(tmp_path / "a"), "--clips", "2", "--size", "64x48", "--labels", "tick"]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0, result.output
    assert "2 clips" in result.output
    assert "tick 2" in result.output
    assert len(read_clips_csv(tmp_path / "a" / "clips.csv")) == 2
    again = CliRunner().invoke(app, line)
    assert isinstance(again.exception, InputError)


def test_bundled_demo_clip_is_the_one_this_code_renders() -> None:
    """Its pixels are too many to render again here; its plan and its size are not."""
    told = json.loads(asset("demo/gestures.json").read_text())
    assert [(g["label"], g["start_s"], g["end_s"]) for g in told["gestures"]] == [
        (a.label, pytest.approx(a.start_s, abs=1e-3), pytest.approx(a.end_s, abs=1e-3)) for a in demo_actions()
    ]
    clip = asset("demo/demo.mp4")
    assert clip.stat().st_size <= 2_000_000
    assert len(times_in(clip)) == sum(len(shot) for shot in demo_shots((64, 48)))


def test_demo_takes_no_other_options(app: typer.Typer, tmp_path: Path) -> None:
    line = ["data", "synthesize", "--demo", "--out", str(tmp_path / "d.mp4"), "--seed", "3"]
    result = CliRunner().invoke(app, line)
    assert isinstance(result.exception, InputError)
    assert "--seed" in str(result.exception)
    assert isinstance(CliRunner().invoke(app, [*line[:4], str(tmp_path / "d.gif")]).exception, InputError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_ends_a_service_ends_it_as_ctrl_c_does(tmp_path: Path, jobs: str) -> None:
    line = ["data", "synthesize", "--out", "a", "--clips", "4000", "--size", "64x48", "--jobs", jobs]
    edgevid = [sys.executable, "-m", "edgevid", *line]
    with started(edgevid, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while not list(tmp_path.glob(".a.*/clips/*.mp4")) and time.monotonic() < until:
            time.sleep(0.05)
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "leaked" not in said
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.txt").touch()
    line = ["data", "synthesize", "--out", "a", "--clips", "2", "--size", "64x48"]
    ran = subprocess.run(
        [sys.executable, "-m", "edgevid", *line], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr == "edgevid: a exists; give --force to replace it\n"


def test_command_refuses_a_wrong_paths_file_before_it_writes(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "p.npz").write_bytes(b"nothing")
    line = ["data", "synthesize", "--out", str(tmp_path / "a"), "--paths", str(tmp_path / "p.npz")]
    assert isinstance(CliRunner().invoke(app, line).exception, InputError)
    assert not (tmp_path / "a").exists()
