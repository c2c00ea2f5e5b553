"""A folder of images: in the order of their numbers, at the given rate, with holes where one cannot be read."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from videos import number_of, numbered_frames, write_images

from edgevid.errors import InputError
from edgevid.sources import open_source


def test_images_come_in_the_order_of_their_numbers_at_the_given_rate(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", numbered_frames(12))  # frame_1, frame_2, … frame_12
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden.png").write_bytes(b"")
    with open_source(folder, rate_hz=12, pace="fast") as source:
        frames = list(source)
    assert [number_of(f.pixels) for f in frames] == list(range(12))
    assert [f.time_s for f in frames] == pytest.approx([n / 12 for n in range(12)])
    assert [f.index for f in frames] == list(range(12))
    assert (source.info.width, source.info.height, source.info.rate_hz, source.info.duration_s) == (96, 64, 12, 1)
    assert source.counts.undecodable == 0


def test_an_unreadable_image_is_counted_and_leaves_a_hole(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write_images(tmp_path / "images", numbered_frames(4))
    (folder / "frame_1.png").write_bytes(b"")
    (folder / "frame_3.png").write_bytes(b"no picture")
    with open_source(folder, rate_hz=10, pace="fast") as source:
        frames = list(source)
    assert [number_of(f.pixels) for f in frames] == [1, 3]
    assert [f.time_s for f in frames] == pytest.approx([0.1, 0.3])
    assert [f.index for f in frames] == [0, 1]
    assert source.counts.undecodable == 2
    assert capfd.readouterr().err == ""


def test_a_folder_of_unreadable_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="none of its 1 images can be read"):
        open_source(tmp_path, rate_hz=10)


def test_grey_and_sixteen_bit_images_become_rgb_and_are_reduced(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.full((480, 640), 40_000, np.uint16))
    with open_source(tmp_path, rate_hz=10, pace="fast") as source:
        frame = next(iter(source))
    assert frame.pixels.shape == (240, 320, 3)
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.max() == frame.pixels.min() == 40_000 >> 8
