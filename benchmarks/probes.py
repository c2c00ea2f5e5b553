"""A linear probe on every stage of a student: how much of the answer each stage already knows, and what it costs.

    python benchmarks/probes.py runs/cv egogestar [--grid 3] [--parts 3] [--json probes.json]

Each clip goes through the student as validation sees it. Every stage's map is averaged over the cells of a `--grid`,
the steps of a clip as a whole, in `--parts` equal parts one after the other, or the last step is taken alone; a ridge
classifier (Hoerl and Kennard 1970) is fitted to that, its strength chosen within the clips it is fitted to. Features
and probe are tested on clips of scenes that neither has seen: of a cross-validated run each fold's student on what the
fold held out, of a run with one split that, and where nothing was held out the probe alone is cross-validated over
groups, and the table says so. An exit is worth its place where the figures rise, and where they stop rising.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from ending import one_line_errors
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from edgevid.errors import InputError
from edgevid.files import write_json
from edgevid.recognise import settling_steps
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.checkpoint import LoadedStudent, checkpoints_of_folds, load_student
from edgevid_train.decode import DecodeError
from edgevid_train.describe import describe
from edgevid_train.evaluate.figures.metrics import wilson_interval
from edgevid_train.models.student import Student, macs_per_exit
from edgevid_train.samples.batch import as_input
from edgevid_train.samples.held_out import HeldOutClips, Ticks, as_stream
from edgevid_train.samples.split import Split, grouped_folds

FOLDS = 5  # of the probe, where the run held nothing out
STRENGTHS = np.logspace(-2, 6, 17)
MOST_BYTES = 1 << 30  # of prepared frames that are kept from one fold to the next
POOLS = ("last", "mean", "parts")
Features = dict[str, NDArray[np.float32]]
"""By pool, of one stage: `(features,)` of a clip or `(clips, features)`."""


@dataclass(frozen=True)
class Probe:
    """What one pool of one stage knows."""

    hits: int
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.hits, self.n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.hits / self.n:.3f} ({low:.3f} to {high:.3f})"


@dataclass(frozen=True)
class Row:
    """One stage. `macs`: of a step, were it the last with the only exit; `map`: channels x height x width.

    The memory's are those of the student as it is, which answers anew at each of its exits.
    """

    stage: str
    macs: int
    map: str
    probes: dict[str, Probe]


@dataclass(frozen=True)
class Part:
    """A student, and the clips to fit and to test its probes on."""

    loaded: LoadedStudent
    splits: tuple[Split, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run or checkpoint of train-distill")
    parser.add_argument("data", type=Path)
    parser.add_argument("--grid", type=int, default=1, help="cells along each side over which a map is averaged")
    parser.add_argument("--parts", type=int, default=3, help="parts of a clip that are averaged one by one")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with one_line_errors():
        parts, note = students(args.run, read_data(args.data))
        rows = probe(parts, max(1, args.grid), max(1, args.parts))
        if args.json:
            write_json(args.json, [asdict(row) for row in rows])
    print(as_markdown(rows, args.parts))
    print(f"\n{args.run} on {args.data}, maps averaged over {args.grid} x {args.grid} cells; {note}")


def students(run: Path, records: Sequence[ClipRecord]) -> tuple[list[Part], str]:
    """Every student of a run with its clips, and how they were kept apart.

    Raises:
        InputError: there is no student, or it shares no group with the data.
    """
    parts = [_part(load_student(folder), records) for folder in checkpoints_of_folds(run, "student") or [run]]
    held_out = {record.id for part in parts for split in part.splits for record in split.val}
    if not held_out:
        raise InputError(f"{run}: none of its held-out groups are in the data")
    if any(len(part.splits) > 1 for part in parts):
        return parts, f"the student was trained on all of them; probes alone by {FOLDS} grouped folds"
    return parts, f"students and probes tested on groups that neither has seen, {len(held_out)} clips"


def _part(loaded: LoadedStudent, records: Sequence[ClipRecord]) -> Part:
    held = set(loaded.info.split.val_groups)
    if not held:
        return Part(loaded, tuple(grouped_folds(records, FOLDS, loaded.recipe.data.split_seed)))
    train = tuple(record for record in records if record.group not in held)
    return Part(loaded, (Split(train, tuple(record for record in records if record.group in held)),))


def probe(parts: Sequence[Part], grid: int, count: int) -> list[Row]:
    """Fit and test every probe; hits are pooled over all parts and splits."""
    hits: dict[tuple[str, str], int] = {}
    tested = 0
    manifest = describe(parts[0].loaded.student, parts[0].loaded.recipe, parts[0].loaded.labels)
    spec, rate_hz, rest = manifest.input, manifest.rate_hz, settling_steps(manifest)
    source = HeldOutClips([], lambda clip: as_stream(clip, spec, rate_hz, rest), MOST_BYTES)
    for part in parts:
        clips = list(dict.fromkeys(record for split in part.splits for record in (*split.train, *split.val)))
        features, readable = features_of(part.loaded.student, clips, source, grid, count)
        place = {record: i for i, record in enumerate(readable)}
        labels = np.array([record.label for record in readable])
        for split in part.splits:
            train, val = ([place[r] for r in side if r in place] for side in (split.train, split.val))
            tested += len(val)
            for stage, pools in features.items():
                for pool, values in pools.items():
                    ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(STRENGTHS))
                    right = ridge.fit(values[train], labels[train]).predict(values[val]) == labels[val]
                    hits[stage, pool] = hits.get((stage, pool), 0) + int(right.sum())
    student, answers = parts[0].loaded.student, len(parts[0].loaded.labels)
    macs = [ending_at(number, student, answers) for number in range(1, len(student.stages) + 1)]
    macs.append(macs_per_exit(student)[-1])
    return [
        Row(stage, cost, shape, {pool: Probe(hits[stage, pool], tested) for pool in POOLS})
        for (stage, shape), cost in zip(shapes(student), macs, strict=True)
    ]


def ending_at(stage: int, student: Student, labels: int) -> int:
    """Multiply-accumulates of a step through a student that ends at this stage and has no other exit."""
    config = student.config.model_copy(update={"exits": (stage,), "weights": "none"})
    return macs_per_exit(Student(config, labels))[-1]


@torch.no_grad()
def features_of(
    student: Student, records: Sequence[ClipRecord], source: HeldOutClips[Ticks], grid: int, count: int
) -> tuple[dict[str, Features], list[ClipRecord]]:
    """Pooled features of every stage and of the memory's embedding, and the clips that could be read."""
    seen: dict[str, list[Features]] = {}
    readable = []
    for record in records:
        try:
            pixels = source.prepared(record).frames
        except DecodeError as error:
            print(f"left out: {record.id}: {error}", file=sys.stderr)
            continue
        readable.append(record)
        for stage, steps in of_stages(student, as_input(torch.from_numpy(pixels)[None]), grid):
            seen.setdefault(stage, []).append(pooled(steps.numpy(), count))
    return {
        stage: {pool: np.stack([clip[pool] for clip in clips]) for pool in POOLS} for stage, clips in seen.items()
    }, readable


def of_stages(student: Student, frames: Tensor, grid: int) -> Iterator[tuple[str, Tensor]]:
    """Of one clip `(1, T, 3, H, W)`: features `(T, F)` of every stage, averaged over cells, and the embedding."""
    maps: list[Tensor] = []

    def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        maps.append(adaptive_avg_pool2d(output, grid).flatten(1))

    hooks = [stage.register_forward_hook(keep) for stage in student.stages]
    embedding = student(frames).embedding[0]
    for hook in hooks:
        hook.remove()
    yield from ((f"stage {i}", map_) for i, map_ in enumerate(maps, start=1))
    yield "memory", embedding


def pooled(steps: NDArray[np.float32], count: int) -> Features:
    """`(T, F)` as one vector: of the last step, averaged over all, and averaged over `count` parts in their order."""
    parts = [part.mean(0) if len(part) else steps[-1] for part in np.array_split(steps, count)]
    return dict(zip(POOLS, (steps[-1], steps.mean(0), np.concatenate(parts)), strict=True))


def shapes(student: Student) -> list[tuple[str, str]]:
    """Name of every stage with the shape of its map, and the memory."""
    spec, out = student.config.input, []
    with torch.no_grad():
        student.carry.clip(1)
        x = student.stem(torch.zeros(1, 3, spec.height, spec.width))
        for i, stage in enumerate(student.stages, start=1):
            x = stage(x)
            out.append((f"stage {i}", "x".join(str(n) for n in x.shape[1:])))
        student.carry.release()
    return [*out, ("memory", str(student.embedding_size))]


def as_markdown(rows: Sequence[Row], count: int) -> str:
    lines = [
        f"| stage | map | M MACs, ending here | last step, top-1 (95%) | mean of the clip | {count} parts in order |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = " | ".join(str(row.probes[pool]) for pool in POOLS)
        lines.append(f"| {row.stage} | {row.map} | {row.macs / 1e6:.1f} | {figures} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
