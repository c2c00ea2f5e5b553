"""Which clips train and which are held out. A group (a person, a scene, a source video) is never on both sides."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord


@dataclass(frozen=True)
class Split:
    """Records on each side, in the order in which they were given."""

    train: tuple[ClipRecord, ...]
    val: tuple[ClipRecord, ...]

    @property
    def val_groups(self) -> set[str]:
        return {record.group for record in self.val}

    def warnings(self) -> list[str]:
        """What a person should know before training on it, one line each."""
        train, val = (_label_counts(side) for side in (self.train, self.val))
        lines = []
        for label in sorted(train | val):
            if not train[label]:
                lines.append(f"label {label!r}: no clip to train on; all {val[label]} are in held-out groups")
            elif self.val and not val[label]:
                lines.append(f"label {label!r}: no clip held out, so it is not measured ({train[label]} to train on)")
        both = {record.group for record in self.train} & self.val_groups
        if both:
            share = sum(record.group in both for record in self.val) / len(self.val)
            lines.append(
                f"{len(both)} groups are on both sides of the split, {min(both)!r} for one: a leak; "
                f"{share:.0%} of the held-out clips are of such groups"
            )
        return lines


def check_labels(records: Collection[ClipRecord]) -> None:
    """Raises InputError when there is nothing to tell apart."""
    labels = set(_label_counts(records))
    if len(labels) < 2:
        if not labels:
            raise InputError("at least two labels are needed; there is no clip")
        raise InputError(
            f"at least two labels are needed; all {len(records)} clips are {labels.pop()!r}. "
            "Video in which it does not happen is the other one: --negatives"
        )


def grouped_folds(records: Sequence[ClipRecord], k: int, seed: int) -> list[Split]:
    """Cut into `k` folds; every clip is held out once, every group as a whole.

    Stratified as far as groups allow, greedily: the largest groups first, ties in random order, each to the fold in
    which its labels are rarest. The same records, k and seed give the same folds.

    Raises:
        InputError: fewer groups than folds.
    """
    groups: dict[str, list[ClipRecord]] = defaultdict(list)
    for record in records:
        groups[record.group].append(record)
    if k < 2:
        raise InputError(f"{k} folds: at least 2 are needed")
    if len(groups) < k:
        raise InputError(f"{k} folds need at least {k} groups; the data has {len(groups)}")

    total = _label_counts(records)
    labels = sorted(total)
    shares = {}
    for name, members in groups.items():
        counts = _label_counts(members)
        shares[name] = np.array([counts[label] / total[label] for label in labels])
    names = sorted(groups)
    np.random.default_rng(seed).shuffle(names)
    names.sort(key=lambda name: -len(groups[name]))  # stable: ties stay shuffled

    held: list[set[str]] = [set() for _ in range(k)]
    filled = np.zeros((k, len(labels)))
    sizes = np.zeros(k, int)
    for name in names:
        best = min(range(k), key=lambda fold: (_crowding(filled[fold], shares[name]), sizes[fold]))
        filled[best] += shares[name]
        sizes[best] += len(groups[name])
        held[best].add(name)
    return [_hold_out(records, names_held) for names_held in held]


def holdout(records: Sequence[ClipRecord], k: int, seed: int) -> Split:
    """One split: the data's own where it names one, else the first of `k` grouped folds that leaves no label untrained.

    The data's own split holds out `val`, and `test` where there is no `val`; a clip without a split trains.

    Raises:
        InputError: all are of one group, or the data's own split has no training clips.
    """
    own = "val" if any(record.split == "val" for record in records) else "test"
    val = tuple(record for record in records if record.split == own)
    if val:
        train = tuple(record for record in records if record.split in (None, "train"))
        if not train:
            raise InputError("the data's own split leaves no clip to train on")
        return Split(train, val)
    groups = len({record.group for record in records})
    folds = grouped_folds(records, min(k, groups), seed) if groups > 1 else []
    if not folds:
        raise InputError("all clips are of one group, so none can be held out; give --all to train without validation")
    labels = set(_label_counts(records))
    return next((fold for fold in folds if set(_label_counts(fold.train)) == labels), folds[0])


def _label_counts(records: Iterable[ClipRecord]) -> Counter[str]:
    """How many clips bear each label; a clip with several counts for each of them."""
    return Counter(label for record in records for label in record.labels)


def _crowding(filled: NDArray[np.float64], added: NDArray[np.float64]) -> float:
    """How much the sum of squared shares grows: least where these labels are rarest. Rounded, so that ties are ties."""
    return round(float((2 * filled * added + added**2).sum()), 9)


def _hold_out(records: Sequence[ClipRecord], groups: set[str]) -> Split:
    return Split(
        tuple(record for record in records if record.group not in groups),
        tuple(record for record in records if record.group in groups),
    )
