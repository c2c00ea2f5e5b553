"""Indices on disk: found again, rebuilt when in doubt, bounded; and what the first pass of training may believe."""

import multiprocessing
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from videos import damage, numbered_frames, write_video

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import ClipCache, DecodeError, IndexStore
from edgevid_train.decode import store as store_module
from edgevid_train.decode.index import read_index
from edgevid_train.ledger import Ledger
from edgevid_train.runs.usable import read_clips


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """20 frames, 10 a second."""
    return write_video(tmp_path / "a.mp4", numbered_frames(20), fps=10)


def record(file: Path, start_s: float = 0.0, end_s: float | None = None) -> ClipRecord:
    return ClipRecord(file, file.name, ("up",), "g", start_s, end_s)


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "index").iterdir())


def test_an_index_is_made_once(video: Path, tmp_path: Path) -> None:
    first, second = IndexStore(tmp_path / "cache"), IndexStore(tmp_path / "cache")
    made = first.get(video)
    found = second.get(video)
    assert (first.built, second.built) == (1, 0)
    assert repr(found) == repr(made)
    assert np.array_equal(found.times_s, made.times_s)
    assert made.times_s.tolist() == pytest.approx([k / 10 for k in range(20)])


def test_a_file_that_changed_is_indexed_anew(video: Path, tmp_path: Path) -> None:
    indexes = IndexStore(tmp_path / "cache")
    indexes.get(video)
    write_video(video, numbered_frames(7), fps=10)
    assert len(indexes.get(video).times_s) == 7
    os.utime(video, ns=(1, 1))
    indexes.get(video)
    assert indexes.built == 3
    assert len(entries(tmp_path / "cache")) == 1


@pytest.mark.parametrize("how", ["empty", "text", "half", "noise"])
def test_a_damaged_entry_is_rebuilt(video: Path, tmp_path: Path, how: str) -> None:
    cache = tmp_path / "cache"
    right = IndexStore(cache).get(video)
    (entry,) = entries(cache)
    data = entry.read_bytes()
    bad = {"empty": b"", "text": b"no index", "half": data[: len(data) // 2]}
    entry.write_bytes(bad.get(how, bytes(np.random.default_rng(0).bytes(len(data)))))
    again = IndexStore(cache)
    assert np.array_equal(again.get(video).times_s, right.times_s)
    assert again.built == 1
    assert entry.read_bytes() == data


def test_a_folder_that_cannot_be_written_is_no_fault(video: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    indexes = IndexStore(tmp_path / "file")
    assert len(indexes.get(video).times_s) == 20
    assert indexes.unwritable is not None
    with pytest.raises(InputError, match="no such file"):
        indexes.get(video.with_name("none.mp4"))


def test_the_folder_is_bounded(tmp_path: Path) -> None:
    frames = numbered_frames(3)
    videos = [write_video(tmp_path / f"{k}.mp4", frames) for k in range(6)]
    indexes = IndexStore(tmp_path / "cache")
    indexes.get(videos[0])
    indexes.folder.max_bytes = 3 * entries(tmp_path / "cache")[0].stat().st_size
    for video in videos[1:]:
        indexes.get(video)
        assert sum(path.stat().st_size for path in entries(tmp_path / "cache")) <= indexes.folder.max_bytes
    assert IndexStore(tmp_path / "cache").get(videos[-1]) is not None


def read_many(folder: Path, videos: list[Path]) -> None:
    indexes = IndexStore(folder)
    for _ in range(3):
        for video in videos:
            assert len(indexes.get(video).times_s) == 5
            indexes.mark_decoded(video, [slice(0, 5)])


def test_many_threads_and_processes_at_once(tmp_path: Path) -> None:
    videos = [write_video(tmp_path / f"{k}.mp4", numbered_frames(5)) for k in range(4)]
    cache = tmp_path / "cache"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=read_many, args=(cache, videos)) for _ in range(3)]
    threads = [threading.Thread(target=read_many, args=(cache, videos), daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    for thread in threads:
        thread.start()
    for one in (*workers, *threads):
        one.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    indexes = IndexStore(cache)
    assert all(indexes.get(video).decoded.all() for video in videos)
    assert indexes.built == 0
    assert len(entries(cache)) == 4


def first_pass(records: list[ClipRecord], cache_folder: Path) -> tuple[dict[ClipRecord, int], Ledger, int]:
    cache, ledger = ClipCache(32, 1 << 24, indexes=IndexStore(cache_folder)), Ledger()
    lengths = read_clips(records, cache, ledger, 10.0, threads=2)
    return lengths, ledger, cache.decoded


def test_the_first_pass_decodes_what_no_run_decoded(video: Path, tmp_path: Path) -> None:
    records = [record(video, 0.0, 1.0), record(video, 1.0), record(video.with_name("none.mp4"))]
    cold = first_pass(records, tmp_path / "cache")
    warm = first_pass(records, tmp_path / "cache")
    assert cold[0] == warm[0] == {records[0]: 10, records[1]: 10}
    assert list(cold[1].reasons) == list(warm[1].reasons) == [records[2]]
    assert (cold[2], warm[2]) == (2, 0)
    wider = [record(video, 0.5, 1.5), record(video, 0.0, 0.3)]  # other spans of the same frames
    assert first_pass(wider, tmp_path / "cache")[2] == 0
    write_video(video, numbered_frames(20), fps=10)
    os.utime(video, ns=(1, 1))
    assert first_pass(records, tmp_path / "cache")[2] == 2


def test_a_file_that_indexes_but_does_not_decode_is_in_the_ledger(video: Path, tmp_path: Path) -> None:
    """Its packets stand where they should, and an index of it is there already."""
    indexes = IndexStore(tmp_path / "cache")
    size = video.stat().st_size
    with video.open("r+b") as file:
        data = bytearray(file.read())
        begin = data.index(b"mdat") + 4
        stop = data.index(b"moov", begin) - 4 if b"moov" in data[begin:] else size
        data[begin + 800 : stop] = bytes(stop - begin - 800)
        file.seek(0)
        file.write(data)
    try:
        index = indexes.get(video)
    except InputError:
        pytest.skip("this FFmpeg finds nothing at all in it")
    assert len(index.times_s) >= 1
    for _ in range(2):
        lengths, ledger, _ = first_pass([record(video, 1.0)], tmp_path / "cache")
        assert not lengths
        assert len(ledger) == 1
    with pytest.raises(DecodeError):
        ClipCache(32, 1 << 24, indexes=indexes).get(record(video, 1.0))


def test_of_a_damaged_file_nothing_is_believed(video: Path, tmp_path: Path) -> None:
    damage(video, 0.4, 0.1)
    found = [first_pass([record(video)], tmp_path / "cache") for _ in range(2)]
    assert found[0][0] == found[1][0]
    assert found[0][1].reasons == found[1][1].reasons
    assert found[1][2] == found[0][2]  # decoded again


def test_threads_that_want_one_index_make_it_once(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def slowly(file: Path) -> object:
        reading.set()
        assert go_on.wait(60)
        return read_index(file)

    monkeypatch.setattr(store_module, "read_index", slowly)
    store = IndexStore(tmp_path / "cache")
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(store.get(video))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert reading.wait(60)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert (store.built, len(found)) == (1, 4)
    assert all(index is found[0] for index in found)
    with pytest.raises(InputError):
        store.get(tmp_path / "none.mp4")
    with pytest.raises(InputError):  # and nobody waits for ever for what failed
        store.get(tmp_path / "none.mp4")


def test_what_is_decoded_again_is_noted_once(tmp_path: Path, video: Path) -> None:
    store = IndexStore(tmp_path / "cache")
    cache = ClipCache(64, max_bytes=1, indexes=store)
    whole = ClipRecord(video, video.name, ("up",), "g")
    for _ in range(3):
        cache.get(whole)
    assert cache.decoded == 3
    assert [len(spans) for spans in cache._proven.values()] == [1]
