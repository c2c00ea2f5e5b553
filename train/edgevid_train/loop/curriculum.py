"""Short streams and small pictures first, whole ones after some epochs: what is easy comes first, and takes less."""

from dataclasses import dataclass, replace
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgevid_train.samples.sampler import BatchPlan, ClipSampler


class CurriculumConfig(BaseModel):
    """Of the student. `epochs`: after so many all streams and pictures are whole; 0 for no curriculum.

    `length`: share of its steps that a stream has at the beginning, those at its end; `size`: share of the sides of the
    student's pictures at the beginning. Both rise evenly, batch by batch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: float = Field(default=0.0, ge=0)
    length: float = Field(default=1.0, gt=0, le=1)
    size: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        if bool(self.epochs) != (min(self.length, self.size) < 1):
            raise ValueError("epochs go with a length or a size below 1, for example epochs = 5, size = 0.5")
        return self


@dataclass(frozen=True)
class EasierFirst:
    """A sampler's epochs, whose first batches are made easier. A function of the batch's number alone, as those are."""

    sampler: ClipSampler
    config: CurriculumConfig

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return self.sampler.batches

    def epoch(self, number: int) -> list[BatchPlan]:
        plans = self.sampler.epoch(number)
        return [self._easier(plan, number * len(plans) + place) for place, plan in enumerate(plans)]

    def _easier(self, plan: BatchPlan, step: int) -> BatchPlan:
        done = min(1.0, step / (self.config.epochs * self.batches)) if self.config.epochs else 1.0
        length, size = (least + (1 - least) * done for least in (self.config.length, self.config.size))
        return replace(plan, steps=max(2, round(plan.steps * length)), size=size) if done < 1 else plan
