"""One place in a student and one in its teacher."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TapConfig(BaseModel):
    """`student`, `teacher`: paths of modules, as torch names them: `stages.4`, `network.layer3.0`.

    `kind`: `feature`, the student's map through a 1x1 convolution where it has another number of channels, against the
    teacher's, layer-normed over channels (smooth L1); `attention`, where in the picture they are strong (Zagoruyko &
    Komodakis 2017); `relation`, which clips of a batch they find alike (see `relation_loss`).

    `times`: so many equal parts of the action are compared, each with itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    student: str = Field(min_length=1)
    teacher: str = Field(min_length=1)
    kind: Literal["feature", "attention", "relation"] = "feature"
    weight: float = Field(default=1.0, gt=0)
    times: int = Field(default=1, ge=1, le=64)
