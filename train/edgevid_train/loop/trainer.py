"""The training loop. One for every task: it knows batches, losses, steps and checkpoints, and not what is learned."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from accelerate.utils.memory import should_reduce_batch_size
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from edgevid.errors import CheckFailedError, InputError
from edgevid_train.checkpoint import (
    WEIGHTS,
    Checkpoint,
    CheckpointInfo,
    kept_part,
    load_state,
    load_trainer,
    load_weights,
)
from edgevid_train.loop import processes
from edgevid_train.loop.groups import parameter_groups
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.loop.progress import Meter, Reporter, epoch_line, losses
from edgevid_train.loop.random_states import random_states, set_random_states
from edgevid_train.loop.scalars import scalar_log
from edgevid_train.loop.schedule import better, check_held_out, is_plateau, learning_rate, lost_patience
from edgevid_train.losses.counts import NOTHING, Counts
from edgevid_train.recipe import OptimConfig, Recipe
from edgevid_train.samples.batch import Samples, prefetch
from edgevid_train.samples.sampler import BatchPlan

SAVE_EVERY_S = 300.0


class Task(Protocol):
    """A module with a network in it, whose call gives the loss of a batch and its terms by name.

    `counts`: what the terms are means over. The call is given a batch and its shares in the counts of a larger one, of
    which it may be a part: it gives what the part adds to the loss of that.
    """

    network: nn.Module

    def counts(self, batch: Any) -> Counts: ...

    def __call__(self, batch: Any, shares: Counts) -> tuple[Tensor, dict[str, Tensor]]: ...


class Plans(Protocol):
    """Which clips make which batch, epoch after epoch; every epoch has as many batches."""

    @property
    def batches(self) -> int: ...

    def epoch(self, number: int) -> list[BatchPlan]: ...


Validate = Callable[[nn.Module, Callable[[], bool]], dict[str, float]]
"""Figures of a network on the held-out clips; the second argument says whether to give up (raising StoppedError)."""


@dataclass(frozen=True)
class Job:
    """One network to train.

    Attributes:
        task: an `nn.Module` that is also a `Task`.
        optim: how.
        sampler, load: which clips make which batch, and how a batch is made.
        backbone: beginnings of the names of the parameters that learn at `optim.backbone_lr`.
        validate: figures of a network, by which the best epoch is chosen (see `better`); None to hold nothing out.
        info: what checkpoints say; epoch, step and figures are filled in.
        folder: gets `last/`, `best/` and `tensorboard/`.
    """

    task: Any
    optim: OptimConfig
    recipe: Recipe
    sampler: Plans
    load: Callable[[BatchPlan], Samples]
    validate: Validate | None
    info: CheckpointInfo
    folder: Path
    backbone: tuple[str, ...] = ()


@dataclass
class Progress:
    """Where a run is; with the weights and the random states, all that a resume needs.

    `position`: batches of this epoch already learned from. `micro_batch`: clips through the network at once. `falls`:
    how often the rate of a plateau fell, the last time after `fell_epoch`.
    """

    micro_batch: int
    epoch: int = 0
    position: int = 0
    step: int = 0
    best: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    falls: int = 0
    fell_epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)


def train(
    job: Job, accelerator: Accelerator, report: Reporter, *, resume: bool, stop: Callable[[], bool] = lambda: False
) -> nn.Module:
    """Train to the last epoch, or on from `job.folder / "last"`; in every process that was launched, each its share.

    Returns: the network with its averaged weights after the last epoch, in evaluation mode.

    Raises:
        StoppedError: `stop` said so; everything is saved.
        InputError: nothing to resume from, no memory for even one clip, or the folder cannot be written.
        CheckFailedError: the loss is NaN or infinite.
    """
    optim, sampler = job.optim, job.sampler
    check_held_out(optim, "optim", held_out=job.validate is not None)
    set_seed(job.recipe.seed + processes.rank())  # or all would drop out the same
    optimizer = torch.optim.AdamW(parameter_groups(job.task, optim, job.backbone), lr=optim.lr)
    # "evaluation" means: not within DistributedDataParallel (see `sum_gradients`)
    task = accelerator.prepare_model(job.task, evaluation_mode=True)
    optimizer = accelerator.prepare_optimizer(optimizer)
    processes.same_everywhere(job.task.state_dict().values())
    average = ModelEmaV3(job.task.network, decay=optim.ema, use_warmup=True) if optim.ema else None
    run = Run(job, accelerator, optimizer, average, Progress(optim.micro_batch or optim.batch))
    if resume:
        run.restore(report)
    now = run.progress
    total = optim.epochs * sampler.batches
    saved_s = time.monotonic()

    with (
        scalar_log(job.folder, job.info.kind, job.recipe, now.step) as log,
        report.bar(job.info.kind, total, now.step) as advance,
    ):
        while now.epoch < optim.epochs and not lost_patience(optim, now.epoch, now.best_epoch):
            task.train()
            plans = sampler.epoch(now.epoch)[now.position :]
            shares = [plan.part(processes.rank(), processes.count()) for plan in plans]
            with contextlib.closing(prefetch(shares, job.load, job.recipe.data.loaders)) as batches:
                for share, batch in now.meter.watch(batches):
                    lr = learning_rate(optim, now.step, total, sampler.batches, now.falls)
                    for group in optimizer.param_groups:
                        group["lr"] = lr * group["share"]
                    terms = run.learn(task, batch.to(accelerator.device), idle=share.idle, report=report)
                    if average is not None:
                        average.update(job.task.network, step=now.step)
                    now.step += 1
                    now.position += 1
                    now.meter.add(terms, clips=len(share.all_clips))
                    advance(f"epoch {now.epoch + 1}  {losses(terms)}  {now.meter.clips_per_s:.1f} clips/s")
                    log({f"train/{name}": value for name, value in {**terms, "lr": lr}.items()}, now.step)
                    stopped, due = run.agree(stop(), time.monotonic() - saved_s > SAVE_EVERY_S, report)
                    if stopped or due:
                        run.save("last")
                        saved_s = time.monotonic()
                    if stopped:
                        raise StoppedError(f"stopped in epoch {now.epoch + 1} after {now.step} steps")

            # The epoch is learned: whoever stops during validation resumes with the validation.
            run.save("last")
            # Batch statistics are each process' own; those of the first are saved.
            processes.same_everywhere(run.averaged.buffers())
            metrics = job.validate(run.averaged, stop) if job.validate else {}
            now.metrics = processes.gathered(metrics)[0]
            figures = {f"held-out/{name}": value for name, value in now.metrics.items()}
            log({**figures, "train/waiting_for_data": now.meter.waiting_share}, now.step)
            now.epoch, now.position = now.epoch + 1, 0
            if now.metrics and better(now.metrics, now.best):
                now.best, now.best_epoch = now.metrics, now.epoch
                run.save("best")
            report.say(epoch_line(job.info.kind, now.epoch, optim.epochs, now.meter, now.metrics, now.best_epoch))
            now.meter = Meter()
            if is_plateau(optim, now.epoch, now.best_epoch, now.fell_epoch):
                now.falls, now.fell_epoch = now.falls + 1, now.epoch
                report.say(f"{optim.wait_epochs} epochs without a better figure: the learning rate falls")
            early = lost_patience(optim, now.epoch, now.best_epoch)
            if early:
                report.say(
                    f"{optim.patience} epochs without a better figure: stopped early, after epoch {now.epoch} of "
                    f"{optim.epochs}; the best was epoch {now.best_epoch}"
                )
            run.save("last", finished=early or now.epoch == optim.epochs)
    return run.averaged.eval()


@dataclass
class Run:
    """The parts of a run that change, and how they are saved and restored."""

    job: Job
    accelerator: Accelerator
    optimizer: Any
    average: ModelEmaV3 | None
    progress: Progress

    @property
    def averaged(self) -> nn.Module:
        """The weights that count: the moving average where there is one."""
        network: nn.Module = self.average.module if self.average is not None else self.job.task.network
        return network

    def learn(self, task: Task, batch: Samples, *, idle: bool, report: Reporter) -> dict[str, float]:
        """One step of the optimiser on one batch, in as many parts as memory asks for.

        Of several processes `batch` is this one's share; `idle` that it has none: what it was given so that it goes the
        same way as the others counts nothing.

        Returns: the loss and its terms, of the whole batch.
        """
        whole = processes.sums(NOTHING if idle else task.counts(batch))
        while True:
            try:
                sums = self._gradient(task, batch, None if idle else whole)
                break
            except RuntimeError as error:  # the CPU's allocator and Metal have no error class of their own
                if not (isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error)):
                    raise
                used = min(self.progress.micro_batch, len(batch))
                if used == 1:
                    raise InputError(
                        "out of memory with a single clip at once; lower stream.max_steps or student.input"
                    ) from None
            # Outside the handler, whose traceback would keep the tensors of the failed step alive.
            self.progress.micro_batch = -(-used // 2)
            self.optimizer.zero_grad(set_to_none=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            parts = -(-self.job.optim.batch // processes.count() // self.progress.micro_batch)
            report.say(
                f"out of memory: {self.progress.micro_batch} clips at once instead of {used}, gradients accumulated "
                f"over {parts} parts; a step is still {self.job.optim.batch} clips"
            )
        values = dict(zip(sums, processes.sums(torch.stack(list(sums.values())).tolist()), strict=True))
        if not math.isfinite(values["loss"]):
            raise CheckFailedError(
                f"the loss is {values['loss']} at step {self.progress.step}: "
                "lower the learning rate, or use precision bf16 or no"
            )
        processes.sum_gradients(self.job.task.parameters())
        if self.job.optim.clip_norm:
            self.accelerator.clip_grad_norm_(self.job.task.parameters(), self.job.optim.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return values

    def _gradient(self, task: Task, batch: Samples, whole: Sequence[float] | None) -> dict[str, Tensor]:
        """Add up the gradients of the batch's parts. Returns: what it adds to the loss and terms of the whole batch."""
        sums: dict[str, Tensor] = {}
        for part in batch.split(self.progress.micro_batch):
            shares = NOTHING if whole is None else task.counts(part).share_of(whole)
            loss, terms = task(part, shares)
            self.accelerator.backward(loss)
            for name, value in {"loss": loss.detach(), **terms}.items():
                sums[name] = sums.get(name, 0) + value.float()
        return sums

    def agree(self, stopped: bool, due: bool, report: Reporter) -> tuple[bool, bool]:
        """Whether any process was asked to stop, and whether the first finds that it is time to save.

        Where one had too little memory, all take fewer clips at once from now on.
        """
        every = processes.gathered((stopped, due, self.progress.micro_batch))
        fewest = min(clips for _, _, clips in every)
        if fewest < self.progress.micro_batch:
            self.progress.micro_batch = fewest
            report.say(f"out of memory in another process: {fewest} clips at once from now on")
        return any(asked for asked, _, _ in every), every[0][1]

    def save(self, name: str, *, finished: bool = False) -> None:
        now = self.progress
        info = self.job.info.model_copy(
            update={"epoch": now.epoch, "step": now.step, "finished": finished, "metrics": now.metrics}
        )
        trainer = None if name == "best" else self._state()
        if processes.leads():
            Checkpoint(self.averaged, self.job.recipe, info, trainer).write(self.job.folder / name)

    def _state(self) -> dict[str, Any]:
        """For an exact resume. All processes must ask, since each draws by its own random states."""
        now, states = self.progress, processes.gathered(random_states())
        scaler = self.accelerator.scaler
        return {
            "task": self.job.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "random": states[0],
            "random_others": states[1:],
            "progress": {
                "micro_batch": now.micro_batch,
                "epoch": now.epoch,
                "position": now.position,
                "step": now.step,
                "best": now.best,
                "best_epoch": now.best_epoch,
                "falls": now.falls,
                "fell_epoch": now.fell_epoch,
                "metrics": now.metrics,
                "meter": vars(now.meter),
            },
        }

    def restore(self, report: Reporter) -> None:
        """Go on exactly where `last` was saved. Raises InputError when it is missing, damaged or of another recipe."""
        folder = self.job.folder / "last"
        state = load_trainer(folder)
        load_state(self.job.task, state["task"], str(folder))
        if self.average is not None:
            load_weights(kept_part(self.average.module), folder / WEIGHTS)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**{**state["progress"], "meter": Meter(**state["progress"]["meter"])})
        states = [state["random"], *state.get("random_others", ())]
        if len(states) != processes.count():
            report.say(
                f"begun in {len(states)} processes, resumed in {processes.count()}: steps are still the whole batch's, "
                "but what is drawn in them, as dropout, is not what it would have been"
            )
        if processes.rank() < len(states):
            set_random_states(states[processes.rank()])
