"""Ways of training beside each other, each repeated over folds and seeds: what a teacher, or more data, is worth.

    python benchmarks/arms.py egogestar --arm alone runs/alone-* --arm taught runs/taught-*

An arm is a name and its finished runs: of every arm as many, with the same clips held out. Top-1 and log loss are those
of all its runs together; the 95% intervals, also of how far an arm is from the first one, are over groups (the scenes,
or persons, of the data), which are drawn with replacement, the same for all arms: the clips of one are right or wrong
together, and so are the runs of several seeds on one clip.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from ending import one_line_errors
from finished import Clip, figures_of, predictions_of
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid.files import write_json
from edgevid_train.annotations import read_data
from edgevid_train.evaluate.figures.metrics import log_loss
from edgevid_train.evaluate.figures.resampling import DRAWS, Interval, draw, drawn_means, middle_95


@dataclass(frozen=True)
class Arm:
    """What became of every clip of every run: `(runs x clips,)` each. `group`: name of the clip's."""

    name: str
    by_run: tuple[float, ...]
    clips: Counter[Clip]
    right: NDArray[np.float64]
    loss: NDArray[np.float64]
    group: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One arm; `more` and `loss_change`: top-1 and log loss less those of the first arm. Intervals are of 95%."""

    arm: str
    n: int
    by_run: tuple[float, ...]
    top1: float
    top1_interval: Interval
    loss: float
    more: float
    more_interval: Interval
    loss_change: float
    loss_change_interval: Interval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the clips, which says to which group each belongs")
    parser.add_argument("--arm", nargs="+", action="append", required=True, metavar=("NAME", "RUN"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with one_line_errors():
        groups = {record.name: record.group for record in read_data(args.data)}
        rows = compare([arm_of(name, [Path(run) for run in runs], groups) for name, *runs in args.arm])
        if args.json:
            write_json(args.json, [asdict(row) for row in rows])
    print(as_markdown(rows))


def arm_of(name: str, runs: Sequence[Path], groups: Mapping[str, str]) -> Arm:
    """Raises InputError when there is no run, one is not finished, or a clip is none of the data's."""
    if not runs:
        raise InputError(f"--arm {name}: no runs")
    clips: Counter[Clip] = Counter()
    right, loss, group, by_run = [], [], [], []
    for run in runs:
        said = predictions_of(figures_of(run))
        if lost := [clip for clip, _ in said if clip not in groups]:
            raise InputError(f"{run}: {lost[0]} is not among the data's clips")
        clips.update(said.keys())
        right += [float(one["predicted"] == one["label"]) for one in said.values()]
        loss += [log_loss(one["scores"], one["label"]) for one in said.values()]
        group += [groups[clip] for clip, _ in said]
        by_run.append(float(np.mean(right[-len(said) :])))
    return Arm(name, tuple(by_run), clips, np.array(right), np.array(loss), tuple(group))


def compare(arms: Sequence[Arm], draws: int = DRAWS, seed: int = 0) -> list[Row]:
    """Raises InputError when two arms were judged by different clips, or all clips are of one group."""
    first = arms[0]
    for arm in arms:
        if arm.clips != first.clips:
            raise InputError(f"{arm.name} and {first.name} were judged by different clips")
    units = len(set(first.group))
    if units < 2:
        raise InputError("all held-out clips are of one group, which says nothing of others")
    times = draw(np.random.default_rng(seed), units, draws)

    def drawn(arm: Arm, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return drawn_means(values, np.unique(arm.group, return_inverse=True)[1], times)

    rows = []
    for arm in arms:
        top1, loss = drawn(arm, arm.right), drawn(arm, arm.loss)
        rows.append(
            Row(
                arm=arm.name,
                n=len(arm.right),
                by_run=arm.by_run,
                top1=float(arm.right.mean()),
                top1_interval=middle_95(top1),
                loss=float(arm.loss.mean()),
                more=float(arm.right.mean() - first.right.mean()),
                more_interval=middle_95(top1 - drawn(first, first.right)),
                loss_change=float(arm.loss.mean() - first.loss.mean()),
                loss_change_interval=middle_95(loss - drawn(first, first.loss)),
            )
        )
    return rows


def as_markdown(rows: Sequence[Row]) -> str:
    first = rows[0].arm
    lines = [
        f"| arm | n | top-1 (95%) | of each run | beside {first} (95%) | log loss | beside {first} (95%) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        runs = ", ".join(f"{top1:.3f}" for top1 in row.by_run)
        more, change = f"{row.more:+.3f} {_span(row.more_interval)}", f"{row.loss_change:+.3f}"
        beside = ("", "") if row.arm == first else (more, f"{change} {_span(row.loss_change_interval)}")
        lines.append(
            f"| {row.arm} | {row.n} | {row.top1:.3f} ({row.top1_interval[0]:.3f} to {row.top1_interval[1]:.3f}) "
            f"| {runs} | {beside[0]} | {row.loss:.3f} | {beside[1]} |"
        )
    return "\n".join(lines)


def _span(interval: Interval) -> str:
    return f"({interval[0]:+.3f} to {interval[1]:+.3f})"


if __name__ == "__main__":
    main()
