"""Maps of one clip at another size, in places and times."""

from torch import Tensor
from torch.nn import functional


def resized(x: Tensor, size: tuple[int, int, int]) -> Tensor:
    """`(t, h, w)` -> `size`; what a coarse map has stands in the middle of the places and frames that it is of."""
    return functional.interpolate(x[None, None], size, mode="trilinear", align_corners=False)[0, 0]
