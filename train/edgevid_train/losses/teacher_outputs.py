"""What a teacher says of one whole clip."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edgevid.frame import Pixels
from edgevid_train.models.teachers.build import Teacher
from edgevid_train.samples.batch import as_input


@dataclass(frozen=True)
class ClipAnswer:
    """`logits` `(L,)` and `features` `(D,)` of one clip, float32."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32]


@torch.no_grad()
def ask_teacher(teacher: Teacher, frames: Pixels, device: torch.device) -> ClipAnswer:
    """What `teacher`, in evaluation mode, says of uint8 `(T, height, width, 3)` frames of its own size and number."""
    outputs = teacher(as_input(torch.from_numpy(frames)[None].to(device)))
    logits, features = (x[0].float().cpu().numpy() for x in (outputs.logits, outputs.features))
    return ClipAnswer(logits, features)
