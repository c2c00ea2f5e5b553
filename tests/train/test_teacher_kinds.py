"""Every kind of teacher builds, runs, trains a step, is saved and comes back; and the table says of it what is so."""

import re
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from students import LABELS
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import get_weight
from torchvision.models.video import mvit_v2_s
from transformers import AutoConfig, AutoModelForVideoClassification

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid_train.checkpoint import Checkpoint, CheckpointInfo, SplitInfo, load_teacher
from edgevid_train.models.backbones import build_backbone
from edgevid_train.models.teachers.build import BuiltTeacher, TeacherConfig, build_teacher
from edgevid_train.models.teachers.frames import InflatedTeacher
from edgevid_train.models.teachers.inflate import InflatedConv
from edgevid_train.models.teachers.networks import two_pathways
from edgevid_train.models.teachers.published import PublishedTeacher
from edgevid_train.models.teachers.table import KINDS, TEACHERS
from edgevid_train.models.teachers.videomae import VideoMAESize
from edgevid_train.recipe import Recipe, load_recipe

SIDE, FRAMES = 32, 4
TINY_TRANSFORMERS = {
    "videomae": {"image_size": SIDE, "num_frames": FRAMES, "tubelet_size": 2},
    "timesformer": {"image_size": SIDE, "num_frames": FRAMES},
    "vivit": {"image_size": SIDE, "num_frames": FRAMES, "tubelet_size": (2, 16, 16)},
    "vjepa2": {
        **{"crop_size": SIDE, "frames_per_clip": FRAMES, "mlp_ratio": 2, "num_pooler_layers": 1},
        **{"pred_hidden_size": 12, "pred_num_hidden_layers": 1, "pred_num_attention_heads": 2},
    },
}
"""A small network of each; the others are what they are, on a small picture."""
TINY_VIDEOMAE = VideoMAESize(width=24, layers=2, heads=2, patch=8, tubelet=2)


def tiny_checkpoint(folder: Path, kind: str, labels: int = 3) -> Path:
    """A random checkpoint of transformers, with no bias at zero, where a lost one would not show."""
    size = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model(kind, **size, **TINY_TRANSFORMERS[kind], num_labels=labels)
    network = AutoModelForVideoClassification.from_config(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.5)
    network.save_pretrained(folder)
    return folder


def tiny_config(kind: str, folder: Path, **changes: object) -> TeacherConfig:
    values: dict[str, object] = {"kind": kind, "input": InputSpec(height=SIDE, width=SIDE), "frames": FRAMES}
    if kind in TINY_TRANSFORMERS:
        values["weights"] = str(tiny_checkpoint(folder, kind))
    elif kind == "videomae-looking":
        values |= {"weights": "none", "points": 4, "size": 16, "videomae": TINY_VIDEOMAE}
    elif TEACHERS[kind].published is None:
        values |= {"weights": "none", "backbone": "mobilenetv2_050", "stages": 4, "points": 4, "size": 16}
    else:
        values |= {"weights": "none"} | ({"frames": 14} if kind == "s3d" else {})
    return TeacherConfig(**{**values, **changes})


def clips(count: int, config: TeacherConfig) -> Tensor:
    """Float `(B, T, 3, H, W)` in 0..255: coloured patches that change from frame to frame."""
    coarse = torch.rand(count * config.frames, 3, 4, 4)
    size = (config.input.height, config.input.width)
    return 255 * functional.interpolate(coarse, size).unflatten(0, (count, config.frames))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module", params=list(TEACHERS))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BuiltTeacher:
    """One of each kind for five labels, which its weights have never seen. Tests may train it."""
    if TEACHERS[request.param].library == "pytorchvideo":
        pytest.importorskip("pytorchvideo", reason="needs the extra edgevid[pytorchvideo]")
    torch.manual_seed(0)
    config = tiny_config(request.param, tmp_path_factory.mktemp(request.param))
    return build_teacher(config, len(LABELS))


def test_it_answers_for_each_clip_by_itself(built: BuiltTeacher) -> None:
    frames = clips(2, built.config)
    with torch.inference_mode():
        together, alone = built.eval()(frames), built(frames[1:])
    assert together.logits.shape == (2, len(LABELS))
    assert together.features.shape == (2, built.feature_size)
    assert torch.allclose(together.logits[1:], alone.logits, atol=1e-4)
    assert torch.allclose(together.features[1:], alone.features, atol=1e-3, rtol=1e-4)
    assert not torch.equal(together.logits[0], together.logits[1])


def test_its_features_are_what_its_classifier_reads(built: BuiltTeacher) -> None:
    frames = clips(1, built.config)
    with torch.inference_mode():
        answer = built.eval()(frames)
        if isinstance(built, PublishedTeacher):
            classifier = [m for m in built.classifier.modules() if isinstance(m, nn.Linear | nn.Conv3d)][-1]
            read = functional.linear(answer.features, classifier.weight.flatten(1), classifier.bias)
        else:
            read = getattr(built, "looking", built).decide(answer.features)
    assert torch.allclose(read, answer.logits, atol=1e-4)


def test_a_step_changes_all_that_is_to_be_trained(built: BuiltTeacher) -> None:
    frames, labels = clips(2, built.config), torch.tensor([0, 1])
    functional.cross_entropy(built.train()(frames).logits, labels).backward()
    without = [name for name, p in built.named_parameters() if p.requires_grad and p.grad is None]
    assert not without  # several processes would wait for these for ever
    torch.optim.SGD(built.parameters(), lr=0.1).step()
    built.zero_grad(set_to_none=True)


def test_it_comes_back_from_its_checkpoint(built: BuiltTeacher, tmp_path: Path) -> None:
    save(built, tmp_path / "saved")
    frames = clips(1, built.config)
    loaded = load_teacher(tmp_path / "saved")
    with torch.inference_mode():
        assert torch.allclose(loaded.teacher(frames).logits, built(frames).logits, atol=1e-6)
    assert loaded.recipe.teacher == built.config


def save(teacher: BuiltTeacher, folder: Path) -> None:
    split = SplitInfo(name="none", train_clips=0, val_clips=0, train_groups=(), val_groups=())
    info = CheckpointInfo(kind="teacher", labels=LABELS, weights_from="tests", split=split)
    Checkpoint(teacher.eval(), Recipe(name="tiny", teacher=teacher.config), info).write(folder)


# --- weights, for networks that others build


@pytest.mark.parametrize("kind", [*TINY_TRANSFORMERS, "x3d"])
def test_for_other_labels_the_body_stays_and_the_classifier_is_new(kind: str, tmp_path: Path) -> None:
    if kind == "x3d":
        pytest.importorskip("pytorchvideo", reason="needs the extra edgevid[pytorchvideo]")
    before = published(tiny_config(kind, tmp_path / "first"), 3)
    save(before, tmp_path / "saved")
    config = before.config.model_copy(update={"weights": str(tmp_path / "saved")})
    frames = clips(1, config)
    for labels in (3, 2):
        after = published(config, labels)
        ours, theirs = dict(before.named_parameters()), dict(after.named_parameters())
        assert all(torch.equal(ours[name], theirs[name]) for name in after.body())
        with torch.inference_mode():
            old, new = before(frames), after(frames)
        assert new.logits.shape == (1, labels)
        assert labels == 2 or torch.allclose(new.logits, old.logits, atol=1e-6)
        assert torch.allclose(new.features, old.features, atol=1e-5)
    assert not set(after.body()) & {
        name for name, _ in after.classifier.named_parameters(prefix=f"network.{after.head}")
    }


def published(config: TeacherConfig, labels: int) -> PublishedTeacher:
    teacher = build_teacher(config, labels)
    assert isinstance(teacher, PublishedTeacher)
    return teacher.eval()


def test_a_file_in_pytorchvideo_s_form_is_read_and_a_damaged_or_foreign_one_refused(tmp_path: Path) -> None:
    pytest.importorskip("pytorchvideo", reason="needs the extra edgevid[pytorchvideo]")
    config = tiny_config("x3d", tmp_path)
    state = build_teacher(config, 400).network.state_dict()
    torch.save({"model_state": state, "cfg": "text"}, tmp_path / "X3D_S.pyth")
    loaded = published(from_file(config, tmp_path / "X3D_S.pyth"), 2).network.state_dict()
    name = "blocks.3.res_blocks.0.branch2.conv_a.weight"
    assert torch.equal(loaded[name], state[name])

    torch.save({"model_state": {key: value for key, value in state.items() if key != name}}, tmp_path / "lacking.pyth")
    save_file({**state, name: state[name][:1].contiguous()}, tmp_path / "narrow.safetensors")
    for file in ("lacking.pyth", "narrow.safetensors"):
        with pytest.raises(InputError, match=rf"1 tensors of the body differ, such as {name}"):
            build_teacher(from_file(config, tmp_path / file), 2)
    (tmp_path / "half.pyth").write_bytes((tmp_path / "X3D_S.pyth").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"half.pyth: cannot be read as weights"):
        build_teacher(from_file(config, tmp_path / "half.pyth"), 2)
    torch.save({"model_state": state, "code": print}, tmp_path / "code.pyth")
    with pytest.raises(InputError, match=r"code.pyth: cannot be read as weights"):
        build_teacher(from_file(config, tmp_path / "code.pyth"), 2)
    with pytest.raises(InputError, match=r"neither hub, none, a file nor a folder"):
        build_teacher(from_file(config, tmp_path / "nowhere"), 2)


def test_x3d_s_stages_under_our_head_begin_from_its_file(tmp_path: Path) -> None:
    pytest.importorskip("pytorchvideo", reason="needs the extra edgevid[pytorchvideo]")
    state = build_teacher(tiny_config("x3d", tmp_path), 400).network.state_dict()
    torch.save({"model_state": state, "cfg": "text"}, tmp_path / "X3D_S.pyth")
    config = tiny_config("x3d-looking", tmp_path, input=InputSpec(height=32, width=48))  # any rectangle
    loaded = build_teacher(from_file(config, tmp_path / "X3D_S.pyth"), 2).eval()
    own = loaded.state_dict()
    name = "res_blocks.0.branch2.conv_a.weight"
    assert torch.equal(own[f"stages.2.inner.{name}"], state[f"blocks.3.{name}"])
    frames = clips(2, config)
    with torch.inference_mode():
        places = loaded(frames).places
        moved = loaded(frames.roll(1, 1)).places
    assert places is not None
    assert places.shape == (2, FRAMES, 4, 2)
    assert moved is not None
    assert not torch.allclose(moved, places.roll(1, 1))
    with pytest.raises(InputError, match="x3d has 4 stages; 5 were asked for"):
        build_teacher(config.model_copy(update={"stages": 5}), 2)


def test_videomae_s_tokens_under_our_head_begin_from_its_folder(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "published", "videomae", labels=400)
    size = TINY_VIDEOMAE.model_copy(update={"patch": 16})
    config = tiny_config("videomae-looking", tmp_path, videomae=size, weights=str(folder))
    loaded = build_teacher(config, 2).eval()
    theirs = AutoModelForVideoClassification.from_pretrained(folder).videomae.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in loaded.videomae.state_dict().items())
    frames = clips(2, config)
    with torch.inference_mode():
        places = loaded(frames).places
        moved = loaded(frames.roll(16, 4)).places  # by a patch
    assert places is not None
    assert places.shape == (2, FRAMES, 4, 2)
    assert torch.equal(places[:, 0], places[:, 1])  # of one tubelet
    assert not torch.allclose(places[:, 1], places[:, 2])
    assert moved is not None
    assert not torch.allclose(moved, places)
    with pytest.raises(InputError, match=r"has patch 16, the recipe's teacher.videomae 8"):
        build_teacher(config.model_copy(update={"videomae": TINY_VIDEOMAE}), 2)


def from_file(config: TeacherConfig, file: Path) -> TeacherConfig:
    return config.model_copy(update={"weights": str(file)})


@pytest.mark.parametrize("kind", ["s3d", "x3d"])
def test_published_weights_out_of_reach_are_one_line(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "x3d":
        pytest.importorskip("pytorchvideo", reason="needs the extra edgevid[pytorchvideo]")

    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", unreachable)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    source = re.escape(TEACHERS[kind].source)
    with pytest.raises(InputError, match=rf"{kind} cannot be had from {source} \(URLError\); set teacher.weights to"):
        build_teacher(TeacherConfig(kind=kind, frames=14), 3)


def test_without_pytorchvideo_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pytorchvideo"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pytorchvideo", None)
    with pytest.raises(InputError, match=r"needs pytorchvideo.*: pip install 'edgevid\[pytorchvideo\]'"):
        build_teacher(TeacherConfig(kind="x3d", weights="none"), 3)


# --- what a recipe may say


def test_a_recipe_gets_what_the_kind_was_trained_with_unless_it_says_otherwise() -> None:
    chosen = load_recipe("air-gesture", ["teacher.kind=slowfast"]).teacher
    assert chosen.kind == "slowfast"
    for kind, row in TEACHERS.items():
        values = {"kind": kind, "weights": "folder" if row.published else "none"}
        config = TeacherConfig(**values)
        assert (config.input, config.frames) == (row.takes.input, row.takes.frames)
        assert TeacherConfig(**values, frames=24).frames == 24
    assert TeacherConfig().input == InputSpec(height=96, width=128)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("teacher.kind=resnet", rf"teacher.kind: 'resnet' is not one of {', '.join(KINDS)}"),
        (
            "teacher.kind=vivit",
            "weights of a vivit teacher are .*; a published hub id is google/vivit-b-16x2-kinetics400",
        ),
        ("teacher.kind=videomae-looking", "weights of a videomae-looking teacher are a folder, a hub id or none"),
        ("teacher={kind='mvit', weights='package'}", "weights of a mvit teacher are hub, a file, a folder or none"),
        (
            "teacher={kind='vjepa2', weights='none', input={height=32, width=48}}",
            "a vjepa2 teacher takes a square, not 48x32",
        ),
    ],
)
def test_what_makes_no_teacher_is_one_line(change: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        load_recipe("air-gesture", [change])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        ("slowfast", {"frames": 6}, "a multiple of 4 frames, not 6"),
        ("x3d", {"input": InputSpec(height=32, width=48)}, "takes a square, not 48x32"),
        (
            "timesformer",
            {"input": InputSpec(height=16, width=16)},
            "takes 4 frames of 32x32, the recipe gives 4 of 16x16",
        ),
    ],
)
def test_an_input_that_a_network_cannot_take_is_refused(kind: str, changes: dict, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        build_teacher(tiny_config(kind, tmp_path, **changes), 3)


# --- the table


@pytest.mark.parametrize("kind", list(TEACHERS))
def test_the_table_s_figures_are_those_of_the_network(kind: str) -> None:
    row = TEACHERS[kind]
    if row.library == "pytorchvideo":
        pytest.importorskip("pytorchvideo", reason="needs the extra edgevid[pytorchvideo]")
    parameters, gflops = measured(kind)
    assert parameters == row.parameters
    assert gflops == pytest.approx(row.gflops, rel=0.005)


def measured(kind: str) -> tuple[int, float]:
    """Parameters and GFLOPs with 400 labels at the expected input, without a byte of weights."""
    row = TEACHERS[kind]
    takes, spec = row.takes, row.takes.input
    with torch.device("meta"):
        if row.published is None:
            teacher = build_teacher(TeacherConfig(kind=kind, weights="none"), 400).eval()
            call, network = teacher, teacher
        else:
            network = row.published.build(400, spec, takes.frames).eval()
            call = lambda frames: network(row.published.arrange(frames))  # noqa: E731
        frames = torch.zeros(1, takes.frames, 3, spec.height, spec.width)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            call(frames)
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() / 2e9


def test_torchvision_says_the_same_of_its_own() -> None:
    for kind, row in TEACHERS.items():
        if row.published is None or row.published.library != "torchvision":
            continue
        weights = get_weight(row.source)
        said = weights.transforms()
        assert row.published.normal == (tuple(said.mean), tuple(said.std)), kind
        assert [row.takes.height, row.takes.width] == list(said.crop_size), kind
        assert f"`frame_rate={row.takes.rate_hz:g}`" in weights.meta["_docs"], kind
        assert f"`clip_len={row.takes.frames}`" in weights.meta["_docs"], kind
        assert row.parameters == weights.meta["num_params"], kind


def test_the_mvit_of_any_size_is_torchvision_s_at_its_own() -> None:
    row = TEACHERS["mvit"]
    assert row.published is not None
    with torch.device("meta"):
        ours = row.published.build(400, row.takes.input, row.takes.frames).state_dict()
        theirs = mvit_v2_s().state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}


def test_the_slow_pathway_takes_every_fourth_frame_and_the_fast_all() -> None:
    frames = torch.arange(16.0).view(1, 16, 1, 1, 1).expand(2, 16, 3, 2, 2)
    slow, fast = two_pathways(frames)
    assert slow.shape == (2, 3, 4, 2, 2)
    assert slow[0, 0, :, 0, 0].tolist() == [0, 5, 10, 15]
    assert fast[1, 2, :, 0, 0].tolist() == list(range(16))


# --- inflation


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "mobilenetv2_050", "resnet18"])
def test_an_inflated_network_sees_a_clip_at_rest_as_the_picture_it_is(backbone: str) -> None:
    torch.manual_seed(3)
    flat = build_backbone(backbone, 3, "none")
    pictures = 255 * torch.rand(4, 3, 40, 56)
    moving = pictures[None]
    resting = pictures[:1, None].expand(1, 4, 3, 40, 56)
    with torch.inference_mode():
        frames = (pictures - torch.tensor(flat.mean).view(3, 1, 1)) / torch.tensor(flat.std).view(3, 1, 1)
        expected = nn.Sequential(flat.stem, *flat.stages).eval()(frames)
        for inflate in ("centre", "mean"):
            torch.manual_seed(3)  # the same two-dimensional weights
            config = TeacherConfig(kind="inflated", backbone=backbone, stages=3, weights="none", inflate=inflate)
            teacher = build_teacher(config, 3).eval()
            assert isinstance(teacher, InflatedTeacher)
            assert torch.allclose(teacher.maps(resting)[-1], expected[:1].expand(4, *expected.shape[1:]), atol=1e-4)
            same = torch.allclose(teacher.maps(moving)[-1], expected, atol=1e-4)
            assert same == (inflate == "centre")


def test_an_inflated_network_learns_to_look_at_other_frames() -> None:
    config = TeacherConfig(kind="inflated", backbone="mobilenetv2_050", stages=4, weights="none", frames=6, size=16)
    teacher = build_teacher(config, 3)
    frames = clips(2, config.model_copy(update={"input": InputSpec(height=32, width=32)}))
    changed = frames.clone()
    changed[:, 3] = 255 - changed[:, 3]

    def moved() -> list[bool]:
        with torch.inference_mode():
            ours, theirs = (teacher.eval().maps(x)[-1].reshape(2, 6, -1) for x in (frames, changed))
        return [not torch.allclose(ours[:, t], theirs[:, t], atol=1e-5) for t in range(6)]

    assert moved() == [False, False, False, True, False, False]
    functional.cross_entropy(teacher.train()(frames).logits, torch.tensor([0, 1])).backward()
    torch.optim.SGD(teacher.parameters(), lr=0.1).step()
    assert moved()[2:5] == [True, True, True]


def test_frozen_stages_are_not_inflated() -> None:
    config = TeacherConfig(kind="inflated", backbone="mobilenetv2_050", stages=4, weights="none", frozen=2)
    teacher = build_teacher(config, 3).train()
    inflated = {name.split(".")[1] for name, m in teacher.named_modules() if isinstance(m, InflatedConv)}
    assert inflated == {"2", "3"}
    assert not any(p.requires_grad for p in teacher.stages[1].parameters())
    assert not teacher.stages[1].training
