"""The two phases of distillation on one split: first the teacher, then the student that learns from it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

import edgevid
from edgevid.errors import InputError
from edgevid.files import write_json
from edgevid.frame import Pixels
from edgevid.models.scores import clip_score
from edgevid.recognise import settling_steps
from edgevid_train.annotations import ClipRecord
from edgevid_train.checkpoint import (
    INFO,
    WEIGHTS,
    CheckpointInfo,
    Kind,
    SplitInfo,
    beginning_of,
    gather,
    kept_part,
    load_fitting,
    load_student,
    load_teacher,
    read_info,
    write_ensemble,
)
from edgevid_train.decode import ClipCache
from edgevid_train.describe import describe
from edgevid_train.evaluate.metrics import Prediction, figures, leading, summarise
from edgevid_train.evaluate.predict import answers, predictions, student_scores
from edgevid_train.given import teacher_for
from edgevid_train.loop import processes
from edgevid_train.loop.curriculum import EasierFirst
from edgevid_train.loop.devices import Device, channels_last, make_accelerator
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.loop.progress import Reporter
from edgevid_train.loop.trainer import Job, Plans, Validate, train
from edgevid_train.losses.kept_answers import kept_answers
from edgevid_train.losses.label_loss import LabelLoss, class_weights
from edgevid_train.losses.tasks import StudentTask, TeacherTask
from edgevid_train.losses.teacher_outputs import OUTPUTS, ask_teacher, write_outputs
from edgevid_train.marks import marks_of_all
from edgevid_train.models.published import PublishedTeacher
from edgevid_train.models.student import Student
from edgevid_train.models.teachers import Teacher, build_teacher
from edgevid_train.paths import learn_paths
from edgevid_train.recipe import OptimConfig, Recipe
from edgevid_train.samples.balance import kinds_of
from edgevid_train.samples.dataset import (
    STUDENT,
    TEACHER,
    HeldOutClips,
    TrainingClips,
    as_stream,
    shards_of,
    spread,
    spread_over,
)
from edgevid_train.samples.drawn import DrawnClips
from edgevid_train.samples.places import Places
from edgevid_train.samples.sampler import Sampler

Answer = TypeVar("Answer")

PREDICTIONS = "predictions.json"


@dataclass(frozen=True)
class Fold:
    """One split to train on; `folder` gets the phases' folders.

    `train`: readable clips, the extra ones last, so many of them as `extra` says; `lengths`: their steps.
    """

    name: str
    folder: Path
    train: Sequence[ClipRecord]
    lengths: Sequence[int]
    extra: int
    val: Sequence[ClipRecord]

    def info(self, seen_before: Collection[str], drawn: range = range(0)) -> SplitInfo:
        """`drawn`: seeds of the clips that are drawn as the training goes."""
        own = self.train[: len(self.train) - self.extra]
        return SplitInfo(
            name=self.name,
            train_clips=len(self.train),
            val_clips=len(self.val),
            train_groups=tuple(sorted({record.group for record in self.train})),
            val_groups=tuple(sorted({record.group for record in self.val})),
            trained_on=marks_of_all(own, self.train[len(own) :], seen_before, drawn),
        )


@dataclass(frozen=True)
class Setting:
    """What all phases of a run share. `stop` says whether the person asked to stop.

    `seen_before`: marks of what a given teacher, or the weights to begin from, were trained on. `drawn`: clips that
    are drawn as the training goes, where the recipe asks for them.
    """

    recipe: Recipe
    labels: tuple[str, ...]
    cache: ClipCache
    places: Mapping[Path, Places]
    device: Device | None
    resume: bool
    report: Reporter
    stop: Callable[[], bool] = lambda: False
    init: Path | None = None
    seen_before: Collection[str] = ()
    drawn: DrawnClips | None = None


def train_teacher(fold: Fold, setting: Setting) -> tuple[Teacher, list[Prediction]]:
    """Train the recipe's teacher on the labels, gather it where it is an ensemble, or load it where that has been done.

    Returns: it, with the weights after the last epoch, and its predictions of the held-out clips.
    """
    folder, held_out = fold.folder / "teacher", _held_out_for_teacher(fold, setting)
    if setting.resume and is_finished(folder, "teacher"):
        teacher: Teacher = load_teacher(folder / "last").teacher
    elif setting.recipe.teacher.kind == "ensemble":
        teacher = _gather_teacher(fold, setting)
    else:
        teacher = _train_teacher(fold, setting, held_out)
    found = _teacher_predictions(teacher, fold, held_out, setting, setting.stop, folder / OUTPUTS)
    _conclude(folder, found, setting.labels)
    return teacher, found


def _train_teacher(fold: Fold, setting: Setting, held_out: HeldOutClips) -> Teacher:
    recipe, labels = setting.recipe, setting.labels
    torch.manual_seed(recipe.seed)
    network = build_teacher(recipe.teacher, len(labels))
    _begin_from(setting, network, "teacher")
    clips = TrainingClips(fold.train, labels, setting.cache, setting.places, recipe, TEACHER, fold.extra, setting.drawn)
    # A teacher sees the action alone: of its streams two steps are made, and thrown away.
    optim, lengths = recipe.teacher_optim, [2] * len(fold.train)
    sampler = _sampler(fold, recipe, optim, lengths, lambda _: 2, max_steps=2, lead_steps=0)

    def validate(net: nn.Module, stop: Callable[[], bool]) -> dict[str, float]:
        return figures(_teacher_predictions(cast(Teacher, net.eval()), fold, held_out, setting, stop))

    task = TeacherTask(network, _label_loss(fold, setting))
    weights_from = recipe.teacher.weights_from
    job = _job("teacher", fold, setting, task, recipe.teacher_optim, sampler, clips, validate, weights_from)
    return cast(Teacher, _train(job, setting))


def _gather_teacher(fold: Fold, setting: Setting) -> Teacher:
    """The ensemble of finished teachers: nothing is trained, and what it holds are copies."""
    recipe, own = setting.recipe, fold.info(setting.seen_before)
    members = [teacher_for(Path(path), own.val_groups) for path in recipe.teacher.members]
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


def train_student(fold: Fold, setting: Setting, teacher: Teacher | None) -> list[Prediction]:
    """Distil the student, or load it where that has been done.

    Returns: its predictions of the held-out clips with the weights after the last epoch. Those of the best epoch would
    be flattered: that epoch was chosen by these clips.
    """
    recipe, labels = setting.recipe, setting.labels
    folder = fold.folder / "student"
    if setting.resume and is_finished(folder, "student"):
        student = load_student(folder / "last").student
    else:
        torch.manual_seed(recipe.seed)
        student = Student(recipe.student, len(labels))
        _begin_from(setting, student, "student")
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
        scored = _answers(held_out, lambda frames: student_scores(network, frames, manifest), stop)
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

    if not (setting.resume and is_finished(folder, "student")):
        if teacher is not None:
            cast(nn.Module, teacher).eval().requires_grad_(False)
        kept = kept_answers(recipe.distill.cache_mb) if teacher is not None else None
        task = StudentTask(student, recipe.distill, teacher, _label_loss(fold, setting), kept)
        clips = TrainingClips(
            fold.train, labels, setting.cache, setting.places, recipe, STUDENT, fold.extra, setting.drawn
        )
        lead_steps = round(recipe.stream.before_s * rate_hz)
        sampler = _sampler(
            fold, recipe, recipe.optim, fold.lengths, _drawn_steps(setting), recipe.stream.max_steps, lead_steps
        )
        plans = EasierFirst(sampler, recipe.curriculum) if recipe.curriculum.epochs else sampler
        job = _job("student", fold, setting, task, recipe.optim, plans, clips, validate, student.weights_from)
        student = cast(Student, _train(job, setting, teacher))
        if kept is not None:
            unwritable = f"; warning: what is new is not kept: {kept.unwritable}" if kept.unwritable else ""
            setting.report.say(f"student: {kept}{unwritable}")
    if not fold.val:
        return []
    found = predict(student, setting.stop)[-1]
    _conclude(folder, found, labels)
    return found


def _label_loss(fold: Fold, setting: Setting) -> LabelLoss:
    task, smoothing = setting.recipe.task, setting.recipe.distill.label_smoothing
    return LabelLoss(task, smoothing, class_weights(task, _labels(fold, setting.recipe), setting.labels))


def _labels(fold: Fold, recipe: Recipe) -> list[tuple[str, ...]]:
    """Of each clip to train on those that count."""
    return [record.labels if recipe.task.multi_label else record.labels[:1] for record in fold.train]


def _sampler(
    fold: Fold,
    recipe: Recipe,
    optim: OptimConfig,
    lengths: Sequence[int],
    drawn_steps: Callable[[int], int],
    max_steps: int,
    lead_steps: int,
) -> Sampler:
    shards = shards_of(fold.train[: len(fold.train) - fold.extra])
    if recipe.data.balance and recipe.data.shard_buffer and shards:
        raise InputError("data.balance: clips of tar shards come in their shards' order; give data.shard_buffer=0")
    return Sampler(
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


def _drawn_steps(setting: Setting) -> Callable[[int], int]:
    def steps(number: int) -> int:
        assert setting.drawn is not None  # or the sampler would not ask
        return setting.drawn.steps(number, setting.recipe.student.rate_hz)

    return steps


def _begin_from(setting: Setting, network: nn.Module, kind: Kind) -> None:
    """Take what fits from the checkpoint that the person gave to begin from, and say what does not."""
    folder = None if setting.init is None else beginning_of(setting.init, kind)
    if folder is None:
        return
    taken, fresh = load_fitting(kept_part(network), folder / WEIGHTS)
    others = f"; {len(fresh)} begin anew, {fresh[0]} for one" if fresh else ""
    setting.report.say(f"{kind}: {taken} tensors from {folder}{others}")


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


def is_finished(folder: Path, kind: Kind) -> bool:
    """Whether the last epoch of this phase has been trained."""
    last = folder / "last"
    return (last / INFO).is_file() and read_info(last, kind).finished


def _job(
    kind: Kind,
    fold: Fold,
    setting: Setting,
    task: nn.Module,
    optim: OptimConfig,
    sampler: Plans,
    clips: TrainingClips,
    validate: Validate,
    weights_from: str,
) -> Job:
    info = CheckpointInfo(
        kind=kind,
        labels=setting.labels,
        weights_from=weights_from,
        split=fold.info(setting.seen_before, setting.recipe.drawn.seeds(optim.epochs)),
        edgevid=edgevid.__version__,
    )
    held_out = validate if fold.val else None
    return Job(task, optim, setting.recipe, sampler, clips.load, held_out, info, fold.folder / kind, _backbone(task))


def _backbone(task: nn.Module) -> tuple[str, ...]:
    """Beginnings of the names of a task's weights that come from elsewhere."""
    network = task.network
    names = network.body() if isinstance(network, PublishedTeacher) else ("stem.", "stages.")
    return tuple(f"network.{name}" for name in names)


def _train(job: Job, setting: Setting, teacher: Any = None) -> nn.Module:
    accelerator = make_accelerator(setting.device, setting.recipe.precision)
    channels_last(job.task)
    if teacher is not None:
        channels_last(teacher.to(accelerator.device))
    resume = setting.resume and (job.folder / "last").exists()
    return train(job, accelerator, setting.report, resume=resume, stop=setting.stop)


def _held_out_for_teacher(fold: Fold, setting: Setting) -> HeldOutClips:
    teacher = setting.recipe.teacher
    return HeldOutClips(
        processes.own(fold.val),
        lambda clip: spread(clip, teacher),
        setting.recipe.data.cache_mb << 20,
        setting.cache.indexes,
        lambda times_s: spread_over(times_s, teacher),
    )


def _teacher_predictions(
    teacher: Teacher,
    fold: Fold,
    held_out: HeldOutClips,
    setting: Setting,
    stop: Callable[[], bool],
    outputs: Path | None = None,
) -> list[Prediction]:
    """`outputs`: a file that gets the logits and features too."""
    device, task = next(cast(nn.Module, teacher).parameters()).device, setting.recipe.task
    found = _answers(held_out, lambda frames: ask_teacher(teacher, frames, device, task.activation), stop)
    if outputs is not None and processes.leads():
        write_outputs(outputs, fold.val, found, setting.labels)
    scores = [None if answer is None else answer.scores for answer in found]
    return predictions(fold.val, scores, setting.labels, several=task.multi_label)


def _answers(held_out: HeldOutClips, ask: Callable[[Pixels], Answer], stop: Callable[[], bool]) -> list[Answer | None]:
    """What a network says of each of the fold's held-out clips, each process having asked it about its own."""

    def check() -> None:
        if stop():
            raise StoppedError("stopped while the held-out clips were scored")

    return processes.joined(processes.together(lambda: answers(held_out, ask, check)))


def _conclude(folder: Path, found: list[Prediction], labels: Sequence[str]) -> None:
    if found and processes.leads():
        report = summarise(found, labels) | {"predictions": [prediction.to_json() for prediction in found]}
        write_json(folder / PREDICTIONS, report)
