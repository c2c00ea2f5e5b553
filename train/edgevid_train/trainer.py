"""The training loop. One for every task: it knows batches, losses, steps and checkpoints, and not what is learned."""

import contextlib
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from accelerate.utils.memory import should_reduce_batch_size
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from edgevid.errors import CheckFailedError, InputError
from edgevid_train.batch import Samples, prefetch
from edgevid_train.checkpoint import (
    WEIGHTS,
    Checkpoint,
    CheckpointInfo,
    kept_part,
    load_state,
    load_trainer,
    load_weights,
)
from edgevid_train.evaluate.metrics import leading
from edgevid_train.interrupt import StoppedError
from edgevid_train.progress import Meter, Reporter, epoch_line, losses
from edgevid_train.recipe import OptimConfig, Recipe
from edgevid_train.sampler import BatchPlan, Sampler

SAVE_EVERY_S = 300.0


class Task(Protocol):
    """A module with a network in it, whose call gives the loss of a batch and its terms by name."""

    network: nn.Module

    def __call__(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]: ...


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
    sampler: Sampler
    load: Callable[[BatchPlan], Samples]
    validate: Validate | None
    info: CheckpointInfo
    folder: Path
    backbone: tuple[str, ...] = ()


@dataclass
class Progress:
    """Where a run is; with the weights and the random states, all that a resume needs.

    `position`: batches of this epoch already learned from. `micro_batch`: clips through the network at once.
    """

    micro_batch: int
    epoch: int = 0
    position: int = 0
    step: int = 0
    best: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)


def train(
    job: Job, accelerator: Accelerator, report: Reporter, *, resume: bool, stop: Callable[[], bool] = lambda: False
) -> nn.Module:
    """Train to the last epoch, or on from `job.folder / "last"`.

    Returns: the network with its averaged weights after the last epoch, in evaluation mode.

    Raises:
        StoppedError: `stop` said so; everything is saved.
        InputError: nothing to resume from, no memory for even one clip, or the folder cannot be written.
        CheckFailedError: the loss is NaN or infinite.
    """
    optim, sampler = job.optim, job.sampler
    set_seed(job.recipe.seed)
    optimizer = torch.optim.AdamW(parameter_groups(job.task, optim, job.backbone), lr=optim.lr)
    task, optimizer = accelerator.prepare(job.task, optimizer)
    average = ModelEmaV3(job.task.network, decay=optim.ema, use_warmup=True) if optim.ema else None
    run = Run(job, accelerator, optimizer, average, Progress(optim.micro_batch or optim.batch))
    if resume:
        run.restore()
    now = run.progress
    total = optim.epochs * sampler.batches
    saved_s = time.monotonic()

    with (
        SummaryWriter(str(job.folder / "tensorboard"), purge_step=now.step) as log,
        report.bar(job.info.kind, total, now.step) as advance,
    ):
        while now.epoch < optim.epochs:
            task.train()
            plans = sampler.epoch(now.epoch)[now.position :]
            with contextlib.closing(prefetch(plans, job.load, job.recipe.data.loaders)) as batches:
                for plan, batch in now.meter.watch(batches):
                    lr = learning_rate(optim, now.step, total, sampler.batches)
                    for group in optimizer.param_groups:
                        group["lr"] = lr * group["share"]
                    terms = run.learn(task, batch.to(accelerator.device), report)
                    if average is not None:
                        average.update(job.task.network, step=now.step)
                    now.step += 1
                    now.position += 1
                    now.meter.add(terms, clips=len(plan.clips))
                    advance(f"epoch {now.epoch + 1}  {losses(terms)}  {now.meter.clips_per_s:.1f} clips/s")
                    for name, value in {**terms, "lr": lr}.items():
                        log.add_scalar(f"train/{name}", value, now.step)
                    if stop():
                        run.save("last")
                        raise StoppedError(f"stopped in epoch {now.epoch + 1} after {now.step} steps")
                    if time.monotonic() - saved_s > SAVE_EVERY_S:
                        run.save("last")
                        saved_s = time.monotonic()

            # The epoch is learned: whoever stops during validation resumes with the validation.
            run.save("last")
            now.metrics = job.validate(run.averaged, stop) if job.validate else {}
            for name, value in now.metrics.items():
                log.add_scalar(f"held-out/{name}", value, now.step)
            log.add_scalar("train/waiting_for_data", now.meter.waiting_share, now.step)
            now.epoch, now.position = now.epoch + 1, 0
            if now.metrics and better(now.metrics, now.best):
                now.best, now.best_epoch = now.metrics, now.epoch
                run.save("best")
            report.say(epoch_line(job.info.kind, now.epoch, optim.epochs, now.meter, now.metrics, now.best_epoch))
            now.meter = Meter()
            run.save("last", finished=now.epoch == optim.epochs)
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

    def learn(self, task: Task, batch: Samples, report: Reporter) -> dict[str, float]:
        """One step of the optimiser on one batch, in as many parts as memory asks for.

        Returns: the loss and its terms.
        """
        while True:
            try:
                return self._step(task, batch)
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
            parts = -(-self.job.optim.batch // self.progress.micro_batch)
            report.say(
                f"out of memory: {self.progress.micro_batch} clips at once instead of {used}, gradients accumulated "
                f"over {parts} parts; a step is still {self.job.optim.batch} clips"
            )

    def _step(self, task: Task, batch: Samples) -> dict[str, float]:
        sums: dict[str, Tensor] = {}
        for part in batch.split(self.progress.micro_batch):
            share = len(part) / len(batch)
            loss, terms = task(part)
            self.accelerator.backward(loss * share)
            for name, value in {"loss": loss.detach(), **terms}.items():
                sums[name] = sums.get(name, 0) + value.float() * share
        values = dict(zip(sums, torch.stack(list(sums.values())).tolist(), strict=True))
        if not math.isfinite(values["loss"]):
            raise CheckFailedError(
                f"the loss is {values['loss']} at step {self.progress.step}: "
                "lower the learning rate, or use precision bf16 or no"
            )
        if self.job.optim.clip_norm:
            self.accelerator.clip_grad_norm_(self.job.task.parameters(), self.job.optim.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return values

    def save(self, name: str, *, finished: bool = False) -> None:
        now = self.progress
        info = self.job.info.model_copy(
            update={"epoch": now.epoch, "step": now.step, "finished": finished, "metrics": now.metrics}
        )
        trainer = None if name == "best" else self._state()
        Checkpoint(self.averaged, self.job.recipe, info, trainer).write(self.job.folder / name)

    def _state(self) -> dict[str, Any]:
        now = self.progress
        scaler = self.accelerator.scaler
        return {
            "task": self.job.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "random": random_states(),
            "progress": {
                "micro_batch": now.micro_batch,
                "epoch": now.epoch,
                "position": now.position,
                "step": now.step,
                "best": now.best,
                "best_epoch": now.best_epoch,
                "metrics": now.metrics,
                "meter": vars(now.meter),
            },
        }

    def restore(self) -> None:
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
        set_random_states(state["random"])


def parameter_groups(task: nn.Module, optim: OptimConfig, backbone: tuple[str, ...]) -> list[dict[str, Any]]:
    """Trained parameters by what they get: weight decay for matrices and filters only, a smaller rate the backbone."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in task.named_parameters():
        if parameter.requires_grad:
            decay = optim.weight_decay if parameter.ndim > 1 else 0.0
            share = optim.backbone_lr if name.startswith(backbone) else 1.0
            groups.setdefault((decay, share), []).append(parameter)
    return [{"params": found, "weight_decay": decay, "share": share} for (decay, share), found in groups.items()]


def learning_rate(optim: OptimConfig, step: int, total: int, per_epoch: int) -> float:
    """Linear warm-up, then half a cosine from `lr` to `least_lr` (Loshchilov & Hutter 2017); step counts from 0."""
    warmup = min(round(optim.warmup_epochs * per_epoch), total - 1)
    if step < warmup:
        return optim.lr * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, total - 1 - warmup)
    return optim.least_lr + (optim.lr - optim.least_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def better(metrics: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Higher top-1, or mAP, where there are labels; of equals the lower loss, which small held-out sets need."""

    def rank(figures: Mapping[str, float]) -> tuple[float, float]:
        return leading(figures), -figures["loss"]

    return not best or rank(metrics) > rank(best)


def random_states() -> dict[str, Any]:
    """States of every generator a step may draw from, as tensors and plain values."""
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    states: dict[str, Any] = {
        "python": (version, list(numbers), gauss),
        "numpy": (
            str(kind),
            torch.from_numpy(np.asarray(keys, np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: Mapping[str, Any]) -> None:
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if "cuda" in states and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
