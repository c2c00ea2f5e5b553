"""The motion gate: closed on noise, open on a fingertip, and never closed for longer than the state stays valid."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import tiny_manifest

from edgevid.frame import Frame, Pixels
from edgevid.gate import SETTLED_S, HoldGate, MotionGate, grey
from edgevid.manifest import HoldRule, InputSpec

RATE_HZ = 8.0
MANIFEST = tiny_manifest("stream", rate_hz=RATE_HZ, input=InputSpec(height=72, width=96))
RESTING = 40  # looks, five seconds


def room(height: int, width: int, seed: int = 0) -> Pixels:
    """A picture with edges, gradients and texture, between 40 and 200."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (6, 8, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(8):
        x, y = (int(v) for v in rng.integers(0, (width, height)))
        colour = tuple(float(c) for c in rng.integers(40, 200, 3))
        cv2.rectangle(picture, (x, y), (x + width // 5, y + height // 7), colour, -1)
    return np.asarray(picture, np.uint8)


def with_dot(picture: Pixels, x: float, y: float, diameter: float, levels: float) -> Pixels:
    """A dot, its edge smoothed, brighter than what is behind it by so many levels; x and y in pixels."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.circle(mask, (round(x * 16), round(y * 16)), round(diameter * 8), 255, -1, cv2.LINE_AA, 4)
    return np.clip(picture + levels * (mask[..., None] / 255), 0, 255).astype(np.uint8)


def noisy(picture: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    return np.clip(picture + sigma * rng.standard_normal(picture.shape) + 0.5, 0, 255).astype(np.uint8)


def looks(
    gate: MotionGate, pictures: Sequence[Pixels], first: int = 0, rate_hz: float = RATE_HZ, *, quiet: bool = True
) -> list[bool]:
    """Whether the gate was closed for each picture."""
    return [
        gate.is_closed([Frame(p, i / rate_hz, i)], reset=False, quiet=quiet)
        for i, p in enumerate(pictures, start=first)
    ]


def closed_gate(picture: Pixels) -> MotionGate:
    """A gate that has looked at the same picture for five seconds and computed the last of them."""
    gate = MotionGate(MANIFEST)
    assert any(looks(gate, [picture] * RESTING))
    return gate


@pytest.mark.parametrize(("height", "width"), [(240, 320), (240, 426), (72, 96), (24, 32), (480, 640)])
def test_a_scene_that_stands_still_is_computed_until_it_has_settled_and_then_once_in_max_skip_s(
    height: int, width: int
) -> None:
    closed = looks(MotionGate(MANIFEST), [room(height, width)] * 60)
    settled = round(SETTLED_S * RATE_HZ)
    assert closed[:settled] == [False] * settled
    # Frames 7, 15, 23, ... are computed: one each second.
    assert closed[settled:] == [i % 8 != 7 for i in range(settled, 60)]


@given(sigma=st.floats(0, 6), seed=st.integers(0, 10_000), drift=st.floats(-0.01, 0.01))
@settings(max_examples=20, deadline=None)
def test_noise_and_a_drifting_exposure_do_not_open_it(sigma: float, seed: int, drift: float) -> None:
    rng = np.random.default_rng(seed)
    scene = room(240, 320, seed)
    pictures = [noisy(np.asarray(scene * (1 + drift * i / RATE_HZ), np.float32), sigma, rng) for i in range(RESTING)]
    closed = looks(MotionGate(MANIFEST), pictures)
    rests = closed[round(SETTLED_S * RATE_HZ) :]
    assert sum(rests) >= 0.75 * len(rests)


@given(
    size=st.sampled_from([(72, 96), (240, 320)]),
    seed=st.integers(0, 10_000),
    x=st.floats(0.1, 0.9),
    y=st.floats(0.1, 0.9),
    levels=st.floats(35, 55) | st.floats(-40, -35),
    sigma=st.floats(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_a_fingertip_that_moves_opens_it(
    size: tuple[int, int], seed: int, x: float, y: float, levels: float, sigma: float
) -> None:
    height, width = size
    diameter = height / 18  # four pixels of a model's input of 96x72
    rng = np.random.default_rng(seed)
    scene = room(height, width, seed)

    def seen(moved_by: float) -> Pixels:
        return noisy(with_dot(scene, x * width + moved_by, y * height, diameter, levels), sigma, rng)

    gate = MotionGate(MANIFEST)
    assert any(looks(gate, [seen(0.0) for _ in range(RESTING)]))
    assert not gate.is_closed([Frame(seen(diameter), RESTING / RATE_HZ, RESTING)], reset=False, quiet=True)


def test_slow_motion_adds_up_until_it_is_seen() -> None:
    scene = room(240, 320)
    manifest = tiny_manifest("stream", rate_hz=RATE_HZ, max_skip_s=60.0)
    gate = MotionGate(manifest)
    assert any(looks(gate, [with_dot(scene, 100, 100, 13, 60)] * RESTING))
    creeping = [with_dot(scene, 100 + 0.5 * i, 100, 13, 60) for i in range(40)]  # 4 pixels a second
    closed = looks(gate, creeping, first=RESTING)
    assert closed[:3] == [True] * 3, "half a pixel cannot be told from noise"
    assert not all(closed[:25]), "a fingertip's breadth is seen"


@pytest.mark.parametrize("level", [0, 1, 20])
def test_it_closes_on_a_dark_picture_and_opens_for_light(level: int) -> None:
    gate = closed_gate(np.full((240, 320, 3), level, np.uint8))
    assert looks(gate, [room(240, 320)], RESTING) == [False]


def test_a_light_that_goes_on_opens_it() -> None:
    scene = room(240, 320) // 2
    gate = closed_gate(scene)
    assert looks(gate, [scene * 2], first=RESTING) == [False]


def test_a_picture_of_another_size_opens_it() -> None:
    gate = closed_gate(room(240, 320))
    assert looks(gate, [room(320, 240)], first=RESTING) == [False]


def test_it_stays_open_while_something_is_going_on_and_after_a_gap() -> None:
    scene = room(240, 320)
    assert not any(looks(MotionGate(MANIFEST), [scene] * 40, quiet=False))
    gate = closed_gate(scene)
    assert looks(gate, [scene] * 2, first=RESTING) == [True, True]
    assert not gate.is_closed([Frame(scene, (RESTING + 2) / RATE_HZ, RESTING + 2)], reset=True, quiet=True)
    assert not any(looks(gate, [scene] * 4, first=RESTING + 3)), "it has to settle anew"


@given(
    deltas_s=st.lists(st.sampled_from([0.03, 0.125, 0.125, 0.125, 0.2, 0.7]), min_size=1, max_size=120),
    moves=st.lists(st.booleans(), min_size=120, max_size=120),
    quiets=st.lists(st.sampled_from([True, True, True, False]), min_size=120, max_size=120),
    max_skip_s=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
)
@settings(max_examples=150, deadline=None)
def test_under_any_times_it_closes_only_at_rest_and_never_beyond_max_skip_s(
    deltas_s: list[float], moves: list[bool], quiets: list[bool], max_skip_s: float
) -> None:
    gate = MotionGate(tiny_manifest("stream", rate_hz=RATE_HZ, max_skip_s=max_skip_s))
    scenes = [np.full((24, 32, 3), 90, np.uint8), np.full((24, 32, 3), 180, np.uint8)]
    shows, time_s, computed_s, disturbed_s = 0, 0.0, 0.0, 0.0
    for i, delta_s in enumerate([0.0, *deltas_s]):
        time_s += delta_s
        changes = i > 0 and moves[i - 1] and moves[i - 2]  # a quarter of the time
        shows ^= changes
        quiet = quiets[i - 1]
        closed = gate.is_closed([Frame(scenes[shows], time_s, i)], reset=False, quiet=quiet)
        if i == 0 or changes or not quiet:
            assert not closed
            disturbed_s = time_s
        if closed:
            assert time_s - computed_s <= max_skip_s + 1e-3
            assert time_s - disturbed_s >= SETTLED_S
        else:
            computed_s = time_s


def test_before_a_clip_model_a_whole_window_must_be_still() -> None:
    manifest = tiny_manifest("clip", rate_hz=4.0, clip_frames=8, max_skip_s=2.0)  # two seconds
    scene, dot = room(60, 80), with_dot(room(60, 80), 40, 30, 6, 90)
    gate = MotionGate(manifest)
    frames = [Frame(dot if i == 9 else scene, i / 4, i) for i in range(40)]
    closed = [gate.is_closed(frames[i - 7 : i + 1], reset=False, quiet=True) for i in range(7, 40, 2)]
    # The window that ends at frame 11 is the first that shows the dot, between two looks; at 9 + 8 it has slid out.
    ends = dict(zip(range(7, 40, 2), closed, strict=True))
    assert not any(ends[end] for end in range(7, 19, 2))
    assert ends[21]
    assert {end for end, is_closed in ends.items() if not is_closed and end > 21} == {25, 33}


def test_small_pictures_are_not_enlarged_and_large_ones_shrink_by_a_whole_factor() -> None:
    shapes: dict[tuple[int, int], tuple[int, int]] = {
        (24, 32): (24, 32),
        (72, 96): (72, 96),
        (144, 180): (72, 90),
        (240, 426): (60, 106),
        (480, 640): (60, 80),
    }
    for (height, width), small in shapes.items():
        levels: NDArray[np.float32] = grey(np.full((height, width, 3), 77, np.uint8))
        assert levels.shape == small
        assert (levels == 77).all()


@given(
    quiet=st.integers(0, 4),
    busy=st.integers(0, 4),
    due=st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=60),
)
def test_one_look_stands_for_no_more_ticks_than_the_rule_says(
    quiet: int, busy: int, due: list[tuple[int, bool]]
) -> None:
    gate = HoldGate(HoldRule(quiet=quiet, busy=busy))
    held = 0
    for ticks, is_quiet in due:
        most = quiet if is_quiet else busy
        assert gate.is_closed(ticks, quiet=is_quiet) == (held + ticks <= most)
        held += ticks
        if held > most:
            gate.looked()
            held = 0
