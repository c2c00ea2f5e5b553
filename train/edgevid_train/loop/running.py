"""What changes while a network is trained: one step of its optimiser, and how all that is saved and restored."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils.memory import should_reduce_batch_size
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from edgevid.errors import CheckFailedError, InputError
from edgevid_train.checkpoint import WEIGHTS, Checkpoint, kept_part, load_state, load_trainer, load_weights
from edgevid_train.loop import processes
from edgevid_train.loop.job import Job, Task
from edgevid_train.loop.progress import Meter
from edgevid_train.loop.random_states import random_states, set_random_states
from edgevid_train.losses.counts import NOTHING
from edgevid_train.reporter import Reporter
from edgevid_train.samples.batch import Samples


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
            raise self._diverged(f"the loss is {values['loss']}")
        processes.sum_gradients(self.job.task.parameters())
        if self.job.optim.clip_norm:
            norm = self.accelerator.clip_grad_norm_(self.job.task.parameters(), self.job.optim.clip_norm)
            # With fp16 the scaler sees to that: it leaves the step out and scales less
            if norm is not None and self.accelerator.scaler is None and not torch.isfinite(norm):
                raise self._diverged(f"the gradient's norm is {float(norm)}")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return values

    def _diverged(self, what: str) -> CheckFailedError:
        return CheckFailedError(
            f"{what} at step {self.progress.step}: lower the learning rate, or use precision bf16 or no"
        )

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
        try:
            self._restore(state, folder, report)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{folder} is damaged ({type(error).__name__}): it cannot be resumed from") from None

    def _restore(self, state: Mapping[str, Any], folder: Path, report: Reporter) -> None:
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
