"""A planned stream as a source of frames: one clip decoded after the other, on one clock that never jumps."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid.frame import NO_PIXELS, Frame, Pixels
from edgevid.manifest import InputSpec
from edgevid.preprocess import fit
from edgevid.sampling import TOLERANCE_S
from edgevid.sources import Source, SourceInfo, open_source
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import RUNTIME_SHORT_SIDE
from edgevid_train.evaluate.streams.matching import Action
from edgevid_train.evaluate.streams.plan import Rest, Shown, StreamPlan
from edgevid_train.storage import media

MOST_STEP_S = 0.5
"""A longer hole in a clip's own times is shortened to this: above a second it would reset the model."""
USUAL_STEP_S = 0.04
"""From a clip of one frame to what follows."""
EASE_S = 1.0
"""A rest's camera stands where the clip's camera stood, and so long later moves as it likes."""


class StreamSource(Source):
    """Frames of a plan. What really happened is known when it has been played.

    `several`: each label of a clip is an action of its own; else its first one is what happened.

    Attributes:
        actions: the actions shown so far, on the stream's clock.
        gap_s: seconds shown so far that are no action.
        faults: file -> why it ended before its natural end.
        missing: the clips shown so far of which no frame came.
    """

    def __init__(self, plan: StreamPlan, clock: Callable[[], float] = time.monotonic, *, several: bool = False) -> None:
        super().__init__()
        self.info = SourceInfo(plan.name, plan.width, plan.height, None, None, live=False)
        self.actions: list[Action] = []
        self.gap_s = 0.0
        self.faults: dict[str, str] = {}
        self.missing: list[ClipRecord] = []
        self._plan = plan
        self._clock = clock
        self._several = several
        self._begin_s = 0.0  # of the piece being played
        self._last: Pixels | None = None  # that had pixels
        self._frames = self._play()

    def _read(self) -> Frame | None:
        found = next(self._frames, None)
        if found is None:
            return None
        pixels, time_s = found
        frame = Frame(pixels, time_s, self.counts.frames, self._clock())
        self.counts.frames += 1
        return frame

    def _release(self) -> None:
        self._frames.close()

    def _play(self) -> Generator[tuple[Pixels, float], None, None]:
        for i, piece in enumerate(self._plan.pieces):
            step_s, since_s = USUAL_STEP_S, 0.0
            action = piece.record if isinstance(piece, Shown) and piece.is_action else None
            following = self._rest(piece, i) if isinstance(piece, Rest) else self._shown(piece)
            count = 0
            for pixels, at_s in following:
                if count:
                    step_s, since_s = at_s - since_s or step_s, at_s
                count += 1
                if pixels.size:
                    self._last = pixels
                yield pixels, self._begin_s + at_s
            if not count:
                if action is not None:
                    self.missing.append(action)
                continue
            begin_s = self._begin_s
            self._begin_s += since_s + step_s
            if action is not None:
                for label in action.labels if self._several else action.labels[:1]:
                    self.actions.append(Action(label, begin_s, self._begin_s, action.group, action.id))
            else:
                self.gap_s += self._begin_s - begin_s

    def _shown(self, piece: Shown) -> Generator[tuple[Pixels, float], None, None]:
        """Pixels of a span, and seconds since its first frame."""
        # An action is shown whole, whatever its size; what stands between fills the picture.
        spec = InputSpec(
            height=self.info.height, width=self.info.width, fit="crop" if piece.record is None else "letterbox"
        )
        first_s = before_s = shown_s = since_s = 0.0
        begun = False

        def at(time_s: float) -> float:
            return since_s + min(time_s - before_s, MOST_STEP_S) if begun else 0.0

        def taken(time_s: float) -> bool:
            return time_s >= piece.start_s and (not begun or time_s - first_s >= shown_s - TOLERANCE_S)

        with closing(open_source(media(piece.file), short_side=RUNTIME_SHORT_SIDE, pace="fast")) as source:
            source.wanted = lambda time_s: taken(time_s) and self.wanted(self._begin_s + at(time_s))
            for frame in source:
                if piece.end_s is not None and frame.time_s >= piece.end_s:
                    break
                if not taken(frame.time_s):
                    continue
                since_s, before_s = at(frame.time_s), frame.time_s
                if not begun:
                    begun, first_s = True, frame.time_s
                shown_s += 1 / piece.rate_hz
                yield (fit(frame.pixels, spec) if frame.pixels.size else NO_PIXELS), since_s
            self.counts.undecodable += source.counts.undecodable
            self.counts.damaged += source.counts.damaged
            self.counts.retimed += source.counts.retimed
            if source.fault is not None:
                self.faults[str(piece.file)] = source.fault

    def _rest(self, piece: Rest, i: int) -> Iterator[tuple[Pixels, float]]:
        """A held frame under a moving camera, which begins or ends where the clip's camera stood."""
        held = self._last
        if held is None or not piece.before:
            held = self._first_after(i, held)
        if held is None:  # nothing has been seen, nor will be
            return
        camera = Camera(piece.seed)
        for k in range(max(1, round(piece.seconds * piece.rate_hz))):
            at_s = k / piece.rate_hz
            away_s = at_s if piece.before else piece.seconds - at_s
            if not self.wanted(self._begin_s + at_s):
                yield NO_PIXELS, at_s
            else:
                yield camera.look(held, away_s), at_s

    def _first_after(self, i: int, held: Pixels | None) -> Pixels | None:
        """The first picture of what follows piece `i`, or else `held`. What is wrong there counts when it is played."""
        wanted, counts, faults = self.wanted, asdict(self.counts), dict(self.faults)
        self.wanted = lambda _: True
        try:
            for piece in (piece for piece in self._plan.pieces[i + 1 :] if isinstance(piece, Shown)):
                with closing(self._shown(piece)) as frames:
                    found = next((pixels for pixels, _ in frames if pixels.size), None)
                if found is not None:
                    return found
            return held
        finally:
            self.wanted, self.faults = wanted, faults
            for name, count in counts.items():
                setattr(self.counts, name, count)


class Camera:
    """A camera worn by somebody who stands still: slow turns, some tremor."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        # Two slow turns and a tremor for each of: right, down (shares of the picture), zoom, turn (radians).
        self._hz = np.stack([rng.uniform(0.08, 0.25, 4), rng.uniform(0.25, 0.5, 4), rng.uniform(3, 6, 4)])
        self._phase = rng.uniform(0, 2 * np.pi, (3, 4))
        reach = np.array([0.08, 0.06, 0.06, 0.04])
        self._size = np.stack([reach * rng.uniform(0.3, 1, 4), reach * rng.uniform(0.1, 0.5, 4), 0.03 * reach])

    def look(self, pixels: Pixels, away_s: float) -> Pixels:
        """The picture as seen `away_s` seconds from the moment at which the camera stood where it was taken."""
        right, down, zoom, turn = self._moved(away_s) * min(1.0, away_s / EASE_S)
        height, width = pixels.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(np.degrees(turn)), float(np.exp(zoom)))
        matrix = matrix + np.array([[0, 0, right * width], [0, 0, down * height]])
        return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8)

    def _moved(self, away_s: float) -> NDArray[np.float64]:
        return np.asarray((self._size * np.sin(2 * np.pi * self._hz * away_s + self._phase)).sum(axis=0), np.float64)
