"""What all phases do alike: begin from given weights, plan batches, learn, ask about what was held out, conclude."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

import edgevid
from edgevid.errors import InputError
from edgevid.files import write_json
from edgevid_train.checkpoint import (
    INFO,
    WEIGHTS,
    CheckpointInfo,
    Kind,
    beginning_of,
    kept_part,
    labels_of_checkpoint,
    load_fitting,
    read_info,
)
from edgevid_train.evaluate.figures.metrics import Prediction, summarise
from edgevid_train.evaluate.predict import answers
from edgevid_train.loop import processes
from edgevid_train.loop.devices import channels_last, make_accelerator
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.loop.job import Job, Plans, Validate
from edgevid_train.loop.optim import OptimConfig
from edgevid_train.loop.trainer import train
from edgevid_train.losses.label_loss import LabelLoss, class_weights
from edgevid_train.models.teachers.published import PublishedTeacher
from edgevid_train.models.teachers.videomae_looking import VideoMAELookingTeacher
from edgevid_train.recipe import Recipe
from edgevid_train.runs.phases.fold import Fold, Setting
from edgevid_train.samples.balance import kinds_of
from edgevid_train.samples.batch import Samples
from edgevid_train.samples.dataset import TrainingClips, shards_of
from edgevid_train.samples.held_out import HeldOutClips, Prepared
from edgevid_train.samples.sampler import BatchPlan, ClipSampler

Answer = TypeVar("Answer")

PREDICTIONS = "predictions.json"


def is_finished(folder: Path, kind: Kind) -> bool:
    """Whether the last epoch of this phase has been trained."""
    last = folder / "last"
    return (last / INFO).is_file() and read_info(last, kind).finished


def label_loss_of(fold: Fold, setting: Setting, smoothing: float | None = None) -> LabelLoss:
    """What answers about labels cost, rare labels weighed by the clips of this fold; `smoothing`, or distill's own."""
    task = setting.recipe.task
    if smoothing is None:
        smoothing = setting.recipe.distill.label_smoothing
    return LabelLoss(task, smoothing, class_weights(task, _labels(fold, setting.recipe), setting.labels))


def _labels(fold: Fold, recipe: Recipe) -> list[tuple[str, ...]]:
    """Of each clip to train on those that count."""
    return [record.labels if recipe.task.multi_label else record.labels[:1] for record in fold.train]


def training_clips(fold: Fold, setting: Setting, phase: int) -> TrainingClips:
    """The fold's training streams, as this phase changes them at random."""
    return TrainingClips(
        fold.train,
        setting.labels,
        setting.cache,
        setting.places,
        setting.recipe,
        phase,
        extra=fold.extra,
        negatives=fold.negatives,
        drawn=setting.drawn,
    )


def sampler_for(
    fold: Fold,
    recipe: Recipe,
    optim: OptimConfig,
    lengths: Sequence[int],
    drawn_steps: Callable[[int], int],
    max_steps: int,
    lead_steps: int,
) -> ClipSampler:
    """Which clips make which batch. `lengths`: steps of each clip; `drawn_steps`: of clips that are drawn."""
    shards = shards_of(fold.train[: len(fold.train) - fold.extra])
    if recipe.data.balance and recipe.data.shard_buffer and shards:
        raise InputError("data.balance: clips of tar shards come in their shards' order; give data.shard_buffer=0")
    return ClipSampler(
        lengths,
        optim.batch,
        recipe.clips_seed,
        max_steps,
        lead_steps,
        clips=optim.epoch_clips,
        extra=fold.extra,
        extra_share=optim.extra_share,
        drawn=recipe.drawn.clips,
        drawn_steps=drawn_steps,
        shards=shards,
        shard_buffer=recipe.data.shard_buffer,
        kinds=kinds_of(_labels(fold, recipe)),
        balance=recipe.data.balance,
    )


def begin_from(setting: Setting, network: nn.Module, kind: Kind) -> None:
    """Take what fits from the checkpoint that the person gave to begin from, and say what does not."""
    folder = None if setting.init is None else beginning_of(setting.init, kind)
    if folder is None:
        return
    known = labels_of_checkpoint(folder)
    taken, fresh = load_fitting(kept_part(network), folder / WEIGHTS, known, setting.labels)
    others = f"; {len(fresh)} begin anew, {fresh[0]} for one" if fresh else ""
    unknown = [label for label in setting.labels if known and label not in known]
    answers = f"; it does not know {', '.join(unknown)}, whose answers begin anew" if unknown else ""
    setting.report.say(f"{kind}: {taken} tensors from {folder}{others}{answers}")


def job_for(
    kind: Kind,
    fold: Fold,
    setting: Setting,
    task: nn.Module,
    optim: OptimConfig,
    sampler: Plans,
    load: Callable[[BatchPlan], Samples],
    validate: Validate,
    weights_from: str,
    folder: str | None = None,
) -> Job:
    """What the loop is to do, with what its checkpoints say; `folder`: the phase's, called as its kind if not given."""
    recipe = setting.recipe
    # Whatever is trained last, a student has seen what its own epochs drew, and its teacher's.
    phases = [recipe.optim, *([recipe.teacher_optim] if recipe.needs_teacher else [])] if kind == "student" else [optim]
    epochs = max(phase.epochs for phase in phases)
    info = CheckpointInfo(
        kind=kind,
        labels=setting.labels,
        weights_from=weights_from,
        split=fold.info(setting.seen_before, recipe.drawn.seeds(epochs)),
        edgevid=edgevid.__version__,
    )
    held_out = validate if fold.val else None
    where = fold.folder / (folder or kind)
    return Job(task, optim, recipe, sampler, load, held_out, info, where, _backbone(task))


def _backbone(task: nn.Module) -> tuple[str, ...]:
    """Beginnings of the names of a task's weights that come from elsewhere."""
    network = task.network
    names = network.body() if isinstance(network, PublishedTeacher | VideoMAELookingTeacher) else ("stem.", "stages.")
    return tuple(f"network.{name}" for name in names)


def learn(job: Job, setting: Setting, teacher: Any = None) -> nn.Module:
    """The network after its last epoch; `teacher` goes to the same device."""
    accelerator = make_accelerator(setting.device, setting.recipe.precision)
    channels_last(job.task)
    if teacher is not None:
        channels_last(teacher.to(accelerator.device))
    resume = setting.resume and (job.folder / "last").exists()
    return train(job, accelerator, setting.report, resume=resume, stop=setting.stop)


def answers_of(
    held_out: HeldOutClips[Prepared], ask: Callable[[Prepared], Answer], stop: Callable[[], bool]
) -> list[Answer | None]:
    """What a network says of each of the fold's held-out clips, each process having asked it about its own."""

    def check() -> None:
        if stop():
            raise StoppedError("stopped while the held-out clips were scored")

    return processes.joined(processes.together(lambda: answers(held_out, ask, check)))


def conclude(folder: Path, found: list[Prediction], labels: Sequence[str]) -> None:
    """Keep what was said of the held-out clips, and its figures."""
    if found and processes.leads():
        report = summarise(found, labels) | {"predictions": [prediction.to_json() for prediction in found]}
        write_json(folder / PREDICTIONS, report)
