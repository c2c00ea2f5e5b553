"""What a view does to pictures, places and colours, against OpenCV, the runtime's resize and plain arithmetic."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgevid.manifest import InputSpec
from edgevid.preprocess import fit
from edgevid_train.samples.augment import AugmentConfig, Box, ClipView, apply_view, draw_view, fitted, place_points

NOTHING = AugmentConfig(
    rotate_deg=0,
    scale=(1, 1),
    move=0,
    stretch=0,
    speed=(1, 1),
    brightness=0,
    contrast=0,
    saturation=0,
    hue=0,
    grey=0,
    blur=0,
    noise=0,
    shake=0,
)
"""Every strength is off; tests turn on what they look at."""

WIDE = (90, 160)


def identity_view() -> ClipView:
    """Nothing changed."""
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return ClipView(matrix, 0, np.ones(3, np.float32), 0.0, 1.0, 1.0, 0.0, 0.0)


def only(**strengths) -> AugmentConfig:
    return NOTHING.model_copy(update=strengths)


def smooth_clip(frames: int = 1, size: tuple[int, int] = WIDE) -> np.ndarray:
    """Coloured blotches without edges: pictures on which two bilinear filters must agree."""
    noise = np.random.default_rng(0).integers(0, 256, (frames, *size, 3), np.uint8)
    soft = [cv2.GaussianBlur(frame, (0, 0), 6) for frame in noise]
    return np.stack([cv2.normalize(frame, None, 20, 235, cv2.NORM_MINMAX) for frame in soft])


def flat_clip(colour: tuple[int, int, int], frames: int = 1) -> np.ndarray:
    return np.full((frames, 12, 16, 3), colour, np.uint8)


@pytest.mark.parametrize("size", [WIDE, (72, 96), (45, 80), (100, 130)])
def test_the_identity_view_is_a_plain_resize(size):
    clip = smooth_clip()
    ours = apply_view(clip, identity_view(), *size)[0].astype(int)
    plain = cv2.resize(clip[0], size[::-1], interpolation=cv2.INTER_LINEAR).astype(int)
    assert np.abs(ours - plain).max() <= 1  # warpAffine places to 1/32 of a pixel
    if size == WIDE:
        assert (ours == clip[0]).all()


def test_with_every_strength_off_a_drawn_view_changes_nothing():
    clip = smooth_clip(3)
    view = draw_view(NOTHING, np.random.default_rng(1), 16 / 9)
    assert np.allclose(view.matrix, identity_view().matrix)
    assert (apply_view(clip, view, *WIDE) == clip).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    x=st.floats(0.3, 0.7),
    y=st.floats(0.3, 0.7),
    size=st.sampled_from([(96, 128), (64, 64)]),
)
def test_places_go_where_their_pixels_go(seed, x, y, size):
    clip = np.zeros((1, *WIDE, 3), np.uint8)
    column, row = int(x * WIDE[1]), int(y * WIDE[0])
    clip[0, row - 2 : row + 3, column - 2 : column + 3] = 255
    centre = np.array([[(column + 0.5) / WIDE[1], (row + 0.5) / WIDE[0]]], np.float32)
    config = only(rotate_deg=25, scale=(0.7, 1.4), move=0.1, stretch=0.2)
    view = draw_view(config, np.random.default_rng(seed), WIDE[1] / WIDE[0])

    (expected,) = place_points(centre, view, shake=0.03)

    light = apply_view(clip, view, *size, shake=0.03)[0].sum(axis=2, dtype=float)
    rows, columns = np.mgrid[: size[0], : size[1]]
    places = np.stack([(columns + 0.5) / size[1], (rows + 0.5) / size[0]], 2)
    light[np.abs(places - expected).max(axis=2) > 0.15] = 0  # beyond the picture's edge it is mirrored, spot and all
    seen = (places * light[..., None]).sum((0, 1)) / light.sum()
    assert np.abs(seen - expected).max() < 0.01


def test_a_place_outside_the_picture_or_unknown_is_unknown():
    view = replace(identity_view(), matrix=np.array([[1.0, 0, 0.5], [0, 1.0, 0]]))  # half a picture to the left
    places = np.array([[0.75, 0.5], [0.25, 0.5], [np.nan, np.nan]], np.float32)
    moved = place_points(places, view)
    assert moved[0] == pytest.approx([0.25, 0.5])
    assert np.isnan(moved[1:]).all()


def test_a_rotation_turns_and_does_not_shear():
    aspect = 16 / 9
    for seed in range(20):
        matrix = draw_view(only(rotate_deg=30), np.random.default_rng(seed), aspect).matrix[:, :2]
        in_heights = np.diag([aspect, 1]) @ matrix @ np.diag([1 / aspect, 1])
        assert np.allclose(in_heights @ in_heights.T, np.eye(2))
        assert abs(np.degrees(np.arctan2(in_heights[1, 0], in_heights[0, 0]))) <= 30


def test_zoom_and_move_keep_to_their_bounds_and_reach_them():
    zooms, moves = [], []
    for seed in range(300):
        matrix = draw_view(only(scale=(0.8, 1.25), move=0.1), np.random.default_rng(seed), 1.0).matrix
        zooms.append(1 / matrix[0, 0])
        moves.append(np.linalg.solve(matrix[:, :2], 0.5 - matrix[:, 2]) - 0.5)
    assert (min(zooms), max(zooms)) == (pytest.approx(0.8, abs=0.01), pytest.approx(1.25, abs=0.01))
    assert np.abs(moves).max() == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize("mode", ["crop", "letterbox", "stretch"])
@pytest.mark.parametrize("size", [(64, 64), (36, 100), (45, 80)])
def test_fitted_shows_what_the_runtime_s_resize_shows(mode, size):
    clip = smooth_clip()
    spec = InputSpec(height=size[0], width=size[1], fit=mode, filter="linear")
    ours = apply_view(clip, fitted(identity_view(), spec, *WIDE), *size)[0].astype(int)
    runtime = fit(clip[0], spec).astype(int)
    assert ((ours == 0).all(2) == (runtime == 0).all(2)).all()  # the same bars
    assert np.abs(ours - runtime).max() <= 4  # the runtime cuts whole pixels


def test_letterbox_bars_stay_black_under_every_colour():
    spec = InputSpec(height=64, width=64, fit="letterbox")
    view = replace(identity_view(), offset=60.0, noise=8.0)
    out = apply_view(smooth_clip(2), fitted(view, spec, *WIDE), 64, 64)
    assert (out[:, :14] == 0).all()
    assert (out[:, 50:] == 0).all()
    assert out[:, 14:50].min() > 30


def test_places_follow_the_crop():
    spec = InputSpec(height=64, width=64, fit="crop")  # of 160 columns the middle 90 stay
    view = fitted(identity_view(), spec, *WIDE)
    places = np.array([[0.5, 0.25], [(35 + 45 / 2) / 160, 0.5], [0.1, 0.5]], np.float32)
    moved = place_points(places, view)
    assert moved[:2] == pytest.approx(np.array([[0.5, 0.25], [0.25, 0.5]]))
    assert np.isnan(moved[2]).all()


def test_colour_is_gain_contrast_saturation_and_offset():
    clip = np.stack([flat_clip((200, 80, 40))[0], flat_clip((100, 120, 60))[0]])
    gain = np.array([1.05, 0.97, 1.0], np.float32)
    view = replace(identity_view(), gain=gain, contrast=1.2, saturation=0.6, offset=-10.0)
    out = apply_view(clip, view, 12, 16)
    mean = clip.mean()
    for frame, result in zip(clip, out, strict=True):
        pixel = frame[0, 0].astype(float)
        luma = pixel @ [0.299, 0.587, 0.114]
        expected = gain * 1.2 * (luma + 0.6 * (pixel - luma)) + mean * (1 - 1.2) - 10
        assert np.abs(result - expected).max() <= 0.51


def test_grey_has_no_colour_and_brightness_saturates():
    grey = apply_view(smooth_clip(), draw_view(only(grey=1), np.random.default_rng(0), 16 / 9), *WIDE)
    assert np.ptp(grey.astype(int), axis=3).max() <= 1
    bright = apply_view(flat_clip((250, 128, 3)), replace(identity_view(), offset=50.0), 12, 16)
    dark = apply_view(flat_clip((250, 128, 3)), replace(identity_view(), offset=-50.0), 12, 16)
    assert bright[0, 0, 0].tolist() == [255, 178, 53]
    assert dark[0, 0, 0].tolist() == [200, 78, 0]


def test_exposure_is_of_light_not_of_pixels():
    """A stop less is half the light, which a screen's pixel says by 73% of its value; black stays black."""
    view = draw_view(only(exposure=(-1.0, -1.0)), np.random.default_rng(0), 16 / 9)
    dark = apply_view(flat_clip((250, 128, 0)), view, 12, 16)
    assert dark[0, 0, 0].tolist() == [182, 93, 0]
    lights = [draw_view(only(exposure=(-2.0, 1.0)), np.random.default_rng(k), 1.0).light for k in range(300)]
    assert (min(lights), max(lights)) == (pytest.approx(2 ** (-2 / 2.2), 0.02), pytest.approx(2 ** (1 / 2.2), 0.02))
    foggy = replace(identity_view(), contrast=0.5, offset=20.0)
    assert np.allclose(
        apply_view(smooth_clip(), replace(foggy, light=0.5), *WIDE), apply_view(smooth_clip(), foggy, *WIDE) / 2, atol=1
    )


def test_every_frame_gets_the_same_but_for_shake_and_noise():
    still = np.repeat(smooth_clip(), 4, axis=0)
    config = AugmentConfig(blur=1, noise=0)
    view = draw_view(config, np.random.default_rng(5), 16 / 9)
    calm = apply_view(still, view, 45, 80)
    assert (calm == calm[0]).all()
    shaken = apply_view(still, view, 45, 80, shake=0.02)
    assert (shaken[0] != shaken[2]).mean() > 0.1


def test_noise_has_its_strength_and_differs_from_frame_to_frame():
    still = np.full((3, 48, 64, 3), 128, np.uint8)
    noisy = apply_view(still, replace(identity_view(), noise=6.0), 48, 64).astype(float)
    assert noisy.std() == pytest.approx(6, rel=0.1)
    assert noisy.mean() == pytest.approx(128, abs=0.5)
    assert (noisy[0] != noisy[1]).mean() > 0.5


def test_blur_takes_detail_away():
    sharp = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), np.uint8)
    blurred = apply_view(sharp, replace(identity_view(), blur=1.2), 48, 64)
    assert blurred.std() < 0.5 * sharp.std()


def test_the_same_view_gives_the_same_bits_and_leaves_its_input_alone():
    clip = smooth_clip(3)
    before = clip.copy()
    clip.flags.writeable = False  # as the cache of decoded clips hands them out
    view = draw_view(AugmentConfig(), np.random.default_rng(3), 16 / 9)
    one, other = (apply_view(clip, view, 45, 80, 0.01) for _ in range(2))
    assert (one == other).all()
    assert (clip == before).all()


def test_a_mirrored_clip_is_a_mirrored_result():
    clip = smooth_clip()
    mirrored = apply_view(clip[:, :, ::-1], identity_view(), 45, 80)
    assert np.abs(mirrored[:, :, ::-1].astype(int) - apply_view(clip, identity_view(), 45, 80)).max() <= 1


@pytest.mark.parametrize("values", [(0, 1), (-1, 1), (1.2, 0.8), (1, float("inf")), (float("nan"), 1)])
@pytest.mark.parametrize("field", ["scale", "speed"])
def test_factors_that_are_none_are_refused(field, values):
    with pytest.raises(ValidationError, match="two factors above 0"):
        AugmentConfig(**{field: values})


@given(st.integers(0, 10**6), st.sampled_from([WIDE, (60, 40)]))
def test_an_erased_box_is_the_same_in_every_frame_and_at_every_size(seed, size):
    """A student and a teacher with inputs of two sizes miss the same part of the scene; its share is as asked for."""
    view = draw_view(only(erase=1, erase_area=(0.05, 0.15)), np.random.default_rng(seed), size[1] / size[0])
    box = view.erased
    clip = np.full((3, *size, 3), 128, np.uint8)
    clip[1] = 60
    hidden = (apply_view(clip, view, *size) == box.colour).all(axis=-1)
    assert (hidden[0] == hidden[1]).all()
    assert (hidden[0] == hidden[2]).all()
    share = (box.right - box.left) * (box.bottom - box.top)
    assert 0.03 < share < 0.16  # a long box may not fit in
    assert hidden[0].mean() == pytest.approx(share, abs=0.05)
    larger = (apply_view(clip, view, 2 * size[0], 2 * size[1])[0] == box.colour).all(axis=-1)
    assert larger.mean() == pytest.approx(hidden[0].mean(), abs=0.05)
    assert (clip[0] == 128).all()


def test_an_erased_place_is_unknown():
    view = replace(identity_view(), erased=Box(0.2, 0.2, 0.6, 0.4, (9, 9, 9)))
    points = np.array([[0.3, 0.3], [0.7, 0.3], [0.3, 0.5]], np.float32)
    assert np.isnan(place_points(points, view)).all(axis=1).tolist() == [True, False, False]
    turned = replace(
        view, matrix=np.array([[-1.0, 0, 1.0], [0, 1.0, 0]])
    )  # mirrored: the scene's part, not the output's
    assert np.isnan(place_points(points, turned)).all(axis=1).tolist() == [True, False, False]
    assert (apply_view(smooth_clip(), turned, *WIDE)[0][int(0.3 * 90), int(0.6 * 160)] == 9).all()


def test_what_is_off_draws_nothing():
    """So that recipes which do not know it compute what they computed before."""
    ours, theirs = np.random.default_rng(7), np.random.default_rng(7)
    draw_view(AugmentConfig(), ours, 1.5)
    draw_view(AugmentConfig(erase_area=(0.3, 0.4)), theirs, 1.5)
    assert ours.bit_generator.state == theirs.bit_generator.state
    for more in ({"erase": 0.5}, {"exposure": (-1.0, 1.0)}):
        ours, theirs = np.random.default_rng(7), np.random.default_rng(7)
        draw_view(AugmentConfig(), ours, 1.5)
        draw_view(AugmentConfig(**more), theirs, 1.5)
        assert ours.bit_generator.state != theirs.bit_generator.state
    shares = [draw_view(only(erase=0.3), np.random.default_rng(k), 1.0).erased is not None for k in range(400)]
    assert 0.2 < np.mean(shares) < 0.4


@pytest.mark.parametrize("values", [(1, -1), (-9, 0), (0, float("inf")), (float("nan"), 1)])
def test_an_exposure_that_is_none_is_refused(values):
    with pytest.raises(ValidationError, match="two numbers of stops"):
        AugmentConfig(exposure=values)


@pytest.mark.parametrize("values", [(0, 0.1), (0.2, 0.1), (0.1, 1), (0.1, float("nan"))])
def test_areas_that_are_none_are_refused(values):
    with pytest.raises(ValidationError, match="two shares between 0 and 1"):
        AugmentConfig(erase_area=values)
