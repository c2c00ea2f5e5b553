"""How much there is in a batch of what a loss is a mean over, so that its parts add up to the whole."""

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor


class Counts(NamedTuple):
    """What the terms of a loss are means over; or which share a part has in the whole batch's, 1 of the whole itself.

    A batch goes through the network in parts: in several processes, or one after the other where memory is short. The
    mean over its places, say, is the sum of its parts' means, each times the share of the known places that the part
    has. So a step does not depend on how its batch was cut.

    `clips`; `labels`: what the loss of labels is divided by; `places` and `pointing`: where the hand's is known.
    """

    clips: float = 1.0
    labels: float = 1.0
    places: float = 1.0
    pointing: float = 1.0

    def share_of(self, whole: Iterable[float]) -> "Counts":
        """Of what nothing has, there is nothing to share."""
        return Counts(*(own / all_ if all_ else 0.0 for own, all_ in zip(self, whole, strict=True)))


WHOLE, NOTHING = Counts(), Counts(0.0, 0.0, 0.0, 0.0)


def shares_of(chosen: Tensor) -> Tensor:
    """Of each that is chosen, bool `(B, T)`, its share in the mean over those of its row; zero where a row has none."""
    return chosen / chosen.sum(1, keepdim=True).clamp(min=1)
