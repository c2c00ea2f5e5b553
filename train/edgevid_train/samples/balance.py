"""How often labels come, when rare ones are to come more often than they are."""

from collections import Counter
from collections.abc import Sequence

import numpy as np


def kinds_of(clips: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """A number for the label of each clip; where it has several, for the one that fewest clips have."""
    counts = Counter(label for labels in clips for label in labels)
    numbers = {label: number for number, label in enumerate(sorted(counts))}
    return tuple(numbers[min(labels, key=lambda label: (counts[label], label))] for labels in clips)


def balanced(sizes: Sequence[int], count: int, balance: float) -> list[int]:
    """How many of `count` places each kind gets, at least one; there are no more kinds than places.

    Of each kind there are `sizes` clips, and each clip weighs the inverse of its kind's size to the power of `balance`.
    """
    shares = np.asarray(sizes, float) ** (1 - balance)
    wanted = shares / shares.sum() * count
    places = np.maximum(1, np.floor(wanted))
    while (missing := count - places.sum()) != 0:
        step = np.sign(missing)
        room = np.where((step > 0) | (places > 1), step * (wanted - places), -np.inf)
        places[room.argmax()] += step
    return [int(n) for n in places]
