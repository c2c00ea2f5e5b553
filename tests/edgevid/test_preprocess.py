"""The one way from a frame to a model's pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgevid.manifest import InputSpec
from edgevid.preprocess import fit, reduce

SIDE = st.integers(1, 200)


def noise(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 99), st.sampled_from(["area", "linear"]))
@settings(max_examples=200, deadline=None)
def test_stretching_is_what_opencv_does_with_bytes(
    width: int, height: int, out_width: int, out_height: int, seed: int, name: str
) -> None:
    pixels = noise(width, height, seed)
    spec = InputSpec.model_validate({"height": out_height, "width": out_width, "filter": name})
    of_opencv = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}[name]
    expected = cv2.resize(pixels, (out_width, out_height), interpolation=of_opencv)
    fitted = fit(pixels, spec)
    assert fitted.dtype == np.uint8
    assert np.array_equal(fitted, expected)


@pytest.mark.parametrize(("width", "height"), [(320, 240), (426, 240), (640, 480), (240, 320), (96, 72), (97, 73)])
def test_the_usual_pictures_are_as_opencv_makes_them_of_bytes(width: int, height: int) -> None:
    pixels = noise(width, height)
    expected = cv2.resize(pixels, (96, 72), interpolation=cv2.INTER_AREA)
    assert np.array_equal(fit(pixels, InputSpec(height=72, width=96)), expected)


def test_a_picture_of_one_colour_keeps_it() -> None:
    for level in range(256):
        assert np.unique(fit(np.full((55, 77, 3), level, np.uint8), InputSpec(height=17, width=29))).tolist() == [level]


def test_a_crop_keeps_the_middle() -> None:
    pixels = np.zeros((60, 180, 3), np.uint8)
    pixels[:, 60:120] = 200
    assert fit(pixels, InputSpec(height=20, width=20, fit="crop")).min() == 200


def test_a_letterbox_keeps_all_between_black_bars() -> None:
    fitted = fit(np.full((50, 150, 3), 200, np.uint8), InputSpec(height=30, width=30, fit="letterbox"))
    assert [int(row.max()) for row in fitted] == [0] * 10 + [200] * 10 + [0] * 10


@given(SIDE, SIDE, SIDE)
@settings(max_examples=50, deadline=None)
def test_reducing_never_enlarges_and_keeps_the_shape(width: int, height: int, short_side: int) -> None:
    small = reduce(noise(width, height), short_side)
    assert min(small.shape[:2]) == min(width, height, short_side)
    if min(small.shape[:2]) > 20:
        assert small.shape[1] / small.shape[0] == pytest.approx(width / height, rel=0.06)
