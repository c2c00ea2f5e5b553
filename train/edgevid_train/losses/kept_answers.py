"""What a teacher said of training clips, kept on disk: another student's training need not ask it again.

An answer is found again by the digest of the teacher's weights and that of the pixels it was shown. These pixels are a
function of the sample, of its turn (the epoch's view of it), of the seed of its augmentation and of what is mixed into
it, of the recipe's other settings and of the video file: whatever of all that changes, no answer is found that was not
about these very pictures. Students that are to share answers take the same clips, which is what `data.seed` is for.
"""

import hashlib
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import edgevid
from edgevid_train.losses.taps import TapConfig, ask_tapped
from edgevid_train.models.teachers.build import Teacher, TeacherOutputs
from edgevid_train.samples.batch import as_input
from edgevid_train.storage import BoundedArrays, BoundedFolder, cache_folder

Row = dict[str, NDArray[np.float32]]
"""What was said of one clip, by name."""

_VERSION = 2


class KeptAnswers:
    """One small entry for each clip in each of its views.

    `found`, `asked`: clips whose answer was there, and clips about which a teacher was asked.
    """

    def __init__(self, folder: BoundedFolder) -> None:
        self.folder = folder
        self.found = self.asked = 0
        self._arrays = BoundedArrays(folder)

    @property
    def unwritable(self) -> str | None:
        """Why the folder cannot be written to, where it cannot; that is no fault."""
        return self._arrays.unwritable

    def get(self, keys: Sequence[str]) -> list[Row] | None:
        """The answers of all of these, or None."""
        rows: list[Row] = []
        for key in keys:
            row = self._arrays.read(key, key, lambda arrays, _: arrays)
            if row is None:
                return None
            rows.append(row)
        for key in keys:
            self._arrays.used(key)
        self.found += len(rows)
        return rows

    def put(self, keys: Sequence[str], rows: Sequence[Row]) -> None:
        self.asked += len(rows)
        for key, row in zip(keys, rows, strict=True):
            if sum(x.nbytes for x in row.values()) > self.folder.max_bytes // 4:
                continue
            if not self._arrays.write(key, key, row):
                return

    def __str__(self) -> str:
        """For people."""
        return f"teacher's answers to {self.found} of {self.found + self.asked} clips were kept from before"


def kept_answers(max_mb: int) -> KeptAnswers | None:
    """Those in the cache folder; None where nothing may be kept."""
    return KeptAnswers(BoundedFolder(cache_folder() / "answers", max_mb << 20)) if max_mb else None


class Asked:
    """A teacher that is asked about uint8 frames `(B, T, height, width, 3)`, through what is kept where it is given.

    Where the answer to one clip of a batch is missing, the teacher is asked about the batch as a whole: in its last bit
    an answer depends on what it was computed with. So a training that sees the batches that another has seen gets the
    very same answers; one that sees the clips in other batches gets them but for rounding.
    """

    def __init__(self, teacher: Teacher, kept: KeptAnswers | None = None, taps: Sequence[TapConfig] = ()) -> None:
        self.teacher = teacher
        self.kept = kept
        self.taps = tuple(taps)
        self._digest: str | None = None

    @torch.no_grad()
    def __call__(self, frames: Tensor) -> TeacherOutputs:
        if self.kept is None:
            return ask_tapped(self.teacher, as_input(frames), self.taps)
        if self._digest is None:
            self._digest = digest_of(self.teacher)
        kind = frames.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        how = f"{_VERSION} edgevid {edgevid.__version__} torch {torch.__version__} {kind} {dtype} {self._digest}"
        how += "".join(f" {tap.teacher} in {tap.times}" for tap in self.taps)
        keys = [f"{how} {tuple(clip.shape)} {hashlib.sha256(clip.tobytes()).hexdigest()}" for clip in _numpy(frames)]
        rows = self.kept.get(keys)
        if rows is not None:
            return _joined(rows, frames.device)
        outputs = ask_tapped(self.teacher, as_input(frames), self.taps)
        self.kept.put(keys, _rows(outputs))
        return outputs


def digest_of(teacher: Teacher) -> str:
    """Of everything that its answers follow from, wherever its weights came from before training."""
    network = cast(nn.Module, teacher)
    config = teacher.config.model_copy(update={"weights": "", "members": ()})
    found = hashlib.sha256(f"{type(teacher).__name__} {config.model_dump_json()}".encode())
    for name, value in (*network.named_parameters(), *network.named_buffers()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(_numpy(value.detach().contiguous().flatten().view(torch.uint8)).tobytes())
    return found.hexdigest()


def _numpy(values: Tensor) -> NDArray[np.uint8]:
    return np.asarray(values.cpu().numpy())


def _rows(outputs: TeacherOutputs) -> list[Row]:
    parts = {"logits": outputs.logits, "features": outputs.features}
    if outputs.places is not None:
        parts["places"] = outputs.places
    parts |= {f"tap{number}": tap for number, tap in enumerate(outputs.taps)}
    arrays = {f"{name}:{str(x.dtype).removeprefix('torch.')}": x.float().cpu().numpy() for name, x in parts.items()}
    return [{name: values[i] for name, values in arrays.items()} for i in range(len(outputs.logits))]


def _joined(rows: Sequence[Row], device: torch.device) -> TeacherOutputs:
    found = {}
    for name in rows[0]:
        what, dtype = name.split(":")
        values = torch.from_numpy(np.stack([row[name] for row in rows]))
        found[what] = values.to(device, getattr(torch, dtype))
    taps = tuple(found[f"tap{number}"] for number in range(sum(name.startswith("tap") for name in found)))
    return TeacherOutputs(found["logits"], found["features"], found.get("places"), taps)
