"""How far two models of the same function stray from each other over a stream, each carrying its own state.

Step by step, because that is how a model fails in the field and not in a test of one frame: an error in what is carried
grows or dies out over a stream, a state that is not passed on looks right for the first step only.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import CheckFailedError, InputError
from edgevid.frame import Pixels
from edgevid.manifest import Manifest
from edgevid.models.contract import ClipModel, State, StreamModel

SEGMENTS = 4
"""Parts of a run, of equal length, by which drift is reported: what grows with time shows."""
FORGETTING_STEPS = 64
STATE_SLACK = 4.0
"""A state may hold whole feature maps, and one element of a map strays further than what is read from it: with fp16
weights on the default model 0.028 of its greatest value, when the logits stray 0.009 of theirs."""

Values = dict[str, NDArray[np.floating]]
"""Everything one step gives, by the names of the graph's outputs."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one output strays from its reference over a run.

    Attributes:
        limit: the largest difference allowed.
        over_time: the largest difference in each of `SEGMENTS` parts of the run.
        agreement: share of the steps whose best label is the same; None for what are no logits.
    """

    output: str
    max_abs: float
    mean_abs: float
    scale: float
    limit: float
    over_time: tuple[float, ...]
    agreement: float | None

    @property
    def ok(self) -> bool:
        return math.isfinite(self.max_abs) and self.max_abs <= self.limit

    @property
    def relative(self) -> float:
        """The largest difference as a share of the larger of 1 and the scale, which is what a tolerance bounds."""
        return self.max_abs / max(1.0, self.scale)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared and what came of it.

    Attributes:
        forgetting: how much the logits change when every step starts from a zero state, relative to their scale: if
            that is nothing, the run has said nothing about what is carried. None for a clip model.
        repeats: whether the first steps, run again from a zero state after the rest, gave the same to the last bit.
        problems: one line each; empty when the model is verified.
    """

    package: str
    against: str
    tolerance: float
    steps: int
    drifts: tuple[Drift, ...]
    forgetting: float | None
    repeats: bool
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def compare(
    package: StreamModel | ClipModel,
    reference: StreamModel | ClipModel,
    frames: Iterable[Pixels],
    *,
    tolerance: float,
) -> Verification:
    """Run both over `frames`, pictures as the models take them, one after the other in time.

    A clip model is given clips of its T frames; a stream model it is compared with starts anew with each.

    Raises:
        InputError: too few frames, or models of kinds that cannot be compared.
        CheckFailedError: manifests that say that the two are not the same model.
    """
    check_same_model(package.manifest, reference.manifest)
    chunk = _frames_at_once(package, reference)
    runs = (_Run(package, restarts=chunk > 1), _Run(reference, restarts=chunk > 1))
    tallies: dict[str, Differences] = {}
    first: list[Pixels] = []
    opening: list[Values] = []
    steps = 0
    for clip in _chunks(frames, chunk):
        ours, theirs = (run.feed(clip) for run in runs)
        for mine, yours in zip(ours, theirs, strict=True):
            for name in mine.keys() & yours.keys():
                tallies.setdefault(name, Differences()).add(mine[name], yours[name])
        if steps < FORGETTING_STEPS:
            first.extend(clip)
            opening.extend(ours)
        steps += len(clip)
    if not steps:
        raise InputError(f"too few frames: at least {chunk} are needed")

    again = _Run(package, restarts=chunk > 1)
    repeats = all(
        np.array_equal(one[name], other[name])
        for one, other in zip(opening, _feed_all(again, first, chunk), strict=True)
        for name in one
    )
    forgetting = None
    if isinstance(package, StreamModel):
        forgetting = _forgetting(opening, _feed_all(_Run(package, restarts=True), first, 1))
    order = [name for name in opening[0] if name in tallies]
    drifts = tuple(tallies[name].drift(name, tolerance) for name in order)
    return Verification(
        package.manifest.id,
        reference.manifest.id,
        tolerance,
        steps,
        drifts,
        forgetting,
        repeats,
        tuple(_problems(drifts, forgetting, repeats, tolerance)),
    )


def check_same_model(package: Manifest, reference: Manifest) -> None:
    """Compare what two manifests promise.

    Raises:
        CheckFailedError: naming the first field that differs.
    """
    for what, has, wants in (
        ("labels", package.labels, reference.labels),
        ("input", package.input, reference.input),
        ("rate_hz", package.rate_hz, reference.rate_hz),
        ("exits", [e.name for e in package.exits], [e.name for e in reference.exits]),
        ("embedding_size", package.embedding_size, reference.embedding_size),
        ("activation", package.activation, reference.activation),
    ):
        if has != wants:
            raise CheckFailedError(f"not the same model: {what} is {has}, against {wants}")
    if package.kind == reference.kind == "stream":
        shapes, wanted = ({s.name: s.shape for s in m.states} for m in (package, reference))
        if shapes != wanted:
            raise CheckFailedError(f"not the same model: the states are {shapes}, against {wanted}")


class _Run:
    """A model on its way through a stream, or clip by clip."""

    def __init__(self, model: StreamModel | ClipModel, *, restarts: bool) -> None:
        self._model = model
        self._restarts = restarts
        self._state = model.zero_state() if isinstance(model, StreamModel) else {}

    def feed(self, frames: Sequence[Pixels]) -> list[Values]:
        """What each of the frames gave. With `restarts` the state is zero before the first."""
        model = self._model
        if isinstance(model, ClipModel):
            outputs = model.run(np.stack(frames))
            each = zip(outputs.logits.swapaxes(0, 1), outputs.embedding, strict=True)
            return [named_values(model.manifest, logits, embedding, {}) for logits, embedding in each]
        if self._restarts:
            self._state = model.zero_state()
        given = []
        for pixels in frames:
            step, self._state = model.step(pixels, self._state)
            given.append(named_values(model.manifest, step.logits, step.embedding, self._state))
        return given


def named_values(
    manifest: Manifest, logits: NDArray[np.float32], embedding: NDArray[np.float32], state: State
) -> Values:
    """What one step gave, by the names of the graph's outputs; logits `(exits, labels)`, and the state after it."""
    after = {f"next_{name}": value for name, value in state.items()}
    exits = {f"logits_{e.name}": row for e, row in zip(manifest.exits, logits, strict=True)}
    return exits | ({"embedding": embedding} if manifest.embedding_size else {}) | after


@dataclass
class Differences:
    """Those of one output, step by step, against its reference."""

    max_abs: list[float] = field(default_factory=list)
    mean_abs: list[float] = field(default_factory=list)
    scale: float = 0.0
    agreed: int = 0

    def add(self, mine: NDArray[np.floating], yours: NDArray[np.floating]) -> None:
        difference = np.abs(mine.astype(np.float64) - yours)
        # NaN must not pass for agreement: no comparison with it is ever true.
        self.max_abs.append(float(difference.max()) if np.isfinite(difference).all() else float("inf"))
        self.mean_abs.append(float(difference.mean()))
        self.scale = max(self.scale, float(np.abs(yours[np.isfinite(yours)]).max(initial=0.0)))
        self.agreed += int(mine.argmax() == yours.argmax())

    def drift(self, name: str, tolerance: float) -> Drift:
        parts = [part for part in np.array_split(np.array(self.max_abs), SEGMENTS) if part.size]
        return Drift(
            output=name,
            max_abs=max(self.max_abs),
            mean_abs=float(np.mean(self.mean_abs)),
            scale=self.scale,
            limit=tolerance * max(1.0, self.scale) * (STATE_SLACK if name.startswith("next_") else 1.0),
            over_time=tuple(float(part.max()) for part in parts),
            agreement=self.agreed / len(self.max_abs) if name.startswith("logits_") else None,
        )


def _frames_at_once(package: StreamModel | ClipModel, reference: StreamModel | ClipModel) -> int:
    """1 for two streams, else T."""
    lengths = {m.manifest.clip_frames for m in (package, reference) if isinstance(m, ClipModel)}
    if isinstance(package, StreamModel) and lengths:
        raise InputError("a stream model is verified against a checkpoint or another stream model, not a clip model")
    if len(lengths) > 1:
        raise InputError(f"clips of {' and '.join(map(str, sorted(lengths)))} frames cannot be compared")
    return lengths.pop() if lengths else 1


def _chunks(frames: Iterable[Pixels], size: int) -> Iterator[list[Pixels]]:
    """Consecutive lists of `size` frames; what is left at the end fills no clip and is left out."""
    iterator = iter(frames)
    while len(chunk := list(itertools.islice(iterator, size))) == size:
        yield chunk


def _feed_all(run: _Run, frames: Sequence[Pixels], chunk: int) -> list[Values]:
    return [values for clip in _chunks(frames, chunk) for values in run.feed(clip)]


def _forgetting(carried: Sequence[Values], forgetful: Sequence[Values]) -> float:
    """Largest change of any logit between the two, relative to the logits' scale."""
    logits = [name for name in carried[0] if name.startswith("logits_")]
    pairs = [(one[name], other[name]) for one, other in zip(carried, forgetful, strict=True) for name in logits]
    scale = max(1.0, *(float(np.abs(one).max()) for one, _ in pairs))
    return max(float(np.abs(one - other).max()) for one, other in pairs) / scale


def straying(drifts: Sequence[Drift]) -> Iterator[str]:
    """One line on the outputs that stray too far, where any do."""
    over = [drift for drift in drifts if not drift.ok]
    if over:
        worst = max(over, key=lambda drift: drift.relative)
        yield (
            f"{worst.output} strays by {worst.max_abs:.2g}, {worst.limit:.2g} is allowed"
            + (f"; so do {len(over) - 1} other outputs" if len(over) > 1 else "")
        )


def _problems(drifts: Sequence[Drift], forgetting: float | None, repeats: bool, tolerance: float) -> Iterator[str]:
    yield from straying(drifts)
    if forgetting is not None and forgetting <= tolerance:
        yield "without its state it says the same: either the state is not used, or these frames cannot show it"
    if not repeats:
        yield "from a zero state it does not repeat what it said before: it keeps something beside its state"
