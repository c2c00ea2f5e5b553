"""Our student beside networks that others designed, trained by the same recipe on the same clips and folds.

    python benchmarks/peers.py air-gesture egogestar --out runs/peers --cv 5 [--extra drawn] \
        [--first air-gesture-drawn --first-data drawn]

Peers are settings, not code (`PEERS`): X3D-XS is pytorchvideo's, a clip of 4 frames of 160x160 spread over the whole
of it; X3D-looking the same stages, TSM-MobileNetV2 and TSM-Lite0 the backbone of Lin et al. 2019 (Temporal Shift
Module) and that which ours is cut from, shifted both ways, each over 16 frames spread over the whole clip, under the
head of our teachers. Those of X3D begin from random weights, which all learn at the full rate, the others from
ImageNet's, as ours; where timm's hub does not answer, `--set teacher.weights=FILE` with that peer alone. All keep what
the recipe says of epochs, batches and augmentation, and all but X3D-XS what it says of input.
`--first RECIPE` trains each network on drawn clips before, as the default model is; `--run NAME=RUN` takes a finished
run of a network, `ours` among them, instead of training one; `--set` changes the recipes for all, whatever a peer says.
What is finished is not trained again, what was stopped goes on.

Measured: top-1 of the held-out clips with its 95% interval, and how likely so uneven a split of the clips on which a
peer and ours differ is for equals (McNemar, exact); milliseconds of a decision on one thread of ONNX Runtime, all
networks in turn, the first after another's turn not counted; megabytes of the ONNX file. The peers decide by a whole
clip anew, ours by one step. They are shown where an action begins and ends; a device does not know.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import torch
from ending import one_line_errors
from finished import figures_of, predictions_of
from rich.console import Console
from timing import p50_p95, timed_ms
from torch import Tensor, nn

from edgevid.errors import InputError
from edgevid.files import write_json
from edgevid.models.contract import StreamModel
from edgevid.models.load import load
from edgevid_deploy.export import export
from edgevid_train.checkpoint import Kind, load_teacher
from edgevid_train.evaluate.figures.paired import mcnemar_exact
from edgevid_train.loop.allocator import keep_freed_memory
from edgevid_train.loop.interrupt import interruptible
from edgevid_train.models.teachers.build import BuiltTeacher, TeacherOutputs
from edgevid_train.models.teachers.ensemble import Ensemble
from edgevid_train.recipe import load_recipe
from edgevid_train.reporter import Reporter
from edgevid_train.runs.given import teacher_for
from edgevid_train.runs.request import RUN, RunRequest, begun, resumed
from edgevid_train.runs.train import train_folds

STEPS = 5  # of each turn
OURS = "ours"


@dataclass(frozen=True)
class Peer:
    """`changes`: to the recipe. `clip`: trained as a teacher is, and decides by a whole clip; else by a step."""

    takes: str
    clip: bool
    changes: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        return "teacher" if self.clip else "student"


RANDOM = ("teacher.weights=none", "teacher.frozen=0", "teacher_optim.backbone_lr=1")
NOTHING_TO_TEACH = ("distill.response=0", "distill.feature=0")
PEERS = {
    OURS: Peer("a step", False, ()),
    "x3d-xs": Peer(
        "a clip of 4 frames of 160x160",
        True,
        ("teacher.kind=x3d", "teacher.frames=4", "teacher.input={height=160, width=160}", *RANDOM),
    ),
    "x3d-looking": Peer("a clip of 16 frames", True, ("teacher.kind=x3d-looking", "teacher.frames=16", *RANDOM)),
    "tsm-mobilenetv2": Peer(
        "a clip of 16 frames",
        True,
        ("teacher.kind=tsm", "teacher.backbone=mobilenetv2_100", "teacher.frames=16"),
    ),
    "tsm-lite0": Peer(
        "a clip of 16 frames",
        True,
        ("teacher.kind=tsm", "teacher.backbone=tf_efficientnet_lite0", "teacher.frames=16"),
    ),
}


@dataclass(frozen=True)
class Row:
    """One network. `worse`, `better`: clips that it alone got wrong, or right, beside ours; `ms`: p50 and p95."""

    name: str
    takes: str
    n: int
    top1: float
    top1_low: float
    top1_high: float
    better: int
    worse: int
    p_value: float
    ms: tuple[float, float]
    mb: float


def main() -> None:
    args = parsed()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed_memory()
    report = Reporter(Console(stderr=True))
    with one_line_errors():
        with interruptible(lambda: report.say("stopping after this step")) as stop:
            runs = {
                name: args.run.get(name) or trained(name, args, report, stop)
                for name in dict.fromkeys((OURS, *args.peer, *args.run))
            }
        rows = compare(runs, args.out / "onnx", args.rounds)
        if args.json:
            write_json(args.json, [asdict(row) for row in rows])
    print(as_markdown(rows))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a run for each network, begun or finished")
    parser.add_argument("--cv", type=int, help="folds; one split when neither this nor --fold is given")
    parser.add_argument("--folds", type=int, help="with --fold: hold out one of so many")
    parser.add_argument("--fold", type=int, help="which one, counting from 1")
    parser.add_argument("--extra", type=Path, action="append", default=[], help="clips that are only trained on")
    parser.add_argument("--first", help="recipe by which each network is trained before, on --first-data alone")
    parser.add_argument("--first-data", type=Path, help="drawn clips; may be left out where that recipe draws its own")
    parser.add_argument(
        "--run",
        type=named_run,
        action="append",
        default=[],
        metavar="NAME=RUN",
        help="finished, on the same folds",
    )
    parser.add_argument("--peer", action="append", choices=list(PEERS)[1:], help="all of them when not given")
    parser.add_argument("--set", action="append", default=[], dest="changes", help="key=value, for every network")
    parser.add_argument("--rounds", type=int, default=40, help=f"turns of each network, {STEPS} decisions in each")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.peer, args.run = args.peer or list(PEERS)[1:], dict(args.run)
    return args


def named_run(given: str) -> tuple[str, Path]:
    name, equals, run = given.partition("=")
    if not equals or name not in PEERS:
        raise argparse.ArgumentTypeError(f"{given!r} is not NAME=RUN with a name of {', '.join(PEERS)}")
    return name, Path(run)


def trained(name: str, args: argparse.Namespace, report: Reporter, stop: Callable[[], bool]) -> Path:
    """Train a network by the recipes, or go on with it; gives back its run."""
    init = None
    if args.first is not None:
        data = args.first_data and args.first_data.absolute()
        init = run(name, args.first, args, {"data": data, "all": True}, args.out / f"{name}-first", report, stop)
    asked = {"data": args.data.absolute(), "extra": tuple(folder.absolute() for folder in args.extra)}
    asked |= {"cv": args.cv, "folds": args.folds, "fold": args.fold}
    return run(name, args.recipe, args, asked | {"init": init and init.absolute()}, args.out / name, report, stop)


def run(
    name: str,
    recipe_name: str,
    args: argparse.Namespace,
    asked: Mapping[str, Any],
    out: Path,
    report: Reporter,
    stop: Callable[[], bool],
) -> Path:
    peer = PEERS[name]
    recipe = load_recipe(recipe_name, (*NOTHING_TO_TEACH, *peer.changes, *args.changes))
    command = "train-teacher" if peer.clip else "train-distill"
    start = (resumed if (out / RUN).is_file() else begun)(RunRequest, out, recipe, {**asked, "command": command})
    report.say(f"{name}: {out}")
    train_folds(start, device="cpu", force=False, report=report, stop=stop)
    return out


def compare(runs: Mapping[str, Path], folder: Path, rounds: int) -> list[Row]:
    """Raises InputError when a run is not finished, or was judged by other clips than ours."""
    figures = {name: figures_of(path, PEERS[name].kind) for name, path in runs.items()}
    right = {
        name: {clip: said["predicted"] == said["label"] for clip, said in predictions_of(values).items()}
        for name, values in figures.items()
    }
    ours = right[OURS]
    for name, theirs in right.items():
        if theirs.keys() != ours.keys():
            raise InputError(f"{runs[name]} and {runs[OURS]} were judged by different clips")
    files = {name: as_onnx(PEERS[name], path, folder / name) for name, path in runs.items()}
    times = interleaved({name: decision(PEERS[name], file) for name, file in files.items()}, rounds)
    rows = []
    for name, values in figures.items():
        theirs = right[name]
        better = sum(theirs[clip] and not ours[clip] for clip in ours)
        worse = sum(ours[clip] and not theirs[clip] for clip in ours)
        shares = {key: values[key] for key in ("n", "top1", "top1_low", "top1_high")}
        p_value, mb = mcnemar_exact(better, worse), files[name].stat().st_size / 1e6
        rows.append(
            Row(name, PEERS[name].takes, **shares, better=better, worse=worse, p_value=p_value, ms=times[name], mb=mb)
        )
    return rows


def as_onnx(peer: Peer, path: Path, folder: Path) -> Path:
    """The network of a run, of several folds the first, as one ONNX file."""
    if peer.clip:
        return clip_as_onnx(teacher_for(path, {""}), folder.with_suffix(".onnx"))
    first = path / "fold-1"
    written = export(first if first.is_dir() else path, to="onnx", out=folder, force=True)
    return Path(written[0].file)


class ClipGraph(nn.Module):
    """uint8 `(1, T, H, W, 3)` -> logits, as our own graphs take their pixels."""

    def __init__(self, teacher: BuiltTeacher | Ensemble) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, pixels: Tensor) -> Tensor:
        outputs: TeacherOutputs = self.teacher(pixels.permute(0, 1, 4, 2, 3).float())
        return outputs.logits


def clip_as_onnx(checkpoint: Path, file: Path) -> Path:
    teacher = load_teacher(checkpoint).teacher
    spec, frames = teacher.config.input, teacher.config.frames
    example = torch.zeros(1, frames, spec.height, spec.width, 3, dtype=torch.uint8)
    with torch.no_grad():
        program = torch.onnx.export(ClipGraph(teacher).eval(), (example,), dynamo=True, opset_version=18, verbose=False)
    assert program is not None
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(program.model_proto.SerializeToString())
    return file


def decision(peer: Peer, file: Path) -> Callable[[], object]:
    """One decision of a network about random pixels, on one thread; every exit of ours is computed."""
    rng = np.random.default_rng(0)
    if peer.clip:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        taken = session.get_inputs()[0]
        clip = rng.integers(0, 256, taken.shape, np.uint8)
        return lambda: session.run(None, {taken.name: clip})
    model = load(file)
    assert isinstance(model, StreamModel)
    spec, state = model.manifest.input, model.zero_state()
    frame = rng.integers(0, 256, (spec.height, spec.width, 3), np.uint8)

    def step() -> None:
        nonlocal state
        _, state = model.step(frame, state)

    return step


def interleaved(decisions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """p50 and p95 of each in milliseconds. The first of a turn finds another's caches, and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in decisions}
    for _ in range(rounds):
        for name, decide in decisions.items():
            decide()
            times[name] += [timed_ms(decide) for _ in range(STEPS)]
    return {name: p50_p95(values) for name, values in times.items()}


def as_markdown(rows: Sequence[Row]) -> str:
    lines = [
        "| network | decides by | top-1 (95%) | n | right where ours is wrong, reverse (p) | ms, p50 (p95) | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        beside = "" if row.name == OURS else f"{row.better}, {row.worse} ({row.p_value:.2g})"
        lines.append(
            f"| {row.name} | {row.takes} | {row.top1:.3f} ({row.top1_low:.3f} to {row.top1_high:.3f}) | {row.n} "
            f"| {beside} | {row.ms[0]:.2f} ({row.ms[1]:.2f}) | {row.mb:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
