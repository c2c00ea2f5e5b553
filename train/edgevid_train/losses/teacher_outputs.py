"""What a teacher says of whole clips, kept in a file: logits and features, clip by clip.

clip      (N,)    names of the clips that could be read, as in `predictions.json`
span_s    (N, 2)  start and end within the file; NaN is the file's end
label     (N,)    what is done in it; of several labels `a;b`
labels    (L,)    the order of the logits
logits    (N, L)  float32
features  (N, D)  float32, what the logits were read from
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgevid.files import replacing
from edgevid.frame import Pixels
from edgevid_train.annotations import ClipRecord
from edgevid_train.losses.label_loss import Activation
from edgevid_train.models.teachers import Teacher
from edgevid_train.samples.batch import as_input

OUTPUTS = "outputs.npz"


@dataclass(frozen=True)
class ClipAnswer:
    """`logits` `(L,)` and `features` `(D,)` of one clip, float32."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    activation: Activation = "softmax"

    @property
    def scores(self) -> NDArray[np.float32]:
        """Softmax of the logits, or the sigmoid of each."""
        logits = torch.from_numpy(self.logits)
        return np.asarray((logits.softmax(-1) if self.activation == "softmax" else logits.sigmoid()).numpy())


@torch.no_grad()
def ask_teacher(
    teacher: Teacher, frames: Pixels, device: torch.device, activation: Activation = "softmax"
) -> ClipAnswer:
    """What `teacher`, in evaluation mode, says of uint8 `(T, height, width, 3)` frames of its own size and number."""
    outputs = teacher(as_input(torch.from_numpy(frames)[None].to(device)))
    logits, features = (x[0].float().cpu().numpy() for x in (outputs.logits, outputs.features))
    return ClipAnswer(logits, features, activation)


def write_outputs(
    path: Path, records: Sequence[ClipRecord], answers: Sequence[ClipAnswer | None], labels: Sequence[str]
) -> None:
    """Write the answers of the clips that have one, in order. Raises InputError when the file cannot be written."""
    answered = [(record, answer) for record, answer in zip(records, answers, strict=True) if answer is not None]
    if not answered:
        return
    several = any(answer.activation == "sigmoid" for _, answer in answered)
    with replacing(path) as temporary:
        np.savez(
            temporary,
            clip=np.array([record.name for record, _ in answered]),
            span_s=np.array([(r.start_s, np.nan if r.end_s is None else r.end_s) for r, _ in answered]),
            label=np.array([";".join(record.labels) if several else record.label for record, _ in answered]),
            labels=np.array(labels),
            logits=np.stack([answer.logits for _, answer in answered]),
            features=np.stack([answer.features for _, answer in answered]),
        )
