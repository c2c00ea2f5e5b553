"""Parts of files and of addresses as files: what is read, what is kept, what is tried again and what is refused."""

import contextlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote import Remote, serving
from videos import numbered_frames, write_video

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord, ReadOptions, read_data
from edgevid_train.decode import ClipCache, DecodeError, IndexStore, decode_clip
from edgevid_train.storage import address_of, blob_of, named, read_bytes, shown, size_of, stamp_of
from edgevid_train.storage import blocks as blocks_module
from edgevid_train.storage import faults as faults_module
from edgevid_train.storage.blocks import Blocks
from edgevid_train.storage.bounded import BoundedFolder
from edgevid_train.storage.part import facts_of


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """A server of `tmp_path/served`; blocks of 1 kB, an empty cache of 1 MB, and no waiting."""
    monkeypatch.setattr(faults_module, "WAITS_S", (0.0, 0.0))
    monkeypatch.setattr(blocks_module, "BLOCK", 1024)
    monkeypatch.setattr("edgevid_train.storage.part.BLOCK", 1024)
    own = Blocks(BoundedFolder(tmp_path / "blocks", 1 << 20))
    monkeypatch.setattr("edgevid_train.storage.part.blocks", lambda: own)
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as found:
        yield found


def put(remote: Remote, name: str, size: int = 5000) -> bytes:
    data = np.random.default_rng(size).bytes(size)
    (remote.folder / name).parent.mkdir(exist_ok=True)
    (remote.folder / name).write_bytes(data)
    return data


def under(remote: Remote, name: str) -> Path:
    return Path(f"{remote.address}/{name}")


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("https://host/data/a b.mp4", "https://host/data/a%20b.mp4"),
        ("https://host/data/a%20b.mp4", "https://host/data/a%20b.mp4"),
        ("https://host/100%.mp4", "https://host/100%25.mp4"),
        ("https://host/what?.mp4", "https://host/what%3F.mp4"),
        ("s3://bucket/a b.mp4", "s3://bucket/a b.mp4"),
        ("data/clips.csv", None),
        ("/data/https:/a", None),
        ("C:/data", None),
    ],
)
def test_addresses_are_names(typed: str, address: str | None) -> None:
    assert address_of(Path(typed)) == address


def test_what_is_shown_of_an_address_is_no_secret() -> None:
    assert shown(Path("https://me:secret@host/a.csv?token=x")) == "https://host/a.csv"


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("file:///data/clips.csv", "/data/clips.csv"),
        ("file:///my%20data/100%25/%C3%A4%3F.mp4", "/my data/100%/ä?.mp4"),
        ("file:///a b?#c.mp4", "/a b?#c.mp4"),
        ("FILE://localhost/data", "/data"),
        ("file:/data", "/data"),
        ("data/a?b.mp4", "data/a?b.mp4"),
        ("file:data", "file:data"),
        ("https://host/a b.mp4#t=3", "https:/host/a b.mp4"),
        ("HTTPS://host/a.mp4?x=1#y", "https:/host/a.mp4"),
        ("s3://bucket/a?b", "s3:/bucket/a?b"),
        ("abfs://box@account.dfs.core.windows.net/a.mp4", "abfs:/box@account.dfs.core.windows.net/a.mp4"),
        ("sftp://me@host/a.mp4", "sftp:/me@host/a.mp4"),
        ("http://host:8000/a@b..mp4", "http:/host:8000/a@b..mp4"),
    ],
)
def test_what_is_written_gets_a_name(written: str, path: str) -> None:
    assert named(written) == Path(path)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("file://nas/share/a.mp4", "file://nas/share/a.mp4: a file of another computer; a file here is file:///"),
        ("file://nas", "a file's address is file:///folder/file"),
        ("file:///a%00b", "cannot be a file's name"),
        ("https://me:secret@host/a.csv?token=x", "https://host/a.csv: user and password stand in the address"),
        ("https://me:a/secret@host/a.csv", "https://host/a.csv: user and password stand in the address"),
        ("ftp://me:secret@host/a.csv", "ftp://host/a.csv: user and password stand in the address"),
        ("https://host/../../a.mp4?token=x", "https://host/../../a.mp4: an address has no .."),
        ("s3://bucket/../a.mp4", "s3://bucket/../a.mp4: an address has no .."),
        ("s3://bucket/a?/../../b.mp4", "an address has no .."),
        ("https:///a.csv", "https:// without a host is no address"),
        ("http://?token=x", "http:// without a host is no address"),
        (" ", "an empty path names no data"),
    ],
)
def test_what_is_no_name_is_one_line_without_a_secret(written: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        named(written)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "token" not in str(caught.value)


@given(st.text(max_size=40), st.sampled_from(["", "file:", "file://", "file:///", "http://", "https://h/", "s3://"]))
def test_any_text_gets_a_name_or_one_line(text: str, before: str) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(named(before + text), Path)
        return
    with pytest.raises(InputError) as caught:
        named(before + text)
    assert str(caught.value).isprintable()


def in_memory(name: str, content: bytes) -> Path:
    """An object in fsspec's own memory, which is asked for as S3 is."""
    fsspec.filesystem("memory").pipe(f"/bucket/{name}", content)
    return Path(f"memory://bucket/{name}")


@given(st.lists(st.tuples(st.integers(0, 800), st.integers(0, 800)), min_size=1, max_size=5))
def test_any_part_is_what_stands_there(parts: list[tuple[int, int]]) -> None:
    content = bytes(range(256)) * 3
    blob = blob_of(in_memory("parts.bin", content))
    assert blob is not None
    with blob.open() as file:
        for begin, count in parts:
            file.seek(begin)
            assert file.read(count) == content[begin : begin + count]


def test_a_file_is_read_in_blocks_and_once(remote: Remote) -> None:
    data = put(remote, "a.bin")
    blob = blob_of(under(remote, "a.bin"))
    assert blob is not None
    with blob.open() as file:
        file.seek(2000)
        assert file.read(10) == data[2000:2010]
        assert remote.sent == 1024
        file.seek(-3, os.SEEK_END)
        assert file.read(10) == data[-3:]
    assert remote.sent == 1024 + 5000 - 4096
    assert read_bytes(under(remote, "a.bin")) == data
    assert read_bytes(under(remote, "a.bin")) == data
    assert remote.sent == len(data)
    assert size_of(under(remote, "a.bin")) == len(data)


def test_a_server_without_ranges_is_asked_once_for_all(remote: Remote) -> None:
    remote.ranges = False
    data = put(remote, "a.bin")
    assert read_bytes(under(remote, "a.bin")) == data
    assert remote.asked["/a.bin"] == 1


def test_a_server_without_ranges_and_a_file_beyond_the_cache(remote: Remote) -> None:
    remote.ranges = False
    put(remote, "a.bin", 600_000)
    with pytest.raises(InputError, match="the server gives no parts of it"):
        read_bytes(under(remote, "a.bin"))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_answers_no_head(remote: Remote, ranges: bool) -> None:
    remote.head, remote.ranges = False, ranges
    data = put(remote, "a.bin")
    assert read_bytes(under(remote, "a.bin")) == data


def test_a_cut_connection_is_tried_again(remote: Remote) -> None:
    data = put(remote, "a.bin", 900)
    remote.cut = 2
    assert read_bytes(under(remote, "a.bin")) == data
    assert remote.asked["/a.bin"] == 3


def test_a_connection_that_stays_cut_is_told(remote: Remote) -> None:
    put(remote, "a.bin", 900)
    remote.cut = 99
    with pytest.raises(InputError, match=r"a\.bin: the connection was cut \(tried 3 times\)"):
        read_bytes(under(remote, "a.bin"))


def test_a_busy_server_is_tried_again(remote: Remote) -> None:
    data = put(remote, "a.bin", 900)
    remote.busy = 2
    assert read_bytes(under(remote, "a.bin")) == data
    remote.busy = 99
    with pytest.raises(InputError, match="the server says 503"):
        read_bytes(under(remote, "b.bin"))


def test_what_is_not_there_is_not_tried_again(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults_module, "persistently", pytest.fail)
    with pytest.raises(InputError, match=r"none\.bin: the server says 404"):
        read_bytes(under(remote, "none.bin"))


def test_a_file_that_changes_meanwhile_is_refused(remote: Remote) -> None:
    put(remote, "a.bin", 3000)
    size_of(under(remote, "a.bin"))
    put(remote, "a.bin", 3001)
    with pytest.raises(InputError, match="changed while it was read"):
        read_bytes(under(remote, "a.bin"))


def test_a_damaged_block_is_read_anew(remote: Remote, tmp_path: Path) -> None:
    data = put(remote, "a.bin", 900)
    read_bytes(under(remote, "a.bin"))
    (entry,) = (tmp_path / "blocks").iterdir()
    entry.write_bytes(entry.read_bytes()[:-1] + b"\0")
    assert read_bytes(under(remote, "a.bin")) == data
    assert remote.asked["/a.bin"] == 2


def test_the_blocks_are_bounded(remote: Remote, tmp_path: Path) -> None:
    remote.ranges = False
    for k in range(6):
        put(remote, f"{k}.bin", 400_000 + k)
        read_bytes(under(remote, f"{k}.bin"))
        assert sum(path.stat().st_size for path in (tmp_path / "blocks").iterdir()) <= 1 << 20


def test_many_threads_ask_for_a_block_once(remote: Remote) -> None:
    data = put(remote, "a.bin", 900)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(read_bytes(under(remote, "a.bin"))), daemon=True) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [data] * 8
    assert remote.asked["/a.bin"] == 1


def test_of_a_long_video_only_the_span_is_read(remote: Remote) -> None:
    """A clip of two seconds in the middle of a file is decoded from the blocks that hold it."""
    frames = [np.random.default_rng(k).integers(0, 256, (48, 64, 3), dtype=np.uint8) for k in range(80)]
    file = write_video(remote.folder / "long.mp4", frames, fps=10, options={"g": "10"})
    name = under(remote, "long.mp4")
    record = ClipRecord(name, "long.mp4", ("up",), "g", 4.0, 5.0)
    indexes = IndexStore(remote.folder / "cache")
    indexes.get(file)
    expected = decode_clip(ClipRecord(file, "long.mp4", ("up",), "g", 4.0, 5.0), 48, indexes=indexes)
    found = decode_clip(record, 48, indexes=indexes)
    assert np.array_equal(found.frames, expected.frames)
    assert np.array_equal(found.times_s, expected.times_s)
    assert decode_clip(record, 48).first == found.first == 40


def test_a_table_at_an_address(remote: Remote) -> None:
    """Read as a folder or as the table itself; its files stand beside it; what is missing is an error of that clip."""
    (remote.folder / "my data").mkdir()
    write_video(remote.folder / "my data" / "a b.mp4", numbered_frames(6), fps=10)
    (remote.folder / "my data" / "clips.csv").write_text("file,label,group\na b.mp4,up,x\nnone.mp4,down,y\n")
    for typed in ("my data", "my%20data/clips.csv"):
        records = read_data(under(remote, typed))
        assert [(record.name, record.label, record.group) for record in records] == [
            ("a b.mp4", "up", "x"),
            ("none.mp4", "down", "y"),
        ]
        cache = ClipCache(48, 1 << 24, indexes=IndexStore(remote.folder / "cache"))
        assert len(cache.get(records[0]).frames) == 6
        with pytest.raises(DecodeError, match=r"^the server says 404"):
            cache.get(records[1])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("none.csv", r"none\.csv: the server says 404"),
        ("out.csv", r"out\.csv: row 2: field 'file': '\.\./a\.mp4' is not inside the data folder"),
        ("half.csv", r"http://127\.0\.0\.1:\d+/half\.csv: row 1: column 'file' is missing"),
    ],
)
def test_a_bad_table_at_an_address(remote: Remote, typed: str, message: str) -> None:
    (remote.folder / "out.csv").write_text("file,label\n../a.mp4,up\n")
    (remote.folder / "half.csv").write_text("label\nup\n")
    with pytest.raises(InputError, match=message):
        read_data(under(remote, typed))


def test_a_signature_is_asked_with_and_never_kept(remote: Remote) -> None:
    """Blocks read under one signature serve under the next; a name, its cache and its faults say nothing of either."""
    data = put(remote, "a b.bin", 900)
    remote.signature = "X-Amz-Signature=s1%2F&X-Amz-Date=2"
    file = named(f"{remote.address}/a b.bin?{remote.signature}")
    assert file == under(remote, "a b.bin")
    assert read_bytes(file) == data
    remote.signature = "X-Amz-Signature=s2"
    facts_of.cache_clear()
    with pytest.raises(InputError, match=r"/a%20b\.bin: the server says 403 Forbidden; the signature .* expired$"):
        read_bytes(file)
    assert read_bytes(named(f"{remote.address}/a%20b.bin?{remote.signature}")) != b""
    named(f"{remote.address}/a b.bin?{remote.signature}")
    assert read_bytes(file) == data
    assert sum(remote.asked.values()) == 1
    assert "X-Amz" not in repr(stamp_of(file)) + repr(blob_of(file))


def test_a_table_of_addresses_and_paths(remote: Remote, tmp_path: Path) -> None:
    """Signed one by one, members of shards among them; `file:///` reads as the path that it is."""
    (tmp_path / "own").mkdir()
    video = write_video(tmp_path / "own" / "c d.mp4", numbered_frames(6), fps=10).read_bytes()
    (remote.folder / "a.mp4").write_bytes(video)
    (remote.folder / "s.tar").write_bytes(tar_of("b.mp4", video))
    remote.signature = "sig=1"
    rows = [
        f"{remote.address}/a.mp4?sig=1,up",
        f"{remote.address}/s.tar/b.mp4?sig=1,up",
        f"file://{(tmp_path / 'own').as_posix()}/c%20d.mp4,down",
    ]
    (tmp_path / "own" / "clips.csv").write_text("\n".join(["file,label", *rows]))
    records = read_data(tmp_path / "own")
    host = remote.address.partition("://")[2]
    assert [record.name for record in records] == [f"{host}/a.mp4", f"{host}/s.tar/b.mp4", "c d.mp4"]
    for record in records:
        assert len(decode_clip(record, 48, indexes=IndexStore(tmp_path)).frames) == 6
    (tmp_path / "own" / "clips.csv").write_text("file,label\nfile:///etc/passwd,up\n")
    with pytest.raises(InputError, match="'/etc/passwd' is not inside the data folder"):
        read_data(tmp_path / "own")
    (tmp_path / "own" / "clips.csv").write_text("file,label\nfile://nas/a.mp4,up\n")
    with pytest.raises(InputError, match=r"clips\.csv: row 2: field 'file': file://nas/a\.mp4: a file of another"):
        read_data(tmp_path / "own")


def test_a_signed_table_signs_what_stands_beside_it(remote: Remote, tmp_path: Path) -> None:
    """As a shared access signature of a folder does. A file of this computer it cannot name."""
    write_video(remote.folder / "a.mp4", numbered_frames(6), fps=10)
    (remote.folder / "clips.csv").write_text("file,label\na.mp4,up\n")
    (remote.folder / "list.txt").write_text("file:///etc/s.tar\n")
    remote.signature = "sig=2"
    for typed in ("?sig=2", "clips.csv?sig=2"):
        (record,) = read_data(named(f"{remote.address}/{typed}"))
        assert len(decode_clip(record, 48, indexes=IndexStore(tmp_path)).frames) == 6
    with pytest.raises(InputError, match="is a file of this computer, which others cannot name"):
        read_data(named(f"{remote.address}/list.txt?sig=2"), ReadOptions(format="shards"))


def tar_of(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults_module, "WAITS_S", (0.0,))
    with pytest.raises(InputError, match="refused"):
        read_data(Path("http://127.0.0.1:9/clips.csv"))


def test_a_provider_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(InputError, match=r"Install s3fs to access S3; pip install 'edgevid\[s3\]'"):
        read_data(Path("s3://bucket/clips.csv"))


def test_an_address_of_nobody() -> None:
    with pytest.raises(InputError, match=r"^nonsense://x/clips\.csv: Protocol not known"):
        read_data(Path("nonsense://x"))


def test_objects_of_other_providers(tmp_path: Path) -> None:
    """fsspec's memory stands for S3: the same calls."""
    in_memory("clips.csv", b"file,label\na.mp4,up\n")
    in_memory("a.mp4", write_video(tmp_path / "a.mp4", numbered_frames(6), fps=10).read_bytes())
    (record,) = read_data(Path("memory://bucket"))
    assert len(decode_clip(record, 48, indexes=IndexStore(tmp_path)).frames) == 6
    with pytest.raises(InputError, match=r"memory://bucket/none\.csv: no such object"):
        read_data(Path("memory://bucket/none.csv"))
