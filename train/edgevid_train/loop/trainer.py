"""The training loop. One for every task: it knows batches, losses, steps and checkpoints, and not what is learned."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.utils.model_ema import ModelEmaV3
from torch import nn

from edgevid_train.loop import processes
from edgevid_train.loop.groups import parameter_groups
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.loop.job import Job
from edgevid_train.loop.progress import Meter, epoch_line, losses
from edgevid_train.loop.running import Progress, Run
from edgevid_train.loop.scalars import scalar_log
from edgevid_train.loop.schedule import better, is_plateau, learning_rate, lost_patience
from edgevid_train.reporter import Reporter
from edgevid_train.samples.batch import prefetch
from edgevid_train.storage import LostError

SAVE_EVERY_S = 300.0

Item = TypeVar("Item")


def train(
    job: Job, accelerator: Accelerator, report: Reporter, *, resume: bool, stop: Callable[[], bool] = lambda: False
) -> nn.Module:
    """Train to the last epoch, or on from `job.folder / "last"`; in every process that was launched, each its share.

    Returns: the network with its averaged weights after the last epoch, in evaluation mode.

    Raises:
        StoppedError: `stop` said so; everything is saved.
        LostError: clips cannot be reached any more; everything is saved, or of several processes what was saved last.
        InputError: nothing to resume from, no memory for even one clip, or the folder cannot be written.
        CheckFailedError: the loss is NaN or infinite.
    """
    optim, sampler = job.optim, job.sampler
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
        scalar_log(job.folder, job.recipe, now.step) as log,
        report.bar(job.folder.name, total, now.step) as advance,
    ):
        while now.epoch < optim.epochs and not lost_patience(optim, now.epoch, now.best_epoch):
            task.train()
            plans = sampler.epoch(now.epoch)[now.position :]
            shares = [plan.part(processes.rank(), processes.count()) for plan in plans]
            with contextlib.closing(prefetch(shares, job.load, job.recipe.data.loaders)) as batches:
                for share, batch in now.meter.watch(_saved_when_lost(batches, run, stop)):
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
                        raise _stopped(now)

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
            report.say(epoch_line(job.folder.name, now.epoch, optim.epochs, now.meter, now.metrics, now.best_epoch))
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


def _saved_when_lost(batches: Iterable[Item], run: Run, stop: Callable[[], bool]) -> Iterator[Item]:
    """The batches. Where no more can be had, what was learned is saved; several processes would have to agree on it.

    What ends this process may have ended those that draw for it, too: then it is no loss, but the stop that is asked.
    """
    try:
        yield from batches
    except LostError:
        if processes.count() == 1:
            run.save("last")
            if stop():
                raise _stopped(run.progress) from None
        raise


def _stopped(now: Progress) -> StoppedError:
    return StoppedError(f"stopped in epoch {now.epoch + 1} after {now.step} steps")
