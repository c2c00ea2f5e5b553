"""Tar shards: what is read of them, what is left out and said, and that training on them is training on their files."""

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from command_runs import Ran, run_command
from hypothesis import given
from hypothesis import strategies as st
from remote import Remote, serving
from safetensors.torch import load_file
from tiny_run import RECIPE, tiny_recipe
from videos import numbered_frames, write_video

from edgevid.errors import InputError
from edgevid_train import commands
from edgevid_train.annotations import ClipRecord, ReadOptions, read_data
from edgevid_train.checkpoint import load_student
from edgevid_train.decode import ClipCache, DecodeError, IndexStore, decode_clip
from edgevid_train.library.shards import parse_size, write_shards
from edgevid_train.marks import trained_among
from edgevid_train.samples.dataset import TrainingClips
from edgevid_train.samples.sampler import ClipSampler
from edgevid_train.storage import faults as faults_module


@pytest.fixture
def video(tmp_path: Path) -> bytes:
    return write_video(tmp_path / "v.mp4", numbered_frames(6), fps=10).read_bytes()


def write_tar(path: Path, members: Mapping[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_a_folder_that_was_packed_as_a_whole(tmp_path: Path, video: bytes) -> None:
    """`tar cf x.tar .` puts `./` before every name."""
    (record,) = read_data(write_tar(tmp_path / "x.tar", {"./a/000001.mp4": video, "./a/000001.cls": "7"}))
    assert record.label == "7"
    assert len(decode_clip(record, 64).frames) == 6


def test_a_file_whose_ending_no_reader_knows_is_not_put_into_shards(tmp_path: Path, video: bytes) -> None:
    for name in ("a.mp4", "b.film"):
        (tmp_path / name).write_bytes(video)
    (tmp_path / "clips.csv").write_text("file,label\na.mp4,up\nb.film,down\n")
    found = write_shards(read_data(tmp_path), tmp_path / "out", 1 << 20, 0)
    assert (found.clips, list(found.ledger.reasons.values())) == (
        1,
        [".film is not a video's ending; edgevid data prepare makes .mp4"],
    )


@pytest.mark.parametrize("name", ["../a.mp4", "/etc/a.mp4", "a/../../b.mp4"])
def test_a_member_that_leads_out_of_its_shard_is_refused(tmp_path: Path, video: bytes, name: str) -> None:
    shard = write_tar(tmp_path / "s.tar", {name: video, f"{Path(name).with_suffix('.txt')}": "up"})
    with pytest.raises(InputError, match="is not inside the shard"):
        read_data(shard)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_video_and_is_not_waited_for(tmp_path: Path, video: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(video)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "clips.csv").write_text("file,label\na.mp4,up\npipe.mp4,down\n")
    found = write_shards(read_data(tmp_path), tmp_path / "out", 1 << 20, 0)
    assert (found.clips, list(found.ledger.reasons.values())) == (1, ["neither a file nor a folder"])


def test_labels_of_every_kind(tmp_path: Path, video: bytes) -> None:
    json_ = {"label": "up", "group": "anna", "split": "val", "scene": "hall"}
    several = {"clips": [{"labels": ["up", "down"], "end_s": 0.3}, {"label": "left", "start_s": 0.3}]}
    members = {
        "a/000001.mp4": video,
        "a/000001.json": json.dumps(json_),
        "000002.mp4": video,
        "000002.cls": "7\n",
        "000003.cam.MP4": video,
        "000003.txt": "swipe left",
        "000004.mp4": video,
        "000004.json": json.dumps(several),
        "000005.mp4": video,
        "000006.txt": "no video",
        "README": "hello",
    }
    shard = write_tar(tmp_path / "s.tar", members)
    said: list[str] = []
    records = read_data(shard, say=said.append)
    assert records == [
        ClipRecord(shard / "a/000001.mp4", "s.tar/a/000001.mp4", ("up",), "anna", split="val"),
        ClipRecord(shard / "000002.mp4", "s.tar/000002.mp4", ("7",), "s.tar/000002.mp4"),
        ClipRecord(shard / "000003.cam.MP4", "s.tar/000003.cam.MP4", ("swipe left",), "s.tar/000003.cam.MP4"),
        ClipRecord(shard / "000004.mp4", "s.tar/000004.mp4", ("up", "down"), "s.tar/000004.mp4", 0.0, 0.3),
        ClipRecord(shard / "000004.mp4", "s.tar/000004.mp4", ("left",), "s.tar/000004.mp4", 0.3),
    ]
    assert "1 video in shards without a label: left out" in said
    assert "1 sample in shards without a video: left out" in said
    assert len(decode_clip(records[3], 48, indexes=IndexStore(tmp_path)).frames) == 3
    more = read_data(shard, ReadOptions(group="scene", classes=("up", "7")), said.append)
    assert [record.group for record in more] == ["hall", "s.tar/000002.mp4", "s.tar/000004.mp4"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("1.json", '{"label": "up"', r"s\.tar: 1\.json: line 1, column 15: not JSON"),
        ("1.json", "[]", r"s\.tar: 1\.json: \[\] is not an object"),
        ("1.json", '{"label": 7}', r"s\.tar: 1\.json: field 'label': 7 is not text"),
        ("1.json", '{"labels": []}', r"s\.tar: 1\.json: field 'labels': \[\] is not a list of labels"),
        ("1.json", '{"label": "a", "split": "dev"}', r"field 'split': 'dev' is not one of"),
        ("1.json", '{"label": "a", "start_s": 2, "end_s": 1}', r"field 'end_s': 1 is not after start_s 2"),
        ("1.json", '{"clips": [{"label": "a"}, {}]}', r"s\.tar: 1\.json\.clips\[1\]: field 'label' is missing"),
        ("1.cls", "", r"s\.tar: 1\.cls: field 'label' is empty"),
        ("1.txt", b"\xff\xfe", r"s\.tar: 1\.txt: not UTF-8 text"),
    ],
)
def test_a_bad_label_names_shard_member_and_field(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    write_tar(tmp_path / "s.tar", {"1.mp4": b"x", name: text})
    with pytest.raises(InputError, match=message):
        read_data(tmp_path / "s.tar")


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_shard_or_one_clear_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    shard = tmp_path_factory.mktemp("fuzz") / "s.tar"
    shard.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_data(shard)
    assert "\n" not in str(caught.value)


def samples(video: bytes, count: int) -> dict[str, bytes | str]:
    return {
        name: data for k in range(count) for name, data in ((f"{k}.mp4", video), (f"{k}.cls", "up" if k % 2 else "a"))
    }


def test_a_shard_that_is_cut_short(tmp_path: Path, video: bytes) -> None:
    """What comes before is used, what is cut is unreadable, and that there may have been more is said."""
    whole = write_tar(tmp_path / "s.tar", {"0.cls": "a", "0.mp4": video, "1.cls": "a", "1.mp4": video}).read_bytes()
    (tmp_path / "s.tar").write_bytes(whole[: 512 * 4 + 2 * len(video)])
    said: list[str] = []
    records = read_data(tmp_path / "s.tar", say=said.append)
    assert [record.name for record in records] == ["s.tar/0.mp4", "s.tar/1.mp4"]
    assert len(said) == 1
    assert "s.tar: damaged after 4 members" in said[0]
    assert len(decode_clip(records[0], 48).frames) == 6
    with pytest.raises(DecodeError):
        decode_clip(records[1], 48)


def test_a_shard_that_is_damaged_within(tmp_path: Path, video: bytes) -> None:
    shard = write_tar(tmp_path / "s.tar", samples(video, 3))
    data = bytearray(shard.read_bytes())
    second = data.index(b"1.mp4")
    data[second : second + 512] = b"?" * 512
    shard.write_bytes(data)
    said: list[str] = []
    assert len(read_data(shard, say=said.append)) == 1
    assert said == [f"{shard}: damaged or cut short at byte {second} of {len(data)}"]


def test_shards_by_folder_pattern_and_list(tmp_path: Path, video: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in (8, 9, 10):
        write_tar(tmp_path / "d" / f"t-{k:03d}.tar", {f"{k}.mp4": video, f"{k}.cls": "a"})
    (tmp_path / "list.txt").write_text("d/t-{008..009}.tar\n\nd/t-010.tar\n")
    monkeypatch.chdir(tmp_path)
    expected = [f"t-{k:03d}.tar/{k}.mp4" for k in (8, 9, 10)]
    for typed in ("d", "d/t-{008..010}.tar", "d/t-{008,009,010}.tar"):
        assert [record.name for record in read_data(Path(typed))] == expected
    assert [r.name for r in read_data(Path("list.txt"), ReadOptions(format="shards"))] == expected


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("none.tar", r"none\.tar: no such file"),
        ("d/s-{0..3}.tar", r"d/s-1\.tar: no such file"),
        ("d/s-{0..999999999}.tar", "more than 100000 shards"),
        ("empty.tar", r"empty\.tar: not a tar file, or a compressed one"),
        ("d/none-{a,b}.tar", r"none-a\.tar: no such file"),
        ("d/s-{3..0}.tar", r"\{3\.\.0\} ends before it begins"),
        ("d/s-{}.tar", r"\{\} is neither a range"),
        ("d/s-{0..}.tar", r"\{0\.\.\} is neither a range"),
        ("d/s-{a..c}.tar", r"\{a\.\.c\} is neither a range"),
        ("mute.tar", "mute.tar: no labelled videos; each sample is a video beside"),
    ],
)
def test_shards_that_are_not_there(
    tmp_path: Path, video: bytes, monkeypatch: pytest.MonkeyPatch, typed: str, message: str
) -> None:
    write_tar(tmp_path / "d" / "s-0.tar", samples(video, 1))
    (tmp_path / "empty.tar").touch()
    write_tar(tmp_path / "mute.tar", {"0.mp4": video})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        read_data(Path(typed))


def test_an_index_is_made_once_and_of_what_is_there_now(tmp_path: Path, video: bytes) -> None:
    shard = write_tar(tmp_path / "s.tar", samples(video, 2))
    assert len(read_data(shard)) == 2
    write_tar(shard, samples(video, 3))
    assert len(read_data(shard)) == 3


def command(*args: object) -> Ran:
    return run_command(commands.register, *args)


def test_data_shards_writes_what_is_read_back(tmp_path: Path, clips: Path) -> None:
    ran = command("data", "shards", clips, "--out", tmp_path / "out", "--size", "20kB", "--json", tmp_path / "r.json")
    assert ran.status == 0, ran.err
    shards = sorted((tmp_path / "out").glob("*.tar"))
    figures = json.loads((tmp_path / "r.json").read_text())
    assert figures["clips"] == figures["videos"] == 15
    assert [shard.name for shard in shards] == figures["shards"]
    assert 2 < len(shards) < 15
    assert all(shard.stat().st_size <= 20_000 + 40 * 512 for shard in shards)
    files, found = read_data(clips), read_data(tmp_path / "out")
    assert sorted((r.file.name, r.label, r.group) for r in found) == sorted(
        (r.file.name, r.label, r.group) for r in files
    )
    for record in found:
        original = next(r for r in files if r.file.name == record.file.name)
        assert np.array_equal(decode_clip(record, 48).frames, decode_clip(original, 48).frames)
    refused = command("data", "shards", clips, "--out", tmp_path / "out")
    assert refused.status == 2
    assert "give --force" in refused.err
    assert command("data", "shards", clips, "--out", tmp_path / "out", "--force").status == 0
    refused = command("data", "shards", clips, "--out", clips, "--force")
    assert refused.status == 2
    assert "this command did not write it" in refused.err
    assert command("data", "shards", clips, "--out", tmp_path / "o", "--size", "big").status == 2


def test_data_shards_keeps_splits_and_spans_and_names_what_is_missing(tmp_path: Path, video: bytes) -> None:
    (tmp_path / "clips.csv").write_text(
        "file,label,group,start_s,end_s,split\nv.mp4,a,g,0,0.2,train\nv.mp4,b,g,0.2,,train\n"
        "w.mp4,b,h,0,,val\nnone.mp4,a,i,0,,val\n"
    )
    (tmp_path / "w.mp4").write_bytes(video)
    ran = command("data", "shards", tmp_path, "--out", tmp_path / "out")
    assert ran.status == 2
    assert "left out: none.mp4: no such file" in ran.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "ledger.csv",
        "train-000000.tar",
        "val-000000.tar",
    ]
    found = [(r.label, r.group, r.start_s, r.end_s, r.split) for r in read_data(tmp_path / "out")]
    assert found == [("a", "g", 0.0, 0.2, "train"), ("b", "g", 0.2, None, "train"), ("b", "h", 0.0, None, "val")]


def test_figures_of_data_shards_lie_elsewhere(tmp_path: Path, clips: Path) -> None:
    out = tmp_path / "out"
    ran = command("data", "shards", clips, "--out", out, "--json", out / "ledger.csv")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "holds its own files only" in ran.err
    assert not out.exists()


def test_nothing_to_put_into_shards(tmp_path: Path) -> None:
    missing = ClipRecord(tmp_path / "a.mp4", "a.mp4", ("a",), "a")
    with pytest.raises(InputError, match=r"none of the 1 clips can be taken; the first: a\.mp4: no such file"):
        write_shards([missing], tmp_path / "out", 1000)
    assert not (tmp_path / "out").exists()
    assert parse_size("3MB") == 3_000_000


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=120),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(0, 9),
    st.none() | st.integers(1, 150),
)
def test_an_epoch_reads_few_shards_at_a_time(
    shards: list[int], batch: int, buffer: int, extra: int, clips: int | None
) -> None:
    """Every clip once before one comes again, as without shards."""
    sampler = ClipSampler(
        [5] * (len(shards) + extra), batch, 3, 9, 2, clips=clips, extra=extra, shards=shards, shard_buffer=buffer
    )
    seen: dict[int, int] = {}
    for epoch in range(3):
        plans = sampler.epoch(epoch)
        assert len(plans) == sampler.batches
        for plan in plans:
            for clip, turn in zip(plan.clips, plan.turns, strict=True):
                assert seen.get(clip, -1) == turn - 1 or clips is not None
                seen[clip] = turn
        assert sampler.epoch(epoch) == plans


def test_shards_stay_together() -> None:
    """40 shards of 40 clips, 4 at a time: at any moment few of them are in use, and each is done with once."""
    shards = [k // 40 for k in range(1600)]
    sampler = ClipSampler([5] * 1600, 8, 0, 9, 0, shards=shards, shard_buffer=4)
    row = [shards[clip] for plan in sampler.epoch(0) for clip in plan.clips]
    last = {shard: place for place, shard in enumerate(row)}
    first = {shard: place for place, shard in reversed(list(enumerate(row)))}
    open_at = [sum(first[s] <= place <= last[s] for s in range(40)) for place in range(len(row))]
    assert max(open_at) <= 8
    assert row[:160] != sorted(row[:160])
    assert [shards[c] for plan in sampler.epoch(1) for c in plan.clips] != row


def test_a_stream_is_made_of_clips_of_one_shard(tmp_path: Path) -> None:
    """What comes before and after an action is of a shard that is being read anyway."""
    for k in range(3):
        (tmp_path / f"{k}.tar").touch()
    records = [
        ClipRecord(tmp_path / f"{k % 3}.tar" / f"{k}.mp4", f"{k}", ("left", "right")[k % 2 :], "g") for k in range(30)
    ]
    extra = [ClipRecord(tmp_path / f"{k}.mp4", f"e{k}", ("left",), "g") for k in range(3)]
    clips = TrainingClips(
        [*records, *extra], ("left", "right", "other"), ClipCache(48, 1 << 20), {}, tiny_recipe(), 1, len(extra)
    )
    assert clips.shards == tuple(k % 3 for k in range(30))
    for index in range(33):
        near = clips._neighbours(np.random.default_rng(index), (), index)
        assert all(other >= 30 or (index < 30 and other % 3 == index % 3) for other in near)
    whole = TrainingClips(
        records, ("left", "right", "other"), ClipCache(48, 1 << 20), {}, tiny_recipe(data={"shard_buffer": 0}), 1
    )
    assert len({other % 3 for k in range(30) for other in whole._neighbours(np.random.default_rng(k), (), 0)}) == 3


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    monkeypatch.setattr(faults_module, "WAITS_S", (0.0, 0.0))
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as found:
        yield found


def trained(out: Path, data: object, recipe: Path, *more: object) -> Ran:
    return command("train-distill", "--device", "cpu", "--recipe", recipe, "--data", data, "--out", out, *more)


ALONE = ("--all", "--set", "distill.response=0", "--set", "distill.feature=0", "--set", "optim.epochs=1")
"""A student on all clips, without a teacher."""


def test_training_on_shards_far_away_is_training_on_shards_at_hand(tmp_path: Path, clips: Path, remote: Remote) -> None:
    """The same weights, whether a shard is a file or behind HTTP, and although the connection is cut now and then."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.replace("[data]", "[data]\nshard_buffer = 2"))
    assert command("data", "shards", clips, "--out", remote.folder / "d", "--size", "20kB").status == 0
    pattern = f"shards-{{000000..{len(list((remote.folder / 'd').glob('*.tar'))) - 1:06d}}}.tar"
    near = trained(tmp_path / "near", remote.folder / "d" / pattern, recipe, *ALONE)
    assert near.status == 0, near.err
    remote.cut = 2
    far = trained(tmp_path / "far", f"{remote.address}/d/{pattern}", recipe, *ALONE)
    assert far.status == 0, far.err
    one, other = (load_file(tmp_path / run / "student/last/model.safetensors") for run in ("near", "far"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    for run in ("near", "far"):  # a pattern of files is at hand where its folder is
        again = command("train-distill", "--device", "cpu", "--resume", "--out", tmp_path / run)
        assert again.status == 0, again.err


def test_training_on_a_table_far_away(tmp_path: Path, clips: Path, remote: Remote) -> None:
    """What cannot be had is in the ledger; the recordings are known again as those of the folder."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.replace("[data]", "[data]\nmax_skipped_share = 0.1"))
    for file in clips.iterdir():
        (remote.folder / file.name).write_bytes(file.read_bytes())
    with (remote.folder / "clips.csv").open("a") as table:
        table.write("none.mp4,left,scene9\n")
    ran = trained(tmp_path / "run", f"{remote.address}/clips.csv", recipe, *ALONE)
    assert ran.status == 0, ran.err
    assert (tmp_path / "run" / "ledger.csv").read_text().splitlines()[1:] == [
        "none.mp4,left,the server says 404 Not Found"
    ]
    marks = load_student(tmp_path / "run").info.split.trained_on
    assert len(trained_among(read_data(clips), marks)) == 15


def test_a_wrong_address_is_one_line(tmp_path: Path, remote: Remote) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    ran = trained(tmp_path / "run", f"{remote.address}/none/clips.csv", recipe)
    assert (ran.status, ran.err) == (2, f"{remote.address}/none/clips.csv: the server says 404 Not Found\n")
    ran = trained(tmp_path / "run", f"{remote.address}/s-{{0..2}}.tar", recipe)
    assert (ran.status, ran.err) == (2, f"{remote.address}/s-0.tar: the server says 404 Not Found\n")
    ran = command("data", "stats", f"{remote.address}/d", "--format", "ucf101")
    assert ran.status == 2
    assert "format ucf101 is read from folders; at addresses there are clips and shards" in ran.err


def test_what_a_reader_left_out_is_said_in_training(tmp_path: Path, video: bytes) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    write_tar(tmp_path / "s.tar", {"1.mp4": video, "1.cls": "a", "2.mp4": video})
    ran = trained(tmp_path / "run", tmp_path / "s.tar", tmp_path / "tiny.toml")
    assert ran.status == 2
    assert "1 video in shards without a label: left out" in ran.out
    assert ran.err.startswith("at least two labels are needed; all 1 clips are 'a'. Video in which")
