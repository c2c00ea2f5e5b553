"""Decoded clips on disk: found again instead of decoded, bounded, and never taken for what they are not."""

import multiprocessing
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from command_runs import run_command
from tiny_run import RECIPE
from videos import numbered_frames, write_video

from edgevid_train import commands
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import ClipCache, DiskClips, IndexStore
from edgevid_train.storage import BoundedFolder


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """20 frames, 10 a second."""
    return write_video(tmp_path / "a.mp4", numbered_frames(20), fps=10)


def record(file: Path, start_s: float = 0.0, end_s: float | None = None) -> ClipRecord:
    return ClipRecord(file, file.name, ("up",), "g", start_s, end_s)


def cache_over(folder: Path, max_bytes: int = 1 << 24, short_side: int = 32) -> ClipCache:
    """As a new process would have it."""
    disk = DiskClips(BoundedFolder(folder / "clips", max_bytes))
    return ClipCache(short_side, 1 << 24, indexes=IndexStore(folder), disk=disk)


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "clips").iterdir())


def test_a_clip_is_decoded_once_for_all_processes(video: Path, tmp_path: Path) -> None:
    first, second = cache_over(tmp_path / "c"), cache_over(tmp_path / "c")
    made, found = first.get(record(video, 0.5, 1.2)), second.get(record(video, 0.5, 1.2))
    assert (first.decoded, second.decoded) == (1, 0)
    assert np.array_equal(made.frames, found.frames)
    assert np.array_equal(made.times_s, found.times_s)
    assert (made.first, made.record) == (found.first, found.record) == (5, record(video, 0.5, 1.2))
    assert not found.frames.flags.writeable


def test_another_request_is_another_entry(video: Path, tmp_path: Path) -> None:
    cache_over(tmp_path / "c").get(record(video))
    for other in (cache_over(tmp_path / "c", short_side=16), cache_over(tmp_path / "c")):
        clip = other.get(record(video, 0.0, 1.0))
        assert other.decoded == 1
        assert len(clip.frames) == 10
        assert clip.frames.shape[1] == other.short_side


def test_a_file_that_changed_is_decoded_anew(video: Path, tmp_path: Path) -> None:
    cache_over(tmp_path / "c").get(record(video))
    write_video(video, numbered_frames(7), fps=10)
    os.utime(video, ns=(1, 1))
    cache = cache_over(tmp_path / "c")
    assert len(cache.get(record(video)).frames) == 7
    assert cache.decoded == 1


@pytest.mark.parametrize("how", ["empty", "half", "noise", "one bit"])
def test_a_damaged_entry_is_a_miss(video: Path, tmp_path: Path, how: str) -> None:
    right = cache_over(tmp_path / "c").get(record(video))
    (entry,) = entries(tmp_path / "c")
    data = bytearray(entry.read_bytes())
    if how == "one bit":
        data[len(data) // 2] ^= 1
    bad = {"empty": b"", "half": data[: len(data) // 2], "noise": np.random.default_rng(0).bytes(len(data))}
    entry.write_bytes(bad.get(how, bytes(data)))
    again = cache_over(tmp_path / "c")
    assert np.array_equal(again.get(record(video)).frames, right.frames)
    assert again.decoded == 1
    assert cache_over(tmp_path / "c").get(record(video)) is not None


def test_the_oldest_goes_first_and_the_bound_holds(tmp_path: Path) -> None:
    videos = [write_video(tmp_path / f"{k}.mp4", numbered_frames(5)) for k in range(12)]
    cache_over(tmp_path / "c").get(record(videos[0]))
    most = 5 * entries(tmp_path / "c")[0].stat().st_size
    for video in videos[1:]:
        cache_over(tmp_path / "c", most).get(record(video))
        used = cache_over(tmp_path / "c", most)  # the first is used again and again
        used.get(record(videos[0]))
        assert used.decoded == 0
        assert sum(path.stat().st_size for path in entries(tmp_path / "c")) <= most
    assert len(entries(tmp_path / "c")) < 6


def test_what_others_put_into_the_folder_stays(tmp_path: Path) -> None:
    videos = [write_video(tmp_path / f"{k}.mp4", numbered_frames(5)) for k in range(4)]
    kept = tmp_path / "c" / "clips" / "holiday.mp4"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(bytes(1 << 20))
    os.utime(kept, ns=(1, 1))
    for video in videos:
        cache_over(tmp_path / "c", 1 << 16).get(record(video))
    assert kept.stat().st_size == 1 << 20


def test_a_folder_that_cannot_be_written_is_no_fault(video: Path, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "clips").touch()
    cache = cache_over(tmp_path / "c")
    assert len(cache.get(record(video)).frames) == 20
    assert cache.disk is not None
    assert cache.disk.unwritable is not None


def read_many(folder: Path, videos: list[Path], most: int) -> None:
    for _ in range(4):
        cache = cache_over(folder, most)
        for video in videos:
            assert len(cache.get(record(video)).frames) == 5


def test_many_threads_and_processes_at_once(tmp_path: Path) -> None:
    """With room for half of the clips, so that they are removed while others read them."""
    videos = [write_video(tmp_path / f"{k}.mp4", numbered_frames(5)) for k in range(6)]
    cache_over(tmp_path / "c").get(record(videos[0]))
    most = 4 * entries(tmp_path / "c")[0].stat().st_size
    context = multiprocessing.get_context("fork")
    arguments = (tmp_path / "c", videos, most)
    workers = [context.Process(target=read_many, args=arguments) for _ in range(2)]
    threads = [threading.Thread(target=read_many, args=arguments, daemon=True) for _ in range(2)]
    for one in (*workers, *threads):
        one.start()
    for one in (*workers, *threads):
        one.join()
    assert [worker.exitcode for worker in workers] == [0, 0]


def test_a_recipe_asks_for_it(tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("[data]", "[data]\ndisk_cache_mb = 8"))
    alone = ("--all", "--set", "distill.response=0", "--set", "distill.feature=0", "--set", "optim.epochs=1")
    for run in ("one", "two"):
        ran = run_command(
            commands.register,
            *("train-distill", "--device", "cpu", "--recipe", tmp_path / "tiny.toml", "--data", clips, *alone),
            *("--out", tmp_path / run),
        )
        assert ran.status == 0, ran.err
        assert len(entries(tmp_path / "cache")) == 15
    weights = [(tmp_path / run / "student/last/model.safetensors").read_bytes() for run in ("one", "two")]
    assert weights[0] == weights[1]
