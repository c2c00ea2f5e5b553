"""Learn-then-Test: which thresholds may be promised, from how often each lost something on independent units.

A row of thresholds is fixed before any data is seen, from the most careful to the most saving. Each is a hypothesis,
"it loses more than `risk` of all units", tested in that order at level 1 - confidence with its exact binomial p-value;
the first that is not rejected ends the test (fixed-sequence testing). The chance that any threshold is passed although
it loses more than `risk` is then at most 1 - confidence, for any number of thresholds, any distribution of units and
any network: only the units' independence is assumed. Angelopoulos et al., "Learn then Test", 2021 (arXiv 2110.01052).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgevid.errors import InputError

LEAST_RISK = 1e-6
"""A smaller one takes more recordings than anybody has: three million without one loss."""


@dataclass(frozen=True)
class Promise:
    """With `confidence`, at most the share `risk` of all units is lost.

    Raises InputError unless both are between 0 and 1, and `risk` at least `LEAST_RISK`.
    """

    risk: float
    confidence: float

    def __post_init__(self) -> None:
        for option, value in (("--risk", self.risk), ("--confidence", self.confidence)):
            if not 0 < value < 1:  # NaN is not either
                raise InputError(f"{option} {value:g}: expected a share above 0 and below 1")
        if self.risk < LEAST_RISK:
            raise InputError(f"--risk {self.risk:g}: the least that can be promised is {LEAST_RISK:g}")

    @property
    def level(self) -> float:
        """The largest p-value that is rejected."""
        return 1 - self.confidence

    def p_value(self, losses: int, n: int) -> float:
        """The chance of at most `losses` among `n` units when the share `risk` of all units is lost."""
        if not 0 <= losses <= n:
            raise ValueError(f"{losses} losses of {n}")
        if losses == n:
            return 1.0
        lost, kept = math.log(self.risk), math.log1p(-self.risk)
        ways = math.lgamma(n + 1)
        terms = (
            math.exp(ways - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * lost + (n - k) * kept)
            for k in range(losses + 1)
        )
        return min(1.0, math.fsum(terms))

    def units_needed(self, losses: int = 0) -> int:
        """How many units the promise needs when `losses` of them are lost: 149 for 0.02, 0.95 and none."""
        enough = losses + 1
        while self.p_value(losses, enough) > self.level:
            enough *= 2
        too_few = enough // 2 if enough > losses + 1 else losses
        while enough - too_few > 1:
            middle = (enough + too_few) // 2
            if self.p_value(losses, middle) > self.level:
                too_few = middle
            else:
                enough = middle
        return enough

    def passed(self, losses: Sequence[int], n: int) -> int:
        """How many of a row of thresholds pass, from the first on; `losses` of each, in the order fixed beforehand."""
        for count, lost in enumerate(losses):
            if self.p_value(lost, n) > self.level:
                return count
        return len(losses)
