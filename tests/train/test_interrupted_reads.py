"""Ctrl-C while FFmpeg reads a video out of a shard: it comes out, at whichever read, and nothing false is kept."""

import io
import signal
import tarfile
import threading
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from videos import write_video

from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.decode import IndexStore, decode_clip, read_index
from edgevid_train.storage import part
from edgevid_train.synthetic.workers import result_of


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> ClipRecord:
    """A video of noise, which FFmpeg asks for in several reads."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(24)]
    video = write_video(folder / "v.mp4", noise, fps=12).read_bytes()
    with tarfile.open(folder / "s.tar", "w") as tar:
        for name, data in (("0.mp4", video), ("0.cls", b"up")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return read_data(folder / "s.tar")[0]


class Struck:
    """Reads of shards, at one of which Ctrl-C strikes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = self.given = self.at = 0
        original = part.Part.readinto

        def readinto(this: part.Part, buffer: bytearray) -> int:
            self.reads += 1
            if self.reads == self.at:
                signal.raise_signal(signal.SIGINT)
            given = original(this, buffer)
            self.given += given > 0
            return given

        monkeypatch.setattr(part.Part, "readinto", readinto)

    def begin(self, at: int) -> None:
        self.reads = self.given = 0
        self.at = at


@pytest.fixture
def struck(monkeypatch: pytest.MonkeyPatch) -> Struck:
    return Struck(monkeypatch)


def test_of_a_clip_that_is_decoded(record: ClipRecord, struck: Struck) -> None:
    assert len(decode_clip(record, 64).frames) == 24
    reads = struck.reads
    assert reads > 3
    for at in range(1, reads + 1):
        struck.begin(at)
        with pytest.raises(KeyboardInterrupt):
            decode_clip(record, 64)
        assert struck.given < at  # nothing more is fetched
    struck.begin(0)
    assert len(decode_clip(record, 64).frames) == 24


def test_of_an_index_nothing_is_kept(record: ClipRecord, struck: Struck, monkeypatch, tmp_path: Path) -> None:
    whole = read_index(record.file)
    reads = struck.reads
    for at in range(1, reads + 1):
        monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / str(at)))
        struck.begin(at)
        with pytest.raises(KeyboardInterrupt):
            IndexStore().get(record.file)
        struck.begin(0)
        again = IndexStore().get(record.file)
        assert (again.seekable, again.fault, len(again.times_s)) == (whole.seekable, None, 24)


def test_as_a_drawn_clip_is_waited_for_its_lock_stays_free(monkeypatch: pytest.MonkeyPatch) -> None:
    future: Future[int] = Future()
    take, struck = threading.Condition.__enter__, threading.Event()

    def take_and_strike(condition: threading.Condition) -> bool:
        taken = take(condition)
        monkeypatch.undo()
        struck.set()
        signal.raise_signal(signal.SIGINT)
        return taken

    monkeypatch.setattr(threading.Condition, "__enter__", take_and_strike)
    with pytest.raises(KeyboardInterrupt):
        result_of(future)
    assert struck.is_set()
    giver = threading.Thread(target=lambda: future.set_result(1), daemon=True)
    giver.start()
    giver.join(60)
    assert not giver.is_alive()
    assert result_of(future) == 1
