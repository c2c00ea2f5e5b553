"""`pretrain`: a VideoMAE learns from videos without labels, as the beginning of a teacher.

OUT/run.json, recipe.toml, ledger.csv   as of every run
OUT/pretrained/        `last/` and `best/` checkpoints, each a folder of transformers too, and `tensorboard/`
OUT/pretrain.json      figures on the held-out videos
OUT/reconstruction.png what it makes of some of them
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

import edgevid
from edgevid.errors import InputError
from edgevid.files import write_json
from edgevid_train.annotations import ClipRecord
from edgevid_train.checkpoint import (
    PRETRAINED_FIGURES,
    RECONSTRUCTION,
    WEIGHTS,
    CheckpointInfo,
    SplitInfo,
    kept_part,
    load_weights,
)
from edgevid_train.decode import ClipCache, IndexStore, disk_clips
from edgevid_train.evaluate.reconstruction import draw_reconstruction, reconstruction_figures
from edgevid_train.ledger import LEDGER, Ledger
from edgevid_train.loop import processes
from edgevid_train.loop.devices import Device, make_accelerator
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.loop.job import Job
from edgevid_train.loop.scalars import check_log
from edgevid_train.loop.schedule import check_held_out
from edgevid_train.loop.trainer import train
from edgevid_train.marks import marks_of_all
from edgevid_train.masked import ClipShape, MaskedBatch, MaskedClips, MaskedTask, hidden_patches
from edgevid_train.models.teachers.masked_videomae import MaskedVideoMAE
from edgevid_train.recipe import Recipe
from edgevid_train.reporter import Reporter
from edgevid_train.runs.clearing import begin, clear_unfinished
from edgevid_train.runs.folder import resumable, run_folder
from edgevid_train.runs.phases import is_finished
from edgevid_train.runs.readiness import fits_into_memory
from edgevid_train.runs.request import PretrainRequest, Start
from edgevid_train.samples.dataset import shards_of
from edgevid_train.samples.sampler import ClipSampler
from edgevid_train.samples.unlabelled import find_videos, hold_out, read_pieces

FOLDER = "pretrained"
_DRAWN = 4


def pretrain(
    start: Start[PretrainRequest],
    *,
    device: Device | None,
    force: bool,
    report: Reporter,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Run it all. What can fail early is tried before the first video is decoded.

    Returns: figures of the held-out clips with the weights of the last epoch, as in `pretrain.json`.

    Raises:
        InputError: bad data, recipe, device or output.
        CheckFailedError: the loss is NaN or infinite.
        StoppedError: the person asked to stop; the message says how to go on.
    """
    with run_folder(start.out, force=force or start.resume, say=report.say):
        return _pretrain(start, device, report, stop)


def _pretrain(
    start: Start[PretrainRequest], device: Device | None, report: Reporter, stop: Callable[[], bool]
) -> dict[str, Any]:
    request, recipe, out = start.request, start.recipe, start.out
    accelerator = make_accelerator(device, recipe.precision)
    check_log(recipe)
    torch.manual_seed(recipe.seed)
    network, shape = _network(recipe)
    videos = find_videos(request.data, report.say)
    processes.wait()  # until all have found their output and their data as they were
    if processes.leads():
        if start.resume:
            clear_unfinished(out)
        else:
            begin(request, recipe, out)
    with resumable("pretrain", out):
        disk = disk_clips(recipe.data.disk_cache_mb)
        cache = ClipCache(recipe.data.short_side, recipe.data.cache_mb << 20, None, IndexStore(), disk)
        pieces = _read(videos, cache, recipe, out, report, stop)
        training, held_out = hold_out(pieces, recipe.data.holdout, recipe.data.split_seed)
        check_held_out(recipe.pretrain_optim, "pretrain_optim", held_out=bool(held_out))
        report.say(f"{len(videos)} videos: {len(training)} pieces to train on, {len(held_out)} held out")
        seen = MaskedClips(training, cache, recipe.clips_seed, shape)
        unseen = MaskedClips(held_out, cache, recipe.clips_seed, shape)
        optim = recipe.pretrain_optim

        def validate(net: nn.Module, stop: Callable[[], bool]) -> dict[str, float]:
            batches = _held_out(unseen, optim.micro_batch or optim.batch, stop)
            return reconstruction_figures(cast(MaskedVideoMAE, net.eval()), batches)

        info = CheckpointInfo(
            kind="pretrained",
            labels=(),
            weights_from="none",
            split=SplitInfo(
                name="videos without labels",
                train_clips=len(training),
                val_clips=len(held_out),
                train_groups=_groups(training),
                val_groups=_groups(held_out),
                trained_on=marks_of_all(training),
            ),
            edgevid=edgevid.__version__,
        )
        buffer = recipe.data.shard_buffer
        sampler = ClipSampler(
            [1] * len(training),
            optim.batch,
            recipe.clips_seed,
            1,
            0,
            clips=optim.epoch_clips,
            shards=shards_of(training) if buffer else (),
            shard_buffer=buffer,
        )
        job = Job(
            task=MaskedTask(network),
            optim=optim,
            recipe=recipe,
            sampler=sampler,
            load=seen.load,
            validate=validate if held_out else None,
            info=info,
            folder=out / FOLDER,
        )
        if start.resume and is_finished(job.folder, "pretrained"):
            load_weights(kept_part(network), job.folder / "last" / WEIGHTS)
        else:
            resume = start.resume and (job.folder / "last").exists()
            network = cast(MaskedVideoMAE, train(job, accelerator, report, resume=resume, stop=stop))
        return _conclude(network.eval(), validate if held_out else None, unseen, out, report, stop)


def _network(recipe: Recipe) -> tuple[MaskedVideoMAE, ClipShape]:
    teacher, size = recipe.teacher, recipe.teacher.videomae
    if teacher.kind not in ("videomae", "videomae-looking") or size is None:
        raise InputError(
            f"recipe {recipe.name}: what is pre-trained is a VideoMAE; give teacher.kind = 'videomae' or "
            "'videomae-looking' and its size, teacher.videomae.width and others"
        )
    if teacher.weights != "none":
        raise InputError(f"recipe {recipe.name}: pre-training begins with teacher.weights = 'none'")
    spec = teacher.input
    patches = spec.height // size.patch * (spec.width // size.patch)
    hidden_patches(recipe.pretrain.mask, patches)
    foreseeable = recipe.augment.model_copy(update={"blur": 0.0, "noise": 0.0, "shake": 0.0})
    shape = ClipShape(recipe.pretrain, foreseeable, spec, teacher.frames, patches)
    with fits_into_memory(recipe):
        return MaskedVideoMAE(size, recipe.pretrain.decoder, spec, teacher.frames), shape


def _read(
    videos: Sequence[ClipRecord],
    cache: ClipCache,
    recipe: Recipe,
    out: Path,
    report: Reporter,
    stop: Callable[[], bool],
) -> list[ClipRecord]:
    ledger = Ledger()
    with report.bar("reading videos", len(videos)) as advance:

        def next_video() -> None:
            advance(f"{len(ledger)} unreadable" if len(ledger) else "")
            if stop():
                raise StoppedError("stopped while the videos were read")

        pieces = read_pieces(videos, cache, ledger, recipe.pretrain.piece_s, next_video)
    if processes.leads():
        ledger.write(out / LEDGER)
    for record, reason in ledger.reasons.items():
        report.say(f"skipped: {record.id}: {reason}")
    ledger.check(len(videos), recipe.data.max_skipped_share)
    if not pieces:
        raise InputError(f"none of {len(videos)} videos can be used: {ledger.summary()}")
    return pieces


def _held_out(clips: MaskedClips, size: int, stop: Callable[[], bool]) -> Iterator[MaskedBatch]:
    for first in range(0, len(clips.records), size):
        if stop():
            raise StoppedError("stopped while the held-out clips were reconstructed")
        yield clips.held_out(range(first, min(first + size, len(clips.records))))


def _groups(pieces: Sequence[ClipRecord]) -> tuple[str, ...]:
    return tuple(sorted({piece.group for piece in pieces}))


def _conclude(
    network: MaskedVideoMAE,
    validate: Callable[[nn.Module, Callable[[], bool]], dict[str, float]] | None,
    unseen: MaskedClips,
    out: Path,
    report: Reporter,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    if validate is None:
        report.say("nothing held out: a single piece of video cannot be split")
        return {}
    figures = {"n": len(unseen.records), **validate(network, stop)}
    if not processes.leads():
        return figures
    chosen = np.linspace(0, len(unseen.records) - 1, min(_DRAWN, len(unseen.records))).round().astype(int)
    draw_reconstruction(network, unseen.held_out([int(i) for i in chosen]), out / RECONSTRUCTION)
    write_json(out / PRETRAINED_FIGURES, figures)
    report.say(
        f"held out: loss {figures['loss']:.3f}, of a cube's mean alone {figures['mean']:.3f}: "
        f"{figures['explained']:.1%} explained ({figures['interpolated']:.1%} by interpolation of what is seen), over "
        f"{figures['n']} clips; see {out / RECONSTRUCTION}"
    )
    return figures
