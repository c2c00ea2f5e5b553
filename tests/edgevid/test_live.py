"""A run, its halves interleaved in any order: every frame has one fate, and what is emitted is right."""

import _thread
import json
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import COLOURS, T, tiny_clip_model, tiny_conditional_model, tiny_manifest, tiny_stream_model
from videos import write_video

from edgevid.cascade import saving
from edgevid.errors import EdgevidError, InputError
from edgevid.events import Event
from edgevid.frame import Frame
from edgevid.live import run
from edgevid.manifest import HoldRule, Manifest
from edgevid.models.contract import ClipModel, Outputs, State, StreamModel
from edgevid.models.load import load
from edgevid.notice import Notice
from edgevid.pipeline import Options, Pipeline
from edgevid.sinks.contract import View
from edgevid.sources import open_source
from edgevid.sources.contract import Source, SourceInfo


class Frames(Source):
    """Frames given beforehand."""

    def __init__(self, frames: Sequence[Frame], rate_hz: float | None = 30.0) -> None:
        super().__init__()
        self.info = SourceInfo("frames", 32, 24, rate_hz, None, live=False)
        self._left = list(frames)

    def _read(self) -> Frame | None:
        return self._left.pop(0) if self._left else None

    def _release(self) -> None:
        pass


class Collected:
    """A sink that remembers."""

    wants_views = False

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.notices: list[Notice] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def view(self, view: View) -> None:
        raise AssertionError(f"asked for no views, got {view}")

    def close(self) -> None:
        pass

    def brief(self) -> list[tuple[str, str]]:
        return [(e.type, e.label) for e in self.events if e.type != "update"]


def coloured(*periods: tuple[str, float], rate_hz: float = 30.0, start_s: float = 0.0) -> list[Frame]:
    """Frames that show each colour for so many seconds."""
    labels = [label for label, seconds in periods for _ in range(round(seconds * rate_hz))]
    return [
        Frame(np.full((24, 32, 3), COLOURS[label], np.uint8), start_s + i / rate_hz, i)
        for i, label in enumerate(labels)
    ]


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> StreamModel:
    model = load(tiny_stream_model(tmp_path_factory.mktemp("model") / "tiny.onnx"))
    assert isinstance(model, StreamModel)
    return model


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ClipModel:
    model = load(tiny_clip_model(tmp_path_factory.mktemp("model") / "tiny.clip.onnx"))
    assert isinstance(model, ClipModel)
    return model


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> StreamModel:
    model = load(tiny_conditional_model(tmp_path_factory.mktemp("model") / "tiny.onnx"))
    assert isinstance(model, StreamModel)
    return model


class Looked:
    """A stream model that remembers which of its steps held."""

    def __init__(self, model: StreamModel) -> None:
        self.model, self.manifest = model, model.manifest
        self.held: list[bool] = []

    @property
    def looks(self) -> int:
        return self.held.count(False)

    def with_thresholds(self, thresholds: Sequence[float | None]) -> "Looked":
        return Looked(self.model.with_thresholds(thresholds))

    def with_hold(self, rule: HoldRule) -> "Looked":
        return Looked(self.model.with_hold(rule))

    def zero_state(self) -> State:
        return self.model.zero_state()

    def step(self, pixels: Any, state: State) -> tuple[Outputs, State]:
        self.held.append(False)
        return self.model.step(pixels, state)

    def hold(self, state: State) -> tuple[Outputs, State]:
        self.held.append(True)
        return self.model.hold(state)


def through(model: StreamModel | ClipModel, frames: Sequence[Frame], options: Options) -> tuple[Pipeline, Collected]:
    """A whole run on this thread: after each frame all that is due."""
    sink = Collected()
    pipeline = Pipeline(Frames(frames), model, options, [sink], clock=lambda: 0.0)
    while pipeline.read():
        while pipeline.compute(wait=False):
            pass
    pipeline.flow.end()
    while pipeline.compute(wait=False):
        pass
    pipeline.finish()
    return pipeline, sink


FILE = Options(every_frame=True, paced=False)
PLAY = (("other", 1.0), ("red", 0.8), ("other", 1.0), ("blue", 0.8), ("other", 1.0))


@pytest.mark.parametrize("kind", ["stream", "clip"])
@pytest.mark.parametrize("rate_hz", [10.0, 25.0, 29.97, 60.0])
def test_both_kinds_find_the_same_actions_at_any_camera_rate(
    stream: StreamModel, clip: ClipModel, kind: str, rate_hz: float
) -> None:
    model = stream if kind == "stream" else clip
    pipeline, sink = through(model, coloured(*PLAY, rate_hz=rate_hz), FILE)
    assert sink.brief() == [("start", "red"), ("end", "red"), ("start", "blue"), ("end", "blue")]
    red, blue = (e for e in sink.events if e.type == "end")
    assert red.start_s == pytest.approx(1.0, abs=0.25)
    assert red.end_s == pytest.approx(1.8, abs=0.35)
    assert blue.start_s == pytest.approx(2.8, abs=0.25)
    counts = pipeline.flow.counts
    counts.check()
    assert counts.pending == counts.dropped == 0
    assert counts.computed == pytest.approx(46, abs=2 if kind == "stream" else 4)


@pytest.mark.parametrize("kind", ["stream", "clip"])
def test_frames_that_the_model_does_not_take_need_no_pixels(
    stream: StreamModel, clip: ClipModel, kind: str, tmp_path: Path
) -> None:
    model = stream if kind == "stream" else clip
    video = write_video(tmp_path / "play.mp4", [f.pixels for f in coloured(*PLAY, rate_hz=25.0)], fps=25.0)
    told = []
    for only_sampled in (False, True):
        collected = Collected()
        with open_source(video, pace="fast") as source:
            options = Options(every_frame=True, paced=False, only_sampled=only_sampled)
            pipeline = Pipeline(source, model, options, [collected], clock=lambda: 0.0)
            assert not run(pipeline)
        events = [(e.type, e.label, e.score, e.start_s, e.end_s) for e in collected.events]
        told.append((events, pipeline.flow.counts, source.counts))
    assert told[0] == told[1]
    assert {label for _, label, *_ in told[0][0]} == {"red", "blue"}


def test_an_event_says_who_saw_it_when_and_how_late(stream: StreamModel) -> None:
    now_s = 100.0
    sink = Collected()
    frames = [Frame(f.pixels, f.time_s, f.index, 100.0 + f.time_s) for f in coloured(*PLAY)]
    pipeline = Pipeline(Frames(frames), stream, Options(), [sink], clock=lambda: now_s)
    for frame in frames:
        now_s = frame.captured_s
        pipeline.read()
        now_s += 0.02
        pipeline.compute(wait=False)
    pipeline.finish()
    start = sink.events[0]
    assert start.latency_ms == pytest.approx(20)
    assert start.emitted_s == pytest.approx(1.1 + 0.02, abs=0.11)
    assert (start.source, start.model, start.exit) == ("frames", stream.manifest.id, "final")
    assert {e.id for e in sink.events if e.label == "red"} == {start.id}
    assert len({e.id for e in sink.events}) == 2
    assert pipeline.latencies.percentile(50) == pytest.approx(20, rel=0.03)
    _, whole = through(stream, coloured(*PLAY), FILE)
    assert sink.brief() == whole.brief()
    assert [e.emitted_s for e in whole.events] == [pytest.approx(e.emitted_s - 0.02) for e in sink.events]


def test_the_end_of_the_source_ends_what_is_going_on(stream: StreamModel) -> None:
    _, sink = through(stream, coloured(("other", 1), ("green", 1)), FILE)
    assert sink.brief() == [("start", "green"), ("end", "green")]
    assert sink.events[-1].end_s == pytest.approx(1.9, abs=0.11)


@pytest.mark.parametrize("kind", ["stream", "clip"])
def test_a_gap_ends_what_is_going_on_and_forgets_it(stream: StreamModel, clip: ClipModel, kind: str) -> None:
    before = coloured(("other", 1), ("red", 1))
    after = [Frame(f.pixels, f.time_s + 7, f.index + len(before)) for f in coloured(("red", 1), ("other", 1))]
    pipeline, sink = through(stream if kind == "stream" else clip, [*before, *after], FILE)
    assert sink.brief() == [("start", "red"), ("end", "red")] * 2
    first_end = next(e for e in sink.events if e.type == "end")
    assert first_end.end_s == pytest.approx(2.0, abs=0.11)
    assert pipeline.metrics()["gaps"] == pipeline.metrics()["state_resets"] == 1


class Shaky(Frames):
    """Is lost before frame `at`, and back with it."""

    def __init__(self, frames: Sequence[Frame], at: int) -> None:
        super().__init__(frames)
        self._at = at

    def _read(self) -> Frame | None:
        frame = super()._read()
        if frame and frame.index == self._at:
            self.lost = "gives no frames any more"
            self.tell("lost", "frames is lost", 2.0)
            self.at_loss()
            self.lost = None
            self.tell("back", "frames is back", frame.time_s)
        return frame

    at_loss: Callable[[], object] = staticmethod(lambda: None)


@pytest.mark.parametrize("kind", ["stream", "clip"])
def test_a_source_that_is_lost_ends_what_is_going_on_at_once_and_says_so(
    stream: StreamModel, clip: ClipModel, kind: str
) -> None:
    before = coloured(("other", 1), ("red", 1))
    after = [Frame(f.pixels, f.time_s + 7, f.index + len(before)) for f in coloured(("red", 1), ("other", 1))]
    source, sink = Shaky([*before, *after], at=len(before)), Collected()
    pipeline = Pipeline(source, stream if kind == "stream" else clip, Options(), [sink], clock=lambda: 0.0)

    def compute() -> None:
        while pipeline.compute(wait=False):
            pass

    def at_loss() -> None:
        assert pipeline.view(with_frame=False).faults == ("frames gives no frames any more; trying again",)
        compute()
        assert sink.brief() == [("start", "red"), ("end", "red")]
        assert [notice.notice for notice in sink.notices] == ["lost"]

    source.at_loss = at_loss
    while pipeline.read():
        compute()
    pipeline.flow.end()
    pipeline.finish()
    assert sink.brief() == [("start", "red"), ("end", "red")] * 2
    assert [(notice.notice, notice.text, notice.time_s) for notice in sink.notices] == [
        ("lost", "frames is lost", 2.0),
        ("back", "frames is back", 7.0),
    ]
    assert pipeline.view(with_frame=False).faults == ()
    counts = pipeline.flow.counts
    counts.check()
    assert (counts.captured, counts.dropped, counts.pending) == (120, 0, 0)
    assert pipeline.metrics()["state_resets"] == 1


@pytest.mark.parametrize("kind", ["stream", "clip"])
def test_a_loss_however_short_is_a_gap(stream: StreamModel, clip: ClipModel, kind: str) -> None:
    play = coloured(("red", 4), rate_hz=10)
    pipeline = Pipeline(Shaky(play, at=20), stream if kind == "stream" else clip, Options(), clock=lambda: 0.0)
    while pipeline.read():
        while pipeline.compute(wait=False):
            pass
    assert pipeline.metrics()["gaps"] == pipeline.metrics()["state_resets"] == 1


@pytest.mark.parametrize("kind", ["stream", "clip"])
@pytest.mark.parametrize("every_frame", [False, True])
def test_where_frames_become_larger_there_is_room_for_as_many(
    stream: StreamModel, clip: ClipModel, kind: str, every_frame: bool
) -> None:
    play = [
        Frame(frame.pixels.repeat(10, axis=0).repeat(10, axis=1) if frame.index > 60 else frame.pixels, frame.time_s, i)
        for i, frame in enumerate(coloured(("other", 2), ("red", 2), ("other", 1)))
    ]
    options = Options(every_frame=every_frame, paced=not every_frame)
    pipeline, sink = through(stream if kind == "stream" else clip, play, options)
    assert sink.brief() == [("start", "red"), ("end", "red")]
    assert pipeline.flow.counts.dropped == 0


class Stuck(Frames):
    """Gives what it has and then does not come back from a read, as a camera's driver may."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        super().__init__(frames)
        self.info = replace(self.info, live=True)
        self.stuck, self.released = threading.Event(), threading.Event()

    def _read(self) -> Frame | None:
        if not self._left:
            self.stuck.set()
            self.released.wait(60)
        return super()._read()


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_or_twice_ends_what_is_going_on_though_the_source_does_not_answer(
    stream: StreamModel, times: int
) -> None:
    source, sink = Stuck(coloured(("red", 1), rate_hz=10)), Collected()
    pipeline = Pipeline(source, stream, Options(), [sink], clock=lambda: 0.0)

    def every() -> bool:
        if sink.brief() and source.stuck.is_set():
            if times == 2:
                threading.Timer(0.1, _thread.interrupt_main).start()
            signal.raise_signal(signal.SIGINT)
        return True

    began_s = time.monotonic()
    assert run(pipeline, every_s=0.01, every=every)
    assert time.monotonic() - began_s < 30
    assert sink.brief() == [("start", "red"), ("end", "red")]
    source.released.set()


def test_ctrl_c_as_a_lock_is_being_taken_leaves_it_to_nobody(
    stream: StreamModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an exception it left the lock of an event taken for ever, and the whole run waited for it."""
    source, sink = Stuck(coloured(("red", 1), rate_hz=10)), Collected()
    pipeline = Pipeline(source, stream, Options(), [sink], clock=lambda: 0.0)
    take, struck = threading.Condition.__enter__, threading.Event()

    def take_and_strike(condition: threading.Condition) -> bool:
        taken = take(condition)
        if sink.brief() and threading.current_thread() is threading.main_thread() and not struck.is_set():
            monkeypatch.undo()
            struck.set()
            signal.raise_signal(signal.SIGINT)
        return taken

    monkeypatch.setattr(threading.Condition, "__enter__", take_and_strike)
    assert run(pipeline, every_s=0.01, every=lambda: True)
    assert struck.is_set()
    assert sink.brief() == [("start", "red"), ("end", "red")]
    source.released.set()


def test_a_loss_that_nobody_had_time_for_still_ends_what_was_going_on(stream: StreamModel) -> None:
    """The network computes nothing from before the loss until frames have pushed out what told of it."""
    play = coloured(("red", 2), rate_hz=10)
    source, sink = Shaky(play, at=10), Collected()
    pipeline = Pipeline(source, stream, Options(), [sink], clock=lambda: 0.0)
    for _ in range(10):
        pipeline.read()
        pipeline.compute(wait=False)
    assert sink.brief() == [("start", "red")]
    while pipeline.read():
        pass
    while pipeline.compute(wait=False):
        pass
    assert sink.brief()[:2] == [("start", "red"), ("end", "red")]
    assert [notice.notice for notice in sink.notices] == ["lost", "back"]
    pipeline.flow.end()
    pipeline.flow.counts.check()


def test_when_the_network_falls_behind_the_newest_wins_and_a_gap_in_what_was_skipped_is_not_forgotten(
    stream: StreamModel,
) -> None:
    pipeline = Pipeline(Frames(coloured(("red", 0.9), rate_hz=10)), stream, Options(), clock=lambda: 0.0)
    for _ in range(9):
        pipeline.read()
    counts = pipeline.flow.counts
    assert (counts.dropped, counts.pending) == (8, 1)  # two may wait at 10 Hz; the third pushes both out
    assert pipeline.compute(wait=False)
    assert pipeline.view(with_frame=False).time_s == pytest.approx(0.8)

    before = coloured(("red", 0.3), rate_hz=10)
    after = [Frame(f.pixels, f.time_s + 5, f.index + 3) for f in coloured(("red", 1.0), rate_hz=10)]
    pipeline = Pipeline(Frames([*before, *after]), stream, Options(), clock=lambda: 0.0)
    pipeline.read()
    pipeline.compute(wait=False)
    for _ in range(12):  # the frame that told of the gap is dropped unseen
        pipeline.read()
    while pipeline.compute(wait=False):
        pass
    assert pipeline.metrics()["state_resets"] == 1


@pytest.mark.parametrize("kind", ["stream", "clip"])
@pytest.mark.parametrize("rate_hz", [4.0, 10.0, 29.97])
def test_the_gate_skips_what_stands_still_and_the_events_are_the_same(
    stream: StreamModel, clip: ClipModel, kind: str, rate_hz: float
) -> None:
    model = stream if kind == "stream" else clip
    play = (("other", 6.0), ("red", 4.0), ("other", 6.0), ("blue", 0.8), ("other", 0.4))
    told = []
    for gate in (False, True):
        options = Options(every_frame=True, paced=False, gate=gate)
        pipeline, sink = through(model, coloured(*play, rate_hz=rate_hz), options)
        counts = pipeline.flow.counts
        counts.check()
        told.append([(e.type, e.label, e.start_s, e.end_s, e.exit) for e in sink.events])
        assert sum(pipeline.exits.values()) >= counts.computed
        assert pipeline.metrics()["state_resets"] == 0
    assert sink.brief() == [("start", "red"), ("end", "red"), ("start", "blue"), ("end", "blue")]
    assert told[0] == told[1]
    assert counts.gated > 0.3 * (counts.gated + counts.computed)
    assert pipeline.time_s == pytest.approx(sum(seconds for _, seconds in play), abs=0.3), "held frames count as seen"


def test_what_is_gated_takes_no_latency_and_no_step(stream: StreamModel) -> None:
    options = Options(every_frame=True, paced=False, gate=True)
    pipeline, _ = through(stream, coloured(("other", 10)), options)
    counts = pipeline.flow.counts
    assert (counts.gated + counts.computed, counts.pending) == (100, 0)
    assert counts.computed == 10 + 9, "ten until it closes, then one a second"
    assert pipeline.latencies.n == pipeline.exits["final"] == counts.computed


def test_a_look_is_held_no_longer_than_the_state_after_it_is_good_for(conditional: StreamModel) -> None:
    most = conditional.manifest.most_held
    assert (most + 1) / conditional.manifest.rate_hz <= conditional.manifest.max_skip_s
    held = saving(conditional, hold=f"{most},1")
    assert held.manifest.hold == HoldRule(quiet=most, busy=1)
    with pytest.raises(InputError, match=f"a look is good for {most} frames more at most"):
        saving(conditional, hold=f"1,{most + 1}")
    with pytest.raises(ValueError, match="hold: at most"):
        Manifest.model_validate(conditional.manifest.model_dump() | {"hold": {"quiet": most + 1, "busy": 0}})


@pytest.mark.parametrize("hold", [HoldRule(quiet=1, busy=1), HoldRule(quiet=2), HoldRule(quiet=3, busy=1)])
def test_one_look_stands_for_as_many_frames_as_the_manifest_says(conditional: StreamModel, hold: HoldRule) -> None:
    play = [f for f in coloured(*PLAY) if f.index % 3 == 0]  # the model's own rate, so that every frame is due
    holding = conditional.with_hold(hold)
    plain, usual = through(holding, play, FILE)
    assert (plain.held, plain.flow.counts.gated) == (0, 0), "without the gate every frame is looked at"
    watched = Looked(holding)
    pipeline, sink = through(watched, play, Options(every_frame=True, paced=False, gate=True))
    assert sink.brief() == usual.brief()
    counts = pipeline.flow.counts
    counts.check()
    assert counts.computed + counts.gated == len(play)
    assert pipeline.held == pipeline.metrics()["held"] > 0.2 * len(play)
    assert sum(pipeline.exits.values()) == watched.looks == counts.computed
    runs = [len(run) for run in "".join("h" if held else " " for held in watched.held).split()]
    assert max(runs) == max(hold.quiet, hold.busy)


def test_ticks_are_counted_where_one_frame_serves_several(conditional: StreamModel) -> None:
    play = coloured(*PLAY, rate_hz=5)  # half the model's own rate
    gated = Options(every_frame=True, paced=False, gate=True)
    for hold in (HoldRule(), HoldRule(quiet=4, busy=4)):
        pipeline, _ = through(conditional.with_hold(hold), play, gated)
        counts, figures = pipeline.flow.counts, pipeline.metrics()
        assert counts.computed + counts.gated == len(play)
        assert sum(figures["exits"].values()) + figures["held"] + figures["rested"] == 2 * len(play) - 1
        assert (figures["held"] > counts.gated) == (hold.busy > 0)


def test_after_a_gap_what_was_seen_before_stands_for_nothing(conditional: StreamModel) -> None:
    before = coloured(("red", 0.5), rate_hz=10)
    after = [Frame(f.pixels, f.time_s + 9, f.index + len(before)) for f in coloured(("blue", 0.5), rate_hz=10)]
    watched = Looked(conditional.with_hold(HoldRule(quiet=16, busy=16)))
    pipeline, sink = through(watched, [*before, *after], Options(every_frame=True, paced=False, gate=True))
    assert watched.held == [False, *[True] * 4] * 2
    assert pipeline.metrics()["state_resets"] == 1
    assert {event.exit for event in sink.events} <= {"final"}


def test_a_gap_opens_the_gate(stream: StreamModel) -> None:
    before = coloured(("other", 5))
    after = [Frame(f.pixels, f.time_s + 8, f.index + len(before)) for f in coloured(("other", 0.5))]
    options = Options(every_frame=True, paced=False, gate=True)
    alone, _ = through(stream, before, options)
    pipeline, _ = through(stream, [*before, *after], options)
    assert alone.flow.counts.gated == pipeline.flow.counts.gated > 0
    assert pipeline.metrics()["state_resets"] == 1


def test_a_source_that_ends_at_once_and_a_stop_in_mid_run_leave_nothing_pending(stream: StreamModel) -> None:
    empty, sink = through(stream, [], FILE)
    assert sink.events == []
    assert empty.metrics()["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    pipeline = Pipeline(Frames(coloured(("red", 1))), stream, FILE, clock=lambda: 0.0)
    for _ in range(6):
        pipeline.read()
    pipeline.flow.end(drop_waiting=True)
    pipeline.read()  # a frame that was being captured meanwhile
    counts = pipeline.flow.counts
    counts.check()
    assert (counts.pending, counts.dropped) == (0, 3)


manifests = st.builds(
    lambda kind, rate_hz: tiny_manifest(kind, rate_hz=rate_hz),
    st.sampled_from(["stream", "clip"]),
    st.sampled_from([3.0, 10.0, 30.0]),
)


class Still:
    """A model of either kind that sees nothing, at no cost: what is tested is what goes on around it."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def outputs(self, *lead: int) -> Outputs:
        return Outputs(np.zeros((2, *lead, 4), np.float32), np.zeros((*lead, 3), np.float32))


class StillStream(Still):
    def with_thresholds(self, thresholds: Sequence[float | None]) -> "StillStream":
        return StillStream(self.manifest.with_thresholds(thresholds))

    def with_hold(self, rule: HoldRule) -> "StillStream":
        return StillStream(self.manifest.with_hold(rule))

    def zero_state(self) -> State:
        return {}

    def step(self, _pixels: Any, state: State) -> tuple[Outputs, State]:
        return self.outputs(), state

    def hold(self, state: State) -> tuple[Outputs, State]:
        return self.outputs(), state


class StillClip(Still):
    def run(self, _clip: Any) -> Outputs:
        return self.outputs(T)


@given(
    manifest=manifests,
    deltas_s=st.lists(st.sampled_from([0.001, 0.033, 0.04, 0.1, 0.5, 1.5]), max_size=80),
    turns=st.lists(st.sampled_from(["read", "read", "compute", "end"]), max_size=200),
    every_frame=st.booleans(),
    stride_s=st.sampled_from([None, 0.1, 0.5, 3.0]),
    gate=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_every_frame_has_one_fate_under_any_schedule(
    manifest: Manifest, deltas_s: list[float], turns: list[str], every_frame: bool, stride_s: float | None, gate: bool
) -> None:
    model = StillStream(manifest) if manifest.kind == "stream" else StillClip(manifest)
    times_s = np.cumsum([0.0, *deltas_s])
    frames = [Frame(np.zeros((24, 32, 3), np.uint8), float(t), i) for i, t in enumerate(times_s)]
    options = Options(every_frame=every_frame, stride_s=stride_s, gate=gate)
    pipeline = Pipeline(Frames(frames), model, options, clock=lambda: 0.0)
    ended = False
    for turn in turns:
        if turn == "read" and pipeline.flow.has_room:
            pipeline.read()
        elif turn == "compute":
            pipeline.compute(wait=False)
        elif turn == "end" and not ended and len(turns) % 3 == 0:
            pipeline.flow.end(drop_waiting=len(turns) % 2 == 0)
            ended = True
        counts = pipeline.flow.counts
        counts.check()
        waiting_at_most = 4 if every_frame else max(1, round(0.2 * manifest.rate_hz))
        if manifest.kind == "stream":
            assert counts.pending <= waiting_at_most
        if every_frame and not ended:
            assert counts.dropped == 0
    pipeline.flow.end()
    while pipeline.compute(wait=False):
        pass
    counts = pipeline.flow.counts
    counts.check()
    assert counts.pending == 0
    assert gate or counts.gated == 0


def test_the_threads_of_a_run_compute_every_frame_of_a_file(stream: StreamModel) -> None:
    sink = Collected()
    pipeline = Pipeline(Frames(coloured(*PLAY)), stream, FILE, [sink])
    assert run(pipeline, every_s=0.01) is False
    alone, told = through(stream, coloured(*PLAY), FILE)
    assert pipeline.flow.counts == alone.flow.counts
    assert [(e.type, e.start_s, e.end_s) for e in sink.events] == [(e.type, e.start_s, e.end_s) for e in told.events]
    assert threading.active_count() == 1 or not [t for t in threading.enumerate() if t.name in ("reading", "computing")]


def test_in_files_the_reader_waits_before_it_overwrites_what_is_still_to_be_computed(stream: StreamModel) -> None:
    times_s = [0.0, 0.1, *np.linspace(0.11, 0.19, 2000), 0.2]  # as a file with broken times may have it
    pixels = np.zeros((24, 32, 3), np.uint8)
    frames = [Frame(pixels, float(t), i) for i, t in enumerate(times_s)]
    pipeline = Pipeline(Frames(frames), stream, FILE, clock=lambda: 0.0)
    while pipeline.flow.has_room and pipeline.read():
        pass
    assert pipeline.flow.counts.captured < 100
    while pipeline.compute(wait=False):
        while pipeline.flow.has_room and pipeline.read():
            pass
    counts = pipeline.flow.counts
    counts.check()
    assert (counts.captured, counts.computed) == (len(frames), 3)


class Blind(StillStream):
    """Sees green twenty times and then computes NaN."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self.steps = 0

    def step(self, _pixels: Any, state: State) -> tuple[Outputs, State]:
        self.steps += 1
        logits = np.full((2, 4), np.nan if self.steps > 20 else 0, np.float32)
        logits[:, 1] = 20
        return Outputs(logits, np.zeros(3, np.float32)), state


def test_a_model_that_computes_nan_ends_the_run_and_open_events_are_ended() -> None:
    sink = Collected()
    pipeline = Pipeline(Frames(coloured(("green", 30))), Blind(tiny_manifest("stream")), FILE, [sink])
    with pytest.raises(EdgevidError, match="NaN"):
        run(pipeline, every_s=0.01)
    assert sink.brief() == [("start", "green"), ("end", "green")]
    counts = pipeline.flow.counts
    counts.check()
    assert (counts.computed, counts.pending) == (20, 0)
    json.dumps(pipeline.metrics(), allow_nan=False)


def test_a_run_stops_when_it_is_told_to(stream: StreamModel) -> None:
    calls = []
    pipeline = Pipeline(Frames(coloured(("other", 600))), stream, FILE)
    run(pipeline, every_s=0.001, every=lambda: bool(calls.append(1)) or len(calls) < 3)
    counts = pipeline.flow.counts
    counts.check()
    assert counts.pending == counts.dropped == 0
    assert counts.captured < 18000


def test_a_window_of_minutes_fits_where_there_is_memory() -> None:
    model = StillClip(tiny_manifest("clip", rate_hz=1.0, clip_frames=64))
    pipeline, _ = through(model, coloured(("other", 100), rate_hz=4.0), FILE)
    assert pipeline.flow.counts.computed >= 2


def test_frames_may_come_faster_than_the_source_says() -> None:
    model = StillClip(tiny_manifest("clip", rate_hz=30.0, clip_frames=60))
    frames = Frames(coloured(("other", 6), rate_hz=30.0), rate_hz=2.5)
    pipeline = Pipeline(frames, model, FILE, [Collected()], clock=lambda: 0.0)
    while pipeline.read():
        while pipeline.compute(wait=False):
            pass
    assert pipeline.flow.counts.computed > 5


def test_ctrl_c_is_not_forgotten_for_what_has_failed_meanwhile() -> None:
    class Struck(Blind):
        def step(self, pixels: Any, state: State) -> tuple[Outputs, State]:
            if self.steps == 20:
                _thread.interrupt_main()
            return super().step(pixels, state)

    pipeline = Pipeline(Frames(coloured(("green", 30))), Struck(tiny_manifest("stream")), FILE, [])
    with pytest.raises(KeyboardInterrupt) as raised:
        run(pipeline)
    assert "NaN" in str(raised.value.__cause__)


def test_frames_may_be_larger_than_the_first(stream: StreamModel) -> None:
    small, *rest = coloured(*PLAY)
    large = [Frame(np.repeat(np.repeat(f.pixels, 20, 0), 20, 1), f.time_s, f.index) for f in rest]
    pipeline, sink = through(stream, [Frame(small.pixels[::6, ::8], small.time_s, small.index), *large], FILE)
    assert sink.brief() == [("start", "red"), ("end", "red"), ("start", "blue"), ("end", "blue")]
    assert pipeline.flow.counts.dropped == 0


def test_a_window_that_outlives_the_ring_is_said_in_files_and_counted_in_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevid.pipeline.MOST_RING_BYTES", 40 * 24 * 32 * 3)
    model = StillClip(tiny_manifest("clip", rate_hz=1.0))
    with pytest.raises(EdgevidError, match=r"window of 8\.0 s"):
        through(model, coloured(("other", 20)), FILE)
    pipeline, _ = through(model, coloured(("other", 20)), Options())
    counts = pipeline.flow.counts
    counts.check()
    assert counts.computed == 0
    assert counts.dropped > 0
