"""Where networks looked: maps that add up to the score, at the places and times that they speak of; strips of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from students import LABELS, moving_pictures, small_student, write_checkpoint
from test_teacher_kinds import FRAMES, SIDE, TINY_TRANSFORMERS, clips, tiny_config
from torch import Tensor, nn

from edgevid.manifest import InputSpec
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import DecodedClip
from edgevid_train.evaluate.looks import Looks
from edgevid_train.evaluate.looks.activation import Tap, activation
from edgevid_train.evaluate.looks.strip import look_strip
from edgevid_train.evaluate.looks.taps import teacher_taps
from edgevid_train.evaluate.strips import FRAMES as SHOWN
from edgevid_train.evaluate.strips import GAP_PX, HEIGHT_PX
from edgevid_train.evaluate.subjects.student import StudentCheckpoint
from edgevid_train.models.teachers.build import build_teacher
from edgevid_train.models.teachers.table import TEACHERS

PYTORCHVIDEO = ("i3d", "x3d", "slowfast")


class _Bright(nn.Module):
    """Scores how bright each half of the picture is, from a map of one channel that its head averages."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.AvgPool2d(4)
        self.head = nn.Flatten()

    def forward(self, frames: Tensor) -> Tensor:
        x = self.body(frames)
        return torch.stack([x[..., :2].mean(), x[..., 2:].mean()])


def test_a_map_is_bright_where_the_score_comes_from() -> None:
    network = _Bright()
    frames = torch.zeros(3, 1, 8, 16)
    frames[1, 0, 4:, :4] = 1.0
    frames[2, 0, :, 8:] = 9.0  # of the other half: it speaks for the other score
    found = activation([Tap(network.body, False, lambda x, _: x)], lambda: network(frames)[0], 3)
    assert found.shape == (3, 2, 4)
    expected = np.zeros((3, 2, 4), np.float32)
    expected[1, 1, 0] = 1
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not activation([Tap(network.body, False, lambda x, _: x)], lambda: -network(frames)[0], 3).any()
    assert not network.body._forward_hooks  # it leaves the network as it was


@pytest.mark.parametrize("kind", list(TEACHERS))
def test_maps_of_every_kind_lie_at_their_places(kind: str, tmp_path: Path) -> None:
    """What is changed in the picture at one place and time changes the maps more on that side than on the other."""
    if kind in PYTORCHVIDEO:
        pytest.importorskip("pytorchvideo", reason="needs the extra edgevid[pytorchvideo]")
    torch.manual_seed(0)
    frames_of = {"mvit": 8, "slowfast": 8, "r2plus1d": 16, "s3d": 28}  # so many that their maps have times
    side = (2 if kind == "r2plus1d" else 3) * SIDE
    changes = {} if kind in TINY_TRANSFORMERS else {"input": InputSpec(height=side, width=side)}
    changes |= {"frames": frames_of[kind]} if kind in frames_of else {}
    teacher = build_teacher(tiny_config(kind, tmp_path, **changes), 3).eval().requires_grad_(False)
    side, count = teacher.config.input.height, teacher.config.frames
    frames = clips(1, teacher.config)
    changed = frames.clone()
    part = changed[0, -(count // 4) :, :, side // 2 :, : side // 2]
    part.copy_(255 - part)
    before, after = (_arranged(teacher, given) for given in (frames, changed))
    assert all(x.ndim == 4 for x in before)
    for was, is_ in zip(before, after, strict=True):
        moved = (is_ - was).abs().mean(1)
        t, rows, columns = (n // 2 for n in moved.shape)
        assert moved[-t:].mean() > moved[:t].mean()
        assert moved[:, -rows:].mean() > moved[:, :rows].mean()
        assert moved[:, :, :columns].mean() > moved[:, :, -columns:].mean()

    found = activation(teacher_taps(teacher), lambda: teacher(frames).logits[0, 1], count)
    assert found.shape[0] == count
    assert found.min() >= 0
    assert found.max() == pytest.approx(1) or not found.any()


def _arranged(teacher: nn.Module, frames: Tensor) -> list[Tensor]:
    """The maps of a teacher as its taps arrange them, `(t, C, h, w)` each; the deepest first."""
    kept: list[Tensor] = []

    def keep(tap: Tap, x: object, others: tuple[object, ...]) -> None:
        for part in x if isinstance(x, list) else [x]:
            assert isinstance(part, Tensor)
            kept.append(tap.arrange(part, others).clone())

    hooks = []
    for tap in teacher_taps(teacher)[::-1]:
        if tap.entering:
            hooks.append(tap.module.register_forward_pre_hook(lambda _, i, tap=tap: keep(tap, i[0], i[1:])))
        else:
            hooks.append(tap.module.register_forward_hook(lambda _, __, o, tap=tap: keep(tap, o, ())))
    with torch.no_grad():
        teacher(frames)
    for hook in hooks:
        hook.remove()
    return kept[::-1]


def test_of_a_score_read_from_a_mean_the_map_is_all_there_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = build_teacher(tiny_config("inflated", tmp_path), 3).eval().requires_grad_(False)
    frames = clips(1, teacher.config)
    added: list[Tensor] = []
    (tap,) = teacher_taps(teacher)
    watched = Tap(tap.module, tap.entering, lambda x, others: added.append(x) or tap.arrange(x, others))
    activation([watched], lambda: teacher(frames).logits[0, 1], FRAMES)
    with torch.no_grad():
        logit = teacher(frames).logits[0, 1] - teacher.decide.bias[1]
    assert float(added[0].sum()) == pytest.approx(float(logit), abs=1e-4)


def test_a_student_s_looks_end_with_the_step_that_decides(tmp_path: Path) -> None:
    subject = StudentCheckpoint(write_checkpoint(tmp_path / "best", small_student()), 1, torch.device("cpu"))
    frames = np.stack(moving_pictures(24, 60, 80))
    clip = DecodedClip(frames, np.arange(24) / 8, ClipRecord(Path("x.mp4"), "x.mp4", ("left",), "x"))
    for label in LABELS:
        looks = subject.looks(clip, label)
        steps = subject.answer(clip).steps
        assert looks.frames.shape == (len(steps), 64, 64, 3)
        assert looks.maps.shape[0] == len(steps) == len(looks.times_s)
        assert looks.places is not None
        assert looks.places.shape == (len(steps), 4, 2)
        assert np.isfinite(looks.places).all()
        decisive = int(steps[:, LABELS.index(label)].argmax())
        assert not looks.maps[decisive + 1 :].any()


def test_a_strip_shows_maps_and_places_where_they_are() -> None:
    frames = np.full((4, 24, 32, 3), 100, np.uint8)
    maps = np.zeros((4, 2, 2), np.float32)
    maps[-1, 1, 0] = 1
    places = np.full((4, 2, 2), np.nan, np.float32)
    places[0] = [(0.75, 0.5), (0.25, 0.25)]
    drawn = look_strip(Looks(frames, np.arange(4.0), maps, places), 4 / 3).astype(int)
    assert drawn.shape == (HEIGHT_PX, SHOWN * 128 + (SHOWN - 1) * GAP_PX, 3)
    first, last = drawn[:, :128], drawn[:, -128:]
    assert (first[24 - 1 : 24 + 2, 32 - 1 : 32 + 2] > 200).any()  # the dot of the second place
    assert (abs(first[40:57, 88:105] - 100).max(axis=2) > 50).any()  # the ring around the first
    assert (first[70:] == 100).all()
    colour = np.ptp(last, axis=2)
    assert colour[80, 20] > 60
    assert colour[20, 110] == 0


def test_attention_stands_below_in_the_same_frames() -> None:
    frames, maps = np.full((4, 24, 32, 3), 100, np.uint8), np.zeros((4, 2, 2), np.float32)
    attended = maps.copy()
    attended[0, 0, 1] = 1
    drawn = look_strip(Looks(frames, np.arange(4.0), maps, attention=attended), 4 / 3).astype(int)
    assert drawn.shape == (2 * HEIGHT_PX + GAP_PX, SHOWN * 128 + (SHOWN - 1) * GAP_PX, 3)
    colour = np.ptp(drawn, axis=2)
    assert colour[HEIGHT_PX + GAP_PX + 16, 110] > 60
    assert not colour[: HEIGHT_PX + GAP_PX].any()
    assert not colour[:, -128:].any()
