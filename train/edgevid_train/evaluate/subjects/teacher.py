"""A teacher's checkpoint, whatever its kind: the one adapter gives each the frames it takes of a clip."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from edgevid.manifest import ExitSpec
from edgevid.models.scores import Scores, activate
from edgevid_train.annotations import ClipRecord
from edgevid_train.checkpoint import find_checkpoint, load_teacher
from edgevid_train.decode import DecodedClip
from edgevid_train.evaluate.curves import read_curves
from edgevid_train.evaluate.looks import Looks
from edgevid_train.evaluate.looks.activation import activation, mean_of
from edgevid_train.evaluate.looks.attention import attention
from edgevid_train.evaluate.looks.taps import teacher_taps
from edgevid_train.evaluate.subjects.contract import WHOLE, Answer, Curves, Percentiles
from edgevid_train.evaluate.subjects.machine import name_of
from edgevid_train.losses.teacher_outputs import ask_teacher
from edgevid_train.marks import Seen, seen_among
from edgevid_train.models.teachers.build import TeacherOutputs
from edgevid_train.models.teachers.ensemble import Ensemble
from edgevid_train.samples.batch import as_input
from edgevid_train.samples.dataset import changes_among
from edgevid_train.samples.held_out import spread, spread_over

LATENCY_S, MOST_RUNS = 5.0, 30
"""A teacher is timed for so long, and no more often."""


class TeacherCheckpoint:
    """A teacher's run or checkpoint folder, or its weights. Raises InputError as `load_teacher`."""

    no_looks: str | None = None
    exits: tuple[ExitSpec, ...] = ()
    rate_hz: float | None = None

    def __init__(self, path: Path, threads: int, device: torch.device) -> None:
        torch.set_num_threads(threads)
        self.folder = find_checkpoint(path, "teacher")
        self.teacher, self.recipe, self.labels, info = load_teacher(path)
        self.teacher.requires_grad_(False).to(device)
        self.device, self.runs_on = device, f"PyTorch on {name_of(device)}"
        self.config = self.recipe.teacher
        self.several = self.recipe.task.multi_label
        self.input = self.config.input
        self.name = str(path)
        self.weights = sum(parameter.numel() for parameter in self.teacher.parameters())
        self.macs = self._count_macs()
        self.mirrored: Mapping[str, str] | None = changes_among(self.labels, self.recipe.augment.flip)
        self.split = info.split

    def seen(self, records: Sequence[ClipRecord]) -> Seen | None:
        return seen_among(records, self.split.trained_on)

    def answer(self, clip: DecodedClip) -> Answer:
        found = ask_teacher(self.teacher, spread(clip, self.config), self.device)
        scores = activate(found.logits, self.recipe.task.activation)
        looked_at = clip.times_s[spread_over(clip.times_s, self.config)]
        middle_s = np.array([looked_at[[0, -1]].mean() - clip.times_s[0]])
        return Answer(scores, scores[None], middle_s, np.zeros(0, np.intp), found.features, 1)

    def answer_by_exit(self, clip: DecodedClip, answer: Answer) -> list[Scores]:  # noqa: ARG002
        return []

    def looks(self, clip: DecodedClip, label: str) -> Looks:
        """Of an ensemble the mean of what its members saw, and of the attention of those that attend."""
        index, frames = self.labels.index(label), spread(clip, self.config)
        given = as_input(torch.from_numpy(frames)[None].to(self.device))
        members = list(self.teacher.members) if isinstance(self.teacher, Ensemble) else [self.teacher]
        places: list[NDArray[np.float32]] = []

        def ask(member: nn.Module) -> Tensor:
            outputs: TeacherOutputs = member(given)
            if outputs.places is not None:
                places.append(outputs.places[0].detach().cpu().numpy())
            return outputs.logits[0, index]

        maps = [activation(teacher_taps(member), partial(ask, member), len(frames)) for member in members]
        attended = [attention(member, partial(member, given), len(frames)) for member in members]
        times_s = clip.times_s[spread_over(clip.times_s, self.config)] - clip.times_s[0]
        return Looks(
            frames,
            times_s,
            mean_of(maps),
            np.concatenate(places, axis=1) if places else None,
            mean_of(found) if (found := [x for x in attended if x is not None]) else None,
        )

    def window_s(self, length_s: float) -> float:
        count, rate_hz = self.config.frames, self.config.rate_hz
        return (count - 1) / rate_hz if rate_hz else length_s * (1 - 1 / count)

    def latencies(self) -> dict[str, Percentiles]:
        frames = np.random.default_rng(0).integers(0, 256, self._nothing().shape, np.uint8)
        durations_s = _timed(lambda: self._ask(frames))
        p50, p95 = np.percentile(durations_s, [50, 95]) * 1e3
        return {WHOLE: {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}}

    def curves(self) -> Curves:
        return read_curves(self.folder.parent / "tensorboard")

    def _ask(self, frames: NDArray[np.uint8]) -> None:
        ask_teacher(self.teacher, frames, self.device)

    def _nothing(self) -> NDArray[np.uint8]:
        return np.zeros((self.config.frames, self.config.input.height, self.config.input.width, 3), np.uint8)

    def _count_macs(self) -> int:
        """By running it once, which warms it up too. Attention the plain way: others are not counted everywhere."""
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            self._ask(self._nothing())
        return int(counter.get_total_flops()) // 2


def _timed(run: Callable[[], None]) -> list[float]:
    """Seconds of each of some runs: at least one, at most `MOST_RUNS`, and no new one after `LATENCY_S`."""
    durations_s: list[float] = []
    while len(durations_s) < MOST_RUNS and sum(durations_s) < LATENCY_S:
        start = time.perf_counter()
        run()
        durations_s.append(time.perf_counter() - start)
    return durations_s
