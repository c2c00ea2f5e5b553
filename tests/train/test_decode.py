"""From a record to pixels: the runtime's own, once, in bounded memory, or a reason."""

import contextlib
import io
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import number_of, numbered_frames, truncate, write_video

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid.sources import open_source
from edgevid_train.annotations import ClipRecord
from edgevid_train.annotations.places import read_places, write_places
from edgevid_train.decode import (
    RUNTIME_SHORT_SIDE,
    ClipCache,
    DecodedClip,
    DecodeError,
    IndexStore,
    Span,
    decode_clip,
    with_context,
)
from edgevid_train.decode import cache as decode_cache
from edgevid_train.decode import clip as decode_clip_module
from edgevid_train.ledger import Ledger
from edgevid_train.models.teachers.config import TeacherConfig
from edgevid_train.npz import NpzError, read_npz
from edgevid_train.samples.dataset import labelled
from edgevid_train.samples.held_out import held_out_for_teacher, spread


def record(file: Path, start_s: float = 0.0, end_s: float | None = None) -> ClipRecord:
    return ClipRecord(file, file.name, ("up",), "g", start_s, end_s)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 numbered frames, 10 a second."""
    return write_video(tmp_path_factory.mktemp("decode") / "a.mp4", numbered_frames(20), fps=10)


def test_pixels_are_the_runtimes(video: Path) -> None:
    clip = decode_clip(record(video), short_side=32)
    with open_source(video, short_side=32, pace="fast") as source:
        frames = list(source)
    assert np.array_equal(clip.frames, np.stack([frame.pixels for frame in frames]))
    assert clip.times_s.tolist() == [frame.time_s for frame in frames]
    assert clip.frames.shape == (20, 32, 48, 3)


def test_a_span_is_cut_out_end_exclusive(video: Path) -> None:
    clip = decode_clip(record(video, 0.5, 1.0))
    assert [number_of(frame) for frame in clip.frames] == [5, 6, 7, 8, 9]
    assert clip.times_s[0] == pytest.approx(0.5)


@pytest.mark.parametrize("rate_hz", [0.0, 4.0, 7.5])
def test_a_teacher_s_held_out_frames_are_those_it_is_judged_by(video: Path, rate_hz: float) -> None:
    """Sampled once, as `evaluate` does, though only what is taken is decoded."""
    teacher = TeacherConfig(frames=5, rate_hz=rate_hz, input=InputSpec(height=32, width=48))
    held_out = held_out_for_teacher([], teacher, 1 << 20, IndexStore())
    for end_s in (0.3, 0.9, 1.3, 2.0):
        clip = record(video, 0.0, end_s)
        frames = held_out.prepared(clip)
        assert len(frames) == 5
        assert np.array_equal(frames, spread(decode_clip(clip, RUNTIME_SHORT_SIDE), teacher))


def broken(kind: str, folder: Path) -> Path:
    file = folder / f"{kind}.mp4"
    if kind == "empty":
        file.touch()
    elif kind == "text":
        file.write_text("no video at all\n" * 50)
    elif kind == "truncated":
        write_video(file, numbered_frames(200), fps=10, container_options={"movflags": "faststart"})
        truncate(file, 0.5)
    elif kind == "folder":
        file.mkdir()
    return file


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("missing", "no such file"), ("empty", "empty"), ("text", ""), ("truncated", "too early"), ("folder", "folder")],
)
def test_what_cannot_be_read_has_a_reason(tmp_path: Path, kind: str, reason: str) -> None:
    file = broken(kind, tmp_path)
    with pytest.raises(DecodeError) as raised:
        decode_clip(record(file))
    assert reason in str(raised.value)
    assert str(file) not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_span_past_the_end_and_one_too_long(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DecodeError, match=r"no frames from 7 s on"):
        decode_clip(record(video, 7.0, 8.0))
    monkeypatch.setattr(decode_clip_module, "MAX_CLIP_S", 1.0)
    with pytest.raises(DecodeError, match="longer than 1 s"):
        decode_clip(record(video))
    assert len(decode_clip(record(video, 0.5, 1.2)).frames) == 7


def test_the_cache_decodes_once_whatever_the_threads(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[ClipRecord] = Counter()
    bad = record(video.parent / "none.mp4")
    started = threading.Barrier(9)

    def counted(wanted: ClipRecord, short_side: int, span: Span | None, indexes: IndexStore | None) -> DecodedClip:
        calls[wanted] += 1
        return decode_clip(wanted, short_side, span, indexes)

    monkeypatch.setattr(decode_cache, "decode_clip", counted)
    cache = ClipCache(32, 1 << 20)
    got: list[object] = []

    def work() -> None:
        started.wait()
        for wanted in (record(video), bad):
            try:
                got.append(id(cache.get(wanted)))
            except DecodeError as error:
                got.append(str(error))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    started.wait()
    for thread in threads:
        thread.join()
    assert calls == {record(video): 1, bad: 1}
    assert len(got) == 16
    assert len(set(got)) == 2


def test_the_cache_is_bounded_and_forgets_the_oldest(video: Path) -> None:
    spans = [record(video, k / 10, k / 10 + 0.05) for k in range(5)]  # one frame each
    size = decode_clip(spans[0], 32).frames.nbytes
    cache = ClipCache(32, 3 * size)
    for span in (*spans[:3], spans[0], spans[3]):  # 0 was used again, so 1 goes
        cache.get(span)
        assert cache.bytes <= 3 * size
    assert cache.decoded == 4
    cache.get(spans[0])
    assert cache.decoded == 4
    cache.get(spans[1])
    assert cache.decoded == 5


def test_shared_pixels_cannot_be_written_to(video: Path) -> None:
    clip = ClipCache(32, 1 << 20).get(record(video))
    with pytest.raises(ValueError, match="read-only"):
        clip.frames[0, 0, 0, 0] = 1


def test_context_reaches_as_far_as_no_other_clip(video: Path) -> None:
    other = video.with_name("b.mp4")
    first, second, third = record(video, 1.0, 2.0), record(video, 3.0, 4.0), record(video, 4.5, 6.0)
    overlapping, alone, whole = record(other, 5.0, 7.0), record(other, 6.0, 8.0), record(video.with_name("c.mp4"))
    spans = with_context([first, second, third, overlapping, alone, whole], before_s=2.0, after_s=1.5)
    assert spans == {
        first: (0.0, 3.0),
        second: (2.0, 4.5),
        third: (4.0, 7.5),
        overlapping: (3.0, 7.0),
        alone: (6.0, 9.5),
    }


spans_of = st.tuples(st.integers(0, 40), st.integers(1, 20), st.booleans()).map(
    lambda drawn: (drawn[0] / 2, None if drawn[2] and drawn[1] > 15 else (drawn[0] + drawn[1]) / 2)
)


@settings(max_examples=200, deadline=None)
@given(found=st.lists(spans_of, min_size=1, max_size=6))
def test_what_is_added_around_a_clip_is_no_others(found: list[tuple[float, float | None]]) -> None:
    records = [ClipRecord(Path("a.mp4"), "a.mp4", (f"label {i}",), "g", *span) for i, span in enumerate(found)]
    for record_, (begin_s, end_s) in with_context(records, 2.0, 1.5).items():
        assert record_.end_s is not None
        assert record_.start_s - 2 <= begin_s <= record_.start_s
        assert record_.end_s <= end_s <= record_.end_s + 1.5
        for other in records:
            other_end_s = float("inf") if other.end_s is None else other.end_s
            for added in ((begin_s, record_.start_s), (record_.end_s, end_s)):
                assert other is record_ or min(added[1], other_end_s) <= max(added[0], other.start_s)


def test_frames_around_a_clip_and_where_they_are_in_the_file(video: Path) -> None:
    wanted = record(video, 0.5, 1.0)
    clip = ClipCache(64, 1 << 20, {wanted: (0.2, 1.4)}).get(wanted)
    assert [number_of(frame) for frame in clip.frames] == list(range(2, 14))
    assert clip.first == 2
    places = np.column_stack([np.arange(20), np.arange(20)]).astype(np.float32)
    whole = labelled(clip, places)
    assert (whole.start_s, whole.end_s) == (0.5, 1.0)
    assert whole.place is not None
    assert whole.place[:, 0].tolist() == list(range(2, 14))
    with pytest.raises(InputError, match="places are known of 9 frames"):
        labelled(clip, places[:9])


def test_places_come_back_and_are_checked(tmp_path: Path) -> None:
    assert read_places(tmp_path) == {}
    known = {"clips/a.mp4": np.array([[0.5, np.nan]], np.float32), "b.mp4": np.zeros((3, 2), np.float32)}
    write_places(tmp_path, known)
    found = read_places(tmp_path)
    assert found.keys() == {tmp_path / "clips/a.mp4", tmp_path / "b.mp4"}
    assert np.array_equal(found[tmp_path / "clips/a.mp4"], known["clips/a.mp4"], equal_nan=True)
    write_places(tmp_path, {"b.mp4": np.zeros((3, 3), np.float32)})
    with pytest.raises(InputError, match=r"places\.npz: 'b\.mp4' is \(3, 3\)"):
        read_places(tmp_path)
    for text in (b"nothing", b"", b"\x93NUMPY"):
        (tmp_path / "places.npz").write_bytes(text)
        with pytest.raises(InputError, match=r"places\.npz: cannot be read"):
            read_places(tmp_path)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_arrays_are_read_or_refused_but_never_crash(
    tmp_path: Path, save: Callable[..., None], mask: int
) -> None:
    written = io.BytesIO()
    save(written, a=np.arange(30), b=np.array(["left", "up"]))
    for place in range(len(written.getvalue())):
        damaged = bytearray(written.getvalue())
        damaged[place] ^= mask
        (tmp_path / "d.npz").write_bytes(damaged)
        with contextlib.suppress(NpzError):
            read_npz(tmp_path / "d.npz")


def test_the_ledger_names_and_counts(tmp_path: Path) -> None:
    ledger = Ledger()
    a, b = record(tmp_path / "a.mp4"), record(tmp_path / "b, c.mp4", 1.0, 2.0)
    ledger.skip(a, "empty")
    ledger.skip(a, "empty, again")
    ledger.skip(b, "cut, short")
    assert len(ledger) == 2
    ledger.write(tmp_path / "ledger.csv")
    lines = (tmp_path / "ledger.csv").read_text().splitlines()
    assert lines == ["clip,label,reason", "a.mp4,up,empty", '"b, c.mp4[1:2]",up,"cut, short"']
    ledger.check(total=100, max_share=0.02)
    with pytest.raises(InputError, match=r"2 of 99 clips cannot be used, more than .* 2% .*the first: a\.mp4: empty"):
        ledger.check(total=99, max_share=0.02)


def test_every_real_clip_can_be_read(shared_data: Path) -> None:
    """One of every odd file: frames, or a reason in one line."""
    for file in sorted((shared_data / "odd").iterdir()):
        try:
            clip = decode_clip(record(file, 0.0, 0.3))
        except DecodeError as error:
            reason = str(error)
        else:
            reason = ""
            assert len(clip.frames) >= 1
            assert (np.diff(clip.times_s) >= 0).all()
        assert "\n" not in reason
