"""How long a model's network takes, state passing included and everything else left out."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid.manifest import Manifest
from edgevid.metrics import rss_mb
from edgevid.models.contract import ClipModel, State, StreamModel
from edgevid.models.load import load
from edgevid.models.scores import activate

WARM_UP = 20
STEPS_PER_CLIP = 8
"""One run of the clip graph after so many steps, so that whatever else slows the machine down slows both alike."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds that half, and that 95%, of the runs stayed below."""

    p50: float
    p95: float

    @classmethod
    def of(cls, durations_s: list[float]) -> "Latency":
        p50, p95 = np.percentile(durations_s, [50, 95]) * 1e3
        return cls(round(float(p50), 3), round(float(p95), 3))


@dataclass(frozen=True, slots=True)
class ExitCost:
    """What it costs to compute up to an exit. `step_ms` is None where the graph cannot stop there to be timed.

    A conditional model is made to stop there by its thresholds: 0 for this exit, none for those before it.
    """

    name: str
    macs: int
    step_ms: Latency | None


@dataclass(frozen=True, slots=True)
class Bench:
    """One measurement. `step_ms`, a step with every exit computed, is None for a clip model; `clip_ms` for a stream
    model that has no clip graph.

    `hold_macs`, `hold_ms`: of a step that looks at no frame; 0 and None where the graph cannot take such.
    `rss_mb`: resident memory of the process, 10^6 bytes, after the model's first runs and before a clip graph is loaded
    for comparison. `load_ms`: to read, check and open the file, once.
    """

    model: str
    threads: int
    step_ms: Latency | None
    clip_ms: Latency | None
    exits: tuple[ExitCost, ...]
    hold_macs: int
    hold_ms: Latency | None
    load_ms: float
    rss_mb: float | None
    steps: int
    clips: int
    clip_frames: int


def measure(path: Path, *, threads: int = 1, steps: int = 300) -> Bench:
    """Run the model at `path` on random frames, `steps` steps of it, or as many clips.

    For a stream model `NAME.onnx` the clip graph `NAME.clip.onnx`, where it lies beside it, is run in between. A
    conditional model takes `steps` steps to each of its exits, by turns.

    Raises:
        InputError: a file is refused, or what lies beside a stream model is no clip model.
        EdgevidError: the model computes NaN or infinity: the time of that is nobody's.
    """
    start = time.perf_counter()
    model = load(path, threads=threads)
    load_ms = (time.perf_counter() - start) * 1e3
    manifest = model.manifest
    frames = _random_frames(manifest)
    clip_frames = manifest.clip_frames
    exit_s: dict[str, list[float]] = {}
    hold_s: list[float] = []
    clip_s: list[float] = []
    if isinstance(model, StreamModel):
        whole_step = by_exit(model)[manifest.exits[-1].name]
        activate(whole_step.step(frames[0], whole_step.zero_state())[0].logits, manifest.activation)
        steppers = _steppers(model, frames)
        exit_s = {name: [] for name in steppers}
        hold = _warm(_carried(model.hold, model.zero_state())) if manifest.can_hold else None
        memory_mb = rss_mb()
        whole = _clip_graph(path, manifest, threads)
        clip = frames if whole is None else np.resize(frames, (whole.manifest.clip_frames, *frames.shape[1:]))
        clip_frames = len(clip)
        for count in range(1, steps + 1):
            for name, step in steppers.items():
                exit_s[name].append(_timed(step))
            if hold:
                hold_s.append(_timed(hold))
            if whole is not None and (count % STEPS_PER_CLIP == 0 or count == steps):
                clip_s.append(_timed(partial(whole.run, clip)))
                for step in steppers.values():
                    step()  # not counted: it finds caches that the clip has emptied, as no step of a stream does
    else:
        activate(model.run(frames).logits, manifest.activation)
        memory_mb = rss_mb()
        clip_s = [_timed(partial(model.run, frames)) for _ in range(steps)]

    exit_ms = {name: Latency.of(durations) for name, durations in exit_s.items()}
    return Bench(
        model=manifest.id,
        threads=threads,
        step_ms=exit_ms.get(manifest.exits[-1].name),
        clip_ms=Latency.of(clip_s) if clip_s else None,
        exits=tuple(ExitCost(e.name, e.macs, exit_ms.get(e.name)) for e in manifest.exits),
        hold_macs=manifest.hold_macs,
        hold_ms=Latency.of(hold_s) if hold_s else None,
        load_ms=round(load_ms, 1),
        rss_mb=memory_mb,
        steps=steps if exit_s else 0,
        clips=len(clip_s),
        clip_frames=clip_frames,
    )


def time_exits(model: StreamModel, steps: int) -> dict[str, Latency]:
    """How long `steps` steps of a model that is open already take to each exit that it can stop at, by turns."""
    steppers = _steppers(model, _random_frames(model.manifest))
    took_s: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(steps):
        for name, step in steppers.items():
            took_s[name].append(_timed(step))
    return {name: Latency.of(durations_s) for name, durations_s in took_s.items()}


def by_exit(model: StreamModel) -> dict[str, StreamModel]:
    """Exit -> the model made to stop there. Where the graph computes every exit, the whole step is the last one's."""
    exits = model.manifest.exits
    if not model.manifest.conditional:
        return {exits[-1].name: model}
    sure_at = {e.name: [0.0 if other is e else None for other in exits] for e in exits}
    return {name: model.with_thresholds(thresholds) for name, thresholds in sure_at.items()}


def _random_frames(manifest: Manifest) -> NDArray[np.uint8]:
    """As many as a clip has, `(T, H, W, 3)`."""
    size = (manifest.clip_frames, manifest.input.height, manifest.input.width, 3)
    return np.random.default_rng(0).integers(0, 256, size, np.uint8)


def _steppers(model: StreamModel, frames: NDArray[np.uint8]) -> dict[str, Callable[[], object]]:
    """Exit -> a warm function that takes the next frame, of ever the same ones, so far, and keeps the state."""

    def stepper(stopping: StreamModel) -> Callable[[], object]:
        pixels = itertools.cycle(frames)
        return _warm(_carried(lambda state: stopping.step(next(pixels), state), stopping.zero_state()))

    return {name: stepper(stopping) for name, stopping in by_exit(model).items()}


def _warm(step: Callable[[], object]) -> Callable[[], object]:
    """The same after `WARM_UP` steps that nobody times."""
    for _ in range(WARM_UP):
        step()
    return step


def _carried(take: Callable[[State], tuple[object, State]], state: State) -> Callable[[], object]:
    """A function that takes one step after the other, each from the state that the one before left."""

    def step() -> None:
        nonlocal state
        _, state = take(state)

    return step


def _clip_graph(stream: Path, manifest: Manifest, threads: int) -> ClipModel | None:
    """The clip graph of a stream model, warm, when it lies beside it."""
    path = stream.with_suffix(".clip.onnx")
    if not path.exists():
        return None
    model = load(path, threads=threads)
    if not isinstance(model, ClipModel) or model.manifest.input != manifest.input:
        raise InputError(f"{path} is not the clip graph of {stream.name}: it takes other clips")
    model.run(np.zeros((model.manifest.clip_frames, manifest.input.height, manifest.input.width, 3), np.uint8))
    return model


def _timed(run: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
