"""The smallest data and recipe with which everything that training does can be seen in seconds."""

import itertools
import signal
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_runs import Ran, run_command
from videos import write_video

from edgevid.frame import Pixels
from edgevid_train import commands
from edgevid_train.recipe import Recipe
from edgevid_train.samples.dataset import TrainingClips
from edgevid_train.samples.sequence import TrainStream

RECIPE = """
name = "tiny"
[data]
short_side = 48
[augment]
rotate_deg = 0.0
[augment.flip]
left = "right"
right = "left"
[student]
backbone = "mobilenetv2_050"
weights = "none"
exits = [1, 2]
points = 4
size = 16
dilations = [1, 2]
input = { height = 32, width = 32 }
[teacher]
backbone = "mobilenetv2_050"
weights = "none"
stages = 2
frames = 4
points = 4
size = 16
input = { height = 32, width = 32 }
[teacher_optim]
epochs = 1
batch = 5
[optim]
epochs = 2
batch = 5
"""


def tiny_recipe(**sections: dict[str, Any]) -> Recipe:
    """`tiny_recipe(optim={"epochs": 1})`."""
    values = tomllib.loads(RECIPE)
    for name, changes in sections.items():
        values[name] = {**values.get(name, {}), **changes}
    return Recipe.from_values(values, "tiny")


def distill(*args: object) -> Ran:
    return run_command(commands.register, "train-distill", "--device", "cpu", *args)


def settings(*changes: str) -> list[str]:
    """`--set` before each of the changes."""
    return [word for change in changes for word in ("--set", change)]


def train_stream(label: int, pixels: Pixels) -> TrainStream:
    """A stream of `pixels` `(T, H, W, 3)` that is about `label` all the time."""
    steps = len(pixels)
    nowhere = np.full((steps, 2), np.nan, np.float32)
    return TrainStream(
        frames=pixels,
        teacher_frames=pixels[:2],
        targets=np.full(steps, label),
        weights=np.ones(steps, np.float32),
        decisive=np.ones(steps, bool),
        label=label,
        places=nowhere,
        pointing=nowhere[:, 0].copy(),
        progress=nowhere[:, 0].copy(),
        teacher_places=nowhere[:2],
    )


def interrupt_at(monkeypatch: pytest.MonkeyPatch, load: int, of: type = TrainingClips) -> None:
    """Ctrl-C while the n-th batch of the process is loaded."""
    loads = itertools.count(1)
    original = of.load  # type: ignore[attr-defined]

    def interrupted(self, plan):
        if next(loads) == load:
            signal.raise_signal(signal.SIGINT)
        return original(self, plan)

    monkeypatch.setattr(of, "load", interrupted)


def moving_square(label: str, seed: int) -> list[Pixels]:
    """A white square that goes left or right over noise, or stays away (`other`), in 6 to 10 frames of 64x48."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 100, (48, 64, 3), dtype=np.uint8)
    count = int(rng.integers(6, 11))
    frames = []
    for k in range(count):
        frame = ground.copy()
        place = k / (count - 1)
        x = round(48 * (1 - place if label == "left" else place))
        if label != "other":
            frame[16:32, x : x + 16] = 255
        frames.append(frame)
    return frames


def write_clips(folder: Path, labels: Sequence[str], per_group: int = 3) -> Path:
    """One clip for each of `labels`, `per_group` in a group, with a clips.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file,label,group"]
    for i, label in enumerate(labels):
        write_video(folder / f"{i:02d}_{label}.mp4", moving_square(label, i), fps=8)
        rows.append(f"{i:02d}_{label}.mp4,{label},scene{i // per_group}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder
