"""`edgevid pretrain` on shards and on what is far away, of several places at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command_runs import Ran, run_command
from remote import Remote, serving
from safetensors.torch import load_file
from test_pretrain import RECIPE
from test_shards import write_tar
from tiny_run import interrupt_at, moving_square, write_clips
from videos import write_video

from edgevid.errors import InputError
from edgevid_train import commands
from edgevid_train.annotations import ReadOptions, read_data
from edgevid_train.masked import MaskedClips
from edgevid_train.samples.unlabelled import find_videos
from edgevid_train.storage import faults as faults_module
from edgevid_train.storage import named, signatures
from edgevid_train.storage.blocks import Blocks
from edgevid_train.storage.part import facts_of


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """A server of six clips in shards, of which two have no label, and of three in a table."""
    monkeypatch.setattr(faults_module, "WAITS_S", (0.0, 0.0))
    served = tmp_path / "served"
    for k in range(2):
        members: dict[str, bytes | str] = {}
        for i in range(3):
            members[f"{k}{i}.mp4"] = write_video(
                tmp_path / "v.mp4", moving_square("left", 3 * k + i), fps=8
            ).read_bytes()
            if i:
                members[f"{k}{i}.json"] = f'{{"label": "left", "group": "scene{i}"}}'
        write_tar(served / f"s-{k}.tar", members)
    write_clips(served / "table", ["left", "right", "other"])
    with serving(served) as found:
        yield found


def command(*args: object) -> Ran:
    signatures._queries.clear()
    facts_of.cache_clear()
    return run_command(commands.register, *args)


def test_videos_of_shards_and_tables_need_no_labels(tmp_path: Path, remote: Remote) -> None:
    served = remote.folder
    found = find_videos([served / "s-{0..1}.tar", served / "table", served / "s-0.tar"])
    assert [(video.name, video.group) for video in found[:3]] == [
        ("s-0.tar/00.mp4", "s-0.tar/00.mp4"),
        ("s-0.tar/01.mp4", "scene1"),
        ("s-0.tar/02.mp4", "scene2"),
    ]
    assert len(found) == 6 + 3
    assert {video.labels for video in found} == {("",)}
    far = find_videos([named(f"{remote.address}/s-{{0..1}}.tar"), named(f"{remote.address}/table/clips.csv")])
    assert [(video.name, video.group) for video in far] == [(video.name, video.group) for video in found]
    write_tar(tmp_path / "mute.tar", {"a.txt": "left"})
    with pytest.raises(InputError, match=r"mute\.tar: no videos in the shards"):
        find_videos([tmp_path / "mute.tar"])


def test_shards_far_away_interrupted_and_resumed_train_what_shards_at_hand_do(
    tmp_path: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two places, signed; a connection is cut, Ctrl-C is pressed, and in the end the server is gone for a while."""
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("[data]", "[data]\nshard_buffer = 1"))
    recipe = ("--recipe", tmp_path / "tiny.toml", "--device", "cpu")
    served = remote.folder
    near = command(
        *("pretrain", *recipe, "--data", served / "s-{0..1}.tar", "--data", served / "table"),
        *("--out", tmp_path / "near"),
    )
    assert near.status == 0, near.err
    assert "9 videos: " in near.out

    monkeypatch.setattr(Blocks, "_load", lambda *_: None)
    remote.signature, remote.cut = "sig=SECRET", 1
    data = [f"{remote.address}/{name}?sig=SECRET" for name in ("s-{0..1}.tar", "table/clips.csv")]
    with monkeypatch.context() as patched:
        interrupt_at(patched, 2, MaskedClips)
        stopped = command(
            *("pretrain", *recipe, "--data", data[0], "--data", data[1], "--out", tmp_path / "far"),
            *("--set", "data.shard_buffer=1"),
        )
    assert stopped.status == 130
    assert f"go on with: edgevid pretrain --resume --out {tmp_path / 'far'}" in stopped.err
    assert "SECRET" not in (tmp_path / "far" / "run.json").read_text()
    unsigned = command("pretrain", "--resume", "--out", tmp_path / "far")
    assert unsigned.status == 2
    assert "was given with a signature, which is not kept; give the address again" in unsigned.err
    resumed = command("pretrain", "--resume", "--out", tmp_path / "far", "--data", data[0], "--data", data[1])
    assert resumed.status == 0, resumed.err
    one, other = (load_file(tmp_path / run / "pretrained/last/model.safetensors") for run in ("near", "far"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (tmp_path / "near/pretrain.json").read_text() == (tmp_path / "far/pretrain.json").read_text()


def test_a_server_that_is_gone_is_no_ledger_of_videos(
    tmp_path: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    fetches = iter(range(1, 1000))
    original = Blocks._fetch

    def fetch(self, address, facts, number):
        if next(fetches) == 3:
            remote.busy = 10**6
        return original(self, address, facts, number)

    monkeypatch.setattr(Blocks, "_fetch", fetch)
    ran = command(
        *("pretrain", "--recipe", tmp_path / "tiny.toml", "--data", f"{remote.address}/table", "--device", "cpu"),
        *("--out", tmp_path / "run"),
    )
    assert ran.status == 2
    assert ran.err.endswith(f"; it is saved, go on with: edgevid pretrain --resume --out {tmp_path / 'run'}\n")
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "run" / "ledger.csv").exists()


def test_a_list_of_shards_here_and_there_and_an_empty_one(tmp_path: Path, remote: Remote) -> None:
    (tmp_path / "list.txt").write_text(f"served/s-0.tar\n{remote.address}/s-1.tar\n")
    records = read_data(tmp_path / "list.txt", ReadOptions(format="shards"), lambda _: None)
    assert len({record.name for record in records}) == 4
    (tmp_path / "list.txt").write_text("\n\n")
    with pytest.raises(InputError, match=r"list\.txt: names no shards"):
        read_data(tmp_path / "list.txt", ReadOptions(format="shards"))
