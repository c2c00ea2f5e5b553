"""From what is due to decided scores: one way for stream and clip models. A stream's state lives here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevid.cascade import decide, deciding_exit
from edgevid.frame import Frame
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.models.scores import Scores, activate
from edgevid.preprocess import fit
from edgevid.sampling import GAP_S


@dataclass(frozen=True, slots=True)
class Decision:
    """One tick of the model's rate, decided.

    Attributes:
        time_s: the frame's time on the source's clock.
        every_exit: scores of every exit that was computed, the first ones, `(computed, labels)`, 0..1.
        exit: index of the exit that decided.
        embedding: what the network made of the tick, float32 `(embedding_size,)`.
        reset: what was before this tick says nothing about it.
    """

    time_s: float
    every_exit: Scores
    exit: int
    embedding: NDArray[np.float32]
    reset: bool = False

    @property
    def scores(self) -> Scores:
        """Of the exit that decided, `(labels,)`."""
        return np.asarray(self.every_exit[self.exit], np.float32)


class StreamNetwork:
    """Steps a stream model, carrying its state; a gap, in the source or in what was computed of it, zeroes it."""

    def __init__(self, model: StreamModel, gap_s: float = GAP_S) -> None:
        self._model = model
        self._state = model.zero_state()
        self._stale_s = max(gap_s, 2 / model.manifest.rate_hz)
        self._last_s: float | None = None
        self._exit = 0  # which decided what the memory was told last
        self.resets = 0

    def can_hold(self, frames: Sequence[Frame]) -> bool:
        """Whether what was seen last may stand for these frames: the model can hold, and there was no gap since."""
        return self._last_s is not None and self._model.manifest.can_hold and not self._is_stale(frames)

    def hold(self, frames: Sequence[Frame]) -> list[Decision]:
        """One decision for each of `frames`, which nobody looks at; where `can_hold`.

        Raises:
            EdgevidError: the model computed NaN or infinity.
        """
        decisions: list[Decision] = []
        for frame in frames:
            outputs, self._state = self._model.hold(self._state)
            scores, _ = decide(outputs, self._model.manifest)
            decisions.append(Decision(frame.time_s, scores, self._exit, outputs.embedding))
        self._last_s = frames[-1].time_s
        return decisions

    def rest(self, frames: Sequence[Frame]) -> list[float]:
        """Nothing has moved up to these frames: the state stands for them too. Their times, in seconds, by tick."""
        self._last_s = frames[-1].time_s
        return [frame.time_s for frame in frames]

    def compute(self, frames: Sequence[Frame], *, reset: bool) -> list[Decision]:
        """One decision for each of `frames`; the same frame several times in a row repeats its tick.

        Raises:
            EdgevidError: the model computed NaN or infinity.
        """
        manifest = self._model.manifest
        reset |= self._is_stale(frames)
        if reset:
            self._state = self._model.zero_state()
            self.resets += 1
        decisions: list[Decision] = []
        before, pixels = None, frames[0].pixels
        for frame in frames:
            if frame is not before:
                before, pixels = frame, fit(frame.pixels, manifest.input)
            outputs, self._state = self._model.step(pixels, self._state)
            scores, chosen = decide(outputs, manifest)
            decisions.append(Decision(frame.time_s, scores, chosen, outputs.embedding, reset))
            self._exit, reset = chosen, False
        self._last_s = frames[-1].time_s
        return decisions

    def _is_stale(self, frames: Sequence[Frame]) -> bool:
        """Whether too long has passed before these frames for the state to say anything about them."""
        return self._last_s is not None and frames[0].time_s - self._last_s > self._stale_s


class ClipNetwork:
    """Runs a clip model on windows. A window decides the ticks that are new in it, each with its own scores.

    A model that gives one score for all T frames decides the last tick only.
    """

    def __init__(self, model: ClipModel) -> None:
        self._model = model
        self._last_index = -1
        self.resets = 0

    def can_hold(self, _: Sequence[Frame]) -> bool:
        """Never: a window is looked at as a whole."""
        return False

    def hold(self, _: Sequence[Frame]) -> list[Decision]:
        """As of `StreamNetwork`; never asked."""
        raise NotImplementedError

    def rest(self, frames: Sequence[Frame]) -> list[float]:
        """Nothing has moved in these frames, which will not be computed: the times, in seconds, of the new ones."""
        new = [frame.time_s for frame in frames if frame.index > self._last_index]
        self._last_index = frames[-1].index
        return new

    def compute(self, frames: Sequence[Frame], *, reset: bool) -> list[Decision]:
        """Decisions for the new ones of the window's T `frames`, oldest first.

        Raises:
            EdgevidError: the model computed NaN or infinity.
        """
        manifest = self._model.manifest
        self.resets += reset
        fitted = {frame.index: fit(frame.pixels, manifest.input) for frame in frames}
        outputs = self._model.run(np.stack([fitted[frame.index] for frame in frames]))
        scores = activate(outputs.logits, manifest.activation)  # (exits, T or 1, labels)
        ticks = zip(frames[-scores.shape[1] :], scores.swapaxes(0, 1), outputs.embedding, strict=True)
        decisions: list[Decision] = []
        for frame, of_exits, embedding in ticks:
            if frame.index > self._last_index:
                chosen = deciding_exit(of_exits, manifest.exits, manifest.activation)
                decisions.append(Decision(frame.time_s, of_exits, chosen, embedding, reset and not decisions))
        self._last_index = frames[-1].index
        return decisions


def network_for(model: StreamModel | ClipModel) -> StreamNetwork | ClipNetwork:
    """The network of a model of either kind."""
    return StreamNetwork(model) if isinstance(model, StreamModel) else ClipNetwork(model)
