"""Masked video: what is hidden, what is to be said of it, and `edgevid pretrain` as a person runs it."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from command_runs import Ran, run_command
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_run import interrupt_at, moving_square, write_clips
from transformers import VideoMAEModel
from videos import truncate, write_video

from edgevid.errors import CheckFailedError, InputError
from edgevid.manifest import InputSpec
from edgevid_train import commands
from edgevid_train.annotations import ClipRecord
from edgevid_train.checkpoint import load_trainer, read_info
from edgevid_train.decode import ClipCache, decode_clip
from edgevid_train.evaluate.reconstruction import interpolated, reconstruction_figures
from edgevid_train.ledger import Ledger
from edgevid_train.masked import (
    ClipShape,
    MaskedBatch,
    MaskedClips,
    MaskedTask,
    PretrainConfig,
    hidden_patches,
    tube_mask,
)
from edgevid_train.models.teachers.build import TeacherConfig, build_teacher
from edgevid_train.models.teachers.masked_videomae import DecoderSize, MaskedVideoMAE, from_cubes, to_cubes
from edgevid_train.models.teachers.videomae import VideoMAESize
from edgevid_train.samples.augment import AugmentConfig
from edgevid_train.samples.batch import as_input
from edgevid_train.samples.sampler import BatchPlan
from edgevid_train.samples.unlabelled import find_videos, hold_out, read_pieces

SPEC, FRAMES = InputSpec(height=24, width=32), 4
SIZE = VideoMAESize(width=24, layers=1, heads=2, patch=8, tubelet=2)
PATCHES = 12
RECIPE = """
name = "tiny"
[data]
short_side = 48
holdout = 3
[teacher]
kind = "videomae"
weights = "none"
frames = 4
input = { height = 24, width = 32 }
videomae = { width = 24, layers = 1, heads = 2, patch = 8, tubelet = 2 }
[pretrain]
mask = 0.75
piece_s = 0.5
decoder = { width = 12, layers = 1, heads = 2 }
[pretrain_optim]
epochs = 2
batch = 5
"""


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def network() -> MaskedVideoMAE:
    return MaskedVideoMAE(SIZE, DecoderSize(width=12, layers=1, heads=2), SPEC, FRAMES)


def batch(count: int, seed: int = 0) -> MaskedBatch:
    """Slopes of any direction and colour: what is left of one says how the hidden part goes on."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SPEC.height * 1j, -1 : 1 : SPEC.width * 1j]
    clips = []
    for _ in range(count):
        angle, colour = rng.uniform(0, 2 * np.pi), rng.uniform(-50, 50, 3)
        slope = 128 + 60 * (np.cos(angle) * x + np.sin(angle) * y)[..., None] + colour
        clips.append((np.repeat(slope.clip(0, 255).astype(np.uint8)[None], FRAMES, 0), tube_mask(rng, PATCHES, 9)))
    return MaskedBatch.stack(clips)


# --- the mask


@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 9))
def test_a_tube_hides_its_share_of_patches_or_is_refused(patches: int, share: float, seed: int) -> None:
    expected = round(share * patches)
    if expected in (0, patches):
        with pytest.raises(InputError, match="one at least must be hidden, one seen"):
            hidden_patches(share, patches)
        return
    mask = tube_mask(np.random.default_rng(seed), patches, hidden_patches(share, patches))
    assert mask.shape == (patches,)
    assert mask.sum() == expected


def test_the_same_places_are_hidden_in_every_frame_and_the_network_is_told_nothing_of_them() -> None:
    net, clips = network().eval(), batch(2)
    frames = as_input(clips.frames)
    seen: list[torch.Tensor] = []
    net.network.videomae.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.append(kwargs["bool_masked_pos"]), with_kwargs=True
    )
    changed = frames.clone()
    for i, mask in enumerate(clips.hidden):
        for place in torch.nonzero(mask).flatten().tolist():
            row, column = 8 * (place // 4), 8 * (place % 4)
            changed[i, :, :, row : row + 8, column : column + 8] = 255 * torch.rand(FRAMES, 3, 8, 8)
    with torch.inference_mode():
        before, after = net(frames, clips.hidden), net(changed, clips.hidden)
        other = net(255 - frames, clips.hidden)
    tokens = seen[0].reshape(2, FRAMES // SIZE.tubelet, PATCHES)
    assert torch.equal(tokens[:, 0], clips.hidden)
    assert torch.equal(tokens[:, 1], clips.hidden)
    assert torch.equal(before.cubes, after.cubes)  # what is hidden cannot be seen
    assert not torch.equal(before.loss, after.loss)  # but it is what is asked for
    assert not torch.equal(before.cubes, other.cubes)  # what is left can be seen


def test_the_targets_are_each_cube_s_pixels_normalised_by_the_cube() -> None:
    net, clips = network().eval(), batch(3)
    clips = MaskedBatch(torch.randint(0, 256, clips.frames.shape, dtype=torch.uint8), clips.hidden)
    with torch.inference_mode():
        out = net(as_input(clips.frames), clips.hidden)
    squares = []
    pixels = clips.frames.double().numpy()
    for i, mask in enumerate(clips.hidden.numpy()):
        said = iter(out.cubes[i].double().numpy())
        for time in range(FRAMES // 2):
            for place in np.flatnonzero(mask):  # by time, row and column: the order in which the network answers
                row, column = 8 * (place // 4), 8 * (place % 4)
                cube = pixels[i, 2 * time : 2 * time + 2, row : row + 8, column : column + 8].reshape(-1, 3)
                target = (cube - cube.mean(0)) / cube.std(0, ddof=1)
                squares.append((next(said).reshape(-1, 3) - target) ** 2)
    assert float(out.loss) == pytest.approx(float(np.mean(squares)), rel=1e-3)


def test_cubes_come_back_as_frames() -> None:
    frames = torch.rand(2, FRAMES, 3, 24, 32)
    cubes = to_cubes(frames, SIZE)
    assert cubes.shape == (2, 2 * PATCHES, 2 * 8 * 8, 3)
    assert torch.equal(cubes[0, 5, :, 1], frames[0, :2, 1, 8:16, 8:16].flatten())
    assert torch.equal(from_cubes(cubes, SIZE, 24, 32), frames)


def test_it_learns_to_say_what_is_hidden_of_clips_it_never_saw() -> None:
    net = network()
    task, unseen = MaskedTask(net), batch(32, seed=10**6)
    before = reconstruction_figures(net.eval(), [unseen])
    optimizer = torch.optim.AdamW(net.train().parameters(), lr=3e-3)
    for step in range(100):
        loss, terms = task(batch(8, seed=step))
        assert torch.equal(terms["pixels"], loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = reconstruction_figures(net.eval(), [unseen])
    assert before["explained"] < 0.05
    assert after["explained"] > 0.8
    assert after["mean"] == before["mean"] == pytest.approx(127 / 128, abs=0.01)  # of unit deviation, n - 1 counted
    assert after["loss"] == pytest.approx((1 - after["explained"]) * after["mean"])


def test_interpolation_takes_what_is_seen_alone() -> None:
    frames, hidden = torch.rand(2, FRAMES, 3, 24, 32), batch(2, seed=0).hidden
    guess = interpolated(frames, hidden, SIZE)
    unseen = hidden.reshape(2, 1, 1, 3, 4).repeat_interleave(8, -2).repeat_interleave(8, -1)
    assert torch.allclose(interpolated(frames.masked_fill(unseen, 7.0), hidden, SIZE), guess)
    assert frames.min() <= guess.min() < guess.max() <= frames.max()
    assert torch.allclose(interpolated(torch.full_like(frames, 0.25), hidden, SIZE), torch.tensor(0.25))


def test_interpolation_explains_slopes_and_no_noise() -> None:
    net, clips = network().eval(), batch(16)
    assert reconstruction_figures(net, [clips])["interpolated"] > 0.4
    clips.frames.copy_(torch.randint(0, 256, clips.frames.shape))
    assert reconstruction_figures(net, [clips])["interpolated"] < 0.01


# --- videos without labels


def test_every_kind_of_folder_is_a_folder_of_videos(tmp_path: Path) -> None:
    labelled = write_clips(tmp_path / "labelled", ["left", "right", "other"], per_group=2)
    plain = tmp_path / "plain"
    (plain / "deep").mkdir(parents=True)
    write_video(plain / "deep" / "a.avi", moving_square("left", 1))
    (plain / "b.mp4").symlink_to(labelled / "00_left.mp4")
    (plain / "notes.txt").write_text("no video")
    found = find_videos([labelled, plain])
    assert [(video.name, video.group) for video in found] == [
        ("00_left.mp4", "scene0"),
        ("01_right.mp4", "scene0"),
        ("02_other.mp4", "scene1"),
        ("deep/a.avi", "deep/a.avi"),
    ]  # b.mp4 is 00_left.mp4 again


def test_a_video_is_decoded_once_and_cut_into_pieces(tmp_path: Path) -> None:
    frames = [np.full((48, 64, 3), 10 * i, np.uint8) for i in range(23)]
    write_video(tmp_path / "long.mp4", frames, fps=10)
    cache, ledger = ClipCache(48, 1 << 26), Ledger()
    pieces = read_pieces(find_videos([tmp_path]), cache, ledger, 1.0)
    assert [(piece.start_s, piece.end_s) for piece in pieces] == [(0, 1), (1, 2), (2, None)]
    assert not ledger
    assert cache.decoded == 3
    assert [len(cache.get(piece).frames) for piece in pieces] == [10, 10, 3]
    assert cache.decoded == 3  # nothing was decoded again
    for piece in pieces:  # and what is decoded again, when memory is short, is the same
        again, kept = decode_clip(piece, 48), cache.get(piece)
        assert np.array_equal(again.frames, kept.frames)
        assert np.array_equal(again.times_s, kept.times_s)
        assert again.first == kept.first


def test_what_cannot_be_read_is_named_and_what_comes_before_a_fault_is_used(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), dtype=np.uint8)
    write_video(tmp_path / "cut.avi", list(noise), fps=10)
    truncate(tmp_path / "cut.avi", 0.6)
    write_video(tmp_path / "still.mp4", list(noise[:1]))
    (tmp_path / "text.mp4").write_text("no video")
    cache, ledger = ClipCache(48, 1 << 26), Ledger()
    pieces = read_pieces(find_videos([tmp_path]), cache, ledger, 1.0)
    reasons = {record.name: reason for record, reason in ledger.reasons.items()}
    assert reasons["still.mp4"] == "fewer than two frames: nothing moves"
    assert "text.mp4" in reasons
    assert {piece.name for piece in pieces} <= {"cut.avi"}
    if "cut.avi" in reasons and pieces:
        assert f"the first {len(pieces)} s are used" in reasons["cut.avi"]


def piece(group: str, start_s: float) -> ClipRecord:
    return ClipRecord(Path(f"{group}.mp4"), f"{group}.mp4", ("",), group, start_s, start_s + 1)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(2, 6), st.integers(0, 3))
def test_groups_are_held_out_whole(groups: list[int], k: int, seed: int) -> None:
    pieces = [piece(str(group), float(i)) for i, group in enumerate(groups)]
    training, held_out = hold_out(pieces, k, seed)
    assert sorted(training + held_out, key=lambda p: p.start_s) == pieces
    assert training
    assert bool(held_out) == (len(pieces) > 1)
    if len(set(groups)) > 1:
        assert not {p.group for p in training} & {p.group for p in held_out}
    elif held_out:
        assert max(p.start_s for p in training) < min(p.start_s for p in held_out)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("videos"), ["left", "right", "other"] * 4)


def masked_clips(folder: Path, seed: int = 0) -> MaskedClips:
    cache = ClipCache(48, 1 << 26)
    pieces = read_pieces(find_videos([folder]), cache, Ledger(), 10.0)
    shape = ClipShape(PretrainConfig(mask=0.75), AugmentConfig(), SPEC, FRAMES, PATCHES)
    return MaskedClips(pieces, cache, seed, shape)


def test_a_clip_is_a_function_of_seed_turn_and_index(drawn: Path) -> None:
    clips = masked_clips(drawn)
    plan = BatchPlan((0, 3, 5), (0, 0, 1), 1)
    one, same = clips.load(plan), masked_clips(drawn).load(plan)
    assert one.frames.shape == (3, FRAMES, 24, 32, 3)
    assert one.hidden.sum(1).tolist() == [9, 9, 9]
    assert torch.equal(one.frames, same.frames)
    assert torch.equal(one.hidden, same.hidden)
    later, other = clips.load(BatchPlan((0, 3, 5), (1, 1, 2), 1)), masked_clips(drawn, seed=1).load(plan)
    assert not torch.equal(one.hidden, later.hidden)
    assert not torch.equal(one.frames, other.frames)
    assert len(torch.unique(one.hidden, dim=0)) == 3  # a mask for each
    assert torch.equal(clips.held_out([1]).frames, clips.held_out([1]).frames)


def test_a_batch_is_cut_evenly_and_loses_nothing() -> None:
    clips = batch(7)
    parts = clips.split(3)
    assert [len(part) for part in parts] == [2, 3, 2]
    assert torch.equal(torch.cat([part.hidden for part in parts]), clips.hidden)


# --- the command


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path / "tiny.toml"


def pretrain(*args: object) -> Ran:
    return run_command(commands.register, "pretrain", "--device", "cpu", *args)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    folder = tmp_path_factory.mktemp("pretrain")
    (folder / "tiny.toml").write_text(RECIPE)
    ran = pretrain("--recipe", folder / "tiny.toml", "--data", drawn, "--out", folder / "run", "--json", folder / "r")
    assert ran.status == 0, ran.err
    (folder / "said.txt").write_text(ran.out)
    return folder


def test_a_run_leaves_what_it_promises(finished: Path) -> None:
    run = finished / "run"
    figures = json.loads((run / "pretrain.json").read_text())
    assert figures.keys() == {"n", "loss", "mean", "explained", "interpolated"}
    assert json.loads((finished / "r").read_text()) == figures
    info = read_info(run / "pretrained" / "last", "pretrained")
    assert info.finished
    assert info.labels == ()
    assert info.split.val_clips == figures["n"] > 0
    assert not set(info.split.train_groups) & set(info.split.val_groups)
    assert info.split.trained_on
    assert (run / "pretrained" / "best" / "config.json").is_file()
    assert (run / "ledger.csv").read_text() == "clip,label,reason\n"
    sheet = cv2.imread(str(run / "reconstruction.png"))
    assert sheet is not None
    assert len(np.unique(sheet)) > 50
    said = (finished / "said.txt").read_text()
    assert "pieces to train on" in said
    assert "pretrained 2/2" in said
    assert "explained" in said
    assert f"edgevid train-teacher --init {run}" in said


def test_transformers_loads_the_checkpoint_and_a_teacher_takes_its_body(finished: Path) -> None:
    folder = finished / "run" / "pretrained" / "last"
    saved = load_file(folder / "model.safetensors")
    theirs = VideoMAEModel.from_pretrained(folder)
    assert all(torch.equal(value, saved[f"videomae.{name}"]) for name, value in theirs.state_dict().items())
    config = TeacherConfig(kind="videomae", weights=str(folder), input=SPEC, frames=FRAMES, videomae=SIZE)
    teacher = build_teacher(config, 3)
    state = teacher.network.state_dict()
    body = [name for name in saved if name.startswith("videomae.")]
    assert len(body) > 10
    assert all(torch.equal(state[name], saved[name]) for name in body)
    assert teacher(255 * torch.rand(1, FRAMES, 3, 24, 32)).logits.shape == (1, 3)


@pytest.mark.parametrize("load", [2, 3])
def test_ctrl_c_saves_and_resume_ends_as_if_nothing_had_been(
    finished: Path, recipe: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: int
) -> None:
    with monkeypatch.context() as patched:
        interrupt_at(patched, load, MaskedClips)
        ran = pretrain("--recipe", recipe, "--data", drawn, "--out", tmp_path / "run")
    assert ran.status == 130
    assert f"go on with: edgevid pretrain --resume --out {tmp_path / 'run'}" in ran.err
    resumed = pretrain("--resume", "--out", tmp_path / "run")
    assert resumed.status == 0, resumed.err
    for name in ("last", "best"):
        whole = load_file(finished / "run" / "pretrained" / name / "model.safetensors")
        parts = load_file(tmp_path / "run" / "pretrained" / name / "model.safetensors")
        assert all(torch.equal(whole[key], parts[key]) for key in whole), name
    whole, parts = (load_trainer(folder / "run" / "pretrained" / "last") for folder in (finished, tmp_path))
    assert torch.equal(whole["random"]["torch"], parts["random"]["torch"])
    figures = [(folder / "run" / "pretrain.json").read_text() for folder in (finished, tmp_path)]
    assert figures[0] == figures[1]


def test_a_finished_run_is_not_trained_again(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    (tmp_path / "run" / "pretrain.json").unlink()
    ran = pretrain("--resume", "--out", tmp_path / "run")
    assert ran.status == 0, ran.err
    assert "pretrained 1/2" not in ran.out
    assert (tmp_path / "run" / "pretrain.json").read_text() == (finished / "run" / "pretrain.json").read_text()


def test_one_piece_alone_is_trained_on(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_video(tmp_path / "data" / "a.mp4", moving_square("left", 0)[:4], fps=10)
    ran = pretrain("--recipe", recipe, "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert ran.status == 0, ran.err
    assert "nothing held out" in ran.out
    patient = ("--set", "pretrain_optim.patience=2")
    ran = pretrain("--recipe", recipe, "--data", tmp_path / "data", "--out", tmp_path / "patient", *patient)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "pretrain_optim.patience goes by clips that are held out" in ran.err


def test_a_loss_that_is_not_a_number_ends_the_run(recipe: Path, drawn: Path, tmp_path: Path, monkeypatch) -> None:
    original = MaskedVideoMAE.forward

    def poisoned(self, frames, hidden):
        return original(self, frames * torch.nan, hidden)

    monkeypatch.setattr(MaskedVideoMAE, "forward", poisoned)
    ran = pretrain("--recipe", recipe, "--data", drawn, "--out", tmp_path / "run")
    assert ran.status == CheckFailedError.exit_status == 1
    assert "the loss is nan at step 0" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--data", "nowhere"], "no such data folder"),
        (["--data", "empty"], "empty: no videos"),
        (["--data", "file.txt"], "file.txt: not a folder"),
        (["--data", "text"], "1 of 1 clips cannot be used"),
        (["--data", "text", "--set", "data.max_skipped_share=1"], "none of 1 videos can be used"),
        ([], "--data is needed: recipe tiny names no folder"),
        (["--data", "text", "--set", "pretrain.mask=0"], "pretrain.mask: Input should be greater than 0"),
        (["--data", "text", "--set", "pretrain.mask=1"], "pretrain.mask: Input should be less than 1"),
        (["--data", "text", "--set", "pretrain.mask=0.99"], "of 12 patches a frame hides 12"),
        (["--data", "text", "--set", "pretrain.span_s=[3, 1]"], "the shorter one first"),
        (["--data", "text", "--set", "teacher.frames=5"], "5 frames do not divide into tubelets of 2"),
        (["--data", "text", "--set", "teacher.input.width=30"], "30x24 does not divide into patches of 8 pixels"),
        (["--data", "text", "--set", "teacher.kind=tsm"], "what is pre-trained is a VideoMAE"),
        (["--data", "text", "--set", "teacher.weights=some/where"], "begins with teacher.weights = 'none'"),
        (["--data", "text", "--set", "pretrain.mark=1"], "pretrain.mark: unknown key"),
    ],
)
def test_bad_input_is_one_line(recipe: Path, tmp_path: Path, monkeypatch, args: list[str], says: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.mp4").write_text("no video")
    ran = pretrain("--recipe", recipe, "--out", tmp_path / "run", *args)
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "run" / "pretrained").exists()


def test_an_output_that_exists_needs_force_and_a_run_is_resumed_by_its_own_command(
    finished: Path, recipe: Path, drawn: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    args = ("--recipe", recipe, "--data", drawn, "--out", tmp_path / "run")
    ran = pretrain(*args)
    assert ran.status == 2
    assert "exists; give --force" in ran.err
    ran = run_command(commands.register, "train-teacher", "--resume", "--out", tmp_path / "run")
    assert ran.status == 2
    assert "holds a run of edgevid pretrain, not of train-teacher" in ran.err
    ran = pretrain(*args, "--force", "--set", "pretrain_optim.epochs=1")
    assert ran.status == 0, ran.err
