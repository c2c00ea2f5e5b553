"""Videos cut into chunks give the frames of the whole video."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from videos import number_of, numbered_frames, write_video

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import DecodeError, decode_clip
from edgevid_train.decode.chunks import chunks_of, pieces

RATE = 10


def record(folder: Path, start_s: float, end_s: float | None) -> ClipRecord:
    return ClipRecord(folder, folder.name, ("x",), "g", start_s, end_s)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames, ten a second, in chunks of two seconds."""
    folder = tmp_path_factory.mktemp("chunks") / "uid.mp4"
    folder.mkdir()
    frames = numbered_frames(60)
    for begins_s in (0, 2, 4):
        write_video(folder / f"{begins_s}.mp4", frames[begins_s * RATE : (begins_s + 2) * RATE], fps=RATE)
    return folder


@pytest.mark.parametrize(
    ("start_s", "end_s", "first", "last"),
    [
        (0.0, 1.0, 0, 9),
        (1.5, 2.5, 15, 24),
        (0.5, 5.0, 5, 49),
        (4.0, None, 40, 59),
        (2.0, 4.0, 20, 39),
        (1.95, 3.0, 20, 29),
    ],
)
def test_frames_of_a_span(video: Path, start_s: float, end_s: float | None, first: int, last: int) -> None:
    clip = decode_clip(record(video, start_s, end_s), 64)
    assert [number_of(frame) for frame in clip.frames] == list(range(first, last + 1))
    np.testing.assert_allclose(clip.times_s, np.arange(first, last + 1) / RATE, atol=1e-3)


def test_a_span_over_many_chunks_is_no_longer_than_one_of_a_file(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevid_train.decode.clip.MAX_CLIP_S", 3.0)
    assert len(decode_clip(record(video, 0.0, 3.0), 64).frames) == 30
    with pytest.raises(DecodeError, match="longer than 3 s"):
        decode_clip(record(video, 0.0, None), 64)


def test_frames_that_are_picked(video: Path) -> None:
    clip = decode_clip(record(video, 1.0, 5.0), 64, pick=lambda times_s: np.array([0, 0, len(times_s) - 1], np.intp))
    assert [number_of(frame) for frame in clip.frames] == [10, 10, 49]


def test_a_chunk_that_is_not_there(video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "uid.mp4"
    folder.mkdir()
    for begins_s in (0, 4):
        (folder / f"{begins_s}.mp4").write_bytes((video / f"{begins_s}.mp4").read_bytes())
    (folder / "6.mp4").write_bytes((video / "0.mp4").read_bytes())
    assert len(decode_clip(record(folder, 4.0, 7.0), 64).frames) == 30
    with pytest.raises(DecodeError, match="no chunk holds 2 s"):
        decode_clip(record(folder, 1.0, 5.0), 64)
    with pytest.raises(InputError, match="a folder without chunks of video"):
        chunks_of(record(tmp_path, 0, 1))


@given(
    st.floats(0, 100, allow_nan=False),
    st.none() | st.floats(0.01, 100, allow_nan=False),
    st.integers(1, 12),
    st.integers(1, 30),
)
def test_pieces_cover_a_span_without_gap_or_overlap(
    start_s: float, length_s: float | None, count: int, lasts_s: int
) -> None:
    chunks = [(float(i * lasts_s), Path(f"{i * lasts_s}.mp4")) for i in range(count)]
    end_s = None if length_s is None else start_s + length_s
    found = pieces(chunks, start_s, end_s)
    assert found[0][0] + found[0][2] == pytest.approx(start_s)
    for (begins_s, _, _, stops_s), (next_s, _, starts_s, _) in pairwise(found):
        assert stops_s is not None
        assert begins_s + stops_s == pytest.approx(next_s + starts_s)
    last = found[-1]
    assert (last[3] is None) if end_s is None else (last[3] is not None and last[0] + last[3] == pytest.approx(end_s))
