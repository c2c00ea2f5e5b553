"""Teachers: what they see, what they give, and what is said of weights that are none.

The VideoMAE of these tests is a tiny one with random weights, saved by transformers as a checkpoint is.
"""

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from students import LABELS, small_student
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    BertConfig,
    BertModel,
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoMAEForVideoClassification,
)

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid_train.checkpoint import (
    Checkpoint,
    CheckpointInfo,
    SplitInfo,
    gather,
    load_teacher,
    write_ensemble,
)
from edgevid_train.losses.distill import DistillConfig, DistillTask
from edgevid_train.models.teachers.build import TeacherConfig, build_teacher
from edgevid_train.models.teachers.frames import ShiftTeacher
from edgevid_train.models.teachers.published import PublishedTeacher
from edgevid_train.models.teachers.videomae import VideoMAESize
from edgevid_train.recipe import Recipe
from edgevid_train.samples.batch import StepTargets

FRAMES, SIDE = 4, 32
SMALL = {
    "image_size": SIDE,
    "patch_size": 16,
    "num_frames": FRAMES,
    "tubelet_size": 2,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 32,
}


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def save_videomae(folder: Path, kind: type = VideoMAEForVideoClassification, dtype=torch.float32, **changes) -> Path:
    network = kind(VideoMAEConfig(**(SMALL | {"num_labels": 3} | changes)))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "bias" in name:  # biases begin at zero, where a lost one would not show
                parameter.normal_(0, 0.5)
    network.to(dtype).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(1)
    return save_videomae(tmp_path_factory.mktemp("videomae"))


def videomae(weights: Path | str, **changes) -> TeacherConfig:
    options = {"input": InputSpec(height=SIDE, width=SIDE), "frames": FRAMES, "rate_hz": 0} | changes
    return TeacherConfig(kind="videomae", weights=str(weights), **options)


def shift_teacher(frames: int = 6, **changes) -> ShiftTeacher:
    options = {"backbone": "mobilenetv2_050", "weights": "none", "stages": 4, "points": 4, "size": 16} | changes
    config = TeacherConfig(input=InputSpec(height=64, width=64), frames=frames, **options)
    return ShiftTeacher(config, len(LABELS)).eval()


def clips(count: int = 2, frames: int = FRAMES, side: int = SIDE) -> Tensor:
    """Float `(B, T, 3, side, side)` in 0..255: coloured patches."""
    coarse = torch.rand(count, frames, 3, 4, 4)
    return 255 * functional.interpolate(coarse.flatten(0, 1), (side, side)).unflatten(0, (count, frames))


def one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


# --- VideoMAE


@pytest.mark.parametrize("pooling", [True, False])
def test_videomae_answers_as_transformers_own_model_does(tmp_path, pooling):
    folder = save_videomae(tmp_path / "v", use_mean_pooling=pooling)
    reference = VideoMAEForVideoClassification.from_pretrained(folder).eval()
    teacher = PublishedTeacher(videomae(folder), 3).eval()
    frames = clips()
    normal = (frames / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    with torch.inference_mode():
        ours, theirs = teacher(frames), reference(pixel_values=normal).logits
        assert torch.allclose(teacher.network.classifier(ours.features), ours.logits)
    assert torch.allclose(ours.logits, theirs, atol=1e-5)
    assert ours.features.shape == (2, teacher.feature_size) == (2, 16)


def test_for_other_labels_the_body_stays_and_the_classifier_is_new(checkpoint):
    saved = load_file(checkpoint / "model.safetensors")
    teacher = PublishedTeacher(videomae(checkpoint), len(LABELS)).eval()
    loaded = teacher.network.state_dict()
    body = {name: value for name, value in saved.items() if not name.startswith("classifier")}
    assert sum(name.endswith(("q_bias", "query.bias")) for name in body) == 2
    for name, value in body.items():  # transformers 5 calls the biases otherwise than published checkpoints do
        inner = name.replace("q_bias", "query.bias").replace("v_bias", "value.bias")
        assert torch.equal(loaded[name if name in loaded else inner], value), name
    assert teacher(clips()).logits.shape == (2, len(LABELS))


def test_a_pretrained_body_without_classifier_will_do(tmp_path):
    folder = save_videomae(tmp_path / "pretrained", VideoMAEForPreTraining)
    saved = load_file(folder / "model.safetensors")
    teacher = PublishedTeacher(videomae(folder), len(LABELS))
    name = "videomae.encoder.layer.0.output.dense.weight"
    assert torch.equal(teacher.network.state_dict()[name], saved[name])


def test_weights_saved_in_half_precision_are_trained_in_full(tmp_path):
    folder = save_videomae(tmp_path / "half", dtype=torch.float16)
    teacher = PublishedTeacher(videomae(folder), 3)
    assert {parameter.dtype for parameter in teacher.parameters()} == {torch.float32}
    assert teacher(clips()).logits.dtype == torch.float32


def test_a_training_step_lowers_the_loss(checkpoint):
    teacher = PublishedTeacher(videomae(checkpoint), len(LABELS)).train()
    frames, labels = clips(4), torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        loss = functional.cross_entropy(teacher(frames).logits, labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[1] < losses[0]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("kind", ["videomae", "tsm"])
def test_a_student_learns_from_it(checkpoint, kind):
    if kind == "videomae":
        teacher, theirs = build_teacher(videomae(checkpoint), len(LABELS)).eval(), clips()
    else:
        teacher, theirs = shift_teacher(), clips(frames=6, side=64)
    student = small_student(dropout=0.0).train()
    task = DistillTask(DistillConfig(task=0, place=0, temperature=1), student, teacher.feature_size)
    decisive = torch.tensor([[False, True], [False, True]])
    unknown = torch.full((2, 2), torch.nan)
    steps = StepTargets(
        torch.full((2, 2), -1), torch.ones(2, 2), decisive, torch.full((2, 2, 2), torch.nan), unknown, unknown
    )
    frames = clips(2, frames=2, side=64)
    with torch.no_grad():
        answer = teacher(theirs)
    optimizer = torch.optim.AdamW([*student.parameters(), *task.parameters()], lr=3e-3)
    losses = []
    for _ in range(6):
        loss, terms = task(student(frames), steps, answer)
        assert all(float(terms[name].detach()) > 0 for name in ("response", "feature"))
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert all(eye.mix[0].weight.grad.abs().sum() > 0 for eye in student.eyes)
    assert losses[-1] < 0.9 * losses[0]
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_trained_teacher_comes_back_from_its_checkpoint(checkpoint, tmp_path):
    teacher = PublishedTeacher(videomae(checkpoint), len(LABELS)).eval()
    info = CheckpointInfo(
        kind="teacher",
        labels=LABELS,
        weights_from="tests",
        split=SplitInfo(name="none", train_clips=0, val_clips=0, train_groups=(), val_groups=()),
    )
    Checkpoint(teacher, Recipe(name="tiny", teacher=teacher.config), info).write(tmp_path / "saved")
    frames = clips()
    with torch.inference_mode():
        assert torch.equal(load_teacher(tmp_path / "saved").teacher(frames).logits, teacher(frames).logits)


# --- weights that are none


def refused(config: TeacherConfig) -> str:
    with pytest.raises(InputError) as error:
        build_teacher(config, len(LABELS))
    return one_line(error)


def test_another_frame_count_or_size_is_refused(checkpoint):
    assert "takes 4 frames of 32x32, the recipe gives 16 of 32x32" in refused(videomae(checkpoint, frames=16))
    wide = videomae(checkpoint, input=InputSpec(height=SIDE, width=48))
    assert "the recipe gives 4 of 48x32" in refused(wide)


def test_a_checkpoint_that_names_height_and_width_is_understood(tmp_path):
    folder = save_videomae(tmp_path / "pair")
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"image_size": [SIDE, SIDE]}))
    assert PublishedTeacher(videomae(folder), 3)(clips()).logits.shape == (2, 3)


def test_folders_that_hold_no_videomae_are_refused(tmp_path, capfd):
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(videomae(tmp_path / "empty"))

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=20, **small)).save_pretrained(tmp_path / "bert")
    assert "holds a bert, not a videomae" in refused(videomae(tmp_path / "bert"))

    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "config.json").write_text("no json")
    assert "garbage" in refused(videomae(tmp_path / "garbage"))
    assert "LOAD REPORT" not in capfd.readouterr().err


def test_weights_that_lack_a_part_of_the_body_are_refused_not_drawn_at_random(tmp_path):
    folder = save_videomae(tmp_path / "lacking")
    weights = load_file(folder / "model.safetensors")
    name = "videomae.encoder.layer.1.output.dense.weight"
    kept = {key: value for key, value in weights.items() if key != name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    assert f"lacks 1 tensors of a VideoMAE's body, such as {name}" in refused(videomae(folder))

    narrow = {**weights, name: weights[name][:, :8].contiguous()}
    save_file(narrow, folder / "model.safetensors", {"format": "pt"})
    assert name in refused(videomae(folder))


def test_damaged_weights_are_refused(tmp_path):
    folder = save_videomae(tmp_path / "damaged")
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    assert "damaged" in refused(videomae(folder))


def test_pickled_weights_are_refused(tmp_path):
    folder = save_videomae(tmp_path / "pickled")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert "safetensors" in refused(videomae(folder))


@pytest.mark.parametrize("name", ["nobody/nothing", "no such/folder at/all", "../missing"])
def test_a_hub_id_without_a_network_is_one_line_at_once(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # read from the environment when it was imported
    assert f"hub id or folder {name!r} gives no VideoMAE" in refused(videomae(name))


@pytest.mark.parametrize("word", ["auto", "package", "hub"])
def test_words_for_a_backbone_s_weights_mean_nothing_here(word):
    with pytest.raises(ValidationError, match="weights of a videomae teacher are a folder, a hub id or none, not"):
        videomae(word)


# --- VideoMAE of the recipe's own size

OWN = VideoMAESize(width=24, layers=2, heads=2, patch=8, tubelet=2)


def test_a_videomae_may_have_any_size_and_a_wide_input():
    wide = InputSpec(height=24, width=32)
    teacher = build_teacher(videomae("none", videomae=OWN, input=wide), len(LABELS))
    assert isinstance(teacher, PublishedTeacher)
    assert teacher.feature_size == 24
    assert len(teacher.network.videomae.encoder.layer) == 2
    assert teacher.network.videomae.embeddings.num_patches == 3 * 4 * 2
    frames = 255 * torch.rand(2, FRAMES, 3, 24, 32)
    assert teacher(frames).logits.shape == (2, len(LABELS))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "a videomae teacher without weights needs its size"),
        ({"videomae": VideoMAESize(patch=12)}, "an input of 32x32 does not divide into patches of 12 pixels"),
        ({"videomae": OWN, "frames": 5}, "5 frames do not divide into tubelets of 2"),
        ({"videomae": {"width": 20, "heads": 3}}, "width 20 is no multiple of 3 heads"),
    ],
)
def test_sizes_that_make_no_videomae(changes, says):
    with pytest.raises(ValidationError, match=says):
        videomae("none", **changes)


def test_a_checkpoint_of_another_size_than_the_recipe_says_is_refused(checkpoint):
    size = VideoMAESize(width=16, layers=2, heads=2, patch=16, tubelet=2)
    assert build_teacher(videomae(checkpoint, videomae=size), 3).feature_size == 16
    other = size.model_copy(update={"layers": 3})
    assert "has layers 2, the recipe's teacher.videomae 3" in refused(videomae(checkpoint, videomae=other))


# --- an ensemble


def save_teacher(folder: Path, teacher: PublishedTeacher | ShiftTeacher, labels=LABELS) -> Path:
    info = CheckpointInfo(
        kind="teacher",
        labels=labels,
        weights_from="tests",
        split=SplitInfo(name="none", train_clips=0, val_clips=0, train_groups=(), val_groups=()),
    )
    Checkpoint(teacher, Recipe(name="tiny", teacher=teacher.config), info).write(folder)
    return folder


def test_an_ensemble_answers_with_the_mean_of_its_members(checkpoint, tmp_path):
    small = InputSpec(height=SIDE, width=SIDE)
    one = PublishedTeacher(videomae(checkpoint), len(LABELS)).eval()
    other = shift_teacher(frames=FRAMES)
    other.config = other.config.model_copy(update={"input": small})
    folders = [save_teacher(tmp_path / "a", one), save_teacher(tmp_path / "b", other)]
    config = TeacherConfig(kind="ensemble", members=tuple(map(str, folders)), input=small, frames=FRAMES)
    frames = clips()
    with torch.inference_mode():
        answer = gather(config, folders, LABELS)(frames)
        alone = [member(frames) for member in (one, other)]
    mean = sum(member.logits.softmax(-1) for member in alone) / 2
    assert torch.allclose(answer.logits.softmax(-1), mean, atol=1e-6)
    assert torch.allclose(answer.logits.exp().sum(-1), torch.ones(2), atol=1e-5)
    assert not torch.allclose(mean, alone[0].logits.softmax(-1), atol=1e-3)
    assert answer.features.shape == (2, one.feature_size + other.feature_size)
    assert torch.allclose(answer.features[:, :16].mean(-1), torch.zeros(2), atol=1e-5)  # each member layer-normed


def test_an_ensemble_s_checkpoint_needs_no_other_folder(checkpoint, tmp_path):
    teachers = [PublishedTeacher(videomae(checkpoint), len(LABELS)).eval() for _ in range(2)]
    folders = [save_teacher(tmp_path / str(i), teacher) for i, teacher in enumerate(teachers)]
    config = videomae(checkpoint).model_copy(update={"kind": "ensemble", "members": tuple(map(str, folders))})
    info = CheckpointInfo.model_validate_json((folders[0] / "checkpoint.json").read_bytes())
    write_ensemble(tmp_path / "both", folders, Recipe(name="tiny", teacher=config), info)
    frames = clips()
    with torch.inference_mode():
        before = gather(config, folders, LABELS)(frames).logits
        for folder in folders:
            folder.rename(folder.with_name(f"{folder.name}-away"))
        assert torch.equal(load_teacher(tmp_path / "both").teacher(frames).logits, before)


def test_members_that_do_not_go_together_are_refused(checkpoint, tmp_path):
    one = save_teacher(tmp_path / "a", PublishedTeacher(videomae(checkpoint), len(LABELS)))
    other = save_teacher(tmp_path / "b", shift_teacher(frames=6))
    config = videomae(checkpoint).model_copy(update={"kind": "ensemble", "members": (str(one), str(other))})
    with pytest.raises(InputError, match=r"member 2 takes 6 frames of 64x64 .*, the recipe gives 4 frames of 32x32"):
        gather(config, [one, other], LABELS)
    with pytest.raises(InputError, match="answers with left, right, tick, circle, other; the data has yes, no"):
        gather(config, [one, one], ("yes", "no"))
    with pytest.raises(ValidationError, match="an ensemble has at least two members, not 1"):
        TeacherConfig(kind="ensemble", members=(str(one),))
    assert "an ensemble is made of finished teachers" in refused(config)


# --- temporal shift, both ways


def test_the_shift_teacher_sees_the_future_and_the_student_does_not():
    frames = clips(1, frames=6, side=64)
    changed = frames.clone()
    changed[:, 4] = 255 - changed[:, 4]
    before, student = shift_teacher(), small_student()

    seen: list[Tensor] = []
    # what enters the convolutions over time is per frame: there the shifts alone have mixed frames
    before.looking.over_time.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        moved = (before(frames).logits - before(changed).logits).abs().max()
        ours, theirs = student(frames), student(changed)
    by_frame = (seen[0] - seen[1]).abs().amax((0, 1))
    assert moved > 1e-4
    assert by_frame[3] > 1e-4  # the frame before the changed one
    for one, other in zip(ours.logits, theirs.logits, strict=True):
        assert torch.equal(one[:, :4], other[:, :4])
        assert (one[:, 4] - other[:, 4]).abs().max() > 1e-4


def test_the_shift_teacher_does_not_mix_the_clips_of_a_batch():
    frames = clips(3, frames=6, side=64)
    teacher = shift_teacher()
    with torch.inference_mode():
        together = teacher(frames)
        alone = teacher(frames[1:2])
    assert torch.allclose(together.logits[1:2], alone.logits, atol=1e-5)
    assert together.features.shape == (3, teacher.feature_size)
    assert together.places.shape == (3, 6, 4, 2)
    assert together.places.min() >= 0
    assert together.places.max() <= 1


def test_order_matters_to_the_shift_teacher():
    frames = clips(1, frames=6, side=64)
    teacher = shift_teacher()
    with torch.inference_mode():
        assert (teacher(frames).logits - teacher(frames.flip(1)).logits).abs().max() > 1e-4


def test_frozen_stages_keep_their_weights_and_statistics():
    teacher = shift_teacher(frozen=2).train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in teacher.parameters() if p.requires_grad], lr=0.1)
    functional.cross_entropy(teacher(clips(2, 6, 64)).logits, torch.tensor([0, 1])).backward()
    optimizer.step()
    changed = {name for name, value in teacher.state_dict().items() if not torch.equal(value, before[name])}
    frozen = ("stem.", "stages.0.", "stages.1.")
    assert not [name for name in changed if name.startswith(frozen)]
    statistics = [n for n in before if n.startswith(("stages.2.", "stages.3.")) and n.endswith("running_mean")]
    assert statistics
    assert set(statistics) <= changed


def test_a_shift_teacher_trains():
    teacher = shift_teacher(dropout=0.0).train()
    frames, labels = clips(4, 6, 64), torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=3e-3)
    losses = []
    for _ in range(6):
        loss = functional.cross_entropy(teacher(frames).logits, labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    assert isinstance(teacher, nn.Module)
