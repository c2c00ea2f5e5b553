"""The first phase: a teacher learns from the labels, or is gathered from teachers that have."""

from collections.abc import Callable
from typing import cast

import torch
from torch import nn

import edgevid
from edgevid.models.scores import Scores, activate
from edgevid_train.checkpoint import CheckpointInfo, gather, load_teacher, read_info, write_ensemble
from edgevid_train.evaluate.figures.metrics import Prediction, figures
from edgevid_train.evaluate.predict import predictions
from edgevid_train.loop import processes
from edgevid_train.loop.devices import make_accelerator
from edgevid_train.losses.tasks import TeacherTask
from edgevid_train.losses.teacher_outputs import ask_teacher
from edgevid_train.marks import marks_of_all
from edgevid_train.models.teachers.build import Teacher, build_teacher
from edgevid_train.runs.given import members_for
from edgevid_train.runs.phases.fold import Fold, Setting
from edgevid_train.runs.phases.phase import (
    answers_of,
    begin_from,
    conclude,
    is_finished,
    job_for,
    label_loss_of,
    learn,
    sampler_for,
    training_clips,
)
from edgevid_train.samples.augment import Clip
from edgevid_train.samples.dataset import TEACHER
from edgevid_train.samples.held_out import HeldOutClips, held_out_for_teacher


def train_teacher(fold: Fold, setting: Setting) -> tuple[Teacher, list[Prediction]]:
    """Train the recipe's teacher on the labels, gather it where it is an ensemble, or load it where that has been done.

    Returns: it, with the weights after the last epoch, and its predictions of the held-out clips.
    """
    folder, held_out = fold.folder / "teacher", _held_out(fold, setting)
    if setting.resume and is_finished(folder, "teacher"):
        teacher: Teacher = load_teacher(folder / "last").teacher
    elif setting.recipe.teacher.kind == "ensemble":
        teacher = _gather_teacher(fold, setting)
    else:
        teacher = _train_teacher(fold, setting, held_out)
    found = _predictions(teacher, fold, held_out, setting, setting.stop)
    conclude(folder, found, setting.labels)
    return teacher, found


def _train_teacher(fold: Fold, setting: Setting, held_out: HeldOutClips[Clip]) -> Teacher:
    recipe, labels = setting.recipe, setting.labels
    torch.manual_seed(recipe.seed)
    network = build_teacher(recipe.teacher, len(labels))
    begin_from(setting, network, "teacher")
    clips = training_clips(fold, setting, TEACHER)
    # A teacher sees the action alone: of its streams two steps are made, and thrown away.
    optim, lengths = recipe.teacher_optim, [2] * len(fold.train)
    sampler = sampler_for(fold, recipe, optim, lengths, lambda _: 2, max_steps=2, lead_steps=0)

    def validate(net: nn.Module, stop: Callable[[], bool]) -> dict[str, float]:
        return figures(_predictions(cast(Teacher, net.eval()), fold, held_out, setting, stop))

    task = TeacherTask(network, label_loss_of(fold, setting))
    weights_from = recipe.teacher.weights_from
    job = job_for("teacher", fold, setting, task, recipe.teacher_optim, sampler, clips.load, validate, weights_from)
    return cast(Teacher, learn(job, setting))


def _gather_teacher(fold: Fold, setting: Setting) -> Teacher:
    """The ensemble of finished teachers: nothing is trained, and what it holds are copies."""
    recipe, own = setting.recipe, fold.info(setting.seen_before)
    members = members_for(recipe.teacher, own.val_groups)
    ensemble = gather(recipe.teacher, members, setting.labels, recipe.task.activation)
    infos = [read_info(member, "teacher") for member in members]
    split = own.model_copy(
        update={
            "train_clips": max(info.split.train_clips for info in infos),
            "train_groups": tuple(sorted({group for info in infos for group in info.split.train_groups})),
            "trained_on": marks_of_all([], before={mark for info in infos for mark in info.split.trained_on}),
        }
    )
    info = CheckpointInfo(
        kind="teacher",
        labels=setting.labels,
        weights_from="; ".join(info.weights_from for info in infos),
        split=split,
        finished=True,
        edgevid=edgevid.__version__,
    )
    if processes.leads():
        write_ensemble(fold.folder / "teacher" / "last", members, recipe, info)
    return ensemble.to(make_accelerator(setting.device, recipe.precision).device)


def _held_out(fold: Fold, setting: Setting) -> HeldOutClips[Clip]:
    recipe = setting.recipe
    own = processes.own(fold.val)
    return held_out_for_teacher(own, recipe.teacher, recipe.data.cache_mb << 20, setting.cache.indexes)


def _predictions(
    teacher: Teacher, fold: Fold, held_out: HeldOutClips[Clip], setting: Setting, stop: Callable[[], bool]
) -> list[Prediction]:
    """What the teacher, in evaluation mode, predicts of the held-out clips. Raises EdgevidError where it is NaN."""
    device, task = next(cast(nn.Module, teacher).parameters()).device, setting.recipe.task

    def ask(frames: Clip) -> Scores:
        return activate(ask_teacher(teacher, frames, device).logits, task.activation)

    return predictions(fold.val, answers_of(held_out, ask, stop), setting.labels, several=task.multi_label)
