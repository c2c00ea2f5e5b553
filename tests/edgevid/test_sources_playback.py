"""Recordings at their own pace and in a loop, with a clock that only sleeping moves."""

import threading
from itertools import islice, pairwise
from pathlib import Path

import pytest
from videos import number_of, numbered_frames, truncate, write_images, write_video

from edgevid.errors import InputError
from edgevid.frame import Frame
from edgevid.sources import open_source


class FakeTime:
    """A clock, and the sleep that moves it."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept_s: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a.mp4", numbered_frames(5), times_s=[0.0, 0.1, 0.3, 0.35, 1.0])


def test_each_frame_leaves_at_its_time(clip: Path) -> None:
    time = FakeTime()
    with open_source(clip, clock=time.clock, sleep=time.sleep) as source:
        frames = list(source)
    assert [f.captured_s - 100 for f in frames] == pytest.approx([f.time_s for f in frames])
    assert time.slept_s == pytest.approx([0.1, 0.2, 0.05, 0.65], abs=1e-3)


def test_a_late_reader_gets_what_is_behind_at_once_and_then_the_pace_again(clip: Path) -> None:
    time, captured_s, times_s = FakeTime(), [], []
    with open_source(clip, clock=time.clock, sleep=time.sleep) as source:
        for frame in source:
            captured_s.append(frame.captured_s - 100)
            times_s.append(time.now_s - 100)
            if frame.index == 0:
                time.now_s += 0.32  # the reader was busy
    # What was late was due before; so it has been captured when it was due, and is late to whoever decides on it
    assert captured_s == pytest.approx([0.0, 0.1, 0.3, 0.35, 1.0], abs=1e-3)
    assert times_s == pytest.approx([0.0, 0.32, 0.32, 0.35, 1.0], abs=1e-3)


def test_fast_never_sleeps(clip: Path) -> None:
    time = FakeTime()
    with open_source(clip, pace="fast", clock=time.clock, sleep=time.sleep) as source:
        assert len(list(source)) == 5
    assert time.slept_s == []


def test_an_unknown_pace_is_refused(clip: Path) -> None:
    with pytest.raises(InputError, match="source or fast"):
        open_source(clip, pace="slow")  # type: ignore[arg-type]


def test_a_loop_goes_on_in_time_index_and_counts(clip: Path) -> None:
    with open_source(clip, pace="fast", loop=True) as source:
        frames = list(islice(source, 12))
    assert [number_of(f.pixels) for f in frames] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert [f.index for f in frames] == list(range(12))
    steps = [b.time_s - a.time_s for a, b in pairwise(frames)]
    assert steps == pytest.approx([0.1, 0.2, 0.05, 0.65, 0.65, 0.1, 0.2, 0.05, 0.65, 0.65, 0.1], abs=1e-3)
    assert source.counts.frames == 12
    assert source.counts.laps == 2


def test_a_loop_keeps_the_pace_over_its_seam(tmp_path: Path) -> None:
    folder, time = write_images(tmp_path / "images", numbered_frames(3)), FakeTime()
    with open_source(folder, rate_hz=10, loop=True, clock=time.clock, sleep=time.sleep) as source:
        captured_s = [f.captured_s - 100 for f in islice(source, 7)]
    assert captured_s == pytest.approx([0.1 * n for n in range(7)])


def test_a_truncated_clip_can_be_looped_and_its_fault_is_kept(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mkv", numbered_frames(60))
    with open_source(truncate(clip, 0.5), pace="fast", loop=True) as source:
        frames: list[Frame] = []
        for frame in source:
            frames.append(frame)
            if source.counts.laps == 2:
                break
    assert source.fault is not None
    assert all(a.time_s < b.time_s for a, b in pairwise(frames))


def test_a_looped_file_that_goes_away_ends_with_one_line(clip: Path) -> None:
    with open_source(clip, pace="fast", loop=True) as source:
        frames = iter(source)
        next(frames)
        clip.unlink()
        with pytest.raises(InputError, match="no such file"):
            list(frames)


def test_close_from_another_thread_ends_the_wait_for_a_frame(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", numbered_frames(2), times_s=[0.0, 60.0])
    source = open_source(clip)
    got_first = threading.Event()
    got: list[Frame] = []

    def reader() -> None:
        for frame in source:
            got.append(frame)
            got_first.set()

    thread = threading.Thread(target=reader, daemon=True)
    thread.start()
    assert got_first.wait(60)
    source.close()
    thread.join(60)
    assert not thread.is_alive()
    assert len(got) == 1
    source.close()


def test_a_closed_source_gives_nothing(clip: Path) -> None:
    with open_source(clip, pace="fast") as source:
        frames = iter(source)
        next(frames)
    assert list(frames) == []
    assert list(source) == []


def test_the_demo_is_found_or_said_to_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "demo.mp4", numbered_frames(3))
    monkeypatch.setattr("edgevid.sources.opening.asset", lambda place: {"demo/demo.mp4": clip}[place])
    with open_source("demo", pace="fast") as source:
        assert len(list(source)) == 3
        assert source.info.name == "demo"


@pytest.mark.parametrize("loop", [False, True])
def test_of_frames_that_nobody_wants_only_time_and_index_are_given(clip: Path, loop: bool) -> None:
    asked: list[float] = []

    def every_other(time_s: float) -> bool:
        asked.append(time_s)
        return len(asked) % 2 == 0

    with open_source(clip, pace="fast", loop=loop) as source:
        source.wanted = every_other
        frames = list(islice(source, 9))
    with open_source(clip, pace="fast", loop=loop) as source:
        whole = list(islice(source, 9))
    assert [(f.time_s, f.index) for f in frames] == [(f.time_s, f.index) for f in whole]
    firsts = [f.index for f in frames if f.index % 5 == 0]  # decoded to learn that there is a picture at all
    assert asked == [f.time_s for f in frames if f.index not in firsts]
    given = [f.index for f in frames if f.pixels.size]
    assert given == ([0, 2, 4, 5, 7] if loop else [0, 2, 4])
    assert all(number_of(frames[i].pixels) == i % 5 for i in given)
