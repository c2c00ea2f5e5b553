"""How a network is optimised: what a recipe says of it."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class OptimConfig(BaseModel):
    """AdamW, whose rate goes by `schedule`, from `lr` down to `least_lr`, after `warmup_epochs` of linear warm-up.

    `schedule`: a `cosine`; `step`: times `factor` after each of the epochs in `drops`; `plateau`: times `factor` after
    `wait_epochs` epochs without a better figure of the held-out clips; `one_cycle`: up for a share `rise` of all steps,
    instead of a warm-up, then down. `patience`: so many epochs without a better figure, and the training is over.

    `micro_batch`: clips that go through the network at once, gradients are accumulated over `batch`; None: all of it.
    Norms that take a batch's statistics take those of the part, and terms that compare clips need three in it.
    `clip_norm`: largest norm of the gradient, 0 for no limit. `ema`: the weights that are validated and saved are a
    moving average with this decay (which warms up); 0 for none. `backbone_lr`: rate of the backbone's weights, which
    come from elsewhere, as a share of the others'. `layer_decay`: and each of its layers, as a share of the layer after
    it. `epoch_clips`: clips an epoch takes, all of them when None.
    `extra_share`: share of an epoch's clips that come from `--extra`; None takes those as they are, one among others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(default=30, gt=0)
    batch: int = Field(default=16, gt=0)
    micro_batch: int | None = Field(default=None, gt=0)
    lr: float = Field(default=1e-3, gt=0)
    least_lr: float = Field(default=1e-5, ge=0)
    schedule: Literal["cosine", "one_cycle", "step", "plateau"] = "cosine"
    drops: tuple[float, ...] = ()
    factor: float = Field(default=0.1, gt=0, lt=1)
    wait_epochs: int = Field(default=5, gt=0)
    rise: float = Field(default=0.3, gt=0, lt=1)
    patience: int | None = Field(default=None, gt=0)
    warmup_epochs: float = Field(default=1.0, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    clip_norm: float = Field(default=1.0, ge=0)
    ema: float = Field(default=0.998, ge=0, lt=1)
    backbone_lr: float = Field(default=1.0, ge=0, le=1)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    epoch_clips: int | None = Field(default=None, gt=0)
    extra_share: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _downwards(self) -> Self:
        if self.least_lr > self.lr:
            raise ValueError(f"least_lr = {self.least_lr:g} is more than lr = {self.lr:g}")
        return self

    @model_validator(mode="after")
    def _drops(self) -> Self:
        if bool(self.drops) != (self.schedule == "step"):
            raise ValueError("schedule = step and drops go together, for example drops = [20, 26]")
        if list(self.drops) != sorted(set(self.drops)) or not all(0 < epoch < self.epochs for epoch in self.drops):
            raise ValueError(f"drops must be rising epochs between 0 and {self.epochs}")
        return self

    def _idle(self, *names: str, instead: str) -> Self:
        """Refuses what would change nothing here."""
        for name in names:
            if getattr(self, name) != OptimConfig.model_fields[name].default:
                raise ValueError(f"{name} changes nothing here: {instead}")
        return self


class PretrainOptimConfig(OptimConfig):
    """As `OptimConfig`; the weights themselves are saved, and there is no `extra_share`."""

    ema: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _no_extra(self) -> Self:
        return self._idle("extra_share", instead="all video is --data")


class MemoryOptimConfig(OptimConfig):
    """As `OptimConfig`, for the memory's lesson, whose epochs are short and have `MemoryConfig.streams` each.

    It has no backbone, so no rate of one, and no `epoch_clips`.
    """

    epochs: int = Field(default=4, gt=0)
    ema: float = Field(default=0.98, ge=0, lt=1)
    extra_share: float | None = Field(default=0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _memory_alone(self) -> Self:
        return self._idle(
            "backbone_lr", "layer_decay", "epoch_clips", instead="the memory alone learns, memory.streams an epoch"
        )
