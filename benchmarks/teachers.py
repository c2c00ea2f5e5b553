"""Teachers beside each other: how often they are right on held-out clips, how large and how slow they are.

    python benchmarks/teachers.py runs/tsm runs/videomae runs/both [--json table.json]

Each argument is a run of `edgevid train-teacher`, cross-validated or with one fold held out. Accuracy is that of its
saved predictions with the 95% interval, MB is the weights as they lie on the disk, ms is one clip of random pixels on
one thread, all teachers in turn. Prints a table in Markdown.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from ending import one_line_errors
from finished import figures_of

from edgevid.errors import InputError
from edgevid.files import write_json
from edgevid_train.checkpoint import WEIGHTS, load_teacher
from edgevid_train.models.teachers.ensemble import taken
from edgevid_train.runs.given import teacher_for
from edgevid_train.runs.request import RUN

ROUNDS = 7


@dataclass(frozen=True)
class Row:
    """One teacher; `ms` is the p50 of a clip."""

    run: str
    kind: str
    takes: str
    n: int
    top1: float
    top1_low: float
    top1_high: float
    macro_f1: float
    parameters: int
    mb: float
    ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with one_line_errors():
        rows = compare(args.runs)
        if args.json:
            write_json(args.json, [asdict(row) for row in rows])
    print(as_markdown(rows))


def compare(runs: list[Path]) -> list[Row]:
    """Raises InputError for a folder without a teacher or without predictions."""
    torch.set_num_threads(1)
    figures = [_figures(run) for run in runs]
    folders = [teacher_for(run, {""}) for run in runs]  # of several folds any: they are alike
    loaded = [load_teacher(folder) for folder in folders]
    times: list[list[float]] = [[] for _ in runs]
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for teacher, into in zip(loaded, times, strict=True):
                config = teacher.recipe.teacher
                clip = 255 * torch.rand(1, config.frames, 3, config.input.height, config.input.width)
                begun = time.perf_counter()
                teacher.teacher(clip)
                into.append(1000 * (time.perf_counter() - begun))
    return [
        Row(
            run=str(run),
            kind=teacher.recipe.teacher.kind,
            takes=taken(teacher.recipe.teacher),
            parameters=sum(parameter.numel() for parameter in teacher.teacher.parameters()),
            mb=sum(file.stat().st_size for file in folder.rglob(WEIGHTS)) / 1e6,
            ms=sorted(into)[len(into) // 2],
            **found,
        )
        for run, folder, teacher, into, found in zip(runs, folders, loaded, times, figures, strict=True)
    ]


def _figures(run: Path) -> dict[str, float]:
    if (run / RUN).is_file() and json.loads((run / RUN).read_bytes()).get("command") == "train-distill":
        raise InputError(f"{run} is a run of train-distill, whose figures are its student's; give one of train-teacher")
    values = figures_of(run, "teacher")
    return {key: values[key] for key in ("n", "top1", "top1_low", "top1_high", "macro_f1")}


def as_markdown(rows: list[Row]) -> str:
    lines = [
        "| teacher | takes | top-1 (95%) | macro F1 | n | parameters | MB | ms a clip |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.run} ({row.kind}) | {row.takes} | {row.top1:.3f} ({row.top1_low:.3f} to {row.top1_high:.3f}) "
        f"| {row.macro_f1:.3f} | {row.n} | {row.parameters / 1e6:.2f} M | {row.mb:.1f} | {row.ms:.1f} |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
