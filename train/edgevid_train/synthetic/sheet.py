"""A contact sheet: some clips of a data folder at one look, a strip of frames each, the fingertip marked."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid.files import replacing
from edgevid_train.synthetic.scene import SyntheticClip

FILE = "sheet.png"
SHOWN, FRAMES = 24, 8
_HEIGHT, _LEFT = 96, 84  # pixels of a strip, and of the label before it
_MARK = (255, 60, 60)

Pixels = NDArray[np.uint8]


def write_sheet(folder: Path, strips: Sequence[Pixels]) -> None:
    """`folder/sheet.png`: strips in two columns."""
    half = -(-len(strips) // 2)
    columns = [np.concatenate(part) for part in (strips[:half], strips[half:]) if part]
    sheet = np.zeros((len(columns[0]), sum(column.shape[1] for column in columns), 3), np.uint8)
    left = 0
    for column in columns:
        sheet[: len(column), left : left + column.shape[1]] = column
        left += column.shape[1]
    with replacing(folder / FILE) as temporary:
        temporary.write_bytes(cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())


def strip_of(clip: SyntheticClip) -> Pixels:
    """The clip's label, and `FRAMES` of its frames, spread evenly."""
    label = np.full((_HEIGHT, _LEFT, 3), 24, np.uint8)
    for line, text in enumerate((clip.label, f"{clip.start_s:.1f}-{clip.end_s:.1f} s", f"seed {clip.seed}")):
        cv2.putText(label, text, (4, 30 + 20 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    shown = [label]
    for k in np.linspace(0, len(clip.frames) - 1, FRAMES).round().astype(int):
        height, width = clip.frames[k].shape[:2]
        scale = _HEIGHT / height
        frame = cv2.resize(clip.frames[k], (round(width * scale), _HEIGHT), interpolation=cv2.INTER_LINEAR)
        if np.isfinite(clip.fingertip[k]).all():
            at = clip.fingertip[k] * (frame.shape[1], _HEIGHT)
            cv2.circle(frame, (round(float(at[0])), round(float(at[1]))), 4, _MARK, 1, cv2.LINE_AA)
        shown.append(np.asarray(frame, np.uint8))
    return np.concatenate(shown, axis=1)
