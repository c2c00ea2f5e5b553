"""The last phase: the student's memory alone goes on learning, from long streams of what its eyes saw."""

import copy
import shutil
from typing import cast

from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from edgevid.manifest import BACKGROUND
from edgevid_train.checkpoint import MEMORY, Checkpoint, load_student, read_info
from edgevid_train.loop import processes
from edgevid_train.loop.devices import channels_last, make_accelerator
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.loop.job import Job, Validate
from edgevid_train.losses.tasks import MemoryTask
from edgevid_train.models.student import Student
from edgevid_train.runs.phases.fold import Fold, Setting
from edgevid_train.runs.phases.phase import is_finished, job_for, label_loss_of, learn, training_clips
from edgevid_train.samples.dataset import STUDENT
from edgevid_train.samples.kept_sights import read_seen, write_seen
from edgevid_train.samples.sights import Deck, SeenClip, SightPlans, SightStreams

SEEN = "seen"
"""Folder of what was seen, while it is needed."""
TOGETHER = 64
"""Clips of which it is kept in one file, and which are lost when a run is stopped among them."""


def train_memory(student: Student, fold: Fold, setting: Setting, validate: Validate) -> Student:
    """The student after the recipe's memory lessons, the mean of what they made of it. Raises: as the training loop."""
    folder = fold.folder / MEMORY
    if setting.resume and is_finished(folder, "student"):
        return load_student(folder / "last").student
    # A student from a checkpoint looks where, and as fast as, one that has just been trained
    channels_last(student.to(make_accelerator(setting.device, setting.recipe.precision).device))
    streams = _streams(student.eval(), fold, setting)
    mean = AveragedModel(student, avg_fn=_mean, use_buffers=True)
    for number in range(setting.recipe.memory.lessons):
        job = _lesson(number, copy.deepcopy(student), streams, fold, setting, validate)
        mean.update_parameters(learn(job, setting))
    learned = cast(Student, mean.module.eval())
    # The mean of one lesson is that lesson, which has just been judged
    judge = fold.val and setting.recipe.memory.lessons > 1
    told = {"metrics": processes.gathered(validate(learned, setting.stop))[0]} if judge else {}
    if processes.leads():
        info = read_info(job.folder / "last", "student").model_copy(update=told)
        Checkpoint(learned, setting.recipe, info).write(folder / "last")
        shutil.rmtree(folder / SEEN, ignore_errors=True)
    return learned


def _mean(mean: Tensor, another: Tensor, before: Tensor | int) -> Tensor:
    """The mean of `before` tensors and another one. torch's own, on a GPU, fails at the integers among a norm's."""
    return mean + (another - mean) / (before + 1)


def _lesson(
    number: int, student: Student, streams: SightStreams, fold: Fold, setting: Setting, validate: Validate
) -> Job:
    """Lesson `number` of this student's memory."""
    recipe, config, optim = setting.recipe, setting.recipe.memory, setting.recipe.memory_optim
    plans = SightPlans(config.streams, config.steps, optim.batch, before=number * optim.epochs)
    task = MemoryTask(student, recipe.distill, label_loss_of(fold, setting, config.label_smoothing))
    folder = f"{MEMORY}/lesson-{number + 1}"
    return job_for("student", fold, setting, task, optim, plans, streams.load, validate, student.weights_from, folder)


def _streams(student: Student, fold: Fold, setting: Setting) -> SightStreams:
    """Streams of what the student's eyes see of the fold's clips."""
    recipe, config = setting.recipe, setting.recipe.memory
    own, extra = _look(student, fold, setting)
    looking, holding = (
        Deck(*([seen for seen in views if bool(seen.hold) == holds] for views in (own, extra)))
        for holds in (False, True)
    )
    background, share = setting.labels.index(BACKGROUND), recipe.memory_optim.extra_share
    return SightStreams(
        looking, holding, share, background, config, recipe.stream, student.config.rate_hz, recipe.clips_seed
    )


def _look(student: Student, fold: Fold, setting: Setting) -> tuple[list[SeenClip], list[SeenClip]]:
    """What the student's eyes see of the data's clips, and of the extra ones and the pieces of negative video.

    It is kept until the lessons are over, some clips to a file: a run that was stopped does not look at them again.
    """
    config, clips, count = setting.recipe.memory, training_clips(fold, setting, STUDENT), len(fold.train)
    rest, kept = round(config.rest_s * student.config.rate_hz), fold.folder / MEMORY / SEEN
    with setting.report.bar("looking", count) as advance:

        def look(index: int, views: int) -> list[SeenClip]:
            if setting.stop():
                raise StoppedError("stopped while the student looked at its clips")
            advance("")
            holds = [0] * views
            if config.held:
                holds += [1 + (index + turn) % config.most_held for turn in range(views, 2 * views)]
            return [SeenClip.by(student, *clips.alone(index, turn, rest), hold) for turn, hold in enumerate(holds)]

        def shelf(indices: range, views: int) -> list[SeenClip]:
            file = kept / f"{indices.start}.npz"
            if setting.resume and file.exists():
                for _ in processes.own(indices):
                    advance("")
                return read_seen(file)
            shares = processes.together(lambda: [look(index, views) for index in processes.own(indices)])
            seen = [one for of_clip in processes.joined(shares) for one in of_clip]
            if processes.leads():
                write_seen(file, seen)
            return seen

        def deck(indices: range, views: int) -> list[SeenClip]:
            shelves = [indices[i : i + TOGETHER] for i in range(0, len(indices), TOGETHER)]
            return [one for part in shelves for one in shelf(part, views)]

        data = count - fold.extra
        return deck(range(data), config.views), deck(range(data, count), config.extra_views)
