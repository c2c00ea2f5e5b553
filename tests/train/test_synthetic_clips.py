"""Rendered clips: the same seed gives the same bytes, and what they say about themselves is true."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgevid_train.synthetic.demo import demo_actions, demo_shots
from edgevid_train.synthetic.hands import POSES, Dress, HandShape, HandTrack, place
from edgevid_train.synthetic.paths import GESTURES, LABELS
from edgevid_train.synthetic.relief import Look, draw
from edgevid_train.synthetic.scene import render_clip
from edgevid_train.synthetic.textures import TEXTURES, Texture

SMALL = (64, 48)


@pytest.mark.parametrize("label", LABELS)
def test_clip_is_whole_and_reproducible(label: str) -> None:
    clip = render_clip(11, label=label, size=SMALL)
    frames = len(clip.times_s)
    assert clip.frames.shape == (frames, 48, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.fingertip.shape == (frames, 2)
    assert clip.times_s[0] == 0
    assert (np.diff(clip.times_s) > 0).all()
    assert 0 <= clip.start_s < clip.end_s <= clip.times_s[-1]
    assert (clip.label, clip.seed) == (label, 11)

    again = render_clip(11, label=label, size=SMALL)
    assert np.array_equal(clip.frames, again.frames)
    assert np.array_equal(clip.fingertip, again.fingertip, equal_nan=True)
    assert (clip.start_s, clip.end_s) == (again.start_s, again.end_s)


def test_another_seed_is_another_clip() -> None:
    a, b = (render_clip(seed, label="left", size=SMALL, fps=15) for seed in (1, 2))
    assert a.frames.shape != b.frames.shape or not np.array_equal(a.frames, b.frames)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**63 - 1))
def test_any_seed_renders(seed: int) -> None:
    clip = render_clip(seed, size=(32, 24))
    assert clip.label in LABELS
    assert 0 <= clip.start_s < clip.end_s <= clip.times_s[-1]
    rate_hz = 1 / np.median(np.diff(clip.times_s))
    assert 8 < rate_hz < 36
    seen = np.isfinite(clip.fingertip).all(axis=1)
    assert ((clip.fingertip[seen] >= 0) & (clip.fingertip[seen] <= 1)).all()


def test_labels_by_lot_are_all_there_and_background_is_one_in_five() -> None:
    labels = [render_clip(seed, size=(32, 24), fps=2).label for seed in range(120)]
    assert set(labels) == set(LABELS)
    assert 0.08 < labels.count("other") / len(labels) < 0.33


def test_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match="wave"):
        render_clip(0, label="wave")


@pytest.mark.parametrize(("label", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)])
def test_fingertip_moves_as_the_label_says(label: str, axis: int, sign: int) -> None:
    for seed in range(8):
        clip = render_clip(seed, label=label, size=(32, 24), fps=30)
        during = (clip.times_s >= clip.start_s) & (clip.times_s <= clip.end_s)
        tip = clip.fingertip[during & np.isfinite(clip.fingertip).all(axis=1)]
        assert sign * (tip[-1, axis] - tip[0, axis]) > 0.15


def test_rate_and_size_do_not_change_the_movement() -> None:
    fast = render_clip(3, label="circle", size=(64, 48), fps=30.0)
    slow = render_clip(3, label="circle", size=(32, 24), fps=10.0)
    assert (fast.start_s, fast.end_s) == (slow.start_s, slow.end_s)
    assert np.allclose(fast.fingertip[::3][: len(slow.fingertip)], slow.fingertip, atol=0.02, equal_nan=True)


def hand(pose: str, *, left: bool, by_tip: bool = True) -> HandTrack:
    return HandTrack(
        anchor=np.array([[0.6, 0.3]]),
        by_tip=by_tip,
        pose=np.array([POSES[pose]]),
        turn=np.zeros((1, 3)),
        scale=np.array([0.03]),
        elbow=np.array([[0.7, 1.6]]),
        elbow_z_cm=4.0,
        left=left,
        shape=HandShape(np.ones(4), 1.0, 1.0, 1.0, 2.7, 3.9),
        dress=Dress(None, 1.0, None, 0.0, None),
    )


LOOK = Look(
    albedo=np.ones((6, 3), np.float32),
    light=np.array([0, 0, 1], np.float32),
    ambient=np.full(3, 0.5, np.float32),
    diffuse=np.full(3, 0.5, np.float32),
    gloss=0.0,
    crease=0.0,
    mottle=np.ones((2, 2), np.float32),
    sleeve_period=(0.0, 0.0),
)


def coverage(track: HandTrack) -> NDArray[np.float32]:
    layer = draw(place(track, 4 / 3), 0, LOOK, 320, 240)
    assert layer is not None
    out = np.zeros((240, 320), np.float32)
    h, w = layer.rgba.shape[:2]
    out[layer.y : layer.y + h, layer.x : layer.x + w] = layer.rgba[..., 3]
    return out


@pytest.mark.parametrize("left", [False, True])
def test_index_finger_ends_at_the_anchor_and_the_arm_leaves_below(left: bool) -> None:
    cover = coverage(hand("point", left=left))
    rows, columns = np.nonzero(cover > 0.5)
    top = rows.argmin()
    assert (columns[top] + 0.5) / 240 == pytest.approx(0.6, abs=0.02)
    assert (rows[top] + 0.5) / 240 == pytest.approx(0.3, abs=0.02)
    assert rows.max() == 239
    knuckles = columns[rows == int((0.3 + 0.33) * 240)].mean() / 240
    assert (knuckles > 0.6) != left, "the fist lies to the little finger's side"


def test_left_hand_is_the_mirror_image_of_a_right_hand() -> None:
    right, left = hand("open", left=False), hand("open", left=True)
    anchor, elbow = np.array([[4 / 3 - 0.6, 0.3]]), np.array([[4 / 3 - 0.7, 1.6]])
    mirrored = dataclasses.replace(left, anchor=anchor, elbow=elbow)
    assert np.allclose(coverage(right), coverage(mirrored)[:, ::-1], atol=1e-3)


def test_open_hand_covers_more_than_a_fist() -> None:
    spread, fist = (coverage(hand(pose, left=False, by_tip=False)).sum() for pose in ("spread", "fist"))
    assert spread > 1.1 * fist


@pytest.mark.parametrize("texture", TEXTURES)
def test_backgrounds_are_pictures(texture: Texture) -> None:
    for seed in range(4):
        picture = texture(np.random.default_rng(seed), 54, 72)
        assert picture.shape == (54, 72, 3)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all()
        assert 0 <= np.median(picture) <= 2


def test_demo_shows_all_gestures_with_pauses_in_20_to_40_seconds() -> None:
    actions = demo_actions()
    assert {a.label for a in actions} == set(GESTURES)
    pauses = [b.start_s - a.end_s for a, b in itertools.pairwise(actions)]
    assert min(pauses) > 1.0
    shots = demo_shots((64, 48))
    assert 20 <= sum(len(shot) for shot in shots) / 25 <= 40
    for shot in shots:
        assert shot.frame(0).shape == (48, 64, 3)
        assert np.isfinite(shot.fingertip()).all(axis=1).mean() > 0.4
        assert not np.isfinite(shot.fingertip()).all(), "the hand leaves the picture"


def test_hand_stands_out_from_what_is_behind_it() -> None:
    """The drawn fingertip is where the truth says: pictures change there when the hand moves over it."""
    clip = render_clip(2, label="square", size=(160, 120), fps=25)
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.frames]).astype(np.float32)
    change = np.abs(grey - np.median(grey, axis=0))
    near, far = [], []
    for k in np.flatnonzero(np.isfinite(clip.fingertip).all(axis=1)):
        x, y = (clip.fingertip[k] * (159, 119)).astype(int)
        near.append(change[k, max(y - 2, 0) : y + 12, max(x - 4, 0) : x + 5].mean())
        far.append(change[k].mean())
    assert np.mean(near) > 2 * np.mean(far)
