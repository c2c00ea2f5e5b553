"""One split to train on, and what all phases of a run share."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevid_train.annotations import ClipRecord
from edgevid_train.annotations.places import Places
from edgevid_train.checkpoint import SplitInfo
from edgevid_train.decode import ClipCache
from edgevid_train.loop.devices import Device
from edgevid_train.marks import marks_of_all
from edgevid_train.recipe import Recipe
from edgevid_train.reporter import Reporter
from edgevid_train.samples.drawn import DrawnClips


@dataclass(frozen=True)
class Fold:
    """One split to train on; `folder` gets the phases' folders.

    `train`: readable clips, the extra ones last, so many of them as `extra` says, and of these the last `negatives` are
    pieces of video without actions; `lengths`: their steps.
    """

    name: str
    folder: Path
    train: Sequence[ClipRecord]
    lengths: Sequence[int]
    extra: int
    negatives: int
    val: Sequence[ClipRecord]

    def info(self, seen_before: Collection[str], drawn: range = range(0)) -> SplitInfo:
        """`drawn`: seeds of the clips that are drawn as the training goes."""
        own = self.train[: len(self.train) - self.extra]
        return SplitInfo(
            name=self.name,
            train_clips=len(self.train),
            val_clips=len(self.val),
            train_groups=tuple(sorted({record.group for record in self.train})),
            val_groups=tuple(sorted({record.group for record in self.val})),
            trained_on=marks_of_all(own, self.train[len(own) :], seen_before, drawn),
        )


@dataclass(frozen=True)
class Setting:
    """What all phases of a run share. `stop` says whether the person asked to stop.

    `seen_before`: marks of what a given teacher, or the weights to begin from, were trained on. `drawn`: clips that
    are drawn as the training goes, where the recipe asks for them.
    """

    recipe: Recipe
    labels: tuple[str, ...]
    cache: ClipCache
    places: Mapping[Path, Places]
    device: Device | None
    resume: bool
    report: Reporter
    stop: Callable[[], bool] = lambda: False
    init: Path | None = None
    seen_before: Collection[str] = ()
    drawn: DrawnClips | None = None
