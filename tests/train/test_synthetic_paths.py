"""Gesture paths keep the conventions of the real clips, and a wrong paths file is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid_train.synthetic.paths import GESTURES, PathBank, parametric, resample, vary, with_timing

Points = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)
ASPECT = 4 / 3


def drawn(label: str, seed: int) -> Points:
    rng = np.random.default_rng(seed)
    return vary(parametric(label, rng), rng, ASPECT)


def turned_angle(points: Points) -> float:
    """How far the direction from the middle turns in all, radians; positive is counter-clockwise on the screen."""
    from_middle = points - (points.max(axis=0) + points.min(axis=0)) / 2
    angle = np.unwrap(np.arctan2(-from_middle[:, 1], from_middle[:, 0]))
    return float(angle[-1] - angle[0])


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1)]))
def test_strokes_go_where_their_name_says(seed: int, stroke: tuple[str, int, int]) -> None:
    label, dx, dy = stroke
    points = drawn(label, seed)
    way = points[-1] - points[0]
    forward, sideways = way @ (dx, dy), abs(way @ (dy, dx))
    assert forward > 0.2
    assert sideways < 0.45 * forward
    along = (points - points[0]) @ (dx, dy)
    assert np.diff(along).min() > -0.01  # it never turns back


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_circle_runs_counter_clockwise(seed: int) -> None:
    assert 1.6 * np.pi < turned_angle(drawn("circle", seed)) < 2.6 * np.pi


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_square_runs_clockwise_from_the_upper_left(seed: int) -> None:
    points = drawn("square", seed)
    assert turned_angle(points) < -1.7 * np.pi
    low, high = points.min(axis=0), points.max(axis=0)
    assert (points[0] < low + 0.4 * (high - low)).all()
    assert np.linalg.norm(points[-1] - points[0]) < 0.5 * np.linalg.norm(high - low)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_tick_caret_delete_and_star_keep_their_stroke_order(seed: int) -> None:
    tick = drawn("tick", seed)
    foot = int(tick[:, 1].argmax())
    assert 0.05 < foot / len(tick) < 0.6
    assert tick[0, 0] < tick[foot, 0] + 0.05 < tick[-1, 0]

    caret = drawn("caret", seed)
    peak = int(caret[:, 1].argmin())
    assert 0.25 < peak / len(caret) < 0.75
    assert caret[0, 0] - 0.1 < caret[peak, 0] < caret[-1, 0] + 0.1
    assert caret[0, 0] < caret[-1, 0] - 0.1

    delete = drawn("delete", seed)
    middle = (delete.max(axis=0) + delete.min(axis=0)) / 2
    assert (delete[0] < middle).all(), "begins at the upper left"
    assert delete[-1, 0] > middle[0], "ends at the upper right"
    assert delete[-1, 1] < middle[1]

    star = drawn("star", seed)
    peak = int(star[: len(star) // 2, 1].argmin())
    assert star[0, 0] < star[peak, 0] + 0.1, "up from the lower left"
    assert star[0, 1] > star[peak, 1] + 0.2


@settings(max_examples=80, deadline=None)
@given(seeds, st.sampled_from(GESTURES))
@example(seed=66, label="caret")
@example(seed=101698, label="caret")
def test_gestures_stay_in_view(seed: int, label: str) -> None:
    points = drawn(label, seed)
    assert (points > -1e-9).all()
    assert (points < (ASPECT + 1e-9, 1 + 1e-9)).all()


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(GESTURES), st.floats(0.5, 8.0))
def test_timing_is_that_of_a_hand(seed: int, label: str, duration_s: float) -> None:
    rng = np.random.default_rng(seed)
    path = with_timing(vary(parametric(label, rng), rng, ASPECT), duration_s, rng)
    assert path.times_s[0] == 0
    assert path.duration_s == pytest.approx(duration_s)
    assert (np.diff(path.times_s) > 0).all()
    speed = 1 / np.diff(path.times_s)  # steps are of one length
    assert max(speed[0], speed[-1]) < 0.6 * speed.max(), "it starts from rest and comes to rest"
    assert np.array_equal(path.at(np.array([-1.0, duration_s + 1])), path.points[[0, -1]])


def test_corners_are_slower_than_strokes() -> None:
    corner = resample(np.array([(0.0, 0.0), (0.5, 0.0), (0.5, 0.5)]), 200)
    path = with_timing(corner, 2.0, np.random.default_rng(0))
    speed = 1 / np.diff(path.times_s)
    assert speed[95:105].min() < 0.6 * min(speed[40:60].mean(), speed[140:160].mean())


def write_paths(file: Path, **changes: object) -> Path:
    arrays: dict[str, object] = {
        "train_label": np.array(["left", "circle"]),
        "train_length": np.array([2, 3]),
        "train_xy": np.array([(500, 240), (100, 240), (0, 0), (50, 50), (0, 90)], np.float32),
    } | changes
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})  # type: ignore[arg-type]
    return file


@pytest.mark.parametrize("kind", ["i2", "i8", "u8"])
def test_path_bank_gives_a_drawn_path(tmp_path: Path, kind: str) -> None:
    changes = {"test_label": np.array(["star"]), "train_length": np.array([2, 3], kind)}
    bank = PathBank(write_paths(tmp_path / "p.npz", **changes))
    assert bank.labels == ("left", "circle")
    path = bank.pick("left", np.random.default_rng(0))
    assert path is not None
    assert path.shape == (200, 2)
    assert np.allclose(path[[0, -1]], np.array([(500, 240), (100, 240)]) / 480, atol=1e-6)
    assert bank.pick("star", np.random.default_rng(0)) is None, "test_* is not for training"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"train_xy": None}, "not a paths file"),
        ({"train_xy": np.zeros((5, 2), np.float32)}, "every path in it is a dot"),
        ({"train_length": np.array([2**63, 2**63 + 5], np.uint64)}, "do not add up"),
        ({"train_length": np.array([2, 9])}, "do not add up"),
        ({"train_length": np.array([-1, 6])}, "do not add up"),
        ({"train_length": np.array([2.0, 3.0])}, "integers"),
        ({"train_label": np.array(["left", "wave"])}, "unknown gesture 'wave'"),
        ({"train_label": np.array([1, 2])}, "text"),
        ({"train_xy": np.full((5, 2), np.nan, np.float32)}, "finite"),
        ({"train_xy": np.zeros((5, 3), np.float32)}, r"\(points, 2\)"),
        ({"train_label": np.array([{}, {}], dtype=object)}, "not a paths file"),
    ],
)
def test_wrong_paths_file_is_refused_in_one_line(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    file = write_paths(tmp_path / "p.npz", **changes)
    with pytest.raises(InputError, match=reason) as caught:
        PathBank(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut off"])
def test_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "p.npz"
    file.write_bytes(content)
    with pytest.raises(InputError, match="not a paths file"):
        PathBank(file)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(InputError, match="not a paths file"):
        PathBank(tmp_path / "one.npy")
    with pytest.raises(InputError, match="no such paths file"):
        PathBank(tmp_path / "missing.npz")
    with pytest.raises(InputError, match="not a paths file"):
        PathBank(tmp_path)
