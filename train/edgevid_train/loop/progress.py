"""What an epoch came to, and the line that a person sees of it: losses, speed, figures on the held-out clips."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

Item = TypeVar("Item")


@dataclass
class Meter:
    """Sums over an epoch; plain values, so that a resumed epoch goes on counting. Times in seconds."""

    sums: dict[str, float] = field(default_factory=dict)
    clips: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0

    def add(self, terms: Mapping[str, float], clips: int) -> None:
        """Count a batch of `clips` clips with these mean losses."""
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * clips
        self.clips += clips

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """Pass `items` on, and measure how long each took to come and to be used."""
        source = iter(items)
        while True:
            begun = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                return
            self.waited_s += time.perf_counter() - begun
            yield item
            self.seconds += time.perf_counter() - begun

    def means(self) -> dict[str, float]:
        return {name: value / max(1, self.clips) for name, value in self.sums.items()}

    @property
    def clips_per_s(self) -> float:
        return self.clips / self.seconds if self.seconds else 0.0

    @property
    def waiting_share(self) -> float:
        """Share of the time in which the network waited for its next batch."""
        return self.waited_s / self.seconds if self.seconds else 0.0


def losses(terms: Mapping[str, float]) -> str:
    """`loss 1.234 (task 0.9, response 0.3)`."""
    parts = ", ".join(f"{name} {value:.3f}" for name, value in terms.items() if name != "loss")
    return f"loss {terms['loss']:.3f} ({parts})" if "loss" in terms else parts


def epoch_line(kind: str, epoch: int, epochs: int, meter: Meter, metrics: Mapping[str, float], best_epoch: int) -> str:
    """One line: losses, speed, how long the network waited for data, figures on the held-out clips."""
    line = (
        f"{kind} {epoch}/{epochs}  {losses(meter.means())}  {meter.clips_per_s:.1f} clips/s  "
        f"waited for data {meter.waiting_share:.0%}"
    )
    if metrics:
        figures = "  ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        line += f"  held out: {figures}" + ("  best so far" if best_epoch == epoch else f"  (best: {best_epoch})")
    return line
