"""Clips as a device, or a teacher, would take them in: nothing random, for validation and evaluation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgevid.manifest import InputSpec
from edgevid.preprocess import fit
from edgevid.sampling import Sampler
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import RUNTIME_SHORT_SIDE, DecodedClip, IndexStore, Pick, decode_clip
from edgevid_train.models.teachers.config import TeacherConfig
from edgevid_train.samples.augment import Clip
from edgevid_train.samples.labelled_clip import sample_at
from edgevid_train.samples.looks import look_times


class Sized(Protocol):
    """What is prepared of a clip."""

    @property
    def nbytes(self) -> int: ...


Prepared = TypeVar("Prepared", bound=Sized)


class HeldOutClips(Generic[Prepared]):
    """Clips as a device would take them in, for validation: the runtime's source, sampling and resize, nothing random.

    What is prepared is kept while they fit into `max_bytes`; what does not is decoded again every time. `pick`: which
    frames `prepare` needs, by their times; all of them without it.
    """

    def __init__(
        self,
        records: Sequence[ClipRecord],
        prepare: Callable[[DecodedClip], Prepared],
        max_bytes: int,
        indexes: IndexStore | None = None,
        pick: Pick | None = None,
    ) -> None:
        self.records = records
        self.prepare = prepare
        self.max_bytes = max_bytes
        self.indexes = indexes
        self.pick = pick
        self._kept: dict[ClipRecord, Prepared] = {}
        self._bytes = 0

    def prepared(self, record: ClipRecord) -> Prepared:
        """What `prepare` makes of a clip. Raises DecodeError."""
        if record in self._kept:
            return self._kept[record]
        found = self.prepare(decode_clip(record, RUNTIME_SHORT_SIDE, indexes=self.indexes, pick=self.pick))
        if self._bytes + found.nbytes <= self.max_bytes:
            self._kept[record] = found
            self._bytes += found.nbytes
        return found


@dataclass(frozen=True)
class Ticks:
    """What a stream model is given of a clip: `frames` uint8 `(T, height, width, 3)`, one for each tick.

    `begins`: the ticks before which its state is zero: the first, and those behind a hole in the clip's times.
    """

    frames: Clip
    begins: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.frames.nbytes

    def parts(self) -> Iterator[Clip]:
        """The frames from one zero state to the next."""
        for begin, end in pairwise((*self.begins, len(self.frames))):
            yield self.frames[begin:end]


def as_stream(clip: DecodedClip, spec: InputSpec, rate_hz: float, rest: int = 0) -> Ticks:
    """What a stream model would have been given, tick by tick, the last frame `rest` times more."""
    sampler, taken, begins = Sampler(rate_hz), list[int](), [0]
    for position, time_s in enumerate(clip.times_s.tolist()):
        sample = sampler.offer(time_s)
        if sample.reset:
            begins.append(len(taken))
        taken += [position] * sample.steps
    taken += taken[-1:] * rest
    fitted = {i: fit(clip.frames[i], spec) for i in set(taken)}
    return Ticks(np.stack([fitted[i] for i in taken]), tuple(begins))


def held_out_for_teacher(
    records: Sequence[ClipRecord], teacher: TeacherConfig, max_bytes: int, indexes: IndexStore | None = None
) -> HeldOutClips[Clip]:
    """As `spread` of each whole clip, but decoding only what is taken."""
    return HeldOutClips(
        records,
        lambda picked: _fitted(picked.frames, teacher.input),
        max_bytes,
        indexes,
        lambda times_s: spread_over(times_s, teacher),
    )


def spread(clip: DecodedClip, teacher: TeacherConfig) -> Clip:
    """The frames of the clip that a teacher takes: uint8 `(frames, height, width, 3)`."""
    return _fitted(clip.frames[spread_over(clip.times_s, teacher)], teacher.input)


def spread_over(times_s: NDArray[np.float64], teacher: TeacherConfig) -> NDArray[np.intp]:
    """Positions of the frames that a teacher takes of a clip."""
    return sample_at(times_s, look_times(times_s[0], times_s[-1], teacher.frames, teacher.rate_hz))


def _fitted(frames: Clip, spec: InputSpec) -> Clip:
    return np.stack([fit(frame, spec) for frame in frames])
