"""Teaches a student's memory from paths alone what each gesture is, before it sees a picture.

A drawn hand is a path of its fingertip and a picture of a hand. The path costs microseconds, the picture milliseconds:
in the time of one epoch of pictures the memory sees a hundred thousand gestures, each drawn otherwise.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from edgevid.errors import InputError
from edgevid_train.losses.distill import task_loss
from edgevid_train.losses.label_loss import LabelLoss
from edgevid_train.models.student import Student
from edgevid_train.samples.step_targets import StreamConfig, step_targets
from edgevid_train.synthetic.choreography import plan_gesture
from edgevid_train.synthetic.negatives import plan_other
from edgevid_train.synthetic.paths import LABELS, PathBank

ASPECT = 4 / 3


def _ignore(_: float) -> None:
    pass


class PathsConfig(BaseModel):
    """`steps`: of learning from paths before the first picture; 0 for none. `file`: paths drawn by people (.npz).

    `jitter`: a network's error in seeing a fingertip, as a share of the picture. `lost`: share of steps at which it
    takes something else for it. `other`: share of movements that are no gesture.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=0, ge=0)
    file: str | None = None
    batch: int = Field(default=48, gt=0)
    length: int = Field(default=96, gt=1)
    lr: float = Field(default=2e-3, gt=0)
    jitter: float = Field(default=0.03, ge=0)
    lost: float = Field(default=0.04, ge=0, le=1)
    other: float = Field(default=0.3, ge=0, le=1)


def check_paths(student: Student, labels: Sequence[str], config: PathsConfig) -> PathBank | None:
    """The paths drawn by people, where the recipe names a file of them.

    Raises:
        InputError: the student looks at no place, its labels are not those of the drawn gestures, or the file is
            missing or of another form.
    """
    unknown = [label for label in labels if label not in LABELS]
    if unknown or student.config.points == 0:
        raise InputError(f"paths teach {', '.join(LABELS)} to a student with points, not {unknown[:1] or 'this one'}")
    return PathBank(Path(config.file)) if config.file else None


def learn_paths(
    student: Student,
    labels: Sequence[str],
    config: PathsConfig,
    stream: StreamConfig,
    seed: int,
    on_step: Callable[[float], None] = _ignore,
) -> None:
    """Train the student's memory on drawn paths.

    Raises: as `check_paths`.
    """
    bank = check_paths(student, labels, config)
    memory, rng = student.memory, np.random.default_rng([seed, 77])
    parts = [part for part in (memory.where, memory.remember, memory.decide) if part is not None]
    optimizer = torch.optim.AdamW([p for part in parts for p in part.parameters()], lr=config.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.steps, pct_start=0.1)
    memory.train()
    for _ in range(config.steps):
        drawn = [_stream(rng, labels, config, stream, student.config.rate_hz, bank) for _ in range(config.batch)]
        columns = [np.stack(column) for column in zip(*drawn, strict=True)]
        places, pointing, targets, weights = map(torch.from_numpy, columns)
        loss = task_loss(memory.follow(places, pointing), targets, weights, LabelLoss(smoothing=0.05))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(memory.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        on_step(float(loss.detach()))


Drawn = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]
"""Places `(T, 2)`, whether a hand points there, targets and weights of the steps `(T,)`."""


def _stream(
    rng: np.random.Generator,
    labels: Sequence[str],
    config: PathsConfig,
    stream: StreamConfig,
    rate_hz: float,
    bank: PathBank | None,
) -> Drawn:
    """One movement after the other, as many as fit into `length` steps, and how a network might see the fingertip."""
    pieces: list[Drawn] = []
    while sum(len(piece[0]) for piece in pieces) < config.length:
        pieces.append(_movement(rng, labels, config, stream, rate_hz, bank))
    # half of the streams begin with a movement, the other half in the middle of one
    part = slice(config.length) if rng.random() < 0.5 else slice(-config.length, None)
    places, pointing, targets, weights = (np.concatenate(column)[part] for column in zip(*pieces, strict=True))
    seen, sure = _as_seen(rng, places, pointing, config)
    return seen, sure, targets, weights


def _movement(
    rng: np.random.Generator,
    labels: Sequence[str],
    config: PathsConfig,
    stream: StreamConfig,
    rate_hz: float,
    bank: PathBank | None,
) -> Drawn:
    gestures = [label for label in labels if label != "other"]
    label = "other" if rng.random() < config.other else gestures[int(rng.integers(len(gestures)))]
    plan = plan_other(rng, ASPECT, bank) if label == "other" else plan_gesture(rng, label, ASPECT, bank)
    speed = np.exp(rng.uniform(-0.5, 0.4))
    start = plan.actions[0].start_s if plan.actions and rng.random() < 0.4 else 0.0  # some begin at once
    ticks = np.arange(max(2, int((plan.duration_s - start) * rate_hz / speed))) / rate_hz
    times_s = start + (rng.uniform(0, 1 / rate_hz) + ticks) * speed
    if plan.hands:
        places = plan.hands[0].moves.at(times_s) / [ASPECT, 1.0]
        pointing = ((places > 0) & (places < 1)).all(1)
    else:
        places, pointing = np.zeros((len(times_s), 2)), np.zeros(len(times_s), bool)
    action = plan.actions[0] if plan.actions else None
    start_s, end_s = (action.start_s, action.end_s) if action else (0.0, float(times_s[-1]))
    targets, weights, _ = step_targets(
        (times_s - start_s) / speed,
        (end_s - start_s) / speed,
        labels.index(label),
        labels.index("other"),
        stream,
        rate_hz,
    )
    return np.asarray(places, np.float32), np.asarray(pointing, np.float32), targets, weights


def _as_seen(
    rng: np.random.Generator, places: NDArray[np.float32], pointing: NDArray[np.float32], config: PathsConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Errors of an eye: a steady bias, jitter, now and then something else; never sure, never outside the picture.

    Where no hand points it looks at this and that.
    """
    zoom, turn = np.exp(rng.uniform(-0.25, 0.25, 2)), rng.normal(0, 0.08)
    rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    seen = ((places - 0.5) * [ASPECT, 1.0]) @ rotate.T / [ASPECT, 1.0] * zoom + 0.5 + rng.normal(0, 0.06, 2)
    seen = seen + rng.normal(0, config.jitter * rng.uniform(0.2, 1.5), seen.shape)
    elsewhere = np.repeat(rng.uniform(0, 1, (len(seen) // 4 + 1, 2)), 4, axis=0)[: len(seen)]
    lost = rng.random(len(seen)) < config.lost
    seen = np.where((lost | (pointing == 0))[:, None], elsewhere, seen)
    unsure = rng.uniform(0, 0.3) * rng.random(len(seen))  # a whole stream is seen well or badly
    mistaken = rng.random(len(seen)) < config.lost
    sure = np.where((pointing > 0) ^ mistaken, 1 - unsure, unsure)
    return np.asarray(np.clip(seen, 0.02, 0.98), np.float32), np.asarray(sure, np.float32)
