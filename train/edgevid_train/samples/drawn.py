"""Clips that are drawn while a network trains on others: every epoch has new ones, and none of them is ever a file.

The clips of a run are numbered, epoch after epoch. Number `n` is what `data synthesize --seed S+n` draws, S being the
recipe's seed: the same recipe gives the same clips, whenever and in how many processes they are drawn.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgevid.errors import InputError
from edgevid_train.samples.labelled_clip import LabelledClip, steps_of
from edgevid_train.samples.step_targets import StreamConfig
from edgevid_train.synthetic.paths import LABELS
from edgevid_train.synthetic.workers import Workers, backgrounds_in, paths_in, result_of
from edgevid_train.synthetic.write import Request


class DrawnConfig(BaseModel):
    """`clips`: drawn for each epoch, besides those of the data; 0 for none. `seed`: of the first of them.

    The default is far from where `data synthesize` begins, so that what that draws is new to the model. `width` and
    `height`: pixels. `fps`: lowest and highest rate; otherwise 10 to 30, often irregular. `paths`: finger paths drawn
    by people (.npz); `backgrounds`: folder of photographs and videos, which every process keeps in memory. `workers`:
    processes that draw.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    clips: int = Field(default=0, ge=0)
    seed: int = Field(default=10**9, ge=0)
    width: int = Field(default=128, ge=32, le=1920, multiple_of=2)
    height: int = Field(default=96, ge=24, le=1080, multiple_of=2)
    fps: tuple[float, float] | None = None
    paths: str | None = None
    backgrounds: str | None = None
    workers: int = Field(default=1, ge=1, le=64)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.fps is not None and not 5 <= self.fps[0] <= self.fps[1] <= 120:
            raise ValueError(f"fps {self.fps[0]:g} to {self.fps[1]:g}: from 5 to 120, the lower first")
        return self

    def seeds(self, epochs: int) -> range:
        """Those of all clips of so many epochs."""
        return range(self.seed, self.seed + epochs * self.clips)


class DrawnClips:
    """The clips by number. A context manager: its processes live as long as it is open.

    Only what stands around an action is drawn: `stream.before_s` before it and `stream.after_s` after it, as is read of
    a file. Nothing is kept: a clip is in one batch, once.

    Raises:
        InputError: none of `labels` can be drawn, or the paths or backgrounds cannot be had.
    """

    def __init__(self, config: DrawnConfig, labels: Sequence[str], stream: StreamConfig) -> None:
        known = tuple(label for label in LABELS if label in labels)
        if not known:
            raise InputError(f"drawn.clips: can draw {', '.join(LABELS)}; the data has none of these labels")
        turns = known if len(known) < len(LABELS) else ()
        size = (config.width, config.height)
        self.request = Request(max(config.clips, 1), config.seed, size, config.fps, turns)
        self.around_s = (stream.before_s, stream.after_s)
        self.paths, self.backgrounds = (
            None if name is None else Path(name) for name in (config.paths, config.backgrounds)
        )
        self._path_bank = paths_in(self.paths)
        self._workers = Workers(config.workers)

    def __enter__(self) -> Self:
        try:
            self.left_out = result_of(self._workers.submit(left_out_of, self.backgrounds))
        except BaseException:
            self._workers.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.__exit__()

    def steps(self, number: int, rate_hz: float) -> int:
        """Steps that a clip will take at a rate; known before it is drawn."""
        script = self.request.script(number, self._path_bank)
        return steps_of(script.times_s[script.around(*self.around_s)], rate_hz)

    def clips(self, numbers: Iterable[int]) -> dict[int, LabelledClip]:
        """These clips by number; all processes draw. Raises CheckFailedError when one of them has ended."""
        asked = {
            n: self._workers.submit(draw, n, self.request, self.around_s, self.paths, self.backgrounds) for n in numbers
        }
        return {n: result_of(future) for n, future in asked.items()}


def draw(
    number: int, request: Request, around_s: tuple[float, float], paths: Path | None, backgrounds: Path | None
) -> LabelledClip:
    """One clip of a request, of which only what stands around the action is drawn."""
    script = request.script(number, paths_in(paths))
    shot, shown = script.shot(request.size, backgrounds_in(backgrounds)), script.around(*around_s)
    frames = np.stack([shot.frame(k) for k in range(len(shot))[shown]])
    return LabelledClip(frames, script.times_s[shown], script.label, *script.action_s, shot.fingertip()[shown])


def left_out_of(backgrounds: Path | None) -> list[str]:
    """What could not be taken of a folder of backgrounds, one line each; the process that is asked has read it."""
    bank = backgrounds_in(backgrounds)
    return [] if bank is None else bank.left_out_lines()
