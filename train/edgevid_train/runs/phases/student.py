"""The second phase: a student learns from the labels and, where there is one, the teacher."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import nn

from edgevid.models.scores import clip_score
from edgevid.recognise import settling_steps
from edgevid_train.checkpoint import MEMORY, load_student
from edgevid_train.describe import describe
from edgevid_train.evaluate.figures.metrics import Prediction, figures
from edgevid_train.evaluate.predict import predictions, student_scores
from edgevid_train.loop import processes
from edgevid_train.loop.curriculum import EasierFirst
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.loop.schedule import leading
from edgevid_train.losses.kept_answers import kept_answers
from edgevid_train.losses.tasks import StudentTask
from edgevid_train.models.student import Student
from edgevid_train.models.teachers.build import Teacher
from edgevid_train.paths import learn_paths
from edgevid_train.runs.phases.fold import Fold, Setting
from edgevid_train.runs.phases.memory import train_memory
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
from edgevid_train.samples.dataset import STUDENT
from edgevid_train.samples.held_out import HeldOutClips, as_stream


def train_student(fold: Fold, setting: Setting, teacher: Teacher | None) -> list[Prediction]:
    """Distil the student, or load it where that has been done.

    Returns: its predictions of the held-out clips with the weights after the last epoch. Those of the best epoch would
    be flattered: that epoch was chosen by these clips.
    """
    recipe, labels = setting.recipe, setting.labels
    folder = fold.folder / "student"
    finished = setting.resume and is_finished(folder, "student")
    if finished:
        student = load_student(folder / "last").student
    else:
        torch.manual_seed(recipe.seed)
        student = Student(recipe.student, len(labels))
        begin_from(setting, student, "student")
        _learn_paths(setting, student, folder)
    manifest = describe(student.cpu(), recipe, labels)
    spec, rate_hz, rest = recipe.student.input, recipe.student.rate_hz, settling_steps(manifest)
    held_out = HeldOutClips(
        processes.own(fold.val),
        lambda clip: as_stream(clip, spec, rate_hz, rest),
        recipe.data.cache_mb << 20,
        setting.cache.indexes,
    )

    def predict(net: nn.Module, stop: Callable[[], bool]) -> list[list[Prediction]]:
        """Of every exit alone, and last as deployed."""
        network = cast(Student, net.eval())
        scored = answers_of(held_out, lambda ticks: student_scores(network, ticks, manifest), stop)
        by_exit = [
            [None if clip is None else clip_score(clip.steps[i], manifest) for clip in scored]
            for i in range(len(manifest.exits))
        ]
        deployed = [None if clip is None else clip.clip for clip in scored]
        several = recipe.task.multi_label
        return [predictions(fold.val, scores, labels, several=several) for scores in (*by_exit, deployed)]

    def validate(net: nn.Module, stop: Callable[[], bool]) -> dict[str, float]:
        *inner, deployed = predict(net, stop)
        exits = zip(manifest.exits[:-1], inner[:-1], strict=True)
        return figures(deployed) | {exit_.name: leading(figures(alone)) for exit_, alone in exits}

    if not finished:
        if teacher is not None:
            cast(nn.Module, teacher).eval().requires_grad_(False)
        kept = kept_answers(recipe.distill.cache_mb) if teacher is not None else None
        task = StudentTask(student, recipe.distill, teacher, label_loss_of(fold, setting), kept)
        clips = training_clips(fold, setting, STUDENT)
        lead_steps = round(recipe.stream.before_s * rate_hz)
        sampler = sampler_for(
            fold, recipe, recipe.optim, fold.lengths, _drawn_steps(setting), recipe.stream.max_steps, lead_steps
        )
        plans = EasierFirst(sampler, recipe.curriculum) if recipe.curriculum.epochs else sampler
        job = job_for("student", fold, setting, task, recipe.optim, plans, clips.load, validate, student.weights_from)
        student = cast(Student, learn(job, setting, teacher))
        if kept is not None:
            unwritable = f"; warning: what is new is not kept: {kept.unwritable}" if kept.unwritable else ""
            setting.report.say(f"student: {kept}{unwritable}")
    if recipe.memory.streams:
        student, folder = train_memory(student, fold, setting, validate), fold.folder / MEMORY
    if not fold.val:
        return []
    found = predict(student, setting.stop)[-1]
    conclude(folder, found, labels)
    return found


def _drawn_steps(setting: Setting) -> Callable[[int], int]:
    def steps(number: int) -> int:
        assert setting.drawn is not None  # or the sampler would not ask
        return setting.drawn.steps(number, setting.recipe.student.rate_hz)

    return steps


def _learn_paths(setting: Setting, student: Student, folder: Path) -> None:
    """The recipe's lesson in drawn paths, unless this run is resumed."""
    config = setting.recipe.paths
    resumes = setting.resume and (folder / "last").exists()
    if config.steps == 0 or resumes:
        return
    with setting.report.bar("paths", config.steps) as advance:

        def on_step(loss: float) -> None:
            advance(f"task {loss:.3f}")
            if setting.stop():
                raise StoppedError("stopped while paths were learned")

        learn_paths(student, setting.labels, config, setting.recipe.stream, setting.recipe.seed, on_step)
