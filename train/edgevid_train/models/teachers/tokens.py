"""Where the tokens of a transformer stand in the clip that it cut into patches."""

from typing import Any, NamedTuple

from torch import Tensor

from edgevid_train.models.teachers.config import TeacherConfig

GRIDDED = ("videomae", "timesformer", "vivit", "vjepa2")
"""Kinds of the transformers library, whose configuration says how a clip is cut."""


class TokenGrid(NamedTuple):
    """Times, rows and columns of tokens; `time_last`: those of the same place follow one another."""

    times: int
    rows: int
    columns: int
    time_last: bool = False

    @classmethod
    def of(cls, config: TeacherConfig, network: Any) -> "TokenGrid":
        """That of a teacher of one of the kinds `GRIDDED`, and the network in it."""
        cut = network.config
        tubelet = getattr(cut, "tubelet_size", 1)
        if not isinstance(tubelet, list | tuple):
            tubelet = (tubelet, cut.patch_size, cut.patch_size)
        depth, height, width = tubelet
        rows, columns = config.input.height // height, config.input.width // width
        return cls(config.frames // depth, rows, columns, time_last=config.kind == "timesformer")

    @property
    def total(self) -> int:
        return self.times * self.rows * self.columns

    def maps(self, x: Tensor) -> Tensor:
        """`(B, N, C)` -> `(B, C, t, h, w)`; a class token, which stands first, is left out."""
        x = x[:, -self.total :].transpose(1, 2)
        if self.time_last:
            return x.reshape(*x.shape[:2], self.rows, self.columns, self.times).permute(0, 1, 4, 2, 3)
        return x.reshape(*x.shape[:2], self.times, self.rows, self.columns)
