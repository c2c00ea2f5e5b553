"""Training streams: which frame stands at which step, what is asked of it there, and what the teacher gets to see.

Every frame of a test clip is of one grey level that no other frame of any test clip has, so that a stream tells which
frames it is made of.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.manifest import InputSpec
from edgevid.preprocess import fit
from edgevid.sampling import TOLERANCE_S, sample_all
from edgevid_train.samples.augment import AugmentConfig
from edgevid_train.samples.labelled_clip import LabelledClip, sample_at, steps_of, turned
from edgevid_train.samples.sequence import StreamBuilder, TrainStream
from edgevid_train.samples.step_targets import IGNORE, StreamConfig

LABELS = ("left", "right", "other")
LEFT, RIGHT, OTHER = range(3)
PLAIN = AugmentConfig(
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
ALONE = StreamConfig(before=0, after=0)
"""The scene at rest before the action, and nothing after it."""


def a_clip(
    label: str = "left",
    frames: int = 30,
    fps: float = 15.0,
    *,
    grey: int = 0,
    starts_s: float = 0.0,
    span: tuple[float, float] | None = None,
    size: tuple[int, int] = (6, 8),
) -> LabelledClip:
    """Frame i is of grey level `grey + i`. `span`: the action, after `starts_s`; the whole clip unless given."""
    times_s = starts_s + np.arange(frames) / fps
    pixels = np.broadcast_to((grey + np.arange(frames, dtype=np.uint8))[:, None, None, None], (frames, *size, 3))
    start_s, end_s = span or (0.0, float(times_s[-1] - starts_s))
    return LabelledClip(pixels, times_s, label, starts_s + start_s, starts_s + end_s)


def a_stream(clip: LabelledClip, steps: int, seed: int = 0, others: tuple[LabelledClip, ...] = (), **changes):
    common = {"config": ALONE, "augment": PLAIN, "rate_hz": 8.0, "teacher_frames": 5, "background": "other"}
    rng = changes.pop("rng", None) or np.random.default_rng(seed)
    for name in ("", "teacher_"):
        height, width = changes.pop(f"{name}size", (6, 8))
        common[f"{name}input"] = InputSpec(height=height, width=width, fit=changes.pop(f"{name}fit", "stretch"))
    return StreamBuilder(labels=LABELS, **(common | changes)).build(clip, others, steps, rng)


def shown(frames: np.ndarray) -> list[int]:
    """Which frames these are, by their grey level."""
    assert (np.ptp(frames, axis=(1, 2, 3)) == 0).all()
    return [int(level) for level in frames[:, 0, 0, 0]]


# --- sampling


@settings(max_examples=200, deadline=None)
@given(
    gaps_ms=st.lists(st.floats(0.5, 900), min_size=0, max_size=60),
    start_s=st.floats(0, 1000),
    rate_hz=st.sampled_from([5.0, 8.0, 10.0, 12.5, 30.0]),
)
def test_frames_are_taken_as_the_runtime_takes_them(gaps_ms, start_s, rate_hz):
    times_s = start_s + np.cumsum([0.0, *gaps_ms]) / 1000
    clip = LabelledClip(np.zeros((len(times_s), 1, 1, 3), np.uint8), times_s, "left", times_s[0], times_s[-1])
    phases = (times_s - times_s[0] + TOLERANCE_S) * rate_hz
    if (np.abs(phases - np.round(phases)) < 1e-6).any():
        return  # a frame on the edge of the tolerance may fall either way
    runtime = sample_all([float(t) for t in times_s], rate_hz)
    assert steps_of(clip.times_s, rate_hz) == len(runtime)
    ticks_s = times_s[0] + np.arange(len(runtime)) / rate_hz
    assert sample_at(times_s, ticks_s).tolist() == runtime


def test_times_that_a_container_rounded_to_milliseconds_lose_no_frame():
    times_s = np.round(np.arange(31) / 30, 3)  # Matroska: 0, 0.033, 0.067, 0.1
    assert sample_at(times_s, np.arange(31) / 30).tolist() == list(range(31))


def test_ticks_beyond_the_end_get_the_last_frame_and_ticks_before_the_start_the_first():
    assert sample_at(np.array([1.0, 1.5]), np.array([-3.0, 1.2, 1.6, 9.0])).tolist() == [0, 1, 1, 1]


# --- what holds for every stream

clips = st.builds(
    a_clip,
    label=st.sampled_from(LABELS),
    frames=st.integers(1, 60),
    fps=st.sampled_from([7.5, 15.0, 29.97]),
    starts_s=st.sampled_from([0.0, 12.34]),
)


@st.composite
def spanned(draw) -> LabelledClip:
    """A clip whose action may begin after its first frame and end before its last."""
    clip = draw(clips)
    begin, end = draw(st.sampled_from([(0.0, 1.0), (0.3, 1.0), (0.95, 1.0), (0.1, 0.6), (0.2, 0.25)]))
    length_s = float(clip.times_s[-1] - clip.times_s[0])
    return replace(clip, start_s=clip.start_s + begin * length_s, end_s=clip.start_s + end * length_s)


@settings(max_examples=150, deadline=None)
@given(
    clip=spanned(),
    others=st.lists(clips, max_size=3),
    steps=st.integers(1, 40),
    rate_hz=st.sampled_from([1.0, 4.0, 8.0, 15.0]),
    seed=st.integers(0, 2**32 - 1),
    before=st.sampled_from([0.0, 1.0]),
    after=st.sampled_from([0.0, 1.0]),
    flip=st.booleans(),
)
def test_invariants(clip, others, steps, rate_hz, seed, before, after, flip):
    turns = {"left": "right", "right": "left", "other": "other"}
    augment = AugmentConfig(flip=turns if flip else {}, reverse=turns if flip else {})
    config = StreamConfig(before=before, after=after)

    def build() -> TrainStream:
        rng = np.random.default_rng(seed)
        return a_stream(clip, steps, others=tuple(others), augment=augment, config=config, rate_hz=rate_hz, rng=rng)

    stream, again = build(), build()
    assert stream.frames.shape == (steps, 6, 8, 3)
    assert stream.teacher_frames.shape == (5, 6, 8, 3)
    assert (stream.frames.dtype, stream.targets.dtype, stream.weights.dtype) == (np.uint8, np.int64, np.float32)
    assert stream.targets.shape == stream.weights.shape == stream.decisive.shape == (steps,)
    assert stream.places.shape == (steps, 2)
    assert stream.pointing.shape == (steps,)
    assert np.isin(stream.targets, [IGNORE, LEFT, RIGHT, OTHER]).all()
    assert (stream.weights >= 0).all()
    assert (stream.targets[stream.decisive] == stream.label).all()
    at_the_end = clip.end_s == clip.times_s[-1] and not flip
    longer_than_a_step = (clip.end_s - clip.start_s) / augment.speed[1] >= 1 / rate_hz
    if at_the_end or longer_than_a_step:  # else it may fall between the clip's beginning and the first step
        assert stream.decisive.any()
    if stream.label != OTHER:
        # the label is asked for in one run of steps that ends with, or `hold_s` after, the action
        steps_asked = np.flatnonzero(stream.decisive)
        assert (np.diff(steps_asked) == 1).all()
        if not others:
            assert (stream.decisive == (stream.targets == stream.label)).all()
        longest_s = (clip.end_s - clip.start_s) / augment.speed[0] + config.hold_s
        assert len(steps_asked) <= longest_s * rate_hz + 2
    for name in vars(stream):
        assert np.array_equal(
            getattr(stream, name), getattr(again, name), equal_nan=name.endswith(("places", "pointing", "progress"))
        ), name


# --- frames


def test_a_clip_at_its_own_speed_comes_in_order_and_ends_within_a_step_of_its_end():
    for seed in range(20):
        stream = a_stream(a_clip(frames=31), 17, seed)  # 2 s at 15 fps: 17 steps at 8 Hz
        frames = shown(stream.frames)
        assert frames == sorted(frames)
        assert frames[-1] >= 29  # a step is 1.9 frames
        assert set(np.diff(frames[1:])) <= {1, 2}


def test_a_slower_clip_takes_more_steps():
    for speed, taken in ((1.0, 17), (0.5, 33), (2.0, 9)):
        frames = shown(
            a_stream(a_clip(frames=31), 40, augment=PLAIN.model_copy(update={"speed": (speed, speed)})).frames
        )
        assert len(frames) - frames.count(frames[0]) + 1 == pytest.approx(taken, abs=2)


def test_a_stream_shorter_than_the_clip_keeps_its_end():
    stream = a_stream(a_clip(frames=60), 8)
    frames = shown(stream.frames)
    assert frames[-1] >= 58
    assert frames[0] >= 58 - 15
    assert stream.targets[-1] == LEFT


def test_before_a_clip_alone_its_first_frame_stands_still_without_loss():
    stream = a_stream(a_clip(frames=16), 20)
    assert shown(stream.frames)[:11] == [0] * 11
    assert (stream.weights[:11] == 0).all()
    assert not stream.decisive[:11].any()


def test_before_an_action_stands_the_end_of_another_clip():
    config = StreamConfig(before=1, after=0)
    for seed in range(10):
        stream = a_stream(a_clip(frames=16), 20, seed, (a_clip("right", 30, grey=100),), config=config)
        lead = shown(stream.frames)[:11]
        assert lead == sorted(lead)
        assert lead[0] >= 100
        assert lead[-1] == 129
        assert shown(stream.frames)[11] < 16


def test_before_an_action_stands_one_clip_after_the_other_each_with_its_own_targets():
    config = StreamConfig(before=1, after=0)
    others = (a_clip("right", 16, grey=100), a_clip("left", 31, grey=150))
    orders, pauses = set(), set()
    for seed in range(40):
        stream = a_stream(a_clip("right", 31), 70, seed, others, config=config, rate_hz=10.0)
        frames = np.array(shown(stream.frames))
        kinds = np.digitize(frames, [100, 150])
        orders.add("".join(str(kind) for kind in kinds[np.insert(np.diff(kinds) != 0, 0, True)]))
        assert (frames[0] == frames[frames >= 150][0]).all()
        assert stream.weights[0] == 0  # nobody knows what came before a scene at rest
        # what an action was called is held for 0.5 s into what comes after it
        for end, label in ((np.flatnonzero(kinds == 2)[-1], LEFT), (np.flatnonzero(kinds == 1)[-1], RIGHT)):
            last = np.flatnonzero(frames == frames[end])[0]  # then it may stand still
            pauses.add(int(end - last))
            assert (stream.targets[last + 1 : last + 5] == label).all()
            assert (stream.weights[last + 1 : last + 5] == 1).all()
            assert not stream.decisive[last + 1 : last + 5].any()
        assert (np.flatnonzero(stream.decisive) > np.flatnonzero(kinds == 1)[-1] + 4).all()
    assert orders == {"210"}
    assert 0 in pauses
    assert max(pauses) > 5


def test_a_clip_of_one_frame_is_recognised_in_its_last_step():
    stream = a_stream(a_clip(frames=1, grey=7), 6)
    assert shown(stream.frames) == [7] * 6
    assert shown(stream.teacher_frames) == [7] * 5
    assert stream.targets[-1] == LEFT
    assert stream.decisive.sum() <= 2


def test_the_teacher_sees_the_action_from_its_beginning_to_its_end_and_nothing_else():
    clip = a_clip(frames=61, span=(1.0, 3.0))  # of 4 s
    frames = shown(a_stream(clip, 10).teacher_frames)
    assert frames == [15, 23, 30, 38, 45]  # 15 fps; first at or after 1, 1.5, 2, 2.5, 3 s


@pytest.mark.parametrize("kind", ["crop", "letterbox"])
def test_student_and_teacher_see_what_their_inputs_fit_says(kind):
    noise = np.random.default_rng(0).integers(0, 256, (1, 9, 16, 3), np.uint8)
    clip = replace(a_clip(frames=1), frames=noise.repeat(10, axis=1).repeat(10, axis=2))
    size = (64, 64)
    spec = InputSpec(height=64, width=64, fit=kind, filter="linear")
    expected = fit(clip.frames[0], spec).astype(int)
    student = a_stream(clip, 2, size=size, fit=kind).frames[0].astype(int)
    teacher = a_stream(clip, 2, teacher_size=size, teacher_fit=kind).teacher_frames[0].astype(int)
    assert (student == teacher).all()
    assert np.abs(student - expected).mean() < 2
    stretched = a_stream(clip, 2, size=size).frames[0].astype(int)
    assert np.abs(stretched - expected).mean() > 20


# --- turning


class Always:
    """Random numbers that always choose to."""

    def random(self) -> float:
        return 0.0


def always_turned(clip: LabelledClip, **maps: dict[str, str]) -> LabelledClip:
    return turned(clip, PLAIN.model_copy(update=maps), Always())


def placed(clip: LabelledClip) -> LabelledClip:
    ramp = np.linspace(0.1, 0.6, len(clip.frames), dtype=np.float32)
    wide = np.random.default_rng(0).integers(0, 256, (len(clip.frames), 6, 8, 3), np.uint8)
    return replace(clip, frames=wide, place=np.stack([ramp, ramp**2], axis=1))


def assert_same(one: LabelledClip, other: LabelledClip):
    assert (one.frames == other.frames).all()
    assert np.allclose(one.times_s, other.times_s)
    assert (one.label, one.start_s, one.end_s) == (
        other.label,
        pytest.approx(other.start_s),
        pytest.approx(other.end_s),
    )
    assert np.allclose(one.places, other.places, equal_nan=True)


MIRROR = {"left": "right", "right": "left", "other": "other"}


@pytest.mark.parametrize("kind", ["flip", "reverse"])
@pytest.mark.parametrize("clip", [a_clip(span=(0.5, 1.2), starts_s=3.0), placed(a_clip(span=(0.1, 0.2)))])
def test_turning_twice_changes_nothing(kind, clip):
    assert_same(always_turned(always_turned(clip, **{kind: MIRROR}), **{kind: MIRROR}), clip)


def test_a_mirrored_clip_has_another_label_and_its_columns_the_other_way_round():
    clip = placed(a_clip())
    mirrored = always_turned(clip, flip=MIRROR)
    assert mirrored.label == "right"
    assert (mirrored.frames[:, :, 0] == clip.frames[:, :, -1]).all()
    assert np.allclose(mirrored.places, [1, 0] + clip.places * [-1, 1])


def test_a_reversed_clip_ends_with_its_beginning_and_its_action_moves_with_it():
    clip = a_clip(frames=31, starts_s=10.0, span=(0.0, 0.5))
    back = always_turned(clip, reverse=MIRROR)
    assert back.label == "right"
    assert shown(back.frames) == list(range(30, -1, -1))
    assert (back.times_s[0], back.times_s[-1]) == (pytest.approx(10), pytest.approx(12))
    assert (np.diff(back.times_s) > 0).all()
    assert (back.start_s, back.end_s) == (pytest.approx(11.5), pytest.approx(12))


def test_a_reversed_stream_is_decided_by_frames_that_came_first():
    clip = a_clip(frames=31, span=(0.0, 1.0))  # the second half of the clip is rest
    seeds = range(30)
    streams = [a_stream(clip, 16, s, augment=PLAIN.model_copy(update={"reverse": MIRROR})) for s in seeds]
    back = [stream for stream in streams if stream.label == RIGHT]
    assert 5 < len(back) < 25
    for stream in back:
        decided_on = np.array(shown(stream.frames))[stream.decisive]
        assert decided_on.max() <= 5  # 15 fps, the last 0.3 s
        assert shown(stream.teacher_frames) == [15, 11, 7, 3, 0]


def test_a_label_without_a_turned_meaning_is_never_turned():
    for seed in range(20):
        maps = {"flip": {"right": "left"}, "reverse": {"right": "left"}}
        stream = a_stream(a_clip(frames=31), 16, seed, augment=PLAIN.model_copy(update=maps))
        assert stream.label == LEFT
        assert shown(stream.frames) == sorted(shown(stream.frames))


# --- targets


def asked(stream: TrainStream) -> str:
    return "".join({IGNORE: "?", LEFT: "L", RIGHT: "R", OTHER: "."}[int(t)] for t in stream.targets)


def test_what_is_asked_along_an_action():
    # 2 s at 10 Hz: background to 40%, then nobody can say, the action from 85%
    for seed in range(10):
        stream = a_stream(a_clip(frames=31), 21, seed, rate_hz=10.0)
        assert asked(stream) == "." * 9 + "?" * 9 + "LLL"
        assert (stream.decisive == (stream.targets == LEFT)).all()
        assert stream.weights[-3:].tolist() == [1, 1, 1]
        assert stream.weights[:9].tolist() == pytest.approx([0.3] * 9)


def test_a_stream_too_short_for_a_clip_still_shows_the_end_of_its_action():
    clip = a_clip(frames=91, span=(1.0, 2.0))  # 4 s of rest after it
    for seed in range(10):
        stream = a_stream(clip, 15, seed, rate_hz=10.0)
        assert stream.decisive.sum() >= 3
        assert (np.array(shown(stream.frames)) < 30).sum() >= 9  # two thirds of the stream lie before its end


def test_rest_before_and_after_an_action_is_background():
    clip = a_clip(frames=91, span=(2.0, 3.0))  # 6 s at 15 fps
    stream = a_stream(clip, 60, rate_hz=10.0)
    since_end_s = (np.array(shown(stream.frames)) / 15) - 3.0
    assert (stream.targets[since_end_s < -0.7] == OTHER).all()
    assert (stream.targets[(since_end_s > -0.1) & (since_end_s < 0.4)] == LEFT).all()  # held for 0.5 s
    assert (stream.targets[(since_end_s > 0.6) & (since_end_s < 0.9)] == IGNORE).all()
    assert (stream.targets[since_end_s > 1.1] == OTHER).all()


def test_after_the_action_its_label_is_held_then_nobody_can_say_then_it_is_over():
    config = StreamConfig(before=0, after=1, after_s=3.0)
    tails = set()
    for seed in range(40):
        stream = a_stream(a_clip(frames=31), 60, seed, config=config, rate_hz=10.0)
        tails.add(asked(stream).lstrip(".").lstrip("?"))
    longest = max(tails, key=len)
    assert longest.strip(".").count("L") in (7, 8, 9)  # 0.3 s of the action and 0.5 s held
    assert longest.count("?") in (4, 5, 6)
    assert longest.endswith("..........")


def test_an_action_that_comes_after_is_never_called_background():
    quick = a_clip("right", 16, grey=100)  # done within its first second
    config = StreamConfig(before=0, after=1, after_s=2.5)
    seen = 0
    for seed in range(40):
        stream = a_stream(a_clip(frames=31), 60, seed, (quick,), config=config, rate_hz=10.0)
        frames = np.array(shown(stream.frames))
        under_way = (frames >= 100 + 0.4 * 15) & (stream.targets == OTHER)
        assert not under_way.any()
        seen += int((frames == 115).any())
    assert seen > 3


def test_background_that_comes_after_is_background():
    rest = a_clip("other", 31, grey=100)
    config = StreamConfig(before=0, after=1, after_s=2.5)
    over = 0
    for seed in range(20):
        stream = a_stream(a_clip(frames=31), 60, seed, (rest,), config=config, rate_hz=10.0)
        over += int(((np.array(shown(stream.frames)) > 118) & (stream.targets == OTHER)).any())
    assert over > 3


def test_of_background_every_step_is_background():
    stream = a_stream(a_clip("other", 31), 17)
    assert (stream.targets == OTHER).all()
    assert 0 < stream.decisive.sum() < 17


def test_an_action_shorter_than_what_is_sure_is_not_asked_for_before_it_begins():
    clip = a_clip(frames=60, fps=30.0, span=(1.8, 59 / 30))  # 0.17 s, of which `sure_s` is 0.3
    for seed in range(10):
        stream = a_stream(clip, 50, seed, rate_hz=30.0)
        assert min(np.array(shown(stream.frames))[stream.decisive]) >= 54


def test_a_hand_that_is_known_to_be_nowhere_does_not_point():
    clip = placed(a_clip(frames=16))
    clip = replace(clip, place=np.where(np.arange(16)[:, None] < 8, np.nan, clip.places).astype(np.float32))
    stream = a_stream(clip, 16, 0, config=StreamConfig(before=0, after=0))
    assert np.array_equal(stream.pointing, np.isfinite(stream.places).all(1).astype(np.float32))
    assert set(stream.pointing.tolist()) == {0.0, 1.0}


def test_places_come_with_their_frames():
    clip, other = placed(a_clip(frames=16)), replace(a_clip("right", 30), frames=np.zeros((30, 6, 8, 3), np.uint8))
    stream = a_stream(clip, 20, 0, (other,), config=StreamConfig(before=1, after=0))
    assert np.isnan(stream.places[:11]).all()  # of the other clip nobody knows where it points
    assert np.isnan(stream.pointing[:11]).all()
    assert (stream.pointing[11:] == 1).all()
    where = [int(np.flatnonzero((clip.frames == frame).all((1, 2, 3)))[0]) for frame in stream.frames[11:]]
    assert np.allclose(stream.places[11:], clip.places[where])
    assert np.allclose(stream.teacher_places[[0, -1]], clip.places[[0, -1]])


@given(st.integers(0, 10**6), st.floats(0.05, 1), st.floats(0.5, 2))
def test_jitter_moves_frames_by_less_than_a_step_and_keeps_their_order(seed: int, jitter: float, speed: float) -> None:
    clip = a_clip(frames=60, fps=60.0)
    plain, moved = (
        a_stream(clip, 8, seed, augment=PLAIN.model_copy(update={"jitter": share, "speed": (speed, speed)}))
        for share in (0.0, jitter)
    )
    shown, shifted = (stream.frames[:, 0, 0, 0].astype(int) for stream in (plain, moved))
    assert (np.diff(shifted) >= 0).all()
    assert np.abs(shifted - shown).max() <= np.ceil(jitter / 2 / 8.0 * speed * 60)
    assert moved.label == plain.label


def test_jitter_is_new_for_every_stream() -> None:
    config = PLAIN.model_copy(update={"jitter": 1.0})
    shown = {
        tuple(a_stream(a_clip(frames=60, fps=60.0), 8, seed, augment=config).frames[:, 0, 0, 0]) for seed in (1, 2, 1)
    }
    assert len(shown) == 2


# --- where a step is among what the teacher sees


def test_progress_is_the_place_of_a_step_among_the_teacher_s_frames():
    for seed, reverse in ((0, {}), (1, {}), (3, {"left": "right"})):
        augment = PLAIN.model_copy(update={"reverse": reverse, "speed": (0.7, 1.4)})
        clip = a_clip(frames=31, span=(0.5, 1.5))
        stream = a_stream(clip, 30, seed, augment=augment, config=StreamConfig(before=0, after=1.0))
        first, last = shown(stream.teacher_frames)[0], shown(stream.teacher_frames)[-1]
        within = ~np.isnan(stream.progress)
        assert 4 <= within.sum() < 30
        assert (np.diff(np.flatnonzero(within)) == 1).all()
        assert (np.diff(stream.progress[within]) > 0).all()
        places = first + (last - first) * stream.progress[within]
        assert np.abs(places - np.array(shown(stream.frames))[within]).max() <= 1  # a frame


def test_progress_follows_a_teacher_that_looks_at_a_rate():
    stream = a_stream(a_clip(frames=61), 33, teacher_rate_hz=2.0)  # the middle 2 of 4 seconds, in 5 frames
    within = ~np.isnan(stream.progress)
    frames = np.array(shown(stream.frames))[within]
    assert 14 <= frames.min() <= 17
    assert 43 <= frames.max() <= 46
    short = a_stream(a_clip(frames=16), 9, teacher_rate_hz=2.0)  # one second, and its end again and again
    assert shown(short.teacher_frames)[2:] == [15, 15, 15]
    known = short.progress[~np.isnan(short.progress)]
    assert known[:-1].max() <= 0.5  # the third of its five frames is the last of the action


# --- function matching


def test_with_one_view_the_teacher_sees_no_more_of_an_action_than_the_student():
    clip = a_clip(frames=61)  # four seconds
    for steps, seed, speed in ((9, 0, 1.0), (9, 1, 1.4), (12, 2, 0.7)):
        augment = PLAIN.model_copy(update={"speed": (speed, speed)})
        both, alone = (a_stream(clip, steps, seed, augment=augment, one_view=one_view) for one_view in (True, False))
        assert shown(both.frames) == shown(alone.frames)
        ours, theirs = shown(both.frames), shown(both.teacher_frames)
        assert shown(alone.teacher_frames)[0] == 0
        assert ours[0] > 5  # there is no room for the beginning
        assert (theirs[0], theirs[-1]) == (ours[0], ours[-1])
        assert np.nanmin(both.progress) == 0
        assert np.nanmax(both.progress) == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(clip=spanned(), steps=st.integers(1, 30), seed=st.integers(0, 2**32 - 1))
def test_one_view_is_of_some_part_of_every_action(clip, steps, seed):
    one, other = (a_stream(clip, steps, seed, one_view=one_view) for one_view in (True, False))
    assert one.teacher_frames.shape == other.teacher_frames.shape
    assert np.array_equal(one.frames, other.frames)
    if steps >= 2 and len(clip.times_s) > 40 and clip.times_s[-1] - clip.times_s[0] > 3:
        assert shown(one.teacher_frames)[0] >= shown(other.teacher_frames)[0]


def test_with_one_view_every_frame_of_the_teacher_is_the_student_s_at_that_time():
    """Everything else that is random is on: place, colours, a hidden part, shaking, speed."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    times_s = np.arange(61) / 30
    clip = LabelledClip(np.stack([coarse] * 61), times_s, "left", 0.0, 2.0)
    augment = AugmentConfig(shake=0.05, noise=0, blur=0, erase=1.0, speed=(0.6, 1.6))

    def apart(one_view: bool) -> float:
        found = []
        for seed in range(6):
            stream = a_stream(
                *(clip, 20, seed),
                **{"augment": augment, "rate_hz": 10.0, "size": (48, 64), "teacher_size": (48, 64)},
                **{"teacher_frames": 9, "one_view": one_view},
            )
            body = np.flatnonzero(~np.isnan(stream.progress))
            for number, frame in enumerate(stream.teacher_frames):
                near = body[np.abs(stream.progress[body] - number / 8).argmin()]
                found.append(np.abs(stream.frames[near].astype(float) - frame).mean())
        return float(np.mean(found))

    assert apart(one_view=True) < 0.6 * apart(one_view=False)


def test_blur_is_of_the_same_share_of_both_pictures():
    stripes = np.zeros((9, 96, 128, 3), np.uint8)
    stripes[:, :, 64:] = 200
    clip = LabelledClip(stripes, np.arange(9) / 8, "left", 0.0, 1.0)
    augment = PLAIN.model_copy(update={"blur": 1.0})

    def width(frame: np.ndarray) -> float:
        """Of the edge, in shares of the picture."""
        steep = np.abs(np.diff(frame[20, :, 0].astype(float)))
        places = np.arange(len(steep))
        middle = (steep * places).sum() / steep.sum()
        return float(np.sqrt((steep * (places - middle) ** 2).sum() / steep.sum()) / len(steep))

    for one_view in (True, False):
        sizes = {"size": (48, 64), "teacher_size": (96, 128)}
        stream = a_stream(clip, 9, 4, augment=augment, one_view=one_view, **sizes)
        ratio = width(stream.teacher_frames[0]) / width(stream.frames[-1])
        assert ratio == pytest.approx(1 if one_view else 0.5, rel=0.15)
