"""What happens between a source and the sinks: ring -> sampling -> gate -> network -> events. No threads of its own.

Each of its two halves is one call: `edgevid.live` runs them on two threads, tests interleave them as they like.
"""

import math
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgevid.errors import EdgevidError
from edgevid.events import Change, EventDetector
from edgevid.flow import Flow
from edgevid.frame import Frame
from edgevid.gate import HoldGate, MotionGate
from edgevid.manifest import EventRule
from edgevid.metrics import Latencies, Rates, rss_mb
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.network import Decision, network_for
from edgevid.picture import FAULTS, PictureWatch
from edgevid.publisher import Publisher
from edgevid.ring import OvertakenError, Ring
from edgevid.sampling import Due, schedule_for
from edgevid.sinks.contract import Sink, View
from edgevid.sources import Source

WAIT_S = 0.2
"""Seconds of computations that may wait in live: what a lag can grow to before it is cut."""
WAITING_IN_FILES = 4
"""Computations that may wait where every frame counts: enough that decoding and the network overlap."""
KEPT_S = 1.0
"""The ring holds at least so much, and as much as the model's window needs,"""
MOST_RING_BYTES = 512_000_000
"""but never more than this."""
FASTEST_HZ = 60.0
"""The rate a source is taken to have at most when it does not say."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    Attributes:
        every_frame: every sampled frame is computed and the reader waits; else the newest wins.
        paced: frames come at the source's own tempo, so that processing delays what is emitted.
        rule: how scores become events; the manifest's when None.
        stride_s: from one window of a clip model to the next; None for a quarter of it.
        gate: where nothing has moved, nothing is computed and the last scores hold; and the model looks at no more
            frames than its manifest says it must.
        watch_picture: tell the sinks of a picture that is black, blown out, blurred or frozen.
        only_sampled: nobody looks at frames that the model does not take, so that of those only the time is read.
    """

    every_frame: bool = False
    paced: bool = True
    rule: EventRule | None = None
    stride_s: float | None = None
    gate: bool = False
    watch_picture: bool = False
    only_sampled: bool = False


class Pipeline:
    """Everything between a source's frames and the sinks, as two halves that may run on two threads.

    `read` belongs to one thread, `compute` and `finish` to one other; the rest may be called from the main one.
    `detector`: the one to tell the scores to, for those who want to know them; its rule is then the one that counts.
    """

    def __init__(
        self,
        source: Source,
        model: StreamModel | ClipModel,
        options: Options,
        sinks: Sequence[Sink] = (),
        *,
        detector: EventDetector | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.manifest = model.manifest
        self.rule = options.rule or self.manifest.events
        self.latencies = Latencies()
        self.exits = {spec.name: 0 for spec in self.manifest.exits}

        if isinstance(model, StreamModel):
            self._due_every_s = self._window_s = 1 / self.manifest.rate_hz
        else:
            self._window_s = self.manifest.clip_frames / self.manifest.rate_hz
            self._due_every_s = options.stride_s or self._window_s / 4
        self._depth = WAITING_IN_FILES if options.every_frame else max(1, round(WAIT_S / self._due_every_s))
        schedule = schedule_for(self.manifest, options.stride_s)
        self.flow = Flow(schedule, self._depth, newest_wins=not options.every_frame)
        self._options, self._clock = options, clock
        self._publisher = Publisher(sinks, source.info.name, self.manifest.id, paced=options.paced, clock=clock)
        self._began_s = clock()
        if options.only_sampled:
            source.wanted = self.flow.wants
        self._told: queue.SimpleQueue[tuple[str, str, float]] = queue.SimpleQueue()
        source.tell = self._hear
        self._frames = iter(source)
        self._ring: Ring | None = None
        self._largest = 0  # bytes of the largest frame so far
        self._motion_gate = MotionGate(self.manifest) if options.gate else None
        self._hold_gate = HoldGate(self.manifest.hold) if options.gate else None
        self.held = self.rested = 0
        """Ticks that were gated: those for which what was seen before stood, and those at which nothing had moved."""
        self._picture = PictureWatch() if options.watch_picture else None
        self._network = network_for(model)
        self._detector = detector or EventDetector(
            self.rule, self.manifest.labels, self.manifest.background, self.manifest.activation
        )
        self._decided: Frame | None = None
        self._exit = ""
        self._rates = Rates()

    def read(self) -> bool:
        """Move one frame from the source into the ring; only when the flow has room. False at the source's end.

        Raises:
            EdgevidError: the source failed.
        """
        frame = next(self._frames, None)
        if frame is None:
            return False
        if frame.pixels.size:
            self._roomy_for(frame).put(frame)
        self.flow.offer(frame.index, frame.time_s)
        return True

    def compute(self, *, wait: bool = True) -> bool:
        """Compute what is due next and emit what it changes. False when nothing will ever be due again.

        Without `wait` False means that nothing is due now.

        Raises:
            EdgevidError: the model computed NaN, or its window does not fit into the largest ring.
        """
        due = self.flow.take(wait=wait)
        if due is None:
            return False
        if not due.steps:
            self.finish()
            return True
        assert self._ring is not None, "something is due although no frame was read"
        resting_s: list[float] = []
        held: list[Decision] = []
        decisions: list[Decision] = []
        settle = self.flow.lost
        try:
            frames = self._ring.take(due.steps)
            if self._may_hold(frames, due):
                held = self._network.hold(frames)
                settle = self.flow.gated
            elif self._may_rest(frames, due):
                resting_s = self._network.rest(frames)
                settle = self.flow.gated
            else:
                decisions = self._network.compute(frames, reset=due.reset)
                settle = self.flow.computed
                if self._hold_gate:
                    self._hold_gate.looked()
        except OvertakenError as error:
            if self._options.every_frame:
                raise EdgevidError(
                    f"{self.manifest.id}: its window of {self._window_s:.1f} s does not fit into the "
                    f"{self._ring.max_bytes / 1e6:.0f} MB of frames that are kept"
                ) from error
            return True
        finally:
            settle(due)
        self._decided = frames[-1]
        self._look_at(frames[-1])
        for time_s in resting_s:
            self.rested += 1
            self._emit(self._detector.rest(time_s))
        for decision in held:
            self.held += 1
            self._emit(self._detector.update(decision.time_s, decision.scores))
        for decision in decisions:
            self._exit = self.manifest.exits[decision.exit].name
            self.exits[self._exit] += 1
            changes = self._detector.finish() if decision.reset else []
            self._emit(changes + self._detector.update(decision.time_s, decision.scores))
        if decisions:
            self.latencies.add(self._publisher.latency_ms(self._decided))
        return True

    def finish(self) -> None:
        """End what is still going on, since nothing follows it."""
        while not self._told.empty():
            self._publisher.notice(*self._told.get())
        self._emit(self._detector.finish())

    @property
    def time_s(self) -> float:
        """The source's clock at the last frame decided."""
        return self._decided.time_s if self._decided else 0.0

    def view(self, with_frame: bool) -> View:
        """What there is to see now, and the newest frame if it is wanted."""
        counts = self.flow.counts
        now_s = self._clock()
        captured_hz, computed_hz = self._rates.update(now_s, counts.captured, counts.computed)
        return View(
            source=self.source.info.name,
            model=self.manifest.id,
            labels=self.manifest.labels,
            background=self.manifest.background,
            on=self.rule.on,
            time_s=self.time_s,
            scores=self._detector.smoothed,
            going_on=self._detector.open_labels,
            exit=self._exit,
            events=self._publisher.events,
            frames=asdict(counts),
            captured_hz=captured_hz,
            computed_hz=computed_hz,
            latency_ms=self.latencies.summary(),
            seconds=now_s - self._began_s,
            faults=self._faults(),
            frame=self._ring.newest() if with_frame and self._ring else None,
        )

    def metrics(self) -> dict[str, Any]:
        """What `--metrics` writes."""
        return {
            "source": self.source.info.name,
            "model": self.manifest.id,
            "frames": asdict(self.flow.counts),
            "input": asdict(self.source.counts),
            "gaps": self.flow.gaps,
            "state_resets": self._network.resets,
            "latency_ms": self.latencies.summary(),
            "exits": self.exits,
            "held": self.held,
            "rested": self.rested,
            "event_counts": dict(self._publisher.event_counts),
            "notices": [notice.to_dict() for notice in self._publisher.notices],
            "reconnects": self.source.counts.reconnects,
            "rss_mb": rss_mb(),
            "fault": self.source.fault,
            "seconds": round(self._clock() - self._began_s, 3),
        }

    def _may_hold(self, frames: Sequence[Frame], due: Due) -> bool:
        """Whether what was seen last may stand for these frames."""
        if self._hold_gate is None or due.reset or not self._network.can_hold(frames):
            return False
        return self._hold_gate.is_closed(len(frames), quiet=self._detector.quiet)

    def _may_rest(self, frames: Sequence[Frame], due: Due) -> bool:
        """Whether nothing has moved up to these frames, and nothing is going on."""
        if self._motion_gate is None:
            return False
        return self._motion_gate.is_closed(frames, reset=due.reset, quiet=self._detector.quiet)

    def _roomy_for(self, frame: Frame) -> Ring:
        """The ring, larger than before where frames have become so."""
        size = frame.pixels.nbytes
        if self._ring is None or size > self._largest:
            self._largest, frames = size, self._ring_frames(frame)
            room = max(frames * size, self._ring.max_bytes if self._ring else 0)
            self._ring = self._ring.grown(room) if self._ring else Ring(room)
            self.flow.most_ahead = frames // 2
        return self._ring

    def _ring_frames(self, frame: Frame) -> int:
        """Room for what may be asked for, a window and what waits behind it, twice over; and not much more.

        Memory that is touched for the first time costs ten times what copying a frame into it does. But a window must
        fit, also where frames come faster than a source says, which is a mean at best.
        """
        reach_s = max(KEPT_S, self._window_s + (self._depth + 2) * self._due_every_s)
        rate_hz = self.source.info.rate_hz or FASTEST_HZ
        if self.manifest.kind == "clip":
            rate_hz = max(rate_hz, FASTEST_HZ)
        frames = 16 + math.ceil(2 * reach_s * rate_hz)
        return max(2, min(frames, MOST_RING_BYTES // frame.pixels.nbytes))

    def _look_at(self, frame: Frame) -> None:
        fault = self._picture.look(frame.time_s, frame.pixels) if self._picture else None
        if fault is not None:
            self._publisher.notice(fault, FAULTS[fault], frame.time_s)

    def _faults(self) -> tuple[str, ...]:
        """What is wrong now, for people."""
        lost = self.source.lost
        if lost:
            return (f"{self.source.info.name} {lost}; trying again",)
        return tuple(FAULTS[fault] for fault in self._picture.lasting) if self._picture else ()

    def _hear(self, word: str, text: str, time_s: float) -> None:
        """From the reading thread: the source is lost, or back. What is going on ends with a loss."""
        self._told.put((word, text, time_s))
        self.flow.cut()

    def _emit(self, changes: list[Change]) -> None:
        for change in changes:
            assert self._decided is not None, "an action without a frame"
            self._publisher.event(change, self._decided, self._exit, self.flow.counts.dropped)
