"""`edgevid calibrate`: exit thresholds with a promise.

The promise: with the stated confidence, the share of recordings on which the whole network is right and the cascade is
wrong is at most the stated risk. `risk` holds the test, `judged` runs the cascade; here the rows of thresholds are
fixed, the runs counted, and the last row that passes is written into the model.
"""

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid.manifest import Calibration, Manifest
from edgevid.models.contract import StreamModel
from edgevid.models.load import load
from edgevid_train.annotations import ClipRecord, ReadOptions, of_split, read_data
from edgevid_train.calibration.judged import Judged, Thresholds, judge_clips, judge_events
from edgevid_train.calibration.report import Result, Row, Unit
from edgevid_train.calibration.risk import Promise
from edgevid_train.decode import DecodeError
from edgevid_train.ledger import Ledger
from edgevid_train.marks import refuse_trained
from edgevid_train.reporter import Reporter
from edgevid_train.rewrite import rewrite
from edgevid_train.storage import is_one_file

LEVELS: Final = (
    *(0.999, 0.998, 0.997, 0.996, 0.995, 0.993, 0.99, 0.985, 0.98, 0.97, 0.96, 0.95),
    *(0.93, 0.91, 0.89, 0.87, 0.85, 0.82, 0.79, 0.76, 0.73, 0.7, 0.65, 0.6, 0.55, 0.5),
)
"""From the most careful to the most saving: each is the threshold of all exits but the last. Fixed before any data is
seen, which is what the promise rests on; close together where a network's scores are, near 1."""


def calibrate(
    model: str,
    data: Path,
    options: ReadOptions,
    promise: Promise,
    *,
    report: Reporter,
    unit: Unit = "recording",
    split: str | None = None,
    threads: int = 1,
) -> Result:
    """Run the whole cascade over `data` for every row of thresholds, and test the rows in their order.

    A unit is a file, with all its labelled clips, or each labelled clip by itself (`event`). What cannot be read, or
    is labelled as the model never answers, is no unit; it is named in `skipped`.

    Raises:
        InputError: a model without exits to calibrate, one that was trained on this data, too few units for the
            promise, or a model that computes NaN.
    """
    network = _open(model, threads)
    manifest = network.manifest
    records, skipped = _usable(of_split(read_data(data, options, report.say), split, data), manifest, data)
    refuse_trained(records, manifest.provenance.trained_on, model, str(data), "a promise needs")
    files = _by_file(records)
    _refuse_few(_units(files.values(), unit), promise, unit, data)

    rows: list[Thresholds] = [(level,) * (len(manifest.exits) - 1) + (None,) for level in LEVELS]
    tally = Losses(unit, manifest, [(None,) * len(manifest.exits), *rows])
    judge = judge_clips if unit == "recording" else judge_events
    with report.bar(f"running {manifest.name}", len(files)) as advance:
        for clips in files.values():
            try:
                tally.add(judge(clips, network, tally.rows), {clip.group for clip in clips})
            except DecodeError as error:
                for clip in clips:
                    skipped.skip(clip, str(error))
            advance(f"{len(skipped)} skipped" if len(skipped) else "")
    _refuse_few(tally.n, promise, unit, data)

    full, *tried = tally.result()
    tried = [replace(row, p_value=promise.p_value(row.losses, tally.n)) for row in tried]
    passed = promise.passed([row.losses for row in tried], tally.n)
    notes = _notes(manifest, len(tally.groups), tally.n)
    return Result(manifest, str(data), promise, unit, tally.n, tally.clips, full, tuple(tried), passed, skipped, notes)


def write_calibrated(model: str, result: Result, out: Path, *, force: bool = False) -> Manifest:
    """Write the model again with the chosen thresholds and today's promise; gives back the sealed manifest.

    Raises:
        InputError: `out` exists and `force` is not given, or cannot be written.
    """
    assert result.chosen is not None, "no row passed: there is nothing to write"
    promise = Calibration(
        risk=result.promise.risk,
        confidence=result.promise.confidence,
        n=result.n,
        unit=result.unit,
        date=datetime.datetime.now(datetime.UTC).date(),
    )
    manifest = result.model.with_thresholds(result.chosen.thresholds).model_copy(update={"calibration": promise})
    return rewrite(model, manifest, out, force=force)


@dataclass
class Losses:
    """Losses and costs of every row over the files so far; the first row is the whole network."""

    unit: Unit
    manifest: Manifest
    rows: list[Thresholds]
    n: int = 0
    clips: int = 0
    groups: set[str] = field(default_factory=set)
    losses: NDArray[np.int64] = field(init=False)
    right: NDArray[np.int64] = field(init=False)
    steps: NDArray[np.int64] = field(init=False)
    held: NDArray[np.int64] = field(init=False)
    rested: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.losses, self.right, self.held, self.rested = np.zeros((4, len(self.rows)), np.int64)
        self.steps = np.zeros((len(self.rows), len(self.manifest.exits)), np.int64)

    def add(self, judged: Sequence[Judged], groups: Collection[str]) -> None:
        """Count one file with clips of these groups, judged once for each row."""
        self.groups.update(groups)
        right = np.array([one.right for one in judged])  # (rows, clips)
        lost = right[0] & ~right
        self.clips += right.shape[1]
        self.n += 1 if self.unit == "recording" else right.shape[1]
        self.losses += lost.any(axis=1) if self.unit == "recording" else lost.sum(axis=1)
        self.right += right.sum(axis=1)
        self.steps += np.array([one.steps for one in judged])
        self.held += np.array([one.held for one in judged])
        self.rested += np.array([one.rested for one in judged])

    def result(self) -> list[Row]:
        """Every row, not yet tested."""
        macs = np.array([e.macs for e in self.manifest.exits], np.float64)
        steps = np.maximum(1, self.steps.sum(axis=1) + self.held + self.rested)
        shares = self.steps / steps[:, None]
        costs = shares @ macs + self.held / steps * self.manifest.hold_macs
        return [
            Row(row, int(lost), int(right), tuple(map(float, share)), float(cost))
            for row, lost, right, share, cost in zip(self.rows, self.losses, self.right, shares, costs, strict=True)
        ]


def _open(model: str, threads: int) -> StreamModel:
    network = load(model, threads=threads)
    if not isinstance(network, StreamModel):
        raise InputError(f"{model} is a clip graph, which computes every exit; calibrate the stream model")
    if network.manifest.activation == "sigmoid":
        raise InputError(f"{model} gives independent scores: what is promised is of models with one answer a clip")
    if len(network.manifest.exits) < 2:
        raise InputError(f"{model} has one exit only: there is no threshold to choose")
    return network


def _usable(records: Sequence[ClipRecord], manifest: Manifest, data: Path) -> tuple[list[ClipRecord], Ledger]:
    """The clips whose label the model could give and whose file is there, and the others with the reason."""
    skipped, usable = Ledger(), []
    for record in records:
        if record.label not in manifest.labels:
            skipped.skip(record, f"the model has no label {record.label!r}, so that nothing could be lost")
        elif not is_one_file(record.file):
            skipped.skip(record, "no such file")
        else:
            usable.append(record)
    if not usable:
        first, reason = next(iter(skipped.reasons.items()))
        raise InputError(f"{data}: no clip can be used; the first: {first.id}: {reason}")
    return usable, skipped


def _by_file(records: Sequence[ClipRecord]) -> Mapping[Path, list[ClipRecord]]:
    files: dict[Path, list[ClipRecord]] = {}
    for record in records:
        files.setdefault(record.file, []).append(record)
    return files


def _units(files: Any, unit: Unit) -> int:
    return sum(1 if unit == "recording" else len(clips) for clips in files)


def _refuse_few(n: int, promise: Promise, unit: Unit, data: Path) -> None:
    needed = promise.units_needed()
    if n < needed:
        raise InputError(
            f"too few for the promise: {data} has {n} {unit}s to use, risk {promise.risk:g} with confidence "
            f"{promise.confidence:g} needs {needed} without one loss, {promise.units_needed(1)} with one"
        )


def _notes(manifest: Manifest, groups: int, n: int) -> tuple[str, ...]:
    notes = []
    if not manifest.provenance.trained_on:
        notes.append(
            "the model does not say which recordings it was trained on; if these are among them, the promise is void"
        )
    if not manifest.conditional:
        notes.append(
            "this graph computes every stage whatever decides: thresholds change its answers, not yet its cost"
        )
    if groups < n:
        notes.append(
            f"the {n} units count as independent and are of {groups} groups; the promise is for more like them"
        )
    return tuple(notes)
