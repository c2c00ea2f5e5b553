"""What training clips are called, and what that asks of a network's labels.

A stream's steps are about one thing at a time. Where clips have several labels, that thing is their combination: it has
a name of its own while streams are laid out, and becomes a row of zeros and ones, a label each, when they are stacked.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from edgevid.manifest import BACKGROUND

_BETWEEN = "\n"  # in no label, since labels can be printed


@dataclass(frozen=True)
class Targets:
    """The names that training clips may have, and which of the network's labels are true under each.

    Attributes:
        names: a step's target is an index into them.
        rows: float32 `(names, labels)`, 0 or 1; None where the names are the labels.
    """

    names: tuple[str, ...]
    rows: Tensor | None = None

    @classmethod
    def several(
        cls, labels: Sequence[str], clips: Iterable[Sequence[str]], changes: Sequence[Mapping[str, str]] = ()
    ) -> Self:
        """Of independent `labels`: the background, each label and each clip's combination of them, and what `changes`
        (flip and reverse, by label) make of those.
        """
        names = list(dict.fromkeys([BACKGROUND, *labels, *(called(names) for names in clips)]))
        known = set(names)
        for name in names:  # which grows
            for change in changes:
                other = changed(name, change)
                if other is not None and other not in known:
                    names.append(other)
                    known.add(other)
        rows = np.array([[label in _parts(name) for label in labels] for name in names], np.float32)
        return cls(tuple(names), torch.from_numpy(rows))

    def changes(self, of_labels: Mapping[str, str]) -> dict[str, str]:
        """What a flip or a reversal, given by label, makes of each name."""
        found = {name: changed(name, of_labels) for name in self.names}
        return {name: other for name, other in found.items() if other is not None}


def called(labels: Collection[str]) -> str:
    """The name of a clip with these labels; the background is none of them."""
    return _BETWEEN.join(sorted(set(labels) - {BACKGROUND})) or BACKGROUND


def changed(name: str, change: Mapping[str, str]) -> str | None:
    """The name after a change that is given by label; None where it does not say what becomes of one of them."""
    parts = _parts(name)
    return called([change[part] for part in parts]) if parts <= change.keys() else None


def _parts(name: str) -> set[str]:
    return set(name.split(_BETWEEN))
