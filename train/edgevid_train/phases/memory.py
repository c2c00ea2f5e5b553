"""The last phase: the student's memory alone goes on learning, from long streams of what its eyes saw."""

import shutil
from typing import cast

from edgevid.manifest import BACKGROUND
from edgevid_train.checkpoint import MEMORY, load_student
from edgevid_train.loop import processes
from edgevid_train.loop.devices import channels_last, make_accelerator
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.loop.job import Validate
from edgevid_train.losses.tasks import MemoryTask
from edgevid_train.models.student import Student
from edgevid_train.phases.fold import Fold, Setting
from edgevid_train.phases.phase import is_finished, job_for, label_loss_of, learn, training_clips
from edgevid_train.samples.dataset import STUDENT
from edgevid_train.samples.kept_sights import read_seen, write_seen
from edgevid_train.samples.sights import Seen, SightPlans, SightStreams

SEEN = "seen"
"""Folder of what was seen, while it is needed."""
TOGETHER = 64
"""Clips of which it is kept in one file, and which are lost when a run is stopped among them."""


def train_memory(student: Student, fold: Fold, setting: Setting, validate: Validate) -> Student:
    """The student after the recipe's memory lesson. Raises: as the training loop."""
    recipe, config, optim = setting.recipe, setting.recipe.memory, setting.recipe.memory_optim
    last = fold.folder / MEMORY / "last"
    if setting.resume and is_finished(last.parent, "student"):
        return load_student(last).student
    # A student from a checkpoint looks where, and as fast as, one that has just been trained
    channels_last(student.to(make_accelerator(setting.device, recipe.precision).device))
    own, extra = _look(student.eval(), fold, setting)
    background = setting.labels.index(BACKGROUND)
    streams = SightStreams(
        own, extra, optim.extra_share, background, config, recipe.stream, student.config.rate_hz, recipe.clips_seed
    )
    plans = SightPlans(config.streams, config.steps, optim.batch)
    loss = label_loss_of(fold, setting, config.label_smoothing)
    task = MemoryTask(student, recipe.distill, loss, config.held, config.most_held)
    job = job_for("student", fold, setting, task, optim, plans, streams.load, validate, student.weights_from, MEMORY)
    learned = cast(Student, learn(job, setting))
    if processes.leads():
        shutil.rmtree(last.parent / SEEN, ignore_errors=True)
    return learned


def _look(student: Student, fold: Fold, setting: Setting) -> tuple[list[Seen], list[Seen]]:
    """What the student's eyes see of the data's clips, and of the extra ones and the pieces of negative video.

    It is kept until the lesson is over, some clips to a file: a run that was stopped does not look at them again.
    """
    config, clips, count = setting.recipe.memory, training_clips(fold, setting, STUDENT), len(fold.train)
    rest, kept = round(config.rest_s * student.config.rate_hz), fold.folder / MEMORY / SEEN
    with setting.report.bar("looking", count) as advance:

        def look(index: int, views: int) -> list[Seen]:
            if setting.stop():
                raise StoppedError("stopped while the student looked at its clips")
            advance("")
            return [Seen.by(student, *clips.alone(index, turn, rest)) for turn in range(views)]

        def shelf(indices: range, views: int) -> list[Seen]:
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

        def deck(indices: range, views: int) -> list[Seen]:
            shelves = [indices[i : i + TOGETHER] for i in range(0, len(indices), TOGETHER)]
            return [one for part in shelves for one in shelf(part, views)]

        data = count - fold.extra
        return deck(range(data), config.views), deck(range(data, count), config.extra_views)
